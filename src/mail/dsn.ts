// Delivery status notifications: the message that tells a sender what became of theirs, for people (cause, fix, the other side's
// words) and for programs. Decides neither whether one is due nor to whom. RFC 3461 6, RFC 3464, RFC 6522, RFC 6533, RFC 3834.

import { randomBytes } from 'node:crypto';
import { isAscii, isUtf8 } from 'node:buffer';
import { isIP } from 'node:net';
import { encodeBase64Lines, encodeQuotedPrintable } from './encodings.ts';
import { explain } from './dsn-text.ts';
import { foldHeader, formatDate, formatMessageId, oneLine, parseHeaders } from './headers.ts';
import { remoteWords } from './notification.ts';
import type { DsnKind, DsnOptions, DsnOutcome, DsnRecipient } from './notification.ts';

export type { DsnKind, DsnOptions } from './notification.ts';

const SUBJECTS: Record<DsnKind, string> = {
  failed: 'Your message could not be delivered',
  delayed: 'Your message is delayed',
  delivered: 'Your message was delivered',
  relayed: 'Your message was passed on',
  expanded: 'Your message was sent on to several recipients',
};

const STATUS_CLASSES: Record<DsnKind, string> = { failed: '45', delayed: '4', delivered: '2', relayed: '2', expanded: '2' };
/** Remote words are kept to this length: some servers send pages. */
const DIAGNOSTIC_CHARACTERS = 2000;
/** A word longer than this is broken: even at four bytes a character it fits a line. */
const WORD_PIECES = /.{1,220}/gu;
const MESSAGE_ID_CHARACTERS = 900;
const LINE_BYTES = 998;

/**
 * What the queue wants to know of a notification. It is UTF-8 (and needs SMTPUTF8) only when the sender's own address is: any other
 * sender may be behind a server that takes ASCII only (RFC 6533 3).
 */
export function dsnFacts(options: Pick<DsnOptions, 'kind' | 'id' | 'hostname' | 'original'>): { readonly subject: string; readonly messageId: string; readonly smtpUtf8: boolean } {
  return { subject: SUBJECTS[options.kind], messageId: formatMessageId(options.id, options.hostname), smtpUtf8: !isAscii(Buffer.from(options.original.from.text)) };
}

/** The notification as chunks, CRLF lines; a returned original is not copied unless it must be encoded. */
export function composeDsn(options: DsnOptions): Buffer[] {
  const { smtpUtf8 } = dsnFacts(options);
  const boundary = options.boundary ?? `=_${randomBytes(16).toString('hex')}`;
  const text = textPart(options, smtpUtf8);
  const status = Buffer.from(statusPart(options, smtpUtf8));
  const statusType = smtpUtf8 ? 'message/global-delivery-status' : 'message/delivery-status';
  const statusHead = `Content-Type: ${statusType}\r\nContent-Description: Delivery report\r\nContent-Transfer-Encoding: ${isAscii(status) ? '7bit' : '8bit'}\r\n\r\n`;
  const lead = `${topHeader(options, boundary)}\r\nThis is a report in MIME format.\r\n\r\n--${boundary}\r\n${text}\r\n--${boundary}\r\n${statusHead}`;
  const returned = returnedPart(options, smtpUtf8);
  return [Buffer.from(lead), status, Buffer.from(`\r\n--${boundary}\r\n`), ...returned, Buffer.from(`\r\n--${boundary}--\r\n`)];
}

function topHeader(options: DsnOptions, boundary: string): string {
  const { hostname, original, nowMs } = options;
  const { subject, messageId, smtpUtf8 } = dsnFacts(options);
  const about = originalId(original.headers);
  return [
    foldHeader('From', ['Mail Delivery System', `<MAILER-DAEMON@${hostname}>`]),
    foldHeader('To', [`<${original.from.text}>`]),
    foldHeader('Subject', [subject]),
    foldHeader('Date', [formatDate(nowMs)]),
    foldHeader('Message-ID', [messageId]),
    // RFC 3834 3.1.5.
    about === null ? '' : foldHeader('In-Reply-To', [about]),
    about === null ? '' : foldHeader('References', [about]),
    foldHeader('Auto-Submitted', ['auto-replied']),
    options.tlsOptional === true ? foldHeader('TLS-Required', ['No']) : '',
    foldHeader('MIME-Version', ['1.0']),
    foldHeader('Content-Type', ['multipart/report;', `report-type=${smtpUtf8 ? 'global-delivery-status' : 'delivery-status'};`, `boundary="${boundary}"`]),
  ].join('');
}

/** The original's Message-ID, if it is one that may be repeated. */
function originalId(headers: Buffer): string | null {
  const id =
    parseHeaders(headers)
      .fields.find((field) => field.name === 'message-id')
      ?.value() ?? '';
  return id.length < MESSAGE_ID_CHARACTERS && /^<[!-;=?-~]+>$/.test(id) ? id : null;
}

function textPart(options: DsnOptions, smtpUtf8: boolean): string {
  const bytes = Buffer.from(explain(options));
  const encoding = isAscii(bytes) ? '7bit' : smtpUtf8 ? '8bit' : 'quoted-printable';
  const body = encoding === 'quoted-printable' ? encodeQuotedPrintable(bytes) : bytes.toString();
  return `Content-Type: text/plain; charset=utf-8\r\nContent-Description: Notification\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n${body}`;
}

function statusPart(options: DsnOptions, smtpUtf8: boolean): string {
  const { hostname, original } = options;
  const message = [
    original.envid === null ? '' : statusField('Original-Envelope-Id', original.envid, smtpUtf8),
    statusField('Reporting-MTA', `dns; ${hostname}`, smtpUtf8),
    statusField('Arrival-Date', formatDate(original.acceptedAtMs), smtpUtf8),
  ].join('');
  return [message, ...options.recipients.map((recipient) => recipientFields(recipient, options, smtpUtf8))].join('\r\n');
}

