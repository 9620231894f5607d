// The operator's verbs on the queue's tables: list, show, count, retry, hold, release, cancel. Verbs touch many rows in stretches, so that
// mail coming in never waits long; each stretch writes its events like a delivery does.

import type { Clock } from '#base/clock.ts';
import type { RecipientState } from '#queue/records.ts';
import type { LaneRow, QueueCounts, QueueRow, Selection } from '#queue/queue.ts';
import { Conditions } from './conditions.ts';
import type { Database } from './database.ts';
import type { Engine } from './engine.ts';
import type { Holds, Lanes } from './lanes.ts';
import { CAPTURED, GONE, HELD, KEY_SPAN, LEASED, READY, TOKENS } from './schema.ts';
import { countedAs } from './tally.ts';
import type { AdminAnswer, AdminCall, ListFilter, Recalled } from './wire.ts';

const STRETCH = 500;
const MAX_ROWS = 10_000;
/** A lasting hold covers the row of `recipient`; `isHeld` of lanes.ts in SQL. */
const IS_HELD = `EXISTS (SELECT 1 FROM hold WHERE kind = 'all' OR (kind = 'lane' AND value = lane) OR (kind = 'domain' AND value = domain) OR (kind = 'credential' AND value = credential))`;

type Row = {
  key: number;
  id: string;
  state: number;
  next_at: number;
  expires_at: number;
  attempts: number;
  lane: string;
  credential: string | null;
  recipient: string;
  outcome: string | null;
  envelope: string;
};
type Touched = { key: number; lane: string; state: number; owner: number; attempts: number; id: string };
type Parameters = (string | number)[];
/** One stretch of a verb: rows changed, those that are leased, which of these should be given back, and whether there may be more. */
export type Stretch = { readonly recipients: number; readonly underWay: number; readonly recalled: readonly Recalled[]; readonly more: boolean };

/** Which rows a verb is about. Only who is named is held in the middle of a delivery: what a lasting hold covers may come to its end. */
const CONCERNED = {
  retry: `r.state = ${READY}`,
  hold: `(r.state = ${READY} OR (r.state = ${LEASED} AND r.wish IS NULL))`,
  release: `(r.state = ${HELD} OR (r.state = ${LEASED} AND r.wish = ${HELD}))`,
  cancel: `(r.state IN (${READY}, ${HELD}, ${CAPTURED}) OR (r.state = ${LEASED} AND r.wish IS NOT ${GONE}))`,
} as const;

const PAST = { retry: 'retried', hold: 'held', release: 'released', cancel: 'cancelled' } as const;

export class Admin {
  readonly #database: Database;
  readonly #engine: Engine;
  readonly #lanes: Lanes;
  readonly #clock: Clock;

  constructor(parts: { database: Database; engine: Engine; lanes: Lanes; clock: Clock }) {
    this.#database = parts.database;
    this.#engine = parts.engine;
    this.#lanes = parts.lanes;
    this.#clock = parts.clock;
    this.#loadHolds();
  }

