import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import type { Clock } from '#base/clock.ts';
import { createCounters, openCounters } from '#base/counters.ts';
import { openMessageIds } from '#base/id.ts';
import { silentLog } from '#base/log.ts';
import type { Sender } from '#intake/authenticate.ts';
import { openInspector } from '#intake/inspect.ts';
import { openIntake } from '#intake/intake.ts';
import type { IntakeLimits } from '#intake/intake.ts';
import { BodyHash } from '#mail/dkim/canonical.ts';
import { openSigning } from '#mail/dkim/signing.ts';
import type { Signatory } from '#mail/dkim/signing.ts';
import { ownPen } from '#mail/dkim/pen.ts';
import type { NewMessage } from '#queue/queue.ts';
import type { Lease } from '#queue/records.ts';
import { parseMailbox } from '#smtp/address.ts';
import { REPLIES } from '#smtp/reply.ts';
import type { Address } from '#smtp/address.ts';
import type { Connection, MailCommand, MessageSink, Policy, Profile, Transaction } from '#smtp/policy.ts';
import { formatReply } from '#smtp/reply.ts';
import type { Reply } from '#smtp/reply.ts';
import type { Credential, DirectoryReader } from '#store/directory.ts';
import { plainForwarding } from '../support/forwarding.ts';
import { zoneResolver } from '../support/zone.ts';

const PASSWORD = 'correct horse';

function address(text: string): Address {
  const parsed = parseMailbox(text);
  assert.ok(parsed && 'domain' in parsed, text);
  return parsed;
}

function credential(overrides: Partial<Credential> = {}): Credential {
  return {
    name: 'app',
    username: 'app',
    domains: ['example.com'],
    mode: 'live',
    allowIps: [],
    project: null,
    ratePerHour: null,
    createdAtMs: 0,
    rotatedAtMs: null,
    revokedAtMs: null,
    lastUsedAtMs: null,
    secretHash: createHash('sha256').update(PASSWORD).digest(),
    scram: { salt: Buffer.alloc(16), iterations: 4096, storedKey: Buffer.alloc(32), serverKey: Buffer.alloc(32) },
    ...overrides,
  };
}

const SIGNATORY: Signatory = {
  domain: 'signed.example',
  bounceDomain: null,
  keys: [{ domain: 'signed.example', selector: 's', algorithm: 'ed25519-sha256', privateKey: generateKeyPairSync('ed25519').privateKey }],
};

const MAIL: MailCommand = { from: address('me@example.com'), sizeBytes: null, body: null, smtpUtf8: false, requireTls: false, ret: null, envid: null };

type Bench = {
  readonly policy: Policy<Sender>;
  readonly accepted: NewMessage[];
  readonly delivered: Lease[];
  readonly chunks: Map<number, Buffer>;
  readonly abandoned: string[];
  fail: Error | null;
  /** Whether the credential still stands. */
  current: boolean | Promise<boolean>;
  connection(profile: Profile, overrides?: Partial<Connection<Sender>>): Connection<Sender>;
  transaction(mail?: Partial<MailCommand>, ...to: string[]): Transaction;
};

