// The door of the API, over TCP against a real directory: tokens and their scopes, projects, rates, browsers of other origins, the audit log, and the
// document that all of it is described by.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import { z } from 'zod';
import { openNetworks } from '#base/ip.ts';
import { silentLog } from '#base/log.ts';
import { Metrics } from '#events/metrics.ts';
import { openRates } from '#http/rates.ts';
import { createApp, listenOnTcp, operationsOf } from '#http/server.ts';
import type { AppParts, HttpServer } from '#http/server.ts';
import { describeApi } from '#http/openapi.ts';
import { operation } from '#http/operation.ts';
import { renderReference } from '#http/reference.ts';
import { SCOPE_NAMES, beyond, opens } from '#http/scopes.ts';
import { openDirectory } from '#store/directory.ts';
import { openTokens } from '#store/tokens.ts';
import { openDatabase } from '#store/sqlite/database.ts';

const dir = mkdtempSync(join(tmpdir(), 'postern-access-'));
const directory = openDirectory(join(dir, 'directory.db'), new Int32Array(new SharedArrayBuffer(4)));
const settings = { corsOrigins: ['https://app.example.com'], trustedProxies: [] as string[], requestsPerAddress: 10_000, requestsPerToken: 10_000 };
const counted = new Metrics();
const none = (): never => assert.fail('not asked for');
const parts = {
  log: silentLog,
  counted,
  version: '1.2.3',
  door: () => settings,
  directory,
  readiness: async () => ({ ready: false, checks: { disk: { ok: false, detail: 'full' } } }),
  metrics: async () => 'up 1\n',
  stsPolicy: none,
} as unknown as AppParts;
let http: HttpServer;
let base: string;
const admin = directory.tokens.add({ name: 'admin', scopes: ['admin'], project: null, ratePerMinute: null, expiresAtMs: null, createdBy: 'test' }).secret;

before(async () => {
  http = await listenOnTcp(createApp(parts), { address: '127.0.0.1', port: 0 });
  base = `http://127.0.0.1:${http.port}`;
});
after(async () => {
  await http.close();
  directory.close();
  rmSync(dir, { recursive: true });
});

type Answer = { readonly status: number; readonly headers: Headers; readonly body: Record<string, unknown> };

