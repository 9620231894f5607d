// Who is asking: the account at the management socket, a token, or a person's session. Every call has one; what it may do and whose things it
// sees follow from it alone.

import type { IncomingMessage } from 'node:http';
import type { Context } from 'hono';
import type { Scope } from './scopes.ts';

export type Identity = {
  /** `local`: an account of this machine, on the socket that is for sending only. `nobody`: an operation that is open to everyone, over TCP. */
  readonly kind: 'socket' | 'local' | 'token' | 'session' | 'nobody';
  /** For people: the account, the token's name, the person. */
  readonly name: string;
  /** Of the token or the person; null where there is none. */
  readonly id: string | null;
  readonly scopes: readonly Scope[];
  /** Sees only what belongs to this project; null: sees everything. */
  readonly project: string | null;
  /** Requests a minute that it is held to; null: the server's limit. */
  readonly ratePerMinute: number | null;
};

/** Whether what belongs to this project (null: to none) is there for whoever asks. */
export function sees(identity: Pick<Identity, 'project'>, project: string | null | undefined): boolean {
  return identity.project === null || identity.project === project;
}

/** How a request came in: through the management socket's file permission, through the one of the socket for sending, or over TCP. */
export type Access = 'socket' | 'local' | 'tcp';

export type Env = {
  Bindings: {
    readonly access: Access;
    /** Of the other end of the connection; '' on the socket. */
    readonly address: string;
    /** The request as Node has it. */
    readonly incoming?: IncomingMessage;
    /** Ends the connection in the middle of an answer. */
    cut(): void;
  };
  Variables: { identity: Identity; /** Of the client, proxies that are trusted left out. */ client: string };
};

/** One way to be known over TCP. Null: the request does not try this way. Throws ProblemError when it tries and fails. */
export type Identify = (context: Context<Env>) => Promise<Identity | null>;

export const NOBODY: Identity = { kind: 'nobody', name: 'nobody', id: null, scopes: [], project: null, ratePerMinute: null };

/** Whoever may open the socket may do everything; the account's name is its own word, and good enough for the audit log. */
export function atSocket(context: Context<Env>): Identity {
  const name = context.req.header('postern-account')?.slice(0, 64) ?? '';
  const local = context.env.access === 'local';
  return { ...NOBODY, kind: local ? 'local' : 'socket', name: /^[\w.@-]+$/.test(name) ? name : 'socket', scopes: local ? ['messages:send'] : ['admin'] };
}
