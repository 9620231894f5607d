// What npm would publish: packed, installed elsewhere by npm, and used: the installed program is JavaScript, runs the server and sends a message to it.

import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { ROOT } from '../support/postern.ts';
import { run, startProcess, tempDir, until } from '../support/temp.ts';

type Ready = { readonly listeners: readonly { readonly profile: string; readonly port: number }[] };

test('the packed program, installed by npm: serves, takes a message and shows it', async () => {
  const work = tempDir('pack');
  const packed = await run('npm', ['pack', '--json', '--pack-destination', work], { cwd: ROOT, timeoutMs: 120_000 });
  assert.equal(packed.code, 0, packed.stderr);
  const tarball = join(work, JSON.parse(packed.stdout.slice(packed.stdout.indexOf('[')))[0].filename as string);
  writeFileSync(join(work, 'package.json'), '{"private":true}');
  const installed = await run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', tarball], { cwd: work, timeoutMs: 300_000 });
  assert.equal(installed.code, 0, installed.stderr);
  assert.ok(existsSync(join(work, 'node_modules/postern/dist/cli/run.js')) && !existsSync(join(work, 'node_modules/postern/src')));

  const program = join(work, 'node_modules/.bin/postern');
  // The Node that runs this test is new enough; a host's own one need not be.
  const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env['PATH']}` };
  const config = join(work, 'postern.toml');
  writeFileSync(config, '[[listener]]\nprofile = "submission"\naddress = "127.0.0.1"\nport = 0\n[http]\nport = 0\n');
  const ready = join(work, 'ready.json');
  const common = ['--config', config, '--data', join(work, 'd')];
  const server = startProcess(program, [...common, 'serve', '--ready-file', ready], { cwd: work, env });
  await until('it listens', () => existsSync(ready) || server.child.exitCode !== null, 30_000);
  assert.ok(existsSync(ready), server.output());
  const { listeners } = JSON.parse(readFileSync(ready, 'utf8')) as Ready;
  const call = (...args: string[]) => run(program, [...common, ...args], { cwd: work, env });
  const { username, password } = JSON.parse((await call('--json', 'credential', 'add', 'app')).stdout) as { username: string; password: string };
  writeFileSync(join(work, 'password'), password, { mode: 0o600 });
  const to = ['--to', 'friend@example.net', '--from', 'me@example.com'];
  const sent = await call('send', '--host', '127.0.0.1', '--port', String(listeners[0]?.port), '--user', username, '--password-file', join(work, 'password'), ...to);
  assert.equal(sent.code, 0, sent.stdout + sent.stderr);
  const list = await until('it is captured', async () => {
    const { stdout } = await call('--json', 'message', 'list', '--status', 'captured');
    return stdout.includes('friend@example.net') ? stdout : null;
  });
  assert.equal((JSON.parse(list) as unknown[]).length, 1);
  assert.equal(await server.end('SIGTERM'), 0);
});
