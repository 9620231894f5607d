// Configurations as files: the bad ones with what is said of them, word for word (test/bad-config), the good ones with every value's origin.

import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runCommands } from '../support/commands.ts';

const BAD = fileURLToPath(new URL('../bad-config/', import.meta.url));
const GOOD = fileURLToPath(new URL('../good-config/', import.meta.url));

type Case = { readonly name: string; readonly env: Readonly<Record<string, string>>; readonly expected: string };

function cases(directory: string): Case[] {
  const names = readdirSync(directory).flatMap((file) => (file.endsWith('.toml') ? [file.slice(0, -'.toml'.length)] : []));
  return names.toSorted().map((name) => {
    const variables = existsSync(`${directory}${name}.env`) ? readFileSync(`${directory}${name}.env`, 'utf8').trim().split('\n') : [];
    const env = Object.fromEntries(variables.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
    return { name, env, expected: readFileSync(`${directory}${name}.txt`, 'utf8') };
  });
}

test('bad configurations: exit code 2, and the text beside each', async (t) => {
  const all = cases(BAD);
  const runs = await runCommands(
    all.map(({ name, env }) => ({ args: ['--config', `${name}.toml`, 'config', 'check'], env })),
    { cwd: BAD },
  );
  for (const [i, { name, env, expected }] of all.entries()) {
    await t.test(name, () => {
      const run = runs[i];
      assert.equal(run?.stderr, expected);
      assert.equal(run.code, 2);
      assert.equal(run.stdout, '');
      // Where it is: a line of the file, or a variable.
      if (Object.keys(env).length === 0) assert.match(expected, new RegExp(`${name}\\.toml:\\d+`));
      else assert.match(expected, /POSTERN_\w+/);
      assert.doesNotMatch(expected, /correct horse/, 'a password is not repeated');
    });
  }
});

test('bad configurations, --json: one document with the same cause and fix', async () => {
  const all = cases(BAD);
  const runs = await runCommands(
    all.map(({ name, env }) => ({ args: ['--json', '--config', `${name}.toml`, 'config', 'check'], env })),
    { cwd: BAD },
  );
  for (const [i, { expected, name }] of all.entries()) {
    const { error } = JSON.parse(runs[i]?.stdout ?? '') as { error: { code: string; cause: string; fix: string } };
    assert.equal(`error: ${error.cause}\nfix:   ${error.fix}\n`, expected, name);
  }
});

test('good configurations: each value with its origin', async (t) => {
  const all = cases(GOOD);
  const runs = await runCommands(
    all.map(({ name, env }) => ({ args: ['--json', '--config', `${name}.toml`, 'config', 'show'], env })),
    { cwd: GOOD },
  );
  for (const [i, { name, expected }] of all.entries()) {
    await t.test(name, () => {
      const run = runs[i];
      assert.ok(run !== undefined);
      assert.equal(run.code, 0, run.stderr);
      const { values } = JSON.parse(run.stdout) as { values: { key: string; value: unknown; origin: string }[] };
      const shown = new Map(values.map(({ key, value, origin }) => [key, `${key} ${JSON.stringify(value)} ${origin}`]));
      for (const line of expected.trim().split('\n')) assert.equal(shown.get(line.split(' ', 1)[0] ?? ''), line);
    });
  }
});
