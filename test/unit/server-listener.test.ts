// A listening port over real sockets, with a policy that lets everything pass: who is counted when, what slow and silent clients get, PROXY
// headers, and what channel binding is made of.

import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import type { Log } from '#base/log.ts';
import { openListener } from '#server/listener.ts';
import type { Listener, ListenerOptions } from '#server/listener.ts';
import type { Connection, Identity, Policy, SessionLimits } from '#smtp/policy.ts';
import { REPLIES } from '#smtp/reply.ts';
import { VAULT_KEY_BYTES, openVault } from '#base/vault.ts';
import { makeSelfSigned } from '#tls/certificate.ts';
import { openChallengeTable } from '#tls/acme/tls-alpn-01.ts';
import { openServerTls } from '#tls/context.ts';
import { Raw, rawTo } from '../support/raw.ts';
import { atEnd, tempDir, until } from '../support/temp.ts';

const LIMITS: SessionLimits = {
  messageSizeBytes: 1_000_000,
  recipients: 10,
  authFailures: 3,
  idleCommands: 100,
  commandTimeoutMs: 300,
  dataTimeoutMs: 1500,
  sessionTimeoutMs: 60_000,
};

const CLIENT_KEY = Buffer.alloc(32, 7);
const STORED_KEY = createHash('sha256').update(CLIENT_KEY).digest();

type Bench = {
  readonly listener: Listener;
  readonly tls: Awaited<ReturnType<typeof openServerTls>>;
  /** Connections admitted and not yet closed. */
  readonly open: Connection[];
  /** All that were ever admitted. */
  readonly seen: Connection[];
  readonly events: string[];
  /** Most connections that may be open. */
  most: number;
};

async function bench(options: Partial<ListenerOptions<Identity>> & { limits?: () => SessionLimits; dataDir?: string } = {}): Promise<Bench> {
  const dataDir = options.dataDir ?? tempDir('tl');
  const tls = await openServerTls({
    mode: 'self-signed',
    cert: null,
    key: null,
    certificates: [],
    minVersion: 'TLSv1.2',
    hostname: 'relay.test',
    dataDir,
    vault: openVault(Buffer.alloc(VAULT_KEY_BYTES, 7)),
    clock: systemClock,
    log: silentLog,
  });
  const open: Connection[] = [];
  const seen: Connection[] = [];
  const events: string[] = [];
  const note = (event: string): void => void events.push(event);
  const log: Log = { ...silentLog, info: note, warn: note, error: note };
  const state: Omit<Bench, 'listener'> = { tls, open, seen, events, most: 1000 };
  const policy: Policy<Identity> = {
    connect(connection) {
      open.push(connection);
      seen.push(connection);
      return open.length > state.most ? REPLIES.tooManyConnections('to this server', state.most) : null;
    },
    closed(connection) {
      const at = open.indexOf(connection);
      assert.notEqual(at, -1, 'closed without connect');
      open.splice(at, 1);
    },
    authenticate: () => ({ refusal: REPLIES.authFailed }),
    scramKeys: () => ({ salt: Buffer.alloc(16), iterations: 4096, storedKey: STORED_KEY, serverKey: Buffer.alloc(32) }),
    authenticated: (_, username) => ({ identity: { credential: username, username } }),
    authFailed: () => {},
    mail: () => null,
    rcpt: () => null,
    postmasterDomain: () => 'relay.test',
    data: () => ({ write: () => {}, finish: () => REPLIES.queued('id'), abort: () => {} }),
    refused: () => {},
  };
  const listener = await openListener<Identity>({
    profile: 'mx',
    address: '127.0.0.1',
    port: 0,
    proxyProtocol: false,
    reusePort: false,
    policy,
    limits: () => LIMITS,
    hostname: 'relay.test',
    tls,
    challenges: openChallengeTable(),
    log,
    ...options,
  });
  atEnd(() => listener.close());
  return Object.assign(state, { listener });
}

const patient = (): SessionLimits => ({ ...LIMITS, commandTimeoutMs: 60_000, dataTimeoutMs: 60_000 });

async function silent(port: number): Promise<Raw> {
  const socket = connect({ port, host: '127.0.0.1' });
  await once(socket, 'connect');
  return new Raw(socket);
}

async function tlsTo(port: number, options: { maxVersion?: 'TLSv1.2' | 'TLSv1.3'; session?: Buffer } = {}): Promise<TLSSocket> {
  const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, servername: 'relay.test', ...options });
  atEnd(() => socket.destroy());
  await once(socket, 'secureConnect');
  return socket;
}

