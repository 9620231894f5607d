// DANE on loopback with nothing made up: Knot signs, Unbound validates, Postfix receives with certificates that are right, wrong, expired or
// rolled over; and what must never happen: mail in the clear, or a record believed that nobody has signed.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { before, test } from 'node:test';
import { startDns } from '../support/dns.ts';
import { chainFile, openPki, tlsaFor } from '../support/pki.ts';
import { startPostern } from '../support/postern.ts';
import type { Credential, Postern } from '../support/postern.ts';
import { startPostfix } from '../support/postfix.ts';
import type { Postfix } from '../support/postfix.ts';
import { startReceiver } from '../support/receiver.ts';
import type { Receiver } from '../support/receiver.ts';
import { accepted, connectTo, message } from '../support/submit.ts';
import { freePort, until } from '../support/temp.ts';

type Security = { policy: string; required: string; why: string; protocol: string | null; cipher: string | null; certificate: string; verdict: string };
type Outcome = { verdict: string; class: string; cause: string; fix: string; remoteHost: string | null; enhanced: string; security?: Security };
type Detail = { status: string; events: { type: string; outcome: Outcome | null }[] };

const issue = openPki();
const root = issue({ subject: '/CN=Own root', ca: true });
const middle = issue({ subject: '/CN=Own middle', ca: true, issuer: root });
const plain = issue({ names: ['whatever.test'] });
const other = issue({ names: ['whatever.test'] });
const expired = issue({ names: ['whatever.test'], days: -1 });
const anchored = issue({ names: ['mx-ta.signed.test', 'mx-ta-spki.signed.test'], issuer: middle });
const misnamed = issue({ names: ['another.test'], issuer: middle });
const nextHop = issue({ names: ['ta-nexthop.signed.test'], issuer: middle });

/** Mail hosts: their certificates (of a Postfix), and the TLSA records beside their addresses. */
const HOSTS = [
  { host: 'ee', chain: [plain], tlsa: [tlsaFor(plain, 3, 1, 1)] },
  { host: 'ee-full512', chain: [plain], tlsa: [tlsaFor(plain, 3, 0, 2)] },
  { host: 'ee-expired', chain: [expired], tlsa: [tlsaFor(expired, 3, 1, 1)] },
  { host: 'ee-wrong', chain: [plain], tlsa: [tlsaFor(other, 3, 1, 1)] },
  { host: 'rollover', chain: [plain], tlsa: [tlsaFor(other, 3, 1, 1), tlsaFor(plain, 3, 1, 1)] },
  { host: 'ta', chain: [anchored, middle, root], tlsa: [tlsaFor(root, 2, 0, 1)] },
  { host: 'ta-spki', chain: [anchored, middle], tlsa: [tlsaFor(middle, 2, 1, 2)] },
  { host: 'ta-misnamed', chain: [misnamed, middle, root], tlsa: [tlsaFor(middle, 2, 1, 1)] },
  { host: 'ta-nexthop', chain: [nextHop, middle], tlsa: [tlsaFor(middle, 2, 1, 1)] },
  { host: 'pkix', chain: [plain], tlsa: [`1 1 1 ${'00'.repeat(32)}`] },
  { host: 'bogus', chain: [plain], tlsa: [] },
  { host: 'target', chain: [plain], tlsa: [tlsaFor(plain, 3, 1, 1)] },
] as const;

let port: number;
let resolver: string;
let postern: Postern;
let app: Credential;
let postfix: Postfix;
let stripped: Receiver;
let named: Receiver;
const addressOf = new Map<string, string>();

