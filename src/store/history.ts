// The history: what became of every message. Portable SQL in a database of its own (history.db); fed from the queue's outbox, may be
// trimmed, is never needed to deliver.

import { firstIdAt } from '#base/id.ts';
import type { Envelope, MessageId, Outcome, QueueEvent, Recipient } from '#queue/records.ts';
import { openDatabase } from './sqlite/database.ts';
import type { Database, Statement } from './sqlite/database.ts';
import type { Told, ToldRow } from './told.ts';

export type MessageStatus = 'queued' | 'delivered' | 'deferred' | 'bounced' | 'expired' | 'captured' | 'cancelled' | 'held' | 'partial';

export type MessageRow = {
  readonly id: MessageId;
  readonly acceptedAtMs: number;
  readonly from: string;
  readonly to: readonly string[];
  readonly subject: string;
  readonly messageIdHeader: string;
  readonly sizeBytes: number;
  readonly credential: string | null;
  readonly project: string | null;
  readonly profile: string;
  readonly kind: 'mail' | 'dsn';
  readonly mode: 'live' | 'sandbox';
  readonly status: MessageStatus;
  readonly updatedAtMs: number;
};

export type MessageDetail = MessageRow & {
  readonly envelope: Envelope;
  readonly recipients: readonly {
    readonly n: number;
    readonly to: string;
    /** The address here that it stands for, of mail that is passed on. */
    readonly via?: string;
    /** As the sender wished (RFC 3461), where there was a wish. */
    readonly notify?: Recipient['notify'];
    readonly orcpt?: Recipient['orcpt'];
    readonly status: MessageStatus;
    readonly attempts: number;
    readonly nextAtMs: number | null;
    readonly lastOutcome: Outcome | null;
  }[];
  /** Oldest first; bounded. */
  readonly events: readonly {
    readonly seq: number;
    readonly atMs: number;
    readonly type: QueueEvent['type'];
    readonly n: number | null;
    readonly outcome: Outcome | null;
    readonly nextAtMs: number | null;
  }[];
};

export type MessageFilter = {
  readonly to?: string;
  readonly from?: string;
  readonly status?: MessageStatus;
  readonly sinceMs?: number;
  readonly credential?: string;
  readonly project?: string;
  readonly limit: number;
  readonly before?: MessageId;
};

/** Reading side; `from` and `to` match an address, or a domain when they have no `@` (or begin with one). */
export type HistoryReader = {
  list(filter: MessageFilter): Promise<readonly MessageRow[]>;
  show(id: MessageId): Promise<MessageDetail | null>;
  close(): void;
};

