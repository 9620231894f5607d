// What `npm test` runs: sees to the dependencies, the Node and the system packages that the tests need, then the checks, then the tests.
// `npm test -- test/unit/x.test.ts` runs these files only. What a machine lacks leaves files out, loudly; in CI it is an error. Runs on Node 20 and up.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { installMissing, isUnpacked } from './install.mjs';
import { openSystem, planFiles } from './needs.mjs';

const { root, ensureDependencies, findNode } = createRequire(import.meta.url)('../bin/bootstrap.cjs');
const PACKAGES = JSON.parse(readFileSync(join(root, 'scripts/packages.json'), 'utf8'));
/** Suites that are read from beside the checkout where somebody has put them. */
const NOT_OURS = /# SKIP .*\bnot beside the project\b/;
const inCi = process.env.CI === 'true' || process.env.CI === '1';
const system = openSystem(PACKAGES);

process.chdir(root);
try {
  ensureDependencies();
  const node = findNode();
  const named = process.argv.slice(2);
  const files = named.length > 0 ? named : testFiles();
  installMissing(files, PACKAGES, system);
  const { runs, leftOut } = planFiles(files, system);
  if (leftOut.length > 0 && inCi) throw missingInCi(leftOut);
  warn(leftOut);
  const checked = named.length > 0 ? 0 : run(node, ['scripts/check.mjs']).status;
  const tested = runs.length === 0 ? 0 : runTests(node, runs);
  warn(leftOut);
  process.exitCode = checked || tested;
} catch (error) {
  process.stderr.write(`error: ${error.message}\n${error.fix ? `fix:   ${error.fix}\n` : ''}`);
  process.exitCode = 3;
}

function run(command, args) {
  const result = spawnSync(command, args, { stdio: 'inherit' });
  return { status: result.status ?? 1 };
}

/** In CI a test that skips itself is an error too: whatever it needs is to be there. But for data that is not ours to ship. */
function runTests(node, files) {
  const scratch = mkdtempSync(join(tmpdir(), 'postern-test-'));
  const record = join(scratch, 'tap');
  try {
    const { status } = run(node, [
      '--disable-warning=ExperimentalWarning',
      '--test',
      `--test-concurrency=${Math.max(2, availableParallelism())}`,
      '--test-timeout=600000',
      '--test-reporter=spec',
      '--test-reporter-destination=stdout',
      '--test-reporter=tap',
      `--test-reporter-destination=${record}`,
      ...files,
    ]);
    const skipped = existsSync(record) ? readFileSync(record, 'utf8').match(/^.*# SKIP.*$/gm) : null;
    if (skipped === null) return status;
    banner([`${skipped.length} tests skipped themselves:`, ...skipped.map((line) => line.trim())]);
    return inCi && skipped.some((line) => !NOT_OURS.test(line)) ? 3 : status;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** The long ones first, so that they do not end alone. */
function testFiles() {
  const files = readdirSync('test', { recursive: true })
    .map((name) => join('test', String(name)))
    .filter((name) => name.endsWith('.test.ts'));
  const weight = (name) => (name.includes('/faults/') ? 0 : name.includes('/e2e/') ? 1 : 2);
  return files.toSorted((a, b) => weight(a) - weight(b) || a.localeCompare(b));
}

function missingInCi(leftOut) {
  const names = lackedBy(leftOut);
  return Object.assign(new Error(`${leftOut.length} test files cannot run here; missing: ${names.join(' ')}.\n${leftOut.map(describe).join('\n')}`), {
    fix: 'In CI no test is left out: install the packages before npm test, and run as root.',
  });
}

/** Says what will not be shown by this run. */
function warn(leftOut) {
  if (leftOut.length === 0) return;
  const names = lackedBy(leftOut);
  const packages = names.filter((name) => name !== 'root' && !isUnpacked(PACKAGES, name));
  const unpacked = names.filter((name) => isUnpacked(PACKAGES, name));
  banner([
    `${leftOut.length} TEST FILES ARE LEFT OUT, because this machine lacks: ${names.join(' ')}`,
    ...leftOut.map(describe),
    ...(packages.length > 0 ? [`As root, this mends it: apt-get install ${packages.join(' ')}`] : unpacked.length > 0 ? [] : ['Running as root mends it.']),
    ...(unpacked.length > 0 ? [`As root with a network, npm test unpacks: ${unpacked.join(' ')}`] : []),
  ]);
}

function banner(lines) {
  const rule = '!'.repeat(100);
  process.stderr.write(`\n${rule}\n${lines.map((line) => `! ${line}\n`).join('')}${rule}\n\n`);
}

function describe({ file, lacks }) {
  return `  ${file} needs ${lacks.join(', ')}`;
}

function lackedBy(leftOut) {
  return [...new Set(leftOut.flatMap(({ lacks }) => lacks))];
}
