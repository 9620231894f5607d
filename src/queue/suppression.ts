// Addresses that get no more mail of a sender's domain, or of any: what an entry is, and by what it is found. They are kept with the queue,
// because one that a receiver's answer brings forth is written in the transaction of that answer.

import type { Address, ReversePath } from '#smtp/address.ts';
import type { MessageId } from './records.ts';

export const REASONS = ['bounced', 'complained', 'unsubscribed', 'manual'] as const;
export type Reason = (typeof REASONS)[number];

/** Mail of every sender. */
export const EVERYBODY = '*';

export type NewSuppression = {
  /** As `addressKey` makes it. */
  readonly address: string;
  /** Of the recipient. */
  readonly recipientDomain: string;
  /** Whose mail it is about: a domain of a sender, or EVERYBODY. */
  readonly senderDomain: string;
  readonly reason: Reason;
  /** The receiver's status, where it was one that brought the entry forth; else ''. */
  readonly enhanced: string;
  /** The receiver's words, or a note of who made the entry. */
  readonly text: string;
  readonly remoteHost: string | null;
  readonly messageId: MessageId | null;
  readonly createdAtMs: number;
};

/** `seq` grows with each entry: lists go by it, newest first. */
export type Suppression = NewSuppression & { readonly seq: number };

export type SuppressionFilter = {
  readonly address?: string;
  readonly recipientDomain?: string;
  /** Of these only; null: whatever the sender. */
  readonly senderDomains: readonly string[] | null;
  readonly reason?: Reason;
  readonly before?: number;
  readonly limit: number;
};

/** The operator's side. */
export type Suppressions = {
  list(filter: SuppressionFilter): Promise<readonly Suppression[]>;
  /** Writes entries; one that is there already gets the new reason and text. Resolves, when durable, to how many are new. */
  add(entries: readonly NewSuppression[]): Promise<{ readonly added: number }>;
  /** Removes the address for these domains of senders (null: for all). Resolves to how many entries are gone. */
  remove(address: string, senderDomains: readonly string[] | null): Promise<{ readonly removed: number }>;
};

/** What workers ask for each recipient: the entry that stands against this mail, or null. */
export type SuppressionReader = {
  find(to: Address, from: ReversePath): Promise<Suppression | null> | null;
};

/** Mailboxes that differ in case only are one: no receiver that people write to tells them apart (RFC 5321 2.4 would let it). */
export function addressKey(address: Address): string {
  return `${address.local.toLowerCase()}@${address.domain}`;
}

/** What the sieve holds of an entry. */
export function sieveKey(address: string, senderDomain: string): string {
  return `${senderDomain} ${address}`;
}
