// Every command that manages a server, against a real one, as the examples of its help say: with --json exactly one document on standard output
// and nothing else; and what the exit codes of the contract say.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { examplesIn, leaves } from '../support/program.ts';
import { ROOT, messages, startPostern } from '../support/postern.ts';
import type { Postern } from '../support/postern.ts';
import { accepted, connectTo } from '../support/submit.ts';
import { runCommands } from '../support/commands.ts';
import { tempDir, until } from '../support/temp.ts';
import type { Done } from '../support/temp.ts';

let postern: Postern;
let id: string;

before(async () => {
  // Nobody answers questions about domains: no name leaves this machine.
  postern = await startPostern({ config: '[dns]\nservers = ["127.0.0.1:1"]\ntimeout = "200ms"\n[domains]\ncheck = "off"\n' });
  const app = await postern.credential('captured');
  const client = await connectTo(postern.port('submission'), { credential: app });
  id = await accepted(client, { to: ['b@example.net'] });
  await client.quit();
  await messages(postern, 'captured', 1);
});

function run(commands: readonly (readonly string[])[]): Promise<readonly Done[]> {
  return runCommands(
    commands.map((args) => ({ args: ['--data', postern.dataDir, ...args] })),
    { cwd: postern.dataDir },
  );
}

test('the content comes byte for byte, with --json in base64', async () => {
  const [plain, json] = await run([
    ['message', 'body', id],
    ['--json', 'message', 'body', id],
  ]);
  const said = JSON.parse(json?.stdout ?? '') as { id: string; encoding: string; content: string };
  assert.deepEqual([said.id, said.encoding], [id, 'base64']);
  assert.equal(Buffer.from(said.content, 'base64').toString(), plain?.stdout);
  assert.match(plain?.stdout ?? '', /\r\n\r\nHello there\.\r\n$/);
});

test('every example, with --json: one document, and none is refused for how it was asked', async () => {
  const managing = (await leaves()).filter(({ words }) => !['serve', 'send', 'sink', 'sendmail', 'doctor', 'advise', 'config'].includes(words[0] ?? ''));
  const groups = [...new Set(managing.map(({ words }) => words[0] ?? ''))];
  const examples = (await run(groups.map((group) => [group, '--help'])))
    .flatMap((help) => examplesIn(help.stdout))
    .map((example) => ['--json', ...example.filter((word) => word !== '--json').map((word) => (word === '0123456789abcdef' ? id : word))]);
  for (const { words } of managing)
    assert.ok(
      examples.some((example) => words.every((word) => example.includes(word))),
      `${words.join(' ')} is among the examples`,
    );
  const runs = await run(examples);
  for (const [i, done] of runs.entries()) {
    const what = `postern ${examples[i]?.join(' ')}: ${done.stderr}`;
    assert.match(done.stdout, /^[^\n]+\n$/, what);
    const said = JSON.parse(done.stdout) as { error?: { code: string; cause: string; fix: string } };
    assert.ok(done.code === 0 || done.code === 1 || (done.code === 2 && !['usage', 'invalid-request'].includes(said.error?.code ?? 'usage')), what);
    // Bad news is told to people as well, and a failure is no stack trace.
    if (said.error !== undefined) assert.match(done.stderr, /^error: .+\nfix: {3}.+\n$/s, what);
    assert.doesNotMatch(done.stderr, /fault of Postern|\n {4}at /, what);
  }
});

