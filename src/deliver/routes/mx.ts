// The route to the MX hosts of a domain: plans its site from the DNS and from what is known of its TLS policies, dials its hosts in order,
// each under what the policy requires of it. RFC 5321 5.1, RFC 7505, RFC 7672 2.2, RFC 8461 5.1, RFC 8689 4.2.1.

import { createHash } from 'node:crypto';
import { isIP } from 'node:net';
import type { MaybePromise } from '#base/promise.ts';
import { isPromise } from '#base/promise.ts';
import { findAddresses, findMx } from '#dns/mx.ts';
import type { MxHost } from '#dns/mx.ts';
import type { Resolver } from '#dns/resolver.ts';
import { findTlsa } from '#tls/dane.ts';
import type { DaneEvidence } from '#tls/dane.ts';
import type { MtaSts } from '#tls/mta-sts.ts';
import { decide, isDomainSpecific } from '#tls/policy.ts';
import type { ConfiguredPolicy, Demand, HostEvidence, StsEvidence } from '#tls/policy.ts';
import type { Connected, Connector, DialParts, NotConnected, Refusal, Tried } from '#deliver/connector.ts';
import { dialUnder } from '#deliver/secure.ts';
import type { SecureParts } from '#deliver/secure.ts';
import { explainRefusal } from '#deliver/security-text.ts';

export type MxParts = DialParts & {
  readonly resolver: Resolver;
  readonly port: number;
  readonly allowPrivate: boolean;
  readonly isPrivate: (address: string) => boolean;
  /** True for this server's own names, and for its own addresses on the port it would be dialled on. */
  readonly isSelf: (host: string, addresses: readonly string[]) => boolean;
  readonly sts: Pick<MtaSts, 'evidence'>;
  /** The row of [[tls_policy]] for a domain. */
  readonly configured: (domain: string) => ConfiguredPolicy | null;
};

/** Where a domain's mail goes, or why nowhere. */
export type Plan = { readonly connector: Connector } | { readonly refusal: Refusal };

const PLAN_MS = 5 * 60_000;
const REFUSAL_MS = 30_000;
const MAX_PLANS = 20_000;
const MAX_CANDIDATES = 10;
const SITE_CHARACTERS = 1000;

export type MxPlanner = {
  /** The plan for messages that ask this much, at once when it is known. */
  plan(domain: string, demand: Demand): MaybePromise<Plan>;
  /** Domains whose plan leads to this site, as far as known. */
  domainsOf(site: string): string[];
};

/** What is known of a domain: its hosts, and what it says of TLS. */
type Domain = {
  readonly name: string;
  readonly hosts: readonly MxHost[];
  readonly mxSecure: boolean;
  readonly mxAuthentic: boolean;
  readonly sts: StsEvidence;
  readonly configured: ConfiguredPolicy | null;
  /** Of each host, when the plan was made: only for how mail may share connections; what counts is looked up at each connection. */
  readonly dane: readonly DaneEvidence[];
  readonly connectors: Map<Demand, Connector>;
};

type Known = Domain | { readonly refusal: Refusal };

/** Makes the planner of one worker. Plans are kept for five minutes, refusals for half a minute, at most 20,000. */
export function openMxPlanner(parts: MxParts): MxPlanner {
  const plans = new Map<string, { plan: MaybePromise<Known>; untilMs: number }>();
  const secure: SecureParts = { ...parts, broken: new Map() };
  const known = (domain: string): MaybePromise<Known> => {
    const nowMs = parts.clock.nowMs();
    const kept = plans.get(domain);
    if (kept !== undefined && kept.untilMs > nowMs && isCurrent(parts, kept.plan)) return kept.plan;
    const promise = lookInto(parts, domain).then((plan) => {
      plans.set(domain, { plan, untilMs: parts.clock.nowMs() + ('refusal' in plan ? REFUSAL_MS : PLAN_MS) });
      return plan;
    });
    if (plans.size > MAX_PLANS) plans.clear();
    plans.set(domain, { plan: promise, untilMs: nowMs + PLAN_MS });
    promise.catch(() => plans.delete(domain));
    return promise;
  };
  const planOf = (plan: Known, demand: Demand): Plan => {
    if ('refusal' in plan) return plan;
    let connector = plan.connectors.get(demand);
    if (connector === undefined) plan.connectors.set(demand, (connector = mxConnector(parts, secure, plan, demand)));
    return { connector };
  };
  return {
    plan(domain, demand) {
      const plan = known(domain);
      return isPromise(plan) ? plan.then((found) => planOf(found, demand)) : planOf(plan, demand);
    },
    domainsOf(site) {
      return [...plans].filter(([, { plan }]) => !isPromise(plan) && 'connectors' in plan && plan.connectors.get('policy')?.site === site).map(([domain]) => domain);
    },
  };
}

