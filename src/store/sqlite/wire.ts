// What workers and the store thread say to each other: many operations in one message, all bodies of it in one place of shared memory.
// Plain data only; JSON that is stored as it is travels as text, made once by the worker.

import type { LaneName, MessageId, RecipientState } from '#queue/records.ts';
import type { NewSuppression, Suppression, SuppressionFilter } from '#queue/suppression.ts';
import type { Counts, Listed } from '#store/facts.ts';
import type { Holds } from './lanes.ts';
import type { Changed, LaneRow, OnceKey, OnceUsed, QueueCounts, QueueRow, Selection } from '#queue/queue.ts';

/** A run of the batch's bytes. */
export type Span = { readonly offset: number; readonly length: number };

export type WireRecipient = { readonly n: number; readonly lane: LaneName; readonly domain: string; readonly json: string };

export type WireMessage = {
  readonly id: MessageId;
  readonly atMs: number;
  readonly sizeBytes: number;
  readonly expiresAtMs: number;
  readonly warnAtMs: number | null;
  readonly credential: string | null;
  readonly listed: Listed;
  readonly counts: Counts;
  readonly envelope: string;
  readonly recipients: readonly WireRecipient[];
  readonly tail: Span;
  readonly written: number;
  readonly notBeforeMs: number | null;
  readonly once: OnceKey | null;
};

export type WireSettlement = {
  readonly n: number;
  readonly state: 'delivered' | 'bounced' | 'expired' | 'captured' | 'deferred';
  readonly nextAtMs: number;
  readonly lane: LaneName;
  readonly warned: boolean;
  readonly outcome: string;
  readonly counts: Counts;
  readonly suppression?: NewSuppression;
};

/** `q` numbers the requests of one port; the answer carries it back. Operations without `q` are not answered. */
export type Operation =
  | { readonly op: 'write'; readonly q: number; readonly id: MessageId; readonly n: number; readonly data: Span }
  | { readonly op: 'accept'; readonly q: number; readonly message: WireMessage; readonly lease: boolean }
  | {
      readonly op: 'settle';
      readonly q: number;
      readonly key: number;
      readonly token: number;
      readonly id: MessageId;
      readonly settlements: readonly WireSettlement[];
      readonly offspring: readonly WireMessage[];
    }
  | {
      readonly op: 'lease';
      readonly q: number;
      readonly limit: number;
      readonly perLane: number;
      readonly skip: readonly LaneName[];
      readonly only: LaneName | null;
      readonly bodyBytes: number;
    }
  | { readonly op: 'overdue'; readonly q: number; readonly limit: number }
  | {
      readonly op: 'giveBack';
      readonly q: number;
      readonly leases: readonly { readonly key: number; readonly token: number; readonly ns: readonly number[] }[];
      readonly nextAtMs: number | null;
      readonly lane: LaneName | null;
    }
  | { readonly op: 'note'; readonly q: number; readonly id: MessageId; readonly events: readonly string[] }
  | { readonly op: 'chunk'; readonly q: number; readonly key: number; readonly n: number }
  | { readonly op: 'admin'; readonly q: number; readonly call: AdminCall }
  | { readonly op: 'abandon'; readonly id: MessageId }
  | { readonly op: 'backOff'; readonly lane: LaneName; readonly untilMs: number; readonly cause: string };

export type AdminCall =
  | { readonly verb: 'list'; readonly filter: ListFilter }
  | { readonly verb: 'show'; readonly id: MessageId }
  | { readonly verb: 'lanes' }
  | { readonly verb: 'counts' }
  | { readonly verb: 'retry' | 'hold' | 'release' | 'cancel'; readonly selection: Selection }
  | { readonly verb: 'find'; readonly id: MessageId }
  | { readonly verb: 'workerGone'; readonly worker: number }
  | { readonly verb: 'flush' }
  | { readonly verb: 'once'; readonly key: string }
  | { readonly verb: 'suppress'; readonly entries: readonly NewSuppression[] }
  | { readonly verb: 'unsuppress'; readonly address: string; readonly senderDomains: readonly string[] | null }
  | { readonly verb: 'suppressed'; readonly address: string; readonly senderDomains: readonly string[] }
  | { readonly verb: 'suppressions'; readonly filter: SuppressionFilter };

export type ListFilter = {
  readonly id?: MessageId;
  readonly lane?: LaneName;
  readonly domain?: string;
  readonly state?: RecipientState | 'waiting';
  readonly credential?: string;
  readonly project?: string;
  readonly limit: number;
  readonly after?: { readonly id: MessageId; readonly n: number };
};

export type AdminAnswer =
  | readonly Suppression[]
  | OnceUsed
  | Suppression
  | readonly QueueRow[]
  | { envelope: string; recipients: readonly QueueRow[] }
  | readonly LaneRow[]
  | QueueCounts
  | Changed
  | number
  | null;

export type WireLease = {
  readonly key: number;
  readonly token: number;
  readonly lane: LaneName;
  readonly envelope: string | null;
  readonly body: Uint8Array | null;
  readonly recipients: readonly { readonly n: number; readonly json: string | null; readonly attempts: number; readonly warned: boolean; readonly outcome: string | null }[];
};

/** `value` by operation: leases for accept, lease, overdue; a chunk (or null past the end) for chunk; the admin answer. */
export type Answer =
  | { readonly q: number; readonly value: readonly WireLease[] | Uint8Array | AdminAnswer | undefined }
  | { readonly q: number; readonly error: 'store-full' | 'store-failed' | 'lease-lost' | 'once-used'; readonly text: string; readonly used?: OnceUsed };

/** The bytes of the operations: a place of the arena, a buffer that was handed over, or none. */
export type Bytes = { readonly place: number } | { readonly buffer: ArrayBuffer } | null;
/** `arena` comes with the first. */
export type Batch = { readonly operations: readonly Operation[]; readonly bytes: Bytes; readonly sizeBytes: number; readonly arena?: SharedArrayBuffer };
/** A message that is leased, and should be given back. */
export type Recalled = { readonly key: number; readonly token: number };
/** `holds` when they have changed; `places` of the arena that are free again. */
export type Reply = {
  readonly answers: readonly Answer[];
  readonly ready: boolean;
  readonly holds?: Holds;
  readonly recalled?: readonly Recalled[];
  readonly places?: readonly number[];
};
