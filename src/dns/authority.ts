// What the DNS says of a name right now: each server that is responsible for it asked directly, and the configured resolver beside them, which
// may still have what was there before. Nothing is cached. RFC 1034 4.2, 6.2.

import { getServers } from 'node:dns';
import type { DecodedPacket } from 'dns-packet';
import type { Clock } from '#base/clock.ts';
import { readRecord, ttlOf } from './answer.ts';
import type { QueryType } from './answer.ts';
import { exchange } from './exchange.ts';
import type { DnsServer } from './exchange.ts';
import { findAddresses, hasGlobalIpv6 } from './mx.ts';
import { canonicalName } from './name.ts';
import { parseServer } from './resolver.ts';
import type { MxRecord, Resolver } from './resolver.ts';

/** One server's answer. `texts` are the records as text (`10 mx.example.com` for MX), sorted; empty when there are none. */
export type ServerAnswer = { readonly server: string } & (
  | { readonly status: 'answered'; readonly texts: readonly string[]; readonly ttlSeconds: number }
  | { readonly status: 'failed'; readonly detail: string }
);

/** `zone` is null when no server is known to be responsible; `detail` then says why. */
export type LiveAnswer = {
  readonly zone: string | null;
  readonly detail: string;
  readonly authorities: readonly ServerAnswer[];
  /** What the configured resolver says. */
  readonly resolver: ServerAnswer;
};

export type LiveDns = { look(name: string, type: LiveType): Promise<LiveAnswer> };

type LiveType = Extract<QueryType, 'TXT' | 'MX' | 'CNAME' | 'A' | 'AAAA'>;

export type LiveDnsOptions = {
  /** As for a resolver: `ip`, `ip:port` or `[v6]:port`; none: those of the system. */
  readonly servers: readonly string[];
  /** Finds the addresses of name servers. */
  readonly resolver: Resolver;
  readonly clock: Clock;
  readonly signal: AbortSignal;
};

const DNS_PORT = 53;
const TRIES_MS = [1500, 3000];
const NAME_SERVERS = 8;
const ADDRESSES = 2;
const ALIASES = 8;

/** One set of looks: who is responsible for a zone is found out once. */
export function openLiveDns(options: LiveDnsOptions): LiveDns {
  const configured = (options.servers.length > 0 ? options.servers : getServers()).slice(0, 3).map(parseServer);
  const zones = new Map<string, Promise<Zone>>();
  const zoneOf = (name: string): Promise<Zone> => {
    let zone = zones.get(name);
    if (zone === undefined) zones.set(name, (zone = findZone(options, { configured, name, zoneOf })));
    return zone;
  };
  return {
    async look(name, type) {
      const [zone, resolver] = await Promise.all([zoneOf(name), askFirst(options, configured, { name, type })]);
      const authorities = await Promise.all(zone.servers.map((server) => askAuthority(options, server, { name, type, zoneOf, aliases: 0 })));
      return { zone: zone.name, detail: zone.detail, authorities, resolver };
    },
  };
}

type NameServer = { readonly shown: string; readonly server: DnsServer };
type Zone = { readonly name: string | null; readonly detail: string; readonly servers: readonly NameServer[] };
type ZoneOf = (name: string) => Promise<Zone>;
type Question = { readonly name: string; readonly type: QueryType };

/** The nearest name at or above that has NS records of its own, and the addresses of the servers that they name. */
async function findZone(options: LiveDnsOptions, from: { configured: readonly DnsServer[]; name: string; zoneOf: ZoneOf }): Promise<Zone> {
  const { configured, name, zoneOf } = from;
  const answer = await askFirst(options, configured, { name, type: 'NS' }, { own: true });
  if (answer.status === 'failed') return { name: null, detail: `the servers of ${name} could not be found: ${answer.detail}`, servers: [] };
  if (answer.texts.length === 0) {
    const parent = name.slice(name.indexOf('.') + 1);
    return parent === name || !parent.includes('.') ? { name: null, detail: `no name server is responsible for ${name}`, servers: [] } : zoneOf(parent);
  }
  const servers = (await Promise.all(answer.texts.slice(0, NAME_SERVERS).map((host) => addressesOf(options, host)))).flat();
  return { name, detail: servers.length === 0 ? `none of the name servers of ${name} has an address` : '', servers };
}

/** The addresses of a name server that can be reached from here, as far as the machine tells. */
async function addressesOf({ resolver }: LiveDnsOptions, host: string): Promise<NameServer[]> {
  const found = await findAddresses(resolver, host);
  const usable = 'addresses' in found ? found.addresses.filter((address) => !address.includes(':') || hasGlobalIpv6() || found.addresses.length === 1) : [];
  return usable.slice(0, ADDRESSES).map((address) => ({ shown: `${host} [${address}]`, server: { address, family: address.includes(':') ? 6 : 4, port: DNS_PORT } }));
}

