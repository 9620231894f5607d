// Every reply that the server says. A reply is a value; its text tells the sender how to fix what was refused.

/** An SMTP reply (RFC 5321 4.2) with its enhanced status code (RFC 3463; '' where none is defined, as on 220, 250 EHLO, 334, 354). */
export type Reply = {
  readonly code: number;
  readonly enhanced: string;
  /** One line a string, without CRLF. */
  readonly lines: readonly string[];
  /** The session ends after this reply is written. */
  readonly close?: boolean;
  /** Why, for our log only: never on the wire. */
  readonly privateCause?: string;
};
