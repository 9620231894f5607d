// The queue as a worker has it: operations of one turn of the event loop travel in one message to the store thread, their bodies by way of
// shared memory. Keeps the bodies of what was just accepted, within a budget, so that fresh mail goes out from memory.

import type { MessagePort } from 'node:worker_threads';
import { systemClock, sleep } from '#base/clock.ts';
import type { NewMessage, OnceUsed, Queue, Settled } from '#queue/queue.ts';
import type { Envelope, LeasedRecipient, Lease, Outcome, Recipient, ReturnedEvent } from '#queue/records.ts';
import { countsOfAccepted, countsOfOutcome, listedOf } from '#store/facts.ts';
import { Arena, placeBytes } from './arena.ts';
import { isHeld } from './lanes.ts';
import type { Holds } from './lanes.ts';
import type { Answer, Batch, Bytes, Operation, Reply, Span, WireLease, WireMessage } from './wire.ts';

/** Rejection of an operation. `store-full`: short of space, try later; `lease-lost`: somebody else has it; `once-used`: the key has a message; `store-failed`: a fault. */
export class StoreError extends Error {
  readonly code: string;
  /** What stands against it, with `once-used`. */
  readonly used: OnceUsed | undefined;
  constructor(code: string, text: string, used?: OnceUsed) {
    super(text);
    this.name = 'StoreError';
    this.code = code;
    this.used = used;
  }
}

const SETTLE_AGAIN_MS = 1000;
/** Fresh messages kept in memory at once, whatever their size; more wait on disk for their turn. */
const MAX_HELD = 2000;
const MAX_RECALLED = 50_000;

type Waiting = { resolve: (value: never) => void; reject: (error: Error) => void };
type Numbered = Extract<Operation, { q: number }>;
type WithoutNumber<T> = T extends unknown ? Omit<T, 'q'> : never;

export type QueueClient = Queue & { call(call: Extract<Operation, { op: 'admin' }>['call']): Promise<unknown>; close(): Promise<void> };

/** Speaks to the store thread over `port`. `memoryBytes` bounds the bodies kept for immediate delivery. */
export function connectQueue(port: MessagePort, options: { memoryBytes: number }): QueueClient {
  return new Client(port, options.memoryBytes);
}

class Client implements QueueClient {
  readonly #port: MessagePort;
  readonly #memoryBytes: number;
  readonly #waiting = new Map<number, Waiting>();
  readonly #arena = new Arena();
  #arenaTold = false;
  #operations: Operation[] = [];
  #chunks: Uint8Array[] = [];
  #chunkBytes = 0;
  #scheduled = false;
  #next = 1;
  #heldBytes = 0;
  #listener: (() => void) | null = null;
  /** null: nothing is on hold. */
  #holds: Holds | null = null;
  #onHeld: (() => void) | null = null;
  /** Leases that should be given back; their tokens are never used again. Bounded: the oldest go first. */
  readonly #recalled = new Set<string>();

