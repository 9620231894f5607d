// What a submission server mends in a header: From, Date, Message-ID, Bcc (RFC 6409 8, RFC 5322 3.6). Adds our Received on top (RFC 5321
// 4.4). The bytes that stay are slices of what came; nothing of the body is touched.

import type { Field } from '#mail/headers.ts';
import { formatDate, removeFields } from '#mail/headers.ts';
import type { ReversePath } from '#smtp/address.ts';

export type MendOptions = {
  readonly received: string;
  readonly submission: boolean;
  readonly nowMs: number;
  /** What is taken where the message has none. */
  readonly messageId: string;
  readonly from: ReversePath;
};

/** What is added in front and taken out, as the chunks of the new header. A message without a header (an empty one) gets its blank line. */
export function mendHeader(head: Buffer, fields: readonly Field[], options: MendOptions): { readonly chunks: Buffer[]; readonly messageIdHeader: string } {
  const { received, submission, nowMs, messageId, from } = options;
  const blank = head.length === 0 ? '\r\n' : '';
  const idHeader = fields.find((field) => field.name === 'message-id' && field.value() !== '')?.value() ?? '';
  if (!submission) return { chunks: [Buffer.from(received + blank, 'utf8'), head], messageIdHeader: idHeader };
  const lacks = (name: string): boolean => !fields.some((field) => field.name === name && field.value() !== '');
  const date = lacks('date') ? `Date: ${formatDate(nowMs)}\r\n` : '';
  const id = idHeader === '' ? `Message-ID: ${messageId}\r\n` : '';
  const author = from !== null && !fields.some((field) => field.name === 'from') ? `From: ${from.text}\r\n` : '';
  return {
    chunks: [Buffer.from(received + date + id + author + blank, 'utf8'), ...removeFields(head, fields, isDropped)],
    messageIdHeader: idHeader === '' ? messageId : idHeader,
  };
}

/** Recipients nobody may see, and empty fields in whose place there is a full one. */
function isDropped(field: Field): boolean {
  if (field.name === 'bcc' || field.name === 'resent-bcc') return true;
  return (field.name === 'date' || field.name === 'message-id') && field.value() === '';
}
