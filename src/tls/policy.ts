// What a connection to a mail host must show before mail goes over it: one pure decision from the evidence. DANE before MTA-STS before
// opportunistic TLS; the operator's and the sender's wishes over both. RFC 7672, RFC 8461 2, RFC 8689 4, RFC 7435.

import type { DaneEvidence } from './dane.ts';
import { allowsHost } from './mta-sts-policy.ts';
import type { StsPolicy } from './mta-sts-policy.ts';
import { hasTrustAnchor } from './tlsa.ts';
import type { TlsaSet } from './tlsa.ts';

/** What is known of a domain's MTA-STS policy. `stale`: why it could not be refreshed. `failed`: one is announced, but cannot be had. */
export type StsEvidence =
  | { readonly status: 'policy'; readonly id: string; readonly policy: StsPolicy; readonly fetchedAtMs: number; readonly expiresAtMs: number; readonly stale: string | null }
  | { readonly status: 'failed'; readonly result: StsFailure; readonly why: string }
  | { readonly status: 'none'; readonly why: string };

/** RFC 8460 4.3.2.2. */
export type StsFailure = 'sts-policy-fetch-error' | 'sts-policy-invalid' | 'sts-webpki-invalid';

/** A row of [[tls_policy]]: `opportunistic` and `off` stand in the place of what the domain publishes, the others are the least. */
export type ConfiguredPolicy = {
  readonly match: string;
  readonly require: 'off' | 'opportunistic' | 'encrypted' | 'verified' | 'dane';
  /** The names a certificate may have, instead of the mail host's. */
  readonly names: readonly string[];
};

/**
 * What the message asks. `requiretls`: authenticated TLS or not at all (RFC 8689 4.2.1); `encrypted`: a bounce of such a message;
 * `tls-optional`: what the receiver publishes does not count (TLS-Required: No).
 */
export type Demand = 'policy' | 'requiretls' | 'encrypted' | 'tls-optional';

export type HostEvidence = {
  readonly domain: string;
  readonly host: string;
  /** That this is a mail host of the domain is validated by DNSSEC, or needs no record (the domain itself). */
  readonly mxAuthentic: boolean;
  readonly dane: DaneEvidence;
  readonly sts: StsEvidence;
  readonly configured: ConfiguredPolicy | null;
  readonly demand: Demand;
};

export type Required =
  | { readonly level: 'off' | 'opportunistic' | 'encrypted' }
  /** A chain to a trusted authority, and one of the names. */
  | { readonly level: 'verified'; readonly names: readonly string[] }
  | { readonly level: 'dane'; readonly base: string; readonly names: readonly string[]; readonly set: TlsaSet };

export type PolicyName = 'opportunistic' | 'dane' | 'mta-sts' | 'mta-sts-testing' | 'configured' | 'requiretls' | 'tls-optional';

/** Why a host may not be used at all. */
export type HostRefusal = 'dane-lookup-failed' | 'dane-required' | 'mta-sts-mx-mismatch' | 'requiretls-mx-unverified';

/** The decision for one host. `why` is for people: what the policy is and whose. */
export type Decision = { readonly policy: PolicyName; readonly why: string } & ({ readonly required: Required } | { readonly refused: HostRefusal });

const STRENGTH = { off: 0, opportunistic: 1, encrypted: 2, verified: 3, dane: 4 } as const;

/** Decides what is required of a host. */
export function decide(evidence: HostEvidence): Decision {
  switch (evidence.demand) {
    case 'policy':
      return configured(evidence, published(evidence));
    case 'encrypted':
      return atLeast(configured(evidence, published(evidence)), {
        policy: 'requiretls',
        why: 'the message is a report about one with REQUIRETLS (RFC 8689 5)',
        required: { level: 'encrypted' },
      });
    case 'tls-optional':
      // Where the operator wants the host authenticated, what it publishes says how.
      if (evidence.configured?.require === 'verified' || evidence.configured?.require === 'dane') return configured(evidence, published(evidence));
      return configured(evidence, { policy: 'tls-optional', why: 'the message says TLS-Required: No (RFC 8689 3)', required: { level: 'opportunistic' } });
    case 'requiretls':
      return requireTls(evidence);
  }
}

