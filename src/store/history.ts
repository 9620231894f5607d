// The history: what became of every message. Portable SQL in a database of its own (history.db); fed from the queue's outbox, may be
// trimmed, is never needed to deliver.

import { firstIdAt } from '#base/id.ts';
import type { Envelope, MessageId, Outcome, QueueEvent, Recipient } from '#queue/records.ts';
import { openDatabase } from './sqlite/database.ts';
import type { Database, Statement } from './sqlite/database.ts';

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
];

/** Events kept of one message; the first is kept always, then the newest. */
const MAX_EVENTS = 100;
const TRIM_ROWS = 1000;
const CACHE_BYTES = 8 * 1024 * 1024;

type StoredRecipient = MessageDetail['recipients'][number];
type StoredEvent = MessageDetail['events'][number];
type Stored = { envelope: Envelope; recipients: StoredRecipient[]; events: StoredEvent[]; updatedAtMs: number };
type Row = { id: string; from_address: string; to_addresses: string; status: MessageStatus; updated_at: number; envelope: string; recipients: string; events: string };

/** The history for its one writer (the store thread). A power cut may lose the newest lines here: the outbox still has them. */
export class History {
  readonly #database: Database;
  readonly #read: Statement;
  readonly #write: Statement;
  #cursor: number;

  constructor(path: string) {
    this.#database = openDatabase(path, MIGRATIONS, { synchronous: 'NORMAL', cacheBytes: CACHE_BYTES });
    this.#cursor = (this.#database.prepare("SELECT seq FROM cursor WHERE name = 'outbox'").get() as { seq: number } | undefined)?.seq ?? 0;
    this.#read = this.#database.prepare('SELECT envelope, recipients, events, updated_at FROM message WHERE id = ?');
    this.#write = this.#database.prepare(
      `INSERT INTO message (id, from_address, to_addresses, credential, status, updated_at, envelope, recipients, events) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (id) DO UPDATE SET status = excluded.status, updated_at = excluded.updated_at, recipients = excluded.recipients, events = excluded.events`,
    );
  }

  /** Events up to this number are in the history. */
  get cursor(): number {
    return this.#cursor;
  }

  /**
   * Takes over outbox rows of the queue's database until some `events` have been; returns how many rows. The cursor moves in the same
   * transaction, so that a crash folds nothing twice; whoever owns the outbox may remove what lies behind it.
   */
  fold(queue: Database, events: number): number {
    const messages = new Map<MessageId, Stored>();
    let rows = 0;
    let taken = 0;
    let last = this.#cursor;
    for (const row of queue.prepare('SELECT seq, events FROM outbox WHERE seq > ? ORDER BY seq').iterate(last) as Iterable<{ seq: number; events: string }>) {
      const happened = JSON.parse(row.events) as QueueEvent[];
      for (const event of happened) this.#apply(messages, row.seq, event);
      last = row.seq;
      rows++;
      taken += happened.length;
      if (taken >= events) break;
    }
    if (rows === 0) return 0;
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      for (const [id, stored] of messages) this.#store(id, stored);
      this.#database.prepare("INSERT INTO cursor (name, seq) VALUES ('outbox', ?) ON CONFLICT (name) DO UPDATE SET seq = excluded.seq").run(last);
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

  #apply(messages: Map<MessageId, Stored>, seq: number, event: QueueEvent): void {
    const stored = event.type === 'accepted' ? fresh(event.envelope, event.recipients) : (messages.get(event.id) ?? this.#load(event.id));
    if (stored === null) return;
    messages.set(event.id, stored);
    stored.updatedAtMs = event.atMs;
    const outcome = 'outcome' in event ? event.outcome : null;
    const nextAtMs = 'nextAtMs' in event ? event.nextAtMs : null;
    const n = 'n' in event ? event.n : null;
    stored.events.push({ seq, atMs: event.atMs, type: event.type, n, outcome, nextAtMs });
    if (stored.events.length > MAX_EVENTS) stored.events.splice(1, 1);
    const at = stored.recipients.findIndex((recipient) => recipient.n === n);
    const recipient = stored.recipients[at];
    if (recipient === undefined || event.type === 'accepted') return;
    if (event.type === 'returned') {
      // What a later hop says is no attempt of ours; that it failed there is the end of it.
      stored.recipients[at] = { ...recipient, status: event.outcome.verdict === 'bounced' ? 'bounced' : recipient.status, lastOutcome: event.outcome };
      return;
    }
    stored.recipients[at] = {
      ...recipient,
      status: statusAfter(event.type, recipient.attempts),
      attempts: recipient.attempts + (outcome === null ? 0 : 1),
      nextAtMs,
      lastOutcome: outcome ?? recipient.lastOutcome,
    };
  }

  #load(id: MessageId): Stored | null {
    const row = this.#read.get(id) as Pick<Row, 'envelope' | 'recipients' | 'events' | 'updated_at'> | undefined;
    if (row === undefined) return null;
    return {
      envelope: JSON.parse(row.envelope) as Envelope,
      recipients: JSON.parse(row.recipients) as StoredRecipient[],
      events: JSON.parse(row.events) as StoredEvent[],
      updatedAtMs: row.updated_at,
    };
  }

  #store(id: MessageId, stored: Stored): void {
    const { envelope, recipients } = stored;
    this.#write.run(
      id,
      envelope.from?.text.toLowerCase() ?? '',
      ` ${recipients.map((recipient) => recipient.to.toLowerCase()).join(' ')} `,
      envelope.origin.credential,
      statusOf(recipients),
      stored.updatedAtMs,
      JSON.stringify(envelope),
      JSON.stringify(recipients),
      JSON.stringify(stored.events),
    );
  }
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
        recipients: JSON.parse(row.recipients) as StoredRecipient[],
        events: JSON.parse(row.events) as StoredEvent[],
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
  const recipients = JSON.parse(row.recipients) as StoredRecipient[];
  return {
    id: row.id,
    acceptedAtMs: envelope.acceptedAtMs,
    from: envelope.from?.text ?? '',
    to: recipients.map((recipient) => recipient.to),
    subject: envelope.subject,
    messageIdHeader: envelope.messageIdHeader,
    sizeBytes: envelope.sizeBytes,
    credential: envelope.origin.credential,
    profile: envelope.origin.profile,
    kind: envelope.kind,
    mode: envelope.mode,
    status: row.status,
    updatedAtMs: row.updated_at,
  };
}

