// The types of the client side of one SMTP (or LMTP) connection, as the routes, the doctor and `postern send` see it (client.ts).
// RFC 5321, 3207, 2033, 2920, 3030, 4954.

import type { SecureContext } from 'node:tls';
import type { Address, ReversePath } from './address.ts';
import type { Notify, TlsInfo } from './policy.ts';
import type { Recorder, Transcript } from './transcript.ts';

export type ClientMechanism = 'PLAIN' | 'LOGIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-256-PLUS' | 'XOAUTH2' | 'OAUTHBEARER' | 'CRAM-MD5';

/** How TLS is had: from the first byte; by STARTTLS or not at all; by STARTTLS if offered and it works; never. */
export type TlsWanted = 'implicit' | 'starttls-required' | 'starttls-opportunistic' | 'none';

/** Why a certificate is not as it should be. `code`: OpenSSL's or Node's, or the one of whoever judged it. */
export type CertificateProblem = { readonly code: string; readonly text: string };

/** What resumes a TLS session, and why the certificate it began with does not verify (null: it does). */
export type TlsSession = { readonly ticket: Buffer; readonly problem: CertificateProblem | null };

/** What the other side presented, as DER (read when asked for), and what the usual check of chain and name says of it. */
export type Presented = { chain(): { readonly leaf: Buffer; readonly issuers: readonly Buffer[] }; readonly problem: CertificateProblem | null };

export type ClientOptions = {
  readonly protocol: 'smtp' | 'lmtp';
  /** A canonical IP address and port, or the path of a Unix socket. */
  readonly target: { readonly address: string; readonly port: number } | { readonly socket: string };
  /** Source address to bind, if any. */
  readonly localAddress?: string;
  /** Bytes before anything else, the handshake too: a PROXY header. */
  readonly preface?: string;
  /** Extensions that are not used, although they are offered. */
  readonly without?: readonly string[];
  /** The name in EHLO/LHLO. */
  readonly helo: string;
  readonly tls: {
    readonly wanted: TlsWanted;
    /** SNI and the name to verify. */
    readonly serverName: string;
    /** When true a certificate that does not verify (chain or name) fails the connection; else it is recorded only. */
    readonly verify: boolean;
    readonly context: SecureContext;
    /** Session to resume; new ones are reported through `onSession`. One that was judged differently must not be offered. */
    readonly session?: TlsSession;
    readonly onSession?: (session: TlsSession) => void;
    /** Judges what was presented in the place of the usual check (DANE comes here). Not asked when a session is resumed. */
    readonly judge?: (presented: Presented) => CertificateProblem | null;
  };
  /** `mechanism`: this one only; absent: the best that is offered. */
  readonly auth?: { readonly username: string; readonly password: string; readonly mechanism?: ClientMechanism };
  readonly timeouts: { readonly connectMs: number; readonly greetingMs: number; readonly commandMs: number; readonly dataMs: number };
  readonly signal?: AbortSignal;
  /** Keeps a transcript (doctor, send); off on the hot path. */
  readonly recorder: Recorder | null;
};

/** A reply of the other side (RFC 5321 4.2): `lines` without code, `enhanced` '' when the text has none. */
export type RemoteReply = { readonly code: number; readonly enhanced: string; readonly lines: readonly string[] };

/** What the other side offers after the last EHLO. Keywords upper case. */
export type Capabilities = {
  readonly keywords: ReadonlyMap<string, string>;
  /** SIZE's limit; 0 or absent is null. */
  readonly sizeBytes: number | null;
  readonly auth: readonly string[];
};

export type ClientPhase = 'connect' | 'greeting' | 'ehlo' | 'starttls' | 'tls' | 'auth' | 'mail' | 'rcpt' | 'data' | 'body' | 'final' | 'quit';

/**
 * Why a connection or transaction failed as a whole. `kind` is what happened: a reply that refuses, a socket that failed (`code`
 * ECONNREFUSED ...), a deadline, TLS trouble, a peer that breaks the protocol, or our own refusal (`policy`: no STARTTLS where required,
 * no AUTH mechanism, ...). `possibleDuplicate`: lost after the final dot was sent.
 */
export type ClientFailure = {
  readonly phase: ClientPhase;
  readonly kind: 'reply' | 'socket' | 'timeout' | 'tls' | 'protocol' | 'policy' | 'aborted';
  readonly reply: RemoteReply | null;
  readonly code: string | null;
  readonly text: string;
  readonly possibleDuplicate: boolean;
};

export type ClientEnvelope = {
  readonly from: ReversePath;
  readonly recipients: readonly { readonly address: Address; readonly notify: Notify | null; readonly orcpt: { readonly type: string; readonly value: string } | null }[];
  readonly sizeBytes: number;
  readonly eightBit: boolean;
  readonly smtpUtf8: boolean;
  readonly requireTls: boolean;
  readonly ret: 'full' | 'hdrs' | null;
  readonly envid: string | null;
};

/** One reply a recipient: to RCPT when refused there, else the final one (LMTP: each its own). */
export type RecipientReply = { readonly accepted: boolean; readonly phase: 'mail' | 'rcpt' | 'data' | 'final'; readonly reply: RemoteReply };

/** Per-recipient replies in the order of the envelope, or the failure of the transaction as a whole. */
export type TransactionResult = { readonly replies: readonly RecipientReply[] } | { readonly failure: ClientFailure };

/** A connection that is open, greeted, secured and (if asked) authenticated, ready for MAIL. */
export type SmtpClient = {
  readonly capabilities: Capabilities;
  readonly greeting: RemoteReply;
  /** null: no TLS. `verified` says whether chain and name hold; `problem` why not. */
  readonly tls: (TlsInfo & { readonly verified: boolean; readonly problem: string | null; readonly resumed: boolean }) | null;
  readonly remote: { readonly address: string; readonly port: number };
  /** Our end of the connection. */
  readonly localAddress: string;
  /** False once the connection is no longer usable for another transaction. */
  readonly usable: boolean;
  /** Transactions completed on this connection. */
  readonly transactions: number;
  /** Sends one message. `body` yields CRLF content without dot-stuffing; chunks are not changed. */
  transact(envelope: ClientEnvelope, body: Iterable<Buffer> | AsyncIterable<Buffer>): Promise<TransactionResult>;
  /** MAIL and RCPT only: who would be taken. No content is sent. */
  ask(envelope: ClientEnvelope): Promise<TransactionResult>;
  /** Breaks off, unless content is on its way: nothing of the message can have been taken. Its transaction then fails as `aborted`. */
  giveUp(): void;
  /** QUIT, bounded; never rejects. */
  quit(): Promise<void>;
  destroy(): void;
  readonly transcript: Transcript;
  /** The next message begins: the transcript keeps the opening, and what is said from here on. */
  beginTranscript(): void;
};

/**
 * The client, or why not, with the transcript either way. `tlsOffered`: opportunistic callers may try again without TLS. `greeting` and
 * `localAddress` as far as it came ('' and code 0 before that).
 */
export type ConnectResult =
  | { readonly client: SmtpClient }
  | { readonly failure: ClientFailure; readonly transcript: Transcript; readonly tlsOffered: boolean; readonly greeting: RemoteReply; readonly localAddress: string };
