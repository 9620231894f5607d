// Which senders hear of what: the rules of RFC 3461 (NOTIFY, RET, ENVID) and RFC 5321 6.1 (never to the null sender), and the notification as a
// message of the queue, written in the same transaction as the outcome it tells of.

import type { Log } from '#base/log.ts';
import { isWanted, makeNotice, returnedPart } from '#queue/notice.ts';
import type { NoticeKind, NoticeParts } from '#queue/notice.ts';
import type { NewMessage } from '#queue/queue.ts';
import type { Envelope, LeasedRecipient, Outcome } from '#queue/records.ts';

export type NotifyParts = NoticeParts & { readonly log: Log };

/** One recipient's news. `relayed`: delivered to a hop that does not do DSN. */
export type News = { readonly recipient: LeasedRecipient; readonly outcome: Outcome; readonly kind: NoticeKind };

/** Of a whole original no more than this is returned: the sender has it. */
const MAX_RETURNED_BYTES = 256 * 1024;

/** The notifications for the news of one settlement: one a kind, for all its recipients. Reads the original's beginning through `read`. */
export async function notifications(
  parts: NotifyParts,
  envelope: Envelope,
  news: readonly News[],
  options: { nowMs: number; read: () => AsyncIterable<Buffer> | Iterable<Buffer> },
): Promise<NewMessage[]> {
  const wanted = news.filter((one) => isWanted(one.recipient, one.kind));
  if (wanted.length === 0) return [];
  if (envelope.from === null || envelope.kind === 'dsn') {
    if (wanted.some((one) => one.kind === 'failed')) {
      parts.log.info('dsn.suppressed', {
        id: envelope.id,
        to: wanted[0]?.recipient.address.text,
        cause: 'The message has the null sender: it is itself an automatic answer, and nobody is told of its fate.',
      });
    }
    return [];
  }
  const original = await readOriginal(envelope, options.read);
  const kinds = [...new Set(wanted.map((one) => one.kind))];
  return Promise.all(
    kinds.map((kind) =>
      makeMessage(
        parts,
        envelope,
        wanted.filter((one) => one.kind === kind),
        { kind, original, nowMs: options.nowMs },
      ),
    ),
  );
}

async function makeMessage(
  parts: NotifyParts,
  envelope: Envelope,
  news: readonly News[],
  options: { kind: News['kind']; original: { headers: Buffer; body: Buffer[] | null }; nowMs: number },
): Promise<NewMessage> {
  const { kind, nowMs, original } = options;
  const to = envelope.from;
  if (to === null) throw new Error('no notification to the null sender');
  const recipients = news.map(({ recipient, outcome }) => ({ address: recipient.address, orcpt: recipient.orcpt, outcome }));
  const notice = await makeNotice(parts, { kind, envelope, to, original, recipients, nowMs });
  parts.log.info('dsn.created', { id: notice.envelope.id, of: envelope.id, kind, to: to.text, recipients: news.length });
  return notice;
}

/** The header, and the body where it is small enough to be returned whole. */
async function readOriginal(envelope: Envelope, read: () => AsyncIterable<Buffer> | Iterable<Buffer>): Promise<{ headers: Buffer; body: Buffer[] | null }> {
  const whole = returnedPart(envelope) === 'full' && envelope.sizeBytes <= MAX_RETURNED_BYTES;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of read()) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (!whole && (bytes > MAX_RETURNED_BYTES || Buffer.concat(chunks).includes('\r\n\r\n'))) break;
  }
  const content = Buffer.concat(chunks);
  const end = content.indexOf('\r\n\r\n');
  const headers = end === -1 ? content : content.subarray(0, end + 4);
  return { headers, body: whole && end !== -1 ? [content.subarray(end + 4)] : null };
}
