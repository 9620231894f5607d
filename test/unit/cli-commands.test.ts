// What holds for every command: help with examples that are right, the exit codes of the contract, and with --json exactly one document.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { wholeProgram } from '#cli/main.ts';
import { runCommands } from '../support/commands.ts';
import { examplesIn, leaves } from '../support/program.ts';
import type { Leaf } from '../support/program.ts';
import { tempDir } from '../support/temp.ts';
import type { Done } from '../support/temp.ts';

const dir = tempDir('cli');
let all: readonly Leaf[];

before(async () => {
  all = await leaves();
});

function run(commands: readonly (readonly string[])[]): Promise<readonly Done[]> {
  return runCommands(
    commands.map((args) => ({ args })),
    { cwd: dir },
  );
}

/** Exactly one JSON document, on one line. */
function document(done: Done | undefined, what: string): Record<string, unknown> {
  assert.match(done?.stdout ?? '', /^[^\n]+\n$/, `${what}: one document on standard output`);
  return JSON.parse(done?.stdout ?? '') as Record<string, unknown>;
}

function checkError(done: Done | undefined, what: string): void {
  const { error } = document(done, what) as { error?: Record<string, unknown> };
  for (const key of ['code', 'cause', 'fix']) assert.equal(typeof error?.[key], 'string', `${what}: error.${key}`);
  assert.notEqual(done?.stderr, '', `${what}: people are told too`);
}

test('there are commands', () => {
  assert.ok(all.length > 20, String(all.length));
});

test('--help: usage and examples, on standard output, exit code 0; the same by "help"', async () => {
  const helps = await run(all.map(({ words }) => [...words, '--help']));
  for (const [i, { words }] of all.entries()) {
    const help = helps[i];
    assert.equal(help?.code, 0, words.join(' '));
    assert.equal(help?.stderr, '');
    assert.ok(help?.stdout.startsWith(`Usage: postern ${words.join(' ')}`), words.join(' '));
    const own = examplesIn(help?.stdout ?? '').filter((example) => words.every((word) => example.includes(word)));
    assert.ok(own.length > 0, `the help of ${words.join(' ')} has an example of it`);
  }
});

test('every example of every help can be given as it stands', async () => {
  const helps = await run([['--help'], ...[...new Set(all.map(({ words }) => words[0] ?? ''))].map((word) => [word, '--help'])]);
  const examples = helps.flatMap((help) => examplesIn(help.stdout));
  assert.ok(examples.length > all.length);
  for (const example of examples) {
    // Parsed by the program itself, with nothing done.
    const program = await wholeProgram();
    let reached = false;
    const still = (command: typeof program): void => {
      for (const child of command.commands) {
        child.action(() => void (reached = true));
        still(child);
      }
    };
    still(program);
    program.configureOutput({ writeErr() {}, writeOut() {} });
    await program.parseAsync(example, { from: 'user' }).catch((error: unknown) => assert.fail(`postern ${example.join(' ')}: ${String(error)}`));
    assert.ok(reached, `postern ${example.join(' ')} is a command`);
  }
});

test('--json with --help and --version: one document, the text for people on standard error', async () => {
  const runs = await run([...all.map(({ words }) => ['--json', ...words, '--help']), ['--json', '--help'], ['--json', '--version']]);
  for (const [i, done] of runs.entries()) {
    const what = all[i]?.words.join(' ') ?? `global ${i}`;
    assert.equal(done.code, 0, what);
    const said = document(done, what);
    assert.equal(said['help'] ?? `${String(said['version'])}\n`, done.stderr, what);
  }
});

