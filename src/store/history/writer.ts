// The history for its one writer, the store thread: takes the events over from the outbox, keeps them as they were (the log), and what they come to for each
// message and in numbers. A power cut may lose the newest lines here: the outbox still has them.

import { firstIdAt } from '#base/id.ts';
import type { Envelope, MessageId, QueueEvent, Recipient } from '#queue/records.ts';
import type { Listed } from '#store/facts.ts';
import type { MessageDetail, MessageStatus } from '#store/history.ts';
import { openDatabase } from '#store/sqlite/database.ts';
import type { Database, Statement } from '#store/sqlite/database.ts';
import { toldFrom } from '#store/told.ts';
import type { Told, ToldRow } from '#store/told.ts';
import { Counting } from './counting.ts';
import { changesOf, logText } from './log.ts';
import type { LogRow } from './log.ts';
import { HISTORY_MIGRATIONS } from './schema.ts';

/** How much is kept, of messages and of the log. Past one of the bounds the oldest goes. */
export type HistoryBounds = { readonly historyMs: number; readonly historyBytes: number; readonly eventsMs: number };

/** Events kept of one message; the first is kept always, then the newest. */
const MAX_EVENTS = 100;
/** Removed at once: some ms of them. */
const TRIM_MESSAGES = 500;
const TRIM_LOG_ROWS = 300;
/** Counts are written after so many changes, or so long: what a crash takes is counted again from the log. */
const COUNT_CHANGES = 10_000;
const COUNT_MS = 2000;
const CACHE_BYTES = 8 * 1024 * 1024;

type RecipientState = Omit<MessageDetail['recipients'][number], 'lastOutcome'>;
/** A message's rows on their way: outcomes, events and the envelope are JSON texts, put together without being read. */
type Stored = {
  /** What only a message that has no row yet comes with. */
  readonly fresh: { readonly listed: Listed; readonly envelope: string; readonly acceptedAtMs: number } | null;
  readonly key: number;
  readonly credential: string | null;
  readonly recipients: { state: RecipientState; lastOutcome: string | null }[];
  readonly events: string[];
  updatedAtMs: number;
};
type Row = { key: number; credential: string | null; recipients: string; events: string; updated_at: number };

export class History {
  readonly #database: Database;
  readonly #statements: ReturnType<typeof prepare>;
  readonly #counting: Counting;
  #cursor: number;
  #nextKey: number;
  /** Changes that are counted, and not written yet; since when. */
  #counted = 0;
  #countedSinceMs = 0;
  #behind = false;

  constructor(path: string) {
    this.#database = openDatabase(path, HISTORY_MIGRATIONS, { synchronous: 'NORMAL', cacheBytes: CACHE_BYTES });
    this.#statements = prepare(this.#database);
    this.#cursor = (this.#statements.cursor.get('outbox') as { seq: number } | undefined)?.seq ?? 0;
    // A key is never given again: the search index outlives the rows.
    this.#nextKey =
      ((this.#database.prepare("SELECT max((SELECT max(key) FROM message), (SELECT seq FROM cursor WHERE name = 'key')) AS key").get() as { key: number | null }).key ?? 0) + 1;
    this.#counting = new Counting(this.#database);
    this.#countAgain();
  }

  /** Events up to this number are in the history. */
  get cursor(): number {
    return this.#cursor;
  }

  /** There was more to forget than the last `trim` did. */
  get behind(): boolean {
    return this.#behind;
  }

  /**
   * Takes over rows of the outbox, which begin right after the cursor, until some `changes` have been; returns how many rows. The cursor moves
   * in the same transaction, so that a crash folds nothing twice; whoever owns the outbox may remove what lies behind it.
   */
  fold(outbox: Iterable<ToldRow>, changes: number): number {
    const messages = new Map<MessageId, Stored>();
    const rows: ToldRow[] = [];
    let taken = 0;
    for (const row of outbox) {
      for (const told of row.changes) this.#apply(messages, row.seq, told);
      rows.push(row);
      taken += row.changes.length;
      if (taken >= changes) break;
    }
    const last = rows.at(-1);
    if (last === undefined) return 0;
    this.#atomically(() => {
      for (const { seq, atMs, changes: told } of rows) this.#statements.log.run(seq, atMs, logText(told));
      for (const [id, stored] of messages) this.#store(id, stored);
      this.#statements.move.run('outbox', last.seq);
      this.#statements.move.run('key', this.#nextKey - 1);
    });
    this.#cursor = last.seq;
    this.#count(rows, messages);
    return rows.length;
  }

