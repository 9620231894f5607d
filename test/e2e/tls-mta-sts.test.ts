// MTA-STS on loopback with nothing made up: policies served over HTTPS on port 443, mail hosts with certificates right and wrong, policy hosts that
// redirect, drown, forge and stay away; a policy that outlives its record, its server and a restart.
// Needs: root

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { Server } from 'node:https';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { createSecureContext } from 'node:tls';
import { startDns } from '../support/dns.ts';
import { openPki } from '../support/pki.ts';
import type { Certificate } from '../support/pki.ts';
import { startPostern } from '../support/postern.ts';
import type { Credential, Postern } from '../support/postern.ts';
import { startPostfix } from '../support/postfix.ts';
import type { Postfix } from '../support/postfix.ts';
import { startReceiver } from '../support/receiver.ts';
import type { Receiver } from '../support/receiver.ts';
import { accepted, connectTo, message } from '../support/submit.ts';
import { atEnd, freePort, tempDir, until } from '../support/temp.ts';
import { checkReport } from '../support/tlsrpt.ts';

type Outcome = { verdict: string; class: string; cause: string; fix: string; remoteHost: string | null; tls: string | null; security?: Record<string, string | null> };
type Detail = { status: string; events: { type: string; outcome: Outcome | null }[] };
type Served = { readonly status?: number; readonly headers?: Record<string, string>; readonly body?: string };

const issue = openPki();
const root = issue({ subject: '/CN=Test root', ca: true });

function policy(mode: string, ...mx: readonly string[]): Served {
  return { body: `version: STSv1\r\nmode: ${mode}\r\n${mx.map((host) => `mx: ${host}\r\n`).join('')}max_age: 604800\r\n` };
}

/** A mail host each, with what it presents: by name `mx-NAME.hosts.test`. */
const HOSTS: Readonly<Record<string, Certificate | null>> = {
  good: issue({ names: ['mx-good.hosts.test'], issuer: root }),
  wild: issue({ names: ['*.hosts.test'], issuer: root }),
  selfsigned: issue({ names: ['mx-selfsigned.hosts.test'] }),
  expired: issue({ names: ['mx-expired.hosts.test'], issuer: root, days: -1 }),
  wrong: issue({ names: ['mx.elsewhere.test'], issuer: root }),
  common: issue({ subject: '/CN=mx-common.hosts.test', issuer: root }),
  stripped: null,
};

/** Recipient domains `NAME.sts.test`: their mail hosts, and what their policy hosts say. */
const DOMAINS: Readonly<Record<string, { readonly mx: readonly string[]; readonly serves: Served; readonly certificate?: 'expired' | 'self-signed' | 'wrong' }>> = {
  good: { mx: ['good'], serves: policy('enforce', 'mx-good.hosts.test') },
  pattern: { mx: ['wild'], serves: policy('enforce', '*.hosts.test') },
  selfsigned: { mx: ['selfsigned'], serves: policy('enforce', '*.hosts.test') },
  expired: { mx: ['expired'], serves: policy('enforce', '*.hosts.test') },
  wrong: { mx: ['wrong'], serves: policy('enforce', '*.hosts.test') },
  common: { mx: ['common'], serves: policy('enforce', '*.hosts.test') },
  stripped: { mx: ['stripped'], serves: policy('enforce', '*.hosts.test') },
  unlisted: { mx: ['good'], serves: policy('enforce', 'mx-other.hosts.test') },
  second: { mx: ['selfsigned', 'good'], serves: policy('enforce', 'mx-selfsigned.hosts.test', 'mx-good.hosts.test') },
  testing: { mx: ['wrong'], serves: policy('testing', 'mx-other.hosts.test') },
  none: { mx: ['selfsigned'], serves: policy('none') },
  missing: { mx: ['selfsigned'], serves: { status: 404 } },
  redirect: { mx: ['selfsigned'], serves: { status: 301, headers: { location: 'https://mta-sts.good.sts.test/.well-known/mta-sts.txt' } } },
  oversized: { mx: ['selfsigned'], serves: { body: `version: STSv1\nmode: enforce\nmx: x.test\nmax_age: 1\n${'x: y\n'.repeat(20_000)}` } },
  html: { mx: ['selfsigned'], serves: { ...policy('enforce', 'x.test'), headers: { 'content-type': 'text/html' } } },
  invalid: { mx: ['selfsigned'], serves: { body: 'version: STSv1\nmode: enforce\nmax_age: 1\n' } },
  'host-expired': { mx: ['selfsigned'], serves: policy('enforce', 'x.test'), certificate: 'expired' },
  'host-selfsigned': { mx: ['selfsigned'], serves: policy('enforce', 'x.test'), certificate: 'self-signed' },
  'host-wrong': { mx: ['selfsigned'], serves: policy('enforce', 'x.test'), certificate: 'wrong' },
  kept: { mx: ['selfsigned'], serves: policy('enforce', '*.hosts.test') },
};

