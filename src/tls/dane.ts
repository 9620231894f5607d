// What the DNS says by DNSSEC about the certificate of a mail host: which TLSA records stand for it, under which name, or why none do.
// Believes only answers that the resolver has validated. RFC 7672 2, RFC 7671 6, 7.

import type { DnsAnswer, Resolver } from '#dns/resolver.ts';
import { selectTlsa } from './tlsa.ts';
import type { TlsaSet } from './tlsa.ts';

/**
 * `usable`: the host must be authenticated by these records; `base` is the name for SNI. `unusable`: records are there, none that can be
 * used: TLS is a must, authentication impossible (RFC 7672 2.2). `failed`: whether there are any could not be found out, so mail must
 * wait (2.1.2). `none`: DANE does not apply.
 */
export type DaneEvidence =
  | { readonly status: 'usable'; readonly base: string; readonly name: string; readonly set: TlsaSet }
  | { readonly status: 'unusable'; readonly base: string; readonly name: string; readonly set: TlsaSet }
  | { readonly status: 'failed'; readonly name: string; readonly why: string }
  | { readonly status: 'none'; readonly why: string };

export type DaneQuestion = {
  readonly host: string;
  readonly port: number;
  /** The MX records (or that there are none) were validated; a host that an attacker may have put there is not worth asking about. */
  readonly mxSecure: boolean;
};

/** Looks for the TLSA records of one mail host. Aliases: the name at their end first, then the one that was asked for (2.1.3, 2.2.2). */
export async function findTlsa(resolver: Pick<Resolver, 'a' | 'aaaa' | 'cname' | 'tlsa'>, { host, port, mxSecure }: DaneQuestion): Promise<DaneEvidence> {
  if (!mxSecure) return { status: 'none', why: 'the MX records are not validated by DNSSEC' };
  const bases = await baseDomains(resolver, host);
  if ('why' in bases) return { status: 'none', why: bases.why };
  for (const base of bases) {
    const name = `_${port}._tcp.${base}`;
    const answer = await resolver.tlsa(name);
    if (answer.status === 'failed') {
      // A name too long for the prefix can have no records.
      if (answer.cause === 'bad-name') continue;
      return { status: 'failed', name, why: answer.detail };
    }
    if (answer.status !== 'found' || !answer.authenticated) continue;
    const set = selectTlsa(answer.records);
    return { status: set.usable.length > 0 ? 'usable' : 'unusable', base, name, set };
  }
  return { status: 'none', why: `there are no TLSA records at _${port}._tcp.${bases[0]}` };
}

/** The names under which records may stand, or why none can. */
async function baseDomains(resolver: Pick<Resolver, 'a' | 'aaaa' | 'cname'>, host: string): Promise<readonly [string, ...string[]] | { readonly why: string }> {
  const found = (await Promise.all([resolver.a(host), resolver.aaaa(host)])).filter(isFound);
  const [first] = found;
  if (first === undefined) return { why: `${host} has no address` };
  if (found.every((answer) => answer.authenticated)) return first.owner === host ? [host] : [first.owner, host];
  const unsigned = { why: `the addresses of ${host} are not validated by DNSSEC` };
  if (found.every((answer) => answer.owner === host)) return unsigned;
  // The alias leads out of what is signed: the name of the alias itself may still be.
  const alias = await resolver.cname(host);
  return alias.status === 'found' && alias.authenticated ? [host] : unsigned;
}

type Found = Extract<DnsAnswer<string>, { status: 'found' }>;

function isFound(answer: DnsAnswer<string>): answer is Found {
  return answer.status === 'found';
}
