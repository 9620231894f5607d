// Mail that comes back to a return path of ours: taken only with a token that we gave out, held against the message it is about, written down as
// its fate, and told to its sender in our own words. What is no delivery report is passed on to the sender as it is. RFC 3464, RFC 5321 4.5.5.

import type { Clock } from '#base/clock.ts';
import type { Counters } from '#base/counters.ts';
import type { Log } from '#base/log.ts';
import { parseBounce } from '#mail/bounce.ts';
import type { Bounce, BouncedRecipient } from '#mail/bounce.ts';
import type { ReturnPaths } from '#mail/identity/verp.ts';
import { isWanted, makeNotice } from '#queue/notice.ts';
import type { NoticeKind, NoticeParts } from '#queue/notice.ts';
import type { NewMessage, Queue } from '#queue/queue.ts';
import type { Lease, MessageId, Outcome, ReturnedEvent } from '#queue/records.ts';
import { parseMailbox } from '#smtp/address.ts';
import type { Address } from '#smtp/address.ts';
import { explainReply } from '#knowledge/explain.ts';
import type { RcptCommand } from '#smtp/policy.ts';
import type { Reply } from '#smtp/reply.ts';
import { REPLIES } from '#smtp/reply.ts';
import type { MessageDetail } from '#store/history.ts';

export type ReturnedParts = {
  readonly paths: Pick<ReturnPaths, 'read'>;
  readonly isBounceDomain: (domain: string) => boolean;
  /** What became of a message so far, all up to now; null when it is not known (any more). */
  readonly history: (id: MessageId) => Promise<MessageDetail | null>;
  readonly notice: () => NoticeParts;
  readonly queue: Pick<Queue, 'note' | 'accept'>;
  readonly deliver: (leases: readonly Lease[]) => void;
  readonly counters: Counters;
  readonly clock: Clock;
  readonly log: Log;
};

/** Of a report so much is read; what it returns of the original comes behind it. */
const READ_BYTES = 256 * 1024;
/** Reports on one message; more come from somebody who repeats a token. */
const PER_MESSAGE = { burst: 50, perMs: 50 / 86_400_000 };
const DIAGNOSTIC_CHARACTERS = 500;

/** A message known again by the token in its return path. */
export type KnownAgain = { readonly id: MessageId; readonly original: MessageDetail; readonly sender: Address };

export type Returns = {
  /** Whether mail for this domain is what comes back. */
  owns(domain: string): boolean;
  /** RCPT: null for a token that we gave out. `before` are the recipients taken already: a report has one. */
  admit(rcpt: RcptCommand, before: readonly RcptCommand[]): Reply | null;
  /** Before the content: the message it is about, or why it is not taken. */
  recognize(rcpt: RcptCommand): Promise<KnownAgain | Reply>;
  /** A reader of the content. */
  read(known: KnownAgain): ReturnedMail;
};

export type ReturnedMail = {
  feed(chunk: Buffer): void;
  /** All is done, and the reply; null: it is no report, and goes on to the sender as it is. */
  finish(): Promise<Reply | null>;
};

export function openReturns(parts: ReturnedParts): Returns {
  const idOf = ({ to }: RcptCommand): MessageId | null => parts.paths.read(to.domain, to.local);
  return {
    owns: (domain) => parts.isBounceDomain(domain),
    admit(rcpt, before) {
      if (before.length > 0) return REPLIES.tooManyRecipients(1);
      return idOf(rcpt) === null ? REPLIES.noSuchReturnPath : null;
    },
    async recognize(rcpt) {
      const id = idOf(rcpt);
      const original = id === null ? null : await parts.history(id);
      const sender = original?.envelope.from ?? null;
      if (id === null || original === null || sender === null) {
        parts.log.info('bounce.unknown', { of: id, cause: 'The message that it is about is no longer in the history, or never was.' });
        return REPLIES.noSuchReturnPath;
      }
      const nowMs = parts.clock.nowMs();
      if (!parts.counters.take(`returned:${id}`, { ...PER_MESSAGE, nowMs, cost: 1 })) return REPLIES.tooManyReturns;
      return { id, original, sender };
    },
    read(known) {
      const chunks: Buffer[] = [];
      let bytes = 0;
      return {
        feed(chunk) {
          if (bytes >= READ_BYTES) return;
          chunks.push(chunk.subarray(0, READ_BYTES - bytes));
          bytes += chunk.length;
        },
        finish: () => settle(parts, known, Buffer.concat(chunks)),
      };
    },
  };
}

type Told = { readonly n: number | null; readonly recipient: BouncedRecipient; readonly address: Address; readonly outcome: Outcome };

