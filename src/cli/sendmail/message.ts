// The message that comes on standard input, made whole: its end, its header, who sends it and who gets it. What is needed of the machine is handed
// in. Pure but for the reading.

import { beginsWithHeader, foldHeader, parseHeaders } from '#mail/headers.ts';
import { distinct, envelopeOf } from '#mail/envelope.ts';
import { qualifyHeader } from '#mail/qualify.ts';
import { parseMailbox } from '#smtp/address.ts';
import type { Address } from '#smtp/address.ts';
import { readRecipient } from './options.ts';
import type { Misuse, Wanted } from './options.ts';

type Sending = Extract<Wanted, { do: 'send' }>;

export type Account = {
  readonly name: string;
  readonly fullName: string;
  /** Of addresses without one. */
  readonly domain: () => string;
};

export type Ready = { readonly content: Buffer; readonly from: string | null; readonly to: readonly string[] };

const LINE_START = Buffer.from('\n');
/** `\n.\r`, and then `\n` in the next chunk. */
const SEAM_BYTES = 3;

/** Reads all of it, up to its end or to a line with a single dot. Undefined: it is larger than `limitBytes`. */
export async function readContent(input: AsyncIterable<Buffer>, options: { readonly dots: boolean; readonly limitBytes: number }): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  /** The last octets that came: the dot may stand at a seam. */
  let seam: Buffer = LINE_START;
  for await (const chunk of input) {
    bytes += chunk.length;
    if (bytes > options.limitBytes) return undefined;
    chunks.push(chunk);
    if (options.dots) continue;
    const seen = Buffer.concat([seam, chunk]);
    const end = endOf(seen);
    // What is in `seen` before this chunk's own octets was there already, but for the line end that stands before the first.
    if (end !== null) return Buffer.concat(chunks).subarray(0, bytes - (seen.length - end));
    seam = seen.subarray(-SEAM_BYTES);
  }
  return Buffer.concat(chunks);
}

/** Where a line with a single dot begins; there is a line end before each. */
function endOf(content: Buffer): number | null {
  for (let at = content.indexOf('\n.'); at !== -1; at = content.indexOf('\n.', at)) {
    at++;
    const ends = content[at + 1] === 10 || (content[at + 1] === 13 && content[at + 2] === 10);
    if (ends) return at;
  }
  return null;
}

/** The message as it is handed over, and its envelope. */
export function makeReady(given: Buffer, wanted: Sending, account: Account): Ready | Misuse {
  const sender = senderOf(wanted.from, account);
  if (typeof sender === 'object' && sender !== null && 'misuse' in sender) return sender;
  const content = qualifyHeader(withAuthor(withHeader(given), sender ?? addressOf(account), wanted.fullName ?? account.fullName), account.domain);
  const named: Address[] = [];
  for (const text of wanted.to.flatMap((one) => splitList(one))) {
    const read = readRecipient(text, account.domain);
    if (read === null) return { misuse: `"${text}" is not a mail address` };
    named.push(parseMailbox(read) as Address);
  }
  if (!wanted.fromHeader) return named.length === 0 ? { misuse: 'Name the recipients, or say -t when they are in the header' } : { content, from: sender, to: texts(named) };
  const header = envelopeOf(content);
  if (header.unreadable !== null) return { misuse: `"${header.unreadable}" in the header is not a mail address` };
  const to = [...named, ...header.to];
  return to.length === 0 ? { misuse: 'The header names no recipient (-t: To, Cc, Bcc)' } : { content, from: sender, to: texts(to) };
}

function texts(addresses: readonly Address[]): string[] {
  return distinct(addresses).map((address) => address.text);
}

function addressOf({ name, domain }: Account): string {
  return `${name}@${domain()}`;
}

/** `-f`; without it the account. Null: nobody. */
function senderOf(from: string | null, account: Account): string | null | Misuse {
  if (from === null) return addressOf(account);
  if (from.trim() === '' || from.trim() === '<>') return null;
  return readRecipient(from, account.domain) ?? { misuse: `-f ${from} is not a mail address` };
}

/** Several in one argument, as `mail a@x,b@y` passes them on. */
function splitList(text: string): string[] {
  return text.includes('"')
    ? [text]
    : text
        .split(',')
        .map((part) => part.trim())
        .filter((part) => part !== '');
}

/** Without the `From ` line of a mailbox file, and with a blank line in front of what has no header. */
function withHeader(given: Buffer): Buffer {
  const content = /^From [^\r\n]*\r?\n/.test(given.toString('latin1', 0, 1000)) ? given.subarray(given.indexOf(10) + 1) : given;
  return content.length > 0 && beginsWithHeader(content) ? content : Buffer.concat([Buffer.from('\r\n'), content]);
}

/** With a From field, if there is none. */
function withAuthor(content: Buffer, sender: string, fullName: string): Buffer {
  const { fields } = parseHeaders(content);
  if (fields.some((field) => field.name === 'from' || field.name === 'resent-from')) return content;
  const name = /^[\x20-\x7e]*$/.test(fullName) ? fullName.replace(/["\\]/g, '\\$&') : '';
  return Buffer.concat([Buffer.from(foldHeader('From', name === '' ? [sender] : [`"${name}"`, `<${sender}>`])), content]);
}
