// An SPF record read into terms. All of it is checked before any of it is used: one syntax error anywhere spoils the record. RFC 7208 4.5, 4.6, 5, 6, 12.

import { isIPv4, isIPv6 } from 'node:net';
import type { MacroString } from './macro.ts';
import { parseDomainSpec, parseMacros } from './macro.ts';

export type Qualifier = 'pass' | 'fail' | 'softfail' | 'neutral';

/** `text` is the term as it stands in the record, for people. */
export type Directive = { readonly qualifier: Qualifier; readonly text: string } & (
  | { readonly mechanism: 'all' }
  | { readonly mechanism: 'include' | 'exists'; readonly domain: MacroString }
  | { readonly mechanism: 'ptr'; readonly domain: MacroString | null }
  | { readonly mechanism: 'a' | 'mx'; readonly domain: MacroString | null; readonly bits4: number; readonly bits6: number }
  | { readonly mechanism: 'ip4' | 'ip6'; readonly address: string; readonly bits: number }
);

export type SpfRecord = { readonly directives: readonly Directive[]; readonly redirect: MacroString | null; readonly exp: MacroString | null };

const QUALIFIERS: Readonly<Record<string, Qualifier>> = { '+': 'pass', '-': 'fail', '~': 'softfail', '?': 'neutral' };

/** Whether a TXT record is one of SPF (RFC 7208 4.5). */
export function isSpfRecord(text: string): boolean {
  return /^v=spf1(?: |$)/i.test(text);
}

/** Reads a record that `isSpfRecord`; the problem names the term that is wrong. */
export function parseSpfRecord(text: string): SpfRecord | { readonly problem: string } {
  if (/[^\x20-\x7e]/.test(text)) return { problem: 'the record has characters that are not printable ASCII' };
  const record: { directives: Directive[]; redirect: MacroString | null; exp: MacroString | null } = { directives: [], redirect: null, exp: null };
  for (const term of text.slice('v=spf1'.length).split(' ')) {
    if (term === '') continue;
    const modifier = /^([a-z][a-z0-9_.-]*)=(.*)$/i.exec(term);
    const problem = modifier === null ? addDirective(record.directives, term) : addModifier(record, { name: (modifier[1] ?? '').toLowerCase(), value: modifier[2] ?? '', term });
    if (problem !== null) return { problem };
  }
  return record;
}

function addModifier(record: { redirect: MacroString | null; exp: MacroString | null }, { name, value, term }: { name: string; value: string; term: string }): string | null {
  if (name !== 'redirect' && name !== 'exp') return parseMacros(value) === null ? `bad macro in "${term}"` : null;
  if (record[name] !== null) return `"${name}=" stands there twice`;
  record[name] = parseDomainSpec(value);
  return record[name] === null ? `"${term}" has no valid domain` : null;
}

function addDirective(directives: Directive[], term: string): string | null {
  const found = /^([-+?~]?)([a-z0-9_.-]+)([:/].*)?$/i.exec(term);
  const bad = `"${term}" is no valid term`;
  if (found === null) return bad;
  const qualifier = QUALIFIERS[found[1] || '+'] ?? 'pass';
  const rest = found[3] ?? '';
  const mechanism = (found[2] ?? '').toLowerCase();
  const directive = readMechanism(mechanism, rest);
  if (directive === null) return bad;
  directives.push({ qualifier, text: term, ...directive } as Directive);
  return null;
}

type Bare = Directive extends infer D ? (D extends Directive ? Omit<D, 'qualifier' | 'text'> : never) : never;

function readMechanism(mechanism: string, rest: string): Bare | null {
  switch (mechanism) {
    case 'all':
      return rest === '' ? { mechanism } : null;
    case 'include':
    case 'exists': {
      const domain = rest.startsWith(':') ? parseDomainSpec(rest.slice(1)) : null;
      return domain === null ? null : { mechanism, domain };
    }
    case 'ptr': {
      if (rest === '') return { mechanism, domain: null };
      const domain = rest.startsWith(':') ? parseDomainSpec(rest.slice(1)) : null;
      return domain === null ? null : { mechanism, domain };
    }
    case 'a':
    case 'mx':
      return readHosts(mechanism, rest);
    case 'ip4':
    case 'ip6':
      return readNetwork(mechanism, rest);
    default:
      return null;
  }
}

function readHosts(mechanism: 'a' | 'mx', rest: string): Bare | null {
  const found = /^(?::(.*?))?(?:\/(\d+))?(?:\/\/(\d+))?$/.exec(rest);
  if (found === null) return null;
  const [, spec, four, six] = found;
  const domain = spec === undefined ? null : parseDomainSpec(spec);
  if (spec !== undefined && domain === null) return null;
  const bits4 = readBits(four, 32);
  const bits6 = readBits(six, 128);
  return bits4 === null || bits6 === null ? null : { mechanism, domain, bits4, bits6 };
}

function readNetwork(mechanism: 'ip4' | 'ip6', rest: string): Bare | null {
  const found = /^:([^/]+)(?:\/(\d+))?$/.exec(rest);
  if (found === null) return null;
  const [, address = '', length] = found;
  if (mechanism === 'ip4' ? !isIPv4(address) : !isIPv6(address) || address.includes('%')) return null;
  const bits = readBits(length, mechanism === 'ip4' ? 32 : 128);
  return bits === null ? null : { mechanism, address, bits };
}

/** A prefix length without leading zeros; absent means the whole address. */
function readBits(text: string | undefined, max: number): number | null {
  if (text === undefined) return max;
  if (!/^(?:0|[1-9]\d{0,2})$/.test(text)) return null;
  return Number(text) <= max ? Number(text) : null;
}
