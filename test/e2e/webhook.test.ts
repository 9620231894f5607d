// Mail posted to an application: a real HTTPS server that verifies, answers in every way, stalls, redirects and lies about its name; the queue
// that tries again; addresses that must not be reached.
// Needs: knot, unbound, openssl

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { makeAuthority } from '../support/authority.ts';
import { startDns } from '../support/dns.ts';
import { startPostern } from '../support/postern.ts';
import type { Postern } from '../support/postern.ts';
import { accepted, connectTo, message } from '../support/submit.ts';
import { atEnd, tempDir, until } from '../support/temp.ts';

type Request = { readonly path: string; readonly headers: IncomingHttpHeaders; readonly body: Buffer; readonly connection: number };
type Outcome = { verdict: string; code: number; enhanced: string; text: string; class: string; fix: string; tls: string | null; remoteAddress: string | null };
type Detail = { status: string; recipients: { status: string; attempts: number; nextAt: string | null }[]; events: { type: string; outcome: Outcome | null }[] };

const SECRET = Buffer.alloc(32, 5);
const NEXT_SECRET = Buffer.alloc(32, 6);
const ADDRESS = '127.48.0.2';

const requests: Request[] = [];
/** What the application says; by default it takes everything. */
let answer: (response: ServerResponse, request: Request) => void = (response) => response.writeHead(204).end();
let postern: Postern;
let secretFile: string;

