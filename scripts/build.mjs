// What npm runs before it packs: the dashboard in dist/web, and the server as JavaScript in dist/, because Node strips no types under node_modules. The types are stripped by
// the same Node that strips them in a checkout, so both run the same code. A checkout never needs this.

import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import * as module from 'node:module';
import { dirname, join, relative } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const { root, ensureDashboard, ensureDependencies, findNode } = module.createRequire(import.meta.url)('../bin/bootstrap.cjs');

process.chdir(root);
if (module.stripTypeScriptTypes === undefined) {
  ensureDependencies();
  process.exit(spawnSync(findNode(), ['--disable-warning=ExperimentalWarning', fileURLToPath(import.meta.url)], { stdio: 'inherit' }).status ?? 1);
}
// But for the dashboard, which is made again when its sources have changed, and which a server may be showing.
mkdirSync('dist', { recursive: true });
for (const name of readdirSync('dist')) if (name !== 'web') rmSync(join('dist', name), { recursive: true, force: true });
// Data that code reads at run time comes along as it is.
cpSync('src', 'dist', { recursive: true });
for (const name of readdirSync('dist', { recursive: true })) {
  if (!name.endsWith('.ts') || name.startsWith('web')) continue;
  const source = join('dist', name);
  const target = source.replace(/\.ts$/, '.js');
  writeFileSync(target, withPaths(module.stripTypeScriptTypes(readFileSync(source, 'utf8')), target));
  rmSync(source);
}
ensureDashboard(true);

/** `./x.ts` and `#smtp/reply.ts` name sources; in dist they become paths to the JavaScript. */
function withPaths(text, file) {
  const changed = text.replace(/(\bfrom\s*|\bimport\s*\(?\s*)(['"])(\.\.?\/|#)([^'"]+)\.ts\2/g, (_, before, quote, start, rest) => {
    if (start !== '#') return `${before}${quote}${start}${rest}.js${quote}`;
    const path = relative(dirname(file), join('dist', `${rest}.js`));
    return `${before}${quote}${path.startsWith('.') ? path : `./${path}`}${quote}`;
  });
  const left = /(?:from|import)\s*\(?\s*['"][#.][^'"]*\.ts['"]/.exec(changed);
  if (left !== null) throw new Error(`${file}: ${left[0]} still names a source`);
  return changed;
}
