// One worker thread as main sees it: started, asked, ended. Owns the thread and the questions under way; decides nothing.

import { Worker } from 'node:worker_threads';
import type { Asks, FromWorker, ToWorker, Verb, WorkerStart } from './worker-protocol.ts';

/** A worker's refusal of a request, with the system's error code. */
export class WorkerRefusal extends Error {
  readonly code: string;
  constructor(code: string, text: string) {
    super(text);
    this.name = 'WorkerRefusal';
    this.code = code;
  }
}

/** What is made for one message should be gone before it is looked for the second time, and never become old (decision 0023). */
const YOUNG_MB = 48;
/** A runaway heap ends the worker, not the machine; bodies are outside of it and have their own budgets. */
const HEAP_MB = 1024;
const START_MS = 30_000;

type Waiting = { readonly resolve: (value: never) => void; readonly reject: (error: Error) => void; readonly timer: NodeJS.Timeout };

export class WorkerHandle {
  readonly #thread: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #next = 1;
  #ended = false;
  #lastError = '';

  /** `ended` is called once, with the cause, when the thread is gone; `used` with the credentials it tells of. */
  constructor(entry: URL, start: WorkerStart, tell: { readonly ended: (cause: string) => void; readonly used: (names: readonly string[]) => void }) {
    this.#thread = new Worker(entry, {
      workerData: start,
      transferList: [start.store],
      name: `worker-${start.number}`,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB, maxYoungGenerationSizeMb: YOUNG_MB },
    });
    this.#thread.on('message', (message: FromWorker) => {
      if ('used' in message) tell.used(message.used);
      else this.#answered(message);
    });
    this.#thread.on('error', (error: unknown) => (this.#lastError = error instanceof Error ? (error.stack ?? error.message) : String(error)));
    this.#thread.on('exit', (code) => {
      this.#ended = true;
      const cause = this.#lastError === '' ? `it ended with code ${code}` : this.#lastError;
      for (const q of this.#waiting.keys()) this.#settle(q)?.reject(new WorkerRefusal('worker-ended', cause));
      tell.ended(cause);
    });
  }

  /** Resolves once the worker has opened everything but its listeners. */
  opened(): Promise<void> {
    return this.#wait(0, START_MS) as Promise<void>;
  }

  /** Asks; rejects with WorkerRefusal: the worker's own, `worker-timeout`, or `worker-ended`. */
  ask<V extends Verb>(verb: V, ask: Asks[V]['ask'], withinMs: number, transfer: readonly ArrayBuffer[] = []): Promise<Asks[V]['answer']> {
    const q = this.#next++;
    const answer = this.#wait(q, withinMs) as Promise<Asks[V]['answer']>;
    if (!this.#ended) this.#thread.postMessage({ q, verb, ask } as ToWorker, transfer as ArrayBuffer[]);
    return answer;
  }

  async terminate(): Promise<void> {
    await this.#thread.terminate();
  }

  #wait(q: number, withinMs: number): Promise<unknown> {
    if (this.#ended) return Promise.reject(new WorkerRefusal('worker-ended', 'the worker has ended'));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#settle(q)?.reject(new WorkerRefusal('worker-timeout', `the worker did not answer within ${withinMs} ms`)), withinMs);
      this.#waiting.set(q, { resolve, reject, timer });
    });
  }

  #answered(message: Exclude<FromWorker, { used: unknown }>): void {
    if ('opened' in message) this.#settle(0)?.resolve(undefined as never);
    else if ('value' in message) this.#settle(message.q)?.resolve(message.value as never);
    else this.#settle(message.q)?.reject(new WorkerRefusal(message.error.code, message.error.text));
  }

  #settle(q: number): Waiting | undefined {
    const waiting = this.#waiting.get(q);
    this.#waiting.delete(q);
    clearTimeout(waiting?.timer);
    return waiting;
  }
}
