// The checks of a domain, in the order they are shown. They run side by side; each is bounded by the resolver.

import type { SecureContext } from 'node:tls';
import type { Resolver } from '#dns/resolver.ts';
import { blocklists, reverse } from './addresses.ts';
import type { DomainCheck, DomainContext, DomainVerdict } from './check.ts';
import { dane, findDane } from './dane.ts';
import type { DanePublished } from './dane.ts';
import { dkim, dmarc, spf } from './identity.ts';
import { ipv6, mailHosts, mx } from './mail-hosts.ts';
import { findStsPolicy, mtaSts } from './mta-sts.ts';
import type { StsPublished } from './mta-sts.ts';
import { tlsrpt } from './tlsrpt.ts';

const CHECKS: readonly DomainCheck[] = [mx, ipv6, spf, dkim, dmarc, mtaSts, tlsrpt, dane, reverse, blocklists];

export type DomainFinding = { readonly check: DomainCheck; readonly verdict: DomainVerdict; readonly durationMs: number };

export type DomainOptions = Pick<DomainContext, 'selectors' | 'sendingAddresses' | 'blocklists'> & { readonly context: SecureContext; readonly timeoutMs: number };

/** All findings, the mail hosts that are to be probed, and what they have to keep. */
export type Examined = { readonly findings: readonly DomainFinding[]; readonly hosts: DomainContext['hosts']; readonly sts: StsPublished; readonly dane: DanePublished };

export async function examineDomain(domain: string, resolver: Resolver, { context: tlsContext, timeoutMs, ...options }: DomainOptions): Promise<Examined> {
  const hosts = await mailHosts(resolver, domain);
  const sts = findStsPolicy(resolver, domain, { tlsContext, timeoutMs });
  const published = findDane(resolver, domain, hosts);
  const context: DomainContext = { domain, resolver, nowMs: Date.now(), hosts, sts, dane: published, ...options };
  const results = await Promise.all(
    CHECKS.map(async (check) => {
      const startMs = performance.now();
      const verdicts = await check.judge(context);
      return verdicts.map((verdict) => ({ check, verdict, durationMs: performance.now() - startMs }));
    }),
  );
  return { findings: results.flat(), hosts, sts: await sts, dane: await published };
}
