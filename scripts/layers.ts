// The house's rules that a compiler does not know: imports point one way (a room imports itself or a lower tier), never `../`, only server,
// http and cli import config, every file begins by saying what it owns, and none grows past reason. The dashboard has rooms of its own, and takes
// nothing of the server's but its knowledge. Exits with 1 and lists what breaks them.

import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

/** Lowest first; rooms of one tier do not know each other. */
export const TIERS: readonly (readonly string[])[] = [
  ['base'],
  ['config', 'knowledge', 'dns', 'smtp'],
  ['tls', 'mail'],
  ['queue'],
  ['store'],
  ['intake', 'deliver', 'doctor', 'advise', 'events', 'sink'],
  ['http'],
  ['server'],
  ['cli'],
];
/** Of web/src; files beside the rooms put them together and come last. */
export const WEB_TIERS: readonly (readonly string[])[] = [['base'], ['api'], ['parts'], ['charts', 'settings'], ['pages']];
const CONFIG_READERS = new Set(['config', 'server', 'http', 'cli']);
const MAX_LINES = 500;
/** Of web/src, made from the code (scripts/pages.ts): nobody reads it from top to end. */
const MADE = new Set(['api/schema.ts']);

/** What breaks the rules, one sentence each. `root` has the rooms. */
export function findBreaches(root: string): string[] {
  return files(root).flatMap((path) => breachesOf(path, readFileSync(join(root, path), 'utf8')));
}

/** The same of the dashboard. */
export function findWebBreaches(root: string): string[] {
  return files(root).flatMap((path) => webBreachesOf(path, readFileSync(join(root, path), 'utf8')));
}

function shapeBreaches(path: string, source: string): string[] {
  const lines = source.split('\n').length;
  return [
    ...(source.startsWith('// ') ? [] : [`${path}: begins without saying what it owns`]),
    ...(lines > MAX_LINES && !MADE.has(path) ? [`${path}: has ${lines} lines; split it by idea (at most ${MAX_LINES})`] : []),
  ];
}

function webBreachesOf(path: string, source: string): string[] {
  const breaches = shapeBreaches(path, source);
  const room = path.includes('/') ? (path.split('/')[0] ?? '') : '';
  const tier = room === '' ? WEB_TIERS.length : tierOf(room, WEB_TIERS);
  if (tier === -1) return [`web/src/${path}: the room ${room} has no tier in scripts/layers.ts`];
  for (const imported of importsOf(source)) {
    if (imported.startsWith('../') || imported.includes('/../')) breaches.push(`${path}: imports ${imported}; across folders it is #web/room/file.ts`);
    if (!imported.startsWith('#')) continue;
    const [house = '', other = ''] = imported.slice(1).split('/');
    if (house !== 'web' && house !== 'knowledge') breaches.push(`${path}: imports ${imported}; of the server's rooms the dashboard knows knowledge only`);
    else if (house === 'web' && other !== room && tierOf(other, WEB_TIERS) >= tier) breaches.push(`${path}: imports ${imported}; ${room} may import lower tiers only`);
  }
  return breaches;
}

function breachesOf(path: string, source: string): string[] {
  const room = path.split('/')[0] ?? '';
  const tier = tierOf(room);
  if (tier === -1) return [`${path}: the room ${room} has no tier in scripts/layers.ts`];
  const breaches = shapeBreaches(path, source);
  for (const imported of importsOf(source)) {
    if (imported.startsWith('../') || imported.includes('/../')) breaches.push(`${path}: imports ${imported}; across folders it is #room/file.ts`);
    if (!imported.startsWith('#')) continue;
    const other = imported.slice(1).split('/')[0] ?? '';
    if (other === room) continue;
    if (other === 'config' && !CONFIG_READERS.has(room)) breaches.push(`${path}: imports ${imported}; only server, http and cli know the configuration`);
    else if (tierOf(other) >= tier) breaches.push(`${path}: imports ${imported}; ${room} may import lower tiers only`);
  }
  return breaches;
}

function tierOf(room: string, tiers = TIERS): number {
  return tiers.findIndex((rooms) => rooms.includes(room));
}

/** Static and dynamic imports, and re-exports. */
function importsOf(source: string): string[] {
  return [...source.matchAll(/(?:^|\n)\s*(?:import|export)\b[^;'"]*?from\s*'([^']+)'|import\('([^']+)'\)|(?:^|\n)import\s+'([^']+)'/g)].map(
    (match) => match[1] ?? match[2] ?? match[3] ?? '',
  );
}

function files(root: string): string[] {
  return readdirSync(root, { recursive: true })
    .map(String)
    .filter((name) => /\.tsx?$/.test(name) && statSync(join(root, name)).isFile())
    .toSorted();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const breaches = [...findBreaches(fileURLToPath(new URL('../src', import.meta.url))), ...findWebBreaches(fileURLToPath(new URL('../web/src', import.meta.url)))];
  for (const breach of breaches) process.stdout.write(`${breach}\n`);
  process.exitCode = breaches.length === 0 ? 0 : 1;
}