  /** Answers what only reads. */
  read(call: AdminCall): AdminAnswer {
    switch (call.verb) {
      case 'list':
        return this.#list(call.filter);
      case 'show':
        return this.#show(call.id);
      case 'find':
        return (this.#engine.statements.keyOf.get(call.id) as { key: number } | undefined)?.key ?? null;
      case 'lanes':
        return this.#laneRows();
      case 'counts':
        return this.#counts();
      default:
        return null;
    }
  }

  /** Records or clears a lasting hold; called once, before the first stretch. */
  begin(call: Extract<AdminCall, { selection: Selection }>): void {
    const { selection } = call;
    if (call.verb === 'retry' && selection.by === 'all') this.#lanes.endBackOffs();
    if (call.verb === 'retry' && selection.by === 'lane') this.#lanes.endBackOff(selection.lane);
    if (selection.by === 'message') return;
    const value = selectionValue(selection);
    if (call.verb === 'hold') this.#database.prepare('INSERT OR IGNORE INTO hold (kind, value) VALUES (?, ?)').run(selection.by, value);
    if (call.verb === 'release') {
      if (selection.by === 'all') this.#database.exec('DELETE FROM hold');
      else this.#database.prepare('DELETE FROM hold WHERE kind = ? AND value = ?').run(selection.by, value);
    }
    if (call.verb === 'hold' || call.verb === 'release') this.#loadHolds();
  }

  /** Touches up to STRETCH rows with keys above `after`. */
  stretch(call: Extract<AdminCall, { selection: Selection }>, after: number): Stretch & { after: number } {
    const [selected, parameters] = this.#where(call.selection);
    // What another hold covers stays; a message that was named goes whatever covers it.
    const where = call.verb === 'release' && call.selection.by !== 'message' ? `${selected} AND NOT ${IS_HELD}` : selected;
    const rows = this.#database
      .prepare(
        `SELECT r.key, r.lane, r.state, r.owner, r.attempts, m.id FROM recipient r JOIN message m ON m.key = r.key / ${KEY_SPAN} WHERE r.key > ? AND ${CONCERNED[call.verb]} AND ${where} ORDER BY r.key LIMIT ${STRETCH}`,
      )
      .all(after, ...parameters) as Touched[];
    const nowMs = this.#clock.nowMs();
    const leased = rows.filter(({ state }) => state === LEASED);
    const recalled = this.#wish(call, leased);
    for (const row of rows) if (row.state !== LEASED) this.#touch(call.verb, row, nowMs);
    return {
      recipients: rows.length - leased.length,
      underWay: call.verb === 'release' ? 0 : leased.length,
      recalled,
      more: rows.length === STRETCH,
      after: rows.at(-1)?.key ?? after,
    };
  }

  /** Returns the leases of a worker that is gone (null: of all, at start); what was put on hold meanwhile is held. Returns how many. */
  returnLeases(worker: number | null): number {
    const nowMs = this.#clock.nowMs();
    const [from, to] = worker === null ? [0, Number.MAX_SAFE_INTEGER] : [worker * TOKENS, (worker + 1) * TOKENS - 1];
    const mine = `state = ${LEASED} AND owner BETWEEN ? AND ?`;
    const told = this.#database
      .prepare(`SELECT r.key, m.id, wish IS ${GONE} AS gone FROM recipient r JOIN message m ON m.key = r.key / ${KEY_SPAN} WHERE ${mine} AND (wish IS NOT NULL OR ${IS_HELD})`)
      .all(from, to) as { key: number; id: string; gone: 0 | 1 }[];
    for (const row of told) {
      if (row.gone === 1) this.#delete(row.key);
      this.#tell(row.gone === 1 ? 'cancelled' : 'held', row, nowMs);
    }
    const { changes } = this.#database
      .prepare(`UPDATE recipient SET state = CASE WHEN wish IS ${HELD} OR ${IS_HELD} THEN ${HELD} ELSE ${READY} END, wish = NULL, next_at = ? WHERE ${mine}`)
      .run(nowMs, from, to);
    if (changes > 0 || told.length > 0) {
      this.rebuildLanes();
      this.#engine.tally.count(this.#database);
    }
    return Number(changes);
  }

  /** After a rollback: what is kept in memory says again what the tables say. */
  rebuild(): void {
    this.#loadHolds();
    this.rebuildLanes();
  }

  rebuildLanes(): void {
    const rows = this.#database.prepare(`SELECT lane, min(next_at) AS at FROM recipient WHERE state = ${READY} GROUP BY lane`).all() as { lane: string; at: number }[];
    for (const row of rows) this.#lanes.waits(row.lane, row.at);
  }

  /** Removes captured messages older than `beforeMs`, a stretch; returns how many. */
  trimCaptured(beforeMs: number): number {
    const rows = this.#database.prepare(`SELECT key FROM recipient WHERE state = ${CAPTURED} AND next_at < ? LIMIT ${STRETCH}`).all(beforeMs) as { key: number }[];
    for (const row of rows) {
      this.#engine.tally.move('captured', null);
      this.#delete(row.key);
    }
    return rows.length;
  }

  /** What is leased is changed when it comes back; returns what should come back soon. What a lasting hold covers is held by that then. */
  #wish({ verb, selection }: Extract<AdminCall, { selection: Selection }>, leased: readonly Touched[]): Recalled[] {
    if (leased.length === 0 || (verb === 'hold' && selection.by !== 'message')) return [];
    const statement = this.#database.prepare('UPDATE recipient SET wish = ? WHERE key = ?');
    for (const { key } of leased) statement.run(verb === 'release' ? null : verb === 'cancel' ? GONE : HELD, key);
    if (verb === 'release') return [];
    const messages = new Map(leased.map(({ key, owner }) => [`${Math.floor(key / KEY_SPAN)} ${owner}`, { key: Math.floor(key / KEY_SPAN), token: owner }]));
    return [...messages.values()];
  }

