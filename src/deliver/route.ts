// Which way a recipient's domain goes: the first route that matches. Names the lane a new recipient starts in. Pure.

import { matchesPattern } from '#dns/name.ts';
import type { LaneName } from '#queue/records.ts';

export type Route = { readonly match: string; readonly name: string } & (
  | { readonly type: 'mx'; readonly srs?: boolean }
  | {
      readonly type: 'smarthost';
      readonly host: string;
      readonly ports: readonly number[];
      readonly username: string | null;
      readonly passwordFile: string | null;
      readonly srs?: boolean;
    }
  | { readonly type: 'lmtp'; readonly host: string; readonly port: number | null; readonly socket: string | null }
  | { readonly type: 'webhook'; readonly url: string; readonly secretFile: string; readonly format: 'raw' | 'json'; readonly timeoutMs: number }
  | { readonly type: 'capture' }
);

export type Routes = {
  /** The route of a canonical domain. */
  match(domain: string): Route;
  /**
   * The lane a fresh recipient waits in. For `mx` it is provisional, `mx:DOMAIN`: the site behind it is known once its MX hosts are, and
   * a deferred recipient then waits in the site's lane.
   */
  laneFor(domain: string, mode: 'live' | 'sandbox'): LaneName;
};

export const CAPTURE_LANE = 'capture:';
const DIRECT: Route = { match: '*', name: 'mx', type: 'mx' };

/** Makes the table. Without any match mail goes to the MX hosts. */
export function openRoutes(routes: readonly Route[]): Routes {
  const match = (domain: string): Route => routes.find((route) => matchesPattern(route.match, domain)) ?? DIRECT;
  return {
    match,
    laneFor(domain, mode) {
      if (mode === 'sandbox') return CAPTURE_LANE;
      const route = match(domain);
      if (route.type === 'capture') return CAPTURE_LANE;
      return route.type === 'mx' ? `mx:${domain}` : `${route.type}:${route.name}`;
    },
  };
}
