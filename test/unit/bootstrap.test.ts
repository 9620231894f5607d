// bin/bootstrap.cjs: a checkout that was filled by npm runs for an account that may not write there, as the service in docs/operations.md does.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT } from '../support/markdown.ts';
import { atEnd, run, tempDir } from '../support/temp.ts';

const LOCK = { packages: { '': {}, 'node_modules/a': { version: '1.0.0' }, 'node_modules/b': { version: '1.0.0', optional: true } } };

/** A checkout with these packages installed, made read-only; what `ensureDependencies` says there. No npm is on the path. */
async function ensureIn(installed: unknown): Promise<{ code: number | null; stderr: string; stamped: boolean }> {
  const root = tempDir('bs');
  mkdirSync(join(root, 'src/cli'), { recursive: true });
  mkdirSync(join(root, 'node_modules'));
  cpSync(join(ROOT, 'bin'), join(root, 'bin'), { recursive: true });
  writeFileSync(join(root, 'src/cli/run.ts'), '');
  writeFileSync(join(root, 'package-lock.json'), JSON.stringify(LOCK));
  writeFileSync(join(root, 'node_modules/.package-lock.json'), JSON.stringify(installed));
  makeReadOnly(root);
  const program = `require(${JSON.stringify(join(root, 'bin/bootstrap.cjs'))}).ensureDependencies()`;
  const { code, stderr } = await run(process.execPath, ['-e', program], { env: { PATH: '' } });
  return { code, stderr, stamped: existsSync(join(root, 'node_modules/.postern-lock')) };
}

/** Permissions do not bind root: a mount does. */
function makeReadOnly(root: string): void {
  if (process.getuid?.() !== 0) {
    for (const dir of ['node_modules', '.']) chmodSync(join(root, dir), 0o555);
    atEnd(() => ['.', 'node_modules'].forEach((dir) => chmodSync(join(root, dir), 0o755)));
    return;
  }
  execFileSync('/bin/mount', ['--bind', root, root]);
  atEnd(() => execFileSync('/bin/umount', ['-l', root]));
  execFileSync('/bin/mount', ['-o', 'remount,ro,bind', root]);
}

test('what npm has installed is enough where nothing may be written', async () => {
  const ensured = await ensureIn({ packages: { 'node_modules/a': { version: '1.0.0' } } });
  assert.deepEqual(ensured, { code: 0, stderr: '', stamped: false });
});

test('what npm has installed from another lock file is not, and the error says who can help', async () => {
  const ensured = await ensureIn({ packages: { 'node_modules/a': { version: '0.9.0' } } });
  assert.notEqual(ensured.code, 0);
  assert.match(ensured.stderr, /The checkout cannot be written to/);
});
