// The envelope that a message's own header asks for, where nobody gives another: who sends it, and all whom it names. RFC 5322 3.6.2, 3.6.3, 3.6.6.

import type { Address, ReversePath } from '#smtp/address.ts';
import { parseHeaders, parseMailboxes } from './headers.ts';
import type { Field } from './headers.ts';

export type HeaderEnvelope = {
  readonly from: ReversePath;
  readonly to: readonly Address[];
  /** Of an address that cannot be read, its text. */ readonly unreadable: string | null;
};

/** Of a message that was sent on by somebody (Resent-), the newest sending counts, and its fields alone. */
export function envelopeOf(content: Buffer): HeaderEnvelope {
  const { fields } = parseHeaders(content);
  const resent = fields.findIndex((field) => /^resent-(to|cc|bcc)$/.test(field.name));
  const prefix = resent === -1 ? '' : 'resent-';
  const mine = resent === -1 ? fields : blockAt(fields, resent);
  const read = (...names: string[]): Address[] => mine.filter((field) => names.includes(field.name)).flatMap((field) => parseMailboxes(field.value()));
  const to = read(`${prefix}to`, `${prefix}cc`, `${prefix}bcc`);
  const from = read(`${prefix}sender`)[0] ?? read(`${prefix}from`)[0] ?? null;
  const unreadable = [...to, ...(from === null ? [] : [from])].find((address) => address.domain === '');
  return { from, to: distinct(to), unreadable: unreadable?.text ?? null };
}

/** The Resent- fields around this one: a block is put in front of the ones before it. */
function blockAt(fields: readonly Field[], at: number): Field[] {
  let [from, to] = [at, at];
  while (fields[from - 1]?.name.startsWith('resent-') === true) from--;
  while (fields[to + 1]?.name.startsWith('resent-') === true) to++;
  return fields.slice(from, to + 1);
}

/** Each mailbox once, as it was written first. */
export function distinct(addresses: readonly Address[]): Address[] {
  const found = new Map<string, Address>();
  for (const address of addresses) {
    const key = address.domain === '' ? address.text : `${address.local}@${address.domain}`;
    if (!found.has(key)) found.set(key, address);
  }
  return [...found.values()];
}
