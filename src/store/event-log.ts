// The events as others read them: the lines of the log, each made whole with what lies with its message. Read by number, oldest first, from where the
// reader was; holds nothing for anybody.

import { HISTORY_MIGRATIONS } from './history/schema.ts';
import { changesOf } from './history/log.ts';
import type { Change, LogRow } from './history/log.ts';
import type { MessageDetail } from './history.ts';
import type { Envelope, MessageId, Outcome, QueueEvent } from '#queue/records.ts';
import { openDatabase } from './sqlite/database.ts';

/** The place of an event: the number of its transaction, and of its change therein. */
export type Place = { readonly seq: number; readonly change: number };

export type LoggedEvent = {
  readonly place: Place;
  readonly type: QueueEvent['type'];
  readonly atMs: number;
  readonly envelope: Envelope;
  /** All that the message had. */
  readonly to: readonly string[];
  /** The one it is about; null: all, or nobody knows. */
  readonly n: number | null;
  readonly nextAtMs: number | null;
  readonly outcome: Outcome | null;
  /** How the recipients stand now, and what the message went through so far: what lies with the message, which may be further than this event. */
  readonly recipients: MessageDetail['recipients'];
  readonly changes: MessageDetail['events'];
};

export type EventQuery = {
  readonly types?: ReadonlySet<QueueEvent['type']>;
  readonly messageId?: MessageId;
  /** Only messages that this says yes to, before anything else is read of them. */
  readonly wanted?: (id: MessageId) => boolean;
  readonly limit: number;
  /** Not beyond this place. */
  readonly upTo?: Place;
};

/** `reached`: all up to there was looked at; go on from there. `more`: there may be more right now. */
export type EventPage = { readonly events: readonly LoggedEvent[]; readonly reached: Place; readonly more: boolean };

export type EventLog = {
  after(place: Place, query: EventQuery): EventPage;
  at(place: Place): LoggedEvent | null;
  newest(): Place;
  /** Just before the oldest that is kept. */
  oldest(): Place;
  /** Just before the first that happened at this time or later. */
  before(atMs: number): Place;
  close(): void;
};

/** What lies with a message. */
type Known = Pick<LoggedEvent, 'envelope' | 'to' | 'recipients' | 'changes'>;

/** Changes looked at in one go. */
const MAX_LOOKED = 5000;
/** Messages remembered while a page is read. */
const MAX_KEPT = 100;
const CACHE_BYTES = 4 * 1024 * 1024;
const END = Number.MAX_SAFE_INTEGER;

