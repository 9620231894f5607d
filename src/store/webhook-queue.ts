// How far each webhook is: the place in the log up to which events were taken over, those that wait to be told (a bounded window of them), what came of the last
// attempts, and what is to be replayed. A database of its own (webhook.db), written by main. A power cut may lose the newest lines: then something is told twice.

import type { Place } from './event-log.ts';
import { openDatabase } from './sqlite/database.ts';

export type WebhookProgress = {
  readonly place: Place;
  /** Failed attempts in a row, since when, and not before when the next is made. */
  readonly failures: number;
  readonly failingSinceMs: number | null;
  readonly pausedUntilMs: number;
  /** Gaps: events were no longer kept when their turn came. */
  readonly missed: number;
  readonly lastSuccessAtMs: number | null;
};

/** An event that waits to be told: what is posted, byte for byte the same each time. */
export type PendingEvent = {
  readonly webhook: string;
  readonly event: string;
  readonly place: Place;
  readonly type: string;
  readonly messageId: string;
  readonly payload: string;
  readonly attempts: number;
  readonly nextAtMs: number;
};

export type DeliveryRow = {
  readonly key: number;
  readonly webhook: string;
  readonly event: string;
  readonly type: string;
  readonly messageId: string | null;
  /** Counts from 1. */
  readonly attempt: number;
  readonly atMs: number;
  readonly durationMs: number;
  /** `given-up`: that was the last attempt. */
  readonly result: 'delivered' | 'failed' | 'given-up';
  /** Of HTTP; null: there was no answer. */
  readonly status: number | null;
  /** The beginning of the answer. */
  readonly answer: string;
  readonly cause: string;
  readonly fix: string;
  /** When it is tried again; null: it is not. */
  readonly nextAtMs: number | null;
};

export type Replay = { readonly place: Place; readonly upTo: Place; readonly types: readonly string[] | null };

export type WebhookQueue = {
  /** Begins at `place` when it is not known yet. */
  progress(webhook: string, place: Place): WebhookProgress;
  setProgress(webhook: string, change: Partial<WebhookProgress>): void;
  /** Takes events over, and the place with them, in one transaction. Those that wait already stay as they are. */
  take(
    webhook: string,
    events: readonly Omit<PendingEvent, 'webhook' | 'attempts'>[],
    moved: Partial<Pick<WebhookProgress, 'place' | 'missed'>> & { readonly replay?: Replay | null },
  ): void;
  /** Those that are due, oldest first. */
  due(webhook: string, nowMs: number, limit: number): readonly PendingEvent[];
  nextDueAtMs(webhook: string): number | null;
  waiting(webhook: string): { readonly events: number; readonly oldestAtMs: number | null };
  /** What an attempt came to, with what follows for the event (null: it is done with) and the webhook; in one transaction. */
  settle(event: Pick<PendingEvent, 'webhook' | 'event'>, delivery: Omit<DeliveryRow, 'key'>, progress: Partial<WebhookProgress>): void;
  note(delivery: Omit<DeliveryRow, 'key'>): void;
  deliveries(webhook: string, options: { readonly limit: number; readonly before?: number }): readonly DeliveryRow[];
  replay(webhook: string): Replay | null;
  setReplay(webhook: string, replay: Replay | null): void;
  forget(webhook: string): void;
  close(): void;
};

const CACHE_BYTES = 2 * 1024 * 1024;
/** Attempts that are remembered of each webhook. */
const DELIVERIES = 1000;
const TRIM_EVERY = 100;

