// The history as others see it: what became of every message, read beside its one writer (history/writer.ts). A database of its own (history.db), fed from the
// queue's outbox; may be trimmed, is never needed to deliver.

import type { Envelope, MessageId, Outcome, QueueEvent, Recipient } from '#queue/records.ts';
import { openDatabase } from './sqlite/database.ts';
import { HISTORY_MIGRATIONS } from './history/schema.ts';
import { openListing } from './history/listing.ts';
import type { Listed } from './facts.ts';
import type { SearchIndex } from './history/search.ts';

export type MessageStatus = 'queued' | 'delivered' | 'deferred' | 'bounced' | 'expired' | 'captured' | 'cancelled' | 'held' | 'partial';

export type MessageRow = Listed & {
  readonly id: MessageId;
  readonly acceptedAtMs: number;
  readonly to: readonly string[];
  readonly status: MessageStatus;
  readonly updatedAtMs: number;
};

export type MessageDetail = MessageRow & {
  readonly envelope: Envelope;
  readonly recipients: readonly {
    readonly n: number;
    readonly to: string;
    /** The address here that it stands for, of mail that is passed on. */
    readonly via?: string;
    /** As the sender wished (RFC 3461), where there was a wish. */
    readonly notify?: Recipient['notify'];
    readonly orcpt?: Recipient['orcpt'];
    readonly status: MessageStatus;
    readonly attempts: number;
    readonly nextAtMs: number | null;
    readonly lastOutcome: Outcome | null;
  }[];
  /** Oldest first; bounded. */
  readonly events: readonly {
    readonly seq: number;
    readonly atMs: number;
    readonly type: QueueEvent['type'];
    readonly n: number | null;
    readonly outcome: Outcome | null;
    readonly nextAtMs: number | null;
  }[];
};

export type MessageFilter = {
  readonly to?: string;
  readonly from?: string;
  readonly status?: MessageStatus;
  readonly sinceMs?: number;
  readonly credential?: string;
  readonly project?: string;
  /** Words of subject and addresses, the beginnings of words too; or an address, a domain with `@`, a Message-ID, the id of a message. */
  readonly text?: string;
  readonly limit: number;
  readonly before?: MessageId;
};

/** A page, newest first. `next`: the message to go on before, null at the end; a page may be short, even empty, and not be the last. */
export type MessagePage = { readonly rows: readonly MessageRow[]; readonly next: MessageId | null };

/** Reading side; `from` and `to` match an address, or a domain when they have no `@` (or begin with one). */
export type HistoryReader = {
  list(filter: MessageFilter): Promise<MessagePage>;
  show(id: MessageId): Promise<MessageDetail | null>;
  close(): void;
};

const CACHE_BYTES = 8 * 1024 * 1024;

type StoredRecipient = MessageDetail['recipients'][number];
type StoredEvent = MessageDetail['events'][number];

/** Opens the history for reading, beside its writer. Without `search` every look for words or addresses goes through the rows. */
export function openHistoryReader(path: string, search: SearchIndex | null = null): HistoryReader {
  const database = openDatabase(path, HISTORY_MIGRATIONS, { synchronous: 'NORMAL', readOnly: true, cacheBytes: CACHE_BYTES });
  const listing = openListing(database, search);
  const details = database.prepare('SELECT envelope, recipients, events FROM detail WHERE key = ?');
  return {
    list: async (filter) => listing.page(filter),
    async show(id) {
      const found = listing.find(id);
      const detail = found === null ? undefined : (details.get(found.key) as { envelope: string; recipients: string; events: string } | undefined);
      if (found === null || detail === undefined) return null;
      return {
        ...found.row,
        envelope: JSON.parse(detail.envelope) as Envelope,
        recipients: JSON.parse(detail.recipients) as StoredRecipient[],
        events: JSON.parse(detail.events) as StoredEvent[],
      };
    },
    close: () => database.close(),
  };
}
