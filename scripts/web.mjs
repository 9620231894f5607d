// Builds the dashboard into dist/web and compresses its files, once and for good. `npm start` and `npm test` in a checkout and `npm pack` call it
// when the sources have changed since. Runs on Node 20 and up; Vite itself on the Node that bin/bootstrap.cjs finds.

import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import process from 'node:process';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const { root, dashboardHash, ensureDependencies, findNode } = createRequire(import.meta.url)('../bin/bootstrap.cjs');
const COMPRESSIBLE = /\.(?:html|js|css|svg|json|txt)$/;

process.chdir(root);
ensureDependencies();
const target = join(root, 'dist', 'web');
const fresh = join(root, 'dist', `web-${process.pid}`);
mkdirSync(join(root, 'dist'), { recursive: true });
const vite = spawnSync(findNode(), [join('node_modules', 'vite', 'bin', 'vite.js'), 'build', '--logLevel', 'warn', '--config', join('web', 'vite.config.ts')], {
  stdio: ['ignore', 2, 2],
  env: { ...process.env, NODE_ENV: 'production', POSTERN_WEB_OUT: fresh },
});
if (vite.status !== 0) {
  rmSync(fresh, { recursive: true, force: true });
  process.exit(1);
}
for (const name of readdirSync(fresh, { recursive: true }).map(String)) {
  const path = join(fresh, name);
  if (!statSync(path).isFile() || !COMPRESSIBLE.test(name)) continue;
  const content = readFileSync(path);
  writeFileSync(`${path}.gz`, gzipSync(content, { level: 9 }));
  writeFileSync(`${path}.br`, brotliCompressSync(content, { params: { [constants.BROTLI_PARAM_QUALITY]: 10 } }));
}
writeFileSync(join(fresh, 'stamp'), dashboardHash());
// Whole or not at all: a server that runs reads either the one or the other.
const old = `${fresh}-old`;
try {
  renameSync(target, old);
} catch {
  // The first one.
}
renameSync(fresh, target);
rmSync(old, { recursive: true, force: true });
