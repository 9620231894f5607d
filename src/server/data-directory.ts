// The data directory: made private, and held by one server at a time. Knows nothing of what the stores keep in it.

import { accessSync, constants, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { PosternError, errorText } from '#base/failure.ts';
import type { Log } from '#base/log.ts';
import { holdLock } from '#store/sqlite/database.ts';

export type DataDirectory = { readonly path: string; release(): void };

/**
 * Makes the directory (mode 0700) if it is missing and takes its lock, which ends with the process, however that ends. Throws PosternError
 * (exit code 3): `data-not-writable`, or `data-in-use` when another server has it.
 */
export function holdDataDirectory(dataDir: string, log: Log): DataDirectory {
  const path = resolve(dataDir);
  // Whatever is made from here on is for this account: the directory may be one that others can look into.
  const mask = process.umask(0o077);
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new PosternError(
      {
        code: 'data-not-writable',
        cause: `The data directory ${path} cannot be used: ${errorText(error)}.`,
        fix: 'Make it writable for this account, or name another with --data DIR or POSTERN_DATA.',
      },
      { cause: error },
    );
  }
  // A directory that was there before may be anything, so its mode is not ours to change.
  if ((statSync(path).mode & 0o077) !== 0) {
    log.warn('data.open-to-others', { path, failure: { code: 'data-open-to-others', cause: 'Other accounts may look into the data directory.', fix: `chmod 700 ${path}` } });
  }
  const pidFile = join(path, 'postern.pid');
  const lock = holdLock(join(path, 'postern.lock'));
  if (lock === null) {
    throw new PosternError({
      code: 'data-in-use',
      cause: `Another Postern server${holder(pidFile)} uses the data directory ${path}.`,
      fix: 'Stop that one first, or start this one on another directory with --data DIR.',
    });
  }
  writeFileSync(pidFile, `${process.pid}\n`, { mode: 0o600 });
  return {
    path,
    release() {
      process.umask(mask);
      rmSync(pidFile, { force: true });
      lock.release();
    },
  };
}

function holder(pidFile: string): string {
  try {
    return ` (process ${readFileSync(pidFile, 'utf8').trim()})`;
  } catch {
    return '';
  }
}
