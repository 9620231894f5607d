// A message made from its parts: header fields, text, HTML, attachments. Everything comes out in ASCII (RFC 2045, 2047, 2231, 5322) but addresses that
// have no ASCII form (RFC 6532). Date and Message-ID are whoever accepts it to add. Pure; the parts were checked before.

import { isAscii } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { asciiForm } from '#smtp/address.ts';
import type { Address } from '#smtp/address.ts';
import { encodeQuotedPrintable } from './encodings.ts';
import { oneLine } from './headers.ts';

export type Mailbox = { readonly name: string; readonly address: Address };

export type Attachment = {
  readonly filename: string;
  /** `type/subtype`, with parameters if need be; not multipart. */
  readonly contentType: string;
  /** Base64 in one line. */
  readonly content: string;
  /** Without angle brackets; null: nobody refers to it. */
  readonly contentId: string | null;
  readonly inline: boolean;
};

export type Draft = {
  readonly from: readonly Mailbox[];
  readonly sender: Mailbox | null;
  readonly to: readonly Mailbox[];
  readonly cc: readonly Mailbox[];
  readonly replyTo: readonly Mailbox[];
  readonly subject: string;
  readonly text: string | null;
  readonly html: string | null;
  /** Further fields, in order; their names are checked and none of the above. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly attachments: readonly Attachment[];
};

/** A part, its header fields first; several of them make a multipart. */
type Entity = { readonly fields: readonly string[]; readonly body: readonly Buffer[] };

const COLUMNS = 76;
/** An encoded word has 75 characters at most (RFC 2047 2): so many bytes of UTF-8 fit into one. */
const WORD_BYTES = 45;
/** RFC 5322 2.1.1 allows 998; what is longer than this is better encoded. */
const LONGEST_LINE = 900;
const PARAMETER_CHARACTERS = 60;
const CRLF = Buffer.from('\r\n');

export function composeMessage(draft: Draft): Buffer {
  const fields = [
    addressField('From', draft.from),
    ...(draft.sender === null ? [] : [addressField('Sender', [draft.sender])]),
    ...(draft.replyTo.length === 0 ? [] : [addressField('Reply-To', draft.replyTo)]),
    ...(draft.to.length === 0 ? [] : [addressField('To', draft.to)]),
    ...(draft.cc.length === 0 ? [] : [addressField('Cc', draft.cc)]),
    textField('Subject', draft.subject),
    ...draft.headers.map(([name, value]) => textField(name, value)),
    'MIME-Version: 1.0\r\n',
  ];
  const content = contentOf(draft);
  return Buffer.concat(flatten({ body: content.body, fields: [...fields, ...content.fields] }));
}

/** mixed( alternative( text, related( html, inline ) ), attachments ), without the layers that have one part only (RFC 2046 5.1, RFC 2387). */
function contentOf({ text, html, attachments }: Draft): Entity {
  const related = html === null ? [] : attachments.filter((one) => one.inline);
  const attached = attachments.filter((one) => !related.includes(one));
  const page = html === null ? null : multipart('related; type="text/html"', [textPart('html', html), ...related.map(attachmentPart)]);
  const plain = text === null && page !== null ? null : textPart('plain', text ?? '');
  const body = multipart(
    'alternative',
    [plain, page].filter((part) => part !== null),
  );
  return multipart('mixed', [body, ...attached.map(attachmentPart)]);
}

function multipart(kind: string, parts: readonly Entity[]): Entity {
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return only;
  // Chance enough that it stands in no part; `=_` never comes of quoted-printable or base64.
  const boundary = `=_${randomBytes(15).toString('base64url')}`;
  const body = parts.flatMap((part) => [Buffer.from(`--${boundary}\r\n`), ...flatten(part), CRLF]);
  return { fields: [`Content-Type: multipart/${kind};\r\n\tboundary="${boundary}"\r\n`], body: [...body, Buffer.from(`--${boundary}--\r\n`)] };
}

function flatten({ fields, body }: Entity): Buffer[] {
  return [Buffer.from(`${fields.join('')}\r\n`), ...body];
}

function textPart(subtype: 'plain' | 'html', given: string): Entity {
  const lines = given.split(/\r\n|\r|\n/);
  if (lines.at(-1) !== '') lines.push('');
  const bytes = Buffer.from(lines.join('\r\n'), 'utf8');
  const type = (charset: string): string => `Content-Type: text/${subtype}; charset=${charset}\r\n`;
  if (isAscii(bytes) && !bytes.includes(0) && lines.every((line) => line.length <= LONGEST_LINE)) {
    return { fields: [type('us-ascii'), 'Content-Transfer-Encoding: 7bit\r\n'], body: [bytes] };
  }
  // Beyond every third byte base64 is the shorter one, and as unreadable.
  if (countEightBit(bytes) * 3 > bytes.length) return { fields: [type('utf-8'), 'Content-Transfer-Encoding: base64\r\n'], body: [base64Lines(bytes.toString('base64'))] };
  return { fields: [type('utf-8'), 'Content-Transfer-Encoding: quoted-printable\r\n'], body: [Buffer.from(encodeQuotedPrintable(bytes), 'latin1')] };
}

function countEightBit(bytes: Buffer): number {
  let count = 0;
  for (const byte of bytes) if (byte > 127) count++;
  return count;
}

function attachmentPart(attachment: Attachment): Entity {
  const { filename, contentType, content, contentId, inline } = attachment;
  const named = filename === '' ? '' : filenameParameters(filename);
  const fields = [
    `Content-Type: ${oneLine(contentType)}\r\n`,
    `Content-Disposition: ${inline ? 'inline' : 'attachment'}${named}\r\n`,
    ...(contentId === null ? [] : [`Content-ID: <${contentId}>\r\n`]),
  ];
  if (!/^message\//i.test(contentType)) return { fields: [...fields, 'Content-Transfer-Encoding: base64\r\n'], body: [base64Lines(content)] };
  // A message within a message is not encoded (RFC 2046 5.2.1).
  const inner = Buffer.from(
    Buffer.from(content, 'base64')
      .toString('latin1')
      .replace(/\r\n|\r|\n/g, '\r\n'),
    'latin1',
  );
  return { fields: [...fields, `Content-Transfer-Encoding: ${isAscii(inner) ? '7bit' : '8bit'}\r\n`], body: [inner] };
}

/** `filename` as RFC 2183 has it; with other characters, or too long for a line, as RFC 2231 has it. */
function filenameParameters(filename: string): string {
  const name = oneLine(filename.toWellFormed()).replace(/[\\/]/g, '_');
  if (/^[\x20-\x7e]*$/.test(name) && name.length <= PARAMETER_CHARACTERS) return `;\r\n\tfilename="${name.replaceAll('"', "'")}"`;
  const sections: string[] = [];
  let section = "utf-8''";
  for (const byte of Buffer.from(name, 'utf8')) {
    const character = String.fromCharCode(byte);
    const piece = /[A-Za-z0-9._~-]/.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
    if (section.length + piece.length > PARAMETER_CHARACTERS) {
      sections.push(section);
      section = '';
    }
    section += piece;
  }
  sections.push(section);
  const parameters = sections.length === 1 ? [`filename*=${section}`] : sections.map((one, i) => `filename*${i}*=${one}`);
  return parameters.map((one) => `;\r\n\t${one}`).join('');
}

/** Lines of 76 columns, CRLF at the end of each. */
function base64Lines(text: string): Buffer {
  const given = Buffer.from(text, 'latin1');
  const lines = Math.ceil(given.length / COLUMNS);
  const out = Buffer.allocUnsafe(given.length + lines * CRLF.length);
  let to = 0;
  for (let at = 0; at < given.length; at += COLUMNS) {
    to += given.copy(out, to, at, Math.min(at + COLUMNS, given.length));
    out[to++] = 13;
    out[to++] = 10;
  }
  return out;
}

function addressField(name: string, mailboxes: readonly Mailbox[]): string {
  return fold(
    name,
    mailboxes.flatMap((mailbox, i) => tokensOf(mailbox, i < mailboxes.length - 1 ? ',' : '')),
  );
}

function tokensOf({ name, address }: Mailbox, end: string): string[] {
  const text = (asciiForm(address) ?? address).text;
  const phrase = oneLine(name);
  return phrase === '' ? [`${text}${end}`] : [...phraseTokens(phrase), `<${text}>${end}`];
}

/** A display name: as it is, quoted, or in encoded words (RFC 5322 3.2.5, RFC 2047 5). */
function phraseTokens(phrase: string): string[] {
  if (!/^[\x20-\x7e]*$/.test(phrase) || phrase.includes('=?') || phrase.length > COLUMNS) return encodedWords(phrase);
  return [/^[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+$/.test(phrase) ? phrase : `"${phrase.replace(/["\\]/g, '\\$&')}"`];
}

/** Text as it is, folded at its spaces; what cannot stand so goes in encoded words. */
function textField(name: string, value: string): string {
  const text = oneLine(value);
  const plain = /^[\x20-\x7e]*$/.test(text) && !text.includes('=?') && !text.includes('  ') && text.split(' ').every((word) => word.length <= LONGEST_LINE);
  return fold(name, plain ? text.split(' ') : encodedWords(text));
}

function encodedWords(text: string): string[] {
  const words: string[] = [];
  let word = '';
  let bytes = 0;
  for (const character of text.toWellFormed()) {
    const more = Buffer.byteLength(character);
    // No character is split between two words (RFC 2047 5).
    if (bytes + more > WORD_BYTES) {
      words.push(word);
      word = '';
      bytes = 0;
    }
    word += character;
    bytes += more;
  }
  return [...words, word].map((part) => `=?utf-8?B?${Buffer.from(part).toString('base64')}?=`);
}

/** `Name: tokens`, a new line where one would be longer than 76 columns. */
function fold(name: string, tokens: readonly string[]): string {
  let out = `${name}:`;
  let column = out.length;
  for (const [i, token] of tokens.entries()) {
    const breaks = i > 0 && column + 1 + token.length > COLUMNS;
    out += breaks ? `\r\n ${token}` : ` ${token}`;
    column = (breaks ? 0 : column) + 1 + token.length;
  }
  return `${out}\r\n`;
}
