// What a thread knows of the TLS policies of others, put together from the configuration: MTA-STS with its memory, and the rows of
// [[tls_policy]] as they are now.

import type { SecureContext } from 'node:tls';
import { systemClock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import type { Config } from '#config/config.ts';
import { openPrivateCheck } from '#deliver/reach.ts';
import { matchesPattern } from '#dns/name.ts';
import type { Resolver } from '#dns/resolver.ts';
import { openMtaSts } from '#tls/mta-sts.ts';
import type { MtaSts, StsMemory } from '#tls/mta-sts.ts';
import type { ConfiguredPolicy } from '#tls/policy.ts';

export type TlsPolicies = {
  readonly sts: MtaSts;
  /** Addresses that are not fetched from. */
  readonly isRefused: (address: string) => boolean;
  readonly configured: (domain: string) => ConfiguredPolicy | null;
};

export type TlsPolicyParts = {
  readonly config: () => Config;
  readonly resolver: Resolver;
  readonly tlsContext: () => SecureContext;
  readonly memory: StsMemory;
  readonly log: Log;
};

export function openTlsPolicies({ config, resolver, tlsContext, memory, log }: TlsPolicyParts): TlsPolicies {
  const isPrivate = openPrivateCheck();
  const isRefused = (address: string): boolean => !config().delivery.allowPrivateAddresses && isPrivate(address);
  return {
    isRefused,
    sts: openMtaSts({ resolver, tlsContext, isRefused, memory, clock: systemClock, log }),
    configured: (domain) => config().tlsPolicies.find(({ match }) => matchesPattern(match, domain)) ?? null,
  };
}
