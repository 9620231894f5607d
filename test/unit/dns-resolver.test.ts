// The stub resolver and the MX search against a DNS server in this process that can also lie, stall, cut and refuse.

import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { after, describe, it } from 'node:test';
import packet from 'dns-packet';
import type { Answer, DecodedPacket, Packet } from 'dns-packet';
import fc from 'fast-check';
import { systemClock } from '#base/clock.ts';
import { PosternError } from '#base/failure.ts';
import { openCache } from '#dns/cache.ts';
import { findAddresses, findMx, hasGlobalIpv6 } from '#dns/mx.ts';
import { canonicalName, reverseName } from '#dns/name.ts';
import { openResolver } from '#dns/resolver.ts';
import type { Resolver } from '#dns/resolver.ts';

/** What to say to a query: a reply (may be several datagrams), or null for silence. `tcp`: over which transport it came. */
type Script = (query: DecodedPacket, tcp: boolean) => (Packet | Buffer)[] | null;

const cleanUp: (() => void)[] = [];
after(() => cleanUp.forEach((close) => close()));

async function startServer(script: Script): Promise<{ address: string; udp: number; tcp: number; queries: DecodedPacket[] }> {
  const seen = { address: '', udp: 0, tcp: 0, queries: [] as DecodedPacket[] };
  const bytes = (reply: Packet | Buffer): Buffer => (Buffer.isBuffer(reply) ? reply : packet.encode(reply));
  const tcp = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (data: Buffer) => {
      seen.tcp++;
      for (const reply of script(packet.decode(data.subarray(2)), true) ?? []) {
        const body = bytes(reply);
        const length = Buffer.alloc(2);
        length.writeUInt16BE(body.length);
        // In two pieces: the length may come alone.
        socket.write(length);
        setImmediate(() => socket.end(body));
      }
    });
  });
  await new Promise<void>((resolve) => tcp.listen(0, '127.0.0.1', resolve));
  const { port } = tcp.address() as AddressInfo;
  const udp = createSocket('udp4');
  udp.on('message', (data, from) => {
    seen.udp++;
    const query = packet.decode(data);
    seen.queries.push(query);
    for (const reply of script(query, false) ?? []) udp.send(bytes(reply), from.port, from.address);
  });
  await new Promise<void>((resolve) => udp.bind(port, '127.0.0.1', resolve));
  seen.address = `127.0.0.1:${port}`;
  cleanUp.push(() => {
    udp.close();
    tcp.close();
  });
  return seen;
}

function reply(query: DecodedPacket, extra: Partial<Packet> & { rcode?: number } = {}): Packet {
  const { rcode = 0, flags = 0, ...rest } = extra;
  return { type: 'response', id: query.id ?? 0, questions: query.questions ?? [], ...rest, flags: flags | rcode };
}

const soa = (ttl: number, minimum: number): Answer => ({ type: 'SOA', name: 'example.com', ttl, data: { mname: 'ns.example.com', rname: 'host.example.com', minimum } });
const a = (name: string, data: string, ttl = 300): Answer => ({ type: 'A', name, ttl, data });
const mx = (name: string, records: [number, string][], ttl = 300): Answer[] => records.map(([preference, exchange]) => ({ type: 'MX', name, ttl, data: { preference, exchange } }));

function resolverFor(servers: string | string[], options: { dnssec?: 'trust-ad' | 'off'; timeoutMs?: number } = {}): Resolver {
  const resolver = openResolver({ servers: [servers].flat(), dnssec: options.dnssec ?? 'off', timeoutMs: options.timeoutMs ?? 2000, clock: systemClock });
  cleanUp.push(() => resolver.close());
  return resolver;
}

