// The audit log, in the directory's database: who changed what, when, from where. Written by the API for every call that changes something;
// bounded, the oldest go first.

import { Conditions } from './sqlite/conditions.ts';
import type { Database } from './sqlite/database.ts';

export type AuditEntry = {
  readonly id: number;
  readonly atMs: number;
  readonly kind: 'socket' | 'local' | 'token' | 'session' | 'nobody';
  /** Of the account, the token or the person. */
  readonly name: string;
  readonly actorId: string | null;
  readonly project: string | null;
  /** null: the management socket. */
  readonly address: string | null;
  /** The id of the operation. */
  readonly action: string;
  readonly target: string;
  /** 403: it was tried, and refused. */
  readonly status: number;
};

export type AuditFilter = {
  readonly action?: string;
  readonly name?: string;
  readonly project?: string;
  readonly sinceMs?: number;
  /** Entries before this one. */
  readonly before?: number;
  readonly limit: number;
};

export type AuditStore = {
  write(entry: Omit<AuditEntry, 'id' | 'atMs'>): void;
  /** Newest first. */
  list(filter: AuditFilter): readonly AuditEntry[];
};

export const AUDIT_MIGRATION = `
  CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    actor_id TEXT,
    project TEXT,
    address TEXT,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    status INTEGER NOT NULL
  )
  `;

const MAX_ENTRIES = 100_000;
/** How often it is looked whether there are too many. */
const TRIM_EVERY = 1000;

type Row = {
  id: number;
  at: number;
  kind: AuditEntry['kind'];
  name: string;
  actor_id: string | null;
  project: string | null;
  address: string | null;
  action: string;
  target: string;
  status: number;
};

export function openAudit(database: Database, nowMs: () => number): AuditStore {
  const insert = database.prepare('INSERT INTO audit (at, kind, name, actor_id, project, address, action, target, status) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)');
  const trim = database.prepare('DELETE FROM audit WHERE id <= ?');
  return {
    write({ kind, name, actorId, project, address, action, target, status }) {
      const { lastInsertRowid } = insert.run(nowMs(), kind, name, actorId, project, address, action, target, status);
      const last = Number(lastInsertRowid);
      if (last % TRIM_EVERY === 0) trim.run(last - MAX_ENTRIES);
    },
    list({ limit, ...filter }) {
      const asked = new Conditions();
      asked.add('action = ?', filter.action);
      asked.add('name = ?', filter.name);
      asked.add('project = ?', filter.project);
      asked.add('at >= ?', filter.sinceMs);
      asked.add('id < ?', filter.before);
      const rows = database.prepare(`SELECT * FROM audit WHERE ${asked.sql} ORDER BY id DESC LIMIT ?`).all(...asked.values, limit) as Row[];
      return rows.map(({ at, actor_id, ...row }) => ({ ...row, atMs: at, actorId: actor_id }));
    },
  };
}
