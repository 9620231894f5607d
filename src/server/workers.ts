// The supervisor: keeps the configured number of worker threads alive. One that dies, or no longer answers, is replaced; what it held
// (leases, counts) is given back first.

import type { Clock } from '#base/clock.ts';
import { sleep } from '#base/clock.ts';
import { PosternError, errorText } from '#base/failure.ts';
import type { Log } from '#base/log.ts';
import type { Config, ListenerConfig } from '#config/config.ts';
import { Metrics } from '#events/metrics.ts';
import type { MetricsSnapshot } from '#events/metrics.ts';
import type { Submission, Submitted } from '#intake/submission.ts';
import type { ChallengeCertificate } from '#tls/acme/tls-alpn-01.ts';
import { assertFree, bindListeners } from './binding.ts';
import type { BoundListener } from './binding.ts';
import { Handing } from './handing.ts';
import { WorkerHandle, WorkerRefusal } from './worker-handle.ts';
import type { WorkerStart } from './worker-protocol.ts';

export type WorkersOptions = {
  readonly count: number;
  /** The file that a worker thread runs. */
  readonly entry: URL;
  readonly clock: Clock;
  readonly log: Log;
  /** What worker number n (from 1) is started with; called again for each replacement. */
  readonly startOf: (n: number, config: Config) => WorkerStart;
  /** What they start with; a reload puts another in its place, for those that come later too. */
  readonly config: Config;
  /** Gives back what a dead worker held. */
  readonly gone: (n: number) => Promise<void>;
  /** Told now and then which credentials were used. */
  readonly used: (names: readonly string[]) => void;
};

const LISTEN_MS = 10_000;
const RELOAD_MS = 30_000;
const METRICS_MS = 1_000;
const SUBMIT_MS = 60_000;
/** A worker whose event loop answers nothing for so long is stuck. */
const PULSE_EVERY_MS = 5_000;
const PULSE_MS = 60_000;
const FIRST_BACK_OFF_MS = 500;
const MAX_BACK_OFF_MS = 30_000;
/** A worker that lived this long starts the back-off afresh. */
const STEADY_MS = 60_000;
/** Beyond the drain's own deadline, for the answer to come back. */
const GRACE_MS = 5_000;

type Slot = {
  readonly n: number;
  handle: WorkerHandle | null;
  failures: number;
  startedAtMs: number;
  last: MetricsSnapshot | null;
  /** Messages on their way to it. */ readonly handing: Handing;
};

export class Workers {
  readonly #options: WorkersOptions;
  readonly #slots: Slot[];
  /** Counters of workers that are gone. */
  readonly #past = new Metrics();
  #config: Config;
  #listeners: readonly BoundListener[] = [];
  #ending = false;
  #pulse: NodeJS.Timeout | null = null;
  #pulsing = false;

  constructor(options: WorkersOptions) {
    this.#options = options;
    this.#config = options.config;
    this.#slots = Array.from({ length: options.count }, (_, i) => ({ n: i + 1, handle: null, failures: 0, startedAtMs: 0, last: null, handing: new Handing() }));
  }

