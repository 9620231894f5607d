// A lane: the deliveries that share a destination. Owns its line of jobs and its open connections; how hard the site may be pushed is its
// pace. Knows nothing of routes, of the queue's lanes in the store, or of who is told. RFC 5321 4.5.4.1, 5.1.

import type { Cancel, Clock } from '#base/clock.ts';
import { Fifo } from '#base/fifo.ts';
import type { Log } from '#base/log.ts';
import type { LaneName, Lease, Outcome } from '#queue/records.ts';
import type { RetryPolicy } from '#queue/schedule.ts';
import type { ClientFailure } from '#smtp/client.ts';
import { attempt } from './attempt.ts';
import type { AttemptParts, Job } from './attempt.ts';
import type { Connected, Connector, NotConnected } from './connector.ts';
import type { HostAddress, HostMemory } from './hosts.ts';
import { mayGoElsewhere, outcomeOfFailure, outcomeOfNoConnection } from './outcome.ts';
import type { Attempt } from './outcome.ts';
import { Pace } from './pace.ts';
import type { Places } from './places.ts';
import type { Settler, Verdict } from './settle.ts';

export type LaneLimits = { readonly concurrencyPerLane: number; readonly messagesPerConnection: number; readonly idleTimeoutMs: number; readonly concurrency: number };

export type LaneParts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly places: Places;
  readonly settler: Settler;
  readonly attempt: AttemptParts;
  readonly schedule: () => RetryPolicy;
  readonly limits: () => LaneLimits;
  readonly random: () => number;
  readonly hosts: HostMemory;
  /** Jobs that are not attempted now; ready again at `nextAtMs`, or at once. */
  readonly giveBack: (jobs: readonly Job[], nextAtMs?: number) => void;
  /** The site is left alone until then. */
  readonly backedOff: (lane: LaneName, untilMs: number) => void;
  /** The number of the last pull that was asked for. */
  readonly lastPull: () => number;
  /** A job is done, one way or the other. */
  readonly done: (lease: Lease) => void;
};

/** Settlements that may be under way before the lane waits for the store. */
const MAX_PENDING_SETTLEMENTS = 500;
const FULL = 100;
const FULL_UNPROVEN = 10;
/** How soon a lane looks again whether it may have one connection more. */
const HUNGRY_MS = 250;
const STOP_POLL_MS = 10;

const UNUSABLE: ClientFailure = {
  phase: 'ehlo',
  kind: 'protocol',
  reply: null,
  code: 'ERR_UNASKED',
  text: 'the server said more than it was asked, or closed at once',
  possibleDuplicate: false,
};

type Idle = { readonly give: (job: Job | null) => void };
/** Hosts of the site that did not take a job, by their address, with what they said. */
type Before = ReadonlyMap<string, { readonly host: HostAddress; readonly text: string }>;
/** A job on an open connection. */
type Run = { readonly connector: Connector; readonly job: Job; readonly reused: boolean; readonly before: Before };
/** What one host of a site did not take for now, on its way to the others; `verdicts` hold if there are none. */
type Elsewhere = { readonly connector: Connector; readonly job: Job; readonly verdicts: readonly Verdict[]; readonly before: Before };

const NOWHERE: Before = new Map();

export class Lane {
  readonly name: LaneName;
  connector: Connector;
  readonly #parts: LaneParts;
  readonly #pace: Pace;
  readonly #jobs = new Fifo<Job>();
  /** Last in, first out: the others may time out. */
  readonly #idle: Idle[] = [];
  readonly #abort = new AbortController();
  #established = 0;
  #opening = 0;
  #running = 0;
  #lastOutcome: Outcome | null = null;
  /** Pulls up to this one were asked for before the site was left alone. */
  #pullAtBackOff = 0;
  #stopping = false;
  #hungry: Cancel | null = null;

  constructor(connector: Connector, parts: LaneParts) {
    this.name = connector.site;
    this.connector = connector;
    this.#parts = parts;
    this.#pace = new Pace(parts);
  }