async function ask(path: string, options: { token?: string; method?: string; body?: unknown; headers?: Record<string, string> } = {}): Promise<Answer> {
  const response = await fetch(`${base}${path}`, {
    method: options.method ?? (options.body === undefined ? 'GET' : 'POST'),
    headers: {
      ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
      ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...options.headers,
    },
    ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : { text } };
}

async function tokenWith(name: string, more: Record<string, unknown>): Promise<string> {
  const made = await ask('/v1/tokens', { token: admin, body: { name, ...more } });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  return made.body['token'] as string;
}

test('without a token, with a wrong one, a revoked one, one whose time is over: 401 with cause and fix', async () => {
  const missing = await ask('/v1/tokens');
  assert.equal(missing.status, 401);
  assert.match(missing.headers.get('www-authenticate') ?? '', /^Bearer realm="postern"$/);
  assert.equal(missing.headers.get('content-type'), 'application/problem+json');
  const token = await tokenWith('short', { scopes: ['tokens:read'] });
  assert.equal((await ask('/v1/tokens', { token })).status, 200);
  for (const wrong of ['x', `${token.slice(0, -1)}${token.endsWith('a') ? 'b' : 'a'}`, token.replace(/_[a-z2-9]{8}_/, '_aaaaaaaa_'), `${token} x`]) {
    const refused = await ask('/v1/tokens', { token: wrong });
    assert.equal(refused.status, 401);
    assert.equal(refused.body['code'], 'token-invalid');
  }
  assert.equal((await ask('/v1/tokens/short', { token: admin, method: 'DELETE' })).status, 200);
  assert.equal((await ask('/v1/tokens', { token })).status, 401);
  assert.equal((await ask('/v1/tokens/short', { token: admin, method: 'DELETE' })).status, 404);
});

test('a token is told once, has 160 bits, and only its hash is kept; its time ends it; its use is noted', () => {
  const database = openDatabase(join(dir, 'tokens.db'), [], { synchronous: 'FULL' });
  database.exec(
    'CREATE TABLE token (id TEXT, name TEXT, secret_hash BLOB, scopes TEXT, project TEXT, rate_per_minute INTEGER, created_at INTEGER, created_by TEXT, expires_at INTEGER, revoked_at INTEGER, last_used_at INTEGER)',
  );
  let nowMs = 1_000_000;
  const tokens = openTokens(database, () => nowMs);
  const { secret, token } = tokens.add({ name: 'a', scopes: ['admin'], project: null, ratePerMinute: null, expiresAtMs: 2_000_000, createdBy: 'x' });
  assert.match(secret, /^pst_[a-z2-9]{8}_[a-z2-9]{32}$/);
  assert.ok(!JSON.stringify([token, tokens.list()]).includes(secret.slice(13)));
  assert.equal(tokens.verify(secret)?.name, 'a');
  assert.equal(tokens.list()[0]?.lastUsedAtMs, 1_000_000);
  nowMs = 2_000_000;
  assert.equal(tokens.verify(secret), null);
  database.close();
  const kept = ['directory.db', 'directory.db-wal'].map((name) => readFileSync(join(dir, name), 'latin1')).join('');
  assert.ok(kept.includes(admin.slice(4, 12)) && !kept.includes(admin.slice(13)));
});

test('scopes: write opens read, admin opens all, and nobody hands on what they do not have', async () => {
  assert.ok(opens(['queue:write'], 'queue:read') && !opens(['queue:read'], 'queue:write') && !opens(['messages:send'], 'messages:read'));
  assert.ok(SCOPE_NAMES.every((scope) => opens(['admin'], scope)));
  assert.deepEqual(beyond(['tokens:write'], ['tokens:read', 'admin']), ['admin']);
  const maker = await tokenWith('maker', { scopes: ['tokens:write', 'queue:read'] });
  assert.equal((await ask('/v1/tokens', { token: maker, body: { name: 'less', scopes: ['queue:read'] } })).status, 201);
  const more = await ask('/v1/tokens', { token: maker, body: { name: 'more', scopes: ['queue:write'] } });
  assert.equal(more.status, 403);
  assert.match(String(more.body['cause']), /queue:write/);
  const outside = await ask('/v1/credentials', { token: maker });
  assert.equal(outside.status, 403);
  assert.match(outside.headers.get('www-authenticate') ?? '', /insufficient_scope.*credentials:read/);
  assert.deepEqual((await ask('/v1/identity', { token: maker })).body, { kind: 'token', name: 'maker', scopes: ['tokens:write', 'queue:read'], project: null });
});

test('a project sees its own tokens and credentials, and makes more for itself and its domains only', async () => {
  await directory.addDomain({ name: 'shop.example', inbound: false, project: 'shop' });
  await directory.addDomain({ name: 'other.example', inbound: false });
  const shop = await tokenWith('shop', { scopes: ['tokens:write', 'credentials:write'], project: 'shop' });
  await directory.addCredential({ name: 'foreign', domains: [], mode: 'live', allowIps: [], ratePerHour: null });
  for (const body of [{ name: 'c1', domains: ['other.example'] }, { name: 'c1' }, { name: 'c1', domains: ['shop.example'], project: 'else' }]) {
    const refused = await ask('/v1/credentials', { token: shop, body });
    assert.equal(refused.body['code'], 'outside-project');
  }
  assert.equal((await ask('/v1/credentials', { token: shop, body: { name: 'c1', domains: ['mail.shop.example'] } })).body['project'], 'shop');
  const { credentials } = (await ask('/v1/credentials', { token: shop })).body as { credentials: { name: string }[] };
  assert.deepEqual(
    credentials.map((one) => one.name),
    ['c1'],
  );
  assert.equal((await ask('/v1/credentials/foreign', { token: shop, method: 'DELETE' })).status, 404);
  assert.equal((await ask('/v1/credentials/foreign/rotate', { token: shop, method: 'POST' })).status, 404);
  assert.equal((await ask('/v1/tokens/admin', { token: shop, method: 'DELETE' })).status, 404);
  assert.equal((await ask('/v1/tokens', { token: shop, body: { name: 'free', scopes: ['tokens:read'] } })).status, 403);
  const { tokens } = (await ask('/v1/tokens', { token: shop })).body as { tokens: { name: string }[] };
  assert.deepEqual(
    tokens.map((one) => one.name),
    ['shop'],
  );
});

test('the audit log has who, what, to what and from where, also of what was refused; never a secret', async () => {
  const token = await tokenWith('auditor', { scopes: ['audit:read', 'tokens:read'] });
  assert.equal((await ask('/v1/credentials', { token, body: { name: 'no' } })).status, 403);
  const { entries } = (await ask('/v1/audit?limit=2', { token })).body as { entries: Record<string, unknown>[] };
  const [refused, made] = entries;
  assert.deepEqual([refused?.['action'], refused?.['status'], refused?.['name']], ['addCredential', 403, 'auditor']);
  assert.deepEqual(
    [made?.['action'], made?.['status'], made?.['name'], made?.['target'], made?.['address'], made?.['kind']],
    ['addToken', 201, 'admin', 'auditor', '127.0.0.1', 'token'],
  );
  const next = (await ask(`/v1/audit?limit=1&before=${String(made?.['id'])}`, { token })).body as { entries: { id: number }[] };
  assert.ok((next.entries[0]?.id ?? Infinity) < Number(made?.['id']));
  assert.ok(!JSON.stringify((await ask('/v1/audit', { token })).body).includes(token.slice(13)));
});

test('too many requests: 429 with Retry-After, by token and by address; wrong tokens are slowed', async () => {
  const token = await tokenWith('slow', { scopes: ['tokens:read'], ratePerMinute: 2 });
  const answers = [];
  for (let i = 0; i < 3; i++) answers.push(await ask('/v1/tokens', { token }));
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200, 429],
  );
  assert.ok(Number(answers[2]?.headers.get('retry-after')) > 0);
  const wrong = [];
  for (let i = 0; i < 25; i++) wrong.push((await ask('/v1/tokens', { token: 'pst_wrong' })).status);
  assert.ok(wrong.includes(401) && wrong.at(-1) === 429, String(wrong));
  settings.requestsPerAddress = 1;
  settings.trustedProxies = ['127.0.0.1'];
  const far = { 'x-forwarded-for': '203.0.113.9' };
  const limited = [];
  for (let i = 0; i < 4; i++) limited.push((await ask('/health/live', { headers: far })).status);
  assert.ok(limited.includes(429), String(limited));
  assert.equal((await ask('/health/live', { headers: { 'x-forwarded-for': '203.0.113.9, 198.51.100.7' } })).status, 200, 'the nearest hop counts, not what the client says');
  settings.requestsPerAddress = 10_000;
  settings.trustedProxies = [];
});