/** The configured resolvers in turn. With `own`, records of the name itself only, not those of what it is an alias for. */
async function askFirst(options: LiveDnsOptions, servers: readonly DnsServer[], question: Question, how: { readonly own?: boolean } = {}): Promise<ServerAnswer> {
  let last: ServerAnswer = { server: 'the resolver', status: 'failed', detail: 'no resolver is configured and the system names none' };
  for (const server of servers) {
    const shown = `the resolver ${server.address}${server.port === DNS_PORT ? '' : `:${server.port}`}`;
    const { packet, detail } = await ask(options, server, question, true);
    if (packet === null) last = { server: shown, status: 'failed', detail };
    else return readAnswer(packet, question, { server: shown, own: how.own === true }).answer;
  }
  return last;
}

/** One authoritative server; an alias into another zone is followed to the servers of that one. */
async function askAuthority(options: LiveDnsOptions, to: NameServer, question: Question & { zoneOf: ZoneOf; aliases: number }): Promise<ServerAnswer> {
  const { name, type, zoneOf, aliases } = question;
  const { packet, detail } = await ask(options, to.server, { name, type }, false);
  if (packet === null) return { server: to.shown, status: 'failed', detail };
  if (!packet.flag_aa) return { server: to.shown, status: 'failed', detail: `${to.shown} is named as responsible for ${name} but says that it is not (lame delegation)` };
  const { answer, alias } = readAnswer(packet, { name, type }, { server: to.shown, own: false });
  if (alias === null || aliases >= ALIASES) return answer;
  const zone = await zoneOf(alias);
  const [first] = zone.servers;
  if (first === undefined) return { server: to.shown, status: 'failed', detail: `${name} is an alias for ${alias}, and ${zone.detail}` };
  return { ...(await askAuthority(options, first, { name: alias, type, zoneOf, aliases: aliases + 1 })), server: to.shown };
}

type Packet = { readonly packet: (DecodedPacket & { readonly flag_aa?: boolean }) | null; readonly detail: string };

async function ask(options: LiveDnsOptions, server: DnsServer, question: Question, recursion: boolean): Promise<Packet> {
  const { clock, signal } = options;
  const name = canonicalName(question.name);
  if (name === null) return { packet: null, detail: `${JSON.stringify(question.name.slice(0, 100))} is not a domain name` };
  let detail = '';
  for (const timeoutMs of TRIES_MS) {
    const common = { server, name, type: question.type, timeoutMs, clock, signal, recursion };
    let result = await exchange({ ...common, edns: true });
    if (result.kind === 'answer' && (result.rcode === 1 || result.rcode === 4)) result = await exchange({ ...common, edns: false });
    if (result.kind === 'failed') {
      ({ detail } = result);
      if (result.cause !== 'timeout') break;
    } else if (result.rcode === 0 || result.rcode === 3) return { packet: result.packet, detail: '' };
    else return { packet: null, detail: `it answered with RCODE ${result.rcode}${result.rcode === 5 ? ' (refused)' : result.rcode === 2 ? ' (server failure)' : ''}` };
  }
  return { packet: null, detail };
}

/** `alias` is where the chain of aliases leads out of the answer. */
function readAnswer(packet: DecodedPacket, { name, type }: Question, how: { server: string; own: boolean }): { answer: ServerAnswer; alias: string | null } {
  const answers = packet.answers ?? [];
  let owner = name;
  for (let step = 0; step <= ALIASES; step++) {
    const found = answers.filter((one) => one.type === type && one.name.toLowerCase() === owner);
    if (found.length > 0) {
      const texts = found.map((one) => textOf(readRecord(one))).toSorted();
      return { answer: { server: how.server, status: 'answered', texts, ttlSeconds: Math.min(...found.map(ttlOf)) }, alias: null };
    }
    const alias = answers.find((one) => one.type === 'CNAME' && one.name.toLowerCase() === owner);
    if (alias?.type !== 'CNAME' || how.own) break;
    owner = alias.data.toLowerCase();
  }
  const soa = (packet.authorities ?? []).find((one) => one.type === 'SOA');
  const ttlSeconds = soa?.type === 'SOA' ? Math.min(ttlOf(soa), soa.data.minimum ?? 0) : 0;
  return { answer: { server: how.server, status: 'answered', texts: [], ttlSeconds }, alias: owner === name ? null : owner };
}

function textOf(record: ReturnType<typeof readRecord>): string {
  if (record === null) return '(not readable)';
  if (typeof record === 'string') return record;
  const { preference, exchange: host } = record as MxRecord;
  return `${preference} ${host}`;
}
