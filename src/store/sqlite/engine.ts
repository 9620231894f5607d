// The queue's tables as operations: each is applied inside the transaction that thread.ts has open, and leaves its events in `events`
// for the outbox row of that transaction. Knows no threads and no timers.

import type { Clock } from '#base/clock.ts';
import type { Sieve } from '#base/sieve.ts';
import type { OnceKey, OnceUsed } from '#queue/queue.ts';
import type { LaneName, MessageId } from '#queue/records.ts';
import type { Told } from '#store/told.ts';
import type { Database } from './database.ts';
import { isHeld } from './lanes.ts';
import type { Holds, Lanes } from './lanes.ts';
import { GONE, HELD, KEY_SPAN, LEASED, READY, TOKENS } from './schema.ts';
import { Tally, countedAs } from './tally.ts';
import { SuppressionTable } from './suppressions.ts';
import { prepareStatements } from './statements.ts';
import type { Statements } from './statements.ts';
import type { Operation, Span, WireLease, WireMessage, WireSettlement } from './wire.ts';

type Of<K extends Operation['op']> = Extract<Operation, { op: K }>;
type LeasedRow = { lane: string; domain: string; credential: string | null; attempts: number; wish: number | null };
type DueRow = { key: number; recipient: string; attempts: number; warn_at: number | null; outcome: string | null; lane?: string };

/** Bodies up to this size come with their lease, so that nobody asks for each of them. */
const RIDING_BYTES = 64 * 1024;
/** Whoever repeats a request does it sooner. */
const ONCE_MS = 24 * 3_600_000;

/** Thrown by `accept` when the key of the message has one already. */
export class OnceTaken extends Error {
  readonly used: OnceUsed;
  constructor(used: OnceUsed) {
    super(`the key made message ${used.id}`);
    this.used = used;
  }
}

/** Thrown by `settle` when the lease is no longer the caller's; the batch goes on without it. */
export class LeaseLost extends Error {}

export class Engine {
  readonly statements: Statements;
  readonly tally = new Tally();
  readonly suppressions: SuppressionTable;
  readonly #lanes: Lanes;
  readonly #clock: Clock;
  /** Keys of messages that are being written, and whose worker writes them. */
  readonly #pending = new Map<MessageId, { key: number; worker: number }>();
  #nextKey: number;
  #nextToken: number;
  /** No row that is not captured has a smaller key. */
  #oldestFrom = 0;
  /** What the open transaction changed, for its row in the outbox. */
  events: Told[] = [];
  holds: Holds = { all: false, lanes: new Set(), domains: new Set(), credentials: new Set() };

  constructor(database: Database, parts: { readonly lanes: Lanes; readonly sieve: Sieve; readonly clock: Clock }) {
    this.statements = prepareStatements(database);
    this.suppressions = new SuppressionTable(database, parts.sieve);
    this.#lanes = parts.lanes;
    this.#clock = parts.clock;
    const row = database.prepare(`SELECT max(coalesce((SELECT max(key) FROM message), 0), coalesce((SELECT max(key) FROM chunk) / ${KEY_SPAN}, 0)) AS key`).get() as {
      key: number;
    };
    this.#nextKey = row.key + 1;
    // Past every number of the runs before, which gave fewer than 16 a millisecond.
    this.#nextToken = parts.clock.nowMs() * 16;
  }

  write(operation: Of<'write'>, bytes: Uint8Array, worker: number): void {
    const pending = this.#pendingKey(operation.id, worker);
    this.statements.insertChunk.run(pending * KEY_SPAN + operation.n, slice(bytes, operation.data));
  }

