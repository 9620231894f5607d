// A lane: the deliveries that share a destination. Owns its line of jobs, its open connections and how many there may be, and its back-off.
// Knows nothing of routes, of the queue's lanes in the store, or of who is told. RFC 5321 4.5.4.1.

import type { Cancel, Clock } from '#base/clock.ts';
import { Fifo } from '#base/fifo.ts';
import type { Counters } from '#base/counters.ts';
import type { Log } from '#base/log.ts';
import type { LaneName, Lease, Outcome } from '#queue/records.ts';
import { backOffMs } from '#queue/schedule.ts';
import type { RetryPolicy } from '#queue/schedule.ts';
import type { ClientFailure } from '#smtp/client.ts';
import { attempt } from './attempt.ts';
import type { AttemptParts, Job } from './attempt.ts';
import type { Connected, Connector, NotConnected } from './connector.ts';
import { outcomeOfFailure, outcomeOfNoConnection } from './outcome.ts';
import type { Settler, Verdict } from './settle.ts';

export type LaneLimits = { readonly concurrencyPerLane: number; readonly messagesPerConnection: number; readonly idleTimeoutMs: number; readonly concurrency: number };

export type LaneParts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
  readonly settler: Settler;
  readonly attempt: AttemptParts;
  readonly schedule: () => RetryPolicy;
  readonly limits: () => LaneLimits;
  readonly random: () => number;
  /** The worker's outbound connections, all lanes together. */
  readonly slots: Slots;
  /** Jobs that are not attempted now; ready again at `nextAtMs`, or at once. */
  readonly giveBack: (jobs: readonly Job[], nextAtMs?: number) => void;
  /** The site is left alone until then. */
  readonly backedOff: (lane: LaneName, untilMs: number) => void;
  /** A job is done, one way or the other. */
  readonly done: (lease: Lease) => void;
};

/** A bound on connections over all lanes of a worker. */
export type Slots = { take(limit: number): boolean; release(): void };

/** So many deferrals in a row, and nothing taken between them, say that the site takes nothing at present. */
const DEFERRALS_IN_A_ROW = 50;
/** While a lane comes back from a back-off one refusal is enough. */
const PROBE_DEFERRALS = 1;
/** More connections are not asked for right after one was refused. */
const GROWTH_PAUSE_MS = 10_000;
/** Settlements that may be under way before the lane waits for the store. */
const MAX_PENDING_SETTLEMENTS = 500;
const FULL = 100;
const FULL_UNPROVEN = 10;
/** How soon a lane looks again whether it may have one connection more. */
const HUNGRY_MS = 250;

const UNUSABLE: ClientFailure = {
  phase: 'ehlo',
  kind: 'protocol',
  reply: null,
  code: 'ERR_UNASKED',
  text: 'the server said more than it was asked, or closed at once',
  possibleDuplicate: false,
};

type Idle = { readonly give: (job: Job | null) => void };

export class Lane {
  readonly name: LaneName;
  connector: Connector;
  readonly #parts: LaneParts;
  readonly #jobs = new Fifo<Job>();
  /** Last in, first out: the others may time out. */
  readonly #idle: Idle[] = [];
  readonly #abort = new AbortController();
  #established = 0;
  #opening = 0;
  #failures = 0;
  #deferrals = 0;
  #probing = false;
  #backOffUntilMs = 0;
  #growthPausedUntilMs = 0;
  #lastOutcome: Outcome | null = null;
  #stopping = false;
  #hungry: Cancel | null = null;

  constructor(connector: Connector, parts: LaneParts) {
    this.name = connector.site;
    this.connector = connector;
    this.#parts = parts;
  }

  /** Has enough in line; one that nobody has answered yet is given little, so that many of them do not use up what may be under way. */
  get full(): boolean {
    return this.#jobs.size >= (this.#established === 0 ? FULL_UNPROVEN : FULL);
  }
  get connections(): number {
    return this.#established + this.#opening;
  }
  get unused(): boolean {
    return this.#jobs.size === 0 && this.connections === 0 && this.#backOffUntilMs <= this.#parts.clock.nowMs();
  }