  /** Starts all workers and binds the listeners: the first worker finds the ports, the others share them. Rejects with PosternError. */
  async start(configs: readonly ListenerConfig[], options: { readonly defaults: boolean }): Promise<readonly BoundListener[]> {
    const handles = await Promise.all(this.#slots.map((slot) => this.#open(slot))).catch((error: unknown) => {
      throw new PosternError(
        { code: 'worker-not-started', cause: `A worker thread did not start: ${errorText(error)}.`, fix: 'If the text does not help, report it with the log.' },
        { cause: error },
      );
    });
    const [first, ...others] = handles;
    if (first === undefined) return [];
    const listen = async (listener: ListenerConfig): Promise<{ address: string; port: number }> => {
      if (this.#shared) await assertFree(listener);
      return first.ask('listen', { listener, reusePort: this.#shared }, LISTEN_MS);
    };
    this.#listeners = await bindListeners(configs, { defaults: options.defaults, listen });
    await Promise.all(others.map((handle) => this.#listen(handle)));
    this.#pulse = setInterval(() => void this.#takePulses(), PULSE_EVERY_MS);
    this.#pulse.unref();
    return this.#listeners;
  }

  /** How many workers are there to answer. */
  get alive(): number {
    return this.#slots.filter((slot) => slot.handle !== null).length;
  }

  async reload(config: Config): Promise<void> {
    this.#config = config;
    await Promise.all(this.#handles().map((handle) => handle.ask('reload', { config }, RELOAD_MS)));
  }

  /** Every worker reads the certificates again; connections keep what they have. */
  async reloadCertificates(): Promise<void> {
    await Promise.all(this.#handles().map((handle) => handle.ask('certificates', null, RELOAD_MS)));
  }

  /** What the listeners show to an authority that verifies by TLS-ALPN-01. */
  async challenge(certificates: readonly ChallengeCertificate[]): Promise<void> {
    await Promise.all(this.#handles().map((handle) => handle.ask('challenges', { certificates }, RELOAD_MS)));
  }

  /** Hands a message over to the worker that has the fewest of them; its content is the worker's from then on. Rejects with WorkerRefusal. */
  submit(submission: Submission): Promise<Submitted> {
    const [first, ...others] = this.#ending ? [] : this.#slots.filter(({ handle }) => handle !== null);
    if (first === undefined) return Promise.reject(new WorkerRefusal('no-worker', 'no worker is there to take it'));
    const slot = others.reduce((least, one) => (one.handing.under < least.handing.under ? one : least), first);
    return slot.handing.add(submission, (submissions, transfer) => {
      const { handle } = slot;
      if (handle === null) return Promise.reject(new WorkerRefusal('worker-ended', 'the worker has ended'));
      return handle.ask('submit', { submissions }, SUBMIT_MS, transfer);
    });
  }

  /** Adds every worker's metrics, and those of workers that are gone, to `metrics`. A worker that does not answer tells its last ones. */
  async collect(metrics: Metrics): Promise<void> {
    await Promise.all(this.#slots.map((slot) => this.#look(slot, METRICS_MS)));
    metrics.merge(this.#past.snapshot());
    for (const slot of this.#slots) if (slot.last !== null) metrics.merge(slot.last);
  }

  /** No new connections; what runs comes to its end, at most `withinMs`. Then the threads end. */
  async drain(withinMs: number): Promise<void> {
    this.#ending = true;
    if (this.#pulse !== null) clearInterval(this.#pulse);
    const ended = this.#handles().map((handle) =>
      handle.ask('drain', { withinMs }, withinMs + GRACE_MS).catch((error: unknown) => this.#options.log.warn('worker.not-drained', { cause: errorText(error) })),
    );
    await Promise.all(ended);
    await this.terminate();
  }

  async terminate(): Promise<void> {
    this.#ending = true;
    if (this.#pulse !== null) clearInterval(this.#pulse);
    await Promise.all(this.#handles().map((handle) => handle.terminate()));
  }

  get #shared(): boolean {
    return this.#options.count > 1;
  }

  #handles(): WorkerHandle[] {
    return this.#slots.flatMap((slot) => (slot.handle === null ? [] : [slot.handle]));
  }

  async #open(slot: Slot): Promise<WorkerHandle> {
    const handle = new WorkerHandle(this.#options.entry, this.#options.startOf(slot.n, this.#config), {
      ended: (cause) => this.#ended(slot, handle, cause),
      used: this.#options.used,
    });
    slot.handle = handle;
    slot.startedAtMs = this.#options.clock.nowMs();
    await handle.opened();
    return handle;
  }

  async #listen(handle: WorkerHandle): Promise<void> {
    for (const { config } of this.#listeners) await handle.ask('listen', { listener: config, reusePort: this.#shared }, LISTEN_MS);
  }

  #ended(slot: Slot, handle: WorkerHandle, cause: string): void {
    if (slot.handle === handle) slot.handle = null;
    if (slot.last !== null) this.#past.mergeLasting(slot.last);
    slot.last = null;
    // Before the first start is over, a death is the start's failure.
    if (this.#ending || this.#listeners.length === 0) return;
    const { log, clock } = this.#options;
    this.#past.add('postern_worker_restarts_total', []);
    slot.failures = clock.nowMs() - slot.startedAtMs > STEADY_MS ? 1 : slot.failures + 1;
    log.error('worker.died', {
      worker: slot.n,
      cause,
      failure: {
        code: 'worker-died',
        cause: 'A worker thread ended unexpectedly; its connections are lost, accepted mail is not.',
        fix: 'It is replaced. Report the cause if it comes again.',
      },
    });
    void this.#replace(slot);
  }

  async #replace(slot: Slot): Promise<void> {
    const { log, clock, gone } = this.#options;
    try {
      await gone(slot.n);
      await sleep(clock, Math.min(MAX_BACK_OFF_MS, FIRST_BACK_OFF_MS * 2 ** (slot.failures - 1)));
      if (this.#ending) return;
      await this.#listen(await this.#open(slot));
      log.info('worker.replaced', { worker: slot.n });
    } catch (error) {
      log.error('worker.not-replaced', { worker: slot.n, cause: errorText(error) });
      // A thread that opened but could not listen must not live on half.
      await slot.handle?.terminate();
    }
  }

  async #takePulses(): Promise<void> {
    if (this.#pulsing) return;
    this.#pulsing = true;
    await Promise.all(this.#slots.map((slot) => this.#look(slot, PULSE_MS)));
    this.#pulsing = false;
  }

  async #look(slot: Slot, withinMs: number): Promise<void> {
    const { handle } = slot;
    if (handle === null) return;
    try {
      const snapshot = await handle.ask('metrics', null, withinMs);
      if (slot.handle === handle) slot.last = snapshot;
    } catch {
      if (withinMs < PULSE_MS || slot.handle !== handle || this.#ending) return;
      this.#options.log.error('worker.stuck', { worker: slot.n, cause: `its event loop did not answer for ${PULSE_MS / 1000} seconds` });
      await handle.terminate();
    }
  }
}
