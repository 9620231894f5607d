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
import type { Connected, Connector, Hop, NotConnected, Refusal } from './connector.ts';
import { NOWHERE, addressOf, elsewhereOf } from './elsewhere.ts';
import type { Before, Elsewhere } from './elsewhere.ts';
import type { HostMemory } from './hosts.ts';
import { outcomeOfFailure, outcomeOfNoConnection } from './outcome.ts';
import type { Attempt } from './outcome.ts';
import { Pace } from './pace.ts';
import type { Place, Places } from './places.ts';
import type { Settler, Verdict } from './settle.ts';
import type { TranscriptLog } from './transcript-log.ts';

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
  readonly transcripts: TranscriptLog;
  /** Jobs that are not attempted now; ready again at `nextAtMs`, or at once. */
  readonly giveBack: (lane: LaneName, jobs: readonly Job[], nextAtMs?: number) => void;
  /** The site is left alone until then. */
  readonly backedOff: (lane: LaneName, untilMs: number, cause: string) => void;
  /** An operator wants it back. */
  readonly isRecalled: (lease: Lease) => boolean;
  /** The number of the last pull that was asked for. */
  readonly lastPull: () => number;
  /** A job is done, one way or the other. */
  readonly done: (lease: Lease) => void;
};

/** Settlements that may be under way before the lane waits for the store. */
const MAX_PENDING_SETTLEMENTS = 500;
/** How soon a lane looks again whether it may have one connection more. */
const HUNGRY_MS = 250;
/** Jobs whose domains are told whom a new connection is for. */
const MAX_TOLD = 200;
const STOP_POLL_MS = 10;

const UNUSABLE: ClientFailure = {
  phase: 'ehlo',
  kind: 'protocol',
  reply: null,
  code: 'ERR_UNASKED',
  text: 'the server said more than it was asked, or closed at once',
  possibleDuplicate: false,
};

/** Places are short, and this one's site had not answered for long. */
const CROWDED: Refusal = {
  verdict: 'deferred',
  code: 451,
  enhanced: '4.4.1',
  text: 'No answer in time',
  class: 'timeout',
  cause: 'The site had not answered for a while, and other sites waited for a connection.',
  fix: 'It is tried again by itself; if all of delivery.connections are in use for long, allow more of them.',
};

