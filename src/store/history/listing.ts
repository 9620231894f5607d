// Pages of the history, newest first, in bounded time however much there is and whatever is asked: by the search index where it helps, by the few that have an
// unusual status, else through the rows. What takes longer ends with a short page that says where to go on.

import { firstIdAt, idTimeMs } from '#base/id.ts';
import type { MessageId } from '#queue/records.ts';
import type { MessageFilter, MessagePage, MessageRow, MessageStatus } from '#store/history.ts';
import type { Database, Statement } from '#store/sqlite/database.ts';
import type { SearchIndex } from './search.ts';
import { conditionsOf, matchOf } from './terms.ts';

export type Listing = { page(filter: MessageFilter): MessagePage; find(id: MessageId): { readonly key: number; readonly row: MessageRow } | null };

/** A page takes no longer, but for what was begun. */
const WITHIN_MS = 100;
/** Rows looked at between two looks at the clock. */
const WINDOW = 20_000;
const STEP = 100;
/** So many with a status are gone through one by one. */
const FEW = 20_000;
/** Messages that are not in the index yet are taken in before somebody looks for them; more are gone through. */
const CATCH_UP = 2000;
const DAY_MS = 86_400_000;
/** The order of keys is that of acceptance, ids are given a while before. */
const DISORDER_MS = 3_600_000;

const COLUMNS = 'key, id, status, accepted_at, updated_at, from_address, subject, message_id, size, credential, project, profile, kind, mode, to_addresses';

type Row = {
  key: number;
  id: string;
  status: MessageStatus;
  accepted_at: number;
  updated_at: number;
  from_address: string;
  subject: string;
  message_id: string;
  size: number;
  credential: string | null;
  project: string | null;
  profile: string;
  kind: 'mail' | 'dsn';
  mode: 'live' | 'sandbox';
  to_addresses: string;
};
type Value = string | number;
/** Rows between keys, newest first, of which `limit` at most are taken. */
type Range = { readonly from: number; readonly below: number; readonly limit: number };
/** What a part of the search found, and the key down to which it came. */
type Found = { readonly rows: Row[]; readonly reached: number };

export function openListing(database: Database, search: SearchIndex | null): Listing {
  const byId = database.prepare(`SELECT ${COLUMNS} FROM message WHERE id = ?`);
  const newestKey = database.prepare('SELECT max(key) AS key FROM message');
  const firstKeyAt = database.prepare('SELECT key FROM message WHERE id >= ? ORDER BY id LIMIT 1');
  const keyBefore = database.prepare('SELECT key FROM message WHERE id < ? ORDER BY id DESC LIMIT 1');
  const idFrom = database.prepare('SELECT id FROM message WHERE key >= ? ORDER BY key LIMIT 1');
  const countStatus = database.prepare(`SELECT count(*) AS rows FROM (SELECT 1 FROM message WHERE status = ? AND status <> 'delivered' AND key < ? LIMIT ${FEW + 1})`);

  const keyOf = (id: MessageId): number => {
    const exact = byId.get(id) as Row | undefined;
    if (exact !== undefined) return exact.key;
    const before = keyBefore.get(id) as { key: number } | undefined;
    return before === undefined ? 0 : before.key + 1;
  };

  function page(asked: MessageFilter): MessagePage {
    const { text, ...filter } = asked;
    const named = text === undefined || idTimeMs(text.trim()) === null ? undefined : (byId.get(text.trim()) as Row | undefined);
    if (named === undefined) return pageOf(asked);
    const row = queryOf(database, filter).row(named.key);
    return { rows: row === undefined || filter.before !== undefined ? [] : [messageRow(row)], next: null };
  }

  function pageOf(filter: MessageFilter): MessagePage {
    const untilMs = performance.now() + WITHIN_MS;
    const below = filter.before === undefined ? ((newestKey.get() as { key: number | null }).key ?? 0) + 1 : keyOf(filter.before);
    const recent = filter.sinceMs === undefined ? 0 : ((firstKeyAt.get(firstIdAt(filter.sinceMs - DAY_MS - DISORDER_MS)) as { key: number } | undefined)?.key ?? below);
    const query = queryOf(database, filter);
    let found = recentOnes(query, filter, { from: recent, below, limit: filter.limit }, untilMs);
    if (found.reached <= recent && found.rows.length < filter.limit && recent > 0) {
      // What moved long after it came.
      const late = query.rows(LATE, { from: 0, below: Math.min(recent, below), limit: filter.limit - found.rows.length });
      found = { rows: [...found.rows, ...late], reached: 0 };
    }
    return { rows: found.rows.map(messageRow), next: nextOf(found, filter.limit) };
  }

  function recentOnes(query: Query, filter: MessageFilter, range: Range, untilMs: number): Found {
    const { status } = filter;
    if (status !== undefined && status !== 'delivered' && (countStatus.get(status, range.below) as { rows: number }).rows <= FEW)
      return { rows: query.rows(UNUSUAL, range), reached: range.from };
    const match = search === null ? '' : matchOf(filter);
    if (search === null || match === '') return through(query, range, untilMs);
    search.catchUp(CATCH_UP);
    const newer = through(query, { ...range, from: Math.max(range.from, Math.min(search.indexedTo + 1, range.below)) }, untilMs);
    if (newer.rows.length === range.limit || newer.reached > search.indexedTo + 1) return newer;
    const older = indexed(query, search.keys(match, Math.min(range.below, search.indexedTo + 1)), { ...range, limit: range.limit - newer.rows.length }, untilMs);
    return { rows: [...newer.rows, ...older.rows], reached: older.reached };
  }

  function nextOf({ rows, reached }: Found, limit: number): MessageId | null {
    const last = rows.at(-1);
    if (last !== undefined && rows.length >= limit) return last.id;
    return reached === 0 ? null : ((idFrom.get(reached) as { id: string } | undefined)?.id ?? null);
  }

  return {
    page,
    find(id) {
      const row = byId.get(id) as Row | undefined;
      return row === undefined ? null : { key: row.key, row: messageRow(row) };
    },
  };
}

