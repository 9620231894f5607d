// The seam between the protocol and whoever decides. The session (session.ts) knows the protocol and asks these questions;
// intake answers them. Answers may be immediate: a promise is used only where something must be waited for.

import type { MaybePromise } from '#base/promise.ts';
import type { Address, ReversePath } from './address.ts';
import type { Reply } from './reply.ts';

/** The four port profiles of the contract. `mx` is server to server; the other three are submission. */
export type Profile = 'mx' | 'submissions' | 'submission' | 'alternate';

/** How mail comes in: by a port, or handed over without SMTP (the HTTP API, the command `sendmail`), which is submission too. */
export type Entrance = Profile | 'api' | 'local';

export type TlsInfo = {
  readonly protocol: string;
  readonly cipher: string;
  /** SNI name the client sent, or null. */
  readonly serverName: string | null;
};

/** Channel-binding data for SCRAM-SHA-256-PLUS (RFC 5929, RFC 9266); a type that is not available returns null. */
export type ChannelBinding = (type: 'tls-exporter' | 'tls-server-end-point' | 'tls-unique') => Buffer | null;

/** Who the client proved to be. `credential` is the credential's name. */
export type Identity = { readonly credential: string; readonly username: string };

/** What is known of a connection, kept up to date by the session. */
export type Connection<I extends Identity = Identity> = {
  /** Unique per connection, in every log line of it. */
  readonly id: string;
  readonly profile: Entrance;
  /** The client as it is (behind a trusted proxy: as the proxy says). */
  readonly clientAddress: string;
  readonly clientPort: number;
  readonly localAddress: string;
  readonly localPort: number;
  /** What EHLO or HELO said; null before. */
  helo: string | null;
  /** ESMTP (EHLO) rather than HELO. */
  extended: boolean;
  tls: TlsInfo | null;
  identity: I | null;
};

/** MAIL FROM with its parameters (RFC 5321, 1870, 6152, 3461, 6531, 8689, 4954). */
export type MailCommand = {
  readonly from: ReversePath;
  readonly sizeBytes: number | null;
  readonly body: '7bit' | '8bitmime' | 'binarymime' | null;
  readonly smtpUtf8: boolean;
  readonly requireTls: boolean;
  readonly ret: 'full' | 'hdrs' | null;
  /** Decoded xtext. */
  readonly envid: string | null;
  /** Not to be delivered before (RFC 4865 has it so; not offered in SMTP). */
  readonly holdUntilMs?: number;
};

export type Notify = { readonly success: boolean; readonly failure: boolean; readonly delay: boolean };

/** RCPT TO with its parameters (RFC 3461). NOTIFY=NEVER is all three false; no NOTIFY is null. */
export type RcptCommand = {
  readonly to: Address;
  readonly notify: Notify | null;
  /** Address type and decoded xtext, e.g. {type: 'rfc822', value: 'a@b'}. */
  readonly orcpt: { readonly type: string; readonly value: string } | null;
};

/** A transaction as far as it got. */
export type Transaction = {
  readonly mail: MailCommand;
  readonly recipients: RcptCommand[];
  /** Only one message is to be made under this key; `hash` tells whether it is the same one. Not of SMTP. */
  readonly once?: { readonly key: string; readonly hash: string };
};

/**
 * Where the bytes of one message go. `write` gets message content with CRLF line ends and dots undone; the chunk belongs to the
 * sink afterwards. A promise from `write` is back-pressure: the session reads no more until it resolves. A Reply from `write`
 * refuses the message: the session swallows the rest and answers it. `finish` resolves once the outcome is certain (250 only
 * when durable; a refusal has dropped what was written). `abort` drops what was written.
 */
export type MessageSink = {
  write(chunk: Buffer): MaybePromise<Reply | void>;
  finish(): MaybePromise<Reply>;
  abort(): void;
};

/** SCRAM-SHA-256 keys of a user (RFC 5802 3, RFC 7677). */
export type ScramKeys = {
  readonly salt: Buffer;
  readonly iterations: number;
  readonly storedKey: Buffer;
  readonly serverKey: Buffer;
};

/** The answer to authentication: an identity, or the refusal. */
export type AuthResult<I extends Identity> = { readonly identity: I } | { readonly refusal: Reply };

/** What the session asks. One object a worker, shared by all its connections. A refusal is a Reply; null means go on. */
export type Policy<I extends Identity = Identity> = {
  /** A new connection, before the greeting; a Reply refuses it and closes. */
  connect(connection: Connection<I>): MaybePromise<Reply | null>;
  /** PLAIN and LOGIN. Takes the same time for an unknown user as for a wrong password. */
  authenticate(connection: Connection<I>, username: string, password: string): MaybePromise<AuthResult<I>>;
  /** SCRAM: keys for any username (made up, but stable, for an unknown one, so that users cannot be found out). */
  scramKeys(connection: Connection<I>, username: string): MaybePromise<ScramKeys>;
  /** SCRAM proved the password of `username`. */
  authenticated(connection: Connection<I>, username: string): MaybePromise<AuthResult<I>>;
  /** One authentication failed (for slowing the address); the session counts per connection itself. Resolves when to answer. */
  authFailed(connection: Connection<I>): MaybePromise<void>;
  mail(connection: Connection<I>, mail: MailCommand): MaybePromise<Reply | null>;
  rcpt(connection: Connection<I>, transaction: Transaction, rcpt: RcptCommand): MaybePromise<Reply | null>;
  /** Whose the mail for a bare `<postmaster>` is (RFC 5321 4.5.1). */
  postmasterDomain(): string;
  /** DATA or the first BDAT: a sink for the body, or a refusal. */
  data(connection: Connection<I>, transaction: Transaction): MaybePromise<MessageSink | Reply>;
  /** Told of every reply of 400 and over that the client gets, whoever decided it. For log and metrics; nothing is decided by it. */
  refused(connection: Connection<I>, refusal: Refusal): void;
  /** The connection ended, for whatever reason. Called once for each `connect`. */
  closed(connection: Connection<I>): void;
};

/** A refusal as the client got it. `step` is the verb; `again`: the same words as the refusal before, which need not be told twice. */
export type Refusal = { readonly step: string; readonly reply: Reply; readonly again: boolean };

/** Limits the protocol itself enforces. */
export type SessionLimits = {
  readonly messageSizeBytes: number;
  readonly recipients: number;
  readonly authFailures: number;
  /** Commands that do no work (EHLO, NOOP, RSET, VRFY, HELP, refused ones) in a row before 421. */
  readonly idleCommands: number;
  /** Milliseconds: for a command, for a data chunk, for a whole session. */
  readonly commandTimeoutMs: number;
  readonly dataTimeoutMs: number;
  readonly sessionTimeoutMs: number;
};