async function settle(parts: ReturnedParts, known: KnownAgain, content: Buffer): Promise<Reply | null> {
  const { id, original, sender } = known;
  const bounce = parseBounce(content);
  const nowMs = parts.clock.nowMs();
  if (bounce === null) {
    parts.log.info('bounce.passed-on', { of: id, to: sender.text, cause: 'It is no delivery report: an automatic answer, or a report in free form.' });
    return null;
  }
  const told = bounce.recipients.flatMap((recipient) => matched(known, bounce, recipient, nowMs));
  if (told.length === 0) return null;
  await parts.queue.note(
    id,
    told.map(({ n, outcome }): ReturnedEvent => ({ type: 'returned', n, outcome })),
  );
  for (const { recipient, outcome } of told) {
    const fields = { of: id, to: recipient.final, action: recipient.action, code: outcome.code, enhanced: outcome.enhanced, text: outcome.text, class: outcome.class };
    if (recipient.action === 'failed') parts.log.warn('bounce.failed', { ...fields, cause: outcome.cause, fix: outcome.fix });
    else parts.log.info('bounce.reported', fields);
  }
  const notices = await noticesFor(parts, { original, sender, bounce, told, nowMs });
  for (const notice of notices) parts.deliver(await parts.queue.accept(notice, { lease: true }));
  return REPLIES.queued(notices[0]?.envelope.id ?? id);
}

async function noticesFor(parts: ReturnedParts, of: { original: MessageDetail; sender: Address; bounce: Bounce; told: readonly Told[]; nowMs: number }): Promise<NewMessage[]> {
  const { original, sender, bounce, told, nowMs } = of;
  const wanted = told.filter(({ n, recipient }) => isWanted({ notify: recipientOf(original, n)?.notify ?? null }, kindOf(recipient)));
  const kinds = [...new Set(wanted.map(({ recipient }) => kindOf(recipient)))];
  const headers = bounce.headers ?? Buffer.from(`Subject: ${original.subject.replace(/[^\x20-\x7e]/g, '?')}\r\nMessage-ID: ${original.messageIdHeader}\r\n\r\n`);
  return Promise.all(
    kinds.map((kind) =>
      makeNotice(parts.notice(), {
        kind,
        envelope: original.envelope,
        to: sender,
        original: { headers, body: null },
        recipients: wanted
          .filter(({ recipient }) => kindOf(recipient) === kind)
          .map(({ n, address, outcome }) => ({ address, orcpt: recipientOf(original, n)?.orcpt ?? null, outcome })),
        nowMs,
      }),
    ),
  );
}

function kindOf({ action }: BouncedRecipient): NoticeKind {
  return action === 'expanded' ? 'relayed' : action;
}

function recipientOf(original: MessageDetail, n: number | null): MessageDetail['recipients'][number] | undefined {
  return original.recipients.find((recipient) => recipient.n === n);
}

/** Which recipient it is: the one with this address, or the only one there was; a report about somebody else (an alias behind several) has none. */
function matched({ original }: KnownAgain, bounce: Bounce, recipient: BouncedRecipient, nowMs: number): Told[] {
  const names = new Set([recipient.original, recipient.final].map((text) => text?.toLowerCase()));
  const own = original.recipients.find((one) => names.has(one.to.toLowerCase())) ?? (original.recipients.length === 1 ? original.recipients[0] : undefined);
  const address = parseMailbox(own?.to ?? recipient.final);
  return address === null ? [] : [{ n: own?.n ?? null, recipient, address, outcome: outcomeOf(bounce, recipient, nowMs) }];
}

function outcomeOf(bounce: Bounce, recipient: BouncedRecipient, nowMs: number): Outcome {
  const { action, status, diagnostic } = recipient;
  const text = diagnostic.slice(0, DIAGNOSTIC_CHARACTERS);
  const code = Number(/^([245]\d\d)\b/.exec(text)?.[1] ?? 0);
  const failed = action === 'failed';
  const words = text.replace(/^[245]\d\d[ -]?/, '');
  const explained = explainReply({ code: code === 0 ? (failed ? 550 : 450) : code, enhanced: status, lines: [words] }, recipient.remoteHost);
  return {
    verdict: failed ? 'bounced' : action === 'delayed' ? 'deferred' : 'delivered',
    scope: 'recipient',
    code,
    enhanced: status,
    text: words === '' ? `Reported as ${action}` : words,
    class: failed || action === 'delayed' ? explained.class : action,
    cause: failed || action === 'delayed' ? `A later hop reports: ${explained.cause}` : '',
    fix: failed || action === 'delayed' ? explained.fix : '',
    route: 'mx',
    remoteHost: recipient.remoteHost ?? bounce.reportingHost,
    remoteAddress: null,
    remotePort: null,
    tls: null,
    possibleDuplicate: false,
    startedAtMs: nowMs,
    durationMs: 0,
  };
}
