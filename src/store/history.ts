// The history: what became of every message. Portable SQL in a database of its own (history.db); fed from the queue's outbox, may be
// trimmed, is never needed to deliver.

import type { Envelope, MessageId, Outcome, QueueEvent } from '#queue/records.ts';

export type MessageStatus = 'queued' | 'delivered' | 'deferred' | 'bounced' | 'expired' | 'captured' | 'cancelled' | 'held' | 'partial';

export type MessageRow = {
  readonly id: MessageId;
  readonly acceptedAtMs: number;
  readonly from: string;
  readonly to: readonly string[];
  readonly subject: string;
  readonly messageIdHeader: string;
  readonly sizeBytes: number;
  readonly credential: string | null;
  readonly profile: string;
  readonly kind: 'mail' | 'dsn';
  readonly mode: 'live' | 'sandbox';
  readonly status: MessageStatus;
  readonly updatedAtMs: number;
};

export type MessageDetail = MessageRow & {
  readonly envelope: Envelope;
  readonly recipients: readonly { readonly n: number; readonly to: string; readonly status: MessageStatus; readonly attempts: number; readonly nextAtMs: number | null; readonly lastOutcome: Outcome | null }[];
  /** Oldest first; bounded. */
  readonly events: readonly { readonly seq: number; readonly atMs: number; readonly type: QueueEvent['type']; readonly n: number | null; readonly outcome: Outcome | null; readonly nextAtMs: number | null }[];
};

export type MessageFilter = { readonly to?: string; readonly from?: string; readonly status?: MessageStatus; readonly sinceMs?: number; readonly credential?: string; readonly limit: number; readonly before?: MessageId };

/** Reading side; `from` and `to` match as address, domain (`@example.com` or `example.com`) or prefix. */
export type HistoryReader = {
  list(filter: MessageFilter): Promise<readonly MessageRow[]>;
  show(id: MessageId): Promise<MessageDetail | null>;
  close(): void;
};
