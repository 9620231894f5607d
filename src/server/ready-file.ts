// The ready file: written once everything listens, whole or not at all, so that whoever waits for it may read it at once. It is there only
// while it is true: one of an earlier server is taken away at the start, our own at the end.

import { accessSync, chmodSync, constants, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { PosternError, errorText } from '#base/failure.ts';
import type { BoundListener } from './binding.ts';

export type ReadyReport = { readonly pid: number; readonly http: string; readonly listeners: readonly Pick<BoundListener, 'name' | 'profile' | 'address' | 'port' | 'tls'>[] };

export function readyReport(listeners: readonly BoundListener[], httpUrl: string): ReadyReport {
  return { pid: process.pid, http: httpUrl, listeners: listeners.map(({ name, profile, address, port, tls }) => ({ name, profile, address, port, tls })) };
}

/** Takes an old file away and sees that a new one can be written. Throws PosternError (exit code 2) when not. */
export function prepareReadyFile(path: string): void {
  try {
    accessSync(dirname(path), constants.W_OK | constants.X_OK);
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) throw new Error('it is a directory');
    rmSync(path, { force: true });
  } catch (error) {
    throw new PosternError(
      {
        code: 'ready-file-not-writable',
        cause: `The ready file ${path} cannot be written: ${errorText(error)}.`,
        fix: 'Name a file in a directory that is there and that this account may write to.',
      },
      { exitCode: 2, cause: error },
    );
  }
}

/** Writes beside the file and renames: readers see all of it or nothing. */
export function writeReadyFile(path: string, report: ReadyReport): void {
  const draft = `${path}.${process.pid}.tmp`;
  writeFileSync(draft, `${JSON.stringify(report)}\n`);
  // Whoever waits for it may be another account; there is no secret in it.
  chmodSync(draft, 0o644);
  renameSync(draft, path);
}
