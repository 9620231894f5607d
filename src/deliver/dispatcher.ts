// From leases to lanes: takes what was just accepted, pulls what is due, finds each recipient's route and hands it to the lane of its
// next-hop site. Owns the lanes of one worker and how much is under way; how a lane delivers is the lane's matter.

import type { SecureContext } from 'node:tls';
import type { Cancel, Clock } from '#base/clock.ts';
import type { Counters } from '#base/counters.ts';
import { errorText } from '#base/failure.ts';
import type { Log } from '#base/log.ts';
import { isPromise } from '#base/promise.ts';
import type { Signing } from '#mail/dkim/signing.ts';
import type { Srs } from '#mail/identity/srs.ts';
import type { ReturnPaths } from '#mail/identity/verp.ts';
import type { Resolver } from '#dns/resolver.ts';
import type { Queue } from '#queue/queue.ts';
import type { LaneName, Lease, LeasedRecipient, Outcome } from '#queue/records.ts';
import { isExpired, isWarningDue } from '#queue/schedule.ts';
import type { RetryPolicy } from '#queue/schedule.ts';
import type { SuppressionReader } from '#queue/suppression.ts';
import type { ClientOptions } from '#smtp/client.ts';
import type { Job } from './attempt.ts';
import type { Connector } from './connector.ts';
import { SessionCache } from './connector.ts';
import { HostMemory } from './hosts.ts';
import { Lane } from './lane.ts';
import type { LaneLimits, LaneParts } from './lane.ts';
import { expired } from './outcome.ts';
import { Places } from './places.ts';
import { openPrivateCheck } from './reach.ts';
import type { Route, Routes } from './route.ts';
import { openLmtp } from './routes/lmtp.ts';
import { openMxPlanner } from './routes/mx.ts';
import type { MxPlanner } from './routes/mx.ts';
import type { MxParts } from './routes/mx-hosts.ts';
import { openSmarthost } from './routes/smarthost.ts';
import { openWebhook } from './routes/webhook.ts';
import { NO_TRANSCRIPTS } from './transcript-log.ts';
import type { TranscriptLog } from './transcript-log.ts';
import { openSettler } from './settle.ts';
import type { Settler } from './settle.ts';
import { nowhere, sortRecipients } from './sorting.ts';
import type { SortingParts } from './sorting.ts';

/** What a dispatcher is made of. Functions are asked at each use, so that a reload takes effect. */
export type DispatcherParts = {
  readonly queue: Queue;
  readonly suppressed: SuppressionReader;
  readonly routes: Routes;
  readonly resolver: Resolver;
  readonly signing: Pick<Signing, 'signWhole' | 'signAgain'>;
  readonly returnPath: ReturnPaths['local'];
  readonly srs: Srs['forward'];
  readonly hostname: string;
  readonly mxPort: number;
  readonly allowPrivate: boolean;
  /** See MxParts. */
  readonly isSelf: (host: string, addresses: readonly string[]) => boolean;
  readonly tlsContext: SecureContext;
  /** What is known of others' MTA-STS policies, what [[tls_policy]] says of a domain, and who counts sessions for reports. */
  readonly tlsPolicies: Pick<MxParts, 'sts' | 'configured' | 'sessionLog'>;
  readonly timeouts: ClientOptions['timeouts'];
  readonly schedule: () => RetryPolicy;
  readonly limits: () => LaneLimits & { readonly recipientsPerTransaction: number };
  readonly counters: Counters;
  readonly newId: (nowMs: number) => string;
  /** Without it no conversation is recorded. */
  readonly transcripts?: TranscriptLog;
  readonly clock: Clock;
  readonly log: Log;
  readonly random?: () => number;
};

