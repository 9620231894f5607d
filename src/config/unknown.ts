// Keys that are none: found in the table of what was written, each told with the key that was probably meant. Knows the names of keys, not
// their values.

import { LISTS, ROWS } from './schema.ts';

/** A mistake in the configuration, by the path of its key. `beside`: another key whose value has a part in it. */
export type Mistake = { readonly path: string; readonly text: string; readonly beside?: string };

type Table = Record<string, unknown>;

/** Paths of all keys; those of lists have a star for the number. */
const KEYS: ReadonlySet<string> = new Set([
  ...Object.values(ROWS).map((row) => row.key),
  ...Object.entries(LISTS).flatMap(([name, rows]) => Object.values(rows).map((row) => `${name}.*.${row.key}`)),
]);
/** More keys of one name help nobody. */
const MOST_NAMED = 2;
const TABLES: ReadonlySet<string> = new Set([...KEYS].flatMap(parents));

/** What `table` has that is no key, and values where a table should be. */
export function unknownKeys(table: Table): Mistake[] {
  const mistakes: Mistake[] = [];
  const walk = (value: unknown, path: string, pattern: string): void => {
    if (KEYS.has(pattern)) return;
    if (pattern !== '' && !TABLES.has(pattern)) mistakes.push({ path, text: unknownText(path) });
    else if (Object.hasOwn(LISTS, pattern)) {
      // Not a list of tables: told where lists are read.
      if (Array.isArray(value) && value.every(isTable)) value.forEach((one, i) => walk(one, `${path}.${i}`, `${pattern}.*`));
    } else if (isTable(value)) for (const [key, one] of Object.entries(value)) walk(one, path === '' ? key : `${path}.${key}`, pattern === '' ? key : `${pattern}.${key}`);
    else mistakes.push({ path, text: Array.isArray(value) ? `is one table, begun with [${path}] and not with [[${path}]]` : `is a table of keys, begun with [${path}]` });
  };
  walk(table, '', '');
  return mistakes;
}

/** The sentence for a path that is no key; `shown` writes the key that is perhaps meant (with a star for the number in a list). */
export function unknownText(path: string, shown = (key: string): string => key.replaceAll('.*', '')): string {
  if (/(^|\.)password$/.test(path)) return 'passwords do not stand in the configuration; name a file with password_file';
  const meant = probablyMeant(path.replace(/\.\d+(?=\.)/g, '.*'));
  return meant.length === 0 ? 'there is no such key' : `there is no such key; ${meant.map(shown).join(' or ')} is perhaps meant`;
}

/** The key that differs in separators or capitals only, else in few letters, else those of that name in other tables when they are few. */
function probablyMeant(pattern: string): readonly string[] {
  const known = [...KEYS, ...TABLES].filter((key) => !key.endsWith('*'));
  const letters = (key: string): string => key.toLowerCase().replace(/[^a-z0-9]/g, '');
  const same = known.find((key) => letters(key) === letters(pattern));
  if (same !== undefined) return [same];
  const [best] = known.map((key) => ({ key, distance: editDistance(key, pattern) })).toSorted((one, other) => one.distance - other.distance);
  if (best !== undefined && best.distance <= Math.max(1, pattern.length / 4)) return [best.key];
  const last = pattern.slice(pattern.lastIndexOf('.') + 1);
  const named = [...KEYS].filter((key) => key.slice(key.lastIndexOf('.') + 1) === last);
  return named.length <= MOST_NAMED ? named : [];
}

export function isTable(value: unknown): value is Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function parents(key: string): string[] {
  const parts = key.split('.');
  return parts.slice(1).map((_, i) => parts.slice(0, i + 1).join('.'));
}

/** Levenshtein's distance. */
function editDistance(a: string, b: string): number {
  let before = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      row.push(Math.min((row[j - 1] ?? 0) + 1, (before[j] ?? 0) + 1, (before[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    before = row;
  }
  return before[b.length] ?? 0;
}
