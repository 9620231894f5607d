// The MTA-STS policy of a domain that is received for, all the way round: one Postern publishes and serves it and takes the mail, another one finds
// it, holds the first one to it, and delivers.
// Needs: root

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { before, test } from 'node:test';
import { connect, createSecureContext } from 'node:tls';
import { silentLog } from '#base/log.ts';
import { openPolicyHost } from '#server/policy-host.ts';
import { makeChallengeCertificate } from '#tls/certificate.ts';
import type { ServerTls } from '#tls/context.ts';
import { startDns } from '../support/dns.ts';
import { openPki } from '../support/pki.ts';
import { startPostern } from '../support/postern.ts';
import type { Postern } from '../support/postern.ts';
import { accepted, connectTo } from '../support/submit.ts';
import { atEnd, freePort, until } from '../support/temp.ts';

type Record_ = { type: string; name: string; value: string; purpose: string };
type Detail = { status: string; events: { outcome: { verdict: string; security?: Record<string, string | null> } | null }[] };

const issue = openPki();
const root = issue({ subject: '/CN=Test root', ca: true });
const net = `127.${randomInt(1, 255)}.${randomInt(1, 255)}`;

let receiver: Postern;
let records: Record_[];
let port: number;

before(async () => {
  port = await freePort(`${net}.1`);
  const own = issue({ names: ['relay.received.test'], issuer: root });
  const policyHost = issue({ names: ['mta-sts.received.test', 'mta-sts.second.test'], issuer: root });
  receiver = await startPostern({
    address: `${net}.1`,
    hostname: 'relay.received.test',
    profiles: ['mx'],
    env: { POSTERN_LISTENER__0__PORT: String(port) },
    config: `[tls]\nmode = "files"\ncert = "${own.certFile}"\nkey = "${own.keyFile}"\n[[tls.certificate]]\ncert = "${policyHost.certFile}"\nkey = "${policyHost.keyFile}"\n[[route]]\ntype = "capture"\n[inbound]\ndomains = ["second.test"]\n[mta_sts]\nmode = "enforce"\nmax_age = "2d"\naddress = "${net}.1"\nport = 443\n`,
  });
  records = await receiver.json<Record_[]>('domain', 'add', 'received.test', '--inbound');
});

function answerOf(outgoing: ReturnType<typeof request>): Promise<{ status: number; type: string; text: string }> {
  return new Promise((resolve, reject) => {
    outgoing.on('error', reject);
    outgoing.on('response', (response: IncomingMessage) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, type: response.headers['content-type'] ?? '', text }));
    });
    outgoing.end();
  });
}

function overHttps(host: string, path = '/.well-known/mta-sts.txt', method = 'GET'): ReturnType<typeof answerOf> {
  return answerOf(httpsRequest({ host: `${net}.1`, port: 443, servername: host, path, method, headers: { host }, ca: root.cert, agent: false }));
}

const POLICY = 'version: STSv1\r\nmode: enforce\r\nmx: relay.received.test\r\nmax_age: 172800\r\n';

test('the policy is served by name over HTTPS, and nothing else is', async () => {
  assert.deepEqual(await overHttps('mta-sts.received.test'), { status: 200, type: 'text/plain; charset=us-ascii', text: POLICY });
  assert.equal((await overHttps('mta-sts.second.test')).text, POLICY);
  assert.equal((await overHttps('mta-sts.received.test', '/.well-known/mta-sts.txt', 'HEAD')).status, 200);
  assert.equal((await overHttps('mta-sts.received.test', '/')).status, 404);
  assert.equal((await overHttps('mta-sts.received.test', '/metrics')).status, 404);
  assert.equal((await overHttps('mta-sts.received.test', '/.well-known/mta-sts.txt', 'POST')).status, 404);
});

test('and over plain HTTP, by the Host header, for a web server in front', async () => {
  const { port: httpPort } = new URL(receiver.http);
  const ask = (host: string): ReturnType<typeof answerOf> => answerOf(request({ host: '127.0.0.1', port: httpPort, path: '/.well-known/mta-sts.txt', headers: { host } }));
  assert.deepEqual(await ask('MTA-STS.received.test:80'), { status: 200, type: 'text/plain; charset=us-ascii', text: POLICY });
  assert.equal((await ask('mta-sts.other.test')).status, 404);
  assert.equal((await ask('received.test')).status, 404);
});

