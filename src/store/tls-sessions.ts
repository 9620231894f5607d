// The sessions that TLS reports tell of, counted by day, domain, policy and result; and the reports themselves, from being due to being sent.
// Tables of transport.db. RFC 8460.

import { createHash } from 'node:crypto';
import type { ReportedFailure, ReportedPolicy, SessionCount } from '#tls/tlsrpt.ts';
import { spare } from './sqlite/database.ts';
import type { Database } from './sqlite/database.ts';

export type SessionRow = SessionCount & { readonly day: string; readonly domain: string };

/** What a day's mail to a domain came to. */
export type SessionSummary = { readonly domain: string; readonly successful: number; readonly failed: number };

export type ReportState = 'waiting' | 'sent' | 'failed';

/** One report of one day to one receiver. `messageId`: of the mail it went out as, chosen before it was handed over. */
export type ReportRow = {
  readonly id: string;
  readonly day: string;
  readonly domain: string;
  /** `mailto:...` or `https://...`. */
  readonly target: string;
  readonly state: ReportState;
  readonly messageId: string | null;
  readonly attempts: number;
  readonly nextAtMs: number;
  readonly createdAtMs: number;
  readonly detail: string;
};

export type TlsSessions = {
  /** Adds counts, in one transaction. What the bounds leave no room for is counted without its details, or not at all. Never throws for want of space. */
  add(rows: readonly SessionRow[]): void;
  counts(day: string, domain: string): readonly SessionCount[];
  /** Domains of a day, by name, from the one behind `after` on. */
  summaries(day: string, options: { readonly after: string; readonly limit: number }): readonly SessionSummary[];
  /** Forgets the days before this one, with their reports. */
  trim(beforeDay: string): void;
  /** True once the reports of a day are all in the table. */
  prepared(day: string): boolean;
  setPrepared(day: string): void;
  /** Adds a report, unless there is one of this day to this target already. */
  addReport(report: Pick<ReportRow, 'id' | 'day' | 'domain' | 'target' | 'createdAtMs'>): void;
  reports(day: string, domain?: string): readonly ReportRow[];
  due(nowMs: number, limit: number): readonly ReportRow[];
  update(id: string, change: Pick<ReportRow, 'state' | 'messageId' | 'attempts' | 'nextAtMs' | 'detail'>): void;
};

export const TLS_SESSION_TABLES = `
  CREATE TABLE tls_session (
    day TEXT NOT NULL,
    domain TEXT NOT NULL,
    policy TEXT NOT NULL,
    failure TEXT NOT NULL,
    sessions INTEGER NOT NULL,
    PRIMARY KEY (day, domain, policy, failure)
  ) WITHOUT ROWID;
  CREATE TABLE tls_session_policy (id TEXT PRIMARY KEY, text TEXT NOT NULL, day TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE tls_session_rows (day TEXT NOT NULL, domain TEXT NOT NULL, rows INTEGER NOT NULL, PRIMARY KEY (day, domain)) WITHOUT ROWID;
  CREATE TABLE tls_report (
    id TEXT PRIMARY KEY,
    day TEXT NOT NULL,
    domain TEXT NOT NULL,
    target TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'failed')),
    message_id TEXT,
    attempts INTEGER NOT NULL,
    next_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    detail TEXT NOT NULL
  ) WITHOUT ROWID;
  CREATE UNIQUE INDEX tls_report_once ON tls_report (day, domain, target);
  CREATE INDEX tls_report_due ON tls_report (next_at) WHERE state = 'waiting';
  CREATE TABLE tls_report_day (day TEXT PRIMARY KEY) WITHOUT ROWID
`;

/** Rows of one domain on one day, past which failures are counted without their details; and of all domains, past which new ones are not counted. */
const MAX_DOMAIN_ROWS = 200;
const MAX_DAY_ROWS = 200_000;

