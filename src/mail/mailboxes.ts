// The addresses in From, To and the like (RFC 5322 3.4, 4.4; RFC 6854 groups in From), read tolerantly but never less: whoever checks
// the addresses must see all that any reader could take for one. Display names are not kept.

import { canonicalDomain } from '#smtp/address.ts';
import type { Address } from '#smtp/address.ts';
import { decodeWords } from './words.ts';

type Token = { readonly kind: 'word' | 'quoted' | 'literal' | 'special'; readonly text: string; readonly spaced: boolean };

const SPECIALS = '<>@,;:.';
const ENCODED_WORD = /^=\?[^?\s]+\?[bq]\?[^?\s]*\?=$/i;

/**
 * Every address of an address list, in order; groups are opened, comments and display names skipped. An element that has an `@`
 * but cannot be read comes back with an empty domain and its text, so that a check refuses it rather than overlooks it.
 * With `names`, an address that stands unquoted where a name belongs (`b@other.example <a@example.com>`) is told too: it has no place there,
 * and some readers take it for the sender.
 */
export function parseMailboxes(value: string, options: { readonly names?: boolean } = {}): Address[] {
  const names = options.names === true;
  const found: Address[] = [];
  let element: Token[] = [];
  let angle = false;
  const flush = (): void => {
    if (element.some((token) => token.text.includes('@')) || (names && hidesAddress(element))) found.push(readAddress(element));
    element = [];
  };
  for (const token of tokenize(value)) {
    const special = token.kind === 'special' ? token.text : '';
    if (special === '<' && !angle) {
      // What stood before was a display name.
      if (names && !isName(element)) found.push(readAddress(element));
      angle = true;
      element = [];
    } else if (special === '>') {
      flush();
      angle = false;
    } else if (special === ':') {
      // The end of a group's name, or of an obsolete route (RFC 5322 4.4).
      if (names && !(angle && isRoute(element)) && !isName(element)) found.push(readAddress(element));
      element = [];
    } else if ((special === ',' || special === ';') && !(angle && isRoute(element))) {
      flush();
      angle = false;
    } else {
      element.push(token);
    }
  }
  flush();
  return found;
}

/**
 * Whether this may stand as a display name: an `@` only within quotes or an encoded word, and then nothing besides but words, each by itself
 * (RFC 5322 3.2.5, RFC 2047 5).
 */
function isName(element: readonly Token[]): boolean {
  if (hasAt(element)) return false;
  const quotesAddress = element.some((token) => token.kind === 'quoted' && token.text.includes('@'));
  const plain = element.filter((token) => token.kind !== 'quoted');
  if (!quotesAddress && !hidesAddress(plain)) return true;
  const words = textOf(plain).trim().split(/\s+/);
  return words.every((word) => ENCODED_WORD.test(word) || (!word.includes('=?') && !/[()<>[\]\\]/.test(word)));
}

function hasAt(element: readonly Token[]): boolean {
  return element.some((token) => token.kind === 'special' && token.text === '@');
}

/** `@a,@b:` before an address in angle brackets: its commas separate nothing. */
function isRoute(element: readonly Token[]): boolean {
  return element[0]?.kind === 'special' && element[0].text === '@';
}

function readAddress(element: readonly Token[]): Address {
  const raw = element
    .map((token) => (token.spaced ? ' ' : '') + (token.kind === 'quoted' ? quote(token.text) : token.text))
    .join('')
    .trim();
  const unreadable: Address = { local: '', domain: '', text: raw };
  const at = element.findIndex((token) => token.kind === 'special' && token.text === '@');
  const local = readLocal(element.slice(0, at));
  const domain = readDomain(element.slice(at + 1));
  if (local === null || domain === null) return unreadable;
  const canonical = canonicalDomain(domain);
  if (canonical === null) return unreadable;
  return { local, domain: canonical, text: `${/^[^\s"(),:;<>@[\\\]]+$/.test(local) && !/^\.|\.\.|\.$/.test(local) ? local : quote(local)}@${domain}` };
}

