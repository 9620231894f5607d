// The store thread: the only writer of the queue. Everything that arrived since the last sync goes into one transaction (group commit);
// nobody waits for a timer. Also folds the outbox into the history when there is time, and trims what is old.

import { join } from 'node:path';
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import { systemClock } from '#base/clock.ts';
import { errorText } from '#base/failure.ts';
import { openSieve } from '#base/sieve.ts';
import type { QueueEvent } from '#queue/records.ts';
import { History } from '#store/history/writer.ts';
import type { HistoryBounds } from '#store/history/writer.ts';
import { toldFrom } from '#store/told.ts';
import { Admin } from './admin.ts';
import { placeBytes } from './arena.ts';
import { CHECKPOINT_PAGES, isOutOfSpace, openDatabase } from './database.ts';
import type { Database } from './database.ts';
import { Engine, LeaseLost, OnceTaken } from './engine.ts';
import { Folding } from './folding.ts';
import { Lanes } from './lanes.ts';
import { Reserve, freeBytes } from './reserve.ts';
import { KEY_SPAN, QUEUE_MIGRATIONS, TOKENS } from './schema.ts';
import type { AdminCall, Answer, Batch, Operation, Recalled, Reply } from './wire.ts';

/** What the thread is started with. */
export type ThreadOptions = {
  readonly dataDir: string;
  readonly minFreeBytes: number;
  readonly reserveBytes: number;
  readonly captureMs: number;
  readonly sieve: SharedArrayBuffer;
  /** Moved by each commit that changes a message's fate. */
  readonly tide: SharedArrayBuffer;
} & HistoryBounds;
/** What main says to the thread on its own port, beside the operations of the admin port. */
export type ThreadMessage = { readonly connect: MessagePort; readonly worker: number } | { readonly close: true };
export type ThreadNotice = { readonly opened: true } | { readonly closed: true } | { readonly failed: string };

const NO_BYTES = new Uint8Array(0);
const BATCH_BYTES = 16 * 1024 * 1024;
const BATCH_OPERATIONS = 4000;
const SPACE_EVERY_MS = 1000;
const HOUSEKEEPING_MS = 60_000;
/** While space is short the log is written back early, so that it is begun anew instead of growing. */
const CHECKPOINT_PAGES_SHORT = 100;
/** Folding waits for a moment without work. */
const FOLD_AFTER_MS = 20;
const MANY_LANES = 1000;
const LOOK_EVERY_MS = 100;

/** `places`: of its arena, whose operations are being done. */
type Source = { readonly port: MessagePort; readonly worker: number; arena: SharedArrayBuffer | null; places: number[] };
type Work = { readonly source: Source; readonly operation: Operation; readonly bytes: Uint8Array };
type Verb = Extract<AdminCall, { selection: unknown }>;
type LongVerb = { readonly source: Source; readonly q: number; readonly call: Verb; after: number; recipients: number; underWay: number; begun: boolean };

class StoreThread {
  readonly #database: Database;
  readonly #engine: Engine;
  readonly #lanes = new Lanes();
  readonly #admin: Admin;
  readonly #history: History;
  readonly #folding: Folding<{ readonly source: Source; readonly q: number }>;
  readonly #reserve: Reserve;
  readonly #options: ThreadOptions;
  readonly #tide: Int32Array;
  readonly #sources = new Set<Source>();
  readonly #verbs: LongVerb[] = [];
  #scheduled = false;
  #wakes = false;
  #full = false;
  #spaceCheckedAtMs = 0;
  #dueTimer: NodeJS.Timeout | null = null;
  #dueAtMs = Infinity;
  #lookAgainAtMs = 0;
  #looking = false;