/** The fields of one recipient (RFC 3464 2.3). */
function recipientFields(recipient: DsnRecipient, options: DsnOptions, smtpUtf8: boolean): string {
  const { kind, retryUntilMs } = options;
  const { address, orcpt, outcome } = recipient;
  const fields: [string, string][] = [];
  if (orcpt !== null) fields.push(['Original-Recipient', typedAddress(orcpt.type, orcpt.value, smtpUtf8)]);
  fields.push(['Final-Recipient', typedAddress('rfc822', address.text, smtpUtf8)], ['Action', kind], ['Status', statusCode(kind, outcome)]);
  if (outcome !== null) {
    if (outcome.remoteHost !== null) fields.push(['Remote-MTA', `dns; ${mtaName(outcome.remoteHost)}`]);
    if (outcome.text !== '' || outcome.code > 0) fields.push(['Diagnostic-Code', diagnostic(outcome)]);
    fields.push(['Last-Attempt-Date', formatDate(outcome.startedAtMs + outcome.durationMs)]);
  }
  if (kind === 'delayed' && retryUntilMs !== null) fields.push(['Will-Retry-Until', formatDate(retryUntilMs)]);
  return fields.map(([name, value]) => statusField(name, value, smtpUtf8)).join('');
}

/** An address stands in brackets (RFC 3464 2.2.2, RFC 5321 4.1.3). */
function mtaName(host: string): string {
  const family = isIP(host);
  return family === 0 ? host : family === 6 ? `[IPv6:${host}]` : `[${host}]`;
}

/** One field, folded, nothing but ASCII unless the report is UTF-8, no line over 998 bytes. */
function statusField(name: string, value: string, smtpUtf8: boolean): string {
  const line = oneLine(value).slice(0, DIAGNOSTIC_CHARACTERS);
  const safe = smtpUtf8 ? line : line.replace(/[^\x20-\x7e]/gu, '?');
  return foldHeader(
    name,
    safe.split(' ').flatMap((word) => word.match(WORD_PIECES) ?? []),
  );
}

/** `rfc822; a@b`; with other than ASCII `utf-8; ...`, escaped as `\x{FC}` where the report itself is ASCII (RFC 6533 3). */
function typedAddress(type: string, value: string, smtpUtf8: boolean): string {
  const atom = /^[A-Za-z0-9.-]{1,40}$/.test(type) ? type : 'unknown';
  if (/^[\x20-\x7e]*$/.test(value)) return `${atom}; ${value}`;
  const written = smtpUtf8 ? value : value.replace(/[^!-*,-<>-[\]-~]/gu, (character) => `\\x{${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(2, '0')}}`);
  return `${atom === 'rfc822' ? 'utf-8' : atom}; ${written}`;
}

/** The other side's own words, exactly, or ours, which are no SMTP reply (RFC 3464 2.3.6). */
function diagnostic(outcome: DsnOutcome): string {
  const words = remoteWords(outcome);
  return words === null ? `x-postern; ${outcome.text}` : `smtp; ${words}`;
}

/** The enhanced code where it fits what happened, else the class alone (RFC 3463 2). */
function statusCode(kind: DsnKind, outcome: DsnOutcome | null): string {
  const classes = STATUS_CLASSES[kind];
  const given = outcome?.enhanced ?? '';
  if (/^[245]\.\d{1,3}\.\d{1,3}$/.test(given) && classes.includes(given.charAt(0))) return given;
  const ofCode = String(outcome?.code ?? '').charAt(0);
  return `${ofCode !== '' && classes.includes(ofCode) ? ofCode : classes.charAt(classes.length - 1)}.0.0`;
}

/** The original or its header as a part, as its bytes allow: as it is in 7 or 8 bits, or encoded (RFC 6522 3, RFC 6533 5). */
function returnedPart(options: DsnOptions, smtpUtf8: boolean): Buffer[] {
  const { headers, body, ret } = options.original;
  const header = headers.subarray(0, parseHeaders(headers).endOffset);
  const international = !isAscii(header) && isUtf8(header);
  if (options.kind !== 'failed' || ret !== 'full' || body === null || body === undefined) {
    // A text part ends with its last line: the blank line goes.
    return headerPart(header.subarray(0, header.length - (header.toString('latin1', header.length - 4) === '\r\n\r\n' ? 2 : 0)), international, smtpUtf8);
  }
  const content = [headers, ...body];
  if (international && !smtpUtf8) {
    return [partHead('message/global', 'Message', 'base64'), Buffer.from(encodeBase64Lines(Buffer.concat(content)))];
  }
  const encoding = content.every((chunk) => isAscii(chunk)) ? '7bit' : '8bit';
  return [partHead(international ? 'message/global' : 'message/rfc822', 'Message', encoding), ...content];
}

function headerPart(header: Buffer, international: boolean, smtpUtf8: boolean): Buffer[] {
  const type = international ? 'message/global-headers' : 'text/rfc822-headers';
  const long = header
    .toString('latin1')
    .split('\r\n')
    .some((line) => line.length > LINE_BYTES);
  const plain = !long && (isAscii(header) || (international && smtpUtf8));
  const encoding = plain ? (isAscii(header) ? '7bit' : '8bit') : 'quoted-printable';
  return [partHead(type, 'Message header', encoding), plain ? header : Buffer.from(encodeQuotedPrintable(header))];
}

function partHead(type: string, description: string, encoding: string): Buffer {
  return Buffer.from(`Content-Type: ${type}\r\nContent-Description: ${description}\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n`);
}
