// The trace field that this host puts on top of every message it takes, and the count of those that are there. RFC 5321 4.4,
// RFC 3848 (protocol names), RFC 6531 4.3, RFC 8314 7.4 (TLS in a comment).

import { asciiForm } from '#smtp/address.ts';
import type { Address } from '#smtp/address.ts';
import type { TlsInfo } from '#smtp/policy.ts';
import { foldHeader, formatDate } from './headers.ts';
import type { Field } from './headers.ts';

export type ReceivedOptions = {
  /** What the client called itself; anything is safe here. */
  readonly helo: string;
  readonly clientAddress: string;
  /** The client's name by reverse DNS, if it was looked up and confirmed. */
  readonly ptr?: string | null;
  readonly hostname: string;
  /** Not by SMTP: `local` by an account of this machine, which has no address. */
  readonly handedOver?: 'api' | 'local';
  /** ESMTP (EHLO) rather than HELO. */
  readonly extended: boolean;
  readonly tls: TlsInfo | null;
  readonly authenticated: boolean;
  readonly smtpUtf8: boolean;
  readonly id: string;
  /** Only when the message has a single recipient, so that no one sees another's address (RFC 5321 7.6). */
  readonly recipient: Address | null;
  readonly nowMs: number;
};

/** The Received field, folded under 78 columns, CRLF at its end. */
export function formatReceived(options: ReceivedOptions): string {
  const { helo, clientAddress, ptr, tls, recipient } = options;
  const literal = clientAddress.includes(':') ? `IPv6:${clientAddress}` : clientAddress;
  const named = ptr === undefined || ptr === null ? '' : `${traceName(ptr)} `;
  const from = clientAddress === '' ? [] : ['from', options.handedOver ?? traceName(helo), `(${named}[${literal}])`];
  const tokens = [...from, `by ${options.hostname}`, ...wayOf(options)];
  if (tls !== null) tokens.push(`(${traceName(tls.protocol)} ${traceName(tls.cipher)})`);
  tokens.push(`id ${options.id}`);
  const shown = recipient === null ? null : (asciiForm(recipient) ?? recipient);
  if (shown !== null && mayShow(shown.text, options.smtpUtf8)) tokens.push(`for <${shown.text}>`);
  tokens[tokens.length - 1] += ';';
  tokens.push(formatDate(options.nowMs));
  return foldHeader('Received', tokens);
}

/** How many hosts have had this message before (RFC 5321 6.3). */
export function countReceived(fields: readonly Field[]): number {
  let count = 0;
  for (const field of fields) if (field.name === 'received') count++;
  return count;
}

/** What was handed over has no protocol of RFC 3848; who handed it over stands in a comment. */
function wayOf(options: ReceivedOptions): string[] {
  const { handedOver, clientAddress, helo } = options;
  if (handedOver === undefined) return [`with ${protocolName(options)}`];
  return [handedOver === 'api' ? '(HTTP API)' : `(local by ${clientAddress === '' ? traceName(helo) : 'API'})`];
}

/** The protocol with its letters for TLS and authentication (RFC 3848); UTF8SMTP in a SMTPUTF8 transaction (RFC 6531 4.3). */
function protocolName(options: ReceivedOptions): string {
  if (!options.extended) return 'SMTP';
  const base = options.smtpUtf8 ? 'UTF8SMTP' : 'ESMTP';
  return `${base}${options.tls === null ? '' : 'S'}${options.authenticated ? 'A' : ''}`;
}

/** A name that someone else chose, made safe between spaces and in a comment, ASCII only. */
function traceName(name: string): string {
  const safe = name.replace(/[^A-Za-z0-9._:[\]-]/g, '').slice(0, 255);
  return safe === '' ? 'unknown' : safe;
}

/** UTF-8 may stand in a header only of a SMTPUTF8 message; `text` comes from the grammar, angle brackets would end the path. */
function mayShow(text: string, smtpUtf8: boolean): boolean {
  return (smtpUtf8 || /^[\x20-\x7e]*$/.test(text)) && !/\p{Cc}/u.test(text) && text.length <= 320;
}
