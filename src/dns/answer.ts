// From a decoded packet to the answer that callers see: the alias chain followed, the TTL of the whole, the kind of nothing.
// RFC 1034 3.6.2 (aliases), RFC 2308 (nothing), RFC 6604 (RCODE at the end of a chain), RFC 4035 3.2.3 (AD).

import { isIPv4, isIPv6 } from 'node:net';
import type { Answer, DecodedPacket } from 'dns-packet';
import type { DnsAnswer, MxRecord, TlsaRecord } from './resolver.ts';

const ALIASES = 16;
const LONGEST_TTL_SECONDS = 3600;
/** New domains and repaired records should be seen soon, whatever their SOA says. */
const LONGEST_NEGATIVE_TTL_SECONDS = 600;
/** Without a SOA there is no TTL for nothing (RFC 2308 5); enough to spare the resolver a burst. */
const BARE_NEGATIVE_TTL_SECONDS = 5;

export type QueryType = 'A' | 'AAAA' | 'MX' | 'TXT' | 'CNAME' | 'PTR' | 'TLSA' | 'NS';
export type DnsRecord = string | MxRecord | TlsaRecord;

const RCODE_NAMES = ['NOERROR', 'FORMERR', 'SERVFAIL', 'NXDOMAIN', 'NOTIMP', 'REFUSED'];

/** What a packet says to the question (`name`, `type`). `trustAd`: the server is trusted for its AD flag. */
export function interpret(packet: DecodedPacket, question: { readonly name: string; readonly type: QueryType; readonly rcode: number }, trustAd: boolean): DnsAnswer<DnsRecord> {
  const { name, type, rcode } = question;
  if (rcode !== 0 && rcode !== 3) {
    return { status: 'failed', cause: rcode === 5 ? 'refused' : 'servfail', detail: `the resolver answered ${RCODE_NAMES[rcode] ?? `RCODE ${rcode}`} for ${type} ${name}` };
  }
  const authenticated = trustAd && packet.flag_ad;
  const answers = packet.answers ?? [];
  let owner = name;
  let ttlSeconds = LONGEST_TTL_SECONDS;
  for (let step = 0; step <= ALIASES; step++) {
    const own = answers.filter((answer) => answer.type === type && answer.name.toLowerCase() === owner);
    const records = own.map((answer) => readRecord(answer)).filter((record) => record !== null);
    if (records.length > 0) {
      ttlSeconds = own.reduce((least, answer) => Math.min(least, ttlOf(answer)), ttlSeconds);
      return { status: 'found', records, authenticated, ttlSeconds: Math.max(ttlSeconds, 1), owner };
    }
    // Data that is there but cannot be read must never pass for a definite "nothing".
    if (own.length > 0) return { status: 'failed', cause: 'malformed', detail: `the ${type} records of ${name} cannot be read` };
    const alias = answers.find((answer) => answer.type === 'CNAME' && answer.name.toLowerCase() === owner);
    if (alias?.type !== 'CNAME') break;
    owner = alias.data.toLowerCase();
    ttlSeconds = Math.min(ttlSeconds, ttlOf(alias));
    if (step === ALIASES) return { status: 'failed', cause: 'malformed', detail: `more than ${ALIASES} aliases from ${name}` };
  }
  return { status: rcode === 3 ? 'no-domain' : 'no-data', authenticated, ttlSeconds: Math.max(Math.min(ttlSeconds, negativeTtl(packet)), 1) };
}

export function ttlOf(answer: Answer): number {
  const ttl = 'ttl' in answer ? (answer.ttl ?? 0) : 0;
  // The top bit set means zero (RFC 2181 8).
  return ttl > 0x7fffffff ? 0 : ttl;
}

function negativeTtl(packet: DecodedPacket): number {
  const soa = (packet.authorities ?? []).find((answer) => answer.type === 'SOA');
  if (soa?.type !== 'SOA') return BARE_NEGATIVE_TTL_SECONDS;
  return Math.min(ttlOf(soa), soa.data.minimum ?? 0, LONGEST_NEGATIVE_TTL_SECONDS);
}

/** One record's data, or null when it makes no sense. */
export function readRecord(answer: Answer): DnsRecord | null {
  switch (answer.type) {
    case 'A':
      return isIPv4(answer.data) ? answer.data : null;
    case 'AAAA':
      return isIPv6(answer.data) ? answer.data : null;
    case 'CNAME':
    case 'PTR':
    case 'NS':
      return answer.data.toLowerCase();
    case 'MX':
      return { preference: answer.data.preference ?? 0, exchange: answer.data.exchange.toLowerCase() };
    case 'TXT': {
      const { data } = answer;
      const parts = Array.isArray(data) ? data : [data];
      return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part))).toString('utf8');
    }
    case 'TLSA':
      // The decoder hands out a view of the datagram: an own copy, so that the cache does not keep the whole.
      return { usage: answer.data.usage, selector: answer.data.selector, matchingType: answer.data.matchingType, data: Buffer.from(answer.data.certificate) };
    default:
      return null;
  }
}
