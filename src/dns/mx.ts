// From a recipient domain to the hosts that take its mail, and from a host to the addresses to try, in order. Decides nothing
// about which of them may be connected to. RFC 5321 5.1, RFC 7505 (null MX), RFC 6724 (order of addresses).

import { isIP, isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { canonicalName } from './name.ts';
import type { DnsAnswer, MxRecord, Resolver } from './resolver.ts';

/** One exchange; its addresses come from `findAddresses`. `host` is an IP address when the domain was an address literal. */
export type MxHost = { readonly host: string; readonly preference: number };

/**
 * Where a domain's mail goes. `implicit` is the A/AAAA fallback; `null-mx` refuses mail; `unusable` means MX records whose names are
 * not host names. `authenticated`: the MX answer was DNSSEC-validated. Hosts of one preference stand in the order of the answer: who
 * connects shuffles them, each time anew (RFC 5321 5.1).
 */
export type MxAnswer =
  | { readonly status: 'found'; readonly hosts: readonly MxHost[]; readonly implicit: boolean; readonly authenticated: boolean; readonly ttlSeconds: number }
  | { readonly status: 'no-domain' | 'null-mx' | 'unusable'; readonly detail: string }
  | { readonly status: 'failed'; readonly detail: string };

/**
 * A host's addresses in the order to try. Failures: `no-domain` and `no-addresses` are definite, `temporary` may pass.
 * `authenticated`: every answer that gave an address was DNSSEC-validated.
 */
export type AddressAnswer =
  | { readonly addresses: readonly string[]; readonly authenticated: boolean }
  | { readonly failure: { readonly kind: 'no-domain' | 'no-addresses' | 'temporary'; readonly detail: string } };

const HOSTS = 20;
const ADDRESSES = 16;
const LITERAL_TTL_SECONDS = 3600;

/**
 * The mail hosts of a domain, best preference first, at most 20. A domain without MX that exists is its own host; a domain that is no name
 * at all counts as one that does not exist.
 */
export async function findMx(resolver: Resolver, domain: string): Promise<MxAnswer> {
  const literal = literalAddress(domain);
  if (literal !== null) return { status: 'found', hosts: [{ host: literal, preference: 0 }], implicit: true, authenticated: false, ttlSeconds: LITERAL_TTL_SECONDS };
  const name = canonicalName(domain);
  if (name === null) return { status: 'no-domain', detail: `${JSON.stringify(domain.slice(0, 100))} is not a domain name` };
  const answer = await resolver.mx(name);
  switch (answer.status) {
    case 'found':
      return fromRecords(name, answer);
    case 'no-data':
      return { status: 'found', hosts: [{ host: name, preference: 0 }], implicit: true, authenticated: answer.authenticated, ttlSeconds: answer.ttlSeconds };
    case 'no-domain':
      return { status: 'no-domain', detail: `the domain ${name} does not exist (NXDOMAIN)` };
    case 'failed':
      return { status: 'failed', detail: answer.detail };
  }
}

function fromRecords(name: string, answer: Extract<DnsAnswer<MxRecord>, { status: 'found' }>): MxAnswer {
  const { records, authenticated, ttlSeconds } = answer;
  if (records.length === 1 && records[0]?.exchange === '.') {
    return { status: 'null-mx', detail: `the domain ${name} says by a null MX record that it takes no mail` };
  }
  const usable: MxHost[] = [];
  for (const { exchange, preference } of records) {
    const host = canonicalName(exchange);
    if (host !== null) usable.push({ host, preference });
  }
  if (usable.length === 0) {
    const names = records.slice(0, 3).map((record) => JSON.stringify(record.exchange.slice(0, 80)));
    return { status: 'unusable', detail: `the MX records of ${name} name no usable host: ${names.join(', ')}` };
  }
  usable.sort((one, other) => one.preference - other.preference);
  const hosts = new Map<string, MxHost>();
  for (const { host, preference } of usable) {
    if (hosts.size === HOSTS) break;
    if (!hosts.has(host)) hosts.set(host, { host, preference });
  }
  return { status: 'found', hosts: [...hosts.values()], implicit: false, authenticated, ttlSeconds };
}

/**
 * The addresses of a host, at most `limit` (default 16): IPv6 and IPv4 in turns beginning with IPv6 when `preferIpv6`, else all
 * IPv4 first. A canonical IP address is its own answer. Aliases are followed.
 */
export async function findAddresses(resolver: Resolver, host: string, options: { readonly preferIpv6?: boolean; readonly limit?: number } = {}): Promise<AddressAnswer> {
  if (isIP(host) !== 0) return { addresses: [host], authenticated: false };
  const [v4, v6] = await Promise.all([resolver.a(host), resolver.aaaa(host)]);
  const found = [v4, v6].filter((answer) => answer.status === 'found');
  if (found.length > 0) {
    const four = v4.status === 'found' ? v4.records : [];
    const six = v6.status === 'found' ? v6.records : [];
    const ordered = options.preferIpv6 === true ? interleave(six, four) : [...four, ...six];
    return { addresses: [...new Set(ordered)].slice(0, options.limit ?? ADDRESSES), authenticated: found.every((answer) => answer.authenticated) };
  }
  const broken = [v4, v6].find((answer) => answer.status === 'failed');
  if (broken?.status === 'failed') return { failure: { kind: broken.cause === 'bad-name' ? 'no-domain' : 'temporary', detail: broken.detail } };
  if (v4.status === 'no-domain' || v6.status === 'no-domain') return { failure: { kind: 'no-domain', detail: `the host ${host} does not exist (NXDOMAIN)` } };
  return { failure: { kind: 'no-addresses', detail: `the host ${host} has neither an A nor an AAAA record` } };
}

/** Whether this machine has an IPv6 address of global scope (2000::/3): without one, IPv6 comes last. */
export function hasGlobalIpv6(interfaces: ReturnType<typeof networkInterfaces> = networkInterfaces()): boolean {
  return Object.values(interfaces).some((addresses) => (addresses ?? []).some(({ family, internal, address }) => family === 'IPv6' && !internal && /^[23]/.test(address)));
}

/** The address in `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321 4.1.3), or null. */
function literalAddress(domain: string): string | null {
  if (!domain.startsWith('[') || !domain.endsWith(']')) return null;
  const inner = domain.slice(1, -1);
  const address = /^ipv6:/i.test(inner) ? inner.slice(5) : inner;
  return isIP(address) === 0 || (address === inner && isIPv6(address)) ? null : address;
}

function interleave<T>(first: readonly T[], second: readonly T[]): T[] {
  const out: T[] = [];
  for (let at = 0; at < Math.max(first.length, second.length); at++) out.push(...first.slice(at, at + 1), ...second.slice(at, at + 1));
  return out;
}
