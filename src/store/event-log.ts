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
};

export type EventQuery = {
  readonly types?: ReadonlySet<QueueEvent['type']>;
  readonly messageId?: MessageId;
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

/** Changes looked at in one go. */
const MAX_LOOKED = 5000;
const CACHE_BYTES = 4 * 1024 * 1024;
const END = Number.MAX_SAFE_INTEGER;

export function openEventLog(path: string): EventLog {
  const database = openDatabase(path, HISTORY_MIGRATIONS, { synchronous: 'NORMAL', readOnly: true, cacheBytes: CACHE_BYTES });
  const rows = database.prepare('SELECT seq, at, changes FROM log WHERE seq >= ? ORDER BY seq');
  const rowAt = database.prepare('SELECT changes FROM log WHERE seq = ?');
  const rowFrom = database.prepare('SELECT seq, at FROM log WHERE seq >= ? ORDER BY seq LIMIT 1');
  const ends = database.prepare('SELECT (SELECT min(seq) FROM log) AS first, (SELECT max(seq) FROM log) AS last');
  const moved = database.prepare("SELECT seq FROM cursor WHERE name = 'outbox'");
  const detail = database.prepare('SELECT envelope, recipients, events FROM detail WHERE key = (SELECT key FROM message WHERE id = ?)');

  const newest = (): Place => ({ seq: (moved.get() as { seq: number } | undefined)?.seq ?? 0, change: END });

  function whole(place: Place, change: Change): LoggedEvent | null {
    const row = detail.get(change.id) as { envelope: string; recipients: string; events: string } | undefined;
    if (row === undefined) return null;
    const found = (JSON.parse(row.events) as MessageDetail['events']).find(({ seq, type, n }) => seq === place.seq && type === change.type && n === change.n);
    if (found === undefined) return null;
    const recipients = JSON.parse(row.recipients) as MessageDetail['recipients'];
    const { atMs, type, n, nextAtMs, outcome } = found;
    return { place, type, atMs, envelope: JSON.parse(row.envelope) as Envelope, to: recipients.map(({ to }) => to), n, nextAtMs, outcome };
  }

  return {
    after(place, { types, messageId, limit, upTo }) {
      const events: LoggedEvent[] = [];
      let reached = place;
      let looked = 0;
      for (const { seq, changes } of rows.iterate(place.seq) as Iterable<LogRow>) {
        const list = changesOf(changes);
        for (let i = seq === place.seq ? place.change + 1 : 0; i < list.length; i++) {
          const change = list[i] as Change;
          const here = { seq, change: i };
          if (upTo !== undefined && isAfter(here, upTo)) return { events, reached: upTo, more: false };
          if (events.length === limit || looked === MAX_LOOKED) return { events, reached, more: true };
          looked++;
          reached = here;
          if (types?.has(change.type) === false || (messageId !== undefined && messageId !== change.id)) continue;
          const event = whole(here, change);
          if (event !== null) events.push(event);
        }
      }
      return { events, reached, more: false };
    },
    at(place) {
      const row = rowAt.get(place.seq) as Pick<LogRow, 'changes'> | undefined;
      const change = row === undefined ? undefined : changesOf(row.changes)[place.change];
      return change === undefined ? null : whole(place, change);
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

function isAfter(a: Place, b: Place): boolean {
  return a.seq > b.seq || (a.seq === b.seq && a.change > b.change);
}
