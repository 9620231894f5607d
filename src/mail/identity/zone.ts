// Records as a zone file has them (RFC 1035 5.1): names and targets with their final dot, long texts in strings of 255 octets.

import type { DnsRecord } from './records.ts';

const STRING_OCTETS = 255;
const TTL_SECONDS = 3600;

/** One line, without its end. */
export function zoneLine(record: Pick<DnsRecord, 'type' | 'name' | 'value'>): string {
  return `${record.name}. ${TTL_SECONDS} IN ${record.type} ${zoneData(record)}`;
}

/** Text for the purpose of each record, and its line. Names are absolute: it can be included anywhere. */
export function zoneFile(records: readonly DnsRecord[], explain: (record: DnsRecord) => string): string {
  return records.map((record) => `; ${explain(record)}\n${zoneLine(record)}\n`).join('');
}

/** A text in pieces that each fit a character string. */
export function textStrings(value: string): string[] {
  const bytes = Buffer.from(value, 'utf8');
  const strings: string[] = [];
  for (let at = 0; at < bytes.length; at += STRING_OCTETS) strings.push(bytes.toString('latin1', at, at + STRING_OCTETS));
  return strings.length === 0 ? [''] : strings;
}

function zoneData({ type, value }: Pick<DnsRecord, 'type' | 'value'>): string {
  return type === 'TXT' ? textStrings(value).map(quoted).join(' ') : `${value}.`;
}

/** RFC 1035 5.1: a quote and a backslash are escaped, other than printable ASCII as three decimal digits. */
function quoted(text: string): string {
  const safe = text.replace(/["\\]/g, '\\$&').replace(/[^\x20-\x7e]/g, (character) => `\\${String(character.charCodeAt(0)).padStart(3, '0')}`);
  return `"${safe}"`;
}
