// Opens the stores of one data directory for the main thread: starts the store thread, hands ports to the workers, and gives the operator's
// side of queue, history and directory.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { MessageChannel, Worker } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import { systemClock } from '#base/clock.ts';
import { PosternError } from '#base/failure.ts';
import { createSieve } from '#base/sieve.ts';
import type { Changed, NewMessage, OnceUsed, QueueAdmin, Selection } from '#queue/queue.ts';
import type { Envelope } from '#queue/records.ts';
import type { Suppressions } from '#queue/suppression.ts';
import { openDirectory } from './directory.ts';
import { openEventLog } from './event-log.ts';
import type { EventLog } from './event-log.ts';
import { openHistoryReader } from './history.ts';
import type { HistoryReader } from './history.ts';
import { connectQueue } from './sqlite/client.ts';
import { keepIndexed, openSearch } from './history/search.ts';
import type { QueueClient } from './sqlite/client.ts';
import { openDatabase } from './sqlite/database.ts';
import type { ThreadMessage, ThreadNotice, ThreadOptions } from './sqlite/thread.ts';
import { openStatistics } from './statistics.ts';
import type { StatisticsReader } from './statistics.ts';
import { suppressionsOf } from './suppressions.ts';
import { openTransport } from './transport.ts';
import type { Transport } from './transport.ts';

export type StoreOptions = Omit<ThreadOptions, 'sieve' | 'tide'> & {
  /** Moved by every change of the directory; shared with the workers' readers. */
  readonly generation: Int32Array;
  /** The store thread died: nothing can be accepted any more. */
  readonly died: (cause: string) => void;
};

export type StoreHost = {
  /** A port for worker number `worker` (from 1), to be transferred to it and opened there with `connectQueue`. */
  connect(worker: number): MessagePort;
  /** Returns the leases of a worker that is gone; resolves to how many. */
  workerGone(worker: number): Promise<number>;
  readonly admin: QueueAdmin;
  readonly history: HistoryReader;
  readonly events: EventLog;
  readonly statistics: StatisticsReader;
  /** Moves with each commit that changes a message's fate. */
  readonly tide: Int32Array;
  readonly directory: ReturnType<typeof openDirectory>;
  readonly transport: Transport;
  readonly suppressions: Suppressions;
  /** Shared with the workers: what is surely not suppressed. */
  readonly sieve: SharedArrayBuffer;
  /** The message that was made under a key within a day, or null. */
  once(key: string): Promise<OnceUsed | null>;
  /** Makes a message of our own exist; resolves when it is durable. */
  accept(message: NewMessage): Promise<void>;
  /** Folds what waits in the outbox, so that the history shows all up to now. */
  flushHistory(): Promise<void>;
  /** Last commit, checkpoint, files closed. Call after the workers have ended. */
  close(): Promise<void>;
};

/** Main's own port: the admin calls come from worker number 0. */
const MAIN = 0;

/** Its garbage is short-lived, and half as much as a worker's (decision 0023). */
const YOUNG_MB = 24;