type Idle = { readonly give: (job: Job | null) => void };
/** A job on an open connection. */
type Run = { readonly connector: Connector; readonly job: Job; readonly reused: boolean; readonly before: Before };
export class Lane {
  readonly name: LaneName;
  #connector: Connector;
  readonly #parts: LaneParts;
  readonly #pace: Pace;
  readonly #jobs = new Fifo<Job>();
  /** Last in, first out: the others may time out. */
  readonly #idle: Idle[] = [];
  readonly #abort = new AbortController();
  readonly #attempts = new Set<AbortController>();
  /** Open connections, and what runs on each. */
  readonly #open = new Map<Hop, Job | null>();
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
    this.#connector = connector;
    this.#parts = parts;
    this.#pace = new Pace(parts);
  }

  get connector(): Connector {
    return this.#connector;
  }
  /** What mail goes through from here on: a connection that was opened under other terms takes no more of it. */
  set connector(connector: Connector) {
    const { terms } = this.#connector;
    this.#connector = connector;
    if (connector.terms !== terms) this.#endIdle();
  }

  /** Jobs in line. */
  get waiting(): number {
    return this.#jobs.size;
  }
  /** Somebody answers there. */
  get proven(): boolean {
    return this.#established > 0;
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

  /** Waiting jobs go back, idle connections end, and those not open yet; what runs comes to its end. Resolves when all connections are closed. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#hungry?.();
    this.#parts.places.forget(this.#wake);
    this.#return(this.#jobs.takeAll());
    this.#endIdle();
    for (const attempt of this.#attempts) attempt.abort();
    while (this.connections > 0) await new Promise((resolve) => setTimeout(resolve, STOP_POLL_MS));
  }

  /** Ends what has not come to its content yet: that is as if it had never begun. */
  hurry(): void {
    for (const hop of this.#open.keys()) hop.giveUp();
  }

  /** Ends what should be given back, where that is not too late. */
  breakOff(isRecalled: (lease: Lease) => boolean): void {
    for (const [hop, job] of this.#open) if (job !== null && isRecalled(job.lease)) hop.giveUp();
  }

  /** Ends what still runs. */
  abort(): void {
    this.#abort.abort();
  }

  #endIdle(): void {
    for (const idle of this.#idle.splice(0)) idle.give(null);
  }

  /** Gives jobs to connections that wait for them, and opens more when there are not enough. */
  #feed(): void {
    while (this.#jobs.size > 0 && this.#mayRun()) {
      const idle = this.#idle.pop();
      if (idle === undefined) break;
      idle.give(this.#takeJob() ?? null);
    }
    this.#grow();
  }

  /** The next job, counted as running from here on. After a back-off one is tried alone. */
  #takeJob(): Job | undefined {
    if (!this.#mayRun()) return undefined;
    const job = this.#jobs.shift();
    if (job !== undefined) this.#running++;
    return job;
  }

  #mayRun(): boolean {
    return !this.#pace.probing || this.#running === 0;
  }

  /** Opens connections as long as jobs wait: one more than are established at a time, so that a site that stalls does not get all of them. */
  #grow(): void {
    while (!this.#stopping && this.#jobs.size > this.#opening && this.#opening <= this.#established) {
      if (this.#pace.probing && this.connections > 0) return;
      if (this.#established > 0 && this.#pace.growthPaused) return this.#tryLater();
      const place = this.#takePlace();
      if (place === null) return;
      void this.#begin(place);
    }
  }

  readonly #wake = (): void => this.#grow();

  /** One connection more, if all limits allow it; looks again later if not. */
  #takePlace(): Place | null {
    const { concurrencyPerLane: perSite, concurrency: perWorker } = this.#parts.limits();
    if (this.connections >= this.#pace.connections(perSite)) return null;
    const place = this.#parts.places.take(this.#connector.limit, { perSite, perWorker, proven: this.#established > 0 });
    if (place !== null) this.#opening++;
    else {
      this.#parts.places.whenFree(this.#wake);
      this.#tryLater();
    }
    return place;
  }

  #leave(place: Place): void {
    place.leave();
    this.#grow();
  }

  #tryLater(): void {
    if (this.#hungry !== null) return;
    this.#hungry = this.#parts.clock.after(HUNGRY_MS, () => {
      this.#hungry = null;
      this.#grow();
    });
  }

  async #begin(place: Place): Promise<void> {
    const startedAtMs = this.#parts.clock.nowMs();
    const connector = this.#connector;
    const connected = await this.#connect(place, connector, { except: NOWHERE, domains: domainsOf(this.#jobs.first(MAX_TOLD)) });
    this.#opening--;
    if ('client' in connected) return this.#go(place, await this.#serve(place, { connector, connected }));
    this.#notConnected(connector, connected, startedAtMs);
    this.#leave(place);
  }

  /** One that said more than it was asked, or left at once, is no connection, or this would go on for ever. */
  async #connect({ signal }: Place, connector: Connector, how: { readonly except: Before; readonly domains: ReadonlySet<string> }): Promise<Connected | NotConnected> {
    const attempt = new AbortController();
    this.#attempts.add(attempt);
    const result = await connector.connect(AbortSignal.any([this.#abort.signal, signal, attempt.signal]), how);
    this.#attempts.delete(attempt);
    if (!('client' in result)) return signal.aborted ? { tried: [], permanent: CROWDED } : result;
    if (result.client.usable) return result;
    result.client.destroy();
    const { host, address, port } = result;
    return { tried: [{ host, address, port, failure: UNUSABLE }], permanent: null };
  }

  /** Runs one job at a host that did not have it yet; when there is none, what was said before holds. */
  async #openElsewhere(place: Place, { connector, job, verdicts, before }: Elsewhere): Promise<void> {
    const connected = await this.#connect(place, connector, { except: before, domains: domainsOf([job]) });
    this.#opening--;
    if ('client' in connected) {
      this.#running++;
      return this.#go(place, await this.#serve(place, { connector, connected }, { connector, job, reused: false, before }));
    }
    this.#judge(verdicts);
    void this.#parts.settler.settle(job.lease, this.name, verdicts).then(() => this.#parts.done(job.lease));
    this.#leave(place);
  }

  /** A connection has ended: its place goes to what it could not do, if there is something. */
  #go(place: Place, elsewhere: Elsewhere | null): void {
    if (elsewhere === null) return this.#leave(place);
    this.#opening++;
    void this.#openElsewhere(place, elsewhere);
  }

  /** Runs `first` and then what waits, until the connection ends. Returns what has to go to another host in its place. */
  async #serve(place: Place, { connector, connected }: { connector: Connector; connected: Connected }, first?: Run): Promise<Elsewhere | null> {
    const { client } = connected;
    place.prove();
    this.#established++;
    this.#open.set(client, null);
    let elsewhere: Elsewhere | null = null;
    let run = first ?? null;
    for (let served = 0; client.usable; served++) {
      if (run === null) {
        if (served >= this.#parts.limits().messagesPerConnection || this.#superfluous(connector, connected)) break;
        const job = this.#takeJob() ?? (await this.#nextJob());
        if (job === null) break;
        if (!client.usable) {
          this.#running--;
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
    this.#open.delete(client);
    this.#established--;
    return elsewhere;
  }

  /** There are more connections than the site bears, another host of it does better, or it was opened under other terms. */
  #superfluous({ several, terms }: Connector, connected: Connected): boolean {
    if (terms !== this.#connector.terms) return true;
    const at = addressOf(connected);
    return this.#established > this.#pace.connections(this.#parts.limits().concurrencyPerLane) || (several && at !== null && this.#parts.hosts.isAvoided(at));
  }

  /** The next job, or null when none came in time, or the place of the connection is wanted elsewhere. */
  #nextJob(): Promise<Job | null> {
    if (this.#stopping) return Promise.resolve(null);
    const { places, clock, limits } = this.#parts;
    return new Promise((resolve) => {
      const give = (job: Job | null): void => {
        cancel();
        taken();
        resolve(job);
      };
      const idle: Idle = { give };
      const end = (): void => {
        const at = this.#idle.indexOf(idle);
        if (at !== -1) this.#idle.splice(at, 1);
        give(null);
      };
      const cancel = clock.after(limits().idleTimeoutMs, end);
      const taken = places.waits(end);
      this.#idle.push(idle);
    });
  }

  /** One job. Returns what has to go to another host, when there is no other place for that than this connection's. */
  async #run(connected: Connected, run: Run): Promise<Elsewhere | null> {
    const { job, reused, connector } = run;
    const startedAtMs = this.#parts.clock.nowMs();
    this.#open.set(connected.client, job);
    connected.client.beginTranscript?.();
    const { verdicts, untouched, broken } = await attempt(this.#parts.attempt, connected, connector.route, job);
    this.#open.set(connected.client, null);
    this.#running--;
    const all = [...verdicts];
    let open = false;
    if (broken !== null && untouched.length > 0) {
      if (broken.kind === 'aborted' && (this.#stopping || this.#parts.isRecalled(job.lease))) this.#parts.giveBack(this.name, [{ ...job, recipients: untouched }]);
      else if (reused && !job.requeued) {
        open = true;
        this.#jobs.unshift({ lease: job.lease, recipients: untouched, requeued: true });
      } else {
        const outcome = outcomeOfFailure({ ...placeOf(connector, connected), startedAtMs, durationMs: this.#parts.clock.nowMs() - startedAtMs }, broken);
        all.push(...untouched.map((recipient) => ({ recipient, outcome, dsn: 'none' as const })));
      }
    }
    const { host, address, port } = connected;
    this.#parts.transcripts.attempted(job.lease.envelope.id, all, { host, address, port, said: connected.client.transcript ?? [] });
    const elsewhere = this.#stopping || this.#pace.backedOff ? null : elsewhereOf({ ...run, connected, verdicts: all }, this.#parts.hosts);
    const kept = elsewhere === null ? all : all.filter((verdict) => !elsewhere.verdicts.includes(verdict));
    this.#judge(kept, { connected, before: run.before });
    const { settler, done } = this.#parts;
    const settling = settler.settle(job.lease, this.name, kept).then(() => {
      if (!open && elsewhere === null) done(job.lease);
    });
    if (settler.pending > MAX_PENDING_SETTLEMENTS) await settling;
    const place = elsewhere === null ? null : this.#takePlace();
    if (elsewhere === null || place === null) return elsewhere;
    void this.#openElsewhere(place, elsewhere);
    return null;
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
    if (this.#stopping) return this.#return(this.#jobs.takeAll());
    this.#pace.pauseGrowth();
    if (this.#established > 0) return;
    const outcome = outcomeOfNoConnection({ route, host: null, address: null, port: null, tls: null, startedAtMs, durationMs: clock.nowMs() - startedAtMs }, result);
    this.#lastOutcome = outcome;
    const jobs = this.#jobs.takeAll();
    if (outcome.verdict === 'deferred') this.#backOff(outcome.cause);
    for (const job of jobs) this.#settleAll(job, outcome, result.tried);
  }

  #backOff(cause: string): void {
    const { log, backedOff, lastPull } = this.#parts;
    const untilMs = this.#pace.backOff();
    this.#pullAtBackOff = lastPull();
    backedOff(this.name, untilMs, this.#lastOutcome?.cause ?? cause);
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

  #settleAll(job: Job, outcome: Outcome, tried: NotConnected['tried'] = []): void {
    const notBeforeMs = this.#pace.backOffUntilMs;
    const verdicts = job.recipients.map((recipient) => ({ recipient, outcome, dsn: 'none' as const, notBeforeMs }));
    this.#parts.transcripts.tried(job.lease.envelope.id, verdicts, tried);
    void this.#parts.settler.settle(job.lease, this.name, verdicts).then(() => this.#parts.done(job.lease));
  }

  #return(jobs: readonly Job[], nextAtMs?: number): void {
    if (jobs.length === 0) return;
    this.#parts.giveBack(this.name, jobs, nextAtMs);
    for (const { lease } of jobs) this.#parts.done(lease);
  }
}

function domainsOf(jobs: readonly Job[]): ReadonlySet<string> {
  return new Set(jobs.flatMap(({ recipients }) => recipients.map(({ address }) => address.domain)));
}

function placeOf({ route }: Connector, { host, address, port, tls, security }: Connected): Omit<Attempt, 'startedAtMs' | 'durationMs'> {
  return { route, host, address, port, tls, security };
}
