// The door: where a request comes from, how often it may, what browsers are told, and which token it shows. Everything here happens before an
// operation is chosen.

import type { Context, MiddlewareHandler } from 'hono';
import { canonicalIp, limitKey, liveNetworks } from '#base/ip.ts';
import type { Networks } from '#base/ip.ts';
import type { TokenStore } from '#store/tokens.ts';
import { tooOften } from './call.ts';
import { NOBODY } from './identity.ts';
import type { Env, Identify } from './identity.ts';
import { ProblemError } from './problem.ts';
import type { Rates } from './rates.ts';
import type { Scope } from './scopes.ts';

export type DoorSettings = {
  /** Web pages of these origins may call the API; none unless told. */
  readonly corsOrigins: readonly string[];
  /** Their X-Forwarded-For is believed. */
  readonly trustedProxies: readonly string[];
  readonly requestsPerAddress: number;
  readonly requestsPerToken: number;
};

export type DoorParts = { readonly settings: () => DoorSettings; readonly rates: Rates };

/** Wrong tokens of one address: a mistake is repeated by a program some times a second, never found out by trying. */
const FAILURES = { perSecond: 1, burst: 20 };
const PREFLIGHT_SECONDS = 600;

/** Sets `client`, holds addresses to their rate, and answers browsers of other origins. */
export function door({ settings, rates }: DoorParts): MiddlewareHandler<Env> {
  const proxies = liveNetworks(() => settings().trustedProxies);
  return async (context, next) => {
    const { requestsPerAddress, corsOrigins } = settings();
    const client = clientOf(context, proxies);
    context.set('client', client);
    context.set('identity', NOBODY);
    if (context.env.access === 'tcp') {
      const waitMs = rates.take(`address ${limitKey(client)}`, { perSecond: requestsPerAddress, burst: requestsPerAddress * 2 });
      if (waitMs > 0) throw tooOften(waitMs, `${client} has made more requests than one address may`);
    }
    const origin = context.req.header('origin');
    const allowed = origin !== undefined && corsOrigins.includes(origin);
    if (corsOrigins.length > 0) context.header('vary', 'Origin');
    if (allowed) {
      context.header('access-control-allow-origin', origin);
      context.header('access-control-expose-headers', 'Retry-After, Location, Idempotent-Replayed');
    }
    if (allowed && context.req.method === 'OPTIONS' && context.req.header('access-control-request-method') !== undefined) {
      context.header('access-control-allow-methods', 'GET, POST, PUT, PATCH, DELETE');
      context.header('access-control-allow-headers', 'Authorization, Content-Type, Idempotency-Key, Last-Event-ID');
      context.header('access-control-max-age', String(PREFLIGHT_SECONDS));
      return context.body(null, 204);
    }
    await next();
    const { headers } = context.res;
    headers.set('x-content-type-options', 'nosniff');
    headers.set('referrer-policy', 'no-referrer');
    if (!headers.has('content-security-policy')) headers.set('content-security-policy', "default-src 'none'; frame-ancestors 'none'");
    if (!headers.has('cache-control')) headers.set('cache-control', 'no-store');
  };
}

/** The address that asks: of the connection, or what the proxies that are trusted say of it, the nearest one that is no such proxy. */
function clientOf(context: Context<Env>, proxies: Networks): string {
  const { access, address } = context.env;
  if (access !== 'tcp') return '';
  let client = canonicalIp(address);
  const hops = (context.req.header('x-forwarded-for') ?? '').split(',').map((hop) => canonicalIp(hop.trim()));
  while (proxies.has(client)) {
    const before = hops.pop();
    if (before === undefined || !/^[0-9a-f.:]+$/i.test(before)) break;
    client = before;
  }
  return client;
}

/** `Authorization: Bearer pst_...` */
export function byToken(tokens: () => TokenStore, rates: Rates): Identify {
  return async (context) => {
    const header = context.req.header('authorization');
    if (header === undefined) return null;
    const [, text = ''] = /^Bearer +(\S+)$/i.exec(header) ?? [];
    const token = tokens().verify(text);
    if (token === null) {
      const client = context.get('client');
      const waitMs = rates.take(`failed ${limitKey(client)}`, FAILURES);
      throw waitMs > 0 ? tooOften(waitMs, `${client} has shown too many tokens that do not work`) : noSuchToken();
    }
    return { kind: 'token', name: token.name, id: token.id, scopes: token.scopes as readonly Scope[], project: token.project, ratePerMinute: token.ratePerMinute };
  };
}

function noSuchToken(): ProblemError {
  return new ProblemError({
    status: 401,
    title: 'Not authorized',
    code: 'token-invalid',
    cause: 'The token is not one of this server, was revoked, or its time is over.',
    fix: 'Send it whole (Authorization: Bearer pst_...); see the ones there are with: postern token list',
    headers: { 'www-authenticate': 'Bearer realm="postern", error="invalid_token"' },
  });
}