/** Words joined by dots, taken backwards from the `@`: `John Doe@example.com` is read as `Doe@example.com`. */
function readLocal(tokens: readonly Token[]): string | null {
  let local = '';
  let wantWord = true;
  let words = 0;
  for (let at = tokens.length - 1; at >= 0; at--) {
    const token = tokens[at] as Token;
    const dot = token.kind === 'special' && token.text === '.';
    if (!dot && token.kind !== 'word' && token.kind !== 'quoted') return null;
    if (!dot && !wantWord) return hidesAddress(tokens.slice(0, at + 1)) ? null : local;
    // Dots where RFC 5322 has none (`a..b`, `a.@`) are in use by real mailboxes.
    local = token.text + local;
    if (!dot) words++;
    wantWord = dot;
  }
  return words === 0 || hidesAddress(tokens.filter((token) => token.kind !== 'quoted')) ? null : local;
}

/** Text before an address that some readers take for the address: with an `@`, or with one in an encoded word. */
function hidesAddress(tokens: readonly Token[]): boolean {
  const text = textOf(tokens);
  return text.includes('@') || (text.includes('=?') && decodeWords(text).includes('@'));
}

function textOf(tokens: readonly Token[]): string {
  return tokens.map((token) => (token.spaced ? ' ' : '') + token.text).join('');
}

function readDomain(tokens: readonly Token[]): string | null {
  const [first] = tokens;
  if (first?.kind === 'literal') return tokens.length === 1 ? first.text : null;
  let domain = '';
  let wantWord = true;
  for (const token of tokens) {
    const dot = token.kind === 'special' && token.text === '.';
    if (dot ? wantWord : token.kind !== 'word' || !wantWord) return null;
    domain += token.text;
    wantWord = dot;
  }
  return wantWord ? null : domain;
}

function quote(local: string): string {
  return `"${local.replace(/["\\]/g, '\\$&')}"`;
}

/** Lexical tokens (RFC 5322 3.2). Comments and white space only separate; what is left open ends with the text. */
function* tokenize(value: string): Generator<Token> {
  let spaced = false;
  for (let at = 0; at < value.length;) {
    const character = value.charAt(at);
    if (/\s/.test(character)) {
      spaced = true;
      at++;
    } else if (character === '(') {
      const end = commentEnd(value, at);
      // What some readers do not take for a comment must not be overlooked in one that nobody closed.
      if (end === null) yield { kind: 'quoted', text: value.slice(at), spaced: true };
      spaced = true;
      at = end ?? value.length;
    } else if (character === '"' || character === '[') {
      const close = character === '"' ? '"' : ']';
      const [text, next] = readEnclosed(value, at + 1, close);
      yield character === '"' ? { kind: 'quoted', text, spaced } : { kind: 'literal', text: `[${text}]`, spaced };
      spaced = false;
      at = next;
    } else if (SPECIALS.includes(character)) {
      yield { kind: 'special', text: character, spaced };
      spaced = false;
      at++;
    } else {
      let end = at + 1;
      while (end < value.length && !/[\s("[<>@,;:.]/.test(value.charAt(end))) end++;
      yield { kind: 'word', text: value.slice(at, end), spaced };
      spaced = false;
      at = end;
    }
  }
}

/** Text up to the closing character with `\x` undone, and the offset after it. */
function readEnclosed(value: string, start: number, close: string): [string, number] {
  let text = '';
  for (let at = start; at < value.length; at++) {
    const character = value.charAt(at);
    if (character === close) return [text, at + 1];
    if (character === '\\' && at + 1 < value.length) text += value.charAt(++at);
    else text += character;
  }
  return [text, value.length];
}

/** The offset after a comment, comments within it included; null when it does not close. */
function commentEnd(value: string, start: number): number | null {
  let depth = 0;
  for (let at = start; at < value.length; at++) {
    const character = value.charAt(at);
    if (character === '\\') at++;
    else if (character === '(') depth++;
    else if (character === ')' && --depth === 0) return at + 1;
  }
  return null;
}
