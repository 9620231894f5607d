// The only address type (RFC 5321 4.1.2, RFC 6531). An address is parsed once, at the edge, and carried as this; nothing
// parses `text` again.

import { isIP } from 'node:net';
import { domainToASCII, domainToUnicode } from 'node:url';

/**
 * A mailbox. `local` is the local part with quoting undone; `domain` is canonical (lower case, A-labels, or an address
 * literal in brackets); `text` is what the sender wrote, without angle brackets, and is what goes on the wire.
 */
export type Address = { readonly local: string; readonly domain: string; readonly text: string };

/** MAIL FROM: an address, or null for the null reverse-path `<>`. */
export type ReversePath = Address | null;

const MAX_LOCAL_OCTETS = 64;
/** RFC 5321 4.5.3.1.2 says 255 as DNS counts, which is 253 in text (RFC 1035 2.3.4). */
const MAX_DOMAIN_OCTETS = 253;
const ATOM = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u00a0-\u{10ffff}]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u00a0-\u{10ffff}]+)*$/u;
const QUOTED = /^"(?:[\x20\x21\x23-\x5b\x5d-\x7e\u00a0-\u{10ffff}]|\\[\x20-\x7e])*"$/u;
/** `@one,@two:` before the mailbox (RFC 5321 4.1.2, appendix C). */
const ROUTE = /^@(?:\[[^\]\s]+\]|[^\s:,@<>[\]]+)(?:,@(?:\[[^\]\s]+\]|[^\s:,@<>[\]]+))*:/;
const LABELS = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/;

/** Parses `local@domain` strictly; null when it is not a mailbox (bad characters, lengths, empty parts, unknown literal). */
export function parseMailbox(text: string): Address | null {
  const at = text.lastIndexOf('@');
  if (at < 1 || !text.isWellFormed()) return null;
  const local = parseLocal(text.slice(0, at));
  const domain = canonicalDomain(text.slice(at + 1));
  return local === null || domain === null ? null : { local, domain, text };
}

/** A domain in canonical form (lower case, A-labels, no final dot) or an address literal; null when it is neither. */
export function canonicalDomain(text: string): string | null {
  if (text.startsWith('[')) return parseLiteral(text);
  const ascii = isAsciiText(text) ? text.toLowerCase() : asciiLabels(text);
  if (ascii.length > MAX_DOMAIN_OCTETS || !LABELS.test(ascii)) return null;
  // A dotted quad without brackets is no domain, and would be taken for an address further on.
  return /(?:^|\.)\d+$/.test(ascii) ? null : ascii;
}

/**
 * A-labels of a name with U-labels, '' when it is not one in the form that RFC 5890 2.3.2.1 wants. What the URL parser would make of other text
 * (it undoes %2e, cuts at / and #, drops what is invisible) is not what the next reader of the address sees.
 */
function asciiLabels(text: string): string {
  const ascii = domainToASCII(text);
  const given = text.normalize('NFC').toLowerCase().split('.');
  const labels = ascii.split('.');
  const meant = domainToUnicode(ascii).split('.');
  return given.length === labels.length && given.every((label, i) => label === labels[i] || label === meant[i]) ? ascii : '';
}

/** The path in angle brackets, as in RFC 5321 (quoting as the sender wrote it). */
export function formatPath(path: ReversePath): string {
  return path === null ? '<>' : `<${path.text}>`;
}

/** False when the address needs SMTPUTF8 (RFC 6531): its domain could be written in ASCII, its local part could not. */
export function isAsciiAddress(address: Address): boolean {
  return isAsciiText(address.text);
}

/** The address with its domain in A-labels, which needs no SMTPUTF8; null when the local part is not ASCII. */
export function asciiForm(address: Address): Address | null {
  if (isAsciiAddress(address)) return address;
  const written = address.text.slice(0, address.text.lastIndexOf('@'));
  return isAsciiText(written) ? { ...address, text: `${written}@${address.domain}` } : null;
}

export type Path = { readonly path: ReversePath; readonly rest: string };

/**
 * Parses `<path>` at the start of `text`; `rest` is what follows. Source routes are read and ignored (RFC 5321 4.1.1.3). With
 * `postmaster`, a bare `<Postmaster>` is the postmaster of that domain (4.5.1). Null when there is no valid path.
 */
export function parsePath(text: string, options: { empty: boolean; postmaster?: string }): Path | null {
  const end = pathEnd(text);
  if (end === null) return null;
  const inside = text.slice(1, end).replace(ROUTE, '');
  const rest = text.slice(end + 1);
  if (inside === '') return options.empty && end === 1 ? { path: null, rest } : null;
  if (options.postmaster !== undefined && /^postmaster$/i.test(inside)) {
    return { path: { local: inside, domain: options.postmaster, text: `${inside}@${options.postmaster}` }, rest };
  }
  const address = parseMailbox(inside);
  return address === null ? null : { path: address, rest };
}

/** The index of the `>` that closes the path: the first one outside a quoted string. */
function pathEnd(text: string): number | null {
  if (!text.startsWith('<')) return null;
  let quoted = false;
  for (let i = 1; i < text.length; i++) {
    const character = text[i];
    if (quoted && character === '\\') i++;
    else if (character === '"') quoted = !quoted;
    else if (character === '>' && !quoted) return i;
  }
  return null;
}

function parseLocal(text: string): string | null {
  if (Buffer.byteLength(text) > MAX_LOCAL_OCTETS) return null;
  if (ATOM.test(text)) return text;
  if (!QUOTED.test(text)) return null;
  return text.slice(1, -1).replace(/\\(.)/g, '$1');
}

function parseLiteral(text: string): string | null {
  const match = /^\[(IPv6:)?([0-9A-Fa-f:.]+)\]$/i.exec(text);
  if (match === null) return null;
  const [, v6, address = ''] = match;
  return isIP(address) === (v6 === undefined ? 4 : 6) ? text.toLowerCase() : null;
}

function isAsciiText(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return false;
  return true;
}