  abandon(id: MessageId): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    this.#deleteChunks(pending.key);
  }

  accept(message: WireMessage, bytes: Uint8Array, options: { worker: number; lease: boolean }): WireLease[] {
    if (message.once !== null) this.#takeOnce(message.once, message);
    const key = message.written > 0 ? this.#pendingKey(message.id, options.worker) : this.#nextKey++;
    this.statements.insertMessage.run(key, message.id, message.sizeBytes, message.written, message.envelope, slice(bytes, message.tail));
    this.tally.message(1, message.sizeBytes);
    const lease = options.lease && message.notBeforeMs === null;
    const dueAtMs = message.notBeforeMs ?? message.atMs;
    const token = lease ? this.#newToken(options.worker) : 0;
    const leases = new Map<LaneName, { n: number; json: null; attempts: 0; warned: false; outcome: null }[]>();
    const { atMs, id, listed, counts, envelope, notBeforeMs: sendAtMs } = message;
    this.events.push({ type: 'accepted', atMs, id, listed, counts, sendAtMs, envelope, recipients: message.recipients.map((recipient) => recipient.json) });
    for (const recipient of message.recipients) {
      const held = isHeld(this.holds, { ...recipient, credential: message.credential });
      const leased = lease && !held && this.#lanes.backOffUntil(recipient.lane) <= message.atMs;
      const state = held ? HELD : leased ? LEASED : READY;
      this.statements.insertRecipient.run(
        key * KEY_SPAN + recipient.n,
        state,
        token,
        dueAtMs,
        message.expiresAtMs,
        message.warnAtMs,
        recipient.lane,
        recipient.domain,
        message.credential,
        recipient.json,
      );
      this.tally.move(null, countedAs(state, 0));
      if (state === READY) this.#lanes.waits(recipient.lane, dueAtMs);
      if (held) this.#tellHeld(message.id, recipient.n, message.atMs);
      if (!leased) continue;
      const entry = { n: recipient.n, json: null, attempts: 0, warned: false, outcome: null } as const;
      const lane = leases.get(recipient.lane);
      if (lane === undefined) leases.set(recipient.lane, [entry]);
      else lane.push(entry);
    }
    return [...leases].map(([lane, recipients]) => ({ key, token, lane, envelope: null, body: null, recipients }));
  }

  /** The message that was made under this key within a day, or null. */
  once(key: string): OnceUsed | null {
    const row = this.statements.onceOf.get(key) as { hash: string; id: MessageId; at: number } | undefined;
    return row === undefined || row.at <= this.#clock.nowMs() - ONCE_MS ? null : { hash: row.hash, id: row.id };
  }

  /** Forgets keys whose day is over, a stretch. */
  trimOnce(): void {
    this.statements.trimOnce.run(this.#clock.nowMs() - ONCE_MS);
  }

  #takeOnce({ key, hash }: OnceKey, { id, atMs }: WireMessage): void {
    const used = this.once(key);
    if (used !== null) throw new OnceTaken(used);
    this.statements.insertOnce.run(key, hash, id, atMs);
  }

  /** What was counted in a transaction that came to nothing is uncounted. */
  rolledBack(): void {
    this.tally.rollBack();
    this.#oldestFrom = 0;
  }

  /** Called once the transaction of an accept is committed: the chunks have their message. */
  accepted(id: MessageId): void {
    this.#pending.delete(id);
  }

  lease(operation: Of<'lease'>, worker: number): WireLease[] {
    const nowMs = this.#clock.nowMs();
    const token = this.#newToken(worker);
    const budget = { bytes: operation.bodyBytes };
    const leases: WireLease[] = [];
    const lanes = operation.only === null ? this.#lanes.due(nowMs, new Set(operation.skip)) : [operation.only];
    for (const lane of lanes) {
      const room = operation.limit - leases.length;
      if (room <= 0) break;
      const rows = this.statements.dueOfLane.all(lane, nowMs, Math.min(operation.perLane, room)) as DueRow[];
      leases.push(...this.#leaseRows(rows, { token, budget, laneOf: () => lane }));
      this.#correct(lane, nowMs);
    }
    return leases;
  }

  /** Those whose time is over first, then those whose senders should hear of a delay. */
  overdue(limit: number, worker: number): WireLease[] {
    const nowMs = this.#clock.nowMs();
    const expired = this.statements.expired.all(nowMs, limit) as DueRow[];
    const warned = expired.length < limit ? (this.statements.warned.all(nowMs, nowMs, limit - expired.length) as DueRow[]) : [];
    const rows = [...expired, ...warned];
    const leases = this.#leaseRows(rows, { token: this.#newToken(worker), budget: { bytes: 0 }, laneOf: (row) => row.lane ?? '' });
    for (const lane of new Set(rows.map((row) => row.lane ?? ''))) this.#correct(lane, nowMs);
    return leases;
  }

  settle(operation: Of<'settle'>, bytes: Uint8Array, worker: number): void {
    const nowMs = this.#clock.nowMs();
    let gone = false;
    for (const settlement of operation.settlements) {
      gone = this.#settleOne(operation, settlement, nowMs) || gone;
    }
    for (const message of operation.offspring) this.accept(message, bytes, { worker, lease: false });
    if (gone) this.removeIfDone(operation.key);
  }

  giveBack(operation: Of<'giveBack'>): void {
    const nowMs = this.#clock.nowMs();
    const nextAtMs = operation.nextAtMs ?? nowMs;
    for (const { key, token, ns } of operation.leases) {
      let gone = false;
      for (const n of ns) gone = this.#giveBackOne(key, n, { token, nextAtMs, nowMs, lane: operation.lane }) || gone;
      if (gone) this.removeIfDone(key);
    }
  }

  /** Chunk `n` of a body: the stored chunks, then what lies in the message's row, then null. Half a body must not look like a whole one. */
  chunk(key: number, n: number): Uint8Array | null {
    const stored = this.statements.chunk.get(key * KEY_SPAN + n) as { data: Uint8Array } | undefined;
    if (stored !== undefined) return stored.data;
    const row = this.statements.bodyOf.get(key) as { chunks: number; body: Uint8Array | null } | undefined;
    if (row === undefined) throw new LeaseLost(`the message of key ${key}`);
    if (n < row.chunks) throw new Error(`chunk ${n} of ${row.chunks} of key ${key} is missing`);
    return row.chunks === n ? row.body : null;
  }

  /** Deletes a message and its body once no recipient is left. */
  removeIfDone(key: number): void {
    if (this.statements.anyRecipient.get(key * KEY_SPAN, (key + 1) * KEY_SPAN) !== undefined) return;
    const row = this.statements.deleteMessage.get(key) as { chunks: number; size: number } | undefined;
    if (row === undefined) return;
    this.tally.message(-1, row.size);
    if (row.chunks > 0) this.#deleteChunks(key);
  }

  /** A worker is gone: what it was writing is dropped. Its leases are returned by admin.ts. */
  forgetWriter(worker: number): void {
    for (const [id, pending] of this.#pending) if (pending.worker === worker) this.abandon(id);
  }

  /** True when the recipient's row is gone. */
  #settleOne(operation: Of<'settle'>, settlement: WireSettlement, nowMs: number): boolean {
    const { state, outcome, n } = settlement;
    if (state === 'deferred') return this.#defer(operation, settlement, nowMs);
    const key = operation.key * KEY_SPAN + n;
    const { changes } = state === 'captured' ? this.statements.captureRecipient.run(outcome, key, operation.token) : this.statements.deleteRecipient.run(key, operation.token);
    if (changes === 0) throw new LeaseLost(`recipient ${n} of ${operation.id}`);
    this.tally.move('leased', state === 'captured' ? 'captured' : null);
    if (settlement.suppression !== undefined) this.suppressions.note(settlement.suppression);
    this.#tellOutcome(operation.id, settlement, nowMs);
    return state !== 'captured';
  }

  #defer({ id, key: message, token }: Of<'settle'>, settlement: WireSettlement, nowMs: number): boolean {
    const { n, lane, nextAtMs, warned, outcome } = settlement;
    const key = message * KEY_SPAN + n;
    const row = this.statements.leasedRow.get(key) as LeasedRow | undefined;
    const state = row === undefined ? READY : this.#returnsTo(row, lane);
    const { changes } =
      state === GONE ? this.statements.deleteRecipient.run(key, token) : this.statements.deferRecipient.run(state, nextAtMs, lane, warned ? 1 : 0, outcome, key, token);
    if (changes === 0) throw new LeaseLost(`recipient ${n} of ${id}`);
    this.tally.move('leased', state === GONE ? null : countedAs(state, 1));
    if (state === READY) this.#lanes.waits(lane, nextAtMs);
    this.#tellOutcome(id, settlement, nowMs);
    return this.#tellReturned(state, { id, n, nowMs });
  }

  #tellOutcome(id: MessageId, settlement: WireSettlement, nowMs: number): void {
    const { state, n, counts, outcome } = settlement;
    this.events.push({ type: state, atMs: nowMs, id, n, nextAtMs: state === 'deferred' ? settlement.nextAtMs : null, counts, outcome });
  }

  /** True when the recipient's row is gone. */
  #giveBackOne(message: number, n: number, to: { token: number; nextAtMs: number; nowMs: number; lane: LaneName | null }): boolean {
    const key = message * KEY_SPAN + n;
    const row = this.statements.leasedRow.get(key) as LeasedRow | undefined;
    if (row === undefined) return false;
    const lane = to.lane ?? row.lane;
    const state = this.#returnsTo(row, lane);
    const { changes } = state === GONE ? this.statements.deleteRecipient.run(key, to.token) : this.statements.returnRecipient.run(state, to.nextAtMs, lane, key, to.token);
    if (changes === 0) return false;
    this.tally.move('leased', state === GONE ? null : countedAs(state, row.attempts));
    if (state === READY) {
      this.#lanes.waits(lane, to.nextAtMs);
      return false;
    }
    const { id } = this.statements.envelopeOf.get(message) as { id: MessageId };
    return this.#tellReturned(state, { id, n, nowMs: to.nowMs });
  }

  /** What a recipient becomes that comes back undelivered: an operator may have said something meanwhile. */
  #returnsTo(row: LeasedRow, lane: LaneName): number {
    if (row.wish === GONE) return GONE;
    return row.wish === HELD || isHeld(this.holds, { ...row, lane }) ? HELD : READY;
  }

  /** True when its row is gone. */
  #tellReturned(state: number, { id, n, nowMs }: { id: MessageId; n: number; nowMs: number }): boolean {
    if (state === GONE) this.events.push({ type: 'cancelled', atMs: nowMs, id, n });
    if (state === HELD) this.#tellHeld(id, n, nowMs);
    return state === GONE;
  }

  #tellHeld(id: MessageId, n: number, atMs: number): void {
    this.events.push({ type: 'held', atMs, id, n });
  }

  #newToken(worker: number): number {
    return worker * TOKENS + this.#nextToken++;
  }

  /** Marks rows leased and groups them by message and lane; the envelope travels with each lease, and a small body as long as there is room. */
  #leaseRows(rows: readonly DueRow[], how: { token: number; budget: { bytes: number }; laneOf: (row: DueRow) => LaneName }): WireLease[] {
    const { token, budget, laneOf } = how;
    const groups = new Map<string, WireLease & { recipients: WireLease['recipients'][number][] }>();
    for (const row of rows) {
      const key = Math.floor(row.key / KEY_SPAN);
      const lane = laneOf(row);
      const name = `${key} ${lane}`;
      let group = groups.get(name);
      if (group === undefined) {
        const message = this.statements.envelopeOf.get(key) as { envelope: string; chunks: number; size: number } | undefined;
        if (message === undefined) continue;
        const rides = message.chunks === 0 && message.size <= Math.min(budget.bytes, RIDING_BYTES);
        if (rides) budget.bytes -= message.size;
        group = { key, token, lane, envelope: message.envelope, body: rides ? this.chunk(key, 0) : null, recipients: [] };
        groups.set(name, group);
      }
      this.statements.lease.run(token, row.key);
      this.tally.move(countedAs(READY, row.attempts), 'leased');
      group.recipients.push({ n: row.key % KEY_SPAN, json: row.recipient, attempts: row.attempts, warned: row.warn_at === null, outcome: row.outcome });
    }
    return [...groups.values()];
  }

  /** The key of the message that has waited longest, or null. */
  oldest(): number | null {
    const row = this.statements.oldest.get(this.#oldestFrom) as { key: number } | undefined;
    if (row === undefined) return null;
    this.#oldestFrom = row.key;
    // What its sender wants later waits for nobody.
    const due = this.statements.oldestDue.get(row.key, this.#clock.nowMs()) as { key: number } | undefined;
    return due === undefined ? null : Math.floor(due.key / KEY_SPAN);
  }

  #correct(lane: LaneName, nowMs: number): void {
    const row = this.statements.earliestOfLane.get(lane) as { at: number | null };
    this.#lanes.corrected(lane, row.at, nowMs);
  }

  #pendingKey(id: MessageId, worker: number): number {
    let pending = this.#pending.get(id);
    if (pending === undefined) {
      pending = { key: this.#nextKey++, worker };
      this.#pending.set(id, pending);
    }
    return pending.key;
  }

  #deleteChunks(key: number): void {
    this.statements.deleteChunks.run(key * KEY_SPAN, (key + 1) * KEY_SPAN);
  }
}

function slice(bytes: Uint8Array, span: Span): Uint8Array {
  return bytes.subarray(span.offset, span.offset + span.length);
}
