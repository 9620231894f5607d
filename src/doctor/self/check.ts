// What a check of the own server is: facts in, verdicts out, each for a subject. The facts come from the server; what is not in them (the DNS, the
// network) is asked, bounded by the resolver and the time limit.

import type { SecureContext } from 'node:tls';
import type { Resolver } from '#dns/resolver.ts';
import type { Verdict } from '#doctor/report.ts';

export type OwnCertificate = { readonly names: readonly string[]; readonly validFromMs: number; readonly expiresMs: number; readonly renewedBy: 'acme' | 'itself' | 'operator' };

/** A record that a domain of this server should have, as the last look at the DNS found it. */
export type OwnRecord = {
  readonly type: string;
  readonly name: string;
  readonly purpose: string;
  readonly status: 'right' | 'missing' | 'wrong' | 'unknown' | 'unchecked';
  /** From a look just now; null: the last look noted no more than the status. */
  readonly cause: string | null;
};
export type OwnDomain = { readonly name: string; readonly records: readonly OwnRecord[] };

export type SelfContext = {
  readonly hostname: string;
  readonly nowMs: number;
  readonly certificates: readonly OwnCertificate[];
  readonly domains: readonly OwnDomain[];
  /** Why nothing leaves from here by itself, so that nobody needs to care what others think of this address; null: mail is sent. */
  readonly sendsNothing: string | null;
  /** Why port 25 does not matter; null: mail is delivered to mail hosts. */
  readonly noMx: string | null;
  /** Hosts that take connections from everybody on `mxPort`. */
  readonly references: readonly string[];
  readonly mxPort: number;
  /** Addresses that mail leaves from; none: those of the host name. */
  readonly addresses: readonly string[];
  readonly blocklists: readonly string[];
  readonly resolver: Resolver;
  readonly context: SecureContext;
  readonly timeoutMs: number;
};

export type SelfVerdict = Verdict & { readonly subject: string };
export type SelfCheck = { readonly id: string; readonly title: string; readonly judge: (context: SelfContext) => Promise<readonly SelfVerdict[]> | readonly SelfVerdict[] };

/** Nothing to look at, and why. */
export function skipped(subject: string, evidence: string): readonly SelfVerdict[] {
  return [{ subject, status: 'skip', evidence }];
}