  /** Counts what is in the history already. */
  #count(rows: readonly ToldRow[], messages: ReadonlyMap<MessageId, Stored>): void {
    const nowMs = Date.now();
    if (this.#counted === 0) this.#countedSinceMs = nowMs;
    for (const { changes } of rows) {
      for (const told of changes) {
        const stored = messages.get(told.id);
        if (stored !== undefined) this.#countOne(told, stored.credential);
      }
      this.#counted += changes.length;
    }
    if (this.#counted > COUNT_CHANGES || nowMs - this.#countedSinceMs > COUNT_MS) this.writeCounts();
  }

  /** The statistics are as far as the history is. */
  writeCounts(): void {
    if (this.#counted === 0) return;
    this.#atomically(() => {
      this.#counting.write();
      this.#statements.move.run('counted', this.#cursor);
    });
    this.#counting.forget();
    this.#counted = 0;
  }

  /** After a crash: what the history has and the statistics have not, from the log. */
  #countAgain(): void {
    const from = (this.#statements.cursor.get('counted') as { seq: number } | undefined)?.seq ?? 0;
    for (const { seq, changes } of this.#statements.logAfter.all(from) as LogRow[]) {
      for (const { id, type, n } of changesOf(changes)) {
        const detail = this.#statements.detail.get(id) as { envelope: string; events: string } | undefined;
        if (detail === undefined) continue;
        const envelope = JSON.parse(detail.envelope) as Envelope;
        const event = (JSON.parse(detail.events) as MessageDetail['events']).find((one) => one.seq === seq && one.type === type && one.n === n);
        const recipients = type === 'accepted' ? (this.#statements.read.get(id) as Row).recipients : '[]';
        if (event === undefined) continue;
        this.#countOne(toldFrom({ ...event, id, envelope, recipients: JSON.parse(recipients) as Recipient[] } as unknown as QueueEvent), envelope.origin.credential);
        this.#counted++;
      }
    }
    this.writeCounts();
  }

  /** How full the queue is, for the statistics. */
  sample(nowMs: number, amounts: Readonly<Record<string, number>>): void {
    this.#atomically(() => this.#counting.sample(nowMs, amounts));
  }

  /** Forgets a stretch of what is older, or more, than it may be. */
  trim(nowMs: number, bounds: HistoryBounds): void {
    this.#atomically(() => {
      const log = this.#trimLog(nowMs, bounds);
      this.#behind = this.#trimMessages(nowMs, bounds) || log;
      this.#counting.trim(nowMs);
    });
  }

  close(): void {
    this.#database.close();
  }

  /** True when there may be more. */
  #trimLog(nowMs: number, { eventsMs }: HistoryBounds): boolean {
    return Number(this.#statements.trimLog.run(nowMs - eventsMs).changes) === TRIM_LOG_ROWS;
  }

  #trimMessages(nowMs: number, { historyMs, historyBytes }: HistoryBounds): boolean {
    const { bytes } = this.#statements.size.get() as { bytes: number };
    // By size whatever its fate is; by age only what has not moved since.
    const [id, updatedAtMs] = bytes > historyBytes ? [firstIdAt(nowMs), nowMs] : [firstIdAt(nowMs - historyMs), nowMs - historyMs];
    const keys = (this.#statements.oldest.all(id, updatedAtMs) as { key: number }[]).map(({ key }) => key);
    if (keys.length === 0) return false;
    const list = JSON.stringify(keys);
    this.#statements.removeMessages.run(list);
    this.#statements.removeDetails.run(list);
    return keys.length === TRIM_MESSAGES;
  }

  #atomically(write: () => void): void {
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      write();
      this.#database.exec('COMMIT');
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw error;
    }
  }

  #apply(messages: Map<MessageId, Stored>, seq: number, told: Told): void {
    const stored = told.type === 'accepted' ? begun(told) : (messages.get(told.id) ?? this.#load(told.id));
    if (stored === null) return;
    messages.set(told.id, stored);
    const { atMs, type } = told;
    stored.updatedAtMs = atMs;
    const outcome = 'outcome' in told ? told.outcome : null;
    const nextAtMs = 'nextAtMs' in told ? told.nextAtMs : null;
    const n = 'n' in told ? told.n : null;
    stored.events.push(`{"seq":${seq},"atMs":${atMs},"type":"${type}","n":${n},"outcome":${outcome},"nextAtMs":${nextAtMs}}`);
    if (stored.events.length > MAX_EVENTS) stored.events.splice(1, 1);
    if (type === 'accepted') return;
    const recipient = stored.recipients.find(({ state }) => state.n === n);
    if (recipient === undefined) return;
    const { state } = recipient;
    recipient.lastOutcome = outcome ?? recipient.lastOutcome;
    if (type === 'returned') {
      // What a later hop says is no attempt of ours; that it failed there is the end of it.
      if (told.failed) recipient.state = { ...state, status: 'bounced' };
      return;
    }
    recipient.state = { ...state, status: statusAfter(type, state.attempts), attempts: state.attempts + (outcome === null ? 0 : 1), nextAtMs };
  }

  #countOne(told: Told, credential: string | null): void {
    const { atMs, type } = told;
    const recipients = type === 'accepted' ? told.recipients.length : 1;
    if (type === 'accepted') this.#counting.count(atMs, told.counts);
    if (type === 'accepted' || !('counts' in told)) this.#counting.count(atMs, `fates ${type}`, recipients);
    else this.#counting.count(atMs, told.counts);
    if (credential !== null) this.#counting.count(atMs, `credentials ${credential} ${type}`, recipients);
  }

  #load(id: MessageId): Stored | null {
    const row = this.#statements.read.get(id) as Row | undefined;
    if (row === undefined) return null;
    return {
      fresh: null,
      key: row.key,
      credential: row.credential,
      recipients: (JSON.parse(row.recipients) as MessageDetail['recipients']).map(({ lastOutcome, ...state }) => ({
        state,
        lastOutcome: lastOutcome === null ? null : JSON.stringify(lastOutcome),
      })),
      events: (JSON.parse(row.events) as unknown[]).map((event) => JSON.stringify(event)),
      updatedAtMs: row.updated_at,
    };
  }

  #store(id: MessageId, { fresh, key, recipients, events, updatedAtMs }: Stored): void {
    const status = statusOf(recipients.map(({ state }) => state));
    const recipientsText = `[${recipients.map(({ state, lastOutcome }) => `${JSON.stringify(state).slice(0, -1)},"lastOutcome":${lastOutcome}}`).join(',')}]`;
    const eventsText = `[${events.join(',')}]`;
    if (fresh === null) {
      this.#statements.update.run(status, updatedAtMs, key);
      this.#statements.updateDetail.run(recipientsText, eventsText, key);
      return;
    }
    const { from, subject, messageIdHeader, sizeBytes, credential, project, profile, kind, mode } = fresh.listed;
    const to = JSON.stringify(recipients.map(({ state }) => state.to));
    const newKey = this.#nextKey++;
    this.#statements.insert.run(newKey, id, status, fresh.acceptedAtMs, updatedAtMs, from, subject, messageIdHeader, sizeBytes, credential, project, profile, kind, mode, to);
    this.#statements.insertDetail.run(newKey, fresh.envelope, recipientsText, eventsText);
  }
}