/** Opens (and creates) everything under `dataDir`. Rejects with PosternError `store-not-opened`. */
export async function openStore(options: StoreOptions): Promise<StoreHost> {
  mkdirSync(options.dataDir, { recursive: true, mode: 0o700 });
  const { generation, died, ...rest } = options;
  const threadOptions: ThreadOptions = { ...rest, sieve: createSieve(), tide: new SharedArrayBuffer(4) };
  const thread = new Worker(new URL(`./sqlite/thread${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url), {
    workerData: threadOptions,
    name: 'store',
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
  });
  await opened(thread);
  let closing = false;
  thread.on('error', (error: Error) => died(error.message));
  thread.on('exit', (code) => {
    if (!closing) died(`the store thread ended with code ${code}`);
  });
  const connect = (worker: number): MessagePort => {
    const { port1, port2 } = new MessageChannel();
    thread.postMessage({ connect: port1, worker } satisfies ThreadMessage, [port1]);
    return port2;
  };
  const main = connectQueue(connect(MAIN), { memoryBytes: 0 });
  const directory = openDirectory(join(options.dataDir, 'directory.db'), generation);
  const search = openSearch(join(options.dataDir, 'search.db'), join(options.dataDir, 'history.db'));
  const indexing = keepIndexed(search);
  const events = openEventLog(join(options.dataDir, 'history.db'));
  const statistics = openStatistics(join(options.dataDir, 'history.db'));
  const history = openHistoryReader(join(options.dataDir, 'history.db'), search);
  const transport = openTransport(join(options.dataDir, 'transport.db'), { nowMs: () => systemClock.nowMs() });
  return {
    connect,
    workerGone: (worker) => main.call({ verb: 'workerGone', worker }) as Promise<number>,
    admin: queueAdmin(main),
    history,
    events,
    statistics,
    tide: new Int32Array(threadOptions.tide),
    directory,
    transport,
    suppressions: suppressionsOf(main),
    sieve: threadOptions.sieve,
    once: (key) => main.call({ verb: 'once', key }) as Promise<OnceUsed | null>,
    async accept(message) {
      await main.accept(message, { lease: false });
    },
    async flushHistory() {
      await main.call({ verb: 'flush' });
    },
    async close() {
      closing = true;
      directory.close();
      transport.close();
      indexing.stop();
      history.close();
      events.close();
      statistics.close();
      search.close();
      await main.close();
      const closed = new Promise<void>((resolve) => {
        thread.on('message', (notice: ThreadNotice) => 'closed' in notice && resolve());
        thread.once('exit', () => resolve());
      });
      thread.postMessage({ close: true } satisfies ThreadMessage);
      await closed;
      await thread.terminate();
    },
  };
}

/** Checks a data directory that no server uses: SQLite's own integrity check of each database. Returns what it complains of. */
export function checkStore(dataDir: string): string[] {
  return ['queue.db', 'history.db', 'search.db', 'webhook.db', 'directory.db', 'transport.db'].flatMap((name) => {
    const database = openDatabase(join(dataDir, name), [], { synchronous: 'FULL', readOnly: true });
    const rows = database.prepare('PRAGMA integrity_check').all() as { integrity_check: string }[];
    database.close();
    return rows
      .map((row) => row.integrity_check)
      .filter((text) => text !== 'ok')
      .map((text) => `${name}: ${text}`);
  });
}

function opened(thread: Worker): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (text: string): void => {
      reject(new PosternError({ code: 'store-not-opened', cause: text, fix: 'Check that the data directory is writable, on a local disk, and not full.' }));
    };
    thread.once('error', (error: Error) => fail(error.message));
    thread.once('message', (notice: ThreadNotice) => ('failed' in notice ? fail(notice.failed) : resolve()));
  });
}

function queueAdmin(queue: QueueClient): QueueAdmin {
  const verb = (name: 'retry' | 'hold' | 'release' | 'cancel') => (selection: Selection) => queue.call({ verb: name, selection }) as Promise<Changed>;
  return {
    list: (filter) => queue.call({ verb: 'list', filter }) as ReturnType<QueueAdmin['list']>,
    async show(id) {
      const found = (await queue.call({ verb: 'show', id })) as { envelope: string; recipients: never[] } | null;
      return found === null ? null : { envelope: JSON.parse(found.envelope) as Envelope, recipients: found.recipients };
    },
    async read(id) {
      const key = (await queue.call({ verb: 'find', id })) as number | null;
      return key === null ? null : queue.body({ key, envelope: { id } });
    },
    lanes: () => queue.call({ verb: 'lanes' }) as ReturnType<QueueAdmin['lanes']>,
    counts: () => queue.call({ verb: 'counts' }) as ReturnType<QueueAdmin['counts']>,
    retry: verb('retry'),
    hold: verb('hold'),
    release: verb('release'),
    cancel: verb('cancel'),
  };
}
