// The route through an upstream relay: the ladder of ports (465 -> 587 -> 2525), TLS enforced and verified on each rung, the working rung
// remembered and the ones before it looked at again later. What moves on to the next rung is said in the log, with the reason. RFC 8314.

import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { isImplicitTlsPort } from '#base/ports.ts';
import { errorText } from '#base/failure.ts';
import { dialRoute } from '#deliver/connector.ts';
import type { Connected, Connector, DialParts, NotConnected, Refusal, Tried } from '#deliver/connector.ts';
import type { Route } from '#deliver/route.ts';
import { findAddresses } from '#dns/mx.ts';
import type { Resolver } from '#dns/resolver.ts';
import { explainFailure } from '#knowledge/explain.ts';

export type SmarthostParts = DialParts & {
  readonly resolver: Resolver;
  readonly allowPrivate: boolean;
  readonly isPrivate: (address: string) => boolean;
};

type SmarthostRoute = Extract<Route, { type: 'smarthost' }>;

const MAX_ADDRESSES = 4;
const SECURITY = { required: 'verified', why: 'a smarthost is spoken to over verified TLS only' } as const;
/** After so long the rungs before the one that works are looked at again. */
const PROBE_AFTER_MS = 10 * 60_000;
/** Where there is something else to try, a port that answers nothing is not waited for longer. */
const NEXT_RUNG_MS = 10_000;

type Login = { readonly username: string; readonly password: string };
type Climb = { readonly addresses: readonly string[]; readonly login: Login | null; readonly signal: AbortSignal };
/** The rung that worked last, and when the ones before it are due for a look. */
type Working = { readonly port: number; probeAtMs: number };

/** Makes the connector of one smarthost route. The password file is read at each connection: a rotated secret needs no restart. */
export function openSmarthost(parts: SmarthostParts, route: SmarthostRoute): Connector {
  const ladder = new Ladder(parts, route);
  let several = false;
  return {
    site: `smarthost:${route.name}`,
    limit: `smarthost:${route.name}`,
    route: 'smarthost',
    terms: JSON.stringify(route),
    get several() {
      return several;
    },
    async connect(signal, { except } = {}) {
      const login = readLogin(route);
      if (login !== null && 'verdict' in login) return { tried: [], permanent: login };
      const found = isIP(route.host) !== 0 ? { addresses: [route.host] } : await findAddresses(parts.resolver, route.host);
      if ('failure' in found) return { tried: [], permanent: notFound(route.host, found.failure.detail) };
      const allowed = found.addresses.filter((address) => parts.allowPrivate || !parts.isPrivate(address)).slice(0, MAX_ADDRESSES);
      if (allowed.length === 0) return { tried: [], permanent: privateHost(route.host) };
      several = allowed.length > 1;
      return ladder.climb({ addresses: allowed.filter((address) => except?.has(address) !== true), login, signal });
    },
  };
}

/** The rungs of one smarthost, and which of them works. */
class Ladder {
  readonly #parts: SmarthostParts;
  readonly #route: SmarthostRoute;
  #working: Working | null = null;
  #probing = false;

  constructor(parts: SmarthostParts, route: SmarthostRoute) {
    this.#parts = parts;
    this.#route = route;
  }

  /** Tries the rung that worked last, then the others in their order, each at all addresses. */
  async climb(climb: Climb): Promise<Connected | NotConnected> {
    const { ports } = this.#route;
    const remembered = this.#working;
    if (remembered !== null) this.#lookAgain(remembered, climb);
    const order = remembered === null ? ports : [remembered.port, ...ports.filter((port) => port !== remembered.port)];
    const tried: Tried[] = [];
    for (const [i, port] of order.entries()) {
      const addresses = this.#inOrder(climb.addresses, port);
      for (const [j, address] of addresses.entries()) {
        if (climb.signal.aborted) return { tried, permanent: null };
        const result = await this.#dial(climb, { address, port, last: i === order.length - 1 && j === addresses.length - 1 });
        if ('client' in result) {
          this.#worked({ port, tried, remembered });
          return result;
        }
        tried.push(result);
        this.#tell(result);
        // The rung works, but not our login. That is the same on every rung, and trying it on each looks like guessing.
        if (result.failure.phase === 'auth' && (result.failure.reply?.code ?? 0) >= 500) {
          this.#remember(port);
          return { tried, permanent: null };
        }
      }
    }
    if (climb.addresses.length > 0) this.#working = null;
    return { tried, permanent: null };
  }

