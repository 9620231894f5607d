// From file and environment to the configuration, with the origin of every value. All mistakes are told at once, each with its place, what
// is allowed, and the key that was probably meant.

import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { TomlError, parse } from 'smol-toml';
import { PosternError, errorText } from '#base/failure.ts';
import { buildConfig } from './build.ts';
import type { Values } from './build.ts';
import type { Config } from './config.ts';
import { fromEnvironment } from './environment.ts';
import { findLines, lineOf } from './lines.ts';
import { LISTS, ROWS } from './schema.ts';
import type { Row } from './schema.ts';

/** Where a value is from: `default`, `postern.toml:12`, `POSTERN_HTTP__PORT`. */
export type Origin = string;

export type LoadedConfig = {
  readonly config: Config;
  /** By path, as in TOML (`queue.retry.first`, `listener.0.port`): the value as written, or the default, and its origin. */
  readonly values: ReadonlyMap<string, { readonly value: unknown; readonly origin: Origin }>;
  /** The file that was read; null: none. */
  readonly file: string | null;
  /** Nobody named any listener. */
  readonly defaultListeners: boolean;
};

export type LoadOptions = {
  /** Must exist; null: `./postern.toml` if it is there. */ readonly file: string | null;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly directory: string;
};

const DEFAULT_FILE = 'postern.toml';

/** A mistake in the configuration, by the path of its key. */
export type Mistake = { readonly path: string; readonly text: string };

type Table = Record<string, unknown>;

/** Loads the configuration. Throws PosternError `invalid-configuration` (exit code 2) that lists every mistake. */
export function loadConfig(options: LoadOptions): LoadedConfig {
  const file = findFile(options);
  const source = file === null ? '' : readSource(file);
  const written = file === null ? {} : parseSource(file, source);
  const lines = findLines(source);
  const environment = fromEnvironment(options.env, written);
  const shown = file ?? '';
  const originOf = (path: string): Origin => {
    const name = nearest(environment.names, path);
    if (name !== null) return name;
    const line = lineOf(lines, path);
    return line === null ? shown : `${shown}:${line}`;
  };
  const mistakes: Mistake[] = [...environment.mistakes, ...unknownKeys(environment.table)];
  const values = new Map<string, { value: unknown; origin: Origin }>();
  const parsed = readRows(ROWS, environment.table, { prefix: '', mistakes, values, originOf });
  const lists = Object.fromEntries(Object.entries(LISTS).map(([name, rows]) => [name, readList(name, rows, { table: environment.table, mistakes, values, originOf })]));
  const config = mistakes.length === 0 ? buildConfig({ ...parsed, ...lists } as unknown as Values, mistakes) : null;
  if (config !== null) checkFiles(values, mistakes);
  if (config === null || mistakes.length > 0) throw invalid(mistakes, originOf);
  return { config, values, file, defaultListeners: values.get('listener')?.origin === 'default' };
}

function findFile({ file, directory }: LoadOptions): string | null {
  if (file !== null) return file;
  return existsSync(resolve(directory, DEFAULT_FILE)) ? DEFAULT_FILE : null;
}

function readSource(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new PosternError(
      {
        code: 'configuration-not-read',
        cause: `The configuration file ${file} cannot be read: ${errorText(error)}.`,
        fix: 'Check the path (--config FILE or POSTERN_CONFIG) and its permissions.',
      },
      { exitCode: 2, cause: error },
    );
  }
}

function parseSource(file: string, source: string): Table {
  try {
    return parse(source) as Table;
  } catch (error) {
    const place = error instanceof TomlError ? `${file}:${error.line}:${error.column}` : file;
    const [what = ''] = errorText(error)
      .replace(/^Invalid TOML document: /, '')
      .split('\n');
    throw new PosternError(
      { code: 'invalid-configuration', cause: `${place}: this is not TOML: ${what}.`, fix: 'Text stands in quotes, a table begins with [name], a list of tables with [[name]].' },
      { exitCode: 2, cause: error },
    );
  }
}

type Reading = { readonly mistakes: Mistake[]; readonly values: Map<string, { value: unknown; origin: Origin }>; readonly originOf: (path: string) => Origin };

/** The values of one table by their property names; defaults are filled in. */
function readRows(rows: Readonly<Record<string, Row>>, table: Table, reading: Reading & { prefix: string }): Table {
  const out: Table = {};
  for (const [name, row] of Object.entries(rows)) {
    const path = `${reading.prefix}${row.key}`;
    const found = at(table, row.key);
    if (found === undefined && row.fallback === undefined) {
      out[name] = null;
      continue;
    }
    const value = found ?? row.fallback;
    reading.values.set(path, { value, origin: found === undefined ? 'default' : reading.originOf(path) });
    const result = row.kind.safeParse(value);
    if (result.success) out[name] = result.data;
    else reading.mistakes.push(...result.error.issues.map((issue) => ({ path: [path, ...issue.path.map(String)].join('.'), text: `${show(value)} ${issue.message}` })));
  }
  return out;
}

