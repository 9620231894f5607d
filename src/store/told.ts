// Changes of messages' fates as the history takes them over: the large parts stay the JSON texts that they are stored as, so that what was just
// written need not be read again. From the outbox they are read back, after a restart or when the history is far behind.

import type { MessageId, QueueEvent } from '#queue/records.ts';
import { countsOfAccepted, countsOfOutcome, listedOf } from './facts.ts';
import type { Counts, Listed } from './facts.ts';

/** One change. `envelope`, `recipients` and `outcome` are JSON texts, of an Envelope, of a Recipient each, of an Outcome. */
export type Told = { readonly atMs: number; readonly id: MessageId } & (
  | {
      readonly type: 'accepted';
      readonly listed: Listed;
      readonly counts: Counts;
      readonly sendAtMs: number | null;
      readonly envelope: string;
      readonly recipients: readonly string[];
    }
  | {
      readonly type: 'delivered' | 'deferred' | 'bounced' | 'expired' | 'captured';
      readonly n: number;
      readonly nextAtMs: number | null;
      readonly counts: Counts;
      readonly outcome: string;
    }
  | { readonly type: 'held' | 'released' | 'cancelled' | 'retried'; readonly n: number }
  | { readonly type: 'returned'; readonly n: number | null; readonly failed: boolean; readonly outcome: string }
);

/** The changes of one transaction, under the number of their row in the outbox. */
export type ToldRow = { readonly seq: number; readonly atMs: number; readonly changes: readonly Told[] };

/** From what the outbox has. */
export function toldFrom(event: QueueEvent): Told {
  const { atMs, id } = event;
  switch (event.type) {
    case 'accepted': {
      const { envelope, recipients } = event;
      return {
        atMs,
        id,
        type: 'accepted',
        listed: listedOf(envelope),
        counts: countsOfAccepted(envelope),
        sendAtMs: envelope.sendAtMs ?? null,
        envelope: JSON.stringify(envelope),
        recipients: recipients.map((recipient) => JSON.stringify(recipient)),
      };
    }
    case 'returned':
      return { atMs, id, type: 'returned', n: event.n, failed: event.outcome.verdict === 'bounced', outcome: JSON.stringify(event.outcome) };
    case 'held':
    case 'released':
    case 'cancelled':
    case 'retried':
      return { atMs, id, type: event.type, n: event.n };
    default:
      return { atMs, id, type: event.type, n: event.n, nextAtMs: event.nextAtMs, counts: countsOfOutcome(event.outcome, id), outcome: JSON.stringify(event.outcome) };
  }
}

/** As the outbox stores it, to be read back as a QueueEvent. */
export function outboxText(told: Told): string {
  const head = `{"type":"${told.type}","atMs":${told.atMs},"id":"${told.id}"`;
  switch (told.type) {
    case 'accepted':
      return `${head},"envelope":${told.envelope},"recipients":[${told.recipients.join(',')}]}`;
    case 'returned':
      return `${head},"n":${told.n},"outcome":${told.outcome}}`;
    case 'held':
    case 'released':
    case 'cancelled':
    case 'retried':
      return `${head},"n":${told.n}}`;
    default:
      return `${head},"n":${told.n},"nextAtMs":${told.nextAtMs},"outcome":${told.outcome}}`;
  }
}