/** True when the decision holds for this domain only: then its mail must not share connections with that of others. */
export function isDomainSpecific({ configured: row, demand, sts, dane }: Omit<HostEvidence, 'host'>): boolean {
  if (row !== null || demand !== 'policy' || sts.status === 'failed') return true;
  // The domain's own name counts where a trust anchor stands in the DNS (RFC 7672 3.2.3).
  return (sts.status === 'policy' && sts.policy.mode !== 'none') || (dane.status === 'usable' && hasTrustAnchor(dane.set.usable));
}

/** What the receiver publishes. MTA-STS does not override DANE, whatever comes of it (RFC 8461 2). */
function published({ domain, host, dane, sts }: HostEvidence): Decision {
  if (dane.status === 'failed') return { policy: 'dane', why: `the TLSA records of ${dane.name} (DANE) cannot be looked up: ${dane.why}`, refused: 'dane-lookup-failed' };
  if (dane.status === 'usable') {
    const names = [...new Set([dane.base, host, domain])];
    return { policy: 'dane', why: `TLSA records at ${dane.name} (DANE)`, required: { level: 'dane', base: dane.base, names, set: dane.set } };
  }
  if (sts.status === 'policy' && sts.policy.mode === 'enforce') {
    const why = `${domain} enforces MTA-STS (policy id ${sts.id})`;
    if (allowsHost(sts.policy, host)) return { policy: 'mta-sts', why, required: { level: 'verified', names: [host] } };
    return { policy: 'mta-sts', why: `${why}, and its policy does not list ${host}`, refused: 'mta-sts-mx-mismatch' };
  }
  if (dane.status === 'unusable') return { policy: 'dane', why: `TLSA records at ${dane.name} (DANE), none of a usable kind`, required: { level: 'encrypted' } };
  if (sts.status === 'policy' && sts.policy.mode === 'testing') {
    return { policy: 'mta-sts-testing', why: `${domain} tests MTA-STS (policy id ${sts.id}): failures are reported only`, required: { level: 'opportunistic' } };
  }
  return {
    policy: 'opportunistic',
    why: `${dane.why}; ${sts.status === 'policy' ? `the MTA-STS policy of ${domain} has mode none` : sts.why}`,
    required: { level: 'opportunistic' },
  };
}

/** The operator's word. */
function configured({ host, configured: row }: HostEvidence, base: Decision): Decision {
  if (row === null) return base;
  const why = `[[tls_policy]] match = "${row.match}" requires ${row.require}`;
  switch (row.require) {
    case 'off':
    case 'opportunistic':
      return { policy: 'configured', why, required: { level: row.require } };
    case 'encrypted':
      return atLeast(base, { policy: 'configured', why, required: { level: 'encrypted' } });
    case 'verified':
      return atLeast(base, { policy: 'configured', why, required: { level: 'verified', names: row.names.length > 0 ? row.names : [host] } });
    case 'dane':
      if ('refused' in base || base.required.level === 'dane') return base;
      return { policy: 'configured', why: `${why}, and ${host} has no TLSA records that can be used`, refused: 'dane-required' };
  }
}

/** RFC 8689 4.2.1: the way to the host must be authentic, and so must the host be. */
function requireTls(evidence: HostEvidence): Decision {
  const { host, sts, mxAuthentic, configured: row } = evidence;
  const lowered = row !== null && STRENGTH[row.require] < STRENGTH.encrypted;
  const base = lowered ? published(evidence) : configured(evidence, published(evidence));
  if ('refused' in base) return base;
  const why = `the message was sent with REQUIRETLS (RFC 8689); ${base.why}`;
  if (base.required.level === 'dane') return { ...base, policy: 'requiretls', why };
  const listed = sts.status === 'policy' && sts.policy.mode !== 'none' && allowsHost(sts.policy, host);
  const named = base.policy === 'configured' && base.required.level === 'verified' && (row?.names.length ?? 0) > 0;
  if (!mxAuthentic && !listed && !named) {
    return {
      policy: 'requiretls',
      why: `the message was sent with REQUIRETLS (RFC 8689), and neither DNSSEC nor MTA-STS says that ${host} is a mail host of ${evidence.domain}`,
      refused: 'requiretls-mx-unverified',
    };
  }
  return { policy: 'requiretls', why, required: base.required.level === 'verified' ? base.required : { level: 'verified', names: [host] } };
}

function atLeast(base: Decision, floor: Decision & { readonly required: Required }): Decision {
  if ('refused' in base) return base;
  return STRENGTH[base.required.level] >= STRENGTH[floor.required.level] ? base : floor;
}
