// From the configured listeners to bound ones: which port is tried next when one cannot be had, and how that is said. Knows nothing of
// threads; `listen` is handed in.

import { createServer } from 'node:net';
import { PosternError, errorCode, errorText } from '#base/failure.ts';
import type { ListenerConfig } from '#config/config.ts';
import type { Profile } from '#smtp/policy.ts';

export type BoundListener = {
  readonly name: string;
  readonly profile: Profile;
  readonly address: string;
  readonly port: number;
  readonly tls: 'none' | 'starttls' | 'implicit';
  /** What to bind again, with the port as it came out: for the other workers and for replaced ones. */
  readonly config: ListenerConfig;
  /** Why this is not the port that was asked for; null when it is. */
  readonly note: string | null;
};

type Listen = (listener: ListenerConfig) => Promise<{ readonly address: string; readonly port: number }>;

/** Ports that only a privileged process may bind on most systems, and what is used instead. */
const FALLBACK_PORTS: ReadonlyMap<number, number> = new Map([
  [25, 10_025],
  [465, 10_465],
  [587, 10_587],
]);

/**
 * Binds every listener in turn. A default port (nobody configured it) that may not be bound, or that another program has, gives way to
 * its fallback; a configured one that cannot be had rejects with PosternError (exit code 3).
 */
export async function bindListeners(configs: readonly ListenerConfig[], options: { readonly defaults: boolean; readonly listen: Listen }): Promise<BoundListener[]> {
  const bound: BoundListener[] = [];
  for (const config of configs) bound.push(await bindOne(config, nameOf(config.profile, bound), options));
  return bound;
}

/**
 * Rejects with the system's error when any other socket listens there. A port that several workers share is open to sharing, also with
 * the workers of another server of this account, who would then get half of the connections.
 */
export async function assertFree({ address, port }: ListenerConfig): Promise<void> {
  if (port === 0) return;
  const probe = createServer();
  await new Promise<void>((resolve, reject) => {
    probe.once('error', reject);
    probe.listen({ host: address, port, exclusive: true }, resolve);
  });
  await new Promise((resolve) => probe.close(resolve));
}

async function bindOne(config: ListenerConfig, name: string, options: { readonly defaults: boolean; readonly listen: Listen }): Promise<BoundListener> {
  const fallback = options.defaults ? FALLBACK_PORTS.get(config.port) : undefined;
  try {
    return describe(config, name, await listenAnyFamily(config, options.listen), null);
  } catch (error) {
    const code = errorCode(error);
    if (fallback === undefined || (code !== 'EACCES' && code !== 'EADDRINUSE')) throw notBound(config, error);
    const other = { ...config, port: fallback };
    try {
      return describe(other, name, await listenAnyFamily(other, options.listen), noteFor(config.port, fallback, code));
    } catch (again) {
      throw notBound(other, again);
    }
  }
}

/** `::` means all addresses; on a system without IPv6 that is all of IPv4. */
async function listenAnyFamily(config: ListenerConfig, listen: Listen): Promise<{ address: string; port: number }> {
  try {
    return await listen(config);
  } catch (error) {
    if (config.address !== '::' || (errorCode(error) !== 'EAFNOSUPPORT' && errorCode(error) !== 'EADDRNOTAVAIL')) throw error;
    return listen({ ...config, address: '0.0.0.0' });
  }
}

function describe(config: ListenerConfig, name: string, bound: { address: string; port: number }, note: string | null): BoundListener {
  const { address, port } = bound;
  return { name, profile: config.profile, address, port, tls: config.profile === 'submissions' ? 'implicit' : 'starttls', config: { ...config, address, port }, note };
}

/** The profile's name; the second listener of a profile is `submission-2`, and so on. */
function nameOf(profile: Profile, before: readonly BoundListener[]): string {
  const same = before.filter((listener) => listener.profile === profile).length;
  return same === 0 ? profile : `${profile}-${same + 1}`;
}

function noteFor(port: number, fallback: number, code: string): string {
  const why = code === 'EACCES' ? 'this account may not bind it' : 'another program listens there';
  return `Port ${port} could not be had (${why}); ${fallback} is used instead.`;
}

function notBound(config: ListenerConfig, error: unknown): PosternError {
  const shown = `${config.address.includes(':') ? `[${config.address}]` : config.address}:${config.port} (${config.profile})`;
  switch (errorCode(error)) {
    case 'EADDRINUSE':
      return new PosternError(
        {
          code: 'address-in-use',
          cause: `Another program listens on ${shown} already.`,
          fix: `Stop it ("ss -ltnp sport = :${config.port}" names it), or set another port in [[listener]].`,
        },
        { cause: error },
      );
    case 'EACCES':
      return new PosternError(
        {
          code: 'port-not-allowed',
          cause: `This account may not bind ${shown}.`,
          fix: 'Give the service CAP_NET_BIND_SERVICE (see docs/operations.md), or set a port of 1024 or higher.',
        },
        { cause: error },
      );
    case 'EADDRNOTAVAIL':
      return new PosternError(
        { code: 'address-not-here', cause: `This machine does not have the address of ${shown}.`, fix: 'Set an address of this machine in [[listener]], or "::" for all of them.' },
        { cause: error },
      );
    default:
      return new PosternError(
        { code: 'not-listening', cause: `Nothing can listen on ${shown}: ${errorText(error)}.`, fix: 'Check [[listener]] in the configuration.' },
        { cause: error },
      );
  }
}
