// The threads that sign for one worker. What is wanted in a turn of the event loop goes to a thread in one message, and comes back in one: a
// message between threads costs as much as it costs to wake somebody up, whatever it carries. While a thread is busy the next batch gathers, so
// that the busier the server, the cheaper a signature. Threads start when they are first needed; one that dies is replaced.

import type { KeyObject } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { Fifo } from '#base/fifo.ts';
import type { Pen, Wanted } from './pen.ts';
import type { Answer, Batch, NewKey } from './signing-thread.ts';

export type SigningThreads = Pen & {
  /** Messages that wait for a thread. */
  readonly waiting: number;
  /** Ends the threads; what they had is rejected. */
  close(): Promise<void>;
};

/** Too many wait. */
export class SigningOverloaded extends Error {
  readonly code = 'signing-overloaded';
}

/** Messages in a batch: 5 ms of a core, so that none waits long for those it came with. */
const BATCH = 16;
/** So many have to wait before one more thread is woken for them. */
const WORTH_WAKING = 4;
/** A thread that has been told so many keys forgets them all, and is told those again that are still in use. */
const KEYS = 1000;
const HEAP_MB = 64;
const STOPS = 'the server stops';

type Job = { readonly wanted: readonly Wanted[]; readonly resolve: (signatures: readonly string[]) => void; readonly reject: (error: Error) => void };

/** `waiting` bounds the messages that wait. `entry` is the file that a thread runs. */
export function openSigningThreads(options: { readonly threads: number; readonly waiting: number; readonly entry?: URL }): SigningThreads {
  const line = new Fifo<Job>();
  const threads = Array.from({ length: options.threads }, () => new SigningThread(options.entry ?? ENTRY, () => hand()));
  let scheduled = false;
  let closed = false;
  const hand = (): void => {
    scheduled = false;
    for (const [i, thread] of threads.entries()) {
      if (closed || line.size < (i === 0 ? 1 : WORTH_WAKING)) return;
      if (!thread.busy) thread.take(Array.from({ length: Math.min(BATCH, line.size) }, () => line.shift() as Job));
    }
  };
  return {
    get waiting() {
      return line.size;
    },
    sign(wanted) {
      return new Promise((resolve, reject) => {
        if (closed) return reject(new Error(STOPS));
        if (line.size >= options.waiting) return reject(new SigningOverloaded(`more than ${options.waiting} messages wait to be signed`));
        line.push({ wanted, resolve, reject });
        if (scheduled) return;
        scheduled = true;
        // Behind the events of this turn, which want signatures too.
        setImmediate(hand);
      });
    },
    async close() {
      closed = true;
      for (const job of line.takeAll()) job.reject(new Error(STOPS));
      await Promise.all(threads.map((thread) => thread.end()));
    },
  };
}

const ENTRY = new URL(`./signing-thread${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url);

class SigningThread {
  readonly #entry: URL;
  readonly #idle: () => void;
  #worker: Worker | null = null;
  #jobs: readonly Job[] = [];
  #numbers = new WeakMap<KeyObject, number>();
  #told = 0;

  /** `idle` is called when it can take the next batch. */
  constructor(entry: URL, idle: () => void) {
    this.#entry = entry;
    this.#idle = idle;
  }

  get busy(): boolean {
    return this.#jobs.length > 0;
  }

  take(jobs: readonly Job[]): void {
    this.#jobs = jobs;
    const forget = this.#told >= KEYS;
    if (forget) this.#forget();
    const keys: NewKey[] = [];
    const wanted = jobs.flatMap((job) => job.wanted);
    const numbers = wanted.map(({ key }) => this.#numberOf(key, keys));
    this.#worker ??= this.#start();
    // Idle, it keeps no process from its end.
    this.#worker.ref();
    this.#worker.postMessage({ forget, keys, numbers, inputs: wanted.map(({ input }) => input) } satisfies Batch);
  }

  async end(): Promise<void> {
    await this.#worker?.terminate();
  }

  #numberOf(key: Wanted['key'], unknown: NewKey[]): number {
    const known = this.#numbers.get(key.privateKey);
    if (known !== undefined) return known;
    const number = this.#told++;
    this.#numbers.set(key.privateKey, number);
    unknown.push({ number, algorithm: key.algorithm, privateKey: key.privateKey });
    return number;
  }

  #forget(): void {
    this.#numbers = new WeakMap();
    this.#told = 0;
  }

  #start(): Worker {
    const worker = new Worker(this.#entry, { name: 'signing', resourceLimits: { maxOldGenerationSizeMb: HEAP_MB } });
    let cause = '';
    worker.on('message', (answer: Answer) => this.#answered(answer));
    worker.on('error', (error: unknown) => (cause = error instanceof Error ? error.message : String(error)));
    worker.on('exit', (code) => {
      this.#worker = null;
      this.#forget();
      const lost = this.#jobs;
      this.#jobs = [];
      for (const job of lost) job.reject(new Error(`a thread that signs ended: ${cause === '' ? `code ${code}` : cause}`));
      this.#idle();
    });
    return worker;
  }

  #answered({ signatures, failed }: Answer): void {
    const jobs = this.#jobs;
    this.#jobs = [];
    this.#worker?.unref();
    let at = 0;
    let failures = 0;
    for (const { wanted, resolve, reject } of jobs) {
      const own = signatures.slice(at, at + wanted.length);
      at += wanted.length;
      const lacking = own.filter((signature) => signature === null).length;
      if (lacking === 0) resolve(own as string[]);
      else reject(new Error(failed[failures] ?? 'a key cannot sign'));
      failures += lacking;
    }
    this.#idle();
  }
}