test('465: a connection counts from its first moment, also before and without a handshake, and only once', async () => {
  const state = await bench({ profile: 'submissions', limits: patient });
  state.most = 2;
  const first = await silent(state.listener.port);
  await until('the silent one counts', () => state.open.length === 1);
  // Handshakes that fail are counted and given back like any other.
  for (let i = 1; i <= 3; i++) {
    const broken = await silent(state.listener.port);
    broken.send('EHLO client.test\r\n');
    await until('it is gone', () => broken.closed && state.seen.length === 1 + i);
  }
  await until('they are given back', () => state.open.length === 1);
  const second = new Raw(await tlsTo(state.listener.port));
  assert.match(await second.reply(), /^220/);
  const third = new Raw(await tlsTo(state.listener.port));
  assert.match(await third.reply(), /^421 4\.7\.0 Too many connections/);
  first.socket.destroy();
  await until('there is room again', () => state.open.length === 1);
  assert.match(await new Raw(await tlsTo(state.listener.port)).reply(), /^220/);
});

test('a client that trickles is no better than a silent one', async () => {
  const { listener } = await bench();
  const raw = await rawTo(listener.port);
  const trickle = setInterval(() => raw.send('E'), 20);
  try {
    assert.match(await raw.reply(), /^421 4\.4\.2/);
    assert.equal(await raw.reply(), 'closed');
  } finally {
    clearInterval(trickle);
  }
});

