// A notification to a sender as a message of the queue, and who wants to hear what (RFC 3461 4.1). Whoever learns of a message's fate makes one: a
// delivery that failed here, or a report that came back from elsewhere.

import { isAscii } from 'node:buffer';
import type { Signing } from '#mail/dkim/signing.ts';
import { composeDsn, dsnFacts } from '#mail/dsn.ts';
import type { DsnKind, DsnOptions } from '#mail/dsn.ts';
import { asciiForm } from '#smtp/address.ts';
import type { Address } from '#smtp/address.ts';
import type { NewMessage } from './queue.ts';
import type { Envelope, LaneName, Recipient } from './records.ts';

export type NoticeParts = {
  readonly hostname: string;
  readonly newId: (nowMs: number) => string;
  readonly laneFor: (domain: string, mode: 'live' | 'sandbox') => LaneName;
  readonly maxAgeMs: number;
  /** Signs the notification when its From header is of a domain of ours. */
  readonly sign: Signing['signWhole'];
};

export type NoticeKind = Extract<DsnKind, 'failed' | 'delayed' | 'delivered' | 'relayed'>;

/** Whether the sender asked to hear this (RFC 3461 4.1; without NOTIFY: failures and delays). */
export function isWanted(recipient: Pick<Recipient, 'notify'>, kind: NoticeKind): boolean {
  const notify = recipient.notify ?? { success: false, failure: true, delay: true };
  if (kind === 'failed') return notify.failure;
  return kind === 'delayed' ? notify.delay : notify.success;
}

export type Notice = {
  readonly kind: NoticeKind;
  /** Of the message that is told of, and its sender. */
  readonly envelope: Envelope;
  readonly to: Address;
  readonly original: Pick<DsnOptions['original'], 'headers' | 'body'>;
  readonly recipients: DsnOptions['recipients'];
  readonly nowMs: number;
};

/** The message: from nobody, so that nothing ever answers it. */
export async function makeNotice(parts: NoticeParts, notice: Notice): Promise<NewMessage> {
  const { kind, envelope, original, recipients, nowMs } = notice;
  const to = asciiForm(notice.to) ?? notice.to;
  const id = parts.newId(nowMs);
  const dsn: DsnOptions = {
    kind,
    hostname: parts.hostname,
    id,
    nowMs,
    original: { from: to, envid: envelope.envid, ret: returnedPart(envelope), acceptedAtMs: envelope.acceptedAtMs, ...original },
    tlsOptional: envelope.tlsOptional === true,
    recipients,
    retryUntilMs: kind === 'delayed' ? envelope.expiresAtMs : null,
  };
  const tail = await parts.sign(composeDsn(dsn), nowMs);
  const facts = dsnFacts(dsn);
  const { project } = envelope.origin;
  return {
    envelope: {
      id,
      from: null,
      acceptedAtMs: nowMs,
      expiresAtMs: nowMs + parts.maxAgeMs,
      warnAtMs: null,
      sizeBytes: tail.reduce((sum, chunk) => sum + chunk.length, 0),
      // A returned original may be so.
      eightBit: !tail.every((chunk) => isAscii(chunk)),
      smtpUtf8: facts.smtpUtf8,
      // As well protected as what it tells of (RFC 8689 5).
      requireTls: envelope.requireTls,
      ...(envelope.tlsOptional === true ? { tlsOptional: true } : {}),
      ret: null,
      envid: null,
      kind: 'dsn',
      mode: envelope.mode,
      origin: { profile: 'local', clientAddress: '', helo: '', tls: null, credential: null, ...(project === undefined ? {} : { project }) },
      subject: facts.subject,
      messageIdHeader: facts.messageId,
    },
    recipients: [{ n: 0, address: to, notify: { success: false, failure: false, delay: false }, orcpt: null, lane: parts.laneFor(to.domain, envelope.mode) }],
    tail,
    written: 0,
  };
}

/** Of a message with REQUIRETLS the headers alone come back, whatever was asked (RFC 8689 5). */
export function returnedPart({ requireTls, ret }: Envelope): Envelope['ret'] {
  return requireTls ? 'hdrs' : ret;
}
