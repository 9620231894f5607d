// The durable queue as everyone sees it; engines are under store/. Small enough that a database server can be one too.

import type { Envelope, LaneName, Lease, MessageId, Outcome, Recipient, RecipientState, ReturnedEvent, Settlement } from './records.ts';

/** A message to be accepted: recipients with the lane each starts in. */
export type NewMessage = {
  readonly envelope: Envelope;
  readonly recipients: readonly (Recipient & { readonly lane: LaneName })[];
  /** Chunks not written by `write` before; those of `written` come first. */
  readonly tail: readonly Buffer[];
  /** How many chunks `write` stored already. */
  readonly written: number;
  /** Nobody gets it before then. */
  readonly notBeforeMs?: number;
  /** The message of this key; another one that had the key within a day stands against it. */
  readonly once?: OnceKey;
};

export type OnceKey = { readonly key: string; readonly hash: string };

/** The message that was made under a key. */
export type OnceUsed = { readonly hash: string; readonly id: MessageId };

/** One settled lease, with the messages (DSNs) that its outcome brings forth: all in one transaction. */
export type Settled = { readonly lease: Lease; readonly settlements: readonly Settlement[]; readonly offspring: readonly NewMessage[] };

/** The delivery side: what a worker's dispatcher uses. Every method may be batched with others; each resolves when durable. */
export type Queue = {
  /** Stores one body chunk of a message that does not exist yet. Resolves when the store has taken it (back-pressure). */
  write(id: MessageId, n: number, chunk: Buffer): Promise<void>;
  /** Drops the chunks of a message that will not come to be. */
  abandon(id: MessageId): void;
  /**
   * Makes the message exist. Resolves when it is on disk (synced): only then may 250 be said. Rejects with code
   * `store-full` when disk or memory is short, with `once-used` when its key has a message already (OnceUsed, in `used`). With `lease`, the recipients are leased to the caller at once, one Lease a lane.
   */
  accept(message: NewMessage, options: { lease: boolean }): Promise<readonly Lease[]>;
  /** Up to `limit` leases that are due, at most `perLane` recipients of a lane, none of `skip`; small bodies come along, up to `bodyBytes`. Empty when nothing is due. */
  lease(request: { limit: number; perLane: number; skip: readonly LaneName[]; only?: LaneName; bodyBytes?: number }): Promise<readonly Lease[]>;
  /** Leases whose recipients have expired or whose delay warning is due, whatever their lane and next attempt. */
  leaseOverdue(request: { limit: number }): Promise<readonly Lease[]>;
  /** The body, chunk by chunk, read from disk. Rejects with `lease-lost` when the message is no longer there: what came so far is not all of it. */
  body(lease: Pick<Lease, 'key'> & { readonly envelope: Pick<Envelope, 'id'> }): AsyncIterable<Buffer>;
  /** Writes outcomes. Resolves when durable. Rejects with `lease-lost`, and changes nothing, when one of the recipients is no longer this lease's. */
  settle(settled: Settled): Promise<void>;
  /** Writes down what was heard of a message that is no longer here. Resolves when durable. */
  note(id: MessageId, events: readonly ReturnedEvent[]): Promise<void>;
  /** Gives leases back untouched, ready now or at `nextAtMs`; with `lane` they wait there from now on. What is on hold by now is held. */
  giveBack(leases: readonly Lease[], options?: { nextAtMs?: number; lane?: LaneName }): Promise<void>;
  /** Nothing of this lane is leased before `untilMs` (site back-off), and `cause` says why. Kept in memory by the engine; lost on restart, which is harmless. */
  backOff(lane: LaneName, untilMs: number, cause: string): void;
  /** Whether a recipient is on hold by its lane, domain or credential, or because all is; as far as is known here, a moment late at most. */
  isHeld(of: { readonly lane: LaneName; readonly domain: string; readonly credential: string | null }): boolean;
  /** Whether an operator has held or cancelled a message under this very lease: it should be given back; a moment late at most. */
  isRecalled(lease: Pick<Lease, 'key' | 'token'>): boolean;
  /** Called when something was put on hold or recalled. At most one listener. */
  onHeld(listener: () => void): void;
  /** Called whenever work may have become due (new, retried, released, a timer). At most one listener. */
  onReady(listener: () => void): void;
};

/** Which recipients an operator's verb touches. */
export type Selection =
  | { readonly by: 'message'; readonly id: MessageId }
  | { readonly by: 'lane'; readonly lane: LaneName }
  | { readonly by: 'domain'; readonly domain: string }
  | { readonly by: 'credential'; readonly credential: string }
  | { readonly by: 'all' };

/** One row of `queue list`: a recipient that waits. */
export type QueueRow = {
  readonly id: MessageId;
  readonly n: number;
  readonly from: string;
  readonly to: string;
  readonly lane: LaneName;
  readonly state: RecipientState;
  readonly attempts: number;
  readonly acceptedAtMs: number;
  /** Not before the back-off of its lane ends. */
  readonly nextAtMs: number | null;
  /** Why its lane is left alone at present; null: it is not. */
  readonly backOffCause: string | null;
  readonly expiresAtMs: number;
  readonly sizeBytes: number;
  readonly subject: string;
  readonly credential: string | null;
  readonly lastOutcome: Outcome | null;
};

export type LaneRow = {
  readonly lane: LaneName;
  readonly ready: number;
  readonly leased: number;
  readonly deferred: number;
  readonly held: number;
  readonly oldestAtMs: number | null;
  readonly nextAtMs: number | null;
  readonly backOffUntilMs: number | null;
  /** Why the site is left alone. */
  readonly backOffCause: string | null;
  readonly onHold: boolean;
};

export type QueueCounts = {
  readonly ready: number;
  readonly leased: number;
  readonly deferred: number;
  readonly held: number;
  readonly captured: number;
  readonly messages: number;
  readonly bodyBytes: number;
  readonly oldestAtMs: number | null;
};

/**
 * How many recipients a verb has changed, and how many more were leased: those are held or cancelled as soon as they come back, unless
 * they are delivered or bounced first.
 */
export type Changed = { readonly recipients: number; readonly underWay: number };

/** The operator's side: what the API and commands use. */
export type QueueAdmin = {
  list(filter: {
    id?: MessageId;
    lane?: LaneName;
    domain?: string;
    /** `waiting`: all but what was captured. */
    state?: RecipientState | 'waiting';
    credential?: string;
    project?: string;
    limit: number;
    after?: { id: MessageId; n: number };
  }): Promise<readonly QueueRow[]>;
  show(id: MessageId): Promise<{ readonly envelope: Envelope; readonly recipients: readonly QueueRow[] } | null>;
  /** Body of a queued or captured message; null when it is not there. */
  read(id: MessageId): Promise<AsyncIterable<Buffer> | null>;
  lanes(): Promise<readonly LaneRow[]>;
  counts(): Promise<QueueCounts>;
  /** Due now, and the back-off of their lanes ends. */
  retry(selection: Selection): Promise<Changed>;
  /** Kept until released. A held lane, domain, credential or `all` also holds what comes later, over restarts too. */
  hold(selection: Selection): Promise<Changed>;
  /** Ends this hold; what another one covers stays held. A message goes at once whatever covers it; `all` ends every hold. */
  release(selection: Selection): Promise<Changed>;
  /** Removed without a DSN, captured messages too. */
  cancel(selection: Selection): Promise<Changed>;
};
