// What a submission server mends in a header: Date, Message-ID, Bcc (RFC 6409 8, RFC 5322 3.6). Adds our Received on top (RFC 5321
// 4.4). The bytes that stay are slices of what came; nothing of the body is touched.

import type { Field } from '#mail/headers.ts';
import { formatDate } from '#mail/headers.ts';

/** What is added in front and taken out, as the chunks of the new header. `eightBit` of the bytes is not changed by it. */
export function mendHeader(
  head: Buffer,
  fields: readonly Field[],
  options: { readonly received: string; readonly submission: boolean; readonly nowMs: number; readonly messageId: string },
): { readonly chunks: Buffer[]; readonly messageIdHeader: string } {
  let added = options.received;
  const idField = fields.find((field) => field.name === 'message-id');
  let messageIdHeader = idField?.value().trim() ?? '';
  if (!options.submission) return { chunks: [Buffer.from(added, 'utf8'), head], messageIdHeader };
  if (!fields.some((field) => field.name === 'date')) added += `Date: ${formatDate(options.nowMs)}\r\n`;
  if (idField === undefined) {
    messageIdHeader = options.messageId;
    added += `Message-ID: ${options.messageId}\r\n`;
  }
  return { chunks: [Buffer.from(added, 'utf8'), ...withoutBcc(head, fields)], messageIdHeader };
}

function withoutBcc(head: Buffer, fields: readonly Field[]): Buffer[] {
  const kept: Buffer[] = [];
  let from = 0;
  for (const field of fields) {
    if (field.name !== 'bcc' && field.name !== 'resent-bcc') continue;
    if (field.start > from) kept.push(head.subarray(from, field.start));
    from = field.end;
  }
  if (from < head.length) kept.push(head.subarray(from));
  return kept;
}