/** The tables of an open transport.db. */
export function tlsSessions(database: Database): TlsSessions {
  const add = adder(database);
  const counts = database.prepare(
    'SELECT p.text AS policy, s.failure, s.sessions FROM tls_session s JOIN tls_session_policy p ON p.id = s.policy WHERE s.day = ? AND s.domain = ? ORDER BY s.policy, s.failure',
  );
  const summaries = database.prepare(
    "SELECT domain, sum(iif(failure = '', sessions, 0)) AS successful, sum(iif(failure = '', 0, sessions)) AS failed FROM tls_session WHERE day = ? AND domain > ? GROUP BY domain ORDER BY domain LIMIT ?",
  );
  const insertReport = database.prepare("INSERT OR IGNORE INTO tls_report VALUES (?, ?, ?, ?, 'waiting', NULL, 0, ?, ?, '')");
  const update = database.prepare('UPDATE tls_report SET state = ?, message_id = ?, attempts = ?, next_at = ?, detail = ? WHERE id = ?');
  const due = database.prepare("SELECT * FROM tls_report WHERE state = 'waiting' AND next_at <= ? ORDER BY next_at LIMIT ?");
  const ofDay = database.prepare('SELECT * FROM tls_report WHERE day = ? ORDER BY domain, target');
  const ofDomain = database.prepare('SELECT * FROM tls_report WHERE day = ? AND domain = ? ORDER BY target');
  const prepared = database.prepare('SELECT 1 FROM tls_report_day WHERE day = ?');
  const setPrepared = database.prepare('INSERT OR IGNORE INTO tls_report_day VALUES (?)');
  return {
    add: (rows) => spare(() => add(rows)),
    counts: (day, domain) =>
      (counts.all(day, domain) as { policy: string; failure: string; sessions: number }[]).map(({ policy, failure, sessions }) => ({
        policy: JSON.parse(policy) as ReportedPolicy,
        failure: failure === '' ? null : (JSON.parse(failure) as ReportedFailure),
        sessions,
      })),
    summaries: (day, { after, limit }) => summaries.all(day, after, limit) as SessionSummary[],
    trim(beforeDay) {
      for (const table of ['tls_session', 'tls_session_policy', 'tls_session_rows', 'tls_report', 'tls_report_day'])
        database.prepare(`DELETE FROM ${table} WHERE day < ?`).run(beforeDay);
    },
    prepared: (day) => prepared.get(day) !== undefined,
    setPrepared: (day) => void setPrepared.run(day),
    addReport: ({ id, day, domain, target, createdAtMs }) => void insertReport.run(id, day, domain, target, createdAtMs, createdAtMs),
    reports: (day, domain) => ((domain === undefined ? ofDay.all(day) : ofDomain.all(day, domain)) as StoredReport[]).map(reportOf),
    due: (nowMs, limit) => (due.all(nowMs, limit) as StoredReport[]).map(reportOf),
    update: (id, { state, messageId, attempts, nextAtMs, detail }) => void update.run(state, messageId, attempts, nextAtMs, detail, id),
  };
}

/** One transaction for a batch: each row is added to the one that is there, or finds its place within the bounds. */
function adder(database: Database): (rows: readonly SessionRow[]) => void {
  const addTo = database.prepare('UPDATE tls_session SET sessions = sessions + ? WHERE day = ? AND domain = ? AND policy = ? AND failure = ?');
  const insert = database.prepare('INSERT INTO tls_session VALUES (?, ?, ?, ?, ?)');
  const insertPolicy = database.prepare('INSERT INTO tls_session_policy VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET day = max(day, excluded.day)');
  const rowsOf = database.prepare('SELECT rows FROM tls_session_rows WHERE day = ? AND domain = ?');
  const addRow = database.prepare('INSERT INTO tls_session_rows VALUES (?, ?, 1) ON CONFLICT (day, domain) DO UPDATE SET rows = rows + 1');
  const present = (day: string, domain: string): number => (rowsOf.get(day, domain) as { rows: number } | undefined)?.rows ?? 0;
  const put = ({ day, domain, policy, failure, sessions }: SessionRow): void => {
    const text = JSON.stringify(policy);
    const id = createHash('sha256').update(text).digest('base64url').slice(0, 22);
    const exact = failure === null ? '' : JSON.stringify(failure);
    if (addTo.run(sessions, day, domain, id, exact).changes > 0) return;
    const crowded = failure !== null && present(day, domain) >= MAX_DOMAIN_ROWS;
    const stored = crowded ? JSON.stringify(withoutDetails(failure)) : exact;
    if (crowded && addTo.run(sessions, day, domain, id, stored).changes > 0) return;
    // '' counts all domains of the day.
    if (present(day, '') >= MAX_DAY_ROWS) return;
    insertPolicy.run(id, text, day);
    insert.run(day, domain, id, stored, sessions);
    addRow.run(day, domain);
    addRow.run(day, '');
  };
  return (rows) => {
    database.exec('BEGIN IMMEDIATE');
    try {
      for (const row of rows) put(row);
      database.exec('COMMIT');
    } catch (error) {
      if (database.isTransaction) database.exec('ROLLBACK');
      throw error;
    }
  };
}

function withoutDetails({ type }: ReportedFailure): ReportedFailure {
  return { type, reason: 'more-of-this-kind', text: '', sendingIp: '', mxHost: '', mxHelo: '', mxIp: '' };
}

type StoredReport = {
  id: string;
  day: string;
  domain: string;
  target: string;
  state: ReportState;
  message_id: string | null;
  attempts: number;
  next_at: number;
  created_at: number;
  detail: string;
};

function reportOf(row: StoredReport): ReportRow {
  const { message_id: messageId, next_at: nextAtMs, created_at: createdAtMs, ...same } = row;
  return { ...same, messageId, nextAtMs, createdAtMs };
}