  /** Has enough in line; one that nobody has answered yet is given little, so that many of them do not use up what may be under way. */
  get full(): boolean {
    return this.#jobs.size >= (this.#established === 0 ? FULL_UNPROVEN : FULL);
  }
  get connections(): number {
    return this.#established + this.#opening;
  }
  get unused(): boolean {
    return this.#jobs.size === 0 && this.connections === 0 && !this.#pace.backedOff;
  }

  /**
   * Takes a job. `pull`: the number of the pull that brought it because this very site was due for it, if one did: when it was asked for after
   * the back-off began, the back-off is over (its time has come, or an operator said so).
   */
  push(job: Job, options: { pull: number | null }): void {
    if (this.#stopping) return this.#return([job]);
    if (options.pull !== null && options.pull > this.#pullAtBackOff) this.#pace.resume();
    if (this.#pace.backedOff) return this.#defer(job);
    this.#jobs.push(job);
    this.#feed();
  }

  /** Takes back what waits in line, not what runs. */
  takeWaiting(): Job[] {
    return this.#jobs.takeAll();
  }

  /** Waiting jobs go back, idle connections end; what runs comes to its end. Resolves when all connections are closed. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#hungry?.();
    this.#return(this.#jobs.takeAll());
    for (const idle of this.#idle.splice(0)) idle.give(null);
    while (this.connections > 0) await new Promise((resolve) => setTimeout(resolve, STOP_POLL_MS));
  }

  /** Ends what still runs. */
  abort(): void {
    this.#abort.abort();
  }

  /** Gives jobs to connections that wait for them, and opens more when there are not enough. */
  #feed(): void {
    while (this.#jobs.size > 0 && this.#mayRun()) {
      const idle = this.#idle.pop();
      if (idle === undefined) break;
      idle.give(this.#jobs.shift() ?? null);
    }
    this.#grow();
  }

  /** After a back-off one job is tried alone. */
  #mayRun(): boolean {
    return !this.#pace.probing || this.#running === 0;
  }

  /** Opens connections as long as jobs wait: one more than are established at a time, so that a site that stalls does not get all of them. */
  #grow(): void {
    while (!this.#stopping && this.#jobs.size > this.#opening && this.#opening <= this.#established) {
      if (this.#pace.probing && this.connections > 0) return;
      if (this.#established > 0 && this.#pace.growthPaused) return this.#tryLater();
      if (!this.#takePlace()) return;
      void this.#open();
    }
  }

  /** One connection more, if all limits allow it; looks again later if not. */
  #takePlace(): boolean {
    const { concurrencyPerLane: perSite, concurrency: perWorker } = this.#parts.limits();
    if (this.connections >= this.#pace.connections(perSite)) return false;
    if (!this.#parts.places.take(this.connector.limit, { perSite, perWorker })) {
      this.#tryLater();
      return false;
    }
    this.#opening++;
    return true;
  }

  #leavePlace(): void {
    this.#parts.places.leave(this.connector.limit);
    this.#grow();
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
    const connected = usable(await connector.connect(this.#abort.signal));
    this.#opening--;
    if ('client' in connected) return this.#go(await this.#serve(connector, connected));
    this.#notConnected(connector, connected, startedAtMs);
    this.#leavePlace();
  }

  /** Runs one job at a host that did not have it yet; when there is none, what was said before holds. */
  async #openElsewhere({ connector, job, verdicts, before }: Elsewhere): Promise<void> {
    const connected = usable(await connector.connect(this.#abort.signal, before));
    this.#opening--;
    if ('client' in connected) return this.#go(await this.#serve(connector, connected, { connector, job, reused: false, before }));
    this.#judge(verdicts);
    void this.#parts.settler.settle(job.lease, this.name, verdicts).then(() => this.#parts.done(job.lease));
    this.#leavePlace();
  }

  /** A connection has ended: its place goes to what it could not do, if there is something. */
  #go(elsewhere: Elsewhere | null): void {
    if (elsewhere === null) return this.#leavePlace();
    this.#opening++;
    void this.#openElsewhere(elsewhere);
  }

  /** Runs `first` and then what waits, until the connection ends. Returns what has to go to another host in its place. */
  async #serve(connector: Connector, connected: Connected, first?: Run): Promise<Elsewhere | null> {
    const { client } = connected;
    this.#established++;
    let elsewhere: Elsewhere | null = null;
    let run = first ?? null;
    for (let served = 0; client.usable; served++) {
      if (run === null) {
        if (served >= this.#parts.limits().messagesPerConnection || this.#superfluous(connector, connected)) break;
        const job = (this.#mayRun() ? this.#jobs.shift() : undefined) ?? (await this.#nextJob());
        if (job === null) break;
        if (!client.usable) {
          this.#jobs.unshift(job);
          break;
        }
        run = { connector, job, reused: served > 0, before: NOWHERE };
      }
      // The site answers: the next one may be opened meanwhile, if there is more to do than this.
      if (served === 0) this.#grow();
      elsewhere = await this.#run(connected, run);
      if (elsewhere !== null) break;
      run = null;
    }
    if (client.usable) await client.quit();
    else client.destroy();
    this.#established--;
    return elsewhere;
  }

  /** There are more connections than the site bears, or another host of it does better. */
  #superfluous({ several }: Connector, connected: Connected): boolean {
    const at = addressOf(connected);
    return this.#established > this.#pace.connections(this.#parts.limits().concurrencyPerLane) || (several && at !== null && this.#parts.hosts.isAvoided(at));
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

  /** One job. Returns what has to go to another host, when there is no other place for that than this connection's. */
  async #run(connected: Connected, run: Run): Promise<Elsewhere | null> {
    const { job, reused, connector } = run;
    const startedAtMs = this.#parts.clock.nowMs();
    this.#running++;
    const { verdicts, untouched, broken } = await attempt(this.#parts.attempt, connected, connector.route, job);
    this.#running--;
    const all = [...verdicts];
    let open = false;
    if (broken !== null && untouched.length > 0) {
      if (broken.kind === 'aborted' && this.#stopping) this.#parts.giveBack([{ ...job, recipients: untouched }]);
      else if (reused && !job.requeued) {
        open = true;
        this.#jobs.unshift({ lease: job.lease, recipients: untouched, requeued: true });
      } else {
        const outcome = outcomeOfFailure({ ...placeOf(connector, connected), startedAtMs, durationMs: this.#parts.clock.nowMs() - startedAtMs }, broken);
        all.push(...untouched.map((recipient) => ({ recipient, outcome, dsn: 'none' as const })));
      }
    }
    const elsewhere = this.#elsewhere(connected, run, all);
    const kept = elsewhere === null ? all : all.filter((verdict) => !elsewhere.verdicts.includes(verdict));
    this.#judge(kept, { connected, before: run.before });
    const { settler, done } = this.#parts;
    const settling = settler.settle(job.lease, this.name, kept).then(() => {
      if (!open && elsewhere === null) done(job.lease);
    });
    if (settler.pending > MAX_PENDING_SETTLEMENTS) await settling;
    if (elsewhere === null || !this.#takePlace()) return elsewhere;
    void this.#openElsewhere(elsewhere);
    return null;
  }

  /** What another host of the site may take goes there at once (RFC 5321 5.1). */
  #elsewhere(connected: Connected, { connector, job, before }: Run, verdicts: readonly Verdict[]): Elsewhere | null {
    const at = addressOf(connected);
    if (!connector.several || at === null || this.#stopping || this.#pace.backedOff) return null;
    const going = verdicts.filter(({ outcome }) => mayGoElsewhere(outcome));
    const [first] = going;
    if (first === undefined) return null;
    if (first.outcome.scope === 'host') this.#parts.hosts.avoid(at, first.outcome.text);
    return {
      connector,
      job: { ...job, recipients: going.map(({ recipient }) => recipient) },
      verdicts: going,
      before: new Map([...before, [at.address, { host: at, text: first.outcome.text }]]),
    };
  }

  /** One success says the site takes mail; many deferrals without one that it does not. */
  #judge(verdicts: readonly Verdict[], by?: { readonly connected: Connected; readonly before: Before }): void {
    if (verdicts.length === 0) return;
    if (verdicts.some(({ outcome }) => outcome.verdict === 'delivered')) {
      const { hosts } = this.#parts;
      const at = by === undefined ? null : addressOf(by.connected);
      if (at !== null) hosts.worked(at);
      for (const { host, text } of by?.before.values() ?? []) hosts.missed(host, text);
      if (this.#pace.taken()) this.#feed();
      return;
    }
    const deferred = verdicts.find(({ outcome }) => outcome.verdict === 'deferred');
    if (deferred === undefined) return;
    this.#lastOutcome = deferred.outcome;
    if (!this.#pace.deferred(deferred.outcome, this.#established)) return;
    this.#backOff('it took nothing of the last messages');
    this.#return(this.#jobs.takeAll(), this.#pace.backOffUntilMs);
  }

  /** No candidate answered. With connections still open the jobs wait for those; else all of them are deferred. */
  #notConnected({ route }: Connector, result: NotConnected, startedAtMs: number): void {
    const { clock } = this.#parts;
    if (this.#abort.signal.aborted) return this.#return(this.#jobs.takeAll());
    this.#pace.pauseGrowth();
    if (this.#established > 0) return;
    const outcome = outcomeOfNoConnection({ route, host: null, address: null, port: null, tls: null, startedAtMs, durationMs: clock.nowMs() - startedAtMs }, result);
    this.#lastOutcome = outcome;
    const jobs = this.#jobs.takeAll();
    if (outcome.verdict === 'deferred') this.#backOff(outcome.cause);
    for (const job of jobs) this.#settleAll(job, outcome);
  }

  #backOff(cause: string): void {
    const { log, backedOff, lastPull } = this.#parts;
    const untilMs = this.#pace.backOff();
    this.#pullAtBackOff = lastPull();
    backedOff(this.name, untilMs);
    log.warn('lane.backed-off', {
      lane: this.name,
      until: new Date(untilMs).toISOString(),
      times: this.#pace.failures,
      cause,
      fix: 'It is tried again by itself; postern queue retry --lane tries at once.',
    });
  }

  /** A message that comes while the site is left alone: told why at its first time, put aside after that. */
  #defer(job: Job): void {
    const outcome = this.#lastOutcome;
    if (outcome === null || job.recipients.some((recipient) => recipient.lastOutcome !== null)) return this.#return([job], this.#pace.backOffUntilMs);
    this.#settleAll(job, { ...outcome, startedAtMs: this.#parts.clock.nowMs(), durationMs: 0 });
  }

  #settleAll(job: Job, outcome: Outcome): void {
    const notBeforeMs = this.#pace.backOffUntilMs;
    const verdicts = job.recipients.map((recipient) => ({ recipient, outcome, dsn: 'none' as const, notBeforeMs }));
    void this.#parts.settler.settle(job.lease, this.name, verdicts).then(() => this.#parts.done(job.lease));
  }

  #return(jobs: readonly Job[], nextAtMs?: number): void {
    if (jobs.length === 0) return;
    this.#parts.giveBack(jobs, nextAtMs);
    for (const { lease } of jobs) this.#parts.done(lease);
  }
}

/** One that said more than it was asked, or left at once, is no connection, or this would go on for ever. */
function usable(result: Connected | NotConnected): Connected | NotConnected {
  if (!('client' in result) || result.client.usable) return result;
  result.client.destroy();
  const { host, address, port } = result;
  return { tried: [{ host, address, port, failure: UNUSABLE }], permanent: null };
}

function addressOf({ host, address, port }: Connected): HostAddress | null {
  return address === null || port === null ? null : { host, address, port };
}

function placeOf({ route }: Connector, { host, address, port, tls, security }: Connected): Omit<Attempt, 'startedAtMs' | 'durationMs'> {
  return { route, host, address, port, tls, security };
}
