// What `npm run check` runs: format, lint, types, layers, dead code, and the documentation against the code: all of them, each with its
// time. Runs on Node 26 (npm test) or 20.

import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import process from 'node:process';

const { root, ensureDependencies, findNode } = createRequire(import.meta.url)('../bin/bootstrap.cjs');

process.chdir(root);
ensureDependencies();
const node = findNode();
const bin = (name) => join('node_modules', '.bin', name);

const CHECKS = [
  ['format', bin('oxfmt'), ['--check', '.']],
  ['lint', bin('oxlint'), ['--type-aware']],
  ['types', bin('tsc'), ['--noEmit']],
  ['types of the dashboard', bin('tsc'), ['--noEmit', '--project', 'web']],
  ['layers', node, ['--disable-warning=ExperimentalWarning', 'scripts/layers.ts']],
  ['dead code', bin('knip'), ['--no-progress']],
  ['docs', node, ['--disable-warning=ExperimentalWarning', '--test', '--test-reporter=dot', 'test/unit/docs-*.test.ts']],
];

let failed = 0;
for (const [name, command, args] of CHECKS) {
  const startMs = performance.now();
  // The tools are started by a Node that is new enough for them, whichever one is on the path.
  const script = command === node ? args : [command, ...args];
  const { status, stdout, stderr } = spawnSync(node, script, { encoding: 'utf8', env: { ...process.env, NO_COLOR: '1' } });
  const ok = status === 0;
  process.stdout.write(`${ok ? 'ok    ' : 'FAILED'} ${name} (${Math.round(performance.now() - startMs)} ms)\n${ok ? '' : `${stdout}${stderr}\n`}`);
  if (!ok) failed++;
}
process.exitCode = failed === 0 ? 0 : 1;
