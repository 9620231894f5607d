// The records of the queue: what a message is, what happened to it. The recipient is the unit of fate; body bytes never
// change after acceptance. Plain data: everything here survives JSON.

import type { Authentication } from '#mail/authentication.ts';
import type { Address, ReversePath } from '#smtp/address.ts';
import type { Entrance, Notify } from '#smtp/policy.ts';
import type { NewSuppression } from './suppression.ts';

/** 16 characters of Crockford base 32, lower case: 9 of time in ms, 7 random. Sorts by time of acceptance. */
export type MessageId = string;

/** A lane's name: the route and the next-hop site, e.g. `mx:mx1.example.com,mx2.example.com`, `smarthost:upstream`, `capture:`. */
export type LaneName = string;

export type Origin = {
  readonly profile: Entrance;
  readonly clientAddress: string;
  readonly helo: string;
  readonly tls: string | null;
  /** Name of the credential, null for MTA mail. */
  readonly credential: string | null;
  /** Of the credential or the token; only its own see the message, besides those who see all. */
  readonly project?: string;
};

/** A message as accepted. `expiresAtMs` is when an undelivered recipient bounces; `warnAtMs` when a delay DSN is due (null: never). */
export type Envelope = {
  readonly id: MessageId;
  readonly from: ReversePath;
  readonly acceptedAtMs: number;
  readonly expiresAtMs: number;
  readonly warnAtMs: number | null;
  readonly sizeBytes: number;
  /** Content has bytes over 127 (needs 8BITMIME). */
  readonly eightBit: boolean;
  /** Envelope or headers need SMTPUTF8. */
  readonly smtpUtf8: boolean;
  /** The headers do, whatever the addresses are. */
  readonly utf8Header?: boolean;
  readonly requireTls: boolean;
  /** The sender wants it sent then, not before. */
  readonly sendAtMs?: number;
  /** The sender says that TLS policies of the receiver do not count: TLS-Required: No (RFC 8689 3). */
  readonly tlsOptional?: boolean;
  /** Bounces come back to this domain: MAIL FROM on the way to MX hosts is an address of it that tells the message. */
  readonly bounceDomain?: string;
  readonly ret: 'full' | 'hdrs' | null;
  readonly envid: string | null;
  readonly kind: 'mail' | 'dsn';
  readonly mode: 'live' | 'sandbox';
  readonly origin: Origin;
  /** Where it came from, as far as that can be known: mail by port 25 only, and not that of trusted networks. */
  readonly authentication?: Authentication;
  /** For lists: the Subject, decoded and cut to 200 characters, and the Message-ID. */
  readonly subject: string;
  readonly messageIdHeader: string;
};

/** One recipient as accepted; `n` counts from 0 within its message. */
export type Recipient = {
  readonly n: number;
  readonly address: Address;
  readonly notify: Notify | null;
  readonly orcpt: { readonly type: string; readonly value: string } | null;
  /** The address of this server whose mail this one gets. */
  readonly via?: Address;
  /** The sender leaves rewritten in the name of this domain (SRS). */
  readonly srsDomain?: string;
};

/** Which part of the world an outcome speaks of: it decides what is retried and what backs off. */
export type OutcomeScope = 'recipient' | 'message' | 'host' | 'lane' | 'local';

/** How the connection of an attempt was secured, and by whose wish. */
export type Security = {
  /** What decided: `dane`, `mta-sts`, `mta-sts-testing`, `configured`, `requiretls`, `tls-optional`, `opportunistic`; `route` where it is no MX. */
  readonly policy: string;
  /** What that asks for: `off`, `opportunistic`, `encrypted`, `verified`, `dane`. */
  readonly required: string;
  readonly why: string;
  /** null: the content went without TLS, or there was no connection. */
  readonly protocol: string | null;
  readonly cipher: string | null;
  /** `matched` by a TLSA record; `verified` by chain and name; `unverified`; `none` was seen. */
  readonly certificate: 'matched' | 'verified' | 'unverified' | 'none';
  /** Why the certificate is called so. */
  readonly verdict: string;
};

/** One attempt's result for one recipient. */
export type Outcome = {
  readonly verdict: 'delivered' | 'deferred' | 'bounced' | 'expired' | 'captured';
  readonly scope: OutcomeScope;
  /** Remote reply or our own words: code 0 when there was no SMTP reply. */
  readonly code: number;
  /** '' when the reply had none. */
  readonly enhanced: string;
  readonly text: string;
  /** The last reply of the other side, where `text` is about something else. */
  readonly said?: string;
  /** Stable word: `greylisted`, `mailbox-full`, `connection-refused`, `tls-failed`, `no-such-domain`, ... */
  readonly class: string;
  readonly cause: string;
  readonly fix: string;
  readonly route: string;
  readonly remoteHost: string | null;
  readonly remoteAddress: string | null;
  readonly remotePort: number | null;
  /** e.g. `TLSv1.3 TLS_AES_256_GCM_SHA384 verified`, `none`; null when no connection was made. */
  readonly tls: string | null;
  readonly security?: Security;
  /** A connection dropped after the final dot: the receiver may have it. */
  readonly possibleDuplicate: boolean;
  readonly startedAtMs: number;
  readonly durationMs: number;
};

/** A recipient under lease. */
export type LeasedRecipient = Recipient & { readonly attempts: number; readonly warned: boolean; readonly lastOutcome: Outcome | null };

/**
 * The right to deliver these recipients of one message, all of one lane, until settled or returned. `key` is the engine's handle of the
 * message, `token` that of this right: leases that were given at once share it, and it is never given again (fencing). `body` is there when it is in memory
 * already: because the message was accepted just now by this worker (`fresh`), or because it came with the lease.
 */
export type Lease = {
  readonly key: number;
  readonly token: number;
  readonly envelope: Envelope;
  readonly lane: LaneName;
  readonly recipients: readonly LeasedRecipient[];
  readonly fresh: boolean;
  readonly body: readonly Buffer[] | null;
};

/** What becomes of one leased recipient. Deferred ones say when next, and may move to another lane; one that bounced may get no more mail. */
export type Settlement =
  | { readonly n: number; readonly state: 'delivered' | 'bounced' | 'expired' | 'captured'; readonly outcome: Outcome; readonly suppression?: NewSuppression }
  | { readonly n: number; readonly state: 'deferred'; readonly nextAtMs: number; readonly lane: LaneName; readonly warned: boolean; readonly outcome: Outcome };

/** State of a recipient in the queue. `captured` stays until removed; delivered, bounced and expired leave the queue (history keeps them). */
export type RecipientState = 'ready' | 'leased' | 'deferred' | 'held' | 'captured';

/** A change of a message's fate, written in the transaction that makes it, delivered at least once, in order per message. */
export type QueueEvent = {
  /** Engine's sequence: grows, may have gaps. */
  readonly seq: number;
  readonly atMs: number;
  readonly id: MessageId;
} & (
  | { readonly type: 'accepted'; readonly envelope: Envelope; readonly recipients: readonly Recipient[] }
  | { readonly type: 'delivered' | 'deferred' | 'bounced' | 'expired' | 'captured'; readonly n: number; readonly outcome: Outcome; readonly nextAtMs: number | null }
  | { readonly type: 'held' | 'released' | 'cancelled' | 'retried'; readonly n: number }
  | ReturnedEvent
);

/** A report came back after a hop had taken the message. `n` is null when it does not tell which recipient it is about. */
export type ReturnedEvent = { readonly type: 'returned'; readonly n: number | null; readonly outcome: Outcome };
