// What a delivery status notification is made of: the message it is about, its recipients, what became of each. Records, and whose words they are.
// RFC 3461 6, RFC 3464 2.

import type { Address } from '#smtp/address.ts';

export type DsnKind = 'failed' | 'delayed' | 'delivered' | 'relayed' | 'expanded';

/** The part of a queue outcome that is told. `code` 0 or scope `local`: there was no SMTP reply, and `text` is our own. Times in ms since the epoch. */
export type DsnOutcome = {
  readonly scope: string;
  readonly code: number;
  readonly enhanced: string;
  readonly text: string;
  readonly said?: string;
  readonly cause: string;
  readonly fix: string;
  readonly remoteHost: string | null;
  /** The whole message was sent and not answered. */
  readonly possibleDuplicate?: boolean;
  readonly startedAtMs: number;
  readonly durationMs: number;
};

/** What the other side said, code and all, as it came; null when the words are our own. */
export function remoteWords({ scope, code, enhanced, text, said }: Pick<DsnOutcome, 'scope' | 'code' | 'enhanced' | 'text' | 'said'>): string | null {
  if (said !== undefined) return said;
  // A report from elsewhere may have the status in its text already.
  const status = text.startsWith(enhanced) ? '' : enhanced;
  return code === 0 || scope === 'local' ? null : [String(code), status, text].filter((part) => part !== '').join(' ');
}

export type DsnRecipient = {
  readonly address: Address;
  readonly orcpt: { readonly type: string; readonly value: string } | null;
  readonly outcome: DsnOutcome | null;
};

/**
 * The message that is reported on. `headers` is its beginning up to and with the blank line, `body` what follows: given, the whole is
 * returned if the sender asked (RET=FULL) and the kind is `failed`; the caller bounds its size.
 */
export type DsnOriginal = {
  readonly from: Address;
  readonly envid: string | null;
  readonly ret: 'full' | 'hdrs' | null;
  readonly acceptedAtMs: number;
  readonly headers: Buffer;
  readonly body?: Iterable<Buffer> | null;
};

export type DsnOptions = {
  readonly kind: DsnKind;
  readonly hostname: string;
  /** Of the notification itself. */
  readonly id: string;
  readonly nowMs: number;
  readonly original: DsnOriginal;
  readonly recipients: readonly DsnRecipient[];
  /** Until when delivery is tried, for `delayed`. */
  readonly retryUntilMs: number | null;
  /** The original said TLS-Required: No, and so does the notification (RFC 8689 5). */
  readonly tlsOptional?: boolean;
  /** For tests; else random. */
  readonly boundary?: string;
};
