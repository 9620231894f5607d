// SQLite as Postern uses it: opened with the pragmas that make a commit durable, brought up to its schema by numbered migrations.
// The only file that imports node:sqlite.

import { DatabaseSync } from 'node:sqlite';
import { PosternError, errorCode, errorText } from '#base/failure.ts';

export type Database = DatabaseSync;
export type { StatementSync as Statement } from 'node:sqlite';

export type OpenOptions = {
  /** FULL: every commit is synced before it returns. NORMAL: a power cut may lose the last commits, never the file. */
  readonly synchronous: 'FULL' | 'NORMAL';
  readonly readOnly?: boolean;
  readonly cacheBytes?: number;
};

/** A checkpoint syncs twice: fewer, larger ones. So many pages bound the log to about 32 MB. */
export const CHECKPOINT_PAGES = 4000;

/** Opens a database file in WAL mode. Throws PosternError `database-not-opened` with the cause and the fix. */
export function openDatabase(path: string, migrations: readonly string[], options: OpenOptions): Database {
  try {
    const database = new DatabaseSync(path, { readOnly: options.readOnly ?? false, timeout: 5000 });
    if (options.readOnly !== true) {
      database.exec('PRAGMA page_size = 8192');
      database.exec('PRAGMA journal_mode = WAL');
      database.exec(`PRAGMA synchronous = ${options.synchronous}`);
      database.exec(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
      migrate(database, migrations);
    }
    database.exec(`PRAGMA cache_size = -${Math.round((options.cacheBytes ?? 16 * 1024 * 1024) / 1024)}`);
    database.exec('PRAGMA temp_store = MEMORY');
    return database;
  } catch (error) {
    if (error instanceof PosternError) throw error;
    throw new PosternError(
      {
        code: 'database-not-opened',
        cause: `The database ${path} could not be opened: ${errorText(error)}`,
        fix: 'Check that the data directory is writable, on a local disk, and not full.',
      },
      { cause: error },
    );
  }
}

/** True when an SQLite error says that space ran out (SQLITE_FULL, or an I/O error while writing). */
export function isOutOfSpace(error: unknown): boolean {
  if (typeof error !== 'object' || error === null || errorCode(error) !== 'ERR_SQLITE_ERROR') return false;
  const number = 'errcode' in error && typeof error.errcode === 'number' ? error.errcode & 0xff : 0;
  return number === 13 || number === 10;
}

/** A write that may be left out: what cannot be written (a full disk, a lock held too long) costs knowledge, and nothing fails for it. */
export function spare(write: () => void): void {
  try {
    write();
  } catch (error) {
    if (errorCode(error) !== 'ERR_SQLITE_ERROR') throw error;
  }
}

/** Each migration runs once, in order; `user_version` counts them. */
function migrate(database: Database, migrations: readonly string[]): void {
  const row = database.prepare('PRAGMA user_version').get() as { user_version: number };
  if (row.user_version > migrations.length) {
    throw new PosternError({
      code: 'database-too-new',
      cause: `The database was written by a newer Postern (schema ${row.user_version}, this one knows ${migrations.length}).`,
      fix: 'Start the newer version, or restore a backup made before the upgrade.',
    });
  }
  for (let version = row.user_version; version < migrations.length; version++) {
    database.exec(`BEGIN IMMEDIATE; ${migrations[version]}; PRAGMA user_version = ${version + 1}; COMMIT`);
  }
}

/** Takes a lock on a file, which the system lets go when the process ends, however it ends; null when another process has it. */
export function holdLock(path: string): { release(): void } | null {
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE');
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if (typeof error === 'object' && error !== null && 'errcode' in error && error.errcode === 5) return null;
    throw error;
  }
  return { release: () => database.close() };
}