const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE message (
    id TEXT PRIMARY KEY,
    from_address TEXT NOT NULL,
    to_addresses TEXT NOT NULL,
    credential TEXT,
    status TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    envelope TEXT NOT NULL,
    recipients TEXT NOT NULL,
    events TEXT NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX message_unusual ON message (status, id) WHERE status <> 'delivered';
  CREATE TABLE cursor (name TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID
  `,
  `
  ALTER TABLE message ADD COLUMN project TEXT;
  CREATE INDEX message_project ON message (project, id) WHERE project IS NOT NULL
  `,
];

/** Events kept of one message; the first is kept always, then the newest. */
const MAX_EVENTS = 100;
const TRIM_ROWS = 1000;
const CACHE_BYTES = 8 * 1024 * 1024;

type RecipientState = Omit<MessageDetail['recipients'][number], 'lastOutcome'>;
/** A message's row on its way: outcomes, events and the envelope are JSON texts, put together without being read. */
type Stored = {
  readonly from: string;
  readonly credential: string | null;
  readonly envelope: string;
  readonly recipients: { state: RecipientState; lastOutcome: string | null }[];
  readonly events: string[];
  updatedAtMs: number;
};
type Row = {
  id: string;
  credential: string | null;
  from_address: string;
  to_addresses: string;
  status: MessageStatus;
  updated_at: number;
  envelope: string;
  recipients: string;
  events: string;
};

/** The history for its one writer (the store thread). A power cut may lose the newest lines here: the outbox still has them. */
export class History {
  readonly #database: Database;
  readonly #read: Statement;
  readonly #write: Statement;
  readonly #move: Statement;
  #cursor: number;

  constructor(path: string) {
    this.#database = openDatabase(path, MIGRATIONS, { synchronous: 'NORMAL', cacheBytes: CACHE_BYTES });
    this.#cursor = (this.#database.prepare("SELECT seq FROM cursor WHERE name = 'outbox'").get() as { seq: number } | undefined)?.seq ?? 0;
    this.#move = this.#database.prepare("INSERT INTO cursor (name, seq) VALUES ('outbox', ?) ON CONFLICT (name) DO UPDATE SET seq = excluded.seq");
    this.#read = this.#database.prepare('SELECT * FROM message WHERE id = ?');
    this.#write = this.#database.prepare(
      `INSERT INTO message (id, from_address, to_addresses, credential, status, updated_at, envelope, recipients, events, project) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (id) DO UPDATE SET status = excluded.status, updated_at = excluded.updated_at, recipients = excluded.recipients, events = excluded.events`,
    );
  }

  /** Events up to this number are in the history. */
  get cursor(): number {
    return this.#cursor;
  }

  /**
   * Takes over rows of the outbox, which begin right after the cursor, until some `changes` have been; returns how many rows. The cursor moves
   * in the same transaction, so that a crash folds nothing twice; whoever owns the outbox may remove what lies behind it.
   */
  fold(outbox: Iterable<ToldRow>, changes: number): number {
    const messages = new Map<MessageId, Stored>();
    let rows = 0;
    let taken = 0;
    let last = this.#cursor;
    for (const row of outbox) {
      for (const told of row.changes) this.#apply(messages, row.seq, told);
      last = row.seq;
      rows++;
      taken += row.changes.length;
      if (taken >= changes) break;
    }
    if (rows === 0) return 0;
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      for (const [id, stored] of messages) this.#store(id, stored);
      this.#move.run(last);
      this.#database.exec('COMMIT');
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw error;
    }
    this.#cursor = last;
    return rows;
  }

  /** Forgets messages not changed since `beforeMs`, a stretch at a time; returns how many. Only those that came before then are looked at. */
  trim(beforeMs: number): number {
    const { changes } = this.#database
      .prepare(`DELETE FROM message WHERE id IN (SELECT id FROM message WHERE id < ? AND updated_at < ? ORDER BY id LIMIT ${TRIM_ROWS})`)
      .run(firstIdAt(beforeMs), beforeMs);
    return Number(changes);
  }

  close(): void {
    this.#database.close();
  }

  #apply(messages: Map<MessageId, Stored>, seq: number, told: Told): void {
    const stored = told.type === 'accepted' ? fresh(told) : (messages.get(told.id) ?? this.#load(told.id));
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

  #load(id: MessageId): Stored | null {
    const row = this.#read.get(id) as Row | undefined;
    if (row === undefined) return null;
    return {
      from: row.from_address,
      credential: row.credential,
      envelope: row.envelope,
      recipients: (JSON.parse(row.recipients) as MessageDetail['recipients']).map(({ lastOutcome, ...state }) => ({
        state,
        lastOutcome: lastOutcome === null ? null : JSON.stringify(lastOutcome),
      })),
      events: (JSON.parse(row.events) as unknown[]).map((event) => JSON.stringify(event)),
      updatedAtMs: row.updated_at,
    };
  }

  #store(id: MessageId, stored: Stored): void {
    const { from, credential, envelope, recipients, events, updatedAtMs } = stored;
    this.#write.run(
      id,
      from.toLowerCase(),
      ` ${recipients.map(({ state }) => state.to.toLowerCase()).join(' ')} `,
      credential,
      statusOf(recipients.map(({ state }) => state)),
      updatedAtMs,
      envelope,
      `[${recipients.map(({ state, lastOutcome }) => `${JSON.stringify(state).slice(0, -1)},"lastOutcome":${lastOutcome}}`).join(',')}]`,
      `[${events.join(',')}]`,
      projectIn(envelope),
    );
  }
}

/** Of an envelope's JSON, without reading all of it: in a string of it the quotes would be escaped. */
function projectIn(envelope: string): string | null {
  return /"project":"([^"\\]+)"/.exec(envelope)?.[1] ?? null;
}

/** Opens the history for reading, beside its writer. */
export function openHistoryReader(path: string): HistoryReader {
  const database = openDatabase(path, MIGRATIONS, { synchronous: 'NORMAL', readOnly: true, cacheBytes: CACHE_BYTES });
  return {
    async list(filter) {
      const [where, parameters] = conditions(filter);
      const rows = database.prepare(`SELECT * FROM message WHERE ${where} ORDER BY id DESC LIMIT ?`).all(...parameters, filter.limit) as Row[];
      return rows.map(messageRow);
    },
    async show(id) {
      const row = database.prepare('SELECT * FROM message WHERE id = ?').get(id) as Row | undefined;
      if (row === undefined) return null;
      return {
        ...messageRow(row),
        envelope: JSON.parse(row.envelope) as Envelope,
        recipients: JSON.parse(row.recipients) as MessageDetail['recipients'],
        events: JSON.parse(row.events) as MessageDetail['events'],
      };
    },
    close: () => database.close(),
  };
}

function conditions(filter: MessageFilter): [string, (string | number)[]] {
  const where: string[] = ['1'];
  const parameters: (string | number)[] = [];
  const add = (sql: string, value: string | number | undefined): void => {
    if (value === undefined) return;
    where.push(sql);
    parameters.push(value);
  };
  add("from_address LIKE ? ESCAPE '\\'", filter.from === undefined ? undefined : pattern(filter.from));
  add("to_addresses LIKE ? ESCAPE '\\'", filter.to === undefined ? undefined : `% ${pattern(filter.to)} %`);
  add('status = ?', filter.status);
  add('credential = ?', filter.credential);
  add('project = ?', filter.project);
  add('id < ?', filter.before);
  add('updated_at >= ?', filter.sinceMs);
  return [where.join(' AND '), parameters];
}

/** An address as it is; a domain (with or without `@`) as any address of it. Wildcards of LIKE lose their meaning. */
function pattern(text: string): string {
  const literal = text.toLowerCase().replace(/[\\%_]/g, '\\$&');
  if (!literal.includes('@')) return `%@${literal}`;
  return literal.startsWith('@') ? `%${literal}` : literal;
}

function messageRow(row: Row): MessageRow {
  const envelope = JSON.parse(row.envelope) as Envelope;
  const recipients = JSON.parse(row.recipients) as MessageDetail['recipients'];
  return {
    id: row.id,
    acceptedAtMs: envelope.acceptedAtMs,
    from: envelope.from?.text ?? '',
    to: recipients.map((recipient) => recipient.to),
    subject: envelope.subject,
    messageIdHeader: envelope.messageIdHeader,
    sizeBytes: envelope.sizeBytes,
    credential: envelope.origin.credential,
    project: envelope.origin.project ?? null,
    profile: envelope.origin.profile,
    kind: envelope.kind,
    mode: envelope.mode,
    status: row.status,
    updatedAtMs: row.updated_at,
  };
}

function fresh({ from, credential, envelope, recipients, sendAtMs, atMs }: Extract<Told, { type: 'accepted' }>): Stored {
  return {
    from,
    credential,
    envelope,
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