before(async () => {
  port = await freePort('127.0.0.2');
  HOSTS.forEach(({ host }, i) => addressOf.set(host, `127.0.0.${10 + i}`));
  postfix = await startPostfix({
    services: HOSTS.map(({ host, chain: [leaf, ...issuers] }) => ({
      address: addressOf.get(host) ?? '',
      port,
      options: { smtpd_tls_cert_file: chainFile(leaf, ...issuers), smtpd_tls_key_file: leaf.keyFile },
    })),
    domains: [...HOSTS.map(({ host }) => `${host}.signed.test`), 'alias.signed.test', 'two.signed.test', 'plain.test', 'mixed.test'],
    tls: { cert: plain.certFile, key: plain.keyFile },
  });
  stripped = await startReceiver({ address: '127.0.0.40', port });
  named = await startReceiver({ address: '127.0.0.41', port, tls: { cert: plain.cert, key: plain.key } });
  const records = HOSTS.flatMap(({ host, tlsa }) => [
    `mx-${host} A ${addressOf.get(host)}`,
    `${host} MX 10 mx-${host}`,
    ...tlsa.map((data) => `_${port}._tcp.mx-${host} TLSA ${data}`),
  ]);
  const dns = await startDns(
    {
      'signed.test': [
        ...records,
        'two MX 10 mx-ee-wrong',
        'two MX 20 mx-ee',
        'alias MX 10 alias-host',
        'alias-host CNAME mx-target',
        'stripped MX 10 mx-stripped',
        'mx-stripped A 127.0.0.40',
        `_${port}._tcp.mx-stripped TLSA ${tlsaFor(plain, 3, 1, 1)}`,
        // Records at the end of an alias, and at an alias that leads out of what is signed.
        'inner MX 10 inner-alias',
        'inner-alias CNAME inner-target',
        'inner-target A 127.0.0.41',
        `_${port}._tcp.inner-target TLSA ${tlsaFor(plain, 3, 1, 1)}`,
        'outer MX 10 outer-alias',
        'outer-alias CNAME outside.plain.test.',
        `_${port}._tcp.outer-alias TLSA ${tlsaFor(plain, 3, 1, 1)}`,
        // A delegation whose key nobody has: what is below cannot be validated.
        '_tcp.mx-bogus NS ns',
        `_tcp.mx-bogus DS 1 13 2 ${'cd'.repeat(32)}`,
      ].join('\n'),
      '_tcp.mx-bogus.signed.test': `_${port} TLSA ${tlsaFor(other, 3, 1, 1)}`,
      'plain.test': `@ MX 10 mx\noutside A 127.0.0.41\nmx A ${addressOf.get('ee')}\n_${port}._tcp.mx TLSA ${tlsaFor(other, 3, 1, 1)}`,
      // Its MX records are unsigned and may be forged: that the host has records proves nothing.
      'mixed.test': '@ MX 10 mx-ee-wrong.signed.test.',
    },
    { signed: ['signed.test'] },
  );
  resolver = dns.server;
  postern = await startPostern({ config: settings(resolver, 'trust-ad') });
  app = await postern.credential('app', '--live');
});

function settings(server: string, dnssec: string): string {
  return `[dns]\nservers = ["${server}"]\ndnssec = "${dnssec}"\ntimeout = "8s"\n[delivery]\nmx_port = ${port}\nallow_private_addresses = true\n[queue]\nretry = { first = "1h", factor = 2, max = "2h", jitter = 0.1 }\n`;
}

async function fate(domain: string, server = postern, credential = app): Promise<Outcome> {
  const client = await connectTo(server.port('submission'), { credential });
  const id = await accepted(client, { to: [`someone@${domain}`], content: message(`to ${domain}`) });
  await client.quit();
  return until(`an outcome for ${domain}`, async () => (await server.json<Detail>('message', 'show', id)).events.find((event) => event.outcome !== null)?.outcome ?? null, 30_000);
}

for (const [domain, matched] of [
  ['ee.signed.test', /^TLSA record 3 1 1 /],
  ['ee-full512.signed.test', /^TLSA record 3 0 2 /],
  ['ee-expired.signed.test', /^TLSA record 3 1 1 /],
  ['rollover.signed.test', /^TLSA record 3 1 1 /],
  ['ta.signed.test', /^TLSA record 2 0 1 /],
  ['ta-spki.signed.test', /^TLSA record 2 1 2 /],
  ['ta-nexthop.signed.test', /^TLSA record 2 1 1 /],
  ['alias.signed.test', /^TLSA record 3 1 1 /],
] as const) {
  test(`delivered, the certificate matched: ${domain}`, async () => {
    const outcome = await fate(domain);
    assert.equal(outcome.verdict, 'delivered', JSON.stringify(outcome));
    const { security } = outcome;
    assert.deepEqual([security?.policy, security?.required, security?.certificate], ['dane', 'dane', 'matched']);
    assert.match(security?.verdict ?? '', matched);
    assert.match(security?.why ?? '', /TLSA records at _\d+\._tcp\./);
    assert.match(`${security?.protocol} ${security?.cipher}`, /^TLSv1\.3 TLS_/);
  });
}

test('the second host takes what the first one may not have', async () => {
  const outcome = await fate('two.signed.test');
  assert.equal(outcome.verdict, 'delivered', JSON.stringify(outcome));
  assert.equal(outcome.remoteHost, 'mx-ee.signed.test');
});

test('the name asked for (SNI) is the one that has the records: the end of an alias, or the alias itself', async () => {
  for (const [domain, name] of [
    ['inner.signed.test', 'inner-target.signed.test'],
    ['outer.signed.test', 'outer-alias.signed.test'],
  ] as const) {
    const outcome = await fate(domain);
    assert.deepEqual([outcome.verdict, outcome.security?.certificate], ['delivered', 'matched'], JSON.stringify(outcome));
    assert.equal(named.received.at(-1)?.serverName, name);
  }
});

