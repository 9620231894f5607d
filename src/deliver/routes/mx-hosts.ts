// The hosts of one site, dialled in order, each under what the policy requires of it. RFC 5321 5.1, RFC 7672 2.2, RFC 8461 5.1, RFC 8689 4.2.1.

import { isIP } from 'node:net';
import type { Connected, Connector, DialParts, Except, NotConnected, Refusal, Tried } from '#deliver/connector.ts';
import type { HostAddress } from '#deliver/hosts.ts';
import { dialUnder } from '#deliver/secure.ts';
import type { Allowed, SecureParts } from '#deliver/secure.ts';
import { explainRefusal } from '#deliver/security-text.ts';
import type { SessionLog } from '#deliver/session-log.ts';
import { reportsOfRefusal, reportsOfSession } from '#deliver/session-report.ts';
import type { SessionReport } from '#deliver/session-report.ts';
import { findAddresses } from '#dns/mx.ts';
import type { MxHost } from '#dns/mx.ts';
import type { Resolver } from '#dns/resolver.ts';
import type { LaneName } from '#queue/records.ts';
import { findTlsa } from '#tls/dane.ts';
import type { DaneEvidence } from '#tls/dane.ts';
import type { MtaSts } from '#tls/mta-sts.ts';
import { decide } from '#tls/policy.ts';
import type { ConfiguredPolicy, Demand, HostEvidence, StsEvidence } from '#tls/policy.ts';

/** What it takes to look into a domain. */
export type LookParts = {
  readonly resolver: Resolver;
  readonly port: number;
  /** True for this server's own names, and for its own addresses on the port it would be dialled on. */
  readonly isSelf: (host: string, addresses: readonly string[]) => boolean;
  readonly sts: Pick<MtaSts, 'evidence'>;
  /** The row of [[tls_policy]] for a domain. */
  readonly configured: (domain: string) => ConfiguredPolicy | null;
};

export type MxParts = DialParts &
  LookParts & {
    readonly allowPrivate: boolean;
    readonly isPrivate: (address: string) => boolean;
    readonly random: () => number;
    /** Counts for TLS reports. */ readonly sessionLog: Pick<SessionLog, 'note'>;
  };

/** What is known of a domain: its hosts, and what it says of TLS. */
export type Domain = {
  readonly name: string;
  readonly hosts: readonly MxHost[];
  readonly ttlSeconds: number;
  readonly mxSecure: boolean;
  readonly mxAuthentic: boolean;
  readonly sts: StsEvidence;
  readonly configured: ConfiguredPolicy | null;
  /** Of each host, when the plan was made: only for how mail may share connections; what counts is looked up at each connection. */
  readonly dane: readonly DaneEvidence[];
  readonly connectors: Map<Demand, Connector>;
};

/** Where mail of a domain waits. `shared`: what domains with the same hosts have in common; `own`: the site is this domain's alone. */
export type MxLane = { readonly site: LaneName; readonly shared: string; readonly own: boolean };

const MAX_CANDIDATES = 10;

/** The connector of one site. */
export function mxConnector(parts: MxParts, secure: SecureParts, { domain, lane, demand }: { domain: Domain; lane: MxLane; demand: Demand }): Connector {
  const { site, shared, own } = lane;
  const { hosts, mxSecure, mxAuthentic } = domain;
  // A connection that others use too knows of no single domain.
  const about = own ? domain : { sts: { status: 'none', why: 'no MTA-STS policy' } as const, configured: null };
  const groups = groupsOf(hosts);
  let addresses = hosts.length;
  return {
    site,
    limit: shared,
    route: 'mx',
    terms: own ? termsOf(domain) : '',
    get several() {
      return addresses > 1;
    },
    async connect(signal, { except, domains } = {}) {
      const evidence = { mxSecure, mxAuthentic, sts: about.sts, configured: about.configured, demand };
      const search = new Search(parts, secure, { evidence, domain: own ? domain.name : null, except: except ?? NONE });
      const result = await search.run(groups, signal);
      for (const name of domains ?? [domain.name]) parts.sessionLog.note(name, search.reports);
      addresses = Math.max(addresses, search.addresses);
      return result;
    },
  };
}

/** What the domain asks for, and not when we heard of it. */
function termsOf({ sts, configured, mxAuthentic }: Domain): string {
  return JSON.stringify([sts.status, sts.status === 'policy' ? sts.policy : null, configured, mxAuthentic]);
}

const NONE: Except = { has: () => false };

type SiteEvidence = Omit<HostEvidence, 'domain' | 'host' | 'dane'> & { readonly mxSecure: boolean };
type Candidate = { readonly at: HostAddress; readonly decision: Allowed; readonly evidence: HostEvidence };

/** One walk over the hosts of a site. */
class Search {
  /** Seen so far. */
  addresses = 0;
  readonly reports: SessionReport[] = [];
  readonly #parts: MxParts;
  readonly #secure: SecureParts;
  readonly #evidence: SiteEvidence;
  readonly #domain: string | null;
  readonly #except: Except;
  readonly #tried: Tried[] = [];
  #refusal: Refusal | null = null;
  /** Something may be otherwise next time, or is mended. */
  #mayPass = false;
  /** A host was left out because it had this mail already. */
  #excepted = false;