describe('asking', () => {
  it('sends RD, AD, EDNS of 1232 bytes without DO, and a random id', async () => {
    const server = await startServer((query) => [reply(query, { answers: [a('www.example.com', '192.0.2.1')] })]);
    const resolver = resolverFor(server.address);
    const answer = await resolver.a('WWW.Example.com.');
    assert.deepEqual(answer, { status: 'found', records: ['192.0.2.1'], authenticated: false, ttlSeconds: 300, owner: 'www.example.com' });
    await resolver.a('two.example.com');
    const [first, second] = server.queries;
    assert.ok(first?.flag_rd && first.flag_ad && !first.flag_cd);
    assert.deepEqual(first.questions?.[0], { name: 'www.example.com', type: 'A', class: 'IN' });
    const opt = first.additionals?.[0];
    assert.ok(opt?.type === 'OPT' && opt.udpPayloadSize === 1232 && !opt.flag_do);
    assert.notEqual(first.id, second?.id);
  });

  it('asks once for many who want the same, and then remembers', async () => {
    const server = await startServer((query) => [reply(query, { answers: [a('x.example', '192.0.2.1', 60)] })]);
    const resolver = resolverFor(server.address);
    await Promise.all(Array.from({ length: 50 }, () => resolver.a('x.example')));
    const again = await resolver.a('X.EXAMPLE');
    assert.equal(again.status, 'found');
    assert.equal(server.udp, 1);
  });

  it('bounds the questions at once and answers all', async () => {
    let open = 0;
    let most = 0;
    const server = await startServer((query) => {
      most = Math.max(most, ++open);
      setImmediate(() => open--);
      return [reply(query, { answers: [a(query.questions?.[0]?.name ?? '', '192.0.2.1')] })];
    });
    const resolver = resolverFor(server.address);
    const answers = await Promise.all(Array.from({ length: 600 }, (_, n) => resolver.a(`h${n}.example`)));
    assert.ok(answers.every((answer) => answer.status === 'found'));
    assert.ok(most <= 256);
  });

  for (const [dnssec, authenticated] of [
    ['trust-ad', true],
    ['off', false],
  ] as const) {
    it(`AD counts: ${authenticated} when dnssec is ${dnssec}`, async () => {
      const server = await startServer((query) => [reply(query, { flags: packet.AUTHENTIC_DATA, answers: mx('example.com', [[10, 'mx.example.com']]) })]);
      const answer = await resolverFor(server.address, { dnssec }).mx('example.com');
      assert.ok(answer.status === 'found' && answer.authenticated === authenticated);
    });
  }

  it('takes no answer with another id or another question, and waits for the right one', async () => {
    const server = await startServer((query) => {
      const right = reply(query, { answers: [a('bank.example', '192.0.2.1')] });
      const lie = [a('bank.example', '203.0.113.66')];
      return [
        { ...right, id: ((query.id ?? 0) + 1) & 0xffff, answers: lie },
        { ...right, questions: [{ name: 'evil.example', type: 'A' }], answers: lie },
        { ...right, questions: [{ name: 'bank.example', type: 'AAAA' }], answers: lie },
        { ...right, type: 'query', answers: lie },
        right,
      ];
    });
    const answer = await resolverFor(server.address).a('bank.example');
    assert.ok(answer.status === 'found');
    assert.deepEqual(answer.records, ['192.0.2.1']);
  });

  it('ignores records that belong to another name', async () => {
    const server = await startServer((query) => [reply(query, { answers: [a('other.example', '203.0.113.66')] })]);
    assert.equal((await resolverFor(server.address).a('bank.example')).status, 'no-data');
  });

  it('goes to TCP when the answer is cut', async () => {
    const server = await startServer((query, tcp) => [
      tcp ? reply(query, { answers: Array.from({ length: 200 }, (_, n) => a('big.example', `192.0.2.${n}`)) }) : reply(query, { flags: packet.TRUNCATED_RESPONSE }),
    ]);
    const answer = await resolverFor(server.address).a('big.example');
    assert.ok(answer.status === 'found' && answer.records.length === 200);
    assert.equal(server.tcp, 1);
  });

  it('does without EDNS when the server cannot', async () => {
    const server = await startServer((query) => [
      (query.additionals ?? []).length > 0 ? reply(query, { rcode: 1, questions: [] }) : reply(query, { answers: [a('old.example', '192.0.2.1')] }),
    ]);
    assert.equal((await resolverFor(server.address).a('old.example')).status, 'found');
  });
});

