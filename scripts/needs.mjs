// What test files need of the system: each test file and each module under test/support says it in a line `// Needs: knot, unbound` (names of
// packages.json, or `root`), and whoever imports such a module needs the same. Installs nothing, runs nothing. Runs on Node 20 and up.

import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import process from 'node:process';

const LINE = /^\/\/ Needs: (.+)$/gm;
// Types alone are erased, and need nothing.
const TYPES = /^(?:import|export) type [^;]*;$/gm;
const IMPORT = /(?:\bfrom|\bimport)\s*\(?\s*'(\.{1,2}\/[^']+)'/g;

/** What `file` needs: by name, the file that says so. Follows relative imports, each file once. */
export function needsOf(file) {
  const needs = new Map();
  const seen = new Set();
  const waiting = [resolve(file)];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (seen.has(path) || !existsSync(path) || !statSync(path).isFile()) continue;
    seen.add(path);
    const source = readFileSync(path, 'utf8');
    for (const [, names] of source.matchAll(LINE)) for (const name of names.split(',')) if (!needs.has(name.trim())) needs.set(name.trim(), path);
    for (const [, imported] of source.replace(TYPES, '').matchAll(IMPORT)) waiting.push(resolve(dirname(path), imported));
  }
  return needs;
}

/** Names in POSTERN_TEST_ABSENT count as absent though they are there: to see what a machine without them would do. */
export function openSystem(packages, env = process.env) {
  const pretended = new Set((env.POSTERN_TEST_ABSENT ?? '').split(',').map((name) => name.trim()));
  return {
    /** A name that is in no list is a mistake in a `Needs` line. */
    knows: (name) => name === 'root' || name in packages,
    has: (name) => !pretended.has(name) && (name === 'root' ? process.getuid?.() === 0 : (packages[name] ?? []).every(present)),
    canInstall: (name) => name !== 'root' && !pretended.has(name),
  };
}

/** Which of `files` can run here, and which not, with what each lacks. Throws for a name that nobody knows. */
export function planFiles(files, system) {
  const plan = { runs: [], leftOut: [] };
  for (const file of files) {
    const needs = needsOf(file);
    for (const [name, path] of needs)
      if (!system.knows(name)) throw Object.assign(new Error(`${path} needs "${name}".`), { fix: 'Name it as scripts/packages.json does, or add it there.' });
    const lacks = [...needs.keys()].filter((name) => !system.has(name));
    if (lacks.length === 0) plan.runs.push(file);
    else plan.leftOut.push({ file, lacks });
  }
  return plan;
}

/** A path; a star stands for the rest of one directory's name. */
function present(path) {
  const star = path.indexOf('*');
  if (star === -1) return existsSync(path);
  const slash = path.lastIndexOf('/', star);
  const [above, start, rest] = [path.slice(0, slash), path.slice(slash + 1, star), path.slice(star + 1)];
  return existsSync(above) && readdirSync(above).some((name) => name.startsWith(start) && existsSync(`${above}/${name}${rest}`));
}