function bench(record = credential(), limits: Partial<IntakeLimits> = {}, clock: Clock = systemClock): Bench {
  const chunks = new Map<number, Buffer>();
  const state: Bench = {
    accepted: [],
    delivered: [],
    chunks,
    abandoned: [],
    fail: null,
    current: true,
    policy: openIntake({
      hostname: 'relay.example.net',
      queue: {
        write: async (_id, n, chunk) => {
          if (state.fail) throw state.fail;
          chunks.set(n, chunk);
        },
        abandon: (id) => void state.abandoned.push(id),
        accept: async (message) => {
          if (state.fail) throw state.fail;
          state.accepted.push(message);
          return [];
        },
      },
      directory: {
        credential: async (username) => (username === record.username ? record : null),
        current: () => state.current,
        domain: async () => null,
        domains: async () => [],
      } satisfies DirectoryReader,
      counters: openCounters(createCounters({ threads: 1 }), 0),
      clock,
      log: silentLog,
      newId: openMessageIds(),
      decoySecret: Buffer.from('secret of a test'),
      limits: () => ({
        connections: 10,
        connectionsPerAddress: 2,
        authFailures: 3,
        hops: 5,
        headerBytes: 4096,
        memoryBytes: 10_000_000,
        maxAgeMs: 1000,
        delayWarningMs: null,
        ...limits,
      }),
      isLocal: (domain) => domain === 'local.example',
      localDomain: () => 'local.example',
      laneFor: (domain, mode) => (mode === 'sandbox' ? 'capture:' : `mx:${domain}`),
      signing: openSigning({ find: (domain) => (domain === 'signed.example' ? SIGNATORY : null), pen: ownPen, lifetimeMs: () => 1000 }),
      inspector: openInspector({
        hostname: 'relay.example.net',
        resolver: zoneResolver({ 'example.com': [{ TXT: 'v=spf1 ip4:192.0.2.7 -all' }], '_dmarc.example.com': [{ TXT: 'v=DMARC1; p=reject' }] }),
        clock: systemClock,
        settings: () => ({ dmarc: 'reject', dnsTimeoutMs: 5000, trustedSealers: [] }),
        isTrusted: (client) => client === '10.0.0.1',
        pen: ownPen,
        log: silentLog,
      }),
      forwarding: plainForwarding({
        table: () => [
          { match: 'info@local.example', to: ['a@elsewhere.example', 'info@local.example'] },
          { match: 'team@local.example', to: ['info@local.example', 'b@elsewhere.example'] },
        ],
      }),
      returns: { owns: () => false, admit: () => null, recognize: async () => REPLIES.noSuchReturnPath, read: () => ({ feed() {}, finish: async () => null }) },
      deliver: (leases) => void state.delivered.push(...leases),
    }),
    connection: (profile, overrides = {}) => ({
      id: 's1',
      profile,
      clientAddress: '192.0.2.7',
      clientPort: 4000,
      localAddress: '192.0.2.1',
      localPort: 587,
      helo: 'client.example',
      extended: true,
      tls: { protocol: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384', serverName: null },
      identity: profile === 'mx' ? null : { credential: record.name, username: record.username, record },
      ...overrides,
    }),
    transaction: (mail = {}, ...to) => ({
      mail: { ...MAIL, ...mail },
      recipients: (to.length === 0 ? ['you@elsewhere.example'] : to).map((text) => ({ to: address(text), notify: null, orcpt: null })),
    }),
  };
  return state;
}

async function submit(state: Bench, connection: Connection<Sender>, transaction: Transaction, chunks: readonly string[]): Promise<Reply> {
  const sink = await state.policy.data(connection, transaction);
  if ('code' in sink) return sink;
  return deliverTo(sink, chunks);
}

async function deliverTo(sink: MessageSink, chunks: readonly string[]): Promise<Reply> {
  for (const chunk of chunks) {
    const refusal = await sink.write(Buffer.from(chunk, 'latin1'));
    if (refusal) {
      sink.abort();
      return refusal;
    }
  }
  return sink.finish();
}

/** A clock that stands still and lets nobody wait; `waited` is what was asked for. */
function playedClock(): { clock: Clock; waited: number[] } {
  const waited: number[] = [];
  const after: Clock['after'] = (ms, fn) => {
    waited.push(ms);
    queueMicrotask(fn);
    return () => {};
  };
  return { clock: { nowMs: () => 1_000_000, after }, waited };
}

function content(message: NewMessage, chunks: Map<number, Buffer>): string {
  const written = Array.from({ length: message.written }, (_, n) => chunks.get(n) ?? assert.fail(`chunk ${n} was not written`));
  return Buffer.concat([...written, ...message.tail]).toString('latin1');
}

test('a submission is mended: Received on top, Date and Message-ID added, Bcc gone, the rest byte for byte', async () => {
  const state = bench();
  const reply = await submit(state, state.connection('submission'), state.transaction(), [
    'From: Me <me@exa',
    'mple.com>\r\nBcc: x@y.example,\r\n z@y.example\r\nSubject: =?utf-8?q?H=C3=A9?=\r\n\r',
    '\n.body\r\n',
  ]);
  assert.equal(reply.code, 250);
  const [message] = state.accepted as [NewMessage];
  const text = content(message, state.chunks);
  assert.match(text, /^Received: from client\.example/);
  assert.match(text, /\r\nDate: .*\+0000\r\n/);
  assert.match(text, new RegExp(`\\r\\nMessage-ID: <${message.envelope.id}@relay\\.example\\.net>\\r\\n`));
  assert.doesNotMatch(text, /bcc/i);
  assert.ok(text.endsWith('From: Me <me@example.com>\r\nSubject: =?utf-8?q?H=C3=A9?=\r\n\r\n.body\r\n'), text);
  assert.equal(message.envelope.sizeBytes, text.length);
  assert.equal(message.envelope.subject, 'Hé');
  assert.equal(message.recipients[0]?.lane, 'mx:elsewhere.example');
  assert.ok(reply.lines.at(-1)?.endsWith(message.envelope.id), String(reply.lines));
});

test('the sender rules of a credential hold for MAIL FROM and for From', async () => {
  const state = bench();
  const connection = state.connection('submission');
  const mail = (from: string): Reply | null => state.policy.mail(connection, { ...MAIL, from: address(from) }) as Reply | null;
  assert.equal(mail('me@example.com'), null);
  assert.deepEqual([mail('me@other.example')?.code, mail('me@other.example')?.enhanced], [550, '5.7.1']);
  assert.equal(mail('me@sub.example.com')?.code, 550, 'a subdomain is another domain');
  const header = (head: string): Promise<Reply> => submit(state, connection, state.transaction(), [`${head}\r\n\r\nx\r\n`]);
  for (const [head, code] of [
    ['From: me@example.com', 250],
    ['From: me@other.example', 550],
    ['From: me@example.com, you@other.example', 550],
    ['From: "me@example.com" <you@other.example>', 550],
    ['From: "you@other.example" <me@example.com>', 250],
    ['From: you@other.example <me@example.com>', 550],
    ['From: you@other.example: me@example.com;', 550],
    ['From: me@example.com <me@example.com>', 250],
    ['From: =?utf-8?q?you=40other=2Eexample?= me@example.com', 550],
    ['From: =?utf-8?q?J=C3=B6rg?= me@example.com', 250],
    ['From: "you@other.example" me@example.com', 550],
    ['From: "you@other.example") <me@example.com>', 550],
    ['From: "Me (you@other.example)" <me@example.com>', 250],
    ['From: =?utf-8?q?you=40other=2Eexample?= <me@example.com>', 250],
    ['From: =?utf-8?q?you=40other=2Eexample?= by us <me@example.com>', 250],
    ['From: =?utf-8?q?you=40other=2Eexample?=! <me@example.com>', 550],
    ['From: <@other.example:me@example.com>', 250],
    ['From: me@example.com\r\nFrom: you@other.example', 550],
    ['From: nothing to read', 550],
  ] as const) {
    assert.equal((await header(head)).code, code, head);
  }
  assert.equal(state.accepted.length, 8);
});

test('25 takes local domains only, and adds Received and the judgement, nothing else', async () => {
  const state = bench();
  const connection = state.connection('mx');
  const rcpt = (to: string): Reply | null => state.policy.rcpt(connection, state.transaction(), { to: address(to), notify: null, orcpt: null }) as Reply | null;
  assert.equal(rcpt('a@local.example'), null);
  const refused = rcpt('a@elsewhere.example');
  assert.deepEqual([refused?.code, refused?.enhanced], [550, '5.7.1']);
  assert.match(String(refused?.lines), /Relay not permitted.*587.*465/s);
  await submit(state, connection, state.transaction({}, 'a@local.example'), ['Bcc: kept@local.example\r\n\r\nx\r\n']);
  assert.match(
    content(state.accepted[0] as NewMessage, state.chunks),
    /^Received: [^]*\r\nX-Postern-Quarantine: [^]*\r\nAuthentication-Results: [^]*\r\nBcc: kept@local\.example\r\n\r\nx\r\n$/,
  );
});

test('mail by 25 is judged: what passes is told on top and in the envelope, what the domain forbids is refused and not kept', async () => {
  const state = bench();
  const connection = state.connection('mx');
  const mail = 'From: Me <me@example.com>\r\nAuthentication-Results: relay.example.net; dmarc=pass\r\nAuthentication-Results: elsewhere.example; spf=pass\r\n\r\nx\r\n';
  assert.equal((await submit(state, connection, state.transaction({}, 'a@local.example'), [mail])).code, 250);
  const [message] = state.accepted as [NewMessage];
  const text = content(message, state.chunks);
  assert.match(
    text.replaceAll(/\r\n[\t ]+/g, ' '),
    /^Received: [^\r]+\r\nAuthentication-Results: relay\.example\.net; spf=pass smtp\.mailfrom=example\.com; dkim=none; dmarc=pass header\.from=example\.com policy\.dmarc=reject\r\nFrom: /,
  );
  assert.equal(text.match(/^Authentication-Results: relay/gm)?.length, 1, 'the forged one is gone');
  assert.match(text, /^Authentication-Results: elsewhere\.example; spf=pass\r$/m);
  assert.equal(message.envelope.sizeBytes, text.length);
  assert.deepEqual([message.envelope.authentication?.dmarc.result, message.envelope.authentication?.disposition], ['pass', 'accepted']);

  const forged = state.connection('mx', { clientAddress: '203.0.113.9' });
  const large = [mail, 'y'.repeat(300_000)];
  const reply = await submit(state, forged, state.transaction({}, 'a@local.example'), large);
  assert.deepEqual([reply.code, reply.enhanced], [550, '5.7.26']);
  assert.match(reply.lines.join('\n'), /DMARC policy for example\.com: neither SPF nor DKIM.*\n.*sign the mail with DKIM/);
  assert.equal(state.accepted.length, 1);
  assert.equal(state.abandoned.length, 1, 'the chunks of a refused message are dropped');

  const own = state.connection('mx', { clientAddress: '10.0.0.1' });
  assert.equal((await submit(state, own, state.transaction({}, 'a@local.example'), [mail])).code, 250);
  const [, trusted] = state.accepted as [NewMessage, NewMessage];
  assert.match(content(trusted, state.chunks), /\r\nAuthentication-Results: relay\.example\.net; none\r\nFrom: /);
  assert.equal(trusted.envelope.authentication, undefined);
});

test('a large message goes to the queue in chunks, the header as chunk 0', async () => {
  const state = bench();
  const line = `${'x'.repeat(76)}\r\n`;
  const body = line.repeat(20_000);
  const pieces = ['From: me@example.com\r\n\r\n', ...(body.match(/[^]{1,60000}/g) as string[])];
  assert.equal((await submit(state, state.connection('submissions'), state.transaction(), pieces)).code, 250);
  const [message] = state.accepted as [NewMessage];
  assert.ok(message.written >= 6, String(message.written));
  assert.ok(message.tail.reduce((sum, chunk) => sum + chunk.length, 0) < 320_000);
  assert.ok(content(message, state.chunks).endsWith(`From: me@example.com\r\n\r\n${body}`));
  assert.equal(message.envelope.sizeBytes, content(message, state.chunks).length);
});

test('a queue that is full answers 452, one that broke 451, and neither delivers', async () => {
  const state = bench();
  const send = (): Promise<Reply> => submit(state, state.connection('submission'), state.transaction(), ['From: me@example.com\r\n\r\nx\r\n']);
  state.fail = Object.assign(new Error('disk'), { code: 'store-full' });
  assert.deepEqual([(await send()).code, (await send()).enhanced], [452, '4.3.1']);
  state.fail = new Error('SECRET internal text');
  const broken = await send();
  assert.deepEqual([broken.code, broken.enhanced], [451, '4.3.0']);
  assert.doesNotMatch(String(broken.lines), /SECRET/);
  assert.equal(state.delivered.length, 0);
});

test('hops, header size, rate, address list, sandbox', async () => {
  const state = bench(credential({ ratePerHour: 2, mode: 'sandbox', allowIps: ['192.0.2.0/28'], domains: [] }));
  const connection = state.connection('submission');
  const send = (head: string): Promise<Reply> => submit(state, connection, state.transaction(), [`${head}From: any@where.example\r\n\r\nx\r\n`]);
  assert.equal((await send('')).code, 250);
  assert.equal(state.accepted[0]?.recipients[0]?.lane, 'capture:');
  assert.equal((await send('Received: x; y\r\n'.repeat(6))).enhanced, '5.4.6');
  const limited = await send('');
  assert.equal(limited.code >= 450 && limited.code < 460, true, String(limited.lines));

  const roomy = bench();
  const big = await submit(roomy, roomy.connection('submission'), roomy.transaction(), ['X-Big: ', 'y'.repeat(5000)]);
  assert.equal(big.code >= 550, true, String(big.code));

  const from = async (clientAddress: string, password: string): Promise<boolean> =>
    'identity' in (await state.policy.authenticate(state.connection('submission', { clientAddress }), 'app', password));
  assert.deepEqual([await from('192.0.2.3', PASSWORD), await from('198.51.100.1', PASSWORD), await from('192.0.2.3', 'wrong')], [true, false, false]);
});

test('connections are counted, refused with 421 past the limit, and given back', async () => {
  const state = bench();
  const connections = [1, 2, 3].map((n) => state.connection('submission', { id: String(n) }));
  const codes = connections.map((connection) => (state.policy.connect(connection) as Reply | null)?.code ?? null);
  assert.deepEqual(codes, [null, null, 421]);
  // A refused one that stays takes no place: one leaves, one may come.
  state.policy.closed(connections[0] as Connection<Sender>);
  assert.equal(state.policy.connect(connections[0] as Connection<Sender>), null);
  assert.equal((state.policy.connect(state.connection('submission')) as Reply | null)?.code, 421);
  for (const connection of connections) state.policy.closed(connection);
  assert.equal(state.policy.connect(connections[0] as Connection<Sender>), null);
});

test('SCRAM keys of an unknown user are stable and tell nothing', async () => {
  const [one, two] = [bench(), bench()];
  const keys = await one.policy.scramKeys(one.connection('submission'), 'nobody');
  assert.deepEqual(await two.policy.scramKeys(two.connection('submission'), 'nobody'), keys);
  assert.notDeepEqual((await one.policy.scramKeys(one.connection('submission'), 'somebody')).salt, keys.salt);
  assert.equal(keys.iterations, credential().scram.iterations);
});

test('a submission without a From gets the sender of its envelope; without one there either it is refused', async () => {
  const state = bench();
  const send = (mail: Partial<MailCommand>): Promise<Reply> => submit(state, state.connection('submission'), state.transaction(mail), ['Subject: s\r\n\r\nx\r\n']);
  assert.equal((await send({})).code, 250);
  assert.match(content(state.accepted[0] as NewMessage, state.chunks), /\r\nFrom: me@example\.com\r\nSubject: s\r\n\r\nx\r\n$/);
  const refused = await send({ from: null });
  assert.deepEqual([refused.code, refused.enhanced], [550, '5.6.0']);
  assert.equal(state.accepted.length, 1);
  assert.equal((await send({ from: address('m\u00fc@example.com'), smtpUtf8: true })).code, 250);
  assert.equal(state.accepted[1]?.envelope.eightBit, true);
});

test('empty Date and Message-ID fields are replaced, full ones stay as they are', async () => {
  const state = bench();
  const send = (head: string): Promise<Reply> => submit(state, state.connection('submission'), state.transaction(), [`From: me@example.com\r\n${head}\r\nx\r\n`]);
  await send('Message-ID:\r\nDate: \r\n \r\n');
  const mended = content(state.accepted[0] as NewMessage, state.chunks);
  assert.deepEqual([mended.match(/^Message-ID: <.+>\r$/gm)?.length, mended.match(/^Message-ID/gim)?.length], [1, 1]);
  assert.deepEqual([mended.match(/^Date: .+\+0000\r$/gm)?.length, mended.match(/^Date/gim)?.length], [1, 1]);
  await send('message-id: odd but mine\r\nDATE: yesterday\r\n');
  const kept = content(state.accepted[1] as NewMessage, state.chunks);
  assert.ok(kept.endsWith('From: me@example.com\r\nmessage-id: odd but mine\r\nDATE: yesterday\r\n\r\nx\r\n'), kept);
  assert.deepEqual([kept.match(/^Message-ID/gim)?.length, kept.match(/^Date/gim)?.length], [1, 1]);
});

test('a From header of any length is refused in one line that may be sent', async () => {
  const state = bench(credential(), { headerBytes: 100_000 });
  for (const from of [`${'x'.repeat(50_000)}@@other.example`, `${'\xc3\xbc'.repeat(20_000)}@other.example`]) {
    const reply = await submit(state, state.connection('submission'), state.transaction(), [`From: ${from}\r\n\r\nx\r\n`]);
    assert.deepEqual([reply.code, reply.enhanced], [550, '5.7.1']);
    assert.ok(Buffer.byteLength(formatReply(reply)) <= 512, `${Buffer.byteLength(formatReply(reply))} octets`);
  }
});

test('a credential that was revoked or got a new password no longer sends, on connections that are open', async () => {
  const state = bench();
  const connection = state.connection('submission');
  const sink = await state.policy.data(connection, state.transaction());
  assert.ok('write' in sink);
  for (const current of [false, Promise.resolve(false)]) {
    state.current = current;
    const open = state.connection('submission');
    const refused = (await state.policy.mail(open, MAIL)) as Reply;
    assert.deepEqual([refused.code, refused.enhanced], [530, '5.7.0']);
    assert.equal(open.identity, null, 'the client may log in again');
    const between = (await state.policy.data(state.connection('submission'), state.transaction())) as Reply;
    assert.deepEqual([between.code, between.enhanced], [530, '5.7.0']);
  }
  state.current = Promise.resolve(true);
  assert.equal(await state.policy.mail(state.connection('submission'), MAIL), null);
  assert.equal(state.policy.mail(state.connection('mx'), MAIL), null, 'there is nothing to look up for mail from servers');
});

test('the mail for a bare postmaster is for a domain that is received for', () => {
  assert.equal(bench().policy.postmasterDomain(), 'local.example');
});

test('limits per address hold for the /64 of an IPv6 one; address lists know IPv4 in either spelling', async () => {
  const state = bench(credential({ allowIps: ['::ffff:192.0.2.0/120', '2001:db8::/32'] }));
  const from = (clientAddress: string): Connection<Sender> => state.connection('submission', { clientAddress });
  assert.equal(state.policy.connect(from('2001:db8::1')), null);
  assert.equal(state.policy.connect(from('2001:db8::2')), null);
  assert.equal(((await state.policy.connect(from('2001:db8::3'))) as Reply).code, 421);
  assert.equal(state.policy.connect(from('2001:db8:0:1::1')), null);
  for (const [clientAddress, allowed] of [
    ['192.0.2.200', true],
    ['192.0.3.1', false],
    ['2001:db8:ff::1', true],
    ['2001:db9::1', false],
  ] as const) {
    assert.equal('identity' in (await state.policy.authenticate(from(clientAddress), 'app', PASSWORD)), allowed, clientAddress);
  }
});

test('SCRAM answers a name that is there as late as one that is not', async () => {
  const { clock, waited } = playedClock();
  const { policy, connection } = bench(credential(), {}, clock);
  await policy.scramKeys(connection('submission'), 'app');
  await policy.scramKeys(connection('submission'), 'nobody');
  assert.equal(waited.length, 2);
  assert.equal(waited[0], waited[1]);
  assert.ok((waited[0] as number) > 0);
});

test('an address is slowed once it has failed as often as one connection may', async () => {
  const { clock, waited } = playedClock();
  const state = bench(credential(), {}, clock);
  for (let i = 0; i < 5; i++) await state.policy.authFailed(state.connection('submission', { clientAddress: '2001:db8::1' }));
  await state.policy.authFailed(state.connection('submission', { clientAddress: '2001:db8::ffff' }));
  await state.policy.authFailed(state.connection('submission'));
  const [quick] = waited;
  assert.ok(quick !== undefined && quick > 0);
  assert.deepEqual(
    waited.map((ms) => ms > quick),
    [false, false, false, true, true, true, false],
  );
});

test('mail of a domain with keys is signed on top, its body hashed as it came; large bodies in chunks too', async () => {
  for (const bodyBytes of [20, 700_000]) {
    const state = bench(credential({ domains: [] }));
    const body = `${'line  of text \r\n'.repeat(Math.ceil(bodyBytes / 16))}\r\n`;
    const whole = `From: a@sub.signed.example\r\nSubject: x\r\n\r\n${body}`;
    const pieces = whole.match(/[^]{1,100000}/g) ?? [];
    assert.equal((await submit(state, state.connection('submission'), state.transaction({ from: null }), pieces)).code, 250);
    const [message] = state.accepted;
    assert.ok(message);
    const stored = content(message, state.chunks);
    assert.equal(stored.length, message.envelope.sizeBytes);
    assert.match(stored, /^DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed\/relaxed;\r\n\td=signed\.example; s=s;[^]*?\r\nReceived: /);
    assert.ok(stored.endsWith(`\r\n\r\n${body}`));
    const hash = new BodyHash('relaxed');
    hash.update(Buffer.from(body));
    assert.equal(/bh=([^;]+);/.exec(stored)?.[1], hash.digest().toString('base64'));
  }
});

test('mail of other domains, and mail that comes in on 25, is not signed', async () => {
  const other = bench();
  await submit(other, other.connection('submission'), other.transaction(), ['From: me@example.com\r\n\r\n.\r\n']);
  const inbound = bench();
  await submit(inbound, inbound.connection('mx'), inbound.transaction({ from: null }, 'x@local.example'), ['From: a@signed.example\r\n\r\n.\r\n']);
  for (const state of [other, inbound]) assert.ok(!content(state.accepted[0] as NewMessage, state.chunks).includes('DKIM-Signature'));
});

test('the first line of a message without a header is no part of what is put above it', async () => {
  for (const text of [' , boss@other.example\r\n\r\nx\r\n', '\tBcc: y\r\n', 'plain text\r\n', 'Hello,\r\nFrom: boss@other.example\r\n\r\nx\r\n']) {
    for (const profile of ['submission', 'mx'] as const) {
      const state = bench();
      assert.equal((await submit(state, state.connection(profile), state.transaction(), [text])).code, 250);
      const [message] = state.accepted as [NewMessage];
      const kept = content(message, state.chunks);
      assert.ok(kept.endsWith(`\r\n\r\n${text}`), kept);
      assert.equal(kept.indexOf('\r\n\r\n'), kept.length - text.length - 4, 'the blank line is above it');
      assert.equal(message.envelope.sizeBytes, kept.length);
      if (profile === 'submission') assert.match(kept, /^From: me@example\.com\r\n\r\n/m);
    }
  }
});

test('messages coming in share one memory: past it content is refused with 452, and what is given up or done makes room', async () => {
  const state = bench(credential(), { memoryBytes: 1000 });
  const begin = async (): Promise<MessageSink> => {
    const sink = await state.policy.data(state.connection('submission'), state.transaction());
    assert.ok('write' in sink);
    assert.equal(await sink.write(Buffer.from('From: me@example.com\r\n\r\n')), undefined);
    return sink;
  };
  const line = (octets: number): Buffer => Buffer.from(`${'x'.repeat(octets - 2)}\r\n`);
  const first = await begin();
  assert.equal(await first.write(line(800)), undefined);
  const second = await begin();
  const refused = (await second.write(line(300))) as Reply;
  assert.deepEqual([refused.code, refused.enhanced], [452, '4.3.1']);
  // The refused one holds nothing any more, though its client has not come to the end.
  assert.equal(await first.write(line(150)), undefined);
  second.abort();
  assert.equal((await first.finish()).code, 250);
  const third = await begin();
  assert.equal(await third.write(line(900)), undefined);
  third.abort();
  third.abort();
  const fourth = await begin();
  assert.equal(await fourth.write(line(900)), undefined);
  assert.equal((await fourth.finish()).code, 250);
});

test('what is stored is no longer held: a message larger than the memory goes through', async () => {
  const state = bench(credential(), { memoryBytes: 1_000_000 });
  const sink = await state.policy.data(state.connection('submission'), state.transaction());
  assert.ok('write' in sink);
  await sink.write(Buffer.from('From: me@example.com\r\n\r\n'));
  for (let i = 0; i < 100; i++) assert.equal(await sink.write(Buffer.from(`${'x'.repeat(49_998)}\r\n`)), undefined, `chunk ${i}`);
  assert.equal((await sink.finish()).code, 250);
});