const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE progress (
    webhook TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    change INTEGER NOT NULL,
    failures INTEGER NOT NULL DEFAULT 0,
    failing_since INTEGER,
    paused_until INTEGER NOT NULL DEFAULT 0,
    missed INTEGER NOT NULL DEFAULT 0,
    last_success_at INTEGER,
    replay TEXT
  ) WITHOUT ROWID;
  CREATE TABLE pending (
    webhook TEXT NOT NULL,
    event TEXT NOT NULL,
    seq INTEGER NOT NULL,
    change INTEGER NOT NULL,
    type TEXT NOT NULL,
    message TEXT NOT NULL,
    payload TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    taken_at INTEGER NOT NULL,
    next_at INTEGER NOT NULL,
    PRIMARY KEY (webhook, event)
  );
  CREATE INDEX pending_due ON pending (webhook, next_at, seq, change);
  CREATE TABLE delivery (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook TEXT NOT NULL,
    event TEXT NOT NULL,
    type TEXT NOT NULL,
    message TEXT,
    attempt INTEGER NOT NULL,
    at INTEGER NOT NULL,
    duration INTEGER NOT NULL,
    result TEXT NOT NULL,
    status INTEGER,
    answer TEXT NOT NULL,
    cause TEXT NOT NULL,
    fix TEXT NOT NULL,
    next_at INTEGER
  );
  CREATE INDEX delivery_webhook ON delivery (webhook, key)
  `,
];

type ProgressRow = {
  seq: number;
  change: number;
  failures: number;
  failing_since: number | null;
  paused_until: number;
  missed: number;
  last_success_at: number | null;
  replay: string | null;
};
type PendingRow = { webhook: string; event: string; seq: number; change: number; type: string; message: string; payload: string; attempts: number; next_at: number };
type StoredDelivery = {
  key: number;
  webhook: string;
  event: string;
  type: string;
  message: string | null;
  attempt: number;
  at: number;
  duration: number;
  result: DeliveryRow['result'];
  status: number | null;
  answer: string;
  cause: string;
  fix: string;
  next_at: number | null;
};

export function openWebhookQueue(path: string, nowMs: () => number): WebhookQueue {
  const database = openDatabase(path, MIGRATIONS, { synchronous: 'NORMAL', cacheBytes: CACHE_BYTES });
  const readProgress = database.prepare('SELECT * FROM progress WHERE webhook = ?');
  const writeProgress = database.prepare(
    'UPDATE progress SET seq = ?, change = ?, failures = ?, failing_since = ?, paused_until = ?, missed = ?, last_success_at = ? WHERE webhook = ?',
  );
  const writeReplay = database.prepare('UPDATE progress SET replay = ? WHERE webhook = ?');
  const insertPending = database.prepare(
    'INSERT OR IGNORE INTO pending (webhook, event, seq, change, type, message, payload, taken_at, next_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
  );
  const dueOnes = database.prepare('SELECT * FROM pending WHERE webhook = ? AND next_at <= ? ORDER BY seq, change LIMIT ?');
  const nextDue = database.prepare('SELECT min(next_at) AS at FROM pending WHERE webhook = ?');
  const count = database.prepare('SELECT count(*) AS events, min(taken_at) AS oldest FROM pending WHERE webhook = ?');
  const defer = database.prepare('UPDATE pending SET attempts = ?, next_at = ? WHERE webhook = ? AND event = ?');
  const done = database.prepare('DELETE FROM pending WHERE webhook = ? AND event = ?');
  const insertDelivery = database.prepare(
    'INSERT INTO delivery (webhook, event, type, message, attempt, at, duration, result, status, answer, cause, fix, next_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
  );
  const trimDeliveries = database.prepare(
    `DELETE FROM delivery WHERE webhook = ? AND key < (SELECT key FROM delivery WHERE webhook = ? ORDER BY key DESC LIMIT 1 OFFSET ${DELIVERIES - 1})`,
  );
  const listDeliveries = database.prepare('SELECT * FROM delivery WHERE webhook = ? AND key < ? ORDER BY key DESC LIMIT ?');
  let noted = 0;

  const progressRow = (webhook: string): ProgressRow | undefined => readProgress.get(webhook) as ProgressRow | undefined;
  const setProgress = (webhook: string, change: Partial<WebhookProgress>): void => {
    const row = progressRow(webhook);
    if (row === undefined) return;
    const { place, failures, failingSinceMs, pausedUntilMs, missed, lastSuccessAtMs } = { ...progressOf(row), ...change };
    writeProgress.run(place.seq, place.change, failures, failingSinceMs, pausedUntilMs, missed, lastSuccessAtMs, webhook);
  };
  const note = (delivery: Omit<DeliveryRow, 'key'>): void => {
    const { webhook, event, type, messageId, attempt, atMs, durationMs, result, status, answer, cause, fix, nextAtMs } = delivery;
    insertDelivery.run(webhook, event, type, messageId, attempt, atMs, durationMs, result, status, answer, cause, fix, nextAtMs);
    if (noted++ % TRIM_EVERY === 0) trimDeliveries.run(webhook, webhook);
  };
  const atomically = (write: () => void): void => {
    database.exec('BEGIN IMMEDIATE');
    try {
      write();
      database.exec('COMMIT');
    } catch (error) {
      if (database.isTransaction) database.exec('ROLLBACK');
      throw error;
    }
  };

  return {
    progress(webhook, place) {
      const known = progressRow(webhook);
      if (known !== undefined) return progressOf(known);
      database.prepare('INSERT INTO progress (webhook, seq, change) VALUES (?, ?, ?)').run(webhook, place.seq, place.change);
      return progressOf(progressRow(webhook) as ProgressRow);
    },
    setProgress,
    take(webhook, events, { replay, ...moved }) {
      const atMs = nowMs();
      atomically(() => {
        for (const { event, place, type, messageId, payload, nextAtMs } of events)
          insertPending.run(webhook, event, place.seq, place.change, type, messageId, payload, atMs, nextAtMs);
        setProgress(webhook, moved);
        if (replay !== undefined) writeReplay.run(replay === null ? null : JSON.stringify(replay), webhook);
      });
    },
    due: (webhook, atMs, limit) => (dueOnes.all(webhook, atMs, limit) as PendingRow[]).map(pendingOf),
    nextDueAtMs: (webhook) => (nextDue.get(webhook) as { at: number | null }).at,
    waiting(webhook) {
      const { events, oldest } = count.get(webhook) as { events: number; oldest: number | null };
      return { events, oldestAtMs: oldest };
    },
    settle({ webhook, event }, delivery, progress) {
      atomically(() => {
        if (delivery.nextAtMs === null) done.run(webhook, event);
        else defer.run(delivery.attempt, delivery.nextAtMs, webhook, event);
        note(delivery);
        setProgress(webhook, progress);
      });
    },
    note,
    deliveries: (webhook, { limit, before }) => (listDeliveries.all(webhook, before ?? Number.MAX_SAFE_INTEGER, limit) as StoredDelivery[]).map(deliveryOf),
    replay(webhook) {
      const text = progressRow(webhook)?.replay ?? null;
      return text === null ? null : (JSON.parse(text) as Replay);
    },
    setReplay: (webhook, replay) => void writeReplay.run(replay === null ? null : JSON.stringify(replay), webhook),
    forget(webhook) {
      atomically(() => {
        for (const table of ['progress', 'pending', 'delivery'] as const) database.prepare(`DELETE FROM ${table} WHERE webhook = ?`).run(webhook);
      });
    },
    close: () => database.close(),
  };
}

function progressOf(row: ProgressRow): WebhookProgress {
  return {
    place: { seq: row.seq, change: row.change },
    failures: row.failures,
    failingSinceMs: row.failing_since,
    pausedUntilMs: row.paused_until,
    missed: row.missed,
    lastSuccessAtMs: row.last_success_at,
  };
}

function pendingOf(row: PendingRow): PendingEvent {
  return {
    webhook: row.webhook,
    event: row.event,
    place: { seq: row.seq, change: row.change },
    type: row.type,
    messageId: row.message,
    payload: row.payload,
    attempts: row.attempts,
    nextAtMs: row.next_at,
  };
}

function deliveryOf({ message, at, duration, next_at: nextAtMs, ...row }: StoredDelivery): DeliveryRow {
  return { ...row, messageId: message, atMs: at, durationMs: duration, nextAtMs };
}
