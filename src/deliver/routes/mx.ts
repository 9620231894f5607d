// The route to the MX hosts of a domain: plans its site from the DNS, dials its hosts in order, with STARTTLS where it is offered and works.
// RFC 5321 5.1, RFC 7505, RFC 3207, RFC 7435 (opportunistic security).

import { sleep } from '#base/clock.ts';
import type { MaybePromise } from '#base/promise.ts';
import { findAddresses, findMx } from '#dns/mx.ts';
import type { MxHost } from '#dns/mx.ts';
import type { Resolver } from '#dns/resolver.ts';
import { dial } from '#deliver/connector.ts';
import type { Connected, Connector, DialParts, Refusal, Tried } from '#deliver/connector.ts';

export type MxParts = DialParts & {
  readonly resolver: Resolver;
  readonly port: number;
  readonly allowPrivate: boolean;
  readonly isPrivate: (address: string) => boolean;
  /** True for this server's own names, and for its own addresses on the port it would be dialled on. */
  readonly isSelf: (host: string, addresses: readonly string[]) => boolean;
};

/** Where a domain's mail goes, or why nowhere. */
export type Plan = { readonly connector: Connector } | { readonly refusal: Refusal };

const PLAN_MS = 5 * 60_000;
const REFUSAL_MS = 30_000;
const MAX_PLANS = 20_000;
const MAX_CANDIDATES = 10;
const PLAINTEXT_MS = 10 * 60_000;

export type MxPlanner = {
  /** The plan, at once when it is known. */
  plan(domain: string): MaybePromise<Plan>;
  /** Domains whose plan leads to this site, as far as known. */
  domainsOf(site: string): string[];
};

/** Makes the planner of one worker. Plans are kept for five minutes, refusals for half a minute, at most 20,000. */
export function openMxPlanner(parts: MxParts): MxPlanner {
  const plans = new Map<string, { plan: MaybePromise<Plan>; untilMs: number }>();
  const connectors = new Map<string, Connector>();
  const plaintext = new Map<string, number>();
  const make = async (domain: string): Promise<Plan> => {
    const plan = await planDomain(parts, domain);
    if ('refusal' in plan) return plan;
    const site = siteOf(plan.hosts);
    let connector = connectors.get(site);
    if (connector === undefined) {
      connector = mxConnector(parts, site, plan.hosts, plaintext);
      connectors.set(site, connector);
      if (connectors.size > MAX_PLANS) connectors.clear();
    }
    return { connector };
  };
  return {
    plan(domain) {
      const nowMs = parts.clock.nowMs();
      const known = plans.get(domain);
      if (known !== undefined && known.untilMs > nowMs) return known.plan;
      const promise = make(domain).then((plan) => {
        plans.set(domain, { plan, untilMs: parts.clock.nowMs() + ('refusal' in plan ? REFUSAL_MS : PLAN_MS) });
        return plan;
      });
      if (plans.size > MAX_PLANS) plans.clear();
      plans.set(domain, { plan: promise, untilMs: nowMs + PLAN_MS });
      promise.catch(() => plans.delete(domain));
      return promise;
    },
    domainsOf(site) {
      return [...plans].filter(([, { plan }]) => !(plan instanceof Promise) && 'connector' in plan && plan.connector.site === site).map(([domain]) => domain);
    },
  };
}

/** One lane for all domains behind the same hosts: the ones of the best preference name it. */
function siteOf(hosts: readonly MxHost[]): string {
  const best = Math.min(...hosts.map((host) => host.preference));
  return `mx:${hosts
    .filter((host) => host.preference === best)
    .map((host) => host.host)
    .toSorted()
    .join(',')}`;
}

async function planDomain(parts: MxParts, domain: string): Promise<{ hosts: readonly MxHost[] } | { refusal: Refusal }> {
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
      return withoutSelf(parts, domain, answer.hosts);
  }
}

