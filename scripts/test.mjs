// What `npm test` runs: sees to the dependencies, the Node and the system packages that the tests need, then the checks, then the tests.
// `npm test -- test/unit/x.test.ts` runs these files only. Runs on Node 20 and up.

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';

const { root, ensureDependencies, findNode } = createRequire(import.meta.url)('../bin/bootstrap.cjs');
const PACKAGES = JSON.parse(readFileSync(join(root, 'scripts/packages.json'), 'utf8'));
const POLICY = '/usr/sbin/policy-rc.d';
const inCi = process.env.CI === 'true' || process.env.CI === '1';

process.chdir(root);
try {
  ensureDependencies();
  const node = findNode();
  const files = process.argv.slice(2);
  ensurePackages();
  const checked = files.length > 0 ? 0 : run(node, ['scripts/check.mjs']);
  const tested = run(node, [
    '--disable-warning=ExperimentalWarning',
    '--test',
    `--test-concurrency=${Math.max(2, availableParallelism())}`,
    '--test-timeout=600000',
    '--test-reporter=spec',
    ...(files.length > 0 ? files : testFiles()),
  ]);
  process.exitCode = checked || tested;
} catch (error) {
  process.stderr.write(`error: ${error.message}\n${error.fix ? `fix:   ${error.fix}\n` : ''}`);
  process.exitCode = 3;
}

function run(command, args) {
  const result = spawnSync(command, args, { stdio: 'inherit' });
  return result.status ?? 1;
}

/** The long ones first, so that they do not end alone. */
function testFiles() {
  const files = readdirSync('test', { recursive: true })
    .map((name) => join('test', String(name)))
    .filter((name) => name.endsWith('.test.ts'));
  const weight = (name) => (name.includes('/faults/') ? 0 : name.includes('/e2e/') ? 1 : 2);
  return files.toSorted((a, b) => weight(a) - weight(b) || a.localeCompare(b));
}

/** Real servers and clients for the tests. Root with apt installs them; otherwise the tests that need them skip, and this says so. */
function ensurePackages() {
  const missing = Object.keys(PACKAGES).filter((name) => !PACKAGES[name].every(present));
  if (missing.length === 0) return;
  if (process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')) install(missing);
  const absent = missing.filter((name) => !PACKAGES[name].every(present));
  if (absent.length === 0) return;
  const text = `Debian packages that tests need are not installed: ${absent.join(' ')}`;
  if (inCi) throw Object.assign(new Error(`${text}.`), { fix: 'Install them in CI: apt-get install them before npm test.' });
  process.stderr.write(
    `\n${'!'.repeat(100)}\n! ${text}\n! THE TESTS THAT NEED THEM WILL BE SKIPPED. As root, "apt-get install ${absent.join(' ')}" mends that.\n${'!'.repeat(100)}\n\n`,
  );
}

function install(names) {
  process.stderr.write(`Installing system packages for the tests: ${names.join(' ')}\n`);
  // The packages' own services must not start: the tests run their own instances.
  const guarded = !existsSync(POLICY);
  if (guarded) writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    const apt = (...args) => spawnSync('apt-get', ['-q', '-y', ...args], { stdio: ['ignore', 2, 2], env }).status;
    const installed = (...some) => apt('install', '--no-install-recommends', ...some) === 0;
    if (installed(...names)) return;
    apt('update');
    // One that this Debian does not have must not keep the others away.
    if (!installed(...names)) for (const name of names) installed(name);
  } finally {
    if (guarded) rmSync(POLICY, { force: true });
  }
}

/** A path; a star stands for the rest of one directory's name. */
function present(path) {
  const star = path.indexOf('*');
  if (star === -1) return existsSync(path);
  const slash = path.lastIndexOf('/', star);
  const [above, start, rest] = [path.slice(0, slash), path.slice(slash + 1, star), path.slice(star + 1)];
  return existsSync(above) && readdirSync(above).some((name) => name.startsWith(start) && existsSync(`${above}/${name}${rest}`));
}
