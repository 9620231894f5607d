// The management API against real stores in a temporary directory: every resource, every refusal with cause and fix.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { openVault } from '#base/vault.ts';
import { openApi } from '#cli/api.ts';
import { openFeed } from '#events/feed.ts';
import { Metrics } from '#events/metrics.ts';
import { createApp, listenOnSocket, listenOnTcp } from '#http/server.ts';
import type { AppParts, HttpServer } from '#http/server.ts';
import { PosternError } from '#base/failure.ts';
import { openDomains } from '#server/domains.ts';
import { connectQueue } from '#store/sqlite/client.ts';
import type { QueueClient } from '#store/sqlite/client.ts';
import { openStore } from '#store/open.ts';
import type { StoreHost } from '#store/open.ts';
import type { NewMessage } from '#queue/queue.ts';
import { openMessageIds } from '#base/id.ts';

const dataDir = mkdtempSync(join(tmpdir(), 'postern-http-'));
const newId = openMessageIds();
let store: StoreHost;
let queue: QueueClient;
let socket: HttpServer;
let tcp: HttpServer;
let reloads = 0;
/** How far the clock of the domains is ahead. */
let aheadMs = 0;
let parts: AppParts;
let settings = { corsOrigins: [] as string[], trustedProxies: [] as string[], requestsPerAddress: 1000, requestsPerToken: 1000 };

before(async () => {
  store = await openStore({
    dataDir,
    minFreeBytes: 0,
    reserveBytes: 0,
    historyMs: 3_600_000,
    historyBytes: 1e9,
    eventsMs: 3_600_000,
    captureMs: 3_600_000,
    generation: new Int32Array(new SharedArrayBuffer(4)),
    died: (cause) => assert.fail(cause),
  });
  queue = connectQueue(store.connect(1), { memoryBytes: 1_000_000 });
  const metrics = new Metrics();
  metrics.add('postern_accepted_messages_total', ['mx'], 3);
  metrics.observe('postern_accept_seconds', 4);
  parts = {
    log: silentLog,
    counted: new Metrics(),
    vault: openVault(Buffer.alloc(32, 7)),
    url: () => 'http://localhost:8025',
    version: '1.2.3',
    door: () => settings,
    certificates: { mode: 'self-signed', certificates: () => [], renewals: () => [], renew: null },
    tls: { policy: () => assert.fail('no policy is asked for'), reports: { day: () => assert.fail(), report: () => assert.fail(), send: () => assert.fail() } },
    stsPolicy: async (host) => (host.startsWith('mta-sts.') ? 'version: STSv1\r\n' : null),
    directory: store.directory,
    domains: openDomains({
      directory: store.directory,
      vault: openVault(randomBytes(32)),
      hostname: 'relay.example.net',
      stsId: () => null,
      dns: { servers: ['127.0.0.1:9'], dnssec: 'off', timeoutMs: 300 },
      signatureLifetimeMs: () => 1000,
      clock: { ...systemClock, nowMs: () => Date.now() + aheadMs },
      log: silentLog,
    }),
    doctor: {} as AppParts['doctor'],
    advise: () => assert.fail('no advice is asked for'),
    routes: () => [],
    admin: store.admin,
    history: store.history,
    transcripts: store.transport.transcripts,
    webhooks: {} as AppParts['webhooks'],
    events: store.events,
    feed: openFeed({ tide: store.tide, flush: () => store.flushHistory(), log: silentLog }),
    statistics: store.statistics,
    server: () => ({ version: '0', hostname: 'relay.example.net', startedAtMs: 0, listeners: [] }),
    suppressions: store.suppressions,
    sending: { submit: () => assert.fail(), once: () => assert.fail(), directory: store.directory, messageSizeBytes: () => 1_000_000, localCredential: () => null, log: silentLog },
    self: { last: () => ({ everyMs: 1000, warnings: [], report: null }), look: () => assert.fail('no look is asked for') },
    flushHistory: () => store.flushHistory(),
    readiness: async () => ({ ready: reloads < 100, checks: {} }),
    metrics: async () => metrics.render(),
    reload: async () => {
      reloads++;
      if (reloads > 1) throw new PosternError({ code: 'config-invalid', cause: 'c', fix: 'f' });
      return { changed: ['limits.recipients'], needRestart: [], certificates: true };
    },
  };
  const app = createApp(parts);
  socket = await listenOnSocket(app, join(dataDir, 'postern.sock'));
  tcp = await listenOnTcp(app, { address: '127.0.0.1', port: 0 });
});

