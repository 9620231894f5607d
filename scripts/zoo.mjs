// `npm run zoo`: sees to what the fault zoo needs, as `npm test` does, then has it printed. Options: --json, --findings, and names. Runs on Node 20 and up.

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import process from 'node:process';
import { installMissing } from './install.mjs';
import { openSystem, planFiles } from './needs.mjs';

const { root, ensureDependencies, findNode } = createRequire(import.meta.url)('../bin/bootstrap.cjs');
const MATRIX = 'test/zoo/matrix.ts';

process.chdir(root);
ensureDependencies();
const packages = JSON.parse(readFileSync(join(root, 'scripts/packages.json'), 'utf8'));
const system = openSystem(packages);
installMissing([MATRIX], packages, system);
const { leftOut } = planFiles([MATRIX], system);
if (leftOut.length > 0) {
  process.stderr.write(
    `error: the zoo cannot be opened here; missing: ${leftOut[0].lacks.join(' ')}.\nfix:   Run it as root on Debian with a network: it gets the packages itself.\n`,
  );
  process.exit(3);
}
const { status } = spawnSync(findNode(), ['--disable-warning=ExperimentalWarning', MATRIX, ...process.argv.slice(2)], { stdio: 'inherit' });
process.exitCode = status ?? 3;