test('a sender finds the published records and the policy, and delivers under it', async () => {
  const wanted = records.filter(({ purpose }) => ['mx', 'mta-sts', 'tls-rpt'].includes(purpose));
  assert.deepEqual(
    wanted.map(({ type, name }) => `${type} ${name}`),
    ['MX received.test', 'TXT _mta-sts.received.test', 'CNAME mta-sts.received.test', 'TXT _smtp._tls.received.test'],
  );
  const line = ({ type, name, value }: Record_): string => `${name}. ${type} ${type === 'TXT' ? `"${value}"` : `${value}.`}`;
  const dns = await startDns({ 'received.test': [...wanted.map(line), `relay A ${net}.1`].join('\n') });
  const sender = await startPostern({
    config: `[dns]\nservers = ["${dns.server}"]\n[delivery]\nmx_port = ${port}\nallow_private_addresses = true\nca_file = "${root.certFile}"\n`,
  });
  const client = await connectTo(sender.port('submission'), { credential: await sender.credential('app', '--live') });
  const id = await accepted(client, { to: ['someone@received.test'] });
  await client.quit();
  const outcome = await until('an outcome', async () => (await sender.json<Detail>('message', 'show', id)).events.find((event) => event.outcome !== null)?.outcome ?? null);
  assert.equal(outcome.verdict, 'delivered', JSON.stringify(outcome));
  assert.deepEqual([outcome.security?.['policy'], outcome.security?.['certificate']], ['mta-sts', 'verified']);
  const stsId = /id=(\w+);/.exec(wanted[1]?.value ?? '')?.[1] ?? assert.fail();
  assert.ok(outcome.security?.['why']?.includes(`policy id ${stsId}`));
  await sender.stop();
});

async function reload(from: string, to: string): Promise<void> {
  const reloads = (): number => receiver.log().filter((line) => line['event'] === 'server.reloaded').length;
  const before = reloads();
  writeFileSync(receiver.configFile, readFileSync(receiver.configFile, 'utf8').replace(`mode = "${from}"`, `mode = "${to}"`));
  process.kill(receiver.pid, 'SIGHUP');
  await until('the reload', () => reloads() > before);
}

test('a reload changes the policy and the id in the record; off takes both away', async () => {
  const show = async (): Promise<string[]> =>
    (await receiver.json<Record_[]>('domain', 'show', 'received.test')).filter(({ purpose, type }) => purpose === 'mta-sts' && type === 'TXT').map(({ value }) => value);
  const before = await show();
  await reload('enforce', 'testing');
  assert.match((await overHttps('mta-sts.received.test')).text, /^mode: testing\r$/m);
  assert.notDeepEqual(await show(), before);
  await reload('testing', 'off');
  assert.equal((await overHttps('mta-sts.received.test')).status, 404);
  assert.deepEqual(await show(), []);
});

test('the port can be had by one only, and the start says who should give way', async () => {
  await assert.rejects(
    openPolicyHost({
      address: `${net}.1`,
      port: 443,
      tls: {} as ServerTls,
      policy: { id: () => null, textFor: () => Promise.resolve(null), names: () => Promise.resolve([]) },
      log: silentLog,
    }),
    /cannot be served on .*:443: another program has it/,
  );
});

test('an authority that comes to the same port is shown its challenge, everyone else the policy', async () => {
  const certificate = issue({ names: ['mta-sts.received.test'], issuer: root });
  const context = createSecureContext({ cert: certificate.cert, key: certificate.key });
  const own = await freePort(`${net}.9`);
  const host = await openPolicyHost({
    address: `${net}.9`,
    port: own,
    tls: { sni: (_, done) => done(null, context) } as ServerTls,
    policy: { id: () => 'x', textFor: () => Promise.resolve(POLICY), names: () => Promise.resolve([]) },
    log: silentLog,
  });
  atEnd(() => host.close());
  const nowMs = Date.now();
  const challenge = makeChallengeCertificate('mta-sts.received.test', { fromMs: nowMs - 1000, untilMs: nowMs + 60_000, digest: Buffer.alloc(32, 7) });
  await host.challenge([{ name: 'mta-sts.received.test', ...challenge }]);
  const shown = await new Promise<{ protocol: string | false | null; issuer: string }>((resolve, reject) => {
    const socket = connect({ host: `${net}.9`, port: own, servername: 'mta-sts.received.test', ALPNProtocols: ['acme-tls/1'], rejectUnauthorized: false }, () => {
      resolve({ protocol: socket.alpnProtocol, issuer: socket.getPeerX509Certificate()?.issuer ?? '' });
      socket.destroy();
    });
    socket.on('error', reject);
  });
  assert.equal(shown.protocol, 'acme-tls/1');
  assert.doesNotMatch(shown.issuer, /Test root/);
  const answer = await answerOf(
    httpsRequest({
      host: `${net}.9`,
      port: own,
      servername: 'mta-sts.received.test',
      path: '/.well-known/mta-sts.txt',
      headers: { host: 'mta-sts.received.test' },
      ca: root.cert,
      agent: false,
    }),
  );
  assert.deepEqual([answer.status, answer.text], [200, POLICY]);
});