export type Dispatcher = {
  /** Delivers leases, fresh or pulled. Returns at once. */
  take(leases: readonly Lease[]): void;
  /** The lane a new recipient waits in: for mail that goes by MX its site, once the plan of its domain is known. */
  laneFor(domain: string, mode: 'live' | 'sandbox'): LaneName;
  /** Mail for this domain is on its way: its plan is made meanwhile. */
  prepare(domain: string): void;
  /** Begins to pull what is due. */
  start(): void;
  /** Stops pulling; content that is on its way gets `withinMs` to end, what comes before it a few seconds; the rest goes back to the queue. */
  stop(withinMs: number): Promise<void>;
  stats(): { readonly lanes: number; readonly connections: number; readonly underWay: number };
};

/** Jobs pulled from the queue that may be under way at once, and their bodies in memory; the others stay on disk until they go out. */
const MAX_PULLED = 4000;
const MAX_PULLED_BYTES = 16 * 1024 * 1024;
const FULL = 100;
const FULL_UNPROVEN = 10;
const MANY_SILENT = 200;
const PULL_LIMIT = 100;
const PULL_PER_LANE = 50;
/** After so many finished jobs more are pulled, if there were more. */
const PULL_AFTER = 25;
const PULL_EVERY_MS = 1000;
const OVERDUE_EVERY_MS = 60_000;
const OVERDUE_LIMIT = 500;
const SWEEP_EVERY_MS = 30_000;
/** At the end, who has not come to the content of a message so soon is not waited for. */
const HURRY_MS = 5000;
/** Provisional lanes of a site that are named in one request. */
const MAX_NAMES = 500;

export function openDispatcher(parts: DispatcherParts): Dispatcher {
  return new Deliveries(parts);
}

class Deliveries implements Dispatcher {
  readonly #parts: DispatcherParts;
  readonly #lanes = new Map<LaneName, Lane>();
  readonly #laneParts: LaneParts;
  readonly #planner: MxPlanner;
  readonly #settler: Settler;
  readonly #places: Places;
  readonly #fixed = new Map<string, { readonly route: Route; readonly connector: Connector }>();
  readonly #dial;
  readonly #sorting: SortingParts;
  readonly #isPrivate = openPrivateCheck();
  #underWay = 0;
  #pulled = 0;
  #pulledBytes = 0;
  #pulling = false;
  /** Pulls asked for so far. */
  #pulls = 0;
  /** The last pull left something due behind, and how many jobs have finished since. */
  #more = false;
  #finished = 0;
  #stopping = false;
  #timers: Cancel[] = [];

