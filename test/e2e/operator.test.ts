// The operator's verbs on a running server: list, show, hold, release, retry, cancel, lanes; domains; credentials with addresses and rates;
// reload and drain; PROXY; certificates by name.

import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { once } from 'node:events';
import { before, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import type { PeerCertificate } from 'node:tls';
import { makeAuthority } from '../support/authority.ts';
import { startDns } from '../support/dns.ts';
import { startPostern } from '../support/postern.ts';
import type { Credential, Postern } from '../support/postern.ts';
import { Raw, plain, rawTo } from '../support/raw.ts';
import { startReceiver } from '../support/receiver.ts';
import type { Receiver } from '../support/receiver.ts';
import { accepted, connectTo, message } from '../support/submit.ts';
import { tempDir, until } from '../support/temp.ts';

type Row = { id: string; n: number; to: string; state: string; lane: string; attempts: number };

let postern: Postern;
let app: Credential;
let receiver: Receiver;

before(async () => {
  receiver = await startReceiver({ address: '127.0.0.70', reply: (line) => (line.startsWith('RCPT TO:<busy') ? '450 4.2.1 Busy' : undefined) });
  const dns = await startDns({ 'example.test': '@ MX 10 mx\nmx A 127.0.0.70\nother MX 10 mx2\nmx2 A 127.0.0.70' });
  postern = await startPostern({
    config: `[dns]\nservers = ["${dns.server}"]\n[delivery]\nmx_port = ${receiver.port}\nallow_private_addresses = true\n[queue]\nretry = { first = "1h", factor = 1, max = "1h", jitter = 0 }\n`,
  });
  app = await postern.credential('app', '--live');
});

async function send(to: string, credential = app): Promise<string> {
  const client = await connectTo(postern.port('submission'), { credential });
  const id = await accepted(client, { to: [to], content: message(`to ${to}`) });
  await client.quit();
  return id;
}

const queue = (...args: string[]): Promise<Row[]> => postern.json<Row[]>('queue', 'list', ...args);
const stateOf = async (id: string): Promise<string | undefined> => (await queue()).find((row) => row.id === id)?.state;

test('a deferred message is listed and shown with its last answer, retried by hand, and cancelled', async () => {
  const id = await send('busy1@example.test');
  await until('deferred', async () => (await stateOf(id)) === 'deferred');
  const row = (await queue()).find((one) => one.id === id);
  assert.equal(row?.lane, 'mx:mx.example.test');
  assert.equal(row?.attempts, 1);
  const shown = await postern.cli('queue', 'show', id);
  assert.match(shown.stdout, /450 4\.2\.1 Busy/);
  const lanes = await postern.json<{ lane: string; deferred: number }[]>('queue', 'lanes');
  assert.ok(lanes.some((lane) => lane.lane === 'mx:mx.example.test' && lane.deferred === 1));
  await postern.json('queue', 'retry', id);
  await until('tried twice', async () => (await queue()).find((one) => one.id === id)?.attempts === 2);
  assert.equal((await postern.json<{ recipients: number }>('queue', 'cancel', id, '--yes')).recipients, 1);
  assert.equal(await stateOf(id), undefined);
  assert.equal((await postern.json<{ status: string }>('message', 'show', id)).status, 'cancelled');
});

test('a held domain keeps what comes, and what is released goes out', async () => {
  await postern.json('queue', 'hold', '--domain', 'other.example.test');
  const id = await send('a@other.example.test');
  await until('held', async () => (await stateOf(id)) === 'held');
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(await stateOf(id), 'held');
  await postern.json('queue', 'release', '--domain', 'other.example.test');
  await until('delivered', () => receiver.received.some((received) => received.to[0] === 'a@other.example.test'));
});

test('retry by lane and by --all; nothing found is exit 1', async () => {
  const id = await send('busy2@example.test');
  await until('deferred', async () => (await stateOf(id)) === 'deferred');
  await postern.json('queue', 'retry', '--lane', 'mx:mx.example.test');
  await until('tried twice', async () => (await queue()).find((row) => row.id === id)?.attempts === 2);
  await postern.json('queue', 'retry', '--all');
  await until('tried three times', async () => (await queue()).find((row) => row.id === id)?.attempts === 3);
  assert.equal((await postern.cli('queue', 'show', '0000000000000000')).code, 1);
  assert.equal((await postern.cli('message', 'show', '0000000000000000')).code, 1);
  assert.equal((await postern.cli('message', 'list', '--to', 'nobody@nowhere.test')).code, 1);
  await postern.json('queue', 'cancel', '--all', '--yes');
});

test('domains: add, list, show, remove', async () => {
  type Rows = Readonly<Record<'type' | 'name' | 'value' | 'purpose' | 'status', string>>[];
  const added = await postern.json<Rows>('domain', 'add', 'Sender.Example', '--inbound');
  assert.ok(added.every((record) => Object.keys(record).join() === 'type,name,value,purpose,status'));
  assert.deepEqual([...new Set(added.map((record) => record.purpose))], ['spf', 'dkim-rsa', 'dkim-ed25519', 'dmarc', 'return-path', 'mx', 'mta-sts', 'tls-rpt']);
  const listed = await postern.json<{ name: string; inbound: boolean }[]>('domain', 'list');
  assert.deepEqual([listed.find((domain) => domain.name === 'sender.example')?.inbound], [true]);
  assert.deepEqual(await postern.json<Rows>('domain', 'add', 'sender.example'), added, 'its keys stay');
  assert.deepEqual(await postern.json<Rows>('domain', 'show', 'sender.example'), added);
  await postern.json('domain', 'remove', 'sender.example');
  assert.equal((await postern.cli('domain', 'show', 'sender.example')).code, 1);
  assert.equal((await postern.cli('domain', 'add', 'not a domain')).code, 2);
});

test('credentials: addresses, rates, rotation and revocation take effect at once', async () => {
  const elsewhere = await postern.credential('elsewhere', '--allow-ip', '192.0.2.0/24');
  const login = async (credential: Credential): Promise<string> => {
    const raw = await rawTo(postern.port('submission'));
    await raw.ask('EHLO c');
    await raw.startTls();
    await raw.ask('EHLO c');
    return raw.ask(plain(credential));
  };
  assert.match(await login(elsewhere), /^535 5\.7\.8 .*127\.0\.0\.1/);
  const slow = await postern.credential('slow', '--live', '--rate', '2/h');
  await send('a@example.test', slow);
  await send('a@example.test', slow);
  await assert.rejects(send('a@example.test', slow), /450 .*Rate/);
  const rotated = await postern.json<Credential>('credential', 'rotate', 'slow');
  assert.match(await login(slow), /^535/);
  assert.match(await login(rotated), /^235/);
  await postern.json('credential', 'revoke', 'slow');
  assert.match(await login(rotated), /^535/);
  const { stdout } = await postern.cli('credential', 'list');
  assert.ok(!stdout.includes(rotated.password));
  assert.match((await postern.cli('credential', 'add', 'app')).stderr, /already/);
});

test('no secret is in the log or in the data directory in the clear', async () => {
  const files = ['directory.db', 'directory.db-wal', 'queue.db', 'queue.db-wal', 'history.db'].map((name) => {
    try {
      return readFileSync(join(postern.dataDir, name)).toString('latin1');
    } catch {
      return '';
    }
  });
  for (const text of [postern.process.output().replace(/\n {2}password .*|printf %s '[^']+'/g, ''), ...files]) {
    assert.ok(!text.includes(app.password));
    assert.ok(!text.includes(Buffer.from(app.password).toString('base64')));
  }
});

test('PROXY version 1 and 2 from trusted networks give the client its address; without the header the connection ends', async () => {
  const proxied = await startPostern({
    profiles: ['mx'],
    listener: 'proxy_protocol = ["127.0.0.0/8"]',
    config: '[inbound]\ndomains = ["local.test"]\n[[route]]\ntype = "capture"\n',
  });
  const v2 = Buffer.concat([Buffer.from('0d0a0d0a000d0a515549540a2111000c', 'hex'), Buffer.from([203, 0, 113, 9, 127, 0, 0, 1, 0x30, 0x39, 0, 25])]);
  for (const [header, address] of [
    [Buffer.from('PROXY TCP4 203.0.113.7 127.0.0.1 4242 25\r\n'), '203.0.113.7'],
    [Buffer.from('PROXY TCP6 2001:db8::7 ::1 4242 25\r\n'), '2001:db8::7'],
    [v2, '203.0.113.9'],
  ] as const) {
    const socket = connect({ port: proxied.port('mx'), host: '127.0.0.1' });
    await once(socket, 'connect');
    const raw = new Raw(socket);
    raw.send(header);
    assert.match(await raw.reply(), /^220/);
    await raw.ask('EHLO c');
    await raw.ask('MAIL FROM:<x@e.example>');
    await raw.ask('RCPT TO:<y@local.test>');
    await raw.ask('DATA');
    const id = /([0-9a-z]{16})/.exec(await raw.ask('Subject: s\r\n\r\nx\r\n.'))?.[1] ?? '';
    const { envelope } = await proxied.json<{ envelope: { origin: { clientAddress: string } } }>('message', 'show', id);
    assert.equal(envelope.origin.clientAddress, address);
  }
  const bare = await rawTo(proxied.port('mx'), { greeting: false });
  bare.send('EHLO c\r\n');
  assert.equal(await bare.reply(), 'closed');
  await proxied.stop();
});

test('certificates: by SNI, and renewed ones after SIGHUP without a restart', async () => {
  const authority = makeAuthority();
  const dir = tempDir('tls');
  const [first, second, renewed] = [authority.issue(['relay.test']), authority.issue(['other.test']), authority.issue(['relay.test'])];
  writeFileSync(join(dir, 'cert.pem'), first.cert);
  writeFileSync(join(dir, 'key.pem'), first.key);
  const server = await startPostern({
    profiles: ['submissions'],
    config: `[tls]\nmode = "files"\ncert = "${dir}/cert.pem"\nkey = "${dir}/key.pem"\n[[tls.certificate]]\ncert = "${second.certFile}"\nkey = "${second.keyFile}"\n`,
  });
  const shown = async (servername: string): Promise<PeerCertificate> => {
    const socket = connectTls({ port: server.port('submissions'), host: '127.0.0.1', servername, ca: readFileSync(authority.caFile) });
    await once(socket, 'secureConnect');
    const certificate = socket.getPeerCertificate();
    socket.destroy();
    return certificate;
  };
  assert.match((await shown('relay.test')).subjectaltname ?? '', /relay\.test/);
  assert.match((await shown('other.test')).subjectaltname ?? '', /other\.test/);
  const before = (await shown('relay.test')).serialNumber;
  writeFileSync(join(dir, 'cert.pem'), renewed.cert);
  writeFileSync(join(dir, 'key.pem'), renewed.key);
  process.kill(server.pid, 'SIGHUP');
  await server.logged('server.reloaded');
  assert.notEqual((await shown('relay.test')).serialNumber, before);
  writeFileSync(join(dir, 'cert.pem'), 'broken');
  process.kill(server.pid, 'SIGHUP');
  await server.logged('server.not-reloaded');
  assert.match((await shown('relay.test')).subjectaltname ?? '', /relay\.test/);
  await server.stop();
});

test('the self-signed certificate follows the host name at the next start', async () => {
  const dataDir = join(tempDir('pn'), 'd');
  const namesAfterStart = async (hostname: string): Promise<string> => {
    const server = await startPostern({ dataDir, hostname, profiles: ['submissions'] });
    const socket = connectTls({ port: server.port('submissions'), host: '127.0.0.1', rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    const { subjectaltname } = socket.getPeerCertificate();
    socket.destroy();
    assert.equal(await server.stop(), 0);
    return String(subjectaltname);
  };
  assert.match(await namesAfterStart('old.test'), /DNS:old\.test\b/);
  assert.match(await namesAfterStart('new.test'), /DNS:new\.test\b/);
});

test('SIGTERM drains: no new connections, the running transaction ends well, exit 0', async () => {
  const server = await startPostern({ config: '[inbound]\ndomains = ["local.test"]\n[[route]]\ntype = "capture"\n' });
  const raw = await rawTo(server.port('mx'));
  await raw.ask('EHLO c');
  await raw.ask('MAIL FROM:<x@e.example>');
  await raw.ask('RCPT TO:<y@local.test>');
  await raw.ask('DATA');
  const ended = server.stop();
  await server.logged('server.draining');
  await assert.rejects(rawTo(server.port('mx')));
  assert.match(await raw.ask('Subject: s\r\n\r\nx\r\n.'), /^250 2\.6\.0/);
  assert.match(await raw.reply(), /^421 4\.3\.2|closed/);
  assert.equal(await ended, 0);
});

test('a second server on the same data directory is refused, with 3', async () => {
  const done = await postern.cli('serve');
  assert.equal(done.code, 3);
  assert.match(done.stderr, /Another Postern server/);
});
