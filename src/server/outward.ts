// Main's own eyes on other servers: for questions of the operator, and to keep the MTA-STS policies in use from growing old. Delivery itself is the
// workers' matter.

import type { SecureContext } from 'node:tls';
import { systemClock } from '#base/clock.ts';
import { errorText } from '#base/failure.ts';
import type { Log } from '#base/log.ts';
import type { Config } from '#config/config.ts';
import { viewPolicy } from '#deliver/policy-view.ts';
import type { PolicyView } from '#deliver/policy-view.ts';
import { openRoutes } from '#deliver/route.ts';
import { openResolver } from '#dns/resolver.ts';
import type { Resolver } from '#dns/resolver.ts';
import type { Transport } from '#store/transport.ts';
import { outboundTls } from '#tls/context.ts';
import type { Demand } from '#tls/policy.ts';
import type { BoundListener } from './binding.ts';
import { openSelfCheck } from './self.ts';
import { openTlsPolicies } from './tls-policies.ts';

export type Outward = {
  readonly resolver: Resolver;
  readonly tlsContext: () => SecureContext;
  readonly isRefused: (address: string) => boolean;
  /** What delivery to a domain would require, looked up now. */
  policy(domain: string, demand: Demand): Promise<PolicyView>;
  close(): void;
};

export type OutwardParts = {
  /** As it is now. */
  readonly config: () => Config;
  readonly transport: Transport;
  readonly listeners: readonly Pick<BoundListener, 'address' | 'port'>[];
  readonly log: Log;
};

const REFRESH_EVERY_MS = 3_600_000;

export function openOutward({ config, transport, listeners, log }: OutwardParts): Outward {
  const { dns, hostname, delivery } = config();
  const resolver = openResolver({ ...dns, clock: systemClock });
  const ending = new AbortController();
  const self = openSelfCheck({ hostname, mxPort: delivery.mxPort });
  for (const listener of listeners) self.listens(listener);
  // The system's roots take a while to read: when they are first needed.
  let context: SecureContext | null = null;
  const tlsContext = (): SecureContext => (context ??= outboundTls({ caFile: delivery.caFile }).secureContext);
  const policies = openTlsPolicies({ config, resolver, tlsContext, memory: transport.sts, log });
  const refresh = (): void => {
    policies.sts.refresh(ending.signal).catch((error: unknown) => log.error('mta-sts.not-refreshed', { cause: errorText(error) }));
    cancel = systemClock.after(REFRESH_EVERY_MS, refresh);
  };
  let cancel = systemClock.after(REFRESH_EVERY_MS, refresh);
  return {
    resolver,
    tlsContext,
    isRefused: policies.isRefused,
    policy: (domain, demand) =>
      viewPolicy({ ...policies, resolver, port: config().delivery.mxPort, isSelf: self.isSelf }, { domain, demand, route: openRoutes(config().routes).match(domain) }),
    close() {
      cancel();
      ending.abort();
      resolver.close();
    },
  };
}