describe('failing', () => {
  it('asks again after silence, and the next server', async () => {
    let asked = 0;
    const shy = await startServer((query) => (++asked < 2 ? null : [reply(query, { answers: [a('x.example', '192.0.2.1')] })]));
    assert.equal((await resolverFor(shy.address, { timeoutMs: 700 }).a('x.example')).status, 'found');
    assert.equal(shy.udp, 2);
    const silent = await startServer(() => null);
    const good = await startServer((query) => [reply(query, { answers: [a('x.example', '192.0.2.2')] })]);
    assert.equal((await resolverFor([silent.address, good.address], { timeoutMs: 700 }).a('x.example')).status, 'found');
  });

  it('times out within its bound', async () => {
    const silent = await startServer(() => null);
    const startedMs = performance.now();
    const answer = await resolverFor(silent.address, { timeoutMs: 210 }).a('x.example');
    assert.ok(answer.status === 'failed' && answer.cause === 'timeout');
    assert.ok(performance.now() - startedMs < 600);
    assert.equal(silent.udp, 3);
  });

  for (const [rcode, cause] of [
    [2, 'servfail'],
    [5, 'refused'],
    [4, 'servfail'],
  ] as const) {
    it(`RCODE ${rcode} of the only server is ${cause}, and is remembered a moment`, async () => {
      const server = await startServer((query) => [reply(query, { rcode })]);
      const resolver = resolverFor(server.address);
      const answer = await resolver.a('x.example');
      assert.ok(answer.status === 'failed' && answer.cause === cause);
      const asked = server.udp;
      await resolver.a('x.example');
      assert.equal(server.udp, asked);
    });
  }

  it('SERVFAIL of one server is made good by the next', async () => {
    const bad = await startServer((query) => [reply(query, { rcode: 2 })]);
    const good = await startServer((query) => [reply(query, { answers: [a('x.example', '192.0.2.2')] })]);
    assert.equal((await resolverFor([bad.address, good.address]).a('x.example')).status, 'found');
  });

  it('a closed port is unreachable at once; garbage is malformed', async () => {
    const answer = await resolverFor('127.0.0.1:1').a('x.example');
    assert.ok(answer.status === 'failed' && answer.cause === 'unreachable', JSON.stringify(answer));
    const garbage = await startServer((query) => {
      const bytes = packet.encode(reply(query, { answers: [a('x.example', '192.0.2.1')] }));
      return [bytes.subarray(0, bytes.length - 6)];
    });
    const broken = await resolverFor(garbage.address).a('x.example');
    assert.ok(broken.status === 'failed' && broken.cause === 'malformed', JSON.stringify(broken));
  });

  it('close() ends what is on the way', async () => {
    const silent = await startServer(() => null);
    const resolver = resolverFor(silent.address, { timeoutMs: 60_000 });
    const pending = resolver.a('x.example');
    setTimeout(() => resolver.close(), 20);
    const answer = await pending;
    assert.equal(answer.status, 'failed');
    assert.equal((await resolver.a('y.example')).status, 'failed');
  });

  for (const name of [
    '',
    '.',
    'a b.example',
    'a\0b.example',
    'ex ample',
    'a..b',
    `${'x'.repeat(64)}.example`,
    `${'abcdefg.'.repeat(40)}example`,
    '1.2.3.4',
    '127.1',
    '0x7f.1',
    '１２７.1',
    '*.example',
    'a/b',
    '[::1]',
    'ex%61mple.com',
  ]) {
    it(`asks nobody for ${JSON.stringify(name.slice(0, 30))}`, async () => {
      const answer = await resolverFor('127.0.0.1:1').a(name);
      assert.ok(answer.status === 'failed' && answer.cause === 'bad-name');
    });
  }

  for (const server of ['localhost', '192.0.2.1:0', '192.0.2.1:99999', '[192.0.2.1', 'http://192.0.2.1', '127.1:53']) {
    it(`refuses the server ${server}`, () =>
      assert.throws(
        () => resolverFor(server),
        (error) => error instanceof PosternError && error.exitCode === 2,
      ));
  }
});