  constructor(parts: MxParts, secure: SecureParts, about: { evidence: SiteEvidence; domain: string | null; except: Except }) {
    this.#parts = parts;
    this.#secure = secure;
    this.#evidence = about.evidence;
    this.#domain = about.domain;
    this.#except = about.except;
  }

  async run(groups: readonly (readonly MxHost[])[], signal: AbortSignal): Promise<Connected | NotConnected> {
    for await (const { at, decision, evidence } of this.#candidates(groups)) {
      if (this.#tried.length >= MAX_CANDIDATES || signal.aborted) return { tried: this.#tried, permanent: null };
      const { result, facts } = await dialUnder(this.#secure, decision, at, signal);
      if (facts !== null && !signal.aborted) this.#report(reportsOfSession(evidence, facts));
      if ('client' in result && (await this.#suffices(result))) {
        this.#others();
        return result;
      }
      if (!('client' in result)) this.#tried.push(result);
    }
    if (this.#evidence.demand === 'requiretls') return { tried: this.#tried, permanent: this.#excepted ? null : cannotRequireTls(this.#tried) };
    return { tried: this.#tried, permanent: this.#mayPass || this.#tried.some((one) => one.failure.kind !== 'policy') ? null : this.#refusal };
  }

  /** By preference, equal ones in an order of chance each time (RFC 5321 5.1); those that lately failed come last. */
  async *#candidates(groups: readonly (readonly MxHost[])[]): AsyncGenerator<Candidate> {
    const { hosts, random } = this.#parts;
    const later: Candidate[] = [];
    for (const group of groups) {
      for (const { host } of shuffled(group, random)) {
        for (const candidate of await this.#addressesOf(host)) {
          if (hosts.isAvoided(candidate.at)) later.push(candidate);
          else yield candidate;
        }
      }
    }
    yield* later;
  }

  async #addressesOf(host: string): Promise<Candidate[]> {
    const { resolver, port, allowPrivate, isPrivate } = this.#parts;
    const found = await findAddresses(resolver, host);
    if ('failure' in found) {
      if (found.failure.kind === 'temporary') this.#mayPass = true;
      else this.#refusal = noAddress(host, found.failure.detail);
      this.#tried.push(dnsFailure(host, found.failure.detail));
      return [];
    }
    this.addresses += found.addresses.length;
    const evidence = { ...this.#evidence, domain: this.#domain ?? host, host, dane: await daneOf(this.#parts, host, this.#evidence.mxSecure) };
    const decision = decide(evidence);
    if ('refused' in decision) {
      this.#mayPass = true;
      this.#report(reportsOfRefusal(evidence, decision));
      this.#tried.push(refusedHost(host, decision.refused, decision.why, explainRefusal(decision, host)));
      return [];
    }
    const allowed = found.addresses.filter((address) => allowPrivate || !isPrivate(address));
    const refused = found.addresses.find((address) => !allowed.includes(address));
    if (allowed.length === 0 && refused !== undefined) this.#refusal = privateAddress(host, refused);
    const open = allowed.filter((address) => !this.#except.has(address));
    // Had this mail already, and may take it next time.
    if (open.length < allowed.length) this.#mayPass = this.#excepted = true;
    return open.map((address) => ({ at: { host, address, port }, decision, evidence }));
  }

  /** Of a connection that others use too nobody's domain is known: whoever waits for it is told. */
  #report(reports: readonly SessionReport[]): void {
    const shared = this.#domain === null;
    this.reports.push(...reports.map((one) => (shared && one.policy.type !== 'tlsa' ? { ...one, policy: { ...one.policy, domain: '' } } : one)));
  }

  async #suffices({ client, host, address, port }: Connected): Promise<boolean> {
    if (this.#evidence.demand !== 'requiretls' || client.capabilities.keywords.has('REQUIRETLS')) return true;
    await client.quit();
    this.#tried.push({ host, address, port, failure: policyFailure('ERR_REQUIRETLS', `${host} does not offer REQUIRETLS`) });
    return false;
  }

  /** One works: those before it that did not come last for a while. */
  #others(): void {
    for (const { host, address, port, failure } of this.#tried) {
      if (address !== null && port !== null && failure.kind !== 'aborted' && failure.kind !== 'policy') this.#parts.hosts.avoid({ host, address, port }, failure.text);
    }
  }
}

/** Hosts by preference, best first. */
function groupsOf(hosts: readonly MxHost[]): MxHost[][] {
  return [...Map.groupBy(hosts, ({ preference }) => preference)].toSorted(([one], [other]) => one - other).map(([, group]) => group);
}

function shuffled<T>(items: readonly T[], random: () => number): readonly T[] {
  if (items.length < 2) return items;
  return items
    .map((item) => ({ item, key: random() }))
    .toSorted((one, other) => one.key - other.key)
    .map(({ item }) => item);
}

/** What the DNS says of a host's certificate. */
export function daneOf(parts: LookParts, host: string, mxSecure: boolean): Promise<DaneEvidence> {
  if (isIP(host) !== 0) return Promise.resolve({ status: 'none', why: `${host} is an address, not a name` });
  return findTlsa(parts.resolver, { host, port: parts.port, mxSecure });
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
