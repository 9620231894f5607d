// The session's cookie and who it stands for; and that a change asked for with it comes from this server's own page. RFC 6265bis: HttpOnly,
// SameSite=Strict, and over HTTPS Secure with the __Host- prefix.

import type { Context } from 'hono';
import { canonicalIp } from '#base/ip.ts';
import type { Networks } from '#base/ip.ts';
import type { Env, Identify } from '#http/identity.ts';
import { NOBODY } from '#http/identity.ts';
import { ProblemError } from '#http/problem.ts';
import type { Scope } from '#http/scopes.ts';
import type { PeopleStore } from '#store/people.ts';
import { LONGEST_MS } from '#store/sessions.ts';
import type { Session } from '#store/sessions.ts';
import type { Place } from './passkeys.ts';

const NAME = 'postern';
const SECURE_NAME = '__Host-postern';

/** Whether the browser speaks HTTPS: to a proxy that is trusted and says so. */
function isSecure(context: Context<Env>, proxies: Networks): boolean {
  if (context.req.header('x-forwarded-proto')?.split(',').at(-1)?.trim() !== 'https') return false;
  return proxies.has(canonicalIp(context.env.address));
}

/** Where the page is, as its browser sees it. */
export function placeOf(context: Context<Env>, proxies: Networks): Place {
  const authority = context.req.header('host') ?? '';
  return { origin: `${isSecure(context, proxies) ? 'https' : 'http'}://${authority}`, host: authority.replace(/:\d+$/, '').replace(/^\[|\]$/g, '') };
}

export function setCookie(context: Context<Env>, text: string | null, proxies: Networks): void {
  const secure = isSecure(context, proxies);
  const ageSeconds = text === null ? 0 : LONGEST_MS / 1000;
  const name = secure ? SECURE_NAME : NAME;
  context.header('set-cookie', `${name}=${text ?? ''}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${ageSeconds}${secure ? '; Secure' : ''}`, { append: true });
}

/** The session of the request, if it has one that still holds. */
export function sessionOf(context: Context<Env>, people: PeopleStore, proxies: Networks): Session | null {
  const wanted = isSecure(context, proxies) ? SECURE_NAME : NAME;
  for (const pair of (context.req.header('cookie') ?? '').split(';')) {
    const [name = '', value = ''] = pair.trim().split('=', 2);
    if (name === wanted && value !== '') return people.sessions.verify(value);
  }
  return null;
}

/** A person by their cookie. A cookie whose time is over is as none. */
export function bySession(people: () => PeopleStore, proxies: Networks): Identify {
  return async (context) => {
    const session = sessionOf(context, people(), proxies);
    const person = session === null ? null : people().get(session.personId);
    if (person === null) return null;
    refuseForeign(context, proxies);
    return { ...NOBODY, kind: 'session', name: person.name, id: person.id, scopes: person.scopes as readonly Scope[] };
  };
}

/**
 * A change must come from a page of this very origin. The cookie is not sent with what other sites start; this also holds for other ports and
 * names of the same site, which SameSite does not tell apart. Browsers say where a request comes from, and pages cannot change what they say.
 */
export function refuseForeign(context: Context<Env>, proxies: Networks): void {
  if (context.req.method === 'GET' || context.req.method === 'HEAD') return;
  const site = context.req.header('sec-fetch-site');
  const origin = context.req.header('origin');
  const own = site === undefined ? origin === placeOf(context, proxies).origin : site === 'same-origin';
  if (own) return;
  throw new ProblemError({
    status: 403,
    title: 'Not from this page',
    code: 'foreign-page',
    cause: 'The request did not come from a page of this server, so a signed-in browser is not believed.',
    fix: 'Use the dashboard itself; programs send a token (Authorization: Bearer pst_...) instead of the cookie.',
  });
}
