// Keys from the environment, laid over those of the file: POSTERN_HTTP__PORT is http.port, POSTERN_LISTENER__0__PORT the port of the first
// listener, POSTERN_LISTENER a whole list as JSON. Text becomes what the key takes.

import { LISTS, ROWS } from './schema.ts';
import type { Row } from './schema.ts';
import { unknownText } from './unknown.ts';

const PREFIX = 'POSTERN_';
/** Variables that are no keys: options of the command line, and the password of `postern send`. */
export const OTHER_VARIABLES = ['POSTERN_CONFIG', 'POSTERN_DATA', 'POSTERN_PASSWORD'];

/** Kubernetes and Docker set these for a service named "postern": they are about it, not for it. */
const SERVICE_LINK = /^POSTERN_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)$/;

type Table = Record<string, unknown>;

/** The table with what the environment says, the variable of each path, and what is no key. */
export type Environment = { readonly table: Table; readonly names: ReadonlyMap<string, string>; readonly mistakes: readonly { path: string; text: string }[] };

export function fromEnvironment(env: Readonly<Record<string, string | undefined>>, written: Table): Environment {
  const table = structuredClone(written);
  const names = new Map<string, string>();
  const mistakes: { path: string; text: string }[] = [];
  for (const name of Object.keys(env).toSorted()) {
    const text = env[name];
    if (!name.startsWith(PREFIX) || OTHER_VARIABLES.includes(name) || SERVICE_LINK.test(name) || text === undefined) continue;
    const path = name.slice(PREFIX.length).toLowerCase().split('__');
    const joined = path.join('.');
    names.set(joined, name);
    const list = path.findIndex((part) => /^\d+$/.test(part));
    const row = list === -1 ? rowOf(ROWS, joined) : rowOf(rowsOfList(path.slice(0, list).join('.')), path.slice(list + 1).join('.'));
    const wholeList = Object.hasOwn(LISTS, joined);
    if (row === null && !wholeList) mistakes.push({ path: joined, text: unknownText(joined, variableOf) });
    else if (wholeList && !Array.isArray(fromJson(text))) mistakes.push({ path: joined, text: 'is a list of tables in JSON, like [{"name": "value"}]' });
    else if (!put(table, path, valueOf(row, text))) mistakes.push({ path: joined, text: 'lists are counted from 0, without gaps' });
  }
  return { table, names, mistakes };
}

function rowsOfList(name: string): Readonly<Record<string, Row>> {
  return (LISTS as Readonly<Record<string, Readonly<Record<string, Row>>>>)[name] ?? {};
}

function rowOf(rows: Readonly<Record<string, Row>>, key: string): Row | null {
  return Object.values(rows).find((row) => row.key === key) ?? null;
}

/** The variable of a key; the first one of a list. */
function variableOf(key: string): string {
  return `${PREFIX}${key.replaceAll('*', '0').replaceAll('.', '__').toUpperCase()}`;
}

/** The text itself where the key takes text; else what it says as JSON (numbers, true, lists), or parts between commas. */
function valueOf(row: Row | null, text: string): unknown {
  if (row !== null && row.kind.safeParse(text).success) return text;
  const json = fromJson(text);
  if (row === null || (json !== undefined && row.kind.safeParse(json).success)) return json ?? text;
  const parts = text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  const read = parts.map((part) => fromJson(part) ?? part);
  for (const list of [parts, read]) if (row.kind.safeParse(list).success) return list;
  // A key that takes a list gets one, so that the part that is wrong is told.
  return row.kind.safeParse([]).success && json === undefined ? parts : (json ?? text);
}

function fromJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function put(table: Table, path: readonly string[], value: unknown): boolean {
  let into: Table | unknown[] = table;
  for (const [i, part] of path.entries()) {
    const key = Array.isArray(into) ? Number(part) : part;
    if (Array.isArray(into) && (key as number) > into.length) return false;
    const slots = into as Record<string | number, unknown>;
    if (i === path.length - 1) slots[key] = value;
    else {
      slots[key] ??= /^\d+$/.test(path[i + 1] ?? '') ? [] : {};
      into = slots[key] as Table | unknown[];
      if (typeof into !== 'object' || into === null) return false;
    }
  }
  return true;
}
