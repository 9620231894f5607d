// The doctor's reports, in the directory's database: to be read again, and to be shown to others by a key that cannot be guessed. Bounded, the
// oldest go first.

import { randomBytes } from 'node:crypto';
import type { Database } from './sqlite/database.ts';

export type StoredReport = {
  readonly id: string;
  readonly target: string;
  /** Who asked. */
  readonly by: string;
  readonly startedAtMs: number;
  readonly status: 'pass' | 'warn' | 'fail';
  readonly summary: string;
  /** What opens it to others; null: it is not shared. */
  readonly shareKey: string | null;
};

export type ReportStore = {
  /** The report as JSON. */
  add(report: Omit<StoredReport, 'shareKey'>, json: string): void;
  /** Newest first. */
  list(limit: number): readonly StoredReport[];
  find(id: string): (StoredReport & { readonly json: string }) | null;
  /** The key of a report, made if there is none yet; null: there is no such report. */
  share(id: string): string | null;
  unshare(id: string): boolean;
  /** The report that this key opens. */
  shared(key: string): string | null;
  remove(id: string): boolean;
};

export const REPORT_MIGRATION = `
  CREATE TABLE doctor_report (
    id TEXT PRIMARY KEY,
    target TEXT NOT NULL,
    by_name TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    status TEXT NOT NULL,
    summary TEXT NOT NULL,
    share_key TEXT UNIQUE,
    json TEXT NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX doctor_report_time ON doctor_report (started_at)
  `;

const MAX_REPORTS = 200;
/** 160 bits. */
const KEY_BYTES = 20;

type Row = { id: string; target: string; by_name: string; started_at: number; status: StoredReport['status']; summary: string; share_key: string | null; json: string };

export function openReports(database: Database): ReportStore {
  const find = (id: string): Row | undefined => database.prepare('SELECT * FROM doctor_report WHERE id = ?').get(id) as Row | undefined;
  return {
    add({ id, target, by, startedAtMs, status, summary }, json) {
      database.prepare('INSERT INTO doctor_report VALUES (?, ?, ?, ?, ?, ?, NULL, ?)').run(id, target, by, startedAtMs, status, summary, json);
      database.prepare(`DELETE FROM doctor_report WHERE id IN (SELECT id FROM doctor_report ORDER BY started_at DESC LIMIT -1 OFFSET ${MAX_REPORTS})`).run();
    },
    list: (limit) => (database.prepare('SELECT * FROM doctor_report ORDER BY started_at DESC LIMIT ?').all(limit) as Row[]).map(reportOf),
    find(id) {
      const row = find(id);
      return row === undefined ? null : { ...reportOf(row), json: row.json };
    },
    share(id) {
      const row = find(id);
      if (row === undefined) return null;
      if (row.share_key !== null) return row.share_key;
      const key = randomBytes(KEY_BYTES).toString('base64url');
      database.prepare('UPDATE doctor_report SET share_key = ? WHERE id = ?').run(key, id);
      return key;
    },
    unshare: (id) => database.prepare('UPDATE doctor_report SET share_key = NULL WHERE id = ? AND share_key IS NOT NULL').run(id).changes > 0,
    shared: (key) => (database.prepare('SELECT json FROM doctor_report WHERE share_key = ?').get(key) as { json: string } | undefined)?.json ?? null,
    remove: (id) => database.prepare('DELETE FROM doctor_report WHERE id = ?').run(id).changes > 0,
  };
}

function reportOf({ id, target, by_name, started_at, status, summary, share_key }: Row): StoredReport {
  return { id, target, by: by_name, startedAtMs: started_at, status, summary, shareKey: share_key };
}