const dataDir = join(tempDir('sts'), 'd');
let port: number;
let resolver: string;
let https: Server;
let postern: Postern;
let app: Credential;
let postfix: Postfix;
let stripped: Receiver;
const requests: string[] = [];

before(async () => {
  const net = `127.${randomInt(1, 255)}.${randomInt(1, 255)}`;
  port = await freePort(`${net}.1`);
  const hosts = Object.entries(HOSTS).map(([, certificate], i) => ({ address: `${net}.${i + 1}`, certificate }));
  postfix = await startPostfix({
    services: hosts.flatMap(({ address, certificate }) =>
      certificate === null ? [] : [{ address, port, options: { smtpd_tls_cert_file: certificate.certFile, smtpd_tls_key_file: certificate.keyFile } }],
    ),
    domains: [...Object.keys(DOMAINS), 'nowhere'].map((name) => `${name}.sts.test`),
    tls: { cert: root.certFile, key: root.keyFile },
  });
  stripped = await startReceiver({ address: hosts.find(({ certificate }) => certificate === null)?.address ?? '', port });
  https = await servePolicies(`${net}.200`);
  const records = Object.entries(DOMAINS).flatMap(([name, { mx }]) => [
    ...mx.map((host, i) => `${name} MX ${10 + i} mx-${host}.hosts.test.`),
    `_mta-sts.${name} TXT "v=STSv1; id=1;"`,
    `mta-sts.${name} A ${net}.200`,
  ]);
  const dns = await startDns({
    'sts.test': [...records, 'nowhere MX 10 mx-selfsigned.hosts.test.', '_mta-sts.nowhere TXT "v=STSv1; id=1;"'].join('\n'),
    'hosts.test': Object.keys(HOSTS)
      .map((name, i) => `mx-${name} A ${net}.${i + 1}`)
      .join('\n'),
  });
  resolver = dns.server;
  postern = await startPostern({ config: settings(), dataDir });
  app = await postern.credential('app', '--live');
});

function settings(): string {
  return `[dns]\nservers = ["${resolver}"]\n[delivery]\nmx_port = ${port}\nallow_private_addresses = true\nca_file = "${root.certFile}"\n[queue]\nretry = { first = "1h", factor = 2, max = "2h", jitter = 0.1 }\n`;
}

async function servePolicies(address: string): Promise<Server> {
  const contexts = new Map(
    Object.entries(DOMAINS).map(([name, { certificate }]) => {
      const names = [certificate === 'wrong' ? 'mta-sts.elsewhere.test' : `mta-sts.${name}.sts.test`];
      const made = issue({ names, ...(certificate === 'self-signed' ? {} : { issuer: root }), ...(certificate === 'expired' ? { days: -1 } : {}) });
      return [`mta-sts.${name}.sts.test`, createSecureContext({ cert: made.cert, key: made.key })];
    }),
  );
  const server = createServer({ SNICallback: (name, done) => done(null, contexts.get(name)) }, (request, response) => {
    requests.push(`${request.method} ${request.headers.host}${request.url}`);
    const name = /^mta-sts\.(.+)\.sts\.test$/.exec(request.headers.host ?? '')?.[1] ?? '';
    const { status = 200, headers = {}, body = '' } = DOMAINS[name]?.serves ?? { status: 500 };
    response.writeHead(status, { 'content-type': 'text/plain; charset=us-ascii', ...headers }).end(body);
  });
  server.on('tlsClientError', () => {});
  server.listen(443, address);
  await once(server, 'listening');
  atEnd(() => server.close());
  return server;
}

async function fate(domain: string): Promise<Outcome> {
  const client = await connectTo(postern.port('submission'), { credential: app });
  const id = await accepted(client, { to: [`someone@${domain}`], content: message(`to ${domain}`) });
  await client.quit();
  return until(`an outcome for ${domain}`, async () => (await postern.json<Detail>('message', 'show', id)).events.find((event) => event.outcome !== null)?.outcome ?? null, 30_000);
}

for (const name of ['good', 'pattern']) {
  test(`enforced and right: ${name}`, async () => {
    const outcome = await fate(`${name}.sts.test`);
    assert.equal(outcome.verdict, 'delivered', JSON.stringify(outcome));
    assert.deepEqual([outcome.security?.['policy'], outcome.security?.['required'], outcome.security?.['certificate']], ['mta-sts', 'verified', 'verified']);
    assert.match(outcome.security?.['why'] ?? '', /enforces MTA-STS \(policy id 1\)/);
    assert.ok(requests.includes(`GET mta-sts.${name}.sts.test/.well-known/mta-sts.txt`));
  });
}

