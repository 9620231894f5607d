// Names as they may be asked of DNS: canonical A-labels, nothing else. Knows no record types and asks nobody. RFC 1035 2.3.4,
// RFC 1123 2.1, RFC 5890 2.3.2.1. Numeric top labels are refused: only canonical IP addresses are IP addresses.

import { isIPv4, isIPv6 } from 'node:net';
import { domainToASCII } from 'node:url';

const NAME_CHARACTERS = 253;
const ASCII_NAME = /^[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*$/;
const NUMERIC_TOP = /(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)$/;

/**
 * A domain or host name in canonical form (lower case, A-labels, no final dot), or null when it is none: NUL, spaces, other
 * characters than letters, digits, hyphen and underscore, labels over 63 or names over 253 characters, a numeric top label.
 */
export function canonicalName(name: string): string | null {
  if (name.length > NAME_CHARACTERS * 4) return null;
  const bare = name.endsWith('.') ? name.slice(0, -1) : name;
  const ascii = /[^\p{ASCII}]/u.test(bare) ? toAscii(bare) : bare.toLowerCase();
  return ascii.length <= NAME_CHARACTERS && ASCII_NAME.test(ascii) && !NUMERIC_TOP.test(ascii) ? ascii : null;
}

/** A-labels of a name with U-labels. The URL parser behind it would also take ports, escapes and the like: those are no names. */
function toAscii(name: string): string {
  return /[\p{Cc} %/:?#@[\]\\]/u.test(name) ? '' : domainToASCII(name);
}

/** Whether a canonical domain is meant: `*` is any, `*.example.com` any below that, else the domain itself. */
export function matchesPattern(pattern: string, domain: string): boolean {
  if (pattern === '*') return true;
  return pattern.startsWith('*.') ? domain.endsWith(pattern.slice(1)) : pattern === domain;
}

/** The name under which the PTR of an IP address is found (RFC 1035 3.5, RFC 3596 2.5), or null when it is no canonical address. */
export function reverseName(address: string): string | null {
  if (isIPv4(address)) return `${address.split('.').reverse().join('.')}.in-addr.arpa`;
  const groups = isIPv6(address) && !address.includes('%') ? expandIpv6(address) : null;
  if (groups === null) return null;
  const nibbles = groups.map((group) => group.toString(16).padStart(4, '0')).join('');
  return `${[...nibbles].reverse().join('.')}.ip6.arpa`;
}

/** The eight groups of an IPv6 address that `isIPv6` accepts, without a zone. */
export function expandIpv6(address: string): number[] {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const plain =
    dotted === null ? address : `${dotted[1]}${(Number(dotted[2]) * 256 + Number(dotted[3])).toString(16)}:${(Number(dotted[4]) * 256 + Number(dotted[5])).toString(16)}`;
  const [left = '', right] = plain.split('::');
  const head = left === '' ? [] : left.split(':');
  const tail = right === undefined || right === '' ? [] : right.split(':');
  const middle = right === undefined ? [] : Array.from({ length: 8 - head.length - tail.length }, () => '0');
  return [...head, ...middle, ...tail].map((group) => Number.parseInt(group, 16));
}
