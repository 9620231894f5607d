// TLS reports end to end: real connections counted, a day's report sent to a real HTTPS server and by mail, signed, to a domain whose TLS is broken.

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:https';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import { openTransport } from '#store/transport.ts';
import { startDns } from '../support/dns.ts';
import { openPki, tlsaFor } from '../support/pki.ts';
import { startPostern } from '../support/postern.ts';
import type { Credential, Postern } from '../support/postern.ts';
import { startReceiver } from '../support/receiver.ts';
import type { Receiver } from '../support/receiver.ts';
import { accepted, connectTo, message } from '../support/submit.ts';
import { checkCompressed, checkReport } from '../support/tlsrpt.ts';
import type { ParsedReport } from '../support/tlsrpt.ts';
import { atEnd, freePort, until } from '../support/temp.ts';

type Detail = { status: string; events: { outcome: { verdict: string; security?: { policy: string } } | null }[] };
type Report = { target: string; state: string; detail: string };
type Day = { day: string; sending: boolean; domains: { domain: string; successful: number; failed: number; reports: Report[] }[] };

const issue = openPki();
const root = issue({ subject: '/CN=Test root', ca: true });
const right = issue({ names: ['mx.signed.test'] });
const wrong = issue({ names: ['mx.signed.test'] });
const today = new Date().toISOString().slice(0, 10);
const yesterday = new Date(Date.now() - 86_400_000).toISOString().slice(0, 10);

let postern: Postern;
let app: Credential;
let mailbox: Receiver;
let keys: { type: string; name: string; value: string }[];
const posted: { url: string; type: string; body: Buffer }[] = [];
const answers: number[] = [];
let httpsPort: number;

before(async () => {
  const net = `127.${randomInt(1, 255)}.${randomInt(1, 255)}`;
  const port = await freePort(`${net}.1`);
  await startReceiver({ address: `${net}.1`, port, tls: { cert: right.cert, key: right.key } });
  await startReceiver({ address: `${net}.2`, port, tls: { cert: wrong.cert, key: wrong.key } });
  await startReceiver({ address: `${net}.3`, port });
  // Takes the reports; its own certificate does not match what it publishes.
  mailbox = await startReceiver({ address: `${net}.4`, port, tls: { cert: wrong.cert, key: wrong.key } });
  httpsPort = await serveReports(`${net}.5`);
  const record = `_${port}._tcp`;
  const dns = await startDns(
    {
      'signed.test': [
        `mx-right A ${net}.1`,
        `mx-wrong A ${net}.2`,
        `mx-plain A ${net}.3`,
        `mx-mailbox A ${net}.4`,
        `${record}.mx-right TLSA ${tlsaFor(right, 3, 1, 1)}`,
        `${record}.mx-wrong TLSA ${tlsaFor(right, 3, 1, 1)}`,
        `${record}.mx-mailbox TLSA ${tlsaFor(right, 3, 1, 1)}`,
        'right MX 10 mx-right',
        'wrong MX 10 mx-wrong',
        'mailbox MX 10 mx-mailbox',
        `_smtp._tls.right TXT "v=TLSRPTv1; rua=https://reports.plain.test:${httpsPort}/tls?x=1"`,
        '_smtp._tls.wrong TXT "v=TLSRPTv1; rua=mailto:tls@mailbox.signed.test"',
      ].join('\n'),
      'plain.test': `@ MX 10 mx-plain.signed.test.\nreports A ${net}.5`,
    },
    { signed: ['signed.test'] },
  );
  postern = await startPostern({
    config: `[dns]\nservers = ["${dns.server}"]\n[delivery]\nmx_port = ${port}\nallow_private_addresses = true\nca_file = "${root.certFile}"\n[queue]\nretry = { first = "1h", factor = 2, max = "2h", jitter = 0.1 }\n[tls_reports]\norganization = "Sender Inc."\ncontact = "tls@sender.test"\nfrom = "reports@sender.test"\nmax_delay = "12h"\n`,
  });
  app = await postern.credential('app', '--live');
  keys = await postern.json('domain', 'add', 'sender.test');
});

async function serveReports(address: string): Promise<number> {
  const certificate = issue({ names: ['reports.plain.test'], issuer: root });
  const server = createServer({ cert: certificate.cert, key: certificate.key }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const status = answers.shift() ?? 201;
      if (status < 300) posted.push({ url: `${request.method} ${request.headers.host}${request.url}`, type: request.headers['content-type'] ?? '', body: Buffer.concat(chunks) });
      response.writeHead(status).end('thanks');
    });
  });
  server.listen(0, address);
  await once(server, 'listening');
  atEnd(() => server.close());
  return (server.address() as { port: number }).port;
}

async function send(domain: string): Promise<void> {
  const client = await connectTo(postern.port('submission'), { credential: app });
  const id = await accepted(client, { to: [`a@${domain}`], content: message(`to ${domain}`) });
  await client.quit();
  await until(`an outcome for ${domain}`, async () => (await postern.json<Detail>('message', 'show', id)).events.find((event) => event.outcome !== null));
}

async function reportOf(domain: string, day?: string): Promise<ParsedReport> {
  return checkReport(await postern.json('tls', 'report', '--domain', domain, ...(day === undefined ? [] : ['--date', day])));
}

