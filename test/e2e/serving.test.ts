// The life of a server as its operator sees it: the ready file, ports it may not share, a drain in the middle of a transaction, and
// credentials that are withdrawn while clients are connected.

import assert from 'node:assert/strict';
import { chmodSync, existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT, startPostern } from '../support/postern.ts';
import type { Credential, Postern } from '../support/postern.ts';
import { plain, rawTlsTo, rawTo } from '../support/raw.ts';
import type { Raw } from '../support/raw.ts';
import { run, startProcess, tempDir, until } from '../support/temp.ts';
import type { Done } from '../support/temp.ts';

function serveOnce(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Done> {
  return run(process.execPath, ['--disable-warning=ExperimentalWarning', join(ROOT, 'src/cli/run.ts'), ...args], { env: { ...process.env, ...env }, timeoutMs: 30_000 });
}

async function login(postern: Postern, credential: Credential): Promise<Raw> {
  const raw = await rawTlsTo(postern.port('submissions'));
  await raw.ask('EHLO client.test');
  assert.match(await raw.ask(plain(credential)), /^235/);
  return raw;
}

test('the ready file is there while it is true: an old one goes at the start, our own at the end', async () => {
  const postern = await startPostern({ profiles: ['mx'] });
  const { readyFile } = postern;
  const written = JSON.parse(readFileSync(readyFile, 'utf8')) as { pid: number; listeners: { profile: string }[] };
  assert.equal(written.pid, postern.pid);
  assert.equal(await postern.stop(), 0);
  assert.ok(!existsSync(readyFile));

  // A server that does not come up leaves no file of another one that did.
  writeFileSync(readyFile, '{"pid":1}');
  const taken = await startPostern({ profiles: ['mx'] });
  const done = await serveOnce(['--data', tempDir('rf'), 'serve', '--ready-file', readyFile], {
    POSTERN_LISTENER: JSON.stringify([{ profile: 'mx', address: '127.0.0.1', port: taken.port('mx') }]),
    POSTERN_HTTP__PORT: '0',
  });
  assert.equal(done.code, 3, done.stderr);
  assert.match(done.stderr, /Another program listens/);
  assert.ok(!existsSync(readyFile));
});

test('what lies in the data directory is for the account of the server alone, also where others may look in', async () => {
  const dataDir = tempDir('um');
  chmodSync(dataDir, 0o755);
  const postern = await startPostern({ profiles: ['mx'], dataDir });
  await postern.credential('app');
  for (const name of readdirSync(dataDir)) if (name !== 'server.json') assert.equal(statSync(join(dataDir, name)).mode & 0o077, 0, name);
  assert.equal(statSync(postern.readyFile).mode & 0o777, 0o644);
  assert.equal((await postern.logged('data.open-to-others'))['level'], 'warn');
});

test('a ready file that cannot be written is a usage error, before anything is opened', async () => {
  const done = await serveOnce(['--data', join(tempDir('rf'), 'd'), 'serve', '--ready-file', '/nowhere/to/be/found.json']);
  assert.equal(done.code, 2, done.stderr);
  assert.match(done.stderr, /The ready file \/nowhere\/to\/be\/found\.json cannot be written/);
  assert.doesNotMatch(done.stderr, /fault of Postern/);
});

test('fewer open files than the configured connections may take are told of at the start', async () => {
  const few = await startPostern({ profiles: ['mx'], config: '[workers]\ncount = 1', under: ['prlimit', '--nofile=600'] });
  const { allowed, wanted } = await few.logged('runtime.few-files');
  assert.deepEqual({ allowed, wanted }, { allowed: 600, wanted: 2000 + 500 + 200 });
  const enough = await startPostern({
    profiles: ['mx'],
    config: '[limits]\nconnections = 50\n[delivery]\nconnections = 50\n[workers]\ncount = 1',
    under: ['prlimit', '--nofile=600'],
  });
  assert.ok(!enough.log().some((line) => line['event'] === 'runtime.few-files'));
});

test('two servers never share a port, not even with several workers each', async () => {
  const first = await startPostern({ profiles: ['mx'], config: '[workers]\ncount = 2' });
  const second = await serveOnce(['--data', join(tempDir('sp'), 'd'), 'serve'], {
    POSTERN_LISTENER: JSON.stringify([{ profile: 'mx', address: '127.0.0.1', port: first.port('mx') }]),
    POSTERN_HTTP__PORT: '0',
    POSTERN_WORKERS__COUNT: '2',
  });
  assert.equal(second.code, 3, second.stderr);
  assert.match(second.stderr, /Another program listens on 127\.0\.0\.1:\d+ \(mx\) already/);
});

test('SIGTERM in the middle of a transaction: it ends, its message is kept, then 421; exit 0', async () => {
  const postern = await startPostern({ profiles: ['mx'], config: '[inbound]\ndomains = ["local.test"]\n[[route]]\ntype = "capture"' });
  const [idle, busy] = [await rawTo(postern.port('mx')), await rawTo(postern.port('mx'))];
  for (const line of ['EHLO client.test', 'MAIL FROM:<a@e.example>', 'RCPT TO:<b@local.test>']) assert.match(await busy.ask(line), /^250/);
  const stopped = postern.stop();
  // A supervisor that signals the whole group, and bin/postern that passes its own on, are one request.
  process.kill(postern.pid, 'SIGTERM');
  assert.match(await idle.reply(), /^421 4\.3\.2/);
  assert.match(await busy.ask('DATA'), /^354/);
  const accepted = await busy.ask('Subject: late\r\n\r\nhi\r\n.');
  assert.match(accepted, /^250 2\.6\.0/);
  assert.match(await busy.reply(), /^421 4\.3\.2/);
  assert.equal(await busy.reply(), 'closed');
  assert.equal(await stopped, 0);
  const again = await startPostern({ profiles: ['mx'], dataDir: postern.dataDir });
  const id = /queued as (\w+)/.exec(accepted)?.[1] ?? '';
  await until('it is there', async () => (await again.cli('message', 'show', id)).code === 0);
});

test('npm start passes a SIGTERM on: the server drains, and npm ends with its exit code', async () => {
  const env = { POSTERN_LISTENER: '[{"profile":"mx","address":"127.0.0.1","port":0}]', POSTERN_HTTP__PORT: '0', POSTERN_DATA: join(tempDir('ns'), 'd') };
  const npm = startProcess('npm', ['start'], { cwd: ROOT, env: { ...process.env, ...env } });
  await until('it runs', () => npm.output().includes('is running as'), 60_000);
  assert.equal(await npm.end('SIGTERM'), 0, npm.output());
  assert.match(npm.output(), /server\.stopped/);
});

test('a second SIGTERM that is meant ends the server at once', async () => {
  const postern = await startPostern({ profiles: ['mx'], config: '[inbound]\ndomains = ["local.test"]' });
  const busy = await rawTo(postern.port('mx'));
  for (const line of ['EHLO client.test', 'MAIL FROM:<a@e.example>']) assert.match(await busy.ask(line), /^250/);
  process.kill(postern.pid, 'SIGTERM');
  await postern.logged('server.draining');
  await new Promise((resolve) => setTimeout(resolve, 1100));
  assert.equal(await postern.stop(), 143);
  await postern.logged('server.ended-at-once');
});

test('revoke and rotate hold at once, on connections that are open; when a credential was last used is known', async () => {
  const postern = await startPostern({ profiles: ['submissions'] });
  const [one, two, never] = [await postern.credential('one'), await postern.credential('two'), await postern.credential('never')];
  assert.notEqual(never.password, '');
  const [first, second] = [await login(postern, one), await login(postern, two)];
  assert.match(await first.ask('MAIL FROM:<a@example.com>'), /^250/);
  assert.match(await first.ask('RCPT TO:<b@example.com>'), /^250/);
  await postern.json('credential', 'revoke', 'one');
  const { password } = await postern.json<Credential>('credential', 'rotate', 'two');
  assert.match(await first.ask('DATA'), /^530 5\.7\.0/);
  assert.match(await first.ask(plain(one)), /^535 5\.7\.8/);
  assert.match(await second.ask('MAIL FROM:<a@example.com>'), /^530 5\.7\.0/);
  assert.match(await second.ask(plain({ ...two, password })), /^235/);
  assert.match(await second.ask('MAIL FROM:<a@example.com>'), /^250/);
  second.socket.destroy();
  assert.equal(await postern.stop(), 0);
  const again = await startPostern({ profiles: ['submissions'], dataDir: postern.dataDir });
  const list = await again.json<{ name: string; lastUsedAt: string | null }[]>('credential', 'list');
  const used = Object.fromEntries(list.map(({ name, lastUsedAt }) => [name, lastUsedAt !== null]));
  assert.deepEqual([used['one'], used['two'], used['never']], [true, true, false]);
});
