// What a command gets and what it may bring about: the types between the session's machine and its commands.

import type { MaybePromise } from '#base/promise.ts';
import type { Incoming } from './incoming.ts';
import type { ChannelBinding, Connection, Identity, Policy, SessionLimits, Transaction } from './policy.ts';
import type { Reply } from './reply.ts';
import type { Decoder } from './framing.ts';
import type { SaslMachine } from './sasl.ts';

/** The state a command sees. `bdat` is the message that arrives by BDAT, between its chunks. */
export type Turn<I extends Identity> = {
  readonly connection: Connection<I>;
  readonly policy: Policy<I>;
  readonly limits: SessionLimits;
  readonly hostname: string;
  readonly binding: ChannelBinding | null;
  /** Logs a fault and gives what the client is told of it. */
  readonly fault: (error: unknown) => Reply;
  transaction: Transaction | null;
  bdat: Incoming | null;
  authFailures: number;
};

/**
 * What comes of a command: a reply; content that follows, with what to do at its end; an AUTH exchange; the TLS handshake.
 */
export type Step<I extends Identity> =
  | { readonly do: 'reply'; readonly reply: Reply; readonly work: boolean }
  | { readonly do: 'content'; readonly reply: Reply | null; readonly decoder: Decoder; readonly incoming: Incoming; readonly finish: boolean }
  | { readonly do: 'auth'; readonly machine: SaslMachine<I>; readonly answer: Buffer | null; readonly challenge: Buffer }
  | { readonly do: 'tls' };

/**
 * One row of the command table. `tls`: needs TLS on submission ports; `last`: its answer decides what comes, so nothing pipelined behind it is
 * read before it (RFC 2920 3.1); `lineOctets`: the longest line.
 */
export type Command<I extends Identity> = {
  readonly beforeTls: boolean;
  readonly lineOctets: number;
  readonly run: (turn: Turn<I>, args: string) => MaybePromise<Step<I>>;
};