function readList(name: string, rows: Readonly<Record<string, Row>>, reading: Reading & { table: Table }): Table[] | null {
  const found = at(reading.table, name);
  if (found === undefined) {
    reading.values.set(name, { value: [], origin: 'default' });
    return null;
  }
  if (!Array.isArray(found) || !found.every(isTable)) {
    reading.mistakes.push({ path: name, text: `must be a list of tables, each begun with [[${name}]]` });
    return [];
  }
  return found.map((table, i) => readRows(rows, table, { ...reading, prefix: `${name}.${i}.` }));
}

/** Keys that are none, each with the known one that is nearest. */
function unknownKeys(table: Table): Mistake[] {
  const known = new Set<string>(Object.values(ROWS).map((row) => row.key));
  for (const [name, rows] of Object.entries(LISTS)) for (const row of Object.values(rows)) known.add(`${name}.*.${row.key}`);
  const tables = new Set([...known].flatMap((key) => parents(key)));
  const mistakes: Mistake[] = [];
  const walk = (value: unknown, path: string, pattern: string): void => {
    if (known.has(pattern)) return;
    if (pattern !== '' && !tables.has(pattern)) {
      mistakes.push({ path, text: unknownText(path, pattern, known) });
    } else if (Array.isArray(value)) value.forEach((one, i) => walk(one, `${path}.${i}`, `${pattern}.*`));
    else if (isTable(value)) for (const [key, one] of Object.entries(value)) walk(one, path === '' ? key : `${path}.${key}`, pattern === '' ? key : `${pattern}.${key}`);
  };
  walk(table, '', '');
  return mistakes;
}

function unknownText(path: string, pattern: string, known: ReadonlySet<string>): string {
  if (/(^|\.)password$/.test(path)) return 'passwords do not stand in the configuration; name a file with password_file';
  const all = [...known].map((key) => ({ key, distance: editDistance(key, pattern) })).toSorted((one, other) => one.distance - other.distance);
  const [best] = all;
  const last = pattern.split('.').at(-1) ?? '';
  const sameName = [...known].find((key) => key.split('.').at(-1) === last);
  const meant = best !== undefined && best.distance <= Math.max(2, pattern.length / 4) ? best.key : sameName;
  return meant === undefined ? 'there is no such key' : `there is no such key; ${meant.replaceAll('.*', '')} is perhaps meant`;
}

function parents(key: string): string[] {
  const parts = key.split('.');
  return parts.slice(1).map((_, i) => parts.slice(0, i + 1).join('.'));
}

/** Files that are named must be there and readable now, not when they are first needed; password files may come later. */
function checkFiles(values: Reading['values'], mistakes: Mistake[]): void {
  for (const [path, { value }] of values) {
    if (!/(^|\.)(cert|key|ca_file)$/.test(path) || typeof value !== 'string') continue;
    try {
      accessSync(value, constants.R_OK);
    } catch (error) {
      mistakes.push({ path, text: `${show(value)} cannot be read: ${errorText(error).replace(/,.*/, '')}` });
    }
  }
}

function invalid(mistakes: readonly Mistake[], originOf: (path: string) => Origin): PosternError {
  const told = mistakes.map(({ path, text }) => {
    const origin = originOf(path);
    return `${origin === '' ? '' : `${origin}: `}${path}: ${text}`;
  });
  const cause = told.length === 1 ? `${told[0]}.` : `The configuration has ${told.length} mistakes:\n  ${told.join('\n  ')}`;
  return new PosternError(
    { code: 'invalid-configuration', cause, fix: '"postern config schema" and docs/configuration.md say what every key takes; "postern config check" looks again.' },
    { exitCode: 2 },
  );
}

function nearest(names: ReadonlyMap<string, string>, path: string): string | null {
  for (let key = path; key !== ''; key = key.includes('.') ? key.slice(0, key.lastIndexOf('.')) : '') {
    const name = names.get(key);
    if (name !== undefined) return name;
  }
  return null;
}

function at(table: Table, key: string): unknown {
  let value: unknown = table;
  for (const part of key.split('.')) value = isTable(value) ? value[part] : undefined;
  return value;
}

function isTable(value: unknown): value is Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= 80 ? text : `${text.slice(0, 79)}…`;
}

/** Levenshtein's distance. */
export function editDistance(a: string, b: string): number {
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