test('requests are counted by operation and class of the answer, whatever a path says', async () => {
  await ask('/v1/nothing/../../x');
  await ask('/v1/credentials');
  const text = counted.render();
  assert.match(text, /postern_http_requests_total\{operation="addToken",status="2xx"\} \d+/);
  assert.match(text, /postern_http_requests_total\{operation="listCredentials",status="4xx"\} \d+/);
  const names = [...text.matchAll(/operation="([^"]*)"/g)].map((match) => match[1]);
  const known = new Set(operationsOf(parts).map(({ id }) => id));
  assert.ok(
    names.every((name) => known.has(name ?? '')),
    'labels come from the document, never from the wire',
  );
});

test('a bucket fills again, and memory is bounded', () => {
  let nowMs = 0;
  const rates = openRates({ nowMs: () => nowMs });
  const rate = { perSecond: 10, burst: 2 };
  assert.deepEqual([rates.take('a', rate), rates.take('a', rate), rates.take('a', rate)], [0, 0, 100]);
  nowMs = 100;
  assert.equal(rates.take('a', rate), 0);
  for (let i = 0; i < 30_000; i++) rates.take(`k${i}`, rate);
  assert.equal(rates.take('a', rate), 0, 'whoever was not seen for longest is forgotten');
});

test('browsers: only the origins that are named, and never with cookies', async () => {
  const preflight = { origin: 'https://app.example.com', 'access-control-request-method': 'POST' };
  const allowed = await ask('/v1/tokens', { method: 'OPTIONS', headers: preflight });
  assert.equal(allowed.status, 204);
  assert.equal(allowed.headers.get('access-control-allow-origin'), 'https://app.example.com');
  assert.equal(allowed.headers.get('access-control-allow-credentials'), null);
  const other = await ask('/v1/tokens', { method: 'OPTIONS', headers: { ...preflight, origin: 'https://evil.example' } });
  assert.equal(other.headers.get('access-control-allow-origin'), null);
  assert.notEqual(other.status, 204);
  assert.equal(
    (await ask('/v1/tokens', { headers: { origin: 'https://app.example.com' } })).headers.get('access-control-allow-origin'),
    'https://app.example.com',
    'a refusal can be read too',
  );
});

