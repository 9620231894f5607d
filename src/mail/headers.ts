// The header of a message: where each field lies, what it says, and how new ones are written. One pass, no byte changed: what is
// kept of a header is always a slice of what came. Knows no field's meaning. RFC 5322 2.2, 3.6, 4.5; RFC 6532.

import { isUtf8 } from 'node:buffer';

export { parseMailboxes } from './mailboxes.ts';
export { decodeWords } from './words.ts';

/** One field. `start` and `end` are byte offsets in the header; `end` is past the final line end. */
export type Field = {
  /** Lower case. */
  readonly name: string;
  readonly start: number;
  readonly end: number;
  /** The field's body on one line, trimmed; UTF-8 where it is valid, else Latin-1; without control characters. */
  value(): string;
};

/**
 * What `parseHeaders` found. `endOffset` is where the body begins (the length when there is no blank line: `complete` is false).
 * `malformed`: some line is neither a field nor the continuation of one; such lines belong to no field and are stepped over.
 */
export type Header = { readonly fields: Field[]; readonly endOffset: number; readonly complete: boolean; readonly malformed: boolean };

/** A field's name is not looked for further than this. */
const LONGEST_NAME = 1000;

class HeaderField implements Field {
  readonly name: string;
  readonly start: number;
  end: number;
  readonly #head: Buffer;
  readonly #text: string;
  readonly #bodyStart: number;

  constructor(head: Buffer, text: string, place: { name: string; start: number; bodyStart: number; end: number }) {
    this.name = place.name;
    this.start = place.start;
    this.end = place.end;
    this.#head = head;
    this.#text = text;
    this.#bodyStart = place.bodyStart;
  }

  value(): string {
    let raw = this.#text.slice(this.#bodyStart, this.end);
    if (/[\x80-\xff]/.test(raw)) {
      const bytes = this.#head.subarray(this.#bodyStart, this.end);
      if (isUtf8(bytes)) raw = bytes.toString('utf8');
    }
    // Unfolding (RFC 5322 2.2.3) takes the line end and leaves the space; any other control character becomes a space.
    return raw
      .replace(/\r?\n(?=[ \t])/g, '')
      .replace(/\p{Cc}/gu, ' ')
      .trim();
  }
}

/** Finds the fields of a header, which may be followed by a body. Accepts CRLF and LF line ends. RFC 5322 2.2. */
export function parseHeaders(head: Buffer): Header {
  const blank = endOfHeader(head);
  const text = head.toString('latin1', 0, blank.start);
  const fields: Field[] = [];
  let current: HeaderField | null = null;
  let malformed = false;
  for (let at = 0; at < text.length;) {
    const lineEnd = text.indexOf('\n', at);
    const next = lineEnd === -1 ? text.length : lineEnd + 1;
    const first = text.charCodeAt(at);
    if (first === 0x20 || first === 0x09) {
      if (current === null) malformed = true;
      else current.end = next;
    } else {
      const colon = text.indexOf(':', at);
      const name = colon === -1 || colon >= next ? null : fieldName(text, at, colon);
      current = name === null ? null : new HeaderField(head, text, { name, start: at, bodyStart: colon + 1, end: next });
      if (current === null) malformed = true;
      else fields.push(current);
    }
    at = next;
  }
  return { fields, endOffset: blank.end, complete: blank.complete, malformed };
}

/** Whether text begins as a header does: with a field, with the blank line of an empty one, or with the `From ` line of a mailbox file. */
export function beginsWithHeader(text: Buffer): boolean {
  if (text.length === 0 || text[0] === 0x0a || (text[0] === 0x0d && text[1] === 0x0a)) return true;
  const line = text.toString('latin1', 0, LONGEST_NAME);
  const colon = line.indexOf(':');
  return /^>*From /.test(line) || (colon !== -1 && fieldName(line, 0, colon) !== null);
}

/** The blank line: `start` where it begins, `end` after it. Native searches: the body may be large. */
function endOfHeader(head: Buffer): { start: number; end: number; complete: boolean } {
  if (head[0] === 0x0a) return { start: 0, end: 1, complete: true };
  if (head[0] === 0x0d && head[1] === 0x0a) return { start: 0, end: 2, complete: true };
  const crlf = head.indexOf('\n\r\n', 0, 'latin1');
  const before = crlf === -1 ? head : head.subarray(0, crlf + 1);
  const lf = before.indexOf('\n\n', 0, 'latin1');
  if (lf !== -1) return { start: lf + 1, end: lf + 2, complete: true };
  if (crlf !== -1) return { start: crlf + 1, end: crlf + 3, complete: true };
  return { start: head.length, end: head.length, complete: false };
}

/** The lower-case name before the colon, or null: printable ASCII only; white space of any kind before the colon is allowed (RFC 5322 4.5.8). */
function fieldName(text: string, start: number, colon: number): string | null {
  let end = colon;
  while (end > start && text.charCodeAt(end - 1) <= 0x20) end--;
  if (end === start) return null;
  for (let at = start; at < end; at++) {
    const code = text.charCodeAt(at);
    if (code < 0x21 || code > 0x7e) return null;
  }
  return text.slice(start, end).toLowerCase();
}

/** The fields of that name (lower case), in order. */
export function findFields(fields: readonly Field[], name: string): Field[] {
  return fields.filter((field) => field.name === name);
}

/** What is left of `head` without the fields that `drop` names: slices of the same memory, in order, nothing copied. */
export function removeFields(head: Buffer, fields: readonly Field[], drop: (field: Field) => boolean): Buffer[] {
  const kept: Buffer[] = [];
  let from = 0;
  for (const field of fields) {
    if (!drop(field)) continue;
    if (field.start > from) kept.push(head.subarray(from, field.start));
    from = field.end;
  }
  if (from < head.length) kept.push(head.subarray(from));
  return kept;
}

/** RFC 5322 3.3 date and time in UTC, e.g. `Tue, 24 Nov 2026 02:00:00 +0000`. `ms` since the epoch. */
export function formatDate(ms: number): string {
  const second = Math.floor(ms / 1000);
  if (second !== dated.second) dated = { second, text: new Date(ms).toUTCString().replace('GMT', '+0000') };
  return dated.text;
}

/** The last one: many messages come in one second. */
let dated = { second: Number.NaN, text: '' };

/** `<left@host>` with everything that may not stand there taken out (RFC 5322 3.6.4). */
export function formatMessageId(left: string, host: string): string {
  const atoms = (part: string): string => part.replace(/[^A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]/g, '');
  return `<${atoms(left)}@${atoms(host)}>`;
}

const FOLD_COLUMNS = 76;

/**
 * A field `Name: tokens...` folded between tokens so that lines stay under 78 columns where the tokens allow it; ends in CRLF. Control
 * characters in tokens become spaces: nothing that is put in can end the line (RFC 5322 2.2.3).
 */
export function foldHeader(name: string, tokens: readonly string[]): string {
  let out = `${name}:`;
  let column = out.length;
  for (const token of tokens) {
    const safe = oneLine(token);
    if (safe === '') continue;
    if (column + 1 + safe.length > FOLD_COLUMNS && column > name.length + 1) {
      out += `\r\n\t${safe}`;
      column = 8 + safe.length;
    } else {
      out += ` ${safe}`;
      column += 1 + safe.length;
    }
  }
  return `${out}\r\n`;
}

/** Text with each run of control characters (line ends above all, Unicode's too) made one space, and trimmed. */
export function oneLine(text: string): string {
  // Almost always nothing is to be done.
  if (/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(text)) return text;
  return text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ').trim();
}