test('content that keeps coming keeps the connection, and silence ends it', async () => {
  const { listener } = await bench();
  const raw = await rawTo(listener.port);
  for (const line of ['EHLO client.test', 'MAIL FROM:<a@example.com>', 'RCPT TO:<b@example.com>', 'DATA']) await raw.ask(line);
  for (let i = 0; i < 8; i++) {
    raw.send('line\r\n');
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  assert.match(await raw.ask('.'), /^250/);
  for (const line of ['MAIL FROM:<a@example.com>', 'RCPT TO:<b@example.com>', 'DATA']) await raw.ask(line);
  raw.send('line\r\n');
  assert.match(await raw.reply(), /^421 4\.4\.2/);
});

test('a client that has sent everything and closed its side reads all the answers, in the clear and over TLS', async () => {
  const { listener, open } = await bench({ limits: patient });
  const script = 'EHLO client.test\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nBDAT 3 LAST\r\nx\r\nQUIT\r\n';
  const raw = await rawTo(listener.port);
  raw.socket.end(script);
  assert.deepEqual(
    (await raw.rest(5000)).map((reply) => reply.slice(0, 3)),
    ['250', '250', '250', '250', '221', 'clo'],
  );
  const secured = await rawTo(listener.port);
  await secured.ask('EHLO client.test');
  await secured.startTls();
  secured.socket.end(script);
  assert.deepEqual(
    (await secured.rest(5000)).map((reply) => reply.slice(0, 3)),
    ['250', '250', '250', '250', '221', 'clo'],
  );
  const leaves = await rawTo(listener.port);
  leaves.socket.end('EHLO client.test\r\n');
  assert.deepEqual(
    (await leaves.rest(5000)).map((reply) => reply.slice(0, 3)),
    ['250', 'clo'],
  );
  await until('all are gone', () => open.length === 0);
});

test('a client that never reads does not fill our memory: its commands wait', async () => {
  const { listener } = await bench({ limits: () => ({ ...patient(), idleCommands: 1_000_000 }) });
  const raw = await rawTo(listener.port);
  raw.socket.pause();
  const block = Buffer.from('EHLO client.test\r\n'.repeat(4000));
  let taken = 0;
  // The writes stop being taken once the server no longer reads.
  await until('the server stops reading', async () => {
    if (!raw.socket.write(block)) await Promise.race([once(raw.socket, 'drain'), new Promise((resolve) => setTimeout(resolve, 200))]);
    taken += block.length;
    return raw.socket.writableLength > 4 * block.length;
  });
  assert.ok(taken < 64_000_000, `${taken} bytes went in`);
});

test('a PROXY header tells the client, in one spelling; who is not trusted may not say it', async () => {
  const state = await bench({ proxyProtocol: ['127.0.0.0/8'], limits: patient });
  const v2 = (address: Buffer): Buffer => Buffer.concat([Buffer.from('\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24', 'latin1'), address, Buffer.alloc(16), Buffer.from([0x10, 0, 0, 25])]);
  for (const [header, expected] of [
    [Buffer.from('PROXY TCP4 192.0.2.7 192.0.2.1 4000 25\r\n'), '192.0.2.7'],
    [Buffer.from('PROXY TCP6 ::FFFF:192.0.2.8 2001:db8::1 4000 25\r\n'), '192.0.2.8'],
    [Buffer.from('PROXY TCP6 2001:DB8:0::9 2001:db8::1 4000 25\r\n'), '2001:db8::9'],
    [v2(Buffer.from('00000000000000000000ffffc000020a', 'hex')), '192.0.2.10'],
    [v2(Buffer.from('20010db800000000000000000000000b', 'hex')), '2001:db8::b'],
    [Buffer.from('PROXY UNKNOWN\r\n'), '127.0.0.1'],
  ] as const) {
    const raw = await silent(state.listener.port);
    raw.send(header.subarray(0, 7));
    raw.send(Buffer.concat([header.subarray(7), Buffer.from('EHLO client.test\r\n')]));
    assert.match(await raw.reply(), /^220/);
    assert.match(await raw.reply(), /^250/);
    assert.equal(state.seen.at(-1)?.clientAddress, expected);
    raw.socket.destroy();
  }
  for (const bad of ['EHLO client.test\r\n', 'PROXY TCP4 192.0.2.7 192.0.2.1 4000\r\n', `PROXY ${'x'.repeat(120)}`, 'PROXY TCP4 ::1 ::1 1 2\r\n']) {
    const before = state.seen.length;
    const raw = await silent(state.listener.port);
    raw.send(bad);
    assert.equal(await raw.reply(), 'closed', bad);
    assert.equal(state.seen.length, before);
  }
  state.events.length = 0;
  const mute = await silent(state.listener.port);
  mute.send('PROXY ');
  assert.equal(await mute.reply(), 'closed');
  assert.deepEqual(state.events, ['proxy.refused']);
  const others = await bench({ proxyProtocol: ['192.0.2.0/24'], limits: patient });
  const raw = await rawTo(others.listener.port);
  assert.match(await raw.ask('PROXY TCP4 192.0.2.7 192.0.2.1 4000 25'), /^500/);
  assert.equal(others.seen[0]?.clientAddress, '127.0.0.1');
});

test('a drain lets a transaction end, then cuts off who goes on, with 421', async () => {
  const { listener } = await bench({ limits: patient });
  const idle = await rawTo(listener.port);
  const busy = await rawTo(listener.port);
  const stuck = await rawTo(listener.port);
  for (const raw of [busy, stuck]) for (const line of ['EHLO client.test', 'MAIL FROM:<a@example.com>', 'RCPT TO:<b@example.com>', 'DATA']) await raw.ask(line);
  const drained = listener.drain(1000);
  assert.match(await idle.reply(), /^421 4\.3\.2/);
  assert.match(await busy.ask('x\r\n.'), /^250/);
  assert.match(await busy.reply(), /^421 4\.3\.2/);
  assert.match(await stuck.reply(), /^421 4\.3\.2/);
  await drained;
  assert.equal(listener.connections(), 0);
});

/** SCRAM-SHA-256-PLUS with this binding up to the server's answer to the proof. */
async function bindWith(socket: TLSSocket, type: string, data: Buffer): Promise<string> {
  const raw = new Raw(socket);
  await raw.reply();
  await raw.ask('EHLO client.test');
  const bare = 'n=app,r=clientnonce';
  const first = await raw.ask(`AUTH SCRAM-SHA-256-PLUS ${Buffer.from(`p=${type},,${bare}`).toString('base64')}`);
  const serverFirst = Buffer.from(first.slice(4), 'base64').toString();
  const nonce = /^r=([^,]+)/.exec(serverFirst)?.[1] ?? assert.fail(first);
  const final = `c=${Buffer.concat([Buffer.from(`p=${type},,`), data]).toString('base64')},r=${nonce}`;
  const signature = createHmac('sha256', STORED_KEY).update(`${bare},${serverFirst},${final}`).digest();
  const proof = Buffer.from(CLIENT_KEY.map((byte, i) => byte ^ (signature[i] ?? 0)));
  return raw.ask(Buffer.from(`${final},p=${proof.toString('base64')}`).toString('base64'));
}

test('channel binding: the same bytes on both sides, and those of the certificate in use when another was loaded since', async () => {
  const dataDir = tempDir('cb');
  const state = await bench({ profile: 'submissions', limits: patient, dataDir });
  const of = (socket: TLSSocket): Buffer => createHash('sha256').update(socket.getPeerCertificate().raw).digest();

  const modern = await tlsTo(state.listener.port);
  const [cert, key] = ['cert', 'key'].map((name) => join(dataDir, 'tls', `${name}.pem`)) as [string, string];
  const next = makeSelfSigned(['relay.test', 'localhost'], { fromMs: Date.now() - 1000, untilMs: Date.now() + 86_400_000 * 60 });
  writeFileSync(cert, next.certPem);
  writeFileSync(key, next.keyPem);
  await state.tls.reload();
  assert.match(await bindWith(modern, 'tls-server-end-point', of(modern)), /^334/, 'the old certificate on the old connection');
  const fresh = await tlsTo(state.listener.port);
  assert.notDeepEqual(of(fresh), of(modern));
  assert.match(await bindWith(fresh, 'tls-server-end-point', of(fresh)), /^334/);
  const exporter = await tlsTo(state.listener.port);
  assert.match(await bindWith(exporter, 'tls-exporter', exporter.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0))), /^334/);
  const older = await tlsTo(state.listener.port, { maxVersion: 'TLSv1.2' });
  assert.match(await bindWith(older, 'tls-unique', older.getFinished() as Buffer), /^334/);
  const resumed = await tlsTo(state.listener.port, { maxVersion: 'TLSv1.2', session: older.getSession() as Buffer });
  assert.ok(resumed.isSessionReused());
  assert.match(await bindWith(resumed, 'tls-unique', resumed.getPeerFinished() as Buffer), /^334/);
  const wrong = await tlsTo(state.listener.port);
  assert.match(await bindWith(wrong, 'tls-server-end-point', Buffer.alloc(32)), /^535/);
});