/** Row by row, a window at a time. */
function through(query: Query, { from, below, limit }: Range, untilMs: number): Found {
  const rows: Row[] = [];
  let reached = below;
  while (reached > from && rows.length < limit && performance.now() < untilMs) {
    const window = Math.max(from, reached - WINDOW);
    rows.push(...query.rows(ANY, { from: window, below: reached, limit: limit - rows.length }));
    reached = window;
  }
  return { rows, reached };
}

/** Those that the index names. */
function indexed(query: Query, keys: Iterable<number>, { from, limit }: Range, untilMs: number): Found {
  const rows: Row[] = [];
  let looked = 0;
  for (const key of keys) {
    if (key < from) break;
    const row = query.row(key);
    if (row !== undefined) rows.push(row);
    if (rows.length === limit || (++looked % STEP === 0 && performance.now() > untilMs)) return { rows, reached: key };
  }
  return { rows, reached: from };
}

/** By way of an index, which holds the rows that `also` is true of. */
type Way = { readonly index: string; readonly also: string };
const ANY: Way = { index: 'NOT INDEXED', also: '' };
const LATE: Way = { index: 'INDEXED BY message_late', also: 'updated_at > accepted_at + 86400000 AND' };
const UNUSUAL: Way = { index: 'INDEXED BY message_unusual', also: "status <> 'delivered' AND" };

/** `row`: if it is what the index said, whose word on words counts. */
type Query = { rows(way: Way, range: Range): Row[]; row(key: number): Row | undefined };

/** The statements of one question. */
function queryOf(database: Database, filter: MessageFilter): Query {
  const [all, allValues] = conditions(filter, true);
  const [found, foundValues] = conditions(filter, false);
  const prepared = new Map<string, Statement>();
  const prepare = (sql: string): Statement => {
    let statement = prepared.get(sql);
    if (statement === undefined) prepared.set(sql, (statement = database.prepare(sql)));
    return statement;
  };
  return {
    rows: ({ index, also }, { from, below, limit }) =>
      prepare(`SELECT ${COLUMNS} FROM message ${index} WHERE ${also} key >= ? AND key < ?${all} ORDER BY key DESC LIMIT ?`).all(from, below, ...allValues, limit) as Row[],
    row: (key) => prepare(`SELECT ${COLUMNS} FROM message WHERE key = ?${found}`).get(key, ...foundValues) as Row | undefined,
  };
}

function conditions(filter: MessageFilter, words: boolean): [string, Value[]] {
  const { where, parameters } = conditionsOf(filter, { words });
  const values: Value[] = [...parameters];
  const add = (sql: string, value: Value | undefined): void => {
    if (value === undefined) return;
    where.push(sql);
    values.push(value);
  };
  add('status = ?', filter.status);
  add('updated_at >= ?', filter.sinceMs);
  return [where.map((sql) => ` AND ${sql}`).join(''), values];
}

function messageRow(row: Row): MessageRow {
  return {
    id: row.id,
    acceptedAtMs: row.accepted_at,
    from: row.from_address,
    to: JSON.parse(row.to_addresses) as string[],
    subject: row.subject,
    messageIdHeader: row.message_id,
    sizeBytes: row.size,
    credential: row.credential,
    project: row.project,
    profile: row.profile,
    kind: row.kind,
    mode: row.mode,
    status: row.status,
    updatedAtMs: row.updated_at,
  };
}