  #dial({ login, signal }: Omit<Climb, 'addresses'>, to: { address: string; port: number; last: boolean }): Promise<Connected | Tried> {
    const { timeouts } = this.#parts;
    const parts = to.last ? this.#parts : { ...this.#parts, timeouts: { ...timeouts, connectMs: Math.min(timeouts.connectMs, NEXT_RUNG_MS) } };
    const wanted = isImplicitTlsPort(to.port) ? 'implicit' : 'starttls-required';
    const target = { address: to.address, port: to.port };
    return dialRoute(parts, { protocol: 'smtp', host: this.#route.host, target, wanted, verify: true, ...(login === null ? {} : { auth: login }) }, SECURITY, signal);
  }

  /** Addresses that lately failed while another one worked come last. */
  #inOrder(addresses: readonly string[], port: number): string[] {
    const avoided = (address: string): boolean => this.#parts.hosts.isAvoided({ host: this.#route.host, address, port });
    return addresses.toSorted((one, other) => Number(avoided(one)) - Number(avoided(other)));
  }

  #worked({ port, tried, remembered }: { port: number; tried: readonly Tried[]; remembered: Working | null }): void {
    const { log, hosts } = this.#parts;
    for (const one of tried) if (one.port === port && one.address !== null) hosts.avoid({ host: one.host, address: one.address, port }, one.failure.text);
    // Meanwhile somebody else may have found a better one.
    if (this.#working?.port === port || this.#working !== remembered) return;
    this.#remember(port);
    log.info('smarthost.rung', { ...this.#names, port, encryption: encryptionOf(port), tried: tried.map(describeTried) });
  }

  #remember(port: number): void {
    if (this.#working?.port !== port) this.#working = { port, probeAtMs: this.#parts.clock.nowMs() + PROBE_AFTER_MS };
  }

  /** Whether a rung before the one that works does so again, is found out beside the mail, which does not wait for it. */
  #lookAgain(working: Working, { addresses, signal }: Climb): void {
    const { clock, log } = this.#parts;
    const before = this.#route.ports.slice(0, Math.max(0, this.#route.ports.indexOf(working.port)));
    if (this.#probing || before.length === 0 || working.probeAtMs > clock.nowMs()) return;
    this.#probing = true;
    const look = async (): Promise<void> => {
      for (const port of before) {
        for (const address of addresses) {
          const result = await this.#dial({ login: null, signal }, { address, port, last: false });
          if (!('client' in result)) continue;
          await result.client.quit();
          this.#working = null;
          this.#remember(port);
          log.info('smarthost.rung', { ...this.#names, port, encryption: encryptionOf(port), tried: [], cause: `It answers again, and comes before port ${working.port}.` });
          return;
        }
      }
      working.probeAtMs = clock.nowMs() + PROBE_AFTER_MS;
    };
    void look().finally(() => (this.#probing = false));
  }

  #tell({ address, port, failure }: Tried): void {
    this.#parts.log.warn('smarthost.rung-failed', {
      ...this.#names,
      port,
      address,
      cause: failure.text,
      fix: explainFailure(failure, { host: this.#route.host, port }).fix,
    });
  }

  get #names(): { readonly route: string; readonly host: string } {
    return { route: this.#route.name, host: this.#route.host };
  }
}

function encryptionOf(port: number): string {
  return isImplicitTlsPort(port) ? 'implicit TLS' : 'STARTTLS';
}

function describeTried(tried: Tried): string {
  return `port ${tried.port}: ${tried.failure.text}`;
}

function readLogin(route: SmarthostRoute): Login | Refusal | null {
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
