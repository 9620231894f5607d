// The ready file: written once everything listens, whole or not at all, so that whoever waits for it may read it at once.

import { renameSync, writeFileSync } from 'node:fs';
import type { BoundListener } from './binding.ts';

export type ReadyReport = { readonly pid: number; readonly http: string; readonly listeners: readonly Pick<BoundListener, 'name' | 'profile' | 'address' | 'port' | 'tls'>[] };

export function readyReport(listeners: readonly BoundListener[], httpUrl: string): ReadyReport {
  return { pid: process.pid, http: httpUrl, listeners: listeners.map(({ name, profile, address, port, tls }) => ({ name, profile, address, port, tls })) };
}

/** Writes beside the file and renames: readers see all of it or nothing. */
export function writeReadyFile(path: string, report: ReadyReport): void {
  const draft = `${path}.${process.pid}.tmp`;
  writeFileSync(draft, `${JSON.stringify(report)}\n`);
  renameSync(draft, path);
}
