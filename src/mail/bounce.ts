// A delivery report that came back, read: what became of which recipient, in whose words, and the header of the message it is about. Reads what
// other servers write, tolerantly; decides nothing. RFC 3464, RFC 6522, RFC 6533.

import { decodeQuotedPrintable } from './encodings.ts';
import { oneLine, parseHeaders } from './headers.ts';
import type { Field } from './headers.ts';
import { contentType, findDelimiters } from './parts.ts';

export type BounceAction = 'failed' | 'delayed' | 'delivered' | 'relayed' | 'expanded';

export type BouncedRecipient = {
  /** As the other server knows it, and as we said it if it says so; without the address type. */
  readonly final: string;
  readonly original: string | null;
  readonly action: BounceAction;
  /** `5.1.1`; '' when it is none. */
  readonly status: string;
  /** The reply that was given, without `smtp;`. */
  readonly diagnostic: string;
  readonly remoteHost: string | null;
};

export type Bounce = {
  readonly reportingHost: string | null;
  readonly recipients: readonly BouncedRecipient[];
  /** The header of what was returned, with its blank line; null when nothing was. */
  readonly headers: Buffer | null;
};

const MAX_DEPTH = 3;
const MAX_PARTS = 20;
const MAX_RECIPIENTS = 1000;
const TEXT_CHARACTERS = 1000;
const ACTIONS: ReadonlySet<string> = new Set(['failed', 'delayed', 'delivered', 'relayed', 'expanded']);

type Found = { status: Buffer | null; headers: Buffer | null; parts: number };

/** Null when the message is no delivery report. It may be cut off at its end, as long as the report itself is there. */
export function parseBounce(content: Buffer): Bounce | null {
  const found: Found = { status: null, headers: null, parts: 0 };
  search(content, found, 0);
  if (found.status === null) return null;
  const [message = [], ...recipients] = fieldGroups(found.status);
  const read = recipients.slice(0, MAX_RECIPIENTS).flatMap((group) => readRecipient(group));
  if (read.length === 0) return null;
  return { reportingHost: host(typed(message, 'reporting-mta')), recipients: read, headers: found.headers };
}

/** Looks through the parts for the report and for what was returned. */
function search(entity: Buffer, found: Found, depth: number): void {
  if (++found.parts > MAX_PARTS || depth > MAX_DEPTH) return;
  const { fields, endOffset } = parseHeaders(entity);
  const body = entity.subarray(endOffset);
  const { name, boundary } = contentType(fields);
  if (name.startsWith('multipart/') && boundary !== null) {
    for (const part of partsOf(body, boundary)) search(part, found, depth + 1);
  } else if (name === 'message/delivery-status' || name === 'message/global-delivery-status') found.status ??= decoded(body, fields);
  else if (depth > 0 && (name === 'message/rfc822' || name === 'message/global' || name === 'text/rfc822-headers' || name === 'message/global-headers')) {
    found.headers ??= headerOf(decoded(body, fields));
  }
}

function partsOf(body: Buffer, boundary: string): Buffer[] {
  const delimiters = findDelimiters(body, boundary);
  return delimiters.flatMap(({ end, last }, i) => (last ? [] : [body.subarray(end, delimiters[i + 1]?.start ?? body.length)]));
}

function decoded(body: Buffer, fields: readonly Field[]): Buffer {
  const encoding =
    fields
      .find((field) => field.name === 'content-transfer-encoding')
      ?.value()
      .toLowerCase() ?? '';
  if (encoding.startsWith('base64')) return Buffer.from(body.toString('latin1'), 'base64');
  return encoding.startsWith('quoted-printable') ? decodeQuotedPrintable(body) : body;
}

function headerOf(content: Buffer): Buffer {
  const header = content.subarray(0, parseHeaders(content).endOffset);
  return header.includes('\r\n\r\n') || header.includes('\n\n') ? header : Buffer.concat([header, Buffer.from('\r\n\r\n')]);
}

/** Groups of fields with blank lines between them (RFC 3464 2.1). */
function fieldGroups(status: Buffer): (readonly Field[])[] {
  return status
    .toString('latin1')
    .split(/(?:\r?\n)[ \t]*(?:\r?\n)+/)
    .map((text) => parseHeaders(Buffer.from(`${text}\r\n`, 'latin1')).fields)
    .filter((fields) => fields.length > 0);
}

function readRecipient(fields: readonly Field[]): BouncedRecipient[] {
  const value = (name: string): string => valueOf(fields, name);
  const action = /^[a-z]+/.exec(value('action').toLowerCase())?.[0] ?? '';
  const final = typed(fields, 'final-recipient');
  const original = typed(fields, 'original-recipient');
  if (!ACTIONS.has(action) || (final === '' && original === '')) return [];
  return [
    {
      final: final === '' ? original : final,
      original: original === '' ? null : original,
      action: action as BounceAction,
      status: /^[245]\.\d{1,3}\.\d{1,3}/.exec(value('status'))?.[0] ?? '',
      diagnostic: typed(fields, 'diagnostic-code'),
      remoteHost: host(typed(fields, 'remote-mta')),
    },
  ];
}

/** The value behind its type: `a@b` of `rfc822; a@b`. */
function typed(fields: readonly Field[], name: string): string {
  return valueOf(fields, name)
    .replace(/^[A-Za-z0-9-]+\s*;\s*/, '')
    .trim();
}

/** On one line, folded white space as one space. */
function valueOf(fields: readonly Field[], name: string): string {
  const value = fields.find((field) => field.name === name)?.value() ?? '';
  return oneLine(value.slice(0, TEXT_CHARACTERS * 2))
    .replace(/ +/g, ' ')
    .slice(0, TEXT_CHARACTERS);
}

function host(text: string): string | null {
  return text === '' ? null : text.slice(0, 255);
}