function prepare(database: Database) {
  return {
    read: database.prepare('SELECT key, credential, recipients, events, updated_at FROM message JOIN detail USING (key) WHERE id = ?'),
    // REPLACE: an id that comes again, which it does not, must not keep all others from the history.
    insert: database.prepare(
      `INSERT OR REPLACE INTO message (key, id, status, accepted_at, updated_at, from_address, subject, message_id, size, credential, project, profile, kind, mode, to_addresses)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    insertDetail: database.prepare('INSERT OR REPLACE INTO detail (key, envelope, recipients, events) VALUES (?, ?, ?, ?)'),
    update: database.prepare('UPDATE message SET status = ?, updated_at = ? WHERE key = ?'),
    updateDetail: database.prepare('UPDATE detail SET recipients = ?, events = ? WHERE key = ?'),
    log: database.prepare('INSERT OR REPLACE INTO log (seq, at, changes) VALUES (?, ?, ?)'),
    move: database.prepare('INSERT INTO cursor (name, seq) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET seq = excluded.seq'),
    cursor: database.prepare('SELECT seq FROM cursor WHERE name = ?'),
    size: database.prepare('SELECT (page_count - freelist_count) * page_size AS bytes FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()'),
    oldest: database.prepare(`SELECT key FROM message WHERE id < ? AND updated_at < ? ORDER BY id LIMIT ${TRIM_MESSAGES}`),
    removeMessages: database.prepare('DELETE FROM message WHERE key IN (SELECT value FROM json_each(?))'),
    removeDetails: database.prepare('DELETE FROM detail WHERE key IN (SELECT value FROM json_each(?))'),
    trimLog: database.prepare(`DELETE FROM log WHERE seq IN (SELECT seq FROM (SELECT seq, at FROM log ORDER BY seq LIMIT ${TRIM_LOG_ROWS}) WHERE at < ?)`),
    logAfter: database.prepare('SELECT seq, at, changes FROM log WHERE seq > ? ORDER BY seq'),
    detail: database.prepare('SELECT envelope, events FROM detail WHERE key = (SELECT key FROM message WHERE id = ?)'),
  } satisfies Record<string, Statement>;
}

function begun({ listed, envelope, recipients, sendAtMs, atMs }: Extract<Told, { type: 'accepted' }>): Stored {
  return {
    fresh: { listed, envelope, acceptedAtMs: atMs },
    key: 0,
    credential: listed.credential,
    recipients: recipients.map((text) => ({ state: untried(JSON.parse(text) as Recipient, sendAtMs), lastOutcome: null })),
    events: [],
    updatedAtMs: atMs,
  };
}

function untried({ n, address, via, notify, orcpt }: Recipient, nextAtMs: number | null): RecipientState {
  return {
    n,
    to: address.text,
    ...(via === undefined ? {} : { via: via.text }),
    ...(notify === null ? {} : { notify }),
    ...(orcpt === null ? {} : { orcpt }),
    status: 'queued',
    attempts: 0,
    nextAtMs,
  };
}

function statusAfter(type: Exclude<Told['type'], 'accepted' | 'returned'>, attempts: number): MessageStatus {
  if (type === 'released' || type === 'retried') return attempts > 0 ? 'deferred' : 'queued';
  return type;
}

/** One status for the whole message: the recipients' when they agree; while some wait, theirs; else `partial`. */
function statusOf(recipients: readonly Pick<RecipientState, 'status'>[]): MessageStatus {
  const statuses = new Set(recipients.map((recipient) => recipient.status));
  const [only] = statuses;
  if (statuses.size === 1 && only !== undefined) return only;
  for (const waiting of ['deferred', 'queued', 'held'] as const) if (statuses.has(waiting)) return waiting;
  return 'partial';
}
