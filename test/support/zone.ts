// A resolver over records in memory: the answers of a DNS that a test makes up, failures included.

import { reverseName } from '#dns/name.ts';
import type { DnsAnswer, MxRecord, Resolver, TlsaRecord } from '#dns/resolver.ts';

export type ZoneRecord = Readonly<Record<string, unknown>> | 'TIMEOUT';
/** Records by name: `{TXT: 'text'}`, `{A: '192.0.2.1'}`, `{MX: [10, 'host']}`; 'TIMEOUT' for whatever else is asked of that name. */
export type Zone = Readonly<Record<string, readonly ZoneRecord[]>>;

export type ZoneResolver = Resolver & { /** What was asked, in order: `TXT _dmarc.example.com`. */ readonly asked: string[] };

export function zoneResolver(zone: Zone): ZoneResolver {
  const names = new Map(Object.entries(zone).map(([name, records]) => [fold(name), records]));
  const asked: string[] = [];
  const ask = <T>(type: string, name: string): DnsAnswer<T> => {
    asked.push(`${type} ${fold(name)}`);
    return look<T>(names, type, fold(name));
  };
  return {
    asked,
    a: async (name) => ask<string>('A', name),
    aaaa: async (name) => ask<string>('AAAA', name),
    mx: async (name) => ask<MxRecord>('MX', name),
    txt: async (name) => ask<string>('TXT', name),
    cname: async (name) => ask<string>('CNAME', name),
    ptr: async (address) => ask<string>('PTR', reverseName(address) ?? ''),
    tlsa: async (name) => ask<TlsaRecord>('TLSA', name),
    close() {},
  };
}

function look<T>(names: ReadonlyMap<string, readonly ZoneRecord[]>, type: string, name: string, aliases = 0): DnsAnswer<T> {
  const records = names.get(name);
  if (records === undefined) {
    const below = [...names.keys()].some((other) => other.endsWith(`.${name}`));
    return { status: below ? 'no-data' : 'no-domain', authenticated: false, ttlSeconds: 60 };
  }
  const own = records.filter((record) => record !== 'TIMEOUT');
  const found = own.filter((record) => type in record && record[type] !== 'NONE').map((record) => value(type, record[type]));
  if (found.length > 0) return { status: 'found', records: found as T[], authenticated: false, ttlSeconds: 60, owner: name };
  const alias = own.find((record) => 'CNAME' in record);
  if (alias !== undefined && type !== 'CNAME') {
    if (aliases > 16) return { status: 'failed', cause: 'malformed', detail: `too many aliases from ${name}` };
    return look(names, type, fold(String(alias['CNAME'])), aliases + 1);
  }
  if (records.includes('TIMEOUT')) return { status: 'failed', cause: 'timeout', detail: `no answer for ${type} ${name}` };
  return { status: 'no-data', authenticated: false, ttlSeconds: 60 };
}

function value(type: string, raw: unknown): unknown {
  if (type === 'TXT') return Array.isArray(raw) ? raw.join('') : String(raw);
  if (type === 'MX') {
    const [preference, exchange] = raw as [number, string];
    return { preference, exchange };
  }
  return type === 'A' || type === 'AAAA' ? String(raw) : fold(String(raw));
}

function fold(name: string): string {
  return name.toLowerCase().replace(/\.$/, '');
}