/** A host that is this server itself, and all that are no better, must not be tried: the mail would go in circles (RFC 5321 5.1). */
async function withoutSelf(parts: MxParts, domain: string, hosts: readonly MxHost[]): Promise<{ hosts: readonly MxHost[] } | { refusal: Refusal }> {
  let own = Infinity;
  for (const host of hosts) {
    if (host.preference >= own) continue;
    // By its name alone, without asking for an address that the DNS may not even have.
    const found = parts.isSelf(host.host, []) ? null : await findAddresses(parts.resolver, host.host);
    if (found === null || parts.isSelf(host.host, 'addresses' in found ? found.addresses : [])) own = host.preference;
  }
  const usable = hosts.filter((host) => host.preference < own);
  if (usable.length > 0) return { hosts: usable };
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

function mxConnector(parts: MxParts, site: string, hosts: readonly MxHost[], plaintext: Map<string, number>): Connector {
  return {
    site,
    route: 'mx',
    async connect(signal) {
      const tried: Tried[] = [];
      let permanent: Refusal | null = null;
      for (const { host } of hosts) {
        const found = await findAddresses(parts.resolver, host);
        if ('failure' in found) {
          permanent = found.failure.kind === 'temporary' ? null : noAddress(host, found.failure.detail);
          tried.push(dnsFailure(host, found.failure.detail));
          continue;
        }
        for (const address of found.addresses) {
          if (tried.length >= MAX_CANDIDATES || signal.aborted) return { tried, permanent: null };
          if (!parts.allowPrivate && parts.isPrivate(address)) {
            permanent = privateAddress(host, address);
            continue;
          }
          permanent = null;
          const result = await dialMx(parts, { host, address }, plaintext, signal);
          if ('client' in result) return result;
          tried.push(result);
        }
      }
      return { tried, permanent: tried.every((one) => one.failure.kind === 'policy') ? permanent : null };
    },
  };
}

/** STARTTLS when it is offered; a handshake that fails is followed by a connection without, and that is said. */
async function dialMx(parts: MxParts, to: { host: string; address: string }, plaintext: Map<string, number>, signal: AbortSignal): Promise<Connected | Tried> {
  const target = { address: to.address, port: parts.port };
  const key = `${to.host} ${to.address}`;
  const base = { protocol: 'smtp', host: to.host, target, verify: false } as const;
  const nowMs = parts.clock.nowMs();
  let why = 'STARTTLS failed a short while ago';
  if ((plaintext.get(key) ?? 0) < nowMs) {
    const result = await dial(parts, { ...base, wanted: 'starttls-opportunistic' }, signal);
    if ('client' in result || !handshakeFailed(result)) return result;
    why = `STARTTLS failed: ${result.failure.text}`;
    if (plaintext.size > 10_000) plaintext.clear();
    plaintext.set(key, nowMs + PLAINTEXT_MS);
    parts.log.warn('delivery.tls-fallback', {
      host: to.host,
      address: to.address,
      cause: result.failure.text,
      fix: 'The receiver should mend its TLS; mail to it goes unencrypted for ten minutes, then STARTTLS is tried again.',
    });
    await sleep(parts.clock, 0);
  }
  const plain = await dial(parts, { ...base, wanted: 'none' }, signal);
  return 'client' in plain ? { ...plain, tls: `none (${why})` } : plain;
}

function handshakeFailed(tried: Tried): boolean {
  const { kind, phase, code } = tried.failure;
  // Bytes injected in the clear are an attack, not a broken handshake: nothing is sent to that host.
  if (code === 'ERR_INJECTION') return false;
  return kind === 'tls' || phase === 'tls' || phase === 'starttls';
}

function dnsFailure(host: string, detail: string): Tried {
  return {
    host,
    address: null,
    port: null,
    failure: { phase: 'connect', kind: 'policy', reply: null, code: 'ENOTFOUND', text: `no address for ${host}: ${detail}`, possibleDuplicate: false },
  };
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