  /** `due`: the queue holds it due for this very site, whatever the back-off (its time has come, or an operator said so). */
  push(job: Job, options: { due: boolean }): void {
    if (this.#stopping) return this.#return([job]);
    if (options.due) this.#backOffUntilMs = 0;
    else if (this.#backOffUntilMs > this.#parts.clock.nowMs()) return this.#defer(job);
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle.give(job);
    this.#jobs.push(job);
    this.#grow();
  }

  /** Waiting jobs go back, idle connections end; what runs comes to its end. Resolves when all connections are closed. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#hungry?.();
    this.#return(this.#jobs.takeAll());
    for (const idle of this.#idle.splice(0)) idle.give(null);
    while (this.connections > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  }

  /** Ends what still runs. */
  abort(): void {
    this.#abort.abort();
  }

  /** Opens connections as long as jobs wait: one more than are established at a time, so that a site that stalls does not get all of them. */
  #grow(): void {
    const { limits, slots, counters } = this.#parts;
    const { concurrencyPerLane, concurrency } = limits();
    while (!this.#stopping && this.#jobs.size > this.#opening && this.#opening <= this.#established && this.#mayGrow()) {
      if (this.#probing && this.connections > 0) return;
      if (this.connections >= concurrencyPerLane) return;
      const key = `lane:${this.connector.limit}`;
      if (!slots.take(concurrency)) return this.#tryLater();
      if (counters.add(key, 1) > concurrencyPerLane) {
        counters.add(key, -1);
        slots.release();
        return this.#tryLater();
      }
      this.#opening++;
      void this.#open().finally(() => {
        counters.add(key, -1);
        slots.release();
        this.#grow();
      });
    }
  }