  constructor(parts: DispatcherParts) {
    const { queue, resolver, clock, log, counters, schedule, limits, hostname, timeouts, tlsContext, tlsPolicies, mxPort, allowPrivate, isSelf } = parts;
    const random = parts.random ?? Math.random;
    this.#parts = parts;
    const hosts = new HostMemory({ clock, log });
    this.#dial = { hostname, tlsContext, timeouts, clock, log, sessions: new SessionCache(), hosts, record: parts.transcripts !== undefined };
    this.#places = new Places({ counters, clock });
    this.#planner = openMxPlanner({ ...this.#dial, ...tlsPolicies, resolver, port: mxPort, allowPrivate, isPrivate: this.#isPrivate, isSelf, random });
    this.#settler = openSettler({
      queue,
      schedule,
      clock,
      log,
      random,
      hostname,
      newId: parts.newId,
      sign: (chunks, nowMs) => parts.signing.signWhole(chunks, nowMs),
      laneFor: (domain, mode) => this.laneFor(domain, mode),
      get maxAgeMs() {
        return schedule().maxAgeMs;
      },
    });
    this.#sorting = { clock, suppressed: parts.suppressed, routes: parts.routes, planner: this.#planner, connectorOf: (route) => this.#connectorOf(route) };
    this.#laneParts = {
      clock,
      log,
      places: this.#places,
      hosts,
      schedule,
      limits,
      random,
      transcripts: parts.transcripts ?? NO_TRANSCRIPTS,
      settler: this.#settler,
      attempt: {
        clock,
        body: (lease) => queue.body(lease),
        recipientsPerTransaction: () => limits().recipientsPerTransaction,
        signAgain: (chunks, nowMs) => parts.signing.signAgain(chunks, nowMs),
        returnPath: parts.returnPath,
        srs: parts.srs,
      },
      giveBack: (lane, jobs, nextAtMs) => this.#giveBack(jobs, { lane, ...(nextAtMs === undefined ? {} : { nextAtMs }) }),
      backedOff: (lane, untilMs, cause) => {
        for (const name of this.#namesOf(lane)) queue.backOff(name, untilMs, cause);
      },
      isRecalled: (lease) => queue.isRecalled(lease),
      lastPull: () => this.#pulls,
      done: (lease) => this.#done(lease),
    };
  }

  laneFor(domain: string, mode: 'live' | 'sandbox'): LaneName {
    const lane = this.#parts.routes.laneFor(domain, mode);
    return lane === provisional(domain) ? (this.#planner.siteOf(domain) ?? lane) : lane;
  }

  prepare(domain: string): void {
    if (this.#parts.routes.match(domain).type !== 'mx') return;
    const plan = this.#planner.plan(domain, 'policy');
    if (isPromise(plan)) plan.catch(() => {});
  }

  take(leases: readonly Lease[]): void {
    this.#takeAll(leases, null);
  }

  /** `pull`: the pull that brought them, because their lanes were due. */
  #takeAll(leases: readonly Lease[], pull: number | null): void {
    // One message may come as several leases, one a lane: together they may share transactions.
    const [first] = leases;
    if (first === undefined) return;
    if (leases.length === 1) return this.#route(first, pull);
    const byKey = new Map<number, Lease>();
    for (const lease of leases) {
      const known = byKey.get(lease.key);
      byKey.set(lease.key, known === undefined ? lease : { ...known, recipients: [...known.recipients, ...lease.recipients] });
    }
    for (const lease of byKey.values()) this.#route(lease, pull);
  }

  start(): void {
    this.#parts.queue.onReady(() => void this.#pull());
    this.#parts.queue.onHeld(() => this.#lookAgain());
    this.#every(PULL_EVERY_MS, () => void this.#pull());
    this.#every(OVERDUE_EVERY_MS, () => void this.#overdue());
    this.#every(SWEEP_EVERY_MS, () => this.#sweep());
    void this.#pull();
  }

  async stop(withinMs: number): Promise<void> {
    this.#stopping = true;
    for (const cancel of this.#timers) cancel();
    const lanes = [...this.#lanes.values()];
    const ended = Promise.all(lanes.map((lane) => lane.stop()));
    const deadlines = [setTimeout(() => lanes.forEach((lane) => lane.hurry()), Math.min(HURRY_MS, withinMs)), setTimeout(() => lanes.forEach((lane) => lane.abort()), withinMs)];
    await ended;
    deadlines.forEach(clearTimeout);
    while (this.#settler.pending > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  stats(): { lanes: number; connections: number; underWay: number } {
    return { lanes: this.#lanes.size, connections: this.#places.taken, underWay: this.#underWay };
  }

  #route(lease: Lease, pull: number | null): void {
    const nowMs = this.#parts.clock.nowMs();
    if (this.#stopping) return this.#giveBack([{ lease, recipients: lease.recipients, requeued: false }]);
    if (isExpired(lease.envelope.expiresAtMs, nowMs)) return this.#settle(lease, lease.recipients, (recipient) => expired(recipient.lastOutcome, nowhere('queue', nowMs)));
    const sorting = sortRecipients(this.#sorting, lease, ({ settled, going }) => {
      if (settled.length > 0) this.#begin(lease, this.#settler.settle(lease, lease.lane, settled));
      for (const { connector, recipients } of going) this.#push(connector, { lease, recipients, requeued: false }, pull);
    });
    if (sorting !== null) this.#begin(lease, sorting);
  }

  #push(connector: Connector, job: Job, pull: number | null): void {
    const free = this.#withoutHeld(connector.site, job);
    if (free.recipients.length === 0) return;
    let lane = this.#lanes.get(connector.site);
    if (lane === undefined) {
      lane = new Lane(connector, this.#laneParts);
      this.#lanes.set(connector.site, lane);
    }
    lane.connector = connector;
    this.#count(free.lease);
    lane.push(free, { pull: free.lease.lane === connector.site ? pull : null });
  }

  /** What is recalled goes back; so does what is on hold, into the lane that it is held in: by now its site is known. */
  #withoutHeld(site: LaneName, job: Job): Job {
    const { queue } = this.#parts;
    if (queue.isRecalled(job.lease)) {
      this.#giveBack([job]);
      return { ...job, recipients: [] };
    }
    const { credential } = job.lease.envelope.origin;
    const laneOf = ({ address: { domain } }: LeasedRecipient): LaneName | null => [site, provisional(domain)].find((lane) => queue.isHeld({ lane, domain, credential })) ?? null;
    if (job.recipients.every((recipient) => laneOf(recipient) === null)) return job;
    for (const [lane, recipients] of Map.groupBy(job.recipients, laneOf)) if (lane !== null) this.#giveBack([{ ...job, recipients }], { lane });
    return { ...job, recipients: job.recipients.filter((recipient) => laneOf(recipient) === null) };
  }

  /** Something was put on hold or recalled: what waits in the lanes already is looked at anew. */
  #lookAgain(): void {
    for (const lane of this.#lanes.values()) {
      lane.breakOff((lease) => this.#parts.queue.isRecalled(lease));
      for (const job of lane.takeWaiting()) {
        this.#push(lane.connector, job, null);
        this.#done(job.lease);
      }
    }
  }

  #connectorOf(route: Extract<Route, { type: 'smarthost' | 'lmtp' | 'webhook' }>): Connector {
    const key = `${route.type}:${route.name}`;
    const known = this.#fixed.get(key);
    // A reload makes new route objects.
    if (known?.route === route) return known.connector;
    const connector = this.#openConnector(route);
    this.#fixed.set(key, { route, connector });
    return connector;
  }

  #openConnector(route: Extract<Route, { type: 'smarthost' | 'lmtp' | 'webhook' }>): Connector {
    const { resolver, allowPrivate } = this.#parts;
    const parts = { ...this.#dial, resolver, allowPrivate, isPrivate: this.#isPrivate };
    switch (route.type) {
      case 'lmtp':
        return openLmtp(parts, route);
      case 'smarthost':
        return openSmarthost(parts, route);
      case 'webhook':
        return openWebhook(parts, route);
    }
  }

  #settle(lease: Lease, recipients: readonly LeasedRecipient[], outcomeOf: (recipient: LeasedRecipient) => Outcome): void {
    this.#begin(
      lease,
      this.#settler.settle(
        lease,
        lease.lane,
        recipients.map((recipient) => ({ recipient, outcome: outcomeOf(recipient), dsn: 'none' as const })),
      ),
    );
  }

  /** Counts work that belongs to no lane. */
  #begin(lease: Lease, work: Promise<void>): void {
    this.#count(lease);
    void work.then(() => this.#done(lease));
  }

  #count(lease: Lease): void {
    this.#underWay++;
    if (lease.fresh) return;
    this.#pulled++;
    this.#pulledBytes += bodyBytes(lease);
  }

  #done(lease: Lease): void {
    this.#underWay--;
    if (!lease.fresh) {
      this.#pulled--;
      this.#pulledBytes -= bodyBytes(lease);
    }
    if (this.#more && ++this.#finished >= PULL_AFTER) void this.#pull();
  }

  async #pull(): Promise<void> {
    if (this.#pulling || this.#stopping) return;
    this.#pulling = true;
    this.#finished = 0;
    try {
      while (this.#pulled < MAX_PULLED && !this.#stopping) {
        const skip = this.#full();
        const pull = ++this.#pulls;
        const leases = await this.#parts.queue.lease({ limit: PULL_LIMIT, perLane: PULL_PER_LANE, skip, bodyBytes: Math.max(0, MAX_PULLED_BYTES - this.#pulledBytes) });
        this.#more = skip.length > 0;
        if (leases.length === 0) return;
        this.#takeAll(leases, pull);
      }
      this.#more = true;
    } catch (error) {
      if (!this.#stopping) this.#parts.log.error('queue.not-leased', { cause: errorText(error) });
    } finally {
      this.#pulling = false;
    }
  }

  /** Recipients whose time is over, or whose sender should hear of the delay, wherever they wait. */
  async #overdue(): Promise<void> {
    try {
      for (let round = 0; round < 20 && !this.#stopping; round++) {
        const leases = await this.#parts.queue.leaseOverdue({ limit: OVERDUE_LIMIT });
        for (const lease of leases) this.#tellOverdue(lease);
        if (leases.length < OVERDUE_LIMIT) return;
      }
    } catch (error) {
      if (!this.#stopping) this.#parts.log.error('queue.not-leased', { cause: errorText(error) });
    }
  }

  #tellOverdue(lease: Lease): void {
    const nowMs = this.#parts.clock.nowMs();
    const { expiresAtMs, warnAtMs } = lease.envelope;
    // A warning goes with an outcome; who was never attempted is attempted now, and the outcome of that brings it.
    const warned = lease.recipients.filter((recipient) => recipient.lastOutcome !== null && isWarningDue(recipient, warnAtMs, nowMs));
    if (isExpired(expiresAtMs, nowMs) || warned.length < lease.recipients.length) return this.take([lease]);
    this.#begin(
      lease,
      this.#settler.settle(
        lease,
        lease.lane,
        warned.map((recipient) => ({ recipient, outcome: recipient.lastOutcome as Outcome, dsn: 'none' as const })),
      ),
    );
  }

  /**
   * Lanes that have enough in line, by all names the queue knows them by. One that nobody has answered yet is given little, and when there are
   * many of those next to nothing, so that they do not use up what may be under way.
   */
  #full(): LaneName[] {
    let silent = 0;
    for (const lane of this.#lanes.values()) if (!lane.proven && lane.waiting > 0) silent++;
    const few = silent > MANY_SILENT ? 1 : FULL_UNPROVEN;
    const full: LaneName[] = [];
    for (const lane of this.#lanes.values()) if (lane.waiting >= (lane.proven ? FULL : few)) full.push(...this.#namesOf(lane.name));
    return full;
  }

  #namesOf(site: LaneName): LaneName[] {
    return [site, ...this.#planner.domainsOf(site).slice(0, MAX_NAMES).map(provisional)];
  }

  #giveBack(jobs: readonly Job[], options: { lane?: LaneName; nextAtMs?: number } = {}): void {
    const leases = jobs.map(({ lease, recipients }) => ({ ...lease, recipients }));
    this.#parts.queue.giveBack(leases, options).catch((error: unknown) => this.#parts.log.error('queue.not-given-back', { cause: errorText(error) }));
  }

  #sweep(): void {
    for (const [name, lane] of this.#lanes) if (lane.unused) this.#lanes.delete(name);
  }

  #every(periodMs: number, run: () => void): void {
    const at = this.#timers.length;
    const again = (): void => {
      run();
      this.#timers[at] = this.#parts.clock.after(periodMs, again);
    };
    this.#timers.push(this.#parts.clock.after(periodMs, again));
  }
}

function bodyBytes({ body }: Lease): number {
  return body?.reduce((sum, chunk) => sum + chunk.length, 0) ?? 0;
}

/** The lane of a domain whose site is not known yet. */
function provisional(domain: string): LaneName {
  return `mx:${domain}`;
}