describe('answers', () => {
  it('follows aliases and gives the least TTL; loops end', async () => {
    const server = await startServer((query) => {
      const name = query.questions?.[0]?.name ?? '';
      if (name === 'loop.example') return [reply(query, { answers: [{ type: 'CNAME', name, ttl: 60, data: name }] })];
      return [
        reply(query, {
          answers: [a('c.example', '192.0.2.1', 500), { type: 'CNAME', name: 'b.example', ttl: 7, data: 'C.example' }, { type: 'CNAME', name, ttl: 60, data: 'b.example' }],
        }),
      ];
    });
    const resolver = resolverFor(server.address);
    assert.deepEqual(await resolver.a('a.example'), { status: 'found', records: ['192.0.2.1'], authenticated: false, ttlSeconds: 7, owner: 'c.example' });
    assert.deepEqual(await resolver.cname('a.example'), { status: 'found', records: ['b.example'], authenticated: false, ttlSeconds: 60, owner: 'a.example' });
    const loop = await resolver.a('loop.example');
    assert.ok(loop.status === 'failed' && loop.cause === 'malformed');
  });

  it('tells no data from no domain, with the TTL of the SOA', async () => {
    const server = await startServer((query) => [reply(query, { rcode: query.questions?.[0]?.name === 'gone.example' ? 3 : 0, authorities: [soa(3600, 120)] })]);
    const resolver = resolverFor(server.address);
    assert.deepEqual(await resolver.mx('gone.example'), { status: 'no-domain', authenticated: false, ttlSeconds: 120 });
    assert.deepEqual(await resolver.mx('bare.example'), { status: 'no-data', authenticated: false, ttlSeconds: 120 });
  });

  it('reads TXT, TLSA, PTR and AAAA', async () => {
    const server = await startServer((query) => {
      const { name = '', type } = query.questions?.[0] ?? {};
      const data: Record<string, Answer> = {
        TXT: { type: 'TXT', name, ttl: 9, data: [Buffer.from('v=spf1 '), Buffer.from('-all')] },
        TLSA: { type: 'TLSA', name, ttl: 9, data: { usage: 3, selector: 1, matchingType: 1, certificate: Buffer.alloc(32, 7) } },
        PTR: { type: 'PTR', name, ttl: 9, data: 'Host.Example' },
        AAAA: { type: 'AAAA', name, ttl: 99999, data: '2001:db8::1' },
      };
      return [reply(query, { answers: [data[type ?? ''] as Answer] })];
    });
    const resolver = resolverFor(server.address);
    const txt = await resolver.txt('x.example');
    assert.ok(txt.status === 'found');
    assert.deepEqual(txt.records, ['v=spf1 -all']);
    const tlsa = await resolver.tlsa('_25._tcp.mx.example');
    assert.ok(tlsa.status === 'found');
    assert.deepEqual(tlsa.records, [{ usage: 3, selector: 1, matchingType: 1, data: Buffer.alloc(32, 7) }]);
    const ptr = await resolver.ptr('192.0.2.7');
    assert.ok(ptr.status === 'found');
    assert.deepEqual(ptr.records, ['host.example']);
    assert.equal(server.queries.at(-1)?.questions?.[0]?.name, '7.2.0.192.in-addr.arpa');
    const aaaa = await resolver.aaaa('x.example');
    assert.ok(aaaa.status === 'found' && aaaa.records[0] === '2001:db8::1' && aaaa.ttlSeconds === 3600);
  });

  it('names', () => {
    assert.equal(canonicalName('Bücher.Example.'), 'xn--bcher-kva.example');
    assert.equal(canonicalName('_dmarc.example.com'), '_dmarc.example.com');
    assert.equal(reverseName('2001:db8::1'), '1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa');
    assert.equal(reverseName('::ffff:192.0.2.1'), `1.0.2.0.0.0.0.c.f.f.f.f${'.0'.repeat(20)}.ip6.arpa`);
    assert.equal(reverseName('1.2.3'), null);
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => /^[a-z0-9_.-]+$/.test(canonicalName(text) ?? 'x')));
  });

  it('the cache is bounded, forgets the least used, and ends entries', () => {
    let nowMs = 0;
    const cache = openCache<number>({ nowMs: () => nowMs, after: () => () => {} }, 2);
    cache.set('a', 1, 10);
    cache.set('b', 2, 10);
    cache.get('a');
    cache.set('c', 3, 10);
    assert.equal(cache.size, 2);
    assert.equal(cache.get('b'), null);
    nowMs = 4000;
    assert.deepEqual(cache.get('a'), { value: 1, ttlSeconds: 6 });
    nowMs = 10_000;
    assert.equal(cache.get('a'), null);
  });
});

