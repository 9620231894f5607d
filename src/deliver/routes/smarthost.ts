// The route through an upstream relay: the ladder of ports (465 -> 587 -> 2525), TLS enforced and verified on each rung, the working rung
// remembered. What moves on to the next rung is said in the log, with the reason. RFC 8314.

import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { errorText } from '#base/failure.ts';
import { dialRoute } from '#deliver/connector.ts';
import type { Connected, Connector, DialParts, NotConnected, Refusal, Tried } from '#deliver/connector.ts';
import type { Route } from '#deliver/route.ts';
import { findAddresses } from '#dns/mx.ts';
import type { Resolver } from '#dns/resolver.ts';

export type SmarthostParts = DialParts & {
  readonly resolver: Resolver;
  readonly allowPrivate: boolean;
  readonly isPrivate: (address: string) => boolean;
};

const MAX_ADDRESSES = 4;
/** How long a working rung is preferred before the first one is tried again. */
const REMEMBER_MS = 10 * 60_000;

/** 465 speaks TLS from the first byte, and so do ports that are made after it (10465, 2465); all others use STARTTLS. */
export function isImplicitTlsPort(port: number): boolean {
  return String(port).endsWith('465');
}

/** Makes the connector of one smarthost route. The password file is read at each connection: a rotated secret needs no restart. */
export function openSmarthost(parts: SmarthostParts, route: Extract<Route, { type: 'smarthost' }>): Connector {
  let working: { port: number; untilMs: number } | null = null;

  async function climb(addresses: readonly string[], auth: { username: string; password: string } | null, signal: AbortSignal): Promise<Connected | NotConnected> {
    const nowMs = parts.clock.nowMs();
    const remembered = working !== null && working.untilMs > nowMs ? working.port : null;
    const ports = remembered === null ? route.ports : [remembered, ...route.ports.filter((port) => port !== remembered)];
    const tried: Tried[] = [];
    for (const port of ports) {
      for (const address of addresses) {
        if (signal.aborted) return { tried, permanent: null };
        const implicit = isImplicitTlsPort(port);
        const result = await dialRoute(
          parts,
          { protocol: 'smtp', host: route.host, target: { address, port }, wanted: implicit ? 'implicit' : 'starttls-required', verify: true, ...(auth === null ? {} : { auth }) },
          { required: 'verified', why: 'a smarthost is spoken to over verified TLS only' },
          signal,
        );
        if ('client' in result) {
          if (port !== remembered) {
            working = { port, untilMs: nowMs + REMEMBER_MS };
            parts.log.info('smarthost.rung', { route: route.name, host: route.host, port, encryption: implicit ? 'implicit TLS' : 'STARTTLS', tried: tried.map(describeTried) });
          }
          return result;
        }
        tried.push(result);
        parts.log.warn('smarthost.rung-failed', { route: route.name, host: route.host, port, address, cause: result.failure.text });
        // A refused login is the same on every rung, and trying it on each looks like guessing.
        if (result.failure.phase === 'auth') return { tried, permanent: null };
      }
    }
    working = null;
    return { tried, permanent: null };
  }

  return {
    site: `smarthost:${route.name}`,
    limit: `smarthost:${route.name}`,
    route: 'smarthost',
    async connect(signal) {
      const auth = readLogin(route);
      if (auth !== null && 'verdict' in auth) return { tried: [], permanent: auth };
      const found = isIP(route.host) !== 0 ? { addresses: [route.host] } : await findAddresses(parts.resolver, route.host);
      if ('failure' in found) return { tried: [], permanent: notFound(route.host, found.failure.detail) };
      const usable = found.addresses.filter((address) => parts.allowPrivate || !parts.isPrivate(address)).slice(0, MAX_ADDRESSES);
      if (usable.length === 0) return { tried: [], permanent: privateHost(route.host) };
      return climb(usable, auth, signal);
    },
  };
}

function describeTried(tried: Tried): string {
  return `port ${tried.port}: ${tried.failure.text}`;
}

function readLogin(route: Extract<Route, { type: 'smarthost' }>): { username: string; password: string } | Refusal | null {
  if (route.username === null) return null;
  try {
    return { username: route.username, password: route.passwordFile === null ? '' : readFileSync(route.passwordFile, 'utf8').trimEnd() };
  } catch (error) {
    return deferred('password-file', `The password file of route ${route.name} cannot be read: ${errorText(error)}.`, 'Make the file readable for the account Postern runs as.');
  }
}

function notFound(host: string, detail: string): Refusal {
  return deferred('dns-failure', `The smarthost ${host} cannot be resolved: ${detail}.`, 'Check the host of the route and the DNS resolver.');
}

function privateHost(host: string): Refusal {
  return deferred('private-address', `The smarthost ${host} has only private addresses.`, 'If it stands in your own network set delivery.allow_private_addresses = true.');
}

/** Faults of our own configuration defer: mail waits until they are mended. */
function deferred(className: string, cause: string, fix: string): Refusal {
  return { verdict: 'deferred', code: 451, enhanced: '4.3.5', text: cause, class: className, cause, fix };
}
