// From a command line to a command: verbs, MAIL and RCPT with their parameters, xtext. Pure; knows the syntax of RFC 5321, 1870, 6152, 3461,
// 6531, 8689, 4954 and 3030, and nothing of what is allowed when.

import { isUtf8 } from 'node:buffer';
import { isAsciiAddress, parsePath } from './address.ts';
import type { MailCommand, Notify, RcptCommand } from './policy.ts';
import type { Reply } from './reply.ts';
import { REPLIES } from './reply.ts';

/** A line taken apart: the verb in upper case, and what follows the first space. */
export type Line = { readonly verb: string; readonly args: string };

/**
 * Splits a line; white space at its end is no part of it (RFC 5321 4.1.1). Null when it is not UTF-8, or holds a NUL. A verb that is not
 * ASCII is ''.
 */
export function parseLine(bytes: Buffer): Line | null {
  if (!isUtf8(bytes) || bytes.includes(0)) return null;
  let end = bytes.length;
  while (end > 0 && (bytes[end - 1] === 0x20 || bytes[end - 1] === 0x09)) end--;
  const text = bytes.toString('utf8', 0, end);
  const space = text.indexOf(' ');
  const verb = space === -1 ? text : text.slice(0, space);
  // Other scripts have letters whose capitals are ASCII.
  if (!/^[\x21-\x7e]*$/.test(verb)) return { verb: '', args: '' };
  return { verb: verb.toUpperCase(), args: space === -1 ? '' : text.slice(space + 1) };
}

/** Parses what follows `MAIL `. A Reply says what is wrong. */
export function parseMail(args: string): MailCommand | Reply {
  const match = /^FROM:[ \t]*/i.exec(args);
  if (match === null) return REPLIES.syntax('MAIL FROM:<address> [parameters]');
  const parsed = parsePath(args.slice(match[0].length), { empty: true });
  if (parsed === null) return REPLIES.badSender;
  const mail: Mutable<MailCommand> = { from: parsed.path, sizeBytes: null, body: null, smtpUtf8: false, requireTls: false, ret: null, envid: null };
  const wrong = eachParameter(parsed.rest, (name, value) => mailParameter(mail, name, value));
  if (wrong !== null) return wrong;
  return mail.from !== null && !isAsciiAddress(mail.from) && !mail.smtpUtf8 ? REPLIES.utf8Needed : mail;
}

/** Parses what follows `RCPT `. `smtpUtf8` is whether MAIL asked for it; a bare `<postmaster>` is one of `postmasterDomain`. */
export function parseRcpt(args: string, options: { smtpUtf8: boolean; postmasterDomain: string }): RcptCommand | Reply {
  const match = /^TO:[ \t]*/i.exec(args);
  if (match === null) return REPLIES.syntax('RCPT TO:<address> [parameters]');
  const parsed = parsePath(args.slice(match[0].length), { empty: false, postmaster: options.postmasterDomain });
  if (parsed === null || parsed.path === null) return REPLIES.badRecipient;
  const rcpt: Mutable<RcptCommand> = { to: parsed.path, notify: null, orcpt: null };
  const wrong = eachParameter(parsed.rest, (name, value) => rcptParameter(rcpt, name, value));
  if (wrong !== null) return wrong;
  return !isAsciiAddress(rcpt.to) && !options.smtpUtf8 ? REPLIES.utf8Needed : rcpt;
}

/** `BDAT size [LAST]` (RFC 3030). */
export function parseBdat(args: string): { readonly sizeBytes: number; readonly last: boolean } | null {
  const match = /^(\d{1,12})(?: +(LAST))? *$/i.exec(args);
  return match === null ? null : { sizeBytes: Number(match[1]), last: match[2] !== undefined };
}

/** A host name or address literal after EHLO or HELO; loosely, as real clients send underscores and worse. */
export function parseHelo(args: string): string | null {
  const name = args.trim();
  return /^[\x21-\x7e\u0080-\uffff]{1,255}$/.test(name) ? name : null;
}