after(async () => {
  await socket.close();
  await tcp.close();
  await queue.close();
  await store.close();
  rmSync(dataDir, { recursive: true });
});

const api = openApi({ dataDir });

function message(to: string): NewMessage {
  const nowMs = Date.now();
  const [local = '', domain = ''] = to.split('@');
  return {
    envelope: {
      id: newId(nowMs),
      from: { local: 'a', domain: 'example.com', text: 'a@example.com' },
      acceptedAtMs: nowMs,
      expiresAtMs: nowMs + 1e6,
      warnAtMs: null,
      sizeBytes: 12,
      eightBit: false,
      smtpUtf8: false,
      requireTls: false,
      ret: null,
      envid: null,
      kind: 'mail',
      mode: 'live',
      origin: { profile: 'submission', clientAddress: '127.0.0.1', helo: 'c', tls: null, credential: 'app' },
      subject: 'Hello',
      messageIdHeader: '<1@x>',
    },
    recipients: [{ n: 0, address: { local, domain, text: to }, notify: null, orcpt: null, lane: `mx:${domain}` }],
    tail: [Buffer.from('A: b\r\n\r\nbody')],
    written: 0,
  };
}

function over(
  where: { socketPath: string } | { port: number },
  path: string,
  options: { method?: string; body?: string } = {},
): Promise<{ status: number; type: string; text: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ ...where, path, method: options.method ?? 'GET' }, (answer) => {
      let text = '';
      answer
        .setEncoding('utf8')
        .on('data', (part: string) => (text += part))
        .on('end', () => resolve({ status: answer.statusCode ?? 0, type: answer.headers['content-type'] ?? '', text }));
    });
    outgoing.on('error', reject);
    outgoing.end(options.body);
  });
}

const refusedWith = (code: string, exitCode: number) => (error: unknown) =>
  error instanceof PosternError && error.failure.code === code && error.exitCode === exitCode && error.failure.fix !== '';

test('the socket is for its owner only', () => assert.equal(statSync(join(dataDir, 'postern.sock')).mode & 0o777, 0o600));