  #mayGrow(): boolean {
    if (this.#established === 0) return true;
    if (this.#growthPausedUntilMs <= this.#parts.clock.nowMs()) return true;
    this.#tryLater();
    return false;
  }

  #tryLater(): void {
    if (this.#hungry !== null) return;
    this.#hungry = this.#parts.clock.after(HUNGRY_MS, () => {
      this.#hungry = null;
      this.#grow();
    });
  }

  async #open(): Promise<void> {
    const startedAtMs = this.#parts.clock.nowMs();
    const { connector } = this;
    const result = await connector.connect(this.#abort.signal);
    this.#opening--;
    if (!('client' in result)) return this.#notConnected(connector, result, startedAtMs);
    // It said more than it was asked, or left at once: no connection, or this would go on for ever.
    if (!result.client.usable) {
      result.client.destroy();
      return this.#notConnected(connector, { tried: [{ ...result, failure: UNUSABLE }], permanent: null }, startedAtMs);
    }
    this.#established++;
    try {
      // The site answers: the next one may be opened meanwhile.
      this.#grow();
      await this.#serve(connector, result);
    } finally {
      this.#established--;
    }
  }

  async #serve({ route }: Connector, connected: Connected): Promise<void> {
    const { client } = connected;
    const { messagesPerConnection } = this.#parts.limits();
    for (let served = 0; served < messagesPerConnection && client.usable; served++) {
      const job = this.#jobs.shift() ?? (await this.#nextJob());
      if (job === null) break;
      if (!client.usable) {
        this.#jobs.unshift(job);
        break;
      }
      await this.#run(connected, { route, job, reused: served > 0 });
    }
    if (client.usable) await client.quit();
    else client.destroy();
  }

  /** The next job, or null when none came in time. */
  #nextJob(): Promise<Job | null> {
    if (this.#stopping) return Promise.resolve(null);
    return new Promise((resolve) => {
      const idle: Idle = {
        give: (job) => {
          cancel();
          resolve(job);
        },
      };
      const cancel = this.#parts.clock.after(this.#parts.limits().idleTimeoutMs, () => {
        const at = this.#idle.indexOf(idle);
        if (at !== -1) this.#idle.splice(at, 1);
        resolve(null);
      });
      this.#idle.push(idle);
    });
  }

  async #run(connected: Connected, { route, job, reused }: { route: string; job: Job; reused: boolean }): Promise<void> {
    const startedAtMs = this.#parts.clock.nowMs();
    const { verdicts, untouched, broken } = await attempt(this.#parts.attempt, connected, route, job);
    const settled = [...verdicts];
    let again = false;
    if (broken !== null && untouched.length > 0) {
      if (broken.kind === 'aborted' && this.#stopping) this.#parts.giveBack([{ ...job, recipients: untouched }]);
      else if (reused && !job.requeued) {
        again = true;
        this.#jobs.unshift({ lease: job.lease, recipients: untouched, requeued: true });
      } else {
        const outcome = outcomeOfFailure(
          {
            route,
            host: connected.host,
            address: connected.address,
            port: connected.port,
            tls: connected.tls,
            security: connected.security,
            startedAtMs,
            durationMs: this.#parts.clock.nowMs() - startedAtMs,
          },
          broken,
        );
        settled.push(...untouched.map((recipient) => ({ recipient, outcome, dsn: 'none' as const })));
      }
    }
    this.#judge(settled);
    const { settler, done } = this.#parts;
    const settling = settler.settle(job.lease, this.name, settled).then(() => {
      if (!again) done(job.lease);
    });
    if (settler.pending > MAX_PENDING_SETTLEMENTS) await settling;
  }

  /** One success says the site takes mail; many deferrals without one that it does not. */
  #judge(verdicts: readonly Verdict[]): void {
    if (verdicts.length === 0) return;
    if (verdicts.some(({ outcome }) => outcome.verdict === 'delivered')) {
      this.#deferrals = 0;
      this.#failures = 0;
      if (this.#probing) {
        this.#probing = false;
        this.#grow();
      }
      return;
    }
    const deferred = verdicts.find(({ outcome }) => outcome.verdict === 'deferred');
    if (deferred === undefined) return;
    this.#lastOutcome = deferred.outcome;
    if (++this.#deferrals < (this.#probing ? PROBE_DEFERRALS : DEFERRALS_IN_A_ROW)) return;
    this.#backOff('it took nothing of the last messages');
    this.#return(this.#jobs.takeAll(), this.#backOffUntilMs);
  }

  /** No candidate answered. With connections still open the jobs wait for those; else all of them are deferred. */
  #notConnected({ route }: Connector, result: NotConnected, startedAtMs: number): void {
    const { clock } = this.#parts;
    if (this.#abort.signal.aborted) return this.#return(this.#jobs.takeAll());
    this.#growthPausedUntilMs = clock.nowMs() + GROWTH_PAUSE_MS;
    if (this.#established > 0) return;
    const outcome = outcomeOfNoConnection({ route, host: null, address: null, port: null, tls: null, startedAtMs, durationMs: clock.nowMs() - startedAtMs }, result);
    this.#lastOutcome = outcome;
    const jobs = this.#jobs.takeAll();
    if (outcome.verdict === 'deferred') this.#backOff(outcome.cause);
    for (const job of jobs) this.#settleAll(job, outcome);
  }

  #backOff(cause: string): void {
    const { clock, log, schedule, random, backedOff } = this.#parts;
    this.#failures++;
    this.#deferrals = 0;
    this.#probing = true;
    this.#backOffUntilMs = clock.nowMs() + backOffMs(schedule(), this.#failures, random());
    backedOff(this.name, this.#backOffUntilMs);
    log.warn('lane.backed-off', {
      lane: this.name,
      until: new Date(this.#backOffUntilMs).toISOString(),
      times: this.#failures,
      cause,
      fix: 'It is tried again by itself; postern queue retry --lane tries at once.',
    });
  }

  /** A message that comes while the site is left alone: told why at its first time, put aside after that. */
  #defer(job: Job): void {
    const outcome = this.#lastOutcome;
    if (outcome === null || job.recipients.some((recipient) => recipient.lastOutcome !== null)) return this.#return([job], this.#backOffUntilMs);
    this.#settleAll(job, { ...outcome, startedAtMs: this.#parts.clock.nowMs(), durationMs: 0 });
  }

  #settleAll(job: Job, outcome: Outcome): void {
    const notBeforeMs = this.#backOffUntilMs;
    const verdicts = job.recipients.map((recipient) => ({ recipient, outcome, dsn: 'none' as const, notBeforeMs }));
    void this.#parts.settler.settle(job.lease, this.name, verdicts).then(() => this.#parts.done(job.lease));
  }

  #return(jobs: readonly Job[], nextAtMs?: number): void {
    if (jobs.length === 0) return;
    this.#parts.giveBack(jobs, nextAtMs);
    for (const { lease } of jobs) this.#parts.done(lease);
  }
}
