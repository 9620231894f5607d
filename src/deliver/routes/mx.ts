// The route to the MX hosts of a domain: plans its site from the DNS and from what is known of its TLS policies. Dials nobody. RFC 5321 5.1,
// RFC 7505, RFC 7672 2.2, RFC 8461 5.1.

import { createHash } from 'node:crypto';
import type { MaybePromise } from '#base/promise.ts';
import { isPromise } from '#base/promise.ts';
import type { Connector, Refusal } from '#deliver/connector.ts';
import type { SecureParts } from '#deliver/secure.ts';
import { findAddresses, findMx } from '#dns/mx.ts';
import type { MxHost } from '#dns/mx.ts';
import type { LaneName } from '#queue/records.ts';
import { isDomainSpecific } from '#tls/policy.ts';
import type { Demand } from '#tls/policy.ts';
import { daneOf, mxConnector } from './mx-hosts.ts';
import type { Domain, LookParts, MxLane, MxParts } from './mx-hosts.ts';

/** Where a domain's mail goes, or why nowhere. */
export type Plan = { readonly connector: Connector } | { readonly refusal: Refusal };

/** A plan holds as long as the DNS says, and no longer than this. */
const MAX_PLAN_MS = 5 * 60_000;
const REFUSAL_MS = 30_000;
const MAX_PLANS = 20_000;
const SITE_CHARACTERS = 1000;

export type MxPlanner = {
  /** The plan for messages that ask this much, at once when it is known. */
  plan(domain: string, demand: Demand): MaybePromise<Plan>;
  /** The site of a domain's ordinary mail by its last plan, if there is one. */
  siteOf(domain: string): LaneName | null;
  /** Domains whose ordinary mail goes to this site, as far as known. */
  domainsOf(site: LaneName): readonly string[];
};

type Known = Domain | { readonly refusal: Refusal };

/** `site` is that of the plan, or while it is being made that of the last one. */
type Kept = { readonly plan: MaybePromise<Known>; readonly untilMs: number; readonly site: LaneName | null };

/** Makes the planner of one worker. It keeps at most 20,000 plans; the oldest go first. */
export function openMxPlanner(parts: MxParts): MxPlanner {
  const plans = new Plans();
  const secure: SecureParts = { ...parts, broken: new Map() };
  const make = async (domain: string): Promise<Known> => {
    const plan = await lookInto(parts, domain);
    const holdsMs = 'refusal' in plan ? REFUSAL_MS : Math.min(plan.ttlSeconds * 1000, MAX_PLAN_MS);
    const site = 'refusal' in plan ? null : laneOf(plan, 'policy').site;
    plans.keep(domain, { plan, untilMs: parts.clock.nowMs() + holdsMs, site });
    return plan;
  };
  const known = (domain: string): MaybePromise<Known> => {
    const nowMs = parts.clock.nowMs();
    const kept = plans.get(domain);
    if (kept !== undefined && kept.untilMs > nowMs && isCurrent(parts, kept.plan)) return kept.plan;
    const promise = make(domain);
    plans.keep(domain, { plan: promise, untilMs: nowMs + MAX_PLAN_MS, site: kept?.site ?? null });
    promise.catch(() => plans.forget(domain));
    return promise;
  };
  const planOf = (plan: Known, demand: Demand): Plan => {
    if ('refusal' in plan) return plan;
    let connector = plan.connectors.get(demand);
    if (connector === undefined) plan.connectors.set(demand, (connector = mxConnector(parts, secure, { domain: plan, lane: laneOf(plan, demand), demand })));
    return { connector };
  };
  return {
    plan(domain, demand) {
      const plan = known(domain);
      return isPromise(plan) ? plan.then((found) => planOf(found, demand)) : planOf(plan, demand);
    },
    siteOf: (domain) => plans.get(domain)?.site ?? null,
    domainsOf: (site) => plans.domainsOf(site),
  };
}

/** Plans by domain, and domains by site. */
class Plans {
  readonly #plans = new Map<string, Kept>();
  readonly #domains = new Map<LaneName, Set<string>>();

  get(domain: string): Kept | undefined {
    return this.#plans.get(domain);
  }

