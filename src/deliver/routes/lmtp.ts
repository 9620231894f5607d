// The route into a local mail store over LMTP (RFC 2033), by TCP or a Unix socket: each recipient has its own answer.

import { isIP } from 'node:net';
import { dialRoute } from '#deliver/connector.ts';
import type { Connector, DialParts, Tried } from '#deliver/connector.ts';
import type { Route } from '#deliver/route.ts';
import { findAddresses } from '#dns/mx.ts';
import type { Resolver } from '#dns/resolver.ts';

/** Makes the connector of one LMTP route. Private addresses are what it is for. */
export function openLmtp(parts: DialParts & { readonly resolver: Resolver }, route: Extract<Route, { type: 'lmtp' }>): Connector {
  const base = { protocol: 'lmtp', host: route.host, wanted: 'none', verify: false } as const;
  const security = { required: 'off', why: 'LMTP to a mail store of your own' };
  return {
    site: `lmtp:${route.name}`,
    limit: `lmtp:${route.name}`,
    route: 'lmtp',
    terms: JSON.stringify(route),
    several: false,
    async connect(signal) {
      if (route.socket !== null) {
        const result = await dialRoute(parts, { ...base, target: { socket: route.socket } }, security, signal);
        return 'client' in result ? result : { tried: [result], permanent: null };
      }
      const found = isIP(route.host) !== 0 ? { addresses: [route.host] } : await findAddresses(parts.resolver, route.host);
      if ('failure' in found) {
        const text = `The LMTP host ${route.host} cannot be resolved: ${found.failure.detail}.`;
        return {
          tried: [],
          permanent: { verdict: 'deferred', code: 451, enhanced: '4.4.3', text, class: 'dns-failure', cause: text, fix: 'Check the host of the route and the DNS resolver.' },
        };
      }
      const tried: Tried[] = [];
      for (const address of found.addresses) {
        const result = await dialRoute(parts, { ...base, target: { address, port: route.port ?? 24 } }, security, signal);
        if ('client' in result) return result;
        tried.push(result);
      }
      return { tried, permanent: null };
    },
  };
}