  constructor(port: MessagePort, memoryBytes: number) {
    this.#port = port;
    this.#memoryBytes = memoryBytes;
    port.on('message', (reply: Reply) => this.#answered(reply));
    port.on('close', () => this.#failAll());
  }

  async write(id: string, n: number, chunk: Buffer): Promise<void> {
    await this.#ask({ op: 'write', id, n, data: this.#pack([chunk]) });
  }

  abandon(id: string): void {
    this.#send({ op: 'abandon', id });
  }

  async accept(message: NewMessage, options: { lease: boolean }): Promise<readonly Lease[]> {
    const bytes = message.tail.reduce((sum, chunk) => sum + chunk.length, 0);
    // Past the budget the message waits on disk for its turn, like any other.
    const keep = options.lease && message.written === 0 && this.#held.size < MAX_HELD && this.#heldBytes + bytes <= this.#memoryBytes;
    if (keep) this.#heldBytes += bytes;
    try {
      const leases = (await this.#ask({ op: 'accept', message: this.#wireMessage(message), lease: keep })) as readonly WireLease[];
      if (!keep) return [];
      const [first] = leases;
      if (first === undefined) this.#heldBytes -= bytes;
      else this.#held.set(first.key, bytes);
      return leases.map((lease) => this.#freshLease(lease, message));
    } catch (error) {
      if (keep) this.#heldBytes -= bytes;
      throw error;
    }
  }

  async lease(request: { limit: number; perLane: number; skip: readonly string[]; only?: string; bodyBytes?: number }): Promise<readonly Lease[]> {
    const { limit, perLane, skip, only, bodyBytes } = request;
    return ((await this.#ask({ op: 'lease', limit, perLane, skip, only: only ?? null, bodyBytes: bodyBytes ?? 0 })) as readonly WireLease[]).map(storedLease);
  }

  async leaseOverdue(request: { limit: number }): Promise<readonly Lease[]> {
    return ((await this.#ask({ op: 'overdue', limit: request.limit })) as readonly WireLease[]).map(storedLease);
  }

  async *body(lease: { readonly key: number }): AsyncIterable<Buffer> {
    for (let n = 0; ; n++) {
      const chunk = (await this.#ask({ op: 'chunk', key: lease.key, n })) as Uint8Array | null;
      if (chunk === null) return;
      yield Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    }
  }

  async settle(settled: Settled): Promise<void> {
    const { lease } = settled;
    const settlements = settled.settlements.map((settlement) => ({
      n: settlement.n,
      state: settlement.state,
      nextAtMs: settlement.state === 'deferred' ? settlement.nextAtMs : 0,
      lane: settlement.state === 'deferred' ? settlement.lane : lease.lane,
      warned: settlement.state === 'deferred' && settlement.warned,
      outcome: JSON.stringify(settlement.outcome),
      counts: countsOfOutcome(settlement.outcome, lease.envelope.id),
      ...('suppression' in settlement && settlement.suppression !== undefined ? { suppression: settlement.suppression } : {}),
    }));
    this.#letGo(lease);
    for (;;) {
      try {
        await this.#ask({
          op: 'settle',
          key: lease.key,
          token: lease.token,
          id: lease.envelope.id,
          settlements,
          offspring: settled.offspring.map((message) => this.#wireMessage(message)),
        });
        return;
      } catch (error) {
        // An outcome must not be lost for want of space: it waits until there is some (the messages it frees make some).
        if (!(error instanceof StoreError) || error.code !== 'store-full') throw error;
        await sleep(systemClock, SETTLE_AGAIN_MS);
      }
    }
  }

  async note(id: string, events: readonly ReturnedEvent[]): Promise<void> {
    const atMs = systemClock.nowMs();
    await this.#ask({ op: 'note', id, events: events.map((event) => JSON.stringify({ ...event, atMs, id })) });
  }

  async giveBack(leases: readonly Lease[], options: { nextAtMs?: number; lane?: string } = {}): Promise<void> {
    if (leases.length === 0) return;
    for (const lease of leases) this.#letGo(lease);
    const rows = leases.map((lease) => ({ key: lease.key, token: lease.token, ns: lease.recipients.map((recipient) => recipient.n) }));
    await this.#ask({ op: 'giveBack', leases: rows, nextAtMs: options.nextAtMs ?? null, lane: options.lane ?? null });
  }

  backOff(lane: string, untilMs: number, cause: string): void {
    this.#send({ op: 'backOff', lane, untilMs, cause });
  }

  isHeld(of: { readonly lane: string; readonly domain: string; readonly credential: string | null }): boolean {
    return this.#holds !== null && isHeld(this.#holds, of);
  }

  isRecalled({ key, token }: Pick<Lease, 'key' | 'token'>): boolean {
    return this.#recalled.size > 0 && this.#recalled.has(`${key} ${token}`);
  }

  onHeld(listener: () => void): void {
    this.#onHeld = listener;
  }

  onReady(listener: () => void): void {
    this.#listener = listener;
  }

  call(call: Extract<Operation, { op: 'admin' }>['call']): Promise<unknown> {
    return this.#ask({ op: 'admin', call });
  }

  async close(): Promise<void> {
    this.#flush();
    this.#port.close();
  }

  /** Bytes of bodies still in memory, by the message's key: counted until the first of its leases is settled or given back. */
  readonly #held = new Map<number, number>();

  #letGo(lease: Lease): void {
    this.#heldBytes -= this.#held.get(lease.key) ?? 0;
    this.#held.delete(lease.key);
  }

  #freshLease(lease: WireLease, message: NewMessage): Lease {
    const recipients: LeasedRecipient[] = [];
    for (const { n } of lease.recipients) {
      const recipient = message.recipients[n];
      if (recipient === undefined) continue;
      const { lane: _, ...accepted } = recipient;
      recipients.push({ ...accepted, attempts: 0, warned: message.envelope.warnAtMs === null, lastOutcome: null });
    }
    return { key: lease.key, token: lease.token, envelope: message.envelope, lane: lease.lane, recipients, fresh: true, body: message.tail };
  }

  #wireMessage(message: NewMessage): WireMessage {
    const { envelope } = message;
    return {
      id: envelope.id,
      atMs: envelope.acceptedAtMs,
      sizeBytes: envelope.sizeBytes,
      expiresAtMs: envelope.expiresAtMs,
      warnAtMs: envelope.warnAtMs,
      credential: envelope.origin.credential,
      listed: listedOf(envelope),
      counts: countsOfAccepted(envelope),
      envelope: JSON.stringify(envelope),
      recipients: message.recipients.map(({ lane, ...recipient }) => ({
        n: recipient.n,
        lane,
        domain: recipient.address.domain,
        json: JSON.stringify(recipient satisfies Recipient),
      })),
      tail: this.#pack(message.tail),
      written: message.written,
      notBeforeMs: message.notBeforeMs ?? null,
      once: message.once ?? null,
    };
  }

  #pack(chunks: readonly Uint8Array[]): Span {
    const offset = this.#chunkBytes;
    for (const chunk of chunks) {
      this.#chunks.push(chunk);
      this.#chunkBytes += chunk.length;
    }
    return { offset, length: this.#chunkBytes - offset };
  }

  #ask(operation: WithoutNumber<Numbered>): Promise<unknown> {
    const q = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(q, { resolve: resolve as Waiting['resolve'], reject });
      this.#send({ ...operation, q } as Operation);
    });
  }

  #send(operation: Operation): void {
    this.#operations.push(operation);
    if (this.#scheduled) return;
    this.#scheduled = true;
    // After this turn's I/O, so that everything the turn brought goes in one message.
    setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#scheduled = false;
    if (this.#operations.length === 0) return;
    const sizeBytes = this.#chunkBytes;
    const bytes = this.#gather(sizeBytes);
    const batch: Batch = { operations: this.#operations, bytes, sizeBytes, ...(this.#arenaTold ? {} : { arena: this.#arena.shared }) };
    this.#arenaTold = true;
    this.#operations = [];
    this.#chunks = [];
    this.#chunkBytes = 0;
    this.#port.postMessage(batch, bytes !== null && 'buffer' in bytes ? [bytes.buffer] : []);
  }

  #gather(sizeBytes: number): Bytes {
    if (sizeBytes === 0) return null;
    const place = this.#arena.take(sizeBytes);
    // Never from the pool: it is transferred.
    const bytes = place === null ? Buffer.allocUnsafeSlow(sizeBytes) : placeBytes(this.#arena.shared, place);
    let at = 0;
    for (const chunk of this.#chunks) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    return place === null ? { buffer: bytes.buffer as ArrayBuffer } : { place };
  }

  #answered(reply: Reply): void {
    if (reply.places !== undefined) this.#arena.giveBack(reply.places);
    for (const answer of reply.answers) this.#settleAnswer(answer);
    if (reply.holds !== undefined) {
      this.#holds = isNothing(reply.holds) ? null : reply.holds;
      if (this.#holds !== null) this.#onHeld?.();
    }
    if (reply.recalled !== undefined) {
      for (const { key, token } of reply.recalled) this.#recalled.add(`${key} ${token}`);
      for (const oldest of this.#recalled.size > MAX_RECALLED ? this.#recalled : []) {
        if (this.#recalled.size <= MAX_RECALLED) break;
        this.#recalled.delete(oldest);
      }
      this.#onHeld?.();
    }
    if (reply.ready) this.#listener?.();
  }

  #settleAnswer(answer: Answer): void {
    const waiting = this.#waiting.get(answer.q);
    if (waiting === undefined) return;
    this.#waiting.delete(answer.q);
    if ('error' in answer) waiting.reject(new StoreError(answer.error, answer.text, answer.used));
    else waiting.resolve(answer.value as never);
  }

  #failAll(): void {
    for (const waiting of this.#waiting.values()) waiting.reject(new StoreError('store-failed', 'the store is closed'));
    this.#waiting.clear();
  }
}

function isNothing({ all, lanes, domains, credentials }: Holds): boolean {
  return !all && lanes.size + domains.size + credentials.size === 0;
}

function storedLease(lease: WireLease): Lease {
  const recipients = lease.recipients.map((row) => ({
    ...(JSON.parse(row.json ?? 'null') as Recipient),
    attempts: row.attempts,
    warned: row.warned,
    lastOutcome: row.outcome === null ? null : (JSON.parse(row.outcome) as Outcome),
  }));
  return {
    key: lease.key,
    token: lease.token,
    envelope: JSON.parse(lease.envelope ?? 'null') as Envelope,
    lane: lease.lane,
    recipients,
    fresh: false,
    body: lease.body === null ? null : [Buffer.from(lease.body.buffer, lease.body.byteOffset, lease.body.byteLength)],
  };
}