/** A reload may have changed what [[tls_policy]] says. */
function isCurrent(parts: MxParts, plan: MaybePromise<Known>): boolean {
  return isPromise(plan) || 'refusal' in plan || plan.configured === parts.configured(plan.name);
}

async function lookInto(parts: MxParts, domain: string): Promise<Known> {
  const [plan, sts] = await Promise.all([planDomain(parts, domain), parts.sts.evidence(domain)]);
  if ('refusal' in plan) return plan;
  const { hosts, mxSecure, implicit } = plan;
  const dane = await Promise.all(hosts.map(({ host }) => daneOf(parts, host, mxSecure)));
  return { name: domain, hosts, mxSecure, mxAuthentic: mxSecure || implicit, sts, configured: parts.configured(domain), dane, connectors: new Map() };
}

function daneOf(parts: MxParts, host: string, mxSecure: boolean): Promise<DaneEvidence> {
  if (isIP(host) !== 0) return Promise.resolve({ status: 'none', why: `${host} is an address, not a name` });
  return findTlsa(parts.resolver, { host, port: parts.port, mxSecure });
}

/**
 * All domains behind the same hosts share a lane, `mx:best,best:next`; a domain whose TLS policy is its own has one to itself,
 * `mx:best/mta-sts=example.com`, so that its mail never takes a connection that was good enough for another's.
 */
function siteOf(hosts: readonly MxHost[]): string {
  const levels = new Map<number, string[]>();
  for (const { host, preference } of hosts) levels.set(preference, [...(levels.get(preference) ?? []), host]);
  const name = [...levels.keys()]
    .toSorted((one, other) => one - other)
    .map((preference) => levels.get(preference)?.toSorted().join(','))
    .join(':');
  return `mx:${name.length <= SITE_CHARACTERS ? name : `${name.slice(0, SITE_CHARACTERS)}~${createHash('sha256').update(name).digest('hex').slice(0, 16)}`}`;
}

/** The name of the lane, and whether it is the domain's own. Those that DANE protects do not meet those it does not, at the same hosts. */
function laneOf(domain: Domain, demand: Demand): { readonly site: string; readonly shared: string; readonly own: boolean } {
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

type Hosts = { readonly hosts: readonly MxHost[]; readonly mxSecure: boolean; readonly implicit: boolean };

async function planDomain(parts: MxParts, domain: string): Promise<Hosts | { refusal: Refusal }> {
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
      return withoutSelf(parts, domain, { hosts: answer.hosts, mxSecure: answer.authenticated, implicit: answer.implicit });
  }
}