export function openEventLog(path: string): EventLog {
  const database = openDatabase(path, HISTORY_MIGRATIONS, { synchronous: 'NORMAL', readOnly: true, cacheBytes: CACHE_BYTES });
  const rows = database.prepare('SELECT seq, at, changes FROM log WHERE seq >= ? ORDER BY seq');
  const rowAt = database.prepare('SELECT at, changes FROM log WHERE seq = ?');
  const rowFrom = database.prepare('SELECT seq, at FROM log WHERE seq >= ? ORDER BY seq LIMIT 1');
  const ends = database.prepare('SELECT (SELECT min(seq) FROM log) AS first, (SELECT max(seq) FROM log) AS last');
  const moved = database.prepare("SELECT seq FROM cursor WHERE name = 'outbox'");
  const detail = database.prepare('SELECT envelope, recipients, events FROM detail WHERE key = (SELECT key FROM message WHERE id = ?)');

  const newest = (): Place => ({ seq: (moved.get() as { seq: number } | undefined)?.seq ?? 0, change: END });

  function read(id: MessageId): Known | null {
    const row = detail.get(id) as { envelope: string; recipients: string; events: string } | undefined;
    if (row === undefined) return null;
    const recipients = JSON.parse(row.recipients) as Known['recipients'];
    return { envelope: JSON.parse(row.envelope) as Envelope, to: recipients.map(({ to }) => to), recipients, changes: JSON.parse(row.events) as Known['changes'] };
  }

  /** `atMs`: when its transaction was. */
  function whole(place: Place, change: Change, { known, atMs }: { readonly known: Known | null; readonly atMs: number }): LoggedEvent | null {
    if (known === null) return null;
    const found = known.changes.find(({ seq, type, n }) => seq === place.seq && type === change.type && n === change.n) ?? fromRecipient(change, known, atMs);
    return { place, type: change.type, atMs: found.atMs, n: change.n, nextAtMs: found.nextAtMs, outcome: found.outcome, ...known };
  }

  return {
    after(place, { types, messageId, wanted, limit, upTo }) {
      const events: LoggedEvent[] = [];
      let reached = place;
      let looked = 0;
      const knownOf = remembering(read);
      for (const { seq, at, changes } of rows.iterate(place.seq) as Iterable<LogRow>) {
        const list = changesOf(changes);
        for (let i = seq === place.seq ? place.change + 1 : 0; i < list.length; i++) {
          const change = list[i] as Change;
          const here = { seq, change: i };
          if (upTo !== undefined && isAfter(here, upTo)) return { events, reached: upTo, more: false };
          if (events.length === limit || looked === MAX_LOOKED) return { events, reached, more: true };
          looked++;
          reached = here;
          if (types?.has(change.type) === false || (messageId !== undefined && messageId !== change.id) || wanted?.(change.id) === false) continue;
          const event = whole(here, change, { known: knownOf(change.id), atMs: at });
          if (event !== null) events.push(event);
        }
      }
      return { events, reached, more: false };
    },
    at(place) {
      const row = rowAt.get(place.seq) as Pick<LogRow, 'at' | 'changes'> | undefined;
      const change = row === undefined ? undefined : changesOf(row.changes)[place.change];
      return row === undefined || change === undefined ? null : whole(place, change, { known: read(change.id), atMs: row.at });
    },
    newest,
    oldest() {
      const { first } = ends.get() as { first: number | null };
      return first === null ? newest() : { seq: first - 1, change: END };
    },
    before(atMs) {
      const { first, last } = ends.get() as { first: number | null; last: number | null };
      // Times grow with numbers, but for a clock that is set.
      let [low, high] = [first ?? 0, (last ?? 0) + 1];
      while (low < high) {
        const middle = Math.floor((low + high) / 2);
        const row = rowFrom.get(middle) as Pick<LogRow, 'seq' | 'at'> | undefined;
        if (row === undefined || row.at >= atMs) high = middle;
        else low = row.seq + 1;
      }
      return { seq: low - 1, change: END };
    },
    close: () => database.close(),
  };
}

/** What lies with a message of a thousand recipients is long, and its changes come in between those of others: it is not read again for each of them. */
function remembering(read: (id: MessageId) => Known | null): typeof read {
  const kept = new Map<MessageId, Known | null>();
  return (id) => {
    const before = kept.get(id);
    if (before !== undefined) return before;
    if (kept.size === MAX_KEPT) kept.clear();
    const known = read(id);
    kept.set(id, known);
    return known;
  };
}

/**
 * Of a message with very many changes the older ones are no longer there one by one. What became of each recipient last still is: that is told, unless it
 * is something else than the line says.
 */
function fromRecipient({ type, n }: Change, { recipients }: Known, atMs: number): Pick<LoggedEvent, 'atMs' | 'nextAtMs' | 'outcome'> {
  const recipient = n === null ? undefined : recipients.find((one) => one.n === n);
  const last = recipient?.lastOutcome ?? null;
  const outcome = last !== null && (last.verdict === type || type === 'returned') ? last : null;
  return { atMs, outcome, nextAtMs: outcome !== null && type === 'deferred' ? (recipient?.nextAtMs ?? null) : null };
}

function isAfter(a: Place, b: Place): boolean {
  return a.seq > b.seq || (a.seq === b.seq && a.change > b.change);
}
