// What `npm run docs` runs: scripts/pages.ts on a Node that is new enough for it.

import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import process from 'node:process';

const { root, ensureDependencies, findNode } = createRequire(import.meta.url)('../bin/bootstrap.cjs');

process.chdir(root);
ensureDependencies();
process.exitCode = spawnSync(findNode(), ['--disable-warning=ExperimentalWarning', 'scripts/pages.ts'], { stdio: 'inherit' }).status ?? 1;