  domainsOf(site: LaneName): readonly string[] {
    return [...(this.#domains.get(site) ?? [])];
  }

  keep(domain: string, kept: Kept): void {
    this.forget(domain);
    this.#plans.set(domain, kept);
    const oldest = this.#plans.keys().next().value;
    if (this.#plans.size > MAX_PLANS && oldest !== undefined) this.forget(oldest);
    if (kept.site === null) return;
    const domains = this.#domains.get(kept.site);
    if (domains === undefined) this.#domains.set(kept.site, new Set([domain]));
    else domains.add(domain);
  }

  forget(domain: string): void {
    const site = this.#plans.get(domain)?.site ?? null;
    this.#plans.delete(domain);
    if (site === null) return;
    this.#domains.get(site)?.delete(domain);
    if (this.#domains.get(site)?.size === 0) this.#domains.delete(site);
  }
}

/** A reload may have changed what [[tls_policy]] says. */
function isCurrent(parts: MxParts, plan: MaybePromise<Known>): boolean {
  return isPromise(plan) || 'refusal' in plan || plan.configured === parts.configured(plan.name);
}

/** What the DNS and the policies say of a domain now. */
export async function lookInto(parts: LookParts, domain: string): Promise<Known> {
  const [plan, sts] = await Promise.all([planDomain(parts, domain), parts.sts.evidence(domain)]);
  if ('refusal' in plan) return plan;
  const { hosts, mxSecure, implicit, ttlSeconds } = plan;
  const dane = await Promise.all(hosts.map(({ host }) => daneOf(parts, host, mxSecure)));
  return { name: domain, hosts, ttlSeconds, mxSecure, mxAuthentic: mxSecure || implicit, sts, configured: parts.configured(domain), dane, connectors: new Map() };
}

/**
 * All domains behind the same hosts share a lane, `mx:best,best:next`; a domain whose TLS policy is its own has one to itself,
 * `mx:best/mta-sts=example.com`, so that its mail never takes a connection that was good enough for another's.
 */
function siteOf(hosts: readonly MxHost[]): LaneName {
  const levels = new Map<number, string[]>();
  for (const { host, preference } of hosts) levels.set(preference, [...(levels.get(preference) ?? []), host]);
  const name = [...levels.keys()]
    .toSorted((one, other) => one - other)
    .map((preference) => levels.get(preference)?.toSorted().join(','))
    .join(':');
  return `mx:${name.length <= SITE_CHARACTERS ? name : `${name.slice(0, SITE_CHARACTERS)}~${createHash('sha256').update(name).digest('hex').slice(0, 16)}`}`;
}

/** The name of the lane, and whether it is the domain's own. Those that DANE protects do not meet those it does not, at the same hosts. */
export function laneOf(domain: Domain, demand: Demand): MxLane {
  const shared = siteOf(domain.hosts);
  const own = ownOf(domain, demand);
  if (own !== null) return { site: `${shared}/${own}=${domain.name}`, shared, own: true };
  return { site: domain.dane.some(({ status }) => status !== 'none') ? `${shared}/dane` : shared, shared, own: false };
}

/** What makes the lane of a domain its own; null: nothing. */
function ownOf({ mxAuthentic, sts, configured, dane, name }: Domain, demand: Demand): string | null {
  if (!dane.some((one) => isDomainSpecific({ domain: name, mxAuthentic, sts, configured, demand, dane: one }))) return null;
  if (demand !== 'policy') return demand;
  if (configured !== null) return 'configured';
  if (sts.status === 'none') return 'dane-ta';
  return sts.status === 'policy' && sts.policy.mode === 'testing' ? 'mta-sts-testing' : 'mta-sts';
}

type Hosts = { readonly hosts: readonly MxHost[]; readonly mxSecure: boolean; readonly implicit: boolean; readonly ttlSeconds: number };

async function planDomain(parts: LookParts, domain: string): Promise<Hosts | { refusal: Refusal }> {
  const answer = await findMx(parts.resolver, domain);
  switch (answer.status) {
    case 'no-domain':
      return {
        refusal: {
          verdict: 'bounced',
          code: 550,
          enhanced: '5.1.2',
          text: `Domain ${domain} not found`,
          class: 'no-such-domain',
          cause: `The domain ${domain} does not exist.`,
          fix: 'Check the spelling of the address.',
        },
      };
    case 'null-mx':
      return {
        refusal: {
          verdict: 'bounced',
          code: 556,
          enhanced: '5.1.10',
          text: `Domain ${domain} takes no mail (null MX)`,
          class: 'not-taking-mail',
          cause: `The domain ${domain} says in the DNS that it takes no mail.`,
          fix: 'Use another address of the recipient.',
        },
      };
    case 'unusable':
      return {
        refusal: {
          verdict: 'bounced',
          code: 550,
          enhanced: '5.4.4',
          text: `MX records of ${domain} are unusable`,
          class: 'bad-mx',
          cause: `The MX records of ${domain} name no usable host: ${answer.detail}.`,
          fix: 'Whoever runs the domain has to mend its MX records.',
        },
      };
    case 'failed':
      return {
        refusal: {
          verdict: 'deferred',
          code: 450,
          enhanced: '4.4.3',
          text: `DNS lookup for ${domain} failed`,
          class: 'dns-failure',
          cause: `The DNS gave no answer for ${domain}: ${answer.detail}.`,
          fix: 'It is tried again by itself; check the resolver if it happens for all domains.',
        },
      };
    case 'found':
      return withoutSelf(parts, domain, { hosts: answer.hosts, mxSecure: answer.authenticated, implicit: answer.implicit, ttlSeconds: answer.ttlSeconds });
  }
}

/** A host that is this server itself, and all that are no better, must not be tried: the mail would go in circles (RFC 5321 5.1). */
async function withoutSelf(parts: LookParts, domain: string, found: Hosts): Promise<Hosts | { refusal: Refusal }> {
  let own = Infinity;
  for (const host of found.hosts) {
    if (host.preference >= own) continue;
    // By its name alone, without asking for an address that the DNS may not even have.
    const answer = parts.isSelf(host.host, []) ? null : await findAddresses(parts.resolver, host.host);
    if (answer === null || parts.isSelf(host.host, 'addresses' in answer ? answer.addresses : [])) own = host.preference;
  }
  const usable = found.hosts.filter((host) => host.preference < own);
  if (usable.length > 0) return { ...found, hosts: usable };
  return {
    refusal: {
      verdict: 'bounced',
      code: 554,
      enhanced: '5.4.6',
      text: `Mail for ${domain} loops back to this server`,
      class: 'loop',
      cause: `This server is the best MX of ${domain}, but has no other place to deliver its mail to.`,
      fix: `Add a route for ${domain} (lmtp, smarthost or capture), or correct its MX records.`,
    },
  };
}