test('connections are counted by domain, policy and result, and told in the form of the RFC', async () => {
  for (const domain of ['right.signed.test', 'wrong.signed.test', 'plain.test']) await send(domain);
  const day = await until('all three are counted', async () => {
    const found = await postern.json<Day>('tls', 'report');
    return found.domains.length === 3 ? found : null;
  });
  assert.deepEqual(
    day.domains.map(({ domain, successful, failed }) => [domain, successful, failed]),
    [
      ['plain.test', 0, 1],
      ['right.signed.test', 1, 0],
      ['wrong.signed.test', 0, 1],
    ],
  );
  const right_ = await reportOf('right.signed.test');
  assert.deepEqual(right_.policies[0]?.policy, { 'policy-type': 'tlsa', 'policy-string': [tlsaFor(right, 3, 1, 1)], 'policy-domain': 'mx-right.signed.test' });
  const wrong_ = await reportOf('wrong.signed.test');
  const [detail] = wrong_.policies[0]?.['failure-details'] ?? [];
  assert.deepEqual(
    [detail?.['result-type'], detail?.['receiving-mx-hostname'], detail?.['receiving-mx-helo'], detail?.['failed-session-count']],
    ['tlsa-invalid', 'mx-wrong.signed.test', 'receiver.test', 1],
  );
  assert.match(detail?.['sending-mta-ip'] ?? '', /^127\./);
  const plain_ = await reportOf('plain.test');
  assert.deepEqual([plain_.policies[0]?.policy['policy-type'], plain_.policies[0]?.['failure-details']?.[0]?.['result-type']], ['no-policy-found', 'starttls-not-supported']);
  assert.deepEqual([wrong_['organization-name'], wrong_['contact-info']], ['Sender Inc.', 'tls@sender.test']);
  const metrics = await (await fetch(`${postern.http}/metrics`)).text();
  assert.match(metrics, /postern_tls_sessions_total\{policy="tlsa",result="tlsa-invalid"\} 1/);
  assert.match(metrics, /postern_attempts_secured_total\{policy="dane",certificate="matched",verdict="delivered"\} 1/);
});

test('a day that is not over is not sent', async () => {
  const done = await postern.cli('tls', 'report', '--send', '--date', today);
  assert.equal(done.code, 2);
  assert.match(done.stderr, /is not over/);
});

/** What was counted today happened yesterday as well. */
function yesterdayToo(): void {
  const transport = openTransport(join(postern.dataDir, 'transport.db'), { nowMs: () => Date.now() });
  for (const { domain } of transport.sessions.summaries(today, { after: '', limit: 10 }))
    transport.sessions.add(transport.sessions.counts(today, domain).map((one) => ({ ...one, day: yesterday, domain })));
  transport.close();
}

test('a report goes to an HTTPS server, and waits where that does not take it', async () => {
  yesterdayToo();
  answers.push(503);
  const refused = await postern.cli('--json', 'tls', 'report', '--send', '--domain', 'right.signed.test');
  assert.equal(refused.code, 1);
  const [waiting] = (JSON.parse(refused.stdout) as { reports: Report[] }).reports;
  assert.deepEqual([waiting?.state, waiting?.detail], ['waiting', 'the server answered with status 503']);
  const sent = await postern.json<{ reports: Report[] }>('tls', 'report', '--send', '--domain', 'right.signed.test');
  assert.equal(sent.reports[0]?.state, 'sent');
  assert.deepEqual(
    posted.map(({ url, type }) => [url, type]),
    [[`POST reports.plain.test:${httpsPort}/tls?x=1`, 'application/tlsrpt+gzip']],
  );
  const report = checkCompressed(posted[0]?.body ?? Buffer.alloc(0));
  assert.deepEqual(report, await reportOf('right.signed.test', yesterday));
});

test('a report goes by mail, signed, whatever is wrong with the TLS of its receiver, and once', async () => {
  for (let round = 0; round < 2; round++)
    assert.equal((await postern.json<{ reports: Report[] }>('tls', 'report', '--send', '--domain', 'wrong.signed.test')).reports[0]?.state, 'sent');
  const got = await until('the report arrives', () => mailbox.received[0]);
  const text = got.content.toString();
  assert.deepEqual([got.from, got.to], ['', ['tls@mailbox.signed.test']]);
  assert.match(text, /^TLS-Report-Domain: wrong\.signed\.test\r$/m);
  const encoded = /application\/tlsrpt\+gzip[\s\S]*?\r\n\r\n([\s\S]*?)\r\n\r\n--/.exec(text)?.[1] ?? '';
  assert.deepEqual(checkCompressed(Buffer.from(encoded, 'base64')), await reportOf('wrong.signed.test', yesterday));
  const resolver = (name: string): Promise<string[][]> => Promise.resolve(keys.filter((record) => record.type === 'TXT' && record.name === name).map(({ value }) => [value]));
  const { results } = (await dkimVerify(got.content, { resolver })) as { results: { status: { result: string }; signingDomain: string }[] };
  assert.deepEqual(
    results.map(({ status, signingDomain }) => [status.result, signingDomain]),
    [
      ['pass', 'sender.test'],
      ['pass', 'sender.test'],
    ],
  );
  const { domains } = await postern.json<Day>('tls', 'report', '--date', yesterday);
  assert.ok(domains.every(({ reports }) => reports.every(({ state }) => state === 'sent')));
  // The connection that carried it is not held against its receiver.
  assert.ok(!(await postern.json<Day>('tls', 'report')).domains.some(({ domain }) => domain === 'mailbox.signed.test'));
  assert.equal(mailbox.received.length, 1);
});
