// The recipients of one message by the site they go to, or by why they go nowhere. What is known is dealt at once; a domain whose DNS is slow
// keeps no other recipient waiting. Delivers nothing.

import { sleep } from '#base/clock.ts';
import type { Clock } from '#base/clock.ts';
import { errorText } from '#base/failure.ts';
import { isPromise } from '#base/promise.ts';
import type { MaybePromise } from '#base/promise.ts';
import type { Lease, LeasedRecipient } from '#queue/records.ts';
import type { SuppressionReader } from '#queue/suppression.ts';
import type { Demand } from '#tls/policy.ts';
import type { Connector, Refusal } from './connector.ts';
import { captured, outcomeOfRefusal } from './outcome.ts';
import type { Attempt } from './outcome.ts';
import type { Route, Routes } from './route.ts';
import type { MxPlanner, Plan } from './routes/mx.ts';
import type { Verdict } from './settle.ts';
import { isOurs, refusalOf } from './suppressing.ts';

export type SortingParts = {
  readonly clock: Clock;
  readonly routes: Routes;
  readonly planner: MxPlanner;
  readonly suppressed: SuppressionReader;
  readonly connectorOf: (route: Extract<Route, { type: 'smarthost' | 'lmtp' | 'webhook' }>) => Connector;
};

/** What can go on now. */
export type Sorted = { readonly settled: readonly Verdict[]; readonly going: readonly { readonly connector: Connector; readonly recipients: readonly LeasedRecipient[] }[] };

/** So long is waited for the plans of all domains, so that those behind the same hosts share a transaction. */
const GATHER_MS = 500;

/** Deals the recipients out, in one go or in several; resolves when all are. Almost always there is one recipient, and its plan is known. */
export function sortRecipients(parts: SortingParts, lease: Lease, deal: (sorted: Sorted) => void): Promise<void> | null {
  const sites = new Sites();
  const planning: Promise<void>[] = [];
  for (const recipient of lease.recipients) {
    const { domain } = recipient.address;
    const route = parts.routes.match(domain);
    if (lease.envelope.mode === 'sandbox' || route.type === 'capture') {
      sites.settle(recipient, captured(nowhere('capture', parts.clock.nowMs())));
      continue;
    }
    const listed = isOurs(lease.envelope) ? parts.suppressed.find(recipient.address, lease.envelope.from) : null;
    const planOf = (): MaybePromise<Plan> => (route.type === 'mx' ? parts.planner.plan(domain, demandOf(lease.envelope)) : { connector: parts.connectorOf(route) });
    const plan = listed === null ? planOf() : listed.then((entry) => (entry === null ? planOf() : { refusal: refusalOf(entry) }));
    const use = (found: Plan): void => {
      if ('connector' in found) sites.add(found.connector, recipient);
      else sites.settle(recipient, outcomeOfRefusal(nowhere(route.type, parts.clock.nowMs()), found.refusal));
    };
    if (isPromise(plan)) planning.push(plan.catch((error: unknown): Plan => ({ refusal: unplanned(domain, error) })).then(use));
    else use(plan);
  }
  if (planning.length === 0) {
    deal(sites.take());
    return null;
  }
  return dealAsPlanned(parts.clock, planning, () => deal(sites.take()));
}

async function dealAsPlanned(clock: Clock, planning: readonly Promise<void>[], deal: () => void): Promise<void> {
  await Promise.race([Promise.all(planning), sleep(clock, GATHER_MS)]);
  deal();
  // What comes from here on comes late: at once, each by itself.
  await Promise.all(planning.map((plan) => plan.then(deal)));
}

class Sites {
  #settled: Verdict[] = [];
  #bySite = new Map<string, { connector: Connector; recipients: LeasedRecipient[] }>();

  add(connector: Connector, recipient: LeasedRecipient): void {
    const known = this.#bySite.get(connector.site);
    if (known === undefined) this.#bySite.set(connector.site, { connector, recipients: [recipient] });
    else known.recipients.push(recipient);
  }

  settle(recipient: LeasedRecipient, outcome: Verdict['outcome']): void {
    this.#settled.push({ recipient, outcome, dsn: 'none' });
  }

  /** What has come together since the last time. */
  take(): Sorted {
    const sorted = { settled: this.#settled, going: [...this.#bySite.values()] };
    this.#settled = [];
    this.#bySite = new Map();
    return sorted;
  }
}

/** What the message asks of the way (RFC 8689). A report about a message with REQUIRETLS goes on where the next hop does not know that (5). */
function demandOf({ requireTls, tlsOptional, from }: Lease['envelope']): Demand {
  if (requireTls) return from === null ? 'encrypted' : 'requiretls';
  return tlsOptional === true ? 'tls-optional' : 'policy';
}

/** An attempt that made no connection. */
export function nowhere(route: string, startedAtMs: number): Attempt {
  return { route, host: null, address: null, port: null, tls: null, startedAtMs, durationMs: 0 };
}

function unplanned(domain: string, error: unknown): Refusal {
  return {
    verdict: 'deferred',
    code: 451,
    enhanced: '4.3.0',
    text: `Routing of ${domain} failed`,
    class: 'local-error',
    cause: `The route for ${domain} could not be worked out: ${errorText(error)}.`,
    fix: 'It is tried again by itself; if it stays so, report it with the log.',
  };
}