test('a certificate that matches no record: the message waits, and is told what was expected and what was there', async () => {
  const outcome = await fate('ee-wrong.signed.test');
  assert.deepEqual([outcome.verdict, outcome.class, outcome.enhanced], ['deferred', 'dane-mismatch', '4.7.5']);
  assert.ok(outcome.cause.includes(tlsaFor(other, 3, 1, 1)), 'what was expected');
  assert.ok(outcome.cause.includes(tlsaFor(plain, 3, 1, 1)), 'what was there');
  assert.match(outcome.cause, /DANE/);
  assert.match(outcome.fix, /TLSA record of its present certificate/);
  assert.equal(outcome.security?.policy, 'dane');
});

test('a trust anchor vouches for its names only', async () => {
  const outcome = await fate('ta-misnamed.signed.test');
  assert.deepEqual([outcome.verdict, outcome.class], ['deferred', 'dane-mismatch']);
  assert.match(outcome.cause, /is not for mx-ta-misnamed\.signed\.test or ta-misnamed\.signed\.test/);
});

test('records of a kind that is not for SMTP ask for TLS, and for no certificate', async () => {
  const outcome = await fate('pkix.signed.test');
  assert.equal(outcome.verdict, 'delivered');
  assert.deepEqual([outcome.security?.policy, outcome.security?.required, outcome.security?.certificate], ['dane', 'encrypted', 'unverified']);
});

test('a host with records that does not offer STARTTLS gets nothing, least of all in the clear', async () => {
  const outcome = await fate('stripped.signed.test');
  assert.deepEqual([outcome.verdict, outcome.class], ['deferred', 'tls-required']);
  assert.match(outcome.cause, /takes the offer out/);
  assert.deepEqual(
    stripped.lines.filter((line) => !/^(EHLO|QUIT)/.test(line)),
    [],
  );
});

test('records that cannot be validated defer: a failed look-up is no leave to go without', async () => {
  const outcome = await fate('bogus.signed.test');
  assert.deepEqual([outcome.verdict, outcome.class], ['deferred', 'dane-lookup-failed']);
  assert.match(outcome.cause, /_tcp\.mx-bogus\.signed\.test/);
  assert.ok(!postfix.mailbox('box').includes('to bogus.signed.test'));
});

for (const [domain, why] of [
  ['plain.test', 'records that nobody has signed'],
  ['mixed.test', 'a signed host behind MX records that nobody has signed'],
] as const) {
  test(`ignored: ${why}`, async () => {
    const outcome = await fate(domain);
    assert.equal(outcome.verdict, 'delivered', JSON.stringify(outcome));
    assert.deepEqual([outcome.security?.policy, outcome.security?.required], ['opportunistic', 'opportunistic']);
    assert.match(outcome.security?.why ?? '', /not validated by DNSSEC/);
  });
}

test('dns.dnssec = "off": no record counts', async () => {
  const off = await startPostern({ config: settings(resolver, 'off') });
  const outcome = await fate('ee-wrong.signed.test', off, await off.credential('app', '--live'));
  assert.deepEqual([outcome.verdict, outcome.security?.policy], ['delivered', 'opportunistic']);
  await off.stop();
});

