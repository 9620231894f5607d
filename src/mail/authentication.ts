// What was found out about where a message came from, as one record that goes with it, and how it is told to whoever reads the message: the
// Authentication-Results field. Also finds fields that claim to be ours and are not. RFC 8601.

import { foldHeader } from './headers.ts';
import type { Field } from './headers.ts';
import type { DkimVerdict } from './dkim/verify.ts';
import type { DmarcVerdict } from './dmarc/evaluate.ts';
import type { SpfResultName } from './spf/check.ts';

/** The verdicts on one message that came by port 25. Plain data: it is kept with the envelope. */
export type Authentication = {
  readonly spf: { readonly result: SpfResultName; readonly identity: 'mailfrom' | 'helo'; readonly domain: string; readonly reason: string };
  readonly dkim: readonly DkimVerdict[];
  readonly dmarc: DmarcVerdict;
  readonly arc: { readonly result: 'none' | 'pass' | 'fail'; readonly instance: number; readonly sealer: string | null; readonly reason: string };
  readonly disposition: 'accepted' | 'quarantined' | 'rejected' | 'deferred';
  /** Why, when it is not what the author's domain asks for, or not simply accepted. */
  readonly why: string;
};

const MAX_REASON = 200;
const TOKEN = /^[A-Za-z0-9!#$%&'*+.^_`{|}~-]+$/;

/** The field for the message; null stands for one that was not looked at. CRLF at its end. */
export function formatAuthenticationResults(hostname: string, found: Authentication | null): string {
  if (found === null) return foldHeader('Authentication-Results', [`${hostname};`, 'none']);
  return foldHeader('Authentication-Results', [`${hostname};`, ...resultTokens(found)]);
}

/** The same for a set of ARC (RFC 8617 4.1.1): what follows the host's name. */
export function resultTokens(found: Authentication): string[] {
  const { spf, dkim, dmarc, arc } = found;
  const methods = [method('spf', spf.result, spf.result === 'pass' ? '' : spf.reason, [[`smtp.${spf.identity}`, spf.domain]])];
  if (dkim.length === 0) methods.push(method('dkim', 'none', '', []));
  for (const one of dkim) {
    methods.push(
      method('dkim', one.result, one.reason, [
        ['header.d', one.domain],
        ['header.s', one.selector],
        ['header.a', one.algorithm],
        ['header.b', one.mark],
      ]),
    );
  }
  methods.push(
    method('dmarc', dmarc.result, dmarc.reason, [
      ['header.from', dmarc.domain],
      ['policy.dmarc', dmarc.policy],
    ]),
  );
  if (arc.result !== 'none') methods.push(method('arc', arc.result, arc.reason, [['header.d', arc.sealer]]));
  return methods.flatMap((tokens, i) => (i === methods.length - 1 ? tokens : [...tokens.slice(0, -1), `${tokens.at(-1) ?? ''};`]));
}

/** `method=result reason="..." ptype.property=value`, a token each, so that the field can be folded between them. */
function method(name: string, result: string, reason: string, properties: readonly (readonly [string, string | null])[]): string[] {
  const tokens = [`${name}=${result}`];
  // A quoted text is folded at its spaces.
  if (reason !== '') tokens.push(...`reason="${printable(reason).slice(0, MAX_REASON).replace(/["\\]/g, "'")}"`.split(' '));
  for (const [property, value] of properties) if (value !== null && value !== '') tokens.push(`${property}=${valueText(value)}`);
  return tokens;
}

/** A token as it is, anything else quoted (RFC 2045 5.1). */
function valueText(value: string): string {
  if (value.length <= MAX_REASON && TOKEN.test(value)) return value;
  const text = printable(value).slice(0, MAX_REASON);
  return TOKEN.test(text) ? text : `"${text.replace(/["\\]/g, "'")}"`;
}

function printable(text: string): string {
  return /^[\x20-\x7e]*$/.test(text) ? text : text.replace(/[^\x20-\x7e]+/g, '?');
}

/**
 * Whether a field says, or might be taken to say, that this host wrote it: an Authentication-Results with this host's name. Whoever
 * trusts that name must find ours only (RFC 8601 5).
 */
export function claimsToBe(hostname: string, field: Field): boolean {
  if (field.name !== 'authentication-results') return false;
  const value = field.value();
  const id = authservId(value);
  // What cannot be read might be read by somebody else.
  return id === null ? value.toLowerCase().includes(hostname) : id === hostname;
}

/** The name at the beginning, behind white space and comments; null when there is none that ends as it should. */
function authservId(value: string): string | null {
  const start = skipComments(value);
  if (start === null) return null;
  const found = /^(?:"((?:[^"\\]|\\.)*)"|([^\s;"()]+))/.exec(value.slice(start));
  if (found === null) return null;
  const rest = value.slice(start + found[0].length);
  if (rest !== '' && !/^[\s;(]/.test(rest)) return null;
  return (found[1]?.replace(/\\(.)/g, '$1') ?? found[2] ?? '').trim().toLowerCase().replace(/\.$/, '');
}

function skipComments(value: string): number | null {
  let depth = 0;
  for (let at = 0; at < value.length; at++) {
    const character = value[at];
    if (character === '\\' && depth > 0) at++;
    else if (character === '(') depth++;
    else if (character === ')' && depth > 0) depth--;
    else if (depth === 0 && !/\s/.test(character ?? '')) return at;
  }
  return null;
}
