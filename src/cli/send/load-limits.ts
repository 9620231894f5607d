// Who may be loaded, and how much: a load is for servers of one's own. Pure.

import { openNetworks } from '#base/ip.ts';
import { usage } from '#cli/values.ts';
import type { Options } from './options.ts';
import type { Target } from './plan.ts';

/** Loopback, private and link-local networks (RFC 1918, 4193, 3927, 6598). */
const OWN = ['127.0.0.0/8', '::1/128', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', '169.254.0.0/16', 'fc00::/7', 'fe80::/10'];
/** What a server of somebody else bears, once it is confirmed that it may be. */
const ELSEWHERE = { count: 1000, connections: 10 };

export function isNetworkOfOnesOwn(address: string): boolean {
  return openNetworks(OWN).has(address);
}

/** True when several messages are asked for. */
export function isLoad({ count }: Options): boolean {
  return count > 1;
}

/** Throws PosternError (exit code 2) when this load is not for this host. */
export function checkLoad(options: Options, { own, host, addresses }: Target): void {
  const { count, connections, rate, perConnection, loadHost } = options;
  if (!isLoad(options)) {
    if (connections > 1 || rate !== undefined || perConnection !== undefined)
      throw usage('--connections, --per-connection and --rate are for several messages.', 'Say how many with --count.');
    return;
  }
  if (options.quitAfter !== undefined) throw usage('A load sends messages: --quit-after does not go with it.', 'Leave out --count or --quit-after.');
  if (own) return;
  if (loadHost !== host)
    throw usage(
      `${host} (${addresses.join(', ')}) is neither this machine nor in a private network: ${count} messages are a load on somebody's server.`,
      `If it is yours to load, confirm it with --load-host ${host}.`,
    );
  if (count > ELSEWHERE.count || connections > ELSEWHERE.connections)
    throw usage(
      `A host elsewhere gets at most ${ELSEWHERE.count} messages on ${ELSEWHERE.connections} connections.`,
      `Give --count ${Math.min(count, ELSEWHERE.count)} --connections ${Math.min(connections, ELSEWHERE.connections)} or less; for more, run it beside the server.`,
    );
}
