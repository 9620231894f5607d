// A message of 8-bit content made fit for a hop without 8BITMIME: every leaf part that has such bytes becomes quoted-printable (text) or
// base64 (anything else); all other bytes stay. Signatures over the content break, which is why nobody does this without need. Knows
// neither queue nor client. RFC 6152 3, RFC 2045 6, RFC 2046 5, RFC 1428.

import { isAscii, isUtf8 } from 'node:buffer';
import { encodeBase64Lines, encodeQuotedPrintable } from './encodings.ts';
import { parseHeaders, removeFields } from './headers.ts';
import { contentType, findDelimiters } from './parts.ts';
import type { Field } from './headers.ts';

/** The converted message in chunks, or why it cannot be converted (a sentence's end, for people). */
export type Downgraded = { readonly chunks: readonly Buffer[] } | { readonly problem: string };

const MAX_DEPTH = 20;
const MAX_PARTS = 1000;
const QUESTION_MARK = 0x3f;

/** Thrown inside only; `downgrade` makes a value of it. */
class Inconvertible extends Error {}

/** Converts a whole message of CRLF lines to 7 bits. ASCII content comes back as it is, in one chunk. Never throws for what mail may hold. */
export function downgrade(content: Buffer): Downgraded {
  if (isAscii(content)) return { chunks: [content] };
  try {
    const budget = { parts: MAX_PARTS };
    return { chunks: convertEntity(content, { depth: 0, message: true, budget }) };
  } catch (error) {
    if (error instanceof Inconvertible) return { problem: error.message };
    throw error;
  }
}

/** `message`: the entity is a message of its own, so that fields which say it is MIME may be added. */
type Where = { readonly depth: number; readonly message: boolean; readonly budget: { parts: number } };

function convertEntity(entity: Buffer, where: Where): Buffer[] {
  if (isAscii(entity)) return [entity];
  if (where.depth > MAX_DEPTH || --where.budget.parts < 0) throw new Inconvertible('its MIME structure is nested too deeply or has too many parts');
  const { fields, endOffset, complete } = parseHeaders(entity);
  const head = entity.subarray(0, endOffset);
  if (!isAscii(head)) throw new Inconvertible('its header fields are not ASCII');
  if (!complete) throw new Inconvertible('its header has no end');
  const body = entity.subarray(endOffset);
  const type = contentType(fields);
  const encoding = valueOf(fields, 'content-transfer-encoding').toLowerCase();
  // A changed part would look like one that somebody has tampered with (RFC 1847 2.1).
  if (type.name === 'multipart/signed' || type.name === 'multipart/encrypted')
    throw new Inconvertible(`a part of it is ${type.name.slice('multipart/'.length)}, which a change would break`);
  if (type.name.startsWith('multipart/')) {
    if (type.boundary === null) throw new Inconvertible('a multipart of it has no boundary');
    return [...withEncoding(head, fields, '7bit'), ...convertParts(body, type.boundary, where)];
  }
  if (type.name === 'message/rfc822' || type.name === 'message/news') {
    return [...withEncoding(head, fields, '7bit'), ...convertEntity(body, { ...where, depth: where.depth + 1, message: true })];
  }
  // RFC 2046 5.2 and RFC 6532 3.7 leave these no encoding that an old reader would undo.
  if (type.name.startsWith('message/')) throw new Inconvertible(`it has a part of type ${type.name}, which may not be encoded`);
  if (encoding === 'quoted-printable' || encoding === 'base64') throw new Inconvertible(`a part says that it is ${encoding} and has 8-bit bytes all the same`);
  return convertLeaf({ head, body, fields, type: type.name }, where);
}

function convertLeaf(part: { head: Buffer; body: Buffer; fields: readonly Field[]; type: string }, where: Where): Buffer[] {
  const { head, body, fields, type } = part;
  const text = type === '' || type.startsWith('text/');
  const encoded = Buffer.from(text ? encodeQuotedPrintable(body) : encodeBase64Lines(body).replace(/\r\n$/, ''), 'latin1');
  const added: string[] = [];
  if (where.message && valueOf(fields, 'mime-version') === '') added.push('MIME-Version: 1.0\r\n');
  // A text without a type is US-ASCII by definition, which it is not: say what it can be (RFC 1428 3).
  if (type === '') added.push(`Content-Type: text/plain; charset=${isUtf8(body) ? 'utf-8' : 'unknown-8bit'}\r\n`);
  return [...withEncoding(head, fields, text ? 'quoted-printable' : 'base64', added), encoded];
}

/** The header with its encoding replaced; a composite part's `7bit` is the default and goes unsaid. */
function withEncoding(head: Buffer, fields: readonly Field[], encoding: '7bit' | 'quoted-printable' | 'base64', added: readonly string[] = []): Buffer[] {
  const blank = head.at(-2) === 13 ? 2 : 1;
  const lines = head.subarray(0, head.length - blank);
  const said = encoding === '7bit' ? added : [...added, `Content-Transfer-Encoding: ${encoding}\r\n`];
  return [...removeFields(lines, fields, (field) => field.name === 'content-transfer-encoding'), Buffer.from(`${said.join('')}\r\n`)];
}

/** The parts between the delimiters converted, the delimiters kept; what stands before and after them is for nobody's eyes. */
function convertParts(body: Buffer, boundary: string, where: Where): Buffer[] {
  const delimiters = findDelimiters(body, boundary);
  if (delimiters.length === 0) throw new Inconvertible('a multipart of it has no parts');
  const out: Buffer[] = [];
  let from = 0;
  let inPart = false;
  for (const delimiter of [...delimiters, { start: body.length, end: body.length, last: true }]) {
    const between = body.subarray(from, delimiter.start);
    if (inPart) out.push(...convertEntity(between, { ...where, depth: where.depth + 1, message: false }));
    else out.push(isAscii(between) ? between : masked(between));
    out.push(body.subarray(delimiter.start, delimiter.end));
    from = delimiter.end;
    inPart = !delimiter.last;
  }
  return out;
}

function masked(bytes: Buffer): Buffer {
  return Buffer.from(bytes.map((byte) => (byte > 127 ? QUESTION_MARK : byte)));
}

function valueOf(fields: readonly Field[], name: string): string {
  const value = fields.find((field) => field.name === name)?.value() ?? '';
  return value.replace(/\([^()]*\)/g, ' ').trim();
}
