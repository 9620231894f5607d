// The README's five minutes, taken from the page and run as they stand, in order, by a shell: every block must work. Only the password is
// filled in, and 2525 becomes the port of the test's own server.
// Needs: python3

import assert from 'node:assert/strict';
import { readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { ROOT, codes, page, tableRows } from '../support/markdown.ts';
import { messages, startPostern } from '../support/postern.ts';
import type { Postern } from '../support/postern.ts';
import { run, tempDir, until } from '../support/temp.ts';
import type { Done } from '../support/temp.ts';

type Block = { readonly language: string; readonly text: string };

/** The blocks of one section, up to the next one of its rank. */
function blocksOf(title: string): Block[] {
  const text = page('README.md');
  const start = text.indexOf(`\n## ${title}\n`);
  assert.notEqual(start, -1, `README.md has no section ${title}`);
  const section = text.slice(start + 1).split(/\n## /)[0] ?? '';
  return [...section.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map((match) => ({ language: match[1] ?? '', text: match[2] ?? '' }));
}

let postern: Postern;
/** As the server printed it. */
let password: string;
/** A clone as the reader has it, with the data of the test's server. */
let clone: string;

before(async () => {
  postern = await startPostern();
  password = await until('the first password', () => /^ +password +(\S+)$/m.exec(postern.process.output())?.[1]);
  clone = tempDir('rm');
  for (const name of ['bin', 'node_modules']) symlinkSync(join(ROOT, name), join(clone, name));
  symlinkSync(postern.dataDir, join(clone, 'data'));
});

function shell(script: string): Promise<Done> {
  const { CI: _, ...env } = process.env;
  return run('/bin/bash', ['-euo', 'pipefail', '-c', script], { cwd: clone, env: { ...env, PASSWORD: password } });
}

test('every command of the five minutes works as it stands', async () => {
  const blocks = blocksOf('Five minutes');
  assert.ok(blocks.filter(({ language }) => language === 'sh').length >= 5);
  for (const { language, text } of blocks) {
    if (language === 'toml') writeFileSync(join(clone, 'postern.toml'), text);
    if (language !== 'sh') continue;
    const script = text.replace('the password that was printed', password).replaceAll('2525', String(postern.port('alternate')));
    const done = await shell(script);
    assert.equal(done.code, 0, `${script}\n${done.stdout}\n${done.stderr}`);
  }
  const captured = await messages(postern, 'captured', 3);
  assert.deepEqual(captured.map(({ subject }) => subject).toSorted(), ['From Node', 'From Python', 'Test message from Postern']);
  const app = (await postern.json<{ name: string; mode: string; domains: string[] }[]>('credential', 'list')).find(({ name }) => name === 'app');
  assert.deepEqual([app?.mode, app?.domains], ['live', ['example.com']]);
});

test('docs/operations.md has every file of the data directory', () => {
  const rows = tableRows(page('docs/operations.md'), 'file').flatMap((row) => codes(row['file'] ?? ''));
  const files = readdirSync(postern.dataDir, { recursive: true })
    .map(String)
    .filter((name) => !statSync(join(postern.dataDir, name)).isDirectory())
    .map((name) => name.replace(/-(?:wal|shm|journal)$/, ''));
  for (const name of files) assert.ok(rows.includes(name), name);
});

test('the two commands at the top are those of package.json', () => {
  const { scripts } = JSON.parse(page('package.json')) as { scripts: Record<string, string> };
  // exec: npm passes signals to its child, and the shell in between would keep them.
  assert.equal(scripts['start'], 'exec bin/postern serve');
  assert.equal(scripts['test'], 'node scripts/test.mjs');
});