function fresh(envelope: Envelope, recipients: readonly Recipient[]): Stored {
  return {
    envelope,
    recipients: recipients.map(({ n, address, via, notify, orcpt }) => ({
      n,
      to: address.text,
      ...(via === undefined ? {} : { via: via.text }),
      ...(notify === null ? {} : { notify }),
      ...(orcpt === null ? {} : { orcpt }),
      status: 'queued',
      attempts: 0,
      nextAtMs: null,
      lastOutcome: null,
    })),
    events: [],
    updatedAtMs: envelope.acceptedAtMs,
  };
}

function statusAfter(type: Exclude<QueueEvent['type'], 'accepted' | 'returned'>, attempts: number): MessageStatus {
  if (type === 'released' || type === 'retried') return attempts > 0 ? 'deferred' : 'queued';
  return type;
}

/** One status for the whole message: the recipients' when they agree; while some wait, theirs; else `partial`. */
function statusOf(recipients: readonly StoredRecipient[]): MessageStatus {
  const statuses = new Set(recipients.map((recipient) => recipient.status));
  const [only] = statuses;
  if (statuses.size === 1 && only !== undefined) return only;
  for (const waiting of ['deferred', 'queued', 'held'] as const) if (statuses.has(waiting)) return waiting;
  return 'partial';
}