test('what is malformed: media type, JSON, size, method, unknown fields', async () => {
  const post = (body: string, type: string): Promise<Response> =>
    fetch(`${base}/v1/tokens`, { method: 'POST', body, headers: { 'content-type': type, authorization: `Bearer ${admin}` } });
  assert.equal((await post('{}', 'text/plain')).status, 415);
  assert.equal((await post('{', 'application/json')).status, 400);
  assert.equal((await post('"\\ud800"', 'application/json')).status, 422);
  assert.equal((await post(' '.repeat(300_000), 'application/json')).status, 413);
  assert.equal((await post('{"name":"x","scopes":["admin"],"more":1}', 'application/json')).status, 422);
  const wrong = await ask('/v1/tokens', { token: admin, method: 'PUT' });
  assert.equal(wrong.status, 405);
  assert.equal(wrong.headers.get('allow'), 'GET, POST');
  assert.equal((await ask('/v1/nothing', { token: admin })).status, 404);
});

test('the document is valid OpenAPI 3.1, is served, and its page names every operation without a script or a foreign address', async () => {
  const served = (await ask('/openapi.json')).body;
  const { valid, errors } = await new Validator().validate(structuredClone(served));
  assert.ok(valid, JSON.stringify(errors));
  const page = await fetch(`${base}/docs`);
  const html = await page.text();
  assert.match(page.headers.get('content-security-policy') ?? '', /^default-src 'none'; style-src 'self'/);
  assert.equal(html, renderReference(describeApi(operationsOf(parts), { version: '1.2.3' })));
  for (const { id, path } of operationsOf(parts)) assert.ok(html.includes(`id="${id}"`) && html.includes(path), id);
  assert.doesNotMatch(html, /<script|<[^>]* on\w+=|<[^>]* style=|(?:src|href|action)="(?![/#])/);
  assert.equal((await fetch(`${base}/docs/reference.css`)).headers.get('content-type'), 'text/css; charset=utf-8');
  assert.equal(page.headers.get('x-content-type-options'), 'nosniff');
});

test('the document says what a declaration says', () => {
  const { paths, components } = describeApi(
    [
      operation({
        method: 'POST',
        path: '/v1/things/{name}',
        id: 'makeThing',
        tag: 'Server',
        summary: 'Make a thing',
        scope: 'server:write',
        params: z.object({ name: z.string() }),
        body: z.strictObject({ size: z.int().min(1).default(3) }),
        answer: z.object({ made: z.object({ size: z.int() }).meta({ id: 'Thing' }) }),
        status: 201,
        run: ({ body }) => ({ made: { size: body.size } }),
      }),
    ],
    { version: '1' },
  );
  const made = paths['/v1/things/{name}']?.['post'];
  assert.deepEqual(Object.keys(made?.responses ?? {}), ['201', '400', '401', '403', '413', '415', '422', '429', '500']);
  assert.deepEqual(made?.requestBody, {
    required: false,
    content: { 'application/json': { schema: { type: 'object', properties: { size: { default: 3, type: 'integer', minimum: 1 } }, additionalProperties: false } } },
  });
  assert.deepEqual(components.schemas['Thing'], { type: 'object', properties: { size: { type: 'integer' } }, required: ['size'], additionalProperties: false });
});

test('one address leaves connections for others, and gets its own back when they end', async () => {
  const server = await listenOnTcp(createApp(parts), { address: '127.0.0.1', port: 0, proxies: openNetworks(['127.0.0.3']) });
  const open = (from: string): Promise<Socket> =>
    new Promise((resolve) => {
      const socket = connect({ host: '127.0.0.1', port: server.port, localAddress: from });
      socket.on('error', () => {});
      socket.once('connect', () => resolve(socket));
    });
  const ended = (socket: Socket): Promise<boolean> =>
    Promise.race([once(socket, 'close').then(() => true), new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 300))]);
  const many = await Promise.all(Array.from({ length: 50 }, () => open('127.0.0.1')));
  assert.equal(await ended(await open('127.0.0.1')), true, 'the 51st of one address');
  const others = [await open('127.0.0.2'), ...(await Promise.all(Array.from({ length: 60 }, () => open('127.0.0.3'))))];
  assert.deepEqual([...new Set(await Promise.all(others.map(ended)))], [false], 'another address, and a proxy that is trusted');
  const [first] = many;
  first?.destroy();
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(await ended(await open('127.0.0.1')), false, 'one has ended');
  for (const socket of [...many, ...others]) socket.destroy();
  await server.close();
});