describe('findMx', () => {
  const zone: Record<string, Partial<Packet> & { rcode?: number }> = {
    'MX good.example': {
      flags: packet.AUTHENTIC_DATA,
      answers: mx('good.example', [
        [20, 'c.example'],
        [10, 'A.example'],
        [10, 'b.example'],
        [30, 'a.example'],
      ]),
    },
    'MX null.example': { answers: mx('null.example', [[0, '.']]) },
    'MX mixed.example': {
      answers: mx('mixed.example', [
        [0, '.'],
        [10, 'a.example'],
      ]),
    },
    'MX bad.example': {
      answers: mx('bad.example', [
        [10, '192.0.2.1'],
        [20, 'two words.example'],
      ]),
    },
    'MX many.example': {
      answers: mx(
        'many.example',
        Array.from({ length: 60 }, (_, n) => [n, `m${n}.example`] as [number, string]),
      ),
    },
    'MX bare.example': { authorities: [soa(60, 60)] },
    'MX alias.example': { answers: [{ type: 'CNAME', name: 'alias.example', ttl: 60, data: 'good.example' }, ...mx('good.example', [[10, 'a.example']])] },
    'MX gone.example': { rcode: 3 },
    'MX broken.example': { rcode: 2 },
    'A both.example': { answers: ['192.0.2.1', '192.0.2.2', '192.0.2.3'].map((ip) => a('both.example', ip)) },
    'AAAA both.example': { answers: [{ type: 'AAAA', name: 'both.example', ttl: 60, data: '2001:db8::1' }] },
    'A half.example': { flags: packet.AUTHENTIC_DATA, answers: [a('half.example', '192.0.2.1')] },
    'AAAA half.example': { rcode: 2 },
    'A gone.example': { rcode: 3 },
    'AAAA gone.example': { rcode: 3 },
    'A broken.example': { rcode: 2 },
  };
  let resolver: Resolver | null = null;
  const zoneResolver = async (): Promise<Resolver> => {
    const server = resolver === null ? await startServer((query) => [reply(query, zone[`${query.questions?.[0]?.type} ${query.questions?.[0]?.name}`] ?? {})]) : null;
    if (server !== null) resolver ??= resolverFor(server.address, { dnssec: 'trust-ad' });
    return resolver as Resolver;
  };

  it('sorts by preference, names each host once, and says how long it holds', async () => {
    const found = await zoneResolver();
    const answer = await findMx(found, 'Good.Example');
    assert.ok(answer.status === 'found' && !answer.implicit && answer.authenticated && answer.ttlSeconds > 0);
    assert.deepEqual(answer.hosts.map(({ host, preference }) => `${preference} ${host}`).toSorted(), ['10 a.example', '10 b.example', '20 c.example']);
    assert.equal(answer.hosts.at(-1)?.host, 'c.example');
  });

  it('knows every kind of answer', async () => {
    const found = await zoneResolver();
    assert.equal((await findMx(found, 'null.example')).status, 'null-mx');
    assert.equal((await findMx(found, 'bad.example')).status, 'unusable');
    assert.equal((await findMx(found, 'gone.example')).status, 'no-domain');
    assert.equal((await findMx(found, 'broken.example')).status, 'failed');
    assert.equal((await findMx(found, 'not a name')).status, 'no-domain');
    const [mixed, many, bare, alias, literal] = await Promise.all(
      ['mixed.example', 'many.example', 'bare.example', 'alias.example', '[IPv6:2001:db8::7]'].map((domain) => findMx(found, domain)),
    );
    assert.ok(mixed?.status === 'found' && mixed.hosts.length === 1);
    assert.ok(many?.status === 'found' && many.hosts.length === 20 && many.hosts[19]?.host === 'm19.example');
    assert.deepEqual(bare, { status: 'found', hosts: [{ host: 'bare.example', preference: 0 }], implicit: true, authenticated: false, ttlSeconds: 60 });
    assert.ok(alias?.status === 'found' && alias.hosts[0]?.host === 'a.example');
    assert.ok(literal?.status === 'found' && literal.hosts[0]?.host === '2001:db8::7');
  });

  it('orders addresses, and says why there are none', async () => {
    const found = await zoneResolver();
    assert.deepEqual(await findAddresses(found, 'both.example'), { addresses: ['192.0.2.1', '192.0.2.2', '192.0.2.3', '2001:db8::1'], authenticated: false });
    const six = await findAddresses(found, 'both.example', { preferIpv6: true, limit: 3 });
    assert.ok('addresses' in six);
    assert.deepEqual(six.addresses, ['2001:db8::1', '192.0.2.1', '192.0.2.2']);
    assert.deepEqual(await findAddresses(found, 'half.example'), { addresses: ['192.0.2.1'], authenticated: true });
    assert.deepEqual(await findAddresses(found, '192.0.2.9'), { addresses: ['192.0.2.9'], authenticated: false });
    for (const [host, kind] of [
      ['gone.example', 'no-domain'],
      ['empty.example', 'no-addresses'],
      ['broken.example', 'temporary'],
      ['a b', 'no-domain'],
    ] as const) {
      const answer = await findAddresses(found, host);
      assert.ok('failure' in answer && answer.failure.kind === kind, host);
    }
  });

  it('sees whether the machine has global IPv6', () => {
    const entry = (address: string, internal = false) => ({ address, internal, family: 'IPv6' as const, netmask: '', mac: '', cidr: null, scopeid: 0 });
    assert.equal(hasGlobalIpv6({ lo: [entry('::1', true)], eth0: [entry('fe80::1'), entry('fd00::1')] }), false);
    assert.equal(hasGlobalIpv6({ eth0: [entry('2001:db8::1')] }), true);
  });
});
