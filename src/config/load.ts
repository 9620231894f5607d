// From file and environment to the configuration, with the origin of every value. All mistakes are told at once, each with its place, what
// is allowed, and the key that was probably meant.

import { isUtf8 } from 'node:buffer';
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { TomlError, parse } from 'smol-toml';
import { PosternError, errorText } from '#base/failure.ts';
import { buildConfig } from './build.ts';
import type { Values } from './build.ts';
import type { Config } from './config.ts';
import { fromEnvironment } from './environment.ts';
import { followWritten } from './following.ts';
import { findLines, lineOf } from './lines.ts';
import { LISTS, ROWS } from './schema.ts';
import type { Row } from './schema.ts';
import { isTable, unknownKeys } from './unknown.ts';
import type { Mistake } from './unknown.ts';

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

type Table = Record<string, unknown>;

/** What to do about the parser's words. */
const SYNTAX_FIXES: readonly (readonly [RegExp, string])[] = [
  [/redefine/, 'Say each key and each [table] once; what may come several times is begun with [[name]] each time.'],
  [/escape/, 'In "text" a backslash begins an escape: write it twice, or put the text in \'single quotes\'.'],
  [/in strings/, 'Text ends on the line it begins on, with the quote it began with.'],
];
const SYNTAX_FIX = 'Text stands in quotes, a table begins with [name], a list of tables with [[name]], a remark with #.';

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
  followWritten(parsed, values);
  const config = mistakes.length === 0 ? buildConfig({ ...parsed, ...lists } as unknown as Values, mistakes) : null;
  if (config !== null) checkFiles(values, mistakes, config.tls.mode);
  if (config === null || mistakes.length > 0) throw invalid(mistakes, values, originOf);
  return { config, values, file, defaultListeners: values.get('listener')?.origin === 'default' };
}

function findFile({ file, directory }: LoadOptions): string | null {
  if (file !== null) return file;
  return existsSync(resolve(directory, DEFAULT_FILE)) ? DEFAULT_FILE : null;
}

/** The text of the file; some editors put a mark of byte order before it, which is no part of it. */
function readSource(file: string): string {
  try {
    const bytes = readFileSync(file);
    if (isUtf8(bytes)) return bytes.toString('utf8').replace(/^\ufeff/, '');
    throw notUtf8(file, bytes);
  } catch (error) {
    if (error instanceof PosternError) throw error;
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

function notUtf8(file: string, bytes: Buffer): PosternError {
  const lines = bytes.toString('latin1').split('\n');
  const line = lines.findIndex((text) => !isUtf8(Buffer.from(text, 'latin1'))) + 1;
  return new PosternError(
    { code: 'invalid-configuration', cause: `${file}:${line}: this is not UTF-8, which TOML is written in.`, fix: 'Save the file as UTF-8.' },
    { exitCode: 2 },
  );
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
      { code: 'invalid-configuration', cause: `${place}: this is not TOML: ${what}.`, fix: SYNTAX_FIXES.find(([words]) => words.test(what))?.[1] ?? SYNTAX_FIX },
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
    else
      reading.mistakes.push(
        ...result.error.issues.map((issue) => ({ path: [path, ...issue.path.map(String)].join('.'), text: `${show(within(value, issue.path))} ${issue.message}` })),
      );
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
  if (found.length === 0) reading.values.set(name, { value: [], origin: reading.originOf(name) });
  return found.map((table, i) => readRows(rows, table, { ...reading, prefix: `${name}.${i}.` }));
}

/** Files that are named must be there and readable now, not when they are first needed; password files may come later. */
function checkFiles(values: Reading['values'], mistakes: Mistake[], tlsMode: Config['tls']['mode']): void {
  for (const [path, { value }] of values) {
    if (!/(^|\.)(cert|key|ca_file)$/.test(path) || typeof value !== 'string') continue;
    if (tlsMode !== 'files' && (path === 'tls.cert' || path === 'tls.key')) continue;
    try {
      accessSync(value, constants.R_OK);
    } catch (error) {
      mistakes.push({ path, text: `${show(value)} cannot be read: ${errorText(error).replace(/,.*/, '')}` });
    }
  }
}

function invalid(mistakes: readonly Mistake[], values: Reading['values'], originOf: (path: string) => Origin): PosternError {
  const told = mistakes.map(({ path, text, beside }) => {
    const origin = originOf(path);
    const other = beside === undefined ? undefined : values.get(beside);
    return `${origin === '' ? '' : `${origin}: `}${path}: ${text}${other === undefined ? '' : `, which is ${show(other.value)} (${other.origin})`}`;
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

/** The part of a value that a mistake is about. */
function within(value: unknown, path: readonly PropertyKey[]): unknown {
  let part = value;
  for (const key of path) part = Array.isArray(part) ? part[Number(key)] : undefined;
  return part;
}

function show(value: unknown): string {
  const text = value instanceof Date ? value.toISOString() : typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length <= 80 ? text : `${text.slice(0, 79)}…`;
}