  #touch(verb: 'retry' | 'hold' | 'release' | 'cancel', row: Touched, nowMs: number): void {
    const { tally } = this.#engine;
    const past = PAST[verb];
    const was = countedAs(row.state, row.attempts);
    if (verb === 'cancel') {
      tally.move(was, null);
      this.#delete(row.key);
    } else if (verb === 'hold') {
      tally.move(was, 'held');
      this.#database.prepare(`UPDATE recipient SET state = ${HELD} WHERE key = ?`).run(row.key);
    } else {
      tally.move(was, countedAs(READY, row.attempts));
      this.#database.prepare(`UPDATE recipient SET state = ${READY}, next_at = ? WHERE key = ?`).run(nowMs, row.key);
      this.#lanes.waits(row.lane, nowMs);
      if (verb === 'retry') this.#lanes.endBackOff(row.lane);
    }
    this.#tell(past, row, nowMs);
  }

  #tell(type: 'retried' | 'held' | 'released' | 'cancelled', row: { key: number; id: string }, atMs: number): void {
    this.#engine.events.push({ type, atMs, id: row.id, n: row.key % KEY_SPAN });
  }

  #delete(key: number): void {
    this.#database.prepare('DELETE FROM recipient WHERE key = ?').run(key);
    this.#engine.removeIfDone(Math.floor(key / KEY_SPAN));
  }

  #where(selection: Selection): [string, Parameters] {
    switch (selection.by) {
      case 'all':
        return ['1', []];
      case 'message': {
        const key = (this.#engine.statements.keyOf.get(selection.id) as { key: number } | undefined)?.key ?? -1;
        return ['r.key >= ? AND r.key < ?', [key * KEY_SPAN, (key + 1) * KEY_SPAN]];
      }
      case 'lane':
        return ['r.lane = ?', [selection.lane]];
      case 'domain':
        return ['r.domain = ?', [selection.domain]];
      case 'credential':
        return ['r.credential = ?', [selection.credential]];
    }
  }

  #list(filter: ListFilter): QueueRow[] {
    const asked = new Conditions();
    asked.add('m.id = ?', filter.id);
    asked.add('r.lane = ?', filter.lane);
    asked.add('r.domain = ?', filter.domain);
    asked.add('r.credential = ?', filter.credential);
    asked.add("m.envelope ->> '$.origin.project' = ?", filter.project);
    if (filter.state !== undefined) asked.also(stateCondition(filter.state));
    if (filter.after !== undefined) {
      const key = (this.#engine.statements.keyOf.get(filter.after.id) as { key: number } | undefined)?.key ?? -1;
      asked.add('r.key > ?', key * KEY_SPAN + filter.after.n);
    }
    const rows = this.#database
      .prepare(`SELECT r.*, m.id, m.envelope FROM recipient r JOIN message m ON m.key = r.key / ${KEY_SPAN} WHERE ${asked.sql} ORDER BY r.key LIMIT ?`)
      .all(...asked.values, Math.min(filter.limit, MAX_ROWS)) as Row[];
    const nowMs = this.#clock.nowMs();
    return rows.map((row) => queueRow(row, row.state === READY ? this.#lanes.backedOff(row.lane, nowMs) : null));
  }

  #show(id: string): { envelope: string; recipients: QueueRow[] } | null {
    const recipients = this.#list({ id, limit: MAX_ROWS });
    const row = this.#database.prepare('SELECT envelope FROM message WHERE id = ?').get(id) as { envelope: string } | undefined;
    return row === undefined ? null : { envelope: row.envelope, recipients };
  }

  #laneRows(): LaneRow[] {
    const rows = this.#database
      .prepare(
        `SELECT lane, sum(state = ${READY} AND attempts = 0) AS ready, sum(state = ${LEASED}) AS leased, sum(state = ${READY} AND attempts > 0) AS deferred,
          sum(state = ${HELD}) AS held, min(key) AS oldest, min(CASE WHEN state = ${READY} THEN next_at END) AS next
        FROM recipient WHERE state <> ${CAPTURED} GROUP BY lane ORDER BY lane`,
      )
      .all() as { lane: string; ready: number; leased: number; deferred: number; held: number; oldest: number; next: number | null }[];
    const nowMs = this.#clock.nowMs();
    const seen = new Set(rows.map((row) => row.lane));
    const empty = [...this.#engine.holds.lanes].filter((lane) => !seen.has(lane)).map((lane) => ({ lane, ready: 0, leased: 0, deferred: 0, held: 0, oldest: null, next: null }));
    return [...rows, ...empty].map((row) => {
      const backOff = this.#lanes.backedOff(row.lane, nowMs);
      return {
        lane: row.lane,
        ready: row.ready,
        leased: row.leased,
        deferred: row.deferred,
        held: row.held,
        oldestAtMs: row.oldest === null ? null : this.#acceptedAt(Math.floor(row.oldest / KEY_SPAN)),
        nextAtMs: row.next,
        backOffUntilMs: backOff?.untilMs ?? null,
        backOffCause: backOff?.cause ?? null,
        onHold: this.#engine.holds.all || this.#engine.holds.lanes.has(row.lane),
      };
    });
  }

  #counts(): QueueCounts {
    const oldest = this.#engine.oldest();
    return { ...this.#engine.tally.amounts, oldestAtMs: oldest === null ? null : this.#acceptedAt(oldest) };
  }

  #acceptedAt(key: number): number | null {
    const row = this.#engine.statements.envelopeOf.get(key) as { envelope: string } | undefined;
    return row === undefined ? null : (JSON.parse(row.envelope) as { acceptedAtMs: number }).acceptedAtMs;
  }

  #loadHolds(): void {
    const rows = this.#database.prepare('SELECT kind, value FROM hold').all() as { kind: string; value: string }[];
    const of = (kind: string): Set<string> => new Set(rows.filter((row) => row.kind === kind).map((row) => row.value));
    const holds: Holds = { all: rows.some((row) => row.kind === 'all'), lanes: of('lane'), domains: of('domain'), credentials: of('credential') };
    this.#engine.holds = holds;
  }
}

