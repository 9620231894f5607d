// The search index of the history, in a database of its own (search.db) that main writes, a while after the history: looking for mail must not cost those who
// carry it. Can be lost: it is made anew from the history. In parts by key, so that what is forgotten goes with its whole part.

import { openDatabase } from '#store/sqlite/database.ts';
import type { Database, Statement } from '#store/sqlite/database.ts';
import { HISTORY_MIGRATIONS } from './schema.ts';
import { termsOf } from './terms.ts';
import type { Indexed } from './terms.ts';

export type SearchIndex = {
  /** Messages up to this key are in it. */
  readonly indexedTo: number;
  /** Takes up to `limit` more messages in; returns how many. */
  catchUp(limit: number): number;
  /** How many messages it does not have yet, about. */
  lag(): number;
  /** Keys of those that match, newest first, all below `below`. */
  keys(match: string, below: number): Iterable<number>;
  /** Lets go of the parts of which the history has nothing any more. */
  trim(): void;
  close(): void;
};

/** Messages of one part; some 13 MB. */
const PART_KEYS = 250_000;
const CACHE_BYTES = 8 * 1024 * 1024;
const MIGRATIONS = ['CREATE TABLE state (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID'];

type Part = { readonly insert: Statement; readonly find: Statement };

export function openSearch(path: string, historyPath: string, { partKeys = PART_KEYS }: { readonly partKeys?: number } = {}): SearchIndex {
  const database = openDatabase(path, MIGRATIONS, { synchronous: 'NORMAL', cacheBytes: CACHE_BYTES });
  const history = openDatabase(historyPath, HISTORY_MIGRATIONS, { synchronous: 'NORMAL', readOnly: true, cacheBytes: CACHE_BYTES });
  const parts = new Map(partsOf(database).map((number) => [number, prepare(database, number)]));
  const next = history.prepare('SELECT key, from_address, to_addresses, subject, message_id, credential, project FROM message WHERE key > ? ORDER BY key LIMIT ?');
  const span = history.prepare('SELECT (SELECT min(key) FROM message) AS first, (SELECT max(key) FROM message) AS last');
  const setState = database.prepare('INSERT INTO state (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value');
  let indexedTo = (database.prepare("SELECT value FROM state WHERE name = 'indexed-to'").get() as { value: number } | undefined)?.value ?? 0;
  const { seq: written } = (history.prepare("SELECT seq FROM cursor WHERE name = 'key'").get() as { seq: number } | undefined) ?? { seq: indexedTo };
  if (written < indexedTo) {
    // The history lost its newest lines in a power cut, and gives their keys again.
    const from = Math.floor(written / partKeys);
    for (const number of parts.keys()) if (number >= from) database.exec(`DROP TABLE words_${number}`);
    for (const number of parts.keys()) if (number >= from) parts.delete(number);
    indexedTo = from * partKeys - 1;
  }

  const partFor = (key: number): Part => {
    const number = Math.floor(key / partKeys);
    let part = parts.get(number);
    if (part === undefined) {
      database.exec(`CREATE VIRTUAL TABLE words_${number} USING fts5(words, content = '', columnsize = 0, detail = none, tokenize = 'unicode61 remove_diacritics 2')`);
      parts.set(number, (part = prepare(database, number)));
    }
    return part;
  };
  const atomically = (write: () => void): void => {
    database.exec('BEGIN IMMEDIATE');
    try {
      write();
      database.exec('COMMIT');
    } catch (error) {
      if (database.isTransaction) database.exec('ROLLBACK');
      // A part that was begun in it is gone with it.
      const there = new Set(partsOf(database));
      for (const number of parts.keys()) if (!there.has(number)) parts.delete(number);
      throw error;
    }
  };

  return {
    get indexedTo() {
      return indexedTo;
    },
    catchUp(limit) {
      const rows = next.all(indexedTo, limit) as (Indexed & { key: number })[];
      const last = rows.at(-1);
      if (last === undefined) return 0;
      atomically(() => {
        for (const row of rows) partFor(row.key).insert.run(row.key, termsOf(row));
        setState.run('indexed-to', last.key);
      });
      indexedTo = last.key;
      return rows.length;
    },
    lag() {
      const { last } = span.get() as { last: number | null };
      return Math.max(0, (last ?? 0) - indexedTo);
    },
    *keys(match, below) {
      for (const number of [...parts.keys()].toSorted((a, b) => b - a)) {
        if (number * partKeys >= below) continue;
        for (const { key } of (parts.get(number)?.find.iterate(match, below) ?? []) as Iterable<{ key: number }>) yield key;
      }
    },
    trim() {
      const { first, last } = span.get() as { first: number | null; last: number | null };
      const from = first ?? last ?? indexedTo;
      for (const number of parts.keys()) {
        if ((number + 1) * partKeys > from) continue;
        atomically(() => database.exec(`DROP TABLE words_${number}`));
        parts.delete(number);
      }
    },
    close() {
      history.close();
      database.close();
    },
  };
}

const EVERY_MS = 1000;
/** Some 20 ms of main's time. */
const AT_ONCE = 2000;
/** More than this came since the last look: others need the machine now. */
const BUSY = 300;
/** What is not in the index is gone through by every search, so that there is an end to waiting. */
const MAX_LAG = 30_000;
const BEHIND_MS = 100;
const TRIM_EVERY_MS = 600_000;

/** Keeps the index up with the history: when little happens, and, a little at a time, when too much is not in it. */
export function keepIndexed(index: SearchIndex): { stop(): void } {
  let before = 0;
  let trimmedMs = performance.now();
  let timer: NodeJS.Timeout;
  const look = (): void => {
    let lag = 0;
    try {
      lag = index.lag();
      if (lag - before < BUSY || lag > MAX_LAG) lag -= index.catchUp(AT_ONCE);
      if (performance.now() - trimmedMs > TRIM_EVERY_MS) {
        index.trim();
        trimmedMs = performance.now();
      }
    } catch {
      // Tried again in a second; searches go through the rows meanwhile.
    }
    before = lag;
    timer = setTimeout(look, lag > MAX_LAG ? BEHIND_MS : EVERY_MS).unref();
  };
  timer = setTimeout(look, EVERY_MS).unref();
  return { stop: () => clearTimeout(timer) };
}

function partsOf(database: Database): number[] {
  const rows = database.prepare("SELECT substr(name, 7) AS number FROM sqlite_schema WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL TABLE words_%'").all() as {
    number: string;
  }[];
  return rows.map(({ number }) => Number(number));
}

function prepare(database: Database, number: number): Part {
  const table = `words_${number}`;
  return {
    insert: database.prepare(`INSERT INTO ${table} (rowid, words) VALUES (?, ?)`),
    find: database.prepare(`SELECT rowid AS key FROM ${table} WHERE ${table} MATCH ? AND rowid < ? ORDER BY rowid DESC`),
  };
}
