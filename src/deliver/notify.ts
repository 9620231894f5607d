// Which senders hear of what: the rules of RFC 3461 (NOTIFY, RET, ENVID) and RFC 5321 6.1 (never to the null sender), and the notification as a
// message of the queue, written in the same transaction as the outcome it tells of.

import type { Log } from '#base/log.ts';
import type { Signing } from '#mail/dkim/signing.ts';
import { composeDsn, dsnFacts } from '#mail/dsn.ts';
import type { DsnKind, DsnOptions } from '#mail/dsn.ts';
import type { NewMessage } from '#queue/queue.ts';
import type { Envelope, LaneName, LeasedRecipient, Outcome } from '#queue/records.ts';

export type NotifyParts = {
  readonly hostname: string;
  readonly newId: (nowMs: number) => string;
  readonly laneFor: (domain: string, mode: 'live' | 'sandbox') => LaneName;
  readonly maxAgeMs: number;
  /** Signs the notification when its From header is of a domain of ours. */
  readonly sign: Signing['signWhole'];
  readonly log: Log;
};

/** One recipient's news. `relayed`: delivered to a hop that does not do DSN. */
export type News = { readonly recipient: LeasedRecipient; readonly outcome: Outcome; readonly kind: Extract<DsnKind, 'failed' | 'delayed' | 'delivered' | 'relayed'> };

/** Of a whole original no more than this is returned: the sender has it. */
const MAX_RETURNED_BYTES = 256 * 1024;

/** Whether the sender asked to hear this (RFC 3461 4.1; without NOTIFY: failures and delays). */
export function isWanted(recipient: Pick<LeasedRecipient, 'notify'>, kind: News['kind']): boolean {
  const notify = recipient.notify ?? { success: false, failure: true, delay: true };
  if (kind === 'failed') return notify.failure;
  return kind === 'delayed' ? notify.delay : notify.success;
}

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
  const from = envelope.from;
  if (from === null) throw new Error('no notification to the null sender');
  const id = parts.newId(nowMs);
  const dsn: DsnOptions = {
    kind,
    hostname: parts.hostname,
    id,
    nowMs,
    original: { from, envid: envelope.envid, ret: returned(envelope), acceptedAtMs: envelope.acceptedAtMs, ...original },
    tlsOptional: envelope.tlsOptional === true,
    recipients: news.map(({ recipient, outcome }) => ({ address: recipient.address, orcpt: recipient.orcpt, outcome })),
    retryUntilMs: kind === 'delayed' ? envelope.expiresAtMs : null,
  };
  const tail = await parts.sign(composeDsn(dsn), nowMs);
  const facts = dsnFacts(dsn);
  parts.log.info('dsn.created', { id, of: envelope.id, kind, to: from.text, recipients: news.length });
  return {
    envelope: {
      id,
      from: null,
      acceptedAtMs: nowMs,
      expiresAtMs: nowMs + parts.maxAgeMs,
      warnAtMs: null,
      sizeBytes: tail.reduce((sum, chunk) => sum + chunk.length, 0),
      eightBit: false,
      smtpUtf8: facts.smtpUtf8,
      // As well protected as what it tells of (RFC 8689 5).
      requireTls: envelope.requireTls,
      ...(envelope.tlsOptional === true ? { tlsOptional: true } : {}),
      ret: null,
      envid: null,
      kind: 'dsn',
      mode: envelope.mode,
      origin: { profile: 'local', clientAddress: '', helo: '', tls: null, credential: null },
      subject: facts.subject,
      messageIdHeader: facts.messageId,
    },
    recipients: [{ n: 0, address: from, notify: { success: false, failure: false, delay: false }, orcpt: null, lane: parts.laneFor(from.domain, envelope.mode) }],
    tail,
    written: 0,
  };
}

/** Of a message with REQUIRETLS the headers alone come back, whatever was asked (RFC 8689 5). */
function returned({ requireTls, ret }: Envelope): Envelope['ret'] {
  return requireTls ? 'hdrs' : ret;
}

/** The header, and the body where it is small enough to be returned whole. */
async function readOriginal(envelope: Envelope, read: () => AsyncIterable<Buffer> | Iterable<Buffer>): Promise<{ headers: Buffer; body: Buffer[] | null }> {
  const whole = returned(envelope) === 'full' && envelope.sizeBytes <= MAX_RETURNED_BYTES;
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