test('[[tls_policy]]: the least that is required, or what counts instead; a reload changes it for the next message', async () => {
  const rows = [
    ['ee-wrong.signed.test', 'opportunistic'],
    ['bogus.signed.test', 'opportunistic'],
    ['plain.test', 'encrypted'],
    ['mixed.test', 'dane'],
    ['stripped.signed.test', 'off'],
  ].map(([match, require]) => `[[tls_policy]]\nmatch = "${match}"\nrequire = "${require}"\n`);
  const named_ = `[[tls_policy]]\nmatch = "*.signed.test"\nrequire = "verified"\nnames = ["whatever.test"]\n`;
  const own = await startPostern({ config: `${settings(resolver, 'trust-ad').replace('mx_port', `ca_file = "${plain.certFile}"\nmx_port`)}${rows.join('')}${named_}` });
  const credential = await own.credential('app', '--live');
  for (const [domain, verdict, policy, required] of [
    ['ee-wrong.signed.test', 'delivered', 'configured', 'opportunistic'],
    ['bogus.signed.test', 'delivered', 'configured', 'opportunistic'],
    ['plain.test', 'delivered', 'configured', 'encrypted'],
    ['stripped.signed.test', 'delivered', 'configured', 'off'],
    // Has records of no usable kind: names and authority count instead.
    ['pkix.signed.test', 'delivered', 'configured', 'verified'],
    // DANE is as good as verified.
    ['ee.signed.test', 'delivered', 'dane', 'dane'],
  ] as const) {
    const outcome = await fate(domain, own, credential);
    assert.deepEqual([outcome.verdict, outcome.security?.policy, outcome.security?.required], [verdict, policy, required], `${domain} ${JSON.stringify(outcome)}`);
  }
  const wanted = await fate('mixed.test', own, credential);
  assert.deepEqual([wanted.verdict, wanted.class], ['deferred', 'dane-required']);
  writeFileSync(own.configFile, readFileSync(own.configFile, 'utf8').replace('match = "plain.test"\nrequire = "encrypted"', 'match = "plain.test"\nrequire = "verified"'));
  process.kill(own.pid, 'SIGHUP');
  await own.logged('server.reloaded');
  const stricter = await fate('plain.test', own, credential);
  assert.deepEqual([stricter.verdict, stricter.class], ['deferred', 'certificate-policy']);
  assert.match(stricter.cause, /\[\[tls_policy\]\] match = "plain\.test" requires verified\. Expected: a certificate for mx\.plain\.test/);
  assert.match(stricter.fix, /The requirement is in \[\[tls_policy\]\]/);
  await own.stop();
});

test('message show tells policy, certificate and why', async () => {
  const client = await connectTo(postern.port('submission'), { credential: app });
  const id = await accepted(client, { to: ['someone@ee.signed.test'] });
  await client.quit();
  await until('delivered', async () => (await postern.json<Detail>('message', 'show', id)).status === 'delivered');
  const { stdout } = await postern.cli('message', 'show', id);
  assert.match(stdout, /TLSv1\.3 TLS_\w+/);
  assert.match(stdout, /policy +dane: TLSA records at _\d+\._tcp\.mx-ee\.signed\.test \(DANE\)/);
  assert.match(stdout, /cert +matched: TLSA record 3 1 1 /);
  const line = postern.log().find((one) => one['event'] === 'delivery.delivered' && one['id'] === id);
  assert.deepEqual([line?.['tlsPolicy'], line?.['tlsRequired']], ['dane', 'dane']);
});

type PolicyView = {
  mx: { dnssec: boolean; lane: string };
  hosts: {
    host: string;
    policy: string;
    required: string | null;
    names: string[];
    tlsa: { status: string; records: string[]; ignored: { why: string }[] };
    refused: { class: string } | null;
  }[];
};

test('tls policy tells what would be required of each host, and the evidence', async () => {
  const view = await postern.json<PolicyView>('tls', 'policy', 'two.signed.test');
  assert.equal(view.mx.dnssec, true);
  assert.equal(view.mx.lane, 'mx:mx-ee-wrong.signed.test:mx-ee.signed.test/dane');
  assert.deepEqual(
    view.hosts.map(({ host, policy, required, tlsa }) => [host, policy, required, tlsa.records]),
    [
      ['mx-ee-wrong.signed.test', 'dane', 'dane', [tlsaFor(other, 3, 1, 1)]],
      ['mx-ee.signed.test', 'dane', 'dane', [tlsaFor(plain, 3, 1, 1)]],
    ],
  );
  const anchor = await postern.json<PolicyView>('tls', 'policy', 'ta-nexthop.signed.test');
  assert.equal(anchor.mx.lane, 'mx:mx-ta-nexthop.signed.test/dane-ta=ta-nexthop.signed.test');
  assert.deepEqual(anchor.hosts[0]?.names, ['mx-ta-nexthop.signed.test', 'ta-nexthop.signed.test']);
  const pkix = await postern.json<PolicyView>('tls', 'policy', 'pkix.signed.test');
  assert.deepEqual([pkix.hosts[0]?.required, pkix.hosts[0]?.tlsa.status], ['encrypted', 'unusable']);
  assert.match(pkix.hosts[0]?.tlsa.ignored[0]?.why ?? '', /PKIX/);
});

test('tls policy ends with 1 where no host could be used, and says why', async () => {
  const done = await postern.cli('tls', 'policy', 'bogus.signed.test');
  assert.equal(done.code, 1);
  assert.match(done.stdout, /the host is not used \(dane-lookup-failed\)/);
  const required = await postern.cli('tls', 'policy', 'plain.test', '--requiretls');
  assert.equal(required.code, 1);
  assert.match(required.stdout, /neither DNSSEC nor MTA-STS says/);
  assert.equal((await postern.cli('tls', 'policy', 'plain.test')).code, 0);
});
