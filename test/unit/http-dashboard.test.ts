// The dashboard as it is served: the files of a build, compressed as the browser wishes, for good where their name tells their content, under the
// policy that lets nothing else in; and never in the way of the API.

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { Hono } from 'hono';
import { CONTENT_SECURITY_POLICY, dashboardFiles } from '#http/dashboard.ts';
import { tempDir } from '../support/temp.ts';

const dir = tempDir('dash');
const PAGE = '<!doctype html><script type="module" src="/assets/main-abc.js"></script>';
const SCRIPT = 'console.log("postern");'.repeat(20);
const app = new Hono();

before(() => {
  mkdirSync(join(dir, 'assets'));
  for (const [name, text] of [
    ['index.html', PAGE],
    ['assets/main-abc.js', SCRIPT],
  ] as const) {
    writeFileSync(join(dir, name), text);
    writeFileSync(join(dir, `${name}.gz`), gzipSync(text));
    writeFileSync(join(dir, `${name}.br`), brotliCompressSync(text));
  }
  writeFileSync(join(dir, 'stamp'), 'x');
  app.get('/v1/thing', (context) => context.json({ thing: true }));
  app.use('/*', dashboardFiles(dir));
});

const ask = (path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Response> => Promise.resolve(app.request(path, { method, headers }));
const HTML = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };

test('a file is compressed as asked, and kept for good; the page is asked for each time', async () => {
  const compressed = await ask('/assets/main-abc.js', { 'accept-encoding': 'gzip, deflate, br' });
  assert.equal(compressed.headers.get('content-encoding'), 'br');
  assert.equal(compressed.headers.get('cache-control'), 'public, max-age=31536000, immutable');
  assert.equal(compressed.headers.get('content-type'), 'text/javascript; charset=utf-8');
  assert.deepEqual(Buffer.from(await compressed.arrayBuffer()), brotliCompressSync(SCRIPT));
  assert.equal((await ask('/assets/main-abc.js', { 'accept-encoding': 'gzip, br;q=0' })).headers.get('content-encoding'), 'gzip');
  const plain = await ask('/assets/main-abc.js');
  assert.equal(plain.headers.get('content-encoding'), null);
  assert.equal(await plain.text(), SCRIPT);
  const page = await ask('/', HTML);
  assert.equal(page.headers.get('cache-control'), 'no-cache');
  const again = await ask('/', { ...HTML, 'if-none-match': page.headers.get('etag') ?? '' });
  assert.equal(again.status, 304);
});

test('the page comes with a policy that lets in what this server serves and nothing else, and stays out of frames', async () => {
  const page = await ask('/', HTML);
  assert.equal(page.headers.get('content-security-policy'), CONTENT_SECURITY_POLICY);
  assert.match(CONTENT_SECURITY_POLICY, /^default-src 'none'; script-src 'self'; style-src 'self';/);
  assert.doesNotMatch(CONTENT_SECURITY_POLICY, /unsafe|https?:|\*/);
  assert.match(CONTENT_SECURITY_POLICY, /frame-ancestors 'none'/);
  assert.equal(page.headers.get('x-content-type-options'), 'nosniff');
  assert.equal(page.headers.get('referrer-policy'), 'no-referrer');
});

test("every address of the page's own is the page; what is not there is not", async () => {
  assert.equal(await (await ask('/messages/06fq3z5kq0v7m2xe', HTML)).text(), PAGE);
  assert.equal(await (await ask('/domains/mail.example.com', HTML)).text(), PAGE);
  for (const path of ['/v1/nothing', '/health/nothing', '/docs', '/metrics', '/.well-known/nothing', '/openapi.json']) assert.equal((await ask(path, HTML)).status, 404, path);
  assert.equal((await ask('/assets/gone-123.js')).status, 404);
  assert.equal((await ask('/messages', { accept: 'application/json' })).status, 404);
  assert.equal((await ask('/stamp')).status, 404);
  assert.equal((await ask('/../package.json')).status, 404);
  assert.equal((await ask('/', HTML, 'POST')).status, 404);
  assert.deepEqual(await (await ask('/v1/thing')).json(), { thing: true });
});

test('without a build the page says how to have one, and nothing else changes', async () => {
  const bare = new Hono();
  bare.use('/*', dashboardFiles(join(dir, 'nowhere')));
  const page = await bare.request('/', { headers: HTML });
  assert.equal(page.status, 503);
  assert.match(await page.text(), /npm run web/);
  assert.equal((await bare.request('/messages', { headers: HTML })).status, 404);
});