for (const [name, className, cause] of [
  ['selfsigned', 'mta-sts-certificate', /Presented: a certificate of CN=mx-selfsigned\.hosts\.test .*issued by itself/],
  ['expired', 'mta-sts-certificate', /it has expired/],
  ['wrong', 'mta-sts-certificate', /for mx\.elsewhere\.test/],
  ['common', 'mta-sts-certificate', /is not for mx-common\.hosts\.test/],
  ['stripped', 'tls-required', /does not offer STARTTLS/],
  ['unlisted', 'mta-sts-mx-mismatch', /its policy does not list mx-good\.hosts\.test/],
] as const) {
  test(`enforced and not right, so that mail waits: ${name}`, async () => {
    const outcome = await fate(`${name}.sts.test`);
    assert.deepEqual([outcome.verdict, outcome.class], ['deferred', className], JSON.stringify(outcome));
    assert.match(outcome.cause, cause);
    assert.match(outcome.cause, new RegExp(`${name}\\.sts\\.test enforces MTA-STS`));
    assert.match(outcome.fix, /tls_policy/);
  });
}

test('nothing went where it may not go', () => {
  for (const name of ['selfsigned', 'expired', 'wrong', 'common', 'unlisted']) assert.ok(!postfix.mailbox('box').includes(`Subject: to ${name}.sts.test`), name);
  assert.deepEqual(
    stripped.lines.filter((line) => !/^(EHLO|QUIT)/.test(line)),
    [],
  );
});

test('the host with the wrong certificate is passed over, the next one takes the mail', async () => {
  const outcome = await fate('second.sts.test');
  assert.equal(outcome.verdict, 'delivered', JSON.stringify(outcome));
  assert.equal(outcome.remoteHost, 'mx-good.hosts.test');
});

test('testing: everything is wrong, and the mail is delivered', async () => {
  const outcome = await fate('testing.sts.test');
  assert.deepEqual([outcome.verdict, outcome.security?.['policy'], outcome.security?.['certificate']], ['delivered', 'mta-sts-testing', 'unverified']);
});

test('none: as if there were no policy', async () => {
  const outcome = await fate('none.sts.test');
  assert.deepEqual([outcome.verdict, outcome.security?.['policy']], ['delivered', 'opportunistic']);
});

for (const [name, result, why] of [
  ['missing', 'sts-policy-fetch-error', /status 404/],
  ['redirect', 'sts-policy-fetch-error', /status 301 \(redirects are not followed\)/],
  ['oversized', 'sts-policy-fetch-error', /over 65536 bytes/],
  ['html', 'sts-policy-fetch-error', /text\/html/],
  ['invalid', 'sts-policy-invalid', /no mx is named/],
  ['host-expired', 'sts-webpki-invalid', /expired/],
  ['host-selfsigned', 'sts-webpki-invalid', /self.signed/i],
  ['host-wrong', 'sts-webpki-invalid', /does not verify/],
  ['nowhere', 'sts-policy-fetch-error', /cannot be resolved/],
] as const) {
  test(`a policy that cannot be had is none, and the log says why: ${name}`, async () => {
    const outcome = await fate(`${name}.sts.test`);
    assert.deepEqual([outcome.verdict, outcome.security?.['policy']], ['delivered', 'opportunistic'], JSON.stringify(outcome));
    assert.match(outcome.security?.['why'] ?? '', why);
    const line = postern.log().find((one) => one['event'] === 'mta-sts.not-fetched' && one['domain'] === `${name}.sts.test`);
    assert.equal(line?.['result'], result);
    assert.match(String(line?.['cause']), why);
  });
}

test('the reports to these domains tell what went wrong', async () => {
  const results = async (name: string): Promise<string[]> => {
    const report = checkReport(await postern.json('tls', 'report', '--domain', `${name}.sts.test`));
    return report.policies.flatMap(({ policy: { 'policy-type': type }, summary, 'failure-details': failures = [] }) => [
      ...(summary['total-successful-session-count'] > 0 ? [`${type} success`] : []),
      ...failures.map((failure) => `${type} ${failure['result-type']}`),
    ]);
  };
  await until('all are counted', async () => (await postern.json<{ domains: unknown[] }>('tls', 'report')).domains.length === Object.keys(DOMAINS).length);
  for (const [name, expected] of [
    ['good', ['sts success']],
    ['selfsigned', ['sts certificate-not-trusted']],
    ['expired', ['sts certificate-expired']],
    ['wrong', ['sts certificate-host-mismatch']],
    ['stripped', ['sts starttls-not-supported']],
    ['unlisted', ['sts validation-failure']],
    ['second', ['sts success', 'sts certificate-not-trusted']],
    ['testing', ['sts validation-failure']],
    ['none', ['no-policy-found success']],
    ['missing', ['sts sts-policy-fetch-error']],
    ['invalid', ['sts sts-policy-invalid']],
    ['host-expired', ['sts sts-webpki-invalid']],
  ] as const) {
    assert.deepEqual(await results(name), expected, name);
  }
});

test('a policy holds to its end, without its server and over a restart', async () => {
  assert.equal((await fate('kept.sts.test')).class, 'mta-sts-certificate');
  https.close();
  https.closeAllConnections();
  await postern.stop();
  const before = requests.length;
  postern = await startPostern({ config: settings(), dataDir });
  const outcome = await fate('kept.sts.test');
  assert.deepEqual([outcome.verdict, outcome.class], ['deferred', 'mta-sts-certificate']);
  assert.equal(requests.length, before);
});
