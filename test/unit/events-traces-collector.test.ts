// Needs: openssl
// The connection to a collector: over HTTP and verified HTTPS, with the headers of a file that may change, no redirect followed, and always an answer.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer as createHttp } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import type { SecureContext } from 'node:tls';
import { before, test } from 'node:test';
import { openCollector } from '#events/traces/collector.ts';
import type { Collector } from '#events/traces/collector.ts';
import { makeAuthority } from '../support/authority.ts';
import { atEnd, freePort, tempDir } from '../support/temp.ts';

const seen: { readonly path: string; readonly headers: IncomingMessage['headers']; readonly body: string }[] = [];
let answer: (response: ServerResponse) => void = (response) => void response.end('{}');
let plain: number;
let secure: number;
let trusted: SecureContext;

before(async () => {
  const authority = makeAuthority();
  const pair = authority.issue(['127.0.0.1']);
  trusted = createSecureContext({ ca: readFileSync(authority.caFile) });
  const take = (request: IncomingMessage, response: ServerResponse): void => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      seen.push({ path: request.url ?? '', headers: request.headers, body });
      answer(response);
    });
  };
  plain = await listen(createHttp(take));
  secure = await listen(createHttps({ cert: pair.cert, key: pair.key }, take));
});

async function listen(server: Server & { closeAllConnections(): void }): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

function open(url: string, options: { readonly headersFile?: string; readonly context?: SecureContext } = {}): Collector {
  const collector = openCollector({ url, headersFile: options.headersFile ?? null, tlsContext: () => options.context ?? trusted, version: '1.2.3' });
  atEnd(() => collector.close());
  return collector;
}

test('a request, with the headers that the file has at the time', async () => {
  const headersFile = join(tempDir(), 'headers');
  writeFileSync(headersFile, 'Authorization: Bearer first\nUser-Agent: mine\n');
  const collector = open(`http://127.0.0.1:${plain}/below/`, { headersFile });
  assert.deepEqual(await collector.post('{"a":"\u00fc"}', 5000), { status: 200, retryAfter: null, rejected: 0 });
  writeFileSync(headersFile, 'Authorization: Bearer second\n');
  await collector.post('{}', 5000);
  const [one, two] = seen.splice(0);
  assert.deepEqual([one?.path, one?.body, one?.headers['content-type'], one?.headers.authorization], ['/below/v1/traces', '{"a":"\u00fc"}', 'application/json', 'Bearer first']);
  assert.deepEqual([one?.headers['user-agent'], two?.headers['user-agent']], ['mine', 'Postern/1.2.3']);
  assert.equal(two?.headers.authorization, 'Bearer second');
});

test('over HTTPS the certificate is verified', async () => {
  assert.deepEqual(await open(`https://127.0.0.1:${secure}`).post('{}', 5000), { status: 200, retryAfter: null, rejected: 0 });
  const stranger = await open(`https://127.0.0.1:${secure}`, { context: createSecureContext() }).post('{}', 5000);
  assert.ok('failure' in stranger && stranger.failure === 'certificate', JSON.stringify(stranger));
  const named = await open(`https://localhost:${secure}`).post('{}', 5000);
  assert.ok('failure' in named && named.failure === 'certificate', JSON.stringify(named));
  assert.equal(seen.splice(0).length, 1);
});

test('what it answers is told, and nothing followed', async () => {
  const collector = open(`http://127.0.0.1:${plain}`);
  answer = (response) => void response.writeHead(503, { 'retry-after': '7' }).end('x'.repeat(100_000));
  assert.deepEqual(await collector.post('{}', 5000), { status: 503, retryAfter: '7', rejected: 0 });
  answer = (response) => void response.writeHead(307, { location: '/elsewhere' }).end();
  assert.deepEqual(await collector.post('{}', 5000), { status: 307, retryAfter: null, rejected: 0 });
  answer = (response) => void response.end('{"partialSuccess":{"rejectedSpans":"3","errorMessage":"no"}}');
  assert.deepEqual(await collector.post('{}', 5000), { status: 200, retryAfter: null, rejected: 3 });
  assert.ok(seen.splice(0).every(({ path }) => path === '/v1/traces'));
});

test('no answer is one too', async () => {
  answer = () => {};
  const late = await open(`http://127.0.0.1:${plain}`).post('{}', 50);
  assert.ok('failure' in late && late.failure === 'timeout', JSON.stringify(late));
  const closed = open(`http://127.0.0.1:${plain}`);
  const waiting = closed.post('{}', 60_000);
  closed.close();
  assert.ok('failure' in (await waiting));
  const nobody = await open(`http://127.0.0.1:${await freePort()}`).post('{}', 5000);
  assert.ok('failure' in nobody && nobody.failure === 'other', JSON.stringify(nobody));
  const unknown = await open('http://nowhere.invalid').post('{}', 5000);
  assert.ok('failure' in unknown && unknown.failure === 'dns', JSON.stringify(unknown));
  const missing = await open(`http://127.0.0.1:${plain}`, { headersFile: '/no/such/file' }).post('{}', 5000);
  assert.ok('failure' in missing && missing.failure === 'headers' && missing.text.startsWith('/no/such/file cannot be read'), JSON.stringify(missing));
});