test('an unknown option, a missing argument, one too many, an unknown subcommand: exit code 2, and --json tells it', async () => {
  // The classic command reads its arguments in its own way, and has its own exit codes (test/e2e/sendmail.test.ts).
  const usual = all.filter(({ words }) => words[0] !== 'sendmail');
  // A command that takes arguments itself, beside its subcommands, is no mere group.
  const alone = new Set(all.filter(({ words }) => words.length === 1).map(({ words }) => words[0] ?? ''));
  const groups = [...new Set(all.filter(({ words }) => words.length > 1).map(({ words }) => words[0] ?? ''))].filter((word) => !alone.has(word));
  const needing = all.filter(({ command }) => command.registeredArguments.some((argument) => argument.required));
  const wrong = [
    ...usual.map(({ words }) => [...words, '--no-such-option']),
    ...needing.map(({ words }) => [...words]),
    ...usual
      .filter(({ command }) => !command.registeredArguments.some((argument) => argument.variadic))
      .map(({ words, command }) => [...words, ...Array.from({ length: command.registeredArguments.length + 1 }, () => 'x')]),
    ...groups.flatMap((group) => [[group], [group, 'nosuch']]),
    [],
    ['nosuch'],
    ['--config'],
  ];
  const runs = await run([...wrong, ...wrong.map((args) => ['--json', ...args])]);
  for (const [i, args] of wrong.entries()) {
    const what = `postern ${args.join(' ')}`;
    const [plain, json] = [runs[i], runs[i + wrong.length]];
    assert.deepEqual([plain?.code, json?.code], [2, 2], what);
    assert.equal(plain?.stdout, '', what);
    assert.match(plain?.stderr ?? '', /^(?:error: .+\nfix: {3}.+\n|Usage: )/, what);
    checkError(json, what);
  }
});

test('no server: exit code 3 for every command that speaks to one, and --json tells it', async () => {
  // Run as their first example says; what needs no server, or would go out, is not asked.
  const apart = new Set(['serve', 'send', 'sendmail', 'sink', 'doctor', 'advise', 'config']);
  const helps = await run(all.map(({ words }) => [...words, '--help']));
  const examples = all.flatMap(({ words }, i) => {
    const [first] = examplesIn(helps[i]?.stdout ?? '').filter((example) => words.every((word) => example.includes(word)));
    return apart.has(words[0] ?? '') || first === undefined ? [] : [first.filter((word) => word !== '--json')];
  });
  assert.ok(examples.length > 15);
  const runs = await run([...examples, ...examples.map((args) => ['--json', ...args])]);
  for (const [i, args] of examples.entries()) {
    const what = `postern ${args.join(' ')}`;
    const [plain, json] = [runs[i], runs[i + examples.length]];
    assert.deepEqual([plain?.code, json?.code], [3, 3], `${what}: ${plain?.stderr ?? ''}`);
    assert.equal(plain?.stdout, '', what);
    assert.match(plain?.stderr ?? '', /^error: No Postern server runs on the data directory .*\nfix: {3}Start it with: postern serve\./, what);
    checkError(json, what);
  }
});

test('a configuration that is wrong or not there: exit code 2 for every command that reads it', async () => {
  const reading = [['serve'], ['config', 'check'], ['config', 'show'], ['doctor', 'x.example'], ['advise']];
  const runs = await run(
    reading.flatMap((args) => [
      ['--config', '/no/such.toml', ...args],
      ['--json', '--config', '/no/such.toml', ...args],
    ]),
  );
  for (const [i, done] of runs.entries()) {
    const what = (reading[Math.floor(i / 2)] ?? []).join(' ');
    assert.equal(done.code, 2, what);
    assert.match(done.stderr, /^error: The configuration file \/no\/such\.toml cannot be read: ENOENT.*\nfix: {3}/, what);
    if (i % 2 === 1) checkError(done, what);
  }
});

test('commands that need no server: one document each', async () => {
  const local = all.filter(({ words }) => words[0] === 'config');
  assert.ok(local.length >= 4);
  const runs = await run(local.map(({ words }) => ['--json', ...words]));
  for (const [i, { words }] of local.entries()) {
    assert.equal(runs[i]?.code, 0, words.join(' '));
    document(runs[i], words.join(' '));
  }
});

test('send: usage is 2, nobody there is 3, each with one document', async () => {
  const to = ['--to', 'a@example.com', '--host', '127.0.0.1', '--port', '1', '--tls', 'none'];
  for (const [args, code] of [
    [[], 2],
    [['--to', 'nobody'], 2],
    [[...to, '--user', 'x'], 2],
    [[...to, '--password-file', 'x'], 2],
    [[...to, '--user', 'x', '--password-file', '/no/such'], 2],
    [[...to, '--file', '/no/such.eml'], 2],
    [['--to', 'a@example.com', '--host', 'not a host'], 2],
    [to, 3],
  ] as const) {
    const [done] = await run([['--json', 'send', ...args]]);
    assert.equal(done?.code, code, `send ${args.join(' ')}: ${done?.stderr ?? ''}`);
    document(done, args.join(' '));
  }
});