/** A host that is this server itself, and all that are no better, must not be tried: the mail would go in circles (RFC 5321 5.1). */
async function withoutSelf(parts: MxParts, domain: string, found: Hosts): Promise<Hosts | { refusal: Refusal }> {
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

function mxConnector(parts: MxParts, secure: SecureParts, domain: Domain, demand: Demand): Connector {
  const { site, shared, own } = laneOf(domain, demand);
  // A connection that others use too knows of no single domain.
  const about = own ? domain : { sts: { status: 'none', why: 'no MTA-STS policy' } as const, configured: null };
  return {
    site,
    limit: shared,
    route: 'mx',
    async connect(signal) {
      const attempt = new Connecting(parts, secure, { mxSecure: domain.mxSecure, mxAuthentic: domain.mxAuthentic, sts: about.sts, configured: about.configured, demand });
      return attempt.run(domain.hosts, own ? domain.name : null, signal);
    },
  };
}

type SiteEvidence = Omit<HostEvidence, 'domain' | 'host' | 'dane'> & { readonly mxSecure: boolean };

/** One walk over the hosts of a site. */
class Connecting {
  readonly #parts: MxParts;
  readonly #secure: SecureParts;
  readonly #evidence: SiteEvidence;
  readonly #tried: Tried[] = [];
  #permanent: Refusal | null = null;
  /** A host was left out for its security: that may be mended. */
  #insecure = false;

  constructor(parts: MxParts, secure: SecureParts, evidence: SiteEvidence) {
    this.#parts = parts;
    this.#secure = secure;
    this.#evidence = evidence;
  }

  async run(hosts: readonly MxHost[], domain: string | null, signal: AbortSignal): Promise<Connected | NotConnected> {
    for (const { host } of hosts) {
      if (this.#tried.length >= MAX_CANDIDATES || signal.aborted) return { tried: this.#tried, permanent: null };
      const connected = await this.#host(host, domain ?? host, signal);
      if (connected !== null) return connected;
    }
    if (this.#evidence.demand === 'requiretls') return { tried: this.#tried, permanent: cannotRequireTls(this.#tried) };
    const permanent = !this.#insecure && this.#tried.every((one) => one.failure.kind === 'policy') ? this.#permanent : null;
    return { tried: this.#tried, permanent };
  }

  /** All addresses of one host. */
  async #host(host: string, domain: string, signal: AbortSignal): Promise<Connected | null> {
    const { resolver, port, allowPrivate, isPrivate } = this.#parts;
    const found = await findAddresses(resolver, host);
    if ('failure' in found) {
      this.#permanent = found.failure.kind === 'temporary' ? null : noAddress(host, found.failure.detail);
      this.#tried.push(dnsFailure(host, found.failure.detail));
      return null;
    }
    const decision = decide({ ...this.#evidence, domain, host, dane: await daneOf(this.#parts, host, this.#evidence.mxSecure) });
    if ('refused' in decision) {
      this.#insecure = true;
      this.#tried.push(refusedHost(host, decision.refused, decision.why, explainRefusal(decision, host)));
      return null;
    }
    for (const address of found.addresses) {
      if (this.#tried.length >= MAX_CANDIDATES || signal.aborted) return null;
      if (!allowPrivate && isPrivate(address)) {
        this.#permanent = privateAddress(host, address);
        continue;
      }
      this.#permanent = null;
      const { result } = await dialUnder(this.#secure, decision, { host, address, port }, signal);
      if (!('client' in result)) {
        this.#tried.push(result);
        continue;
      }
      if (this.#evidence.demand !== 'requiretls' || result.client.capabilities.keywords.has('REQUIRETLS')) return result;
      await result.client.quit();
      this.#tried.push({ host, address, port, failure: policyFailure('ERR_REQUIRETLS', `${host} does not offer REQUIRETLS`) });
    }
    return null;
  }
}

/** REQUIRETLS ends at once where no host can give it, and waits where one only did not answer (RFC 8689 4.2.1). */
function cannotRequireTls(tried: readonly Tried[]): Refusal | null {
  const definite = tried.every(({ failure }) => failure.kind === 'policy' || failure.kind === 'tls' || failure.phase === 'starttls');
  const lookUp = tried.some(({ failure }) => failure.code === 'ENOTFOUND' || failure.code === 'dane-lookup-failed');
  const last = tried.at(-1);
  if (!definite || lookUp || last === undefined) return null;
  const unsupported = tried.find(({ failure }) => failure.code === 'ERR_REQUIRETLS');
  if (unsupported !== undefined) {
    return {
      verdict: 'bounced',
      code: 550,
      enhanced: '5.7.30',
      text: 'REQUIRETLS support required',
      class: 'requiretls-missing',
      cause: `The message may only go over verified TLS from hop to hop (REQUIRETLS), and ${unsupported.host} does not offer that.`,
      fix: 'Send without REQUIRETLS, or ask the receiver to support it.',
    };
  }
  return {
    verdict: 'bounced',
    code: 550,
    enhanced: '5.7.10',
    text: 'Encryption needed',
    class: 'requiretls-missing',
    cause: last.explained?.cause ?? `The message may only go over verified TLS (REQUIRETLS), and ${last.host} cannot give it: ${last.failure.text}.`,
    fix: 'Send without REQUIRETLS, or ask the receiver to mend its TLS.',
  };
}

function refusedHost(host: string, code: string, why: string, explained: Tried['explained']): Tried {
  return { host, address: null, port: null, failure: policyFailure(code, why), ...(explained === undefined ? {} : { explained }) };
}

function policyFailure(code: string, text: string): Tried['failure'] {
  return { phase: 'connect', kind: 'policy', reply: null, code, text, possibleDuplicate: false };
}

function dnsFailure(host: string, detail: string): Tried {
  return { host, address: null, port: null, failure: policyFailure('ENOTFOUND', `no address for ${host}: ${detail}`) };
}

function noAddress(host: string, detail: string): Refusal {
  return {
    verdict: 'bounced',
    code: 550,
    enhanced: '5.4.4',
    text: `No address for ${host}`,
    class: 'bad-mx',
    cause: `The mail host ${host} has no address: ${detail}.`,
    fix: 'Whoever runs the domain has to mend its MX or address records.',
  };
}

function privateAddress(host: string, address: string): Refusal {
  return {
    verdict: 'bounced',
    code: 550,
    enhanced: '5.4.4',
    text: `${host} has the private address ${address}`,
    class: 'private-address',
    cause: `The mail host ${host} has the address ${address}, which is private or this machine itself.`,
    fix: 'The receiver has to publish a public address; for tests or inner networks set delivery.allow_private_addresses = true.',
  };
}