  constructor(options: ThreadOptions) {
    this.#options = options;
    this.#tide = new Int32Array(options.tide);
    this.#database = openDatabase(join(options.dataDir, 'queue.db'), QUEUE_MIGRATIONS, { synchronous: 'FULL' });
    // Held for the life of the process: a second server on the same data must not start.
    this.#engine = new Engine(this.#database, { lanes: this.#lanes, sieve: openSieve(options.sieve), clock: systemClock });
    this.#admin = new Admin({ database: this.#database, engine: this.#engine, lanes: this.#lanes, clock: systemClock });
    this.#history = new History(join(options.dataDir, 'history.db'));
    this.#folding = new Folding({ statements: this.#engine.statements, history: this.#history });
    this.#reserve = new Reserve(join(options.dataDir, 'queue.reserve'), options.reserveBytes);
    this.#reserve.restore(options.minFreeBytes);
    this.#database.exec(`DELETE FROM chunk WHERE key / ${KEY_SPAN} NOT IN (SELECT key FROM message)`);
    this.#transaction(() => this.#admin.returnLeases(null));
    this.#admin.rebuildLanes();
    this.#engine.tally.count(this.#database);
    this.#engine.suppressions.fill();
    setInterval(() => this.#housekeeping(), HOUSEKEEPING_MS).unref();
    this.#wakeFolding();
  }

  connect(port: MessagePort, worker: number): void {
    const source: Source = { port, worker, arena: null, places: [] };
    this.#sources.add(source);
    port.on('message', (batch: Batch) => this.#arrived(source, batch));
    port.on('close', () => this.#sources.delete(source));
    port.postMessage({ answers: [], ready: false, holds: this.#engine.holds } satisfies Reply);
  }

  close(): void {
    for (const source of this.#sources) source.port.close();
    while (this.#folding.fold() > 0);
    this.#folding.trim();
    this.#history.close();
    this.#database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    this.#database.close();
  }

  #queue: Work[] = [];

  #arrived(source: Source, batch: Batch): void {
    this.#take(source, batch);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#run());
  }

  #take(source: Source, batch: Batch): void {
    source.arena ??= batch.arena ?? null;
    const bytes = bytesOf(source, batch);
    for (const operation of batch.operations) {
      const call = operation.op === 'admin' ? operation.call : null;
      if (call !== null && call.verb === 'workerGone') this.#retire(call.worker);
      // Verbs of many rows have transactions of their own, a stretch each.
      if (operation.op === 'admin' && 'selection' in operation.call)
        this.#verbs.push({ source, q: operation.q, call: operation.call, after: 0, recipients: 0, underWay: 0, begun: false });
      else if (call !== null && call.verb === 'flush' && 'q' in operation) this.#folding.ask({ source, q: operation.q });
      else this.#queue.push({ source, operation, bytes });
    }
  }

  /** A worker is gone. What it had said before comes first: outcomes count, and what it leases now is returned with the rest. */
  #retire(worker: number): void {
    for (const source of this.#sources) {
      if (source.worker !== worker) continue;
      this.#sources.delete(source);
      for (let last = receiveMessageOnPort(source.port); last !== undefined; last = receiveMessageOnPort(source.port)) this.#take(source, last.message as Batch);
      source.port.close();
    }
  }

  /** One group commit: what has arrived, and what arrives while it is gathered. */
  #run(): void {
    this.#scheduled = false;
    this.#drainPorts();
    const work = this.#queue;
    this.#queue = [];
    const answers = new Map<Source, Answer[]>();
    if (work.length > 0) this.#commit(work, answers);
    const verb = this.#verbs[0];
    if (verb !== undefined) this.#stretch(verb, answers);
    for (const [source, list] of answers) this.#reply(source, list);
    this.#armDueTimer();
    for (const { source, q } of this.#folding.work()) source.port.postMessage({ answers: [{ q, value: null }], ready: false } satisfies Reply);
    if (this.#verbs.length > 0 || this.#queue.length > 0 || this.#folding.urgent) this.#again();
    this.#wakeFolding();
  }

  /** Everything it had sent is done: bodies are in the database, or refused. */
  #reply(source: Source, answers: readonly Answer[]): void {
    const { places } = source;
    source.places = [];
    source.port.postMessage({ answers, ready: false, ...(places.length === 0 ? {} : { places }) } satisfies Reply);
  }

  #again(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#run());
  }

  #drainPorts(): void {
    let bytes = 0;
    for (const source of this.#sources) {
      for (;;) {
        if (bytes > BATCH_BYTES || this.#queue.length > BATCH_OPERATIONS) return;
        const received = receiveMessageOnPort(source.port) as { message: Batch } | undefined;
        if (received === undefined) break;
        bytes += received.message.sizeBytes;
        this.#take(source, received.message);
      }
    }
  }

  /** All in one transaction; when one of them fails, each in its own, so that it takes no other down. */
  #commit(arrived: readonly Work[], answers: Map<Source, Answer[]>): void {
    this.#checkSpace();
    // Refused before the transaction, so that a full disk does not undo it for those who settle.
    const work = this.#full ? arrived.filter((one) => !isNew(one) || this.#refuse(answers, one, new StoreFull())) : arrived;
    if (work.length === 0) return;
    try {
      const values = this.#transaction(() => work.map((one) => this.#apply(one)));
      work.forEach((one, i) => this.#answer(answers, one, values[i]));
    } catch {
      this.#admin.rebuild();
      for (const one of work) this.#commitAlone(one, answers);
    }
  }

  #commitAlone(work: Work, answers: Map<Source, Answer[]>): void {
    for (;;) {
      try {
        const [value] = this.#transaction(() => [this.#apply(work)]);
        return this.#answer(answers, work, value);
      } catch (error) {
        this.#admin.rebuild();
        // New mail never takes the reserve; it is for the fate of the mail that is here.
        if (isOutOfSpace(error) && !isNew(work) && this.#useReserve()) continue;
        this.#refuse(answers, work, error);
        return;
      }
    }
  }

  #useReserve(): boolean {
    if (!this.#reserve.release()) return false;
    this.#full = true;
    this.#database.exec(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES_SHORT}`);
    return true;
  }

  #transaction<T>(run: () => T): T {
    const { statements } = this.#engine;
    this.#engine.events = [];
    this.#engine.tally.begin();
    statements.begin.run();
    try {
      const value = run();
      if (this.#engine.events.length > 0) {
        this.#folding.write(systemClock.nowMs(), this.#engine.events);
      }
      statements.commit.run();
      this.#folding.committed();
      if (this.#engine.events.length > 0) Atomics.add(this.#tide, 0, 1);
      return value;
    } catch (error) {
      if (this.#database.isTransaction) statements.rollback.run();
      this.#folding.rolledBack();
      this.#engine.rolledBack();
      if (isOutOfSpace(error)) this.#full = true;
      throw error;
    }
  }

  #apply(work: Work): Answer extends { value: infer V } ? V : unknown {
    const { operation, bytes, source } = work;
    const { worker } = source;
    const engine = this.#engine;
    switch (operation.op) {
      case 'write':
        return engine.write(operation, bytes, worker);
      case 'accept':
        return engine.accept(operation.message, bytes, { worker, lease: operation.lease });
      case 'settle':
        return engine.settle(operation, bytes, worker);
      case 'lease':
        return engine.lease(operation, worker);
      case 'overdue':
        return engine.overdue(operation.limit, worker);
      case 'giveBack':
        return engine.giveBack(operation);
      case 'note':
        engine.events.push(...operation.events.map((text) => toldFrom(JSON.parse(text) as QueueEvent)));
        return null;
      case 'chunk':
        return engine.chunk(operation.key, operation.n);
      case 'abandon':
        return engine.abandon(operation.id);
      case 'backOff':
        return this.#lanes.backOff(operation.lane, operation.untilMs, operation.cause);
      case 'admin':
        return this.#applyAdmin(operation.call);
    }
  }

  #applyAdmin(call: AdminCall): unknown {
    if (call.verb === 'workerGone') {
      this.#engine.forgetWriter(call.worker);
      return this.#admin.returnLeases(call.worker);
    }
    return this.#applyOther(call) ?? this.#admin.read(call);
  }

  #applyOther(call: AdminCall): unknown {
    const { suppressions } = this.#engine;
    switch (call.verb) {
      case 'once':
        return this.#engine.once(call.key);
      case 'suppress':
        return suppressions.add(call.entries);
      case 'unsuppress':
        return suppressions.remove(call.address, call.senderDomains);
      case 'suppressed':
        return suppressions.find(call.address, call.senderDomains);
      case 'suppressions':
        return suppressions.list(call.filter);
      default:
        return null;
    }
  }

  #stretch(verb: LongVerb, answers: Map<Source, Answer[]>): void {
    let done: Answer | null = null;
    try {
      const stretch = this.#transaction(() => {
        if (!verb.begun) this.#admin.begin(verb.call);
        return this.#admin.stretch(verb.call, verb.after);
      });
      if (!verb.begun && (verb.call.verb === 'hold' || verb.call.verb === 'release')) this.#tellHolds();
      verb.begun = true;
      verb.after = stretch.after;
      verb.recipients += stretch.recipients;
      verb.underWay += stretch.underWay;
      if (stretch.recalled.length > 0) this.#recall(stretch.recalled);
      if (!stretch.more) done = { q: verb.q, value: { recipients: verb.recipients, underWay: verb.underWay } };
    } catch (error) {
      this.#admin.rebuild();
      if (isOutOfSpace(error) && this.#useReserve()) return;
      done = { q: verb.q, error: isOutOfSpace(error) ? 'store-full' : 'store-failed', text: errorText(error) };
    }
    if (done === null) return;
    this.#verbs.shift();
    push(answers, verb.source, done);
  }

  #tellHolds(): void {
    for (const source of this.#sources) source.port.postMessage({ answers: [], ready: false, holds: this.#engine.holds } satisfies Reply);
  }

  /** To those who have leased it. */
  #recall(leased: readonly Recalled[]): void {
    for (const [worker, recalled] of Map.groupBy(leased, ({ token }) => Math.floor(token / TOKENS))) {
      for (const source of this.#sources) if (source.worker === worker) source.port.postMessage({ answers: [], ready: false, recalled } satisfies Reply);
    }
  }

  #answer(answers: Map<Source, Answer[]>, work: Work, value: unknown): void {
    const { operation } = work;
    if (operation.op === 'accept') this.#engine.accepted(operation.message.id);
    if (!('q' in operation)) return;
    push(answers, work.source, { q: operation.q, value: value as never });
  }

  /** Answers that it failed; always false. */
  #refuse(answers: Map<Source, Answer[]>, work: Work, error: unknown): false {
    if (!('q' in work.operation)) return false;
    const code =
      error instanceof StoreFull || isOutOfSpace(error) ? 'store-full' : error instanceof LeaseLost ? 'lease-lost' : error instanceof OnceTaken ? 'once-used' : 'store-failed';
    push(answers, work.source, { q: work.operation.q, error: code, text: errorText(error), ...(error instanceof OnceTaken ? { used: error.used } : {}) });
    return false;
  }

  /** Mail is refused while the disk is nearly full, and taken again when there is room; settling goes on. */
  #checkSpace(): void {
    const nowMs = systemClock.nowMs();
    if (nowMs - this.#spaceCheckedAtMs < SPACE_EVERY_MS) return;
    this.#spaceCheckedAtMs = nowMs;
    const { dataDir, minFreeBytes } = this.#options;
    if (!this.#reserve.held) {
      this.#reserve.restore(minFreeBytes);
      if (this.#reserve.held) this.#database.exec(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
    }
    this.#full = !this.#reserve.held || freeBytes(dataDir) < minFreeBytes;
  }

  /** Tells the workers when the next lane falls due. */
  #armDueTimer(): void {
    const nowMs = systemClock.nowMs();
    if (this.#lanes.size > MANY_LANES && nowMs < this.#lookAgainAtMs) return this.#lookLater();
    this.#lookAgainAtMs = nowMs + LOOK_EVERY_MS;
    const dueAtMs = this.#lanes.nextDueAtMs(nowMs);
    if (dueAtMs === this.#dueAtMs && this.#dueTimer !== null) return;
    if (this.#dueTimer !== null) clearTimeout(this.#dueTimer);
    this.#dueTimer = null;
    this.#dueAtMs = dueAtMs;
    if (dueAtMs === Infinity) return;
    this.#dueTimer = setTimeout(
      () => {
        this.#dueTimer = null;
        for (const source of this.#sources) source.port.postMessage({ answers: [], ready: true } satisfies Reply);
        // Work that nobody takes (all lanes busy) is announced again, not in a tight loop.
        this.#dueAtMs = -1;
        setTimeout(() => this.#armDueTimer(), 200).unref();
      },
      Math.min(Math.max(dueAtMs - nowMs, 0), 0x7fffffff),
    );
    this.#dueTimer.unref();
  }

  /** Going through very many lanes after each commit would cost more than the commit. */
  #lookLater(): void {
    if (this.#looking) return;
    this.#looking = true;
    setTimeout(() => {
      this.#looking = false;
      this.#armDueTimer();
    }, LOOK_EVERY_MS).unref();
  }

  #wakeFolding(): void {
    if (this.#wakes) return;
    this.#wakes = true;
    setTimeout(() => {
      this.#wakes = false;
      const busy = this.#scheduled || this.#folding.fold() > 0;
      if (this.#history.behind) this.#trimHistory();
      if (busy || this.#history.behind) this.#wakeFolding();
      else this.#folding.trim();
    }, FOLD_AFTER_MS);
  }

  #housekeeping(): void {
    try {
      const nowMs = systemClock.nowMs();
      this.#transaction(() => this.#admin.trimCaptured(nowMs - this.#options.captureMs));
      this.#transaction(() => this.#engine.trimOnce());
      const { ready, leased, deferred, held } = this.#engine.tally.amounts;
      this.#history.sample(nowMs, { ready, leased, deferred, held });
    } catch {
      // Trimming is tried again in a minute; nothing depends on it.
    }
    this.#trimHistory();
    if (this.#history.behind) this.#wakeFolding();
  }

  /** A stretch; as long as there is more, one after each stretch that is folded. */
  #trimHistory(): void {
    try {
      this.#history.trim(systemClock.nowMs(), this.#options);
    } catch {
      // Tried again in a minute.
    }
  }
}

class StoreFull extends Error {
  constructor() {
    super('the disk is nearly full');
  }
}

/** Mail that is not here yet, and lists that are brought in: what is refused while space is short. */
function isNew({ operation }: Work): boolean {
  return operation.op === 'write' || operation.op === 'accept' || (operation.op === 'admin' && operation.call.verb === 'suppress');
}

function bytesOf(source: Source, { bytes }: Batch): Uint8Array {
  if (bytes !== null && 'buffer' in bytes) return new Uint8Array(bytes.buffer);
  if (bytes === null || source.arena === null) return NO_BYTES;
  source.places.push(bytes.place);
  return placeBytes(source.arena, bytes.place);
}

function push(answers: Map<Source, Answer[]>, source: Source, answer: Answer): void {
  const list = answers.get(source);
  if (list === undefined) answers.set(source, [answer]);
  else list.push(answer);
}

function main(): void {
  const port = parentPort;
  if (port === null) throw new Error('thread.ts runs as a worker thread');
  try {
    const thread = new StoreThread(workerData as ThreadOptions);
    port.on('message', (message: ThreadMessage) => {
      if ('connect' in message) return thread.connect(message.connect, message.worker);
      thread.close();
      port.postMessage({ closed: true } satisfies ThreadNotice);
      port.close();
    });
    port.postMessage({ opened: true } satisfies ThreadNotice);
  } catch (error) {
    port.postMessage({ failed: errorText(error) } satisfies ThreadNotice);
  }
}

main();