test('credentials: made once, shown once, rotated, revoked', async () => {
  const made = await api.addCredential({ name: 'app', domains: ['Bücher.example', 'EXAMPLE.com'], mode: 'live', allowIps: ['192.0.2.0/24'], ratePerHour: 500 });
  assert.deepEqual(Object.keys(made).slice(0, 5), ['name', 'username', 'password', 'domains', 'mode']);
  assert.deepEqual(made.domains, ['xn--bcher-kva.example', 'example.com']);
  await assert.rejects(api.addCredential({ name: 'app' }), refusedWith('credential-exists', 1));
  const listed = (await over({ socketPath: join(dataDir, 'postern.sock') }, '/v1/credentials')).text;
  assert.doesNotMatch(listed, /secretHash|scram|password/);
  assert.match(listed, /"createdAt":"2/);
  const rotated = await api.rotateCredential('app');
  assert.notEqual(rotated.password, made.password);
  assert.equal((await api.revokeCredential('app')).revoked, true);
  await assert.rejects(api.revokeCredential('app'), refusedWith('not-found', 1));
  await assert.rejects(api.rotateCredential('nobody'), refusedWith('not-found', 1));
});

test('input is refused by name: 422 and exit code 2', async () => {
  await assert.rejects(api.addCredential({ name: 'a b' }), refusedWith('invalid-request', 2));
  await assert.rejects(api.addCredential({ name: 'a', allowIps: ['10.0.0.0/33'] }), refusedWith('invalid-request', 2));
  await assert.rejects(api.addCredential({ name: 'a', domains: ['no_dot'] }), refusedWith('invalid-request', 2));
  await assert.rejects(api.addCredential({ name: 'a', other: 1 } as never), refusedWith('invalid-request', 2));
  await assert.rejects(api.queue({ state: 'gone' }), refusedWith('invalid-request', 2));
  await assert.rejects(api.messages({ limit: '0' }), refusedWith('invalid-request', 2));
  await assert.rejects(api.messages({ since: 'yesterday' }), refusedWith('invalid-request', 2));
});

test('domains: added, shown, removed', async () => {
  assert.equal((await api.addDomain({ name: 'Example.NET.', inbound: true })).name, 'example.net');
  assert.equal((await api.domain('example.net')).inbound, true);
  assert.equal((await api.domains()).domains.length, 1);
  assert.deepEqual(await api.removeDomain('EXAMPLE.net'), { name: 'example.net', removed: true });
  await assert.rejects(api.domain('example.net'), refusedWith('not-found', 1));
});

test("domains: records in the contract's five fields, keys without their secrets, checks and rotations with their refusals", async () => {
  const added = await api.addDomain({ name: 'rotating.example', inbound: false, returnPath: 'rp' });
  assert.ok(added.records.every((record) => Object.keys(record).join() === 'type,name,value,purpose,status'));
  assert.ok(added.records.some((record) => record.name === 'rp.rotating.example' && record.type === 'MX'));
  assert.deepEqual(
    added.keys.map((key) => [Object.keys(key).toSorted().join(), key.state]),
    Array.from({ length: 2 }, () => ['activatedAt,algorithm,createdAt,removableAt,selector,state', 'active']),
  );
  assert.ok(!JSON.stringify(added).includes('sealed'));
  const again = await api.addDomain({ name: 'rotating.example', inbound: true });
  assert.deepEqual(again.keys, added.keys);
  assert.ok(again.records.length > added.records.length && again.inbound && again.returnPath === 'rp');

  await assert.rejects(api.rotateDomain('rotating.example', 'confirm'), refusedWith('no-rotation', 1));
  const started = await api.rotateDomain('rotating.example', 'start');
  assert.deepEqual(started.keys.map((key) => key.state).toSorted(), ['active', 'active', 'next', 'next']);
  await assert.rejects(api.rotateDomain('rotating.example', 'start'), refusedWith('rotation-under-way', 1));

  const checked = await api.checkDomain('rotating.example');
  assert.ok(checked.records.every((record) => record.status === 'unknown' && record.cause !== null && record.fix !== null));
  assert.deepEqual(checked.changes, [], 'a DNS that does not answer changes nothing');
  assert.deepEqual(checked.keys.filter((key) => key.state === 'next').length, 2);
  const confirmed = await api.rotateDomain('rotating.example', 'confirm');
  assert.deepEqual(confirmed.keys.map((key) => key.state).toSorted(), ['active', 'active', 'retiring', 'retiring']);
  // The signature lifetime of this server is a second: the next look finds that the old records may go.
  aheadMs = 2000;
  const later = await api.checkDomain('rotating.example');
  assert.equal(later.changes.length, 2);
  assert.match(later.changes[0] ?? '', /^The record p\d{8}[er]\._domainkey\.rotating\.example may be removed from the DNS\.$/);

  for (const refused of [api.checkDomain('nowhere.example'), api.rotateDomain('nowhere.example', 'start')]) await assert.rejects(refused, refusedWith('not-found', 1));
  await assert.rejects(api.addDomain({ name: 'x.example', inbound: false, returnPath: 'two.labels' }), refusedWith('invalid-request', 2));
  await api.removeDomain('rotating.example');
});

test('queue: listed, paged, shown, changed; its message is in the history with its content', async () => {
  const [first, second] = [message('x@one.example'), message('y@two.example')];
  await queue.accept(first, { lease: false });
  await queue.accept(second, { lease: false });
  const page = await api.queue({ limit: '1' });
  assert.equal(page.recipients[0]?.to, 'x@one.example');
  const rest = await api.queue({ limit: '1', after: page.next ?? '' });
  assert.equal(rest.recipients[0]?.to, 'y@two.example');
  const shown = await api.queued(first.envelope.id);
  assert.equal(shown.subject, 'Hello');
  assert.equal(shown.acceptedAt, new Date(first.envelope.acceptedAtMs).toISOString());
  assert.equal((await api.change('hold', { by: 'domain', domain: 'one.example' })).recipients, 1);
  assert.equal((await api.queue({ state: 'held' })).recipients.length, 1);
  assert.equal((await api.change('release', { by: 'domain', domain: 'one.example' })).recipients, 1);
  assert.equal((await api.lanes()).lanes.length, 2);
  const chunks: Buffer[] = [];
  for await (const chunk of await api.body(first.envelope.id)) chunks.push(chunk);
  assert.equal(Buffer.concat(chunks).toString(), 'A: b\r\n\r\nbody');
  assert.equal((await api.change('cancel', { by: 'message', id: first.envelope.id })).recipients, 1);
  await assert.rejects(api.queued(first.envelope.id), refusedWith('not-found', 1));
  const history = await api.message(first.envelope.id);
  assert.equal(history.status, 'cancelled');
  assert.equal(history.events[0]?.type, 'accepted');
  assert.match(history.events[0]?.at ?? '', /^\d{4}-/);
  assert.deepEqual(
    (await api.messages({ to: 'two.example', since: '1h' })).messages.map((row) => row.id),
    [second.envelope.id],
  );
  await assert.rejects(api.message('0000000000000000'), refusedWith('not-found', 1));
  await assert.rejects(api.body('0000000000000000'), refusedWith('not-found', 1));
});

test('reload answers what changed, and refuses what is not valid', async () => {
  assert.deepEqual((await api.reload()).changed, ['limits.recipients']);
  await assert.rejects(api.reload(), refusedWith('config-invalid', 2));
});

test('over TCP: health and metrics yes, management no', async () => {
  assert.equal((await over({ port: tcp.port }, '/health/live')).status, 200);
  assert.equal((await over({ port: tcp.port }, '/health/ready')).status, 200);
  const metrics = await over({ port: tcp.port }, '/metrics');
  assert.match(metrics.text, /^postern_accepted_messages_total\{profile="mx"\} 3$/m);
  assert.match(metrics.text, /^postern_accept_seconds_bucket\{le="0.005"\} 1$/m);
  const refused = await over({ port: tcp.port }, '/v1/credentials');
  assert.equal(refused.status, 401);
  assert.equal(refused.type, 'application/problem+json');
  for (const word of ['type', 'title', 'status', 'detail', 'code', 'cause', 'fix']) assert.ok(word in (JSON.parse(refused.text) as object), word);
});

test('what is not there, is malformed or too large is a problem too', async () => {
  const socketPath = join(dataDir, 'postern.sock');
  assert.equal((await over({ socketPath }, '/v1/nothing')).status, 404);
  assert.equal((await over({ socketPath }, '/v1/domains', { method: 'POST', body: '{' })).status, 400);
  const large = await over({ socketPath }, '/v1/domains', { method: 'POST', body: JSON.stringify({ name: 'x'.repeat(300_000) }) });
  assert.equal(large.status, 413);
  assert.match(large.text, /"fix"/);
});

test('a server that is not there: exit code 3 with the fix', async () => {
  await assert.rejects(openApi({ dataDir: join(dataDir, 'elsewhere') }).domains(), refusedWith('server-not-running', 3));
});

test('content that breaks off is an error, never a shorter message', async () => {
  async function* half(): AsyncIterable<Buffer> {
    yield Buffer.from('the first half');
    throw new Error('the message is gone');
  }
  const other = mkdtempSync(join(tmpdir(), 'postern-half-'));
  const server = await listenOnSocket(createApp({ ...parts, admin: { ...store.admin, read: async () => half() } }), join(other, 'postern.sock'));
  const read = async (): Promise<void> => {
    for await (const chunk of await openApi({ dataDir: other }).body('0000000000000000')) assert.equal(String(chunk), 'the first half');
  };
  await assert.rejects(read(), refusedWith('content-broken-off', 1));
  await server.close();
  rmSync(other, { recursive: true });
});