test('the same commands for people: text on standard output, no JSON', async () => {
  const runs = await run([
    ['credential', 'list'],
    ['domain', 'list'],
    ['queue', 'list'],
    ['queue', 'lanes'],
    ['message', 'list'],
    ['message', 'list', '--to', 'example.net'],
    ['tls', 'show'],
  ]);
  for (const done of runs) {
    assert.equal(done.code, 0, done.stderr);
    assert.notEqual(done.stdout, '');
    assert.doesNotMatch(done.stdout, /^[[{]/);
  }
});

test('nothing found: exit code 1; an empty answer to no question at all: 0', async () => {
  const nothing = '0000000000000000';
  const cases: readonly (readonly [readonly string[], number])[] = [
    [['queue', 'list'], 0],
    [['queue', 'list', '--domain', 'nowhere.example'], 1],
    [['queue', 'show', nothing], 1],
    [['queue', 'retry', nothing], 1],
    [['queue', 'retry', '--domain', 'nowhere.example'], 1],
    [['queue', 'retry', '--all'], 0],
    [['queue', 'cancel', '--lane', 'nowhere', '--yes'], 1],
    [['queue', 'hold', '--domain', 'nowhere.example'], 0],
    [['queue', 'release', '--domain', 'nowhere.example'], 0],
    [['queue', 'release', nothing], 1],
    [['queue', 'lanes'], 0],
    [['message', 'list', '--to', 'nowhere.example'], 1],
    [['message', 'show', nothing], 1],
    [['message', 'body', nothing], 1],
    [['credential', 'revoke', 'nobody'], 1],
    [['credential', 'rotate', 'nobody'], 1],
    [['credential', 'add', 'captured'], 1],
    [['domain', 'show', 'nowhere.example'], 1],
    [['domain', 'remove', 'nowhere.example'], 1],
    [['credential', 'add', 'not a name'], 2],
    [['credential', 'add', 'x', '--domain', 'no domain'], 2],
    [['credential', 'add', 'x', '--allow-ip', '10.0.0.0/99'], 2],
    [['credential', 'add', 'x', '--rate', 'many'], 2],
    [['domain', 'add', 'no domain'], 2],
    [['queue', 'list', '--state', 'asleep'], 2],
    [['queue', 'list', '--limit', '0'], 2],
    [['queue', 'retry'], 2],
    [['queue', 'retry', nothing, '--all'], 2],
    [['queue', 'cancel', '--all'], 2],
    [['message', 'show', 'no-id'], 2],
    [['message', 'list', '--since', 'yesterday'], 2],
  ];
  const runs = await run(cases.flatMap(([args]) => [args, ['--json', ...args]]));
  for (const [i, [args, code]] of cases.entries()) {
    const [plain, json] = [runs[2 * i], runs[2 * i + 1]];
    const what = `postern ${args.join(' ')}: ${plain?.stderr ?? ''}`;
    assert.deepEqual([plain?.code, json?.code], [code, code], what);
    assert.match(json?.stdout ?? '', /^[^\n]+\n$/, what);
    JSON.parse(json?.stdout ?? '');
  }
});

test('serve --json: one document when it listens, exit code 0 after SIGTERM; a port that is taken is one document and exit code 3', async () => {
  const work = tempDir('serve');
  const config = join(work, 'postern.toml');
  const serve = (): ReturnType<typeof spawn> =>
    spawn(process.execPath, ['--disable-warning=ExperimentalWarning', join(ROOT, 'src/cli/run.ts'), '--json', '--config', config, '--data', join(work, 'd'), 'serve'], {
      cwd: work,
    });
  const listener = (port: number): string => `[[listener]]\nprofile = "mx"\naddress = "127.0.0.1"\nport = ${port}\n[http]\nport = 0\n`;
  const output = (child: ReturnType<typeof spawn>): { stdout: string; code: Promise<number | null> } => {
    const seen = { stdout: '', code: once(child, 'close').then(([code]) => code as number | null) };
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (seen.stdout += text));
    child.stderr?.resume();
    return seen;
  };
  writeFileSync(config, listener(0));
  const child = serve();
  const running = output(child);
  await until('it says that it listens', () => running.stdout.endsWith('\n'), 30_000);
  child.kill('SIGTERM');
  assert.equal(await running.code, 0);
  const said = JSON.parse(running.stdout) as { listeners: { profile: string }[] };
  assert.equal(said.listeners[0]?.profile, 'mx');

  writeFileSync(config, listener(postern.port('mx')));
  const refused = output(serve());
  assert.equal(await refused.code, 3);
  const { error } = JSON.parse(refused.stdout) as { error: { code: string; cause: string; fix: string } };
  assert.match(error.cause, new RegExp(String(postern.port('mx'))));
});
