// The checks of a domain, in the order they are shown. They run side by side; each is bounded by the resolver.

import type { Resolver } from '#dns/resolver.ts';
import { blocklists, reverse } from './addresses.ts';
import type { DomainCheck, DomainContext, DomainVerdict } from './check.ts';
import { dkim, dmarc, spf } from './identity.ts';
import { ipv6, mailHosts, mx } from './mail-hosts.ts';
import { dane, mtaSts, tlsrpt } from './transport.ts';

const CHECKS: readonly DomainCheck[] = [mx, ipv6, spf, dkim, dmarc, mtaSts, tlsrpt, dane, reverse, blocklists];

export type DomainFinding = { readonly check: DomainCheck; readonly verdict: DomainVerdict; readonly durationMs: number };

export type DomainOptions = Pick<DomainContext, 'selectors' | 'sendingAddresses' | 'blocklists'>;

/** All findings, and the context with the mail hosts that are to be probed. */
export async function examineDomain(domain: string, resolver: Resolver, options: DomainOptions): Promise<{ findings: readonly DomainFinding[]; hosts: DomainContext['hosts'] }> {
  const hosts = await mailHosts(resolver, domain);
  const context: DomainContext = { domain, resolver, nowMs: Date.now(), hosts, ...options };
  const results = await Promise.all(
    CHECKS.map(async (check) => {
      const startMs = performance.now();
      const verdicts = await check.judge(context);
      return verdicts.map((verdict) => ({ check, verdict, durationMs: performance.now() - startMs }));
    }),
  );
  return { findings: results.flat(), hosts };
}