before(async () => {
  const authority = makeAuthority();
  const pair = authority.issue(['app.test', ADDRESS]);
  let connections = 0;
  const numbers = new WeakMap<object, number>();
  const server = createServer({ cert: pair.cert, key: pair.key }, (request, response) => {
    if (request.url === '/early') return void response.writeHead(413, { connection: 'close' }).end('too much');
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('error', () => {});
    request.on('end', () => {
      const got = { path: request.url ?? '', headers: request.headers, body: Buffer.concat(chunks), connection: numbers.get(request.socket) ?? 0 };
      requests.push(got);
      answer(response, got);
    });
  });
  server.on('secureConnection', (socket) => numbers.set(socket, ++connections));
  server.listen(0, ADDRESS);
  await once(server, 'listening');
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const dns = await startDns({
    'app.test': `@ A ${ADDRESS}\nother A ${ADDRESS}\ninner A 10.0.0.7`,
    'sender.test': '@ TXT "v=spf1 ip4:127.0.0.1 -all"\n_dmarc TXT "v=DMARC1; p=reject"',
  });
  secretFile = join(tempDir('wh'), 'secret');
  writeFileSync(secretFile, `whsec_${SECRET.toString('base64')}\n`, { mode: 0o600 });
  const route = (match: string, url: string, more = ''): string =>
    `[[route]]\nmatch = "${match}"\ntype = "webhook"\nurl = "${url}"\nsecret_file = "${secretFile}"\ntimeout = "2s"\n${more}\n`;
  postern = await startPostern({
    hostname: 'mx.local.test',
    config: `[dns]\nservers = ["${dns.server}"]\n[delivery]\nallow_private_addresses = true\nca_file = "${authority.caFile}"\n[inbound]\ndomains = ["json.test", "raw.test", "wrongname.test", "gone.test", "early.test"]\n[queue]\nretry = { first = "300ms", factor = 1, max = "300ms", jitter = 0 }\n${[
      route('json.test', `https://app.test:${port}/json?token=1`),
      route('raw.test', `https://${ADDRESS}:${port}/raw`, 'format = "raw"'),
      route('early.test', `https://app.test:${port}/early`),
      route('wrongname.test', `https://other.app.test:${port}/`),
      route('gone.test', 'https://nothing.app.test/'),
    ].join('')}`,
  });
});

async function deliver(to: readonly string[], subject: string, content?: Buffer): Promise<string> {
  const client = await connectTo(postern.port('mx'));
  const id = await accepted(client, { from: 'app@sender.test', to, content: content ?? message(subject) });
  await client.quit();
  return id;
}

async function finished(id: string, status: string): Promise<Detail> {
  return until(`${id} is ${status}`, async () => {
    const detail = await postern.json<Detail>('message', 'show', id);
    return detail.status === status ? detail : null;
  });
}

function requestsFor(id: string): Request[] {
  return requests.filter((request) => String(request.headers['webhook-id']).startsWith(id));
}

function signature(secret: Buffer, { headers, body }: Request): string {
  const signed = Buffer.concat([Buffer.from(`${headers['webhook-id']}.${headers['webhook-timestamp']}.`), body]);
  return `v1,${createHmac('sha256', secret).update(signed).digest('base64')}`;
}

test('JSON: signed, with envelope and verdicts, the content byte for byte; one request for all recipients', async () => {
  const content = Buffer.from(message('json', 'Gr\u00fc\u00dfe\r\n.dot\r\n'));
  const id = await deliver(['one@json.test', 'two@json.test'], 'json', content);
  const detail = await finished(id, 'delivered');
  const [request, ...more] = requestsFor(id);
  assert.ok(request);
  assert.equal(more.length, 0);
  assert.equal(request.path, '/json?token=1');
  assert.equal(request.headers['content-type'], 'application/json');
  assert.equal(request.headers['webhook-signature'], signature(SECRET, request));
  assert.ok(Math.abs(Number(request.headers['webhook-timestamp']) - Date.now() / 1000) < 60);
  const { type, data } = JSON.parse(request.body.toString()) as { type: string; data: Record<string, unknown> };
  assert.equal(type, 'message.received');
  assert.deepEqual([data['id'], data['from'], data['to'], data['subject']], [id, 'app@sender.test', ['one@json.test', 'two@json.test'], 'json']);
  assert.equal((data['authentication'] as { dmarc: { result: string } }).dmarc.result, 'pass');
  const whole = Buffer.from(String(data['content']), 'base64');
  assert.ok(whole.subarray(-content.length).equals(content));
  assert.equal(whole.length, data['sizeBytes']);
  const outcome = detail.events.find((event) => event.type === 'delivered')?.outcome;
  assert.match(outcome?.text ?? '', /^HTTP 204/);
  assert.match(outcome?.tls ?? '', /^TLSv1\.3 \w+ verified$/);
  assert.equal(outcome?.remoteAddress, ADDRESS);
});

test('raw: the message below its envelope, at an address instead of a name', async () => {
  const id = await deliver(['box@raw.test'], 'raw');
  await finished(id, 'delivered');
  const [request] = requestsFor(id);
  assert.ok(request);
  assert.equal(request.headers['content-type'], 'message/rfc822');
  assert.equal(request.headers['webhook-signature'], signature(SECRET, request));
  assert.match(request.body.toString(), /^Return-Path: <app@sender\.test>\r\nX-Envelope-To: <box@raw\.test>\r\nReceived: [^]*\r\nHello there\.\r\n$/);
});

test('several megabytes, from disk, twice the same', async () => {
  const content = Buffer.from(message('large', `${'z'.repeat(70)}\r\n`.repeat(70_000)));
  const id = await deliver(['box@json.test'], 'large', content);
  await finished(id, 'delivered');
  const [request] = requestsFor(id);
  assert.ok(request);
  assert.equal(request.headers['webhook-signature'], signature(SECRET, request));
  const { data } = JSON.parse(request.body.toString()) as { data: { content: string } };
  assert.ok(Buffer.from(data.content, 'base64').subarray(-content.length).equals(content));
});

test('one connection serves many messages', async () => {
  const seen = requests.length;
  for (let i = 0; i < 10; i++) await finished(await deliver(['box@json.test'], `many ${i}`), 'delivered');
  assert.ok(new Set(requests.slice(seen).map((request) => request.connection)).size <= 2);
});

test('5xx, 429, 408 and 425 are tried again under the same id until it is taken', async () => {
  for (const status of [500, 503, 429, 408, 425]) {
    const before = requests.length;
    answer = (response) => response.writeHead(requests.length - before > 1 ? 200 : status).end('not now');
    const id = await deliver(['box@json.test'], `later ${status}`);
    const detail = await finished(id, 'delivered');
    const ids = requestsFor(id).map((request) => request.headers['webhook-id']);
    assert.deepEqual([ids.length, new Set(ids).size], [2, 1], String(status));
    const deferred = detail.events.find((event) => event.type === 'deferred')?.outcome;
    assert.match(deferred?.text ?? '', new RegExp(`^HTTP ${status} .*: not now$`));
  }
});

test('other 4xx bounce, with what the application says', async () => {
  for (const [status, enhanced, kind] of [
    [400, '5.3.0', 'webhook-refused'],
    [401, '5.7.1', 'webhook-refused'],
    [404, '5.3.0', 'webhook-refused'],
    [410, '5.3.0', 'webhook-refused'],
    [413, '5.3.4', 'message-too-big'],
  ] as const) {
    answer = (response) => response.writeHead(status).end(`no\r\n such\u0000 thing`);
    const detail = await finished(await deliver(['box@json.test'], `no ${status}`), 'bounced');
    const outcome = detail.events.find((event) => event.type === 'bounced')?.outcome;
    assert.deepEqual([outcome?.enhanced, outcome?.class], [enhanced, kind]);
    assert.match(outcome?.text ?? '', /: no such thing$/);
  }
});

test('a redirect is not followed: it waits, and the fix is told', async () => {
  answer = (response) => response.writeHead(308, { location: 'http://127.0.0.1:1/' }).end();
  const id = await deliver(['box@json.test'], 'redirect');
  const deferred = await until('it is deferred', async () => (await postern.json<Detail>('message', 'show', id)).events.find((event) => event.type === 'deferred')?.outcome);
  assert.deepEqual([deferred.class, deferred.verdict], ['webhook-redirect', 'deferred']);
  answer = (response) => response.writeHead(200).end();
  await finished(id, 'delivered');
});

test('Retry-After is kept to', async () => {
  answer = (response) => response.writeHead(429, { 'retry-after': '3600' }).end();
  const id = await deliver(['box@json.test'], 'retry after');
  const nextAt = await until('it is deferred', async () => {
    const [recipient] = (await postern.json<Detail>('message', 'show', id)).recipients;
    return recipient?.status === 'deferred' ? recipient.nextAt : null;
  });
  assert.ok(Date.parse(nextAt) - Date.now() > 3_000_000, nextAt);
  answer = (response) => response.writeHead(200).end();
  await postern.cli('queue', 'retry', id);
  await finished(id, 'delivered');
});

test('no answer in time, a connection cut in the middle, an endless answer: tried again, or taken as it was said', async () => {
  let tries = 0;
  answer = (response) => {
    tries++;
    if (tries === 1) return;
    if (tries === 2) return void response.destroy();
    response.writeHead(200);
    const pour = (): void => {
      if (!response.destroyed && response.write('x'.repeat(65_536))) setImmediate(pour);
      else response.once('drain', pour);
    };
    pour();
  };
  const detail = await finished(await deliver(['box@json.test'], 'silence'), 'delivered');
  const classes = detail.events.filter((event) => event.type === 'deferred').map((event) => event.outcome?.class);
  assert.deepEqual(classes, ['timeout', 'connection-lost']);
  answer = (response) => response.writeHead(204).end();
});

test('an answer before the content is there ends the sending', async () => {
  const id = await deliver(['box@early.test'], 'early', Buffer.from(message('early', `${'x'.repeat(76)}\r\n`.repeat(200_000))));
  const detail = await finished(id, 'bounced');
  assert.equal(detail.events.find((event) => event.type === 'bounced')?.outcome?.class, 'message-too-big');
});

test('a certificate for another name, and a host that is not there: it waits, with cause and fix', async () => {
  const wrong = await deliver(['box@wrongname.test'], 'wrong name');
  const gone = await deliver(['box@gone.test'], 'gone');
  const outcome = (id: string): Promise<Outcome> =>
    until('it is deferred', async () => (await postern.json<Detail>('message', 'show', id)).events.find((event) => event.type === 'deferred')?.outcome);
  assert.equal((await outcome(wrong)).class, 'certificate-name');
  assert.equal((await outcome(gone)).class, 'dns-failure');
  assert.ok(!requests.some((request) => request.path === '/'));
});

test('a secret that is changed: both sign, without a restart; one that cannot be read defers', async () => {
  const restore = readFileSync(secretFile);
  writeFileSync(secretFile, 'nothing of use');
  const waiting = await deliver(['box@json.test'], 'bad secret');
  const deferred = await until('it is deferred', async () => (await postern.json<Detail>('message', 'show', waiting)).events.find((event) => event.type === 'deferred')?.outcome);
  assert.equal(deferred.class, 'secret-file');
  writeFileSync(secretFile, `${restore.toString()}whsec_${NEXT_SECRET.toString('base64')}\n`);
  await finished(waiting, 'delivered');
  const id = await deliver(['box@json.test'], 'both');
  await finished(id, 'delivered');
  const [request] = requestsFor(id);
  assert.ok(request);
  assert.equal(request.headers['webhook-signature'], `${signature(SECRET, request)} ${signature(NEXT_SECRET, request)}`);
});

test('private addresses are refused unless they are allowed, by name and by number', async () => {
  const dns = await startDns({ 'app.test': 'inner A 10.0.0.7\nloop A 127.0.0.1\nmixed A 10.0.0.7' });
  const targets = ['inner.app.test', 'loop.app.test', '127.0.0.1', '[::1]', '0x7f.1', '169.254.169.254', '[::ffff:10.0.0.7]'];
  const routes = targets.map((host, i) => `[[route]]\nmatch = "t${i}.test"\ntype = "webhook"\nname = "t${i}"\nurl = "https://${host}/"\nsecret_file = "${secretFile}"\n`);
  const other = await startPostern({
    config: `[dns]\nservers = ["${dns.server}"]\n[inbound]\ndomains = [${targets.map((_, i) => `"t${i}.test"`).join(', ')}]\n${routes.join('')}`,
  });
  const client = await connectTo(other.port('mx'));
  for (const [i, host] of targets.entries()) {
    const id = await accepted(client, { from: 'app@sender.test', to: [`box@t${i}.test`], content: message(`private ${i}`) });
    const deferred = await until(`${host} is refused`, async () => (await other.json<Detail>('message', 'show', id)).events.find((event) => event.type === 'deferred')?.outcome);
    assert.equal(deferred.class, 'private-address', host);
  }
  await client.quit();
  await other.stop();
});