function selectionValue(selection: Selection): string {
  switch (selection.by) {
    case 'all':
      return '';
    case 'message':
      return selection.id;
    case 'lane':
      return selection.lane;
    case 'domain':
      return selection.domain;
    case 'credential':
      return selection.credential;
  }
}

function stateCondition(state: RecipientState | 'waiting'): string {
  return {
    ready: `r.state = ${READY} AND r.attempts = 0`,
    deferred: `r.state = ${READY} AND r.attempts > 0`,
    leased: `r.state = ${LEASED}`,
    held: `r.state = ${HELD}`,
    captured: `r.state = ${CAPTURED}`,
    waiting: `r.state <> ${CAPTURED}`,
  }[state];
}

function queueRow(row: Row, backOff: { readonly untilMs: number; readonly cause: string } | null): QueueRow {
  const envelope = JSON.parse(row.envelope) as { from: { text: string } | null; acceptedAtMs: number; sizeBytes: number; subject: string };
  const recipient = JSON.parse(row.recipient) as { n: number; address: { text: string } };
  const waiting: RecipientState = row.attempts > 0 ? 'deferred' : 'ready';
  return {
    id: row.id,
    n: recipient.n,
    from: envelope.from?.text ?? '',
    to: recipient.address.text,
    lane: row.lane,
    state: ([waiting, 'leased', 'held', 'captured'] as const)[row.state] ?? waiting,
    attempts: row.attempts,
    acceptedAtMs: envelope.acceptedAtMs,
    nextAtMs: row.state === READY ? Math.max(row.next_at, backOff?.untilMs ?? 0) : null,
    backOffCause: backOff?.cause ?? null,
    expiresAtMs: row.expires_at,
    sizeBytes: envelope.sizeBytes,
    subject: envelope.subject,
    credential: row.credential,
    lastOutcome: row.outcome === null ? null : (JSON.parse(row.outcome) as QueueRow['lastOutcome']),
  };
}