/** Undoes xtext (RFC 3461 4); null when it is not xtext, or not of printable ASCII (4.2, 4.4). */
export function decodeXtext(text: string): string | null {
  if (!/^(?:[\x21-\x2a\x2c-\x3c\x3e-\x7e]|\+[0-9A-F]{2})*$/.test(text)) return null;
  const decoded = text.replace(/\+([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return /^[\x20-\x7e]*$/.test(decoded) ? decoded : null;
}

/** Makes xtext of printable text. Control characters cannot be carried and are left out. */
export function encodeXtext(text: string): string {
  return Buffer.from(text, 'utf8')
    .toString('latin1')
    .replace(/[\x00-\x1f\x7f]/g, '')
    .replace(/[^\x21-\x2a\x2c-\x3c\x3e-\x7e]/g, (character) => `+${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`);
}

/** The address of an ORCPT of type utf-8, in the form that needs no SMTPUTF8 (utf-8-addr-xtext, RFC 6533 3). */
export function encodeUtf8Orcpt(text: string): string {
  return text.replace(/[^\x21-\x2a\x2c-\x3c\x3e-\x5b\x5d-\x7e]/gu, (character) => `\\x{${character.codePointAt(0)?.toString(16).toUpperCase().padStart(2, '0')}}`);
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function eachParameter(rest: string, set: (name: string, value: string | null) => Reply | null): Reply | null {
  if (rest === '' || rest.trim() === '') return null;
  if (!rest.startsWith(' ')) return REPLIES.syntax('a space between the address and each parameter');
  const seen = new Set<string>();
  for (const word of rest.trim().split(/ +/)) {
    const equals = word.indexOf('=');
    const written = equals === -1 ? word : word.slice(0, equals);
    if (!/^[A-Za-z0-9][A-Za-z0-9-]*$/.test(written)) return REPLIES.syntax('parameters as NAME or NAME=value');
    const name = written.toUpperCase();
    if (seen.has(name)) return REPLIES.badParameter(name.slice(0, 40), 'each parameter once');
    seen.add(name);
    const wrong = set(name, equals === -1 ? null : word.slice(equals + 1));
    if (wrong !== null) return wrong;
  }
  return null;
}

function mailParameter(mail: Mutable<MailCommand>, name: string, value: string | null): Reply | null {
  switch (name) {
    case 'SIZE':
      if (value === null || !/^\d{1,20}$/.test(value)) return REPLIES.badParameter(name, 'a number of octets');
      mail.sizeBytes = Number(value);
      return null;
    case 'BODY': {
      const body = value?.toLowerCase();
      if (body !== '7bit' && body !== '8bitmime') return REPLIES.badParameter(name, '7BIT, 8BITMIME');
      mail.body = body;
      return null;
    }
    case 'SMTPUTF8':
      if (value !== null) return REPLIES.badParameter(name, 'no value');
      mail.smtpUtf8 = true;
      return null;
    case 'REQUIRETLS':
      if (value !== null) return REPLIES.badParameter(name, 'no value');
      mail.requireTls = true;
      return null;
    case 'RET': {
      const ret = value?.toLowerCase();
      if (ret !== 'full' && ret !== 'hdrs') return REPLIES.badParameter(name, 'FULL, HDRS');
      mail.ret = ret;
      return null;
    }
    case 'ENVID': {
      const envid = value === null || value.length > 100 ? null : decodeXtext(value);
      if (envid === null) return REPLIES.badParameter(name, 'xtext of at most 100 characters');
      mail.envid = envid === '' ? null : envid;
      return null;
    }
    case 'AUTH':
      // Read so that clients may send it; who submitted is known from AUTH itself (RFC 4954 5).
      return value === null || decodeXtext(value) === null ? REPLIES.badParameter(name, 'xtext') : null;
    default:
      return REPLIES.unknownParameter(name);
  }
}

function rcptParameter(rcpt: Mutable<RcptCommand>, name: string, value: string | null): Reply | null {
  if (name === 'NOTIFY') {
    const notify = value === null ? null : parseNotify(value);
    if (notify === null) return REPLIES.badParameter(name, 'NEVER, or a list of SUCCESS, FAILURE, DELAY');
    rcpt.notify = notify;
    return null;
  }
  if (name !== 'ORCPT') return REPLIES.unknownParameter(name);
  const semicolon = value?.indexOf(';') ?? -1;
  const type = value?.slice(0, semicolon).toLowerCase() ?? '';
  const decoded = value === null || value.length > 500 ? null : type === 'utf-8' ? decodeUtf8Orcpt(value.slice(semicolon + 1)) : decodeXtext(value.slice(semicolon + 1));
  if (semicolon < 1 || decoded === null || decoded === '' || !/^[a-z0-9-]+$/.test(type)) return REPLIES.badParameter(name, 'type;address in xtext');
  rcpt.orcpt = { type, value: decoded };
  return null;
}

function parseNotify(value: string): Notify | null {
  const words = value.toUpperCase().split(',');
  if (words.length === 1 && words[0] === 'NEVER') return { success: false, failure: false, delay: false };
  if (new Set(words).size !== words.length || !words.every((word) => word === 'SUCCESS' || word === 'FAILURE' || word === 'DELAY')) return null;
  return { success: words.includes('SUCCESS'), failure: words.includes('FAILURE'), delay: words.includes('DELAY') };
}

/** utf-8-addr-xtext and -unitext of RFC 6533 3: `\x{HEX}` for what may not stand for itself. */
function decodeUtf8Orcpt(text: string): string | null {
  const decoded = text.replace(/\\x\{([0-9A-F]{1,6})\}/gi, (_, hex: string) => {
    const point = Number.parseInt(hex, 16);
    return point <= 0x10ffff ? String.fromCodePoint(point) : '\0';
  });
  return /\p{Cc}/u.test(decoded) || !decoded.isWellFormed() ? null : decoded;
}
