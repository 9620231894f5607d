// What is known of the network and the server, port by port: seen by a probe, or said by the user. Shapes and their judgement only; who looks
// hands the facts in (the doctor's survey has this shape).

import type { Tls } from './question.ts';

export type Connection = 'open' | 'refused' | 'timeout' | 'unreachable' | 'failed';

/** One port, as it was found. */
export type PortLook = {
  readonly port: number;
  readonly connection: Connection;
  /** How TLS is had there; null: not looked at, or not found out. `failed`: offered, but the handshake does not come about. */
  readonly tls: Tls | 'none' | 'failed' | null;
  /** Why the certificate does not verify; null: it does, or none was seen. */
  readonly certificate: string | null;
  /** The mechanisms offered under TLS; null: it did not come so far. */
  readonly auth: readonly string[] | null;
  /** What happened, for people. */
  readonly text: string;
};

export type Survey = {
  /** The server that was asked; of a look at the network alone, the hosts that served for it. */
  readonly host: string;
  /** `session`: spoken with, TLS and certificate included. `network`: only whether connections get out. */
  readonly depth: 'session' | 'network';
  /** Why nothing could be looked at; null when it could. */
  readonly problem: string | null;
  readonly looks: readonly PortLook[];
};

/**
 * What a port is good for. `works`: all that a client needs is there. `open`: connections get out, more was not looked at. `unverified`: all there but
 * for a certificate that verifies. `unknown`: nobody looked. `server-only`: 25, where servers hand over mail, and nobody else.
 */
export type Standing = 'works' | 'open' | 'unverified' | 'unknown' | 'no-login' | 'wrong-tls' | 'server-only' | 'blocked' | 'silent' | 'closed';

export type Evidence = { readonly blocked: readonly number[]; readonly survey: Survey | null };

export function standingOf({ blocked, survey }: Evidence, port: number, tls: Tls): Standing {
  if (blocked.includes(port)) return 'blocked';
  const look = survey?.looks.find((one) => one.port === port);
  if (survey === null || look === undefined) return 'unknown';
  if (look.connection === 'timeout') return survey.depth === 'network' ? 'blocked' : 'silent';
  if (look.connection !== 'open') return survey.depth === 'network' ? 'unknown' : 'closed';
  if (survey.depth === 'network') return 'open';
  if (port === 25) return 'server-only';
  if (look.tls !== tls) return 'wrong-tls';
  if (look.auth === null || look.auth.length === 0) return 'no-login';
  return look.certificate === null ? 'works' : 'unverified';
}

/** Better ones first; what stands behind `unknown` is of no use. */
export const USABLE: readonly Standing[] = ['works', 'open', 'unverified', 'unknown'];

/** Whether the server gives no sign of itself at all, on any port: then it is down, or not that server. */
export function isDead({ survey }: Evidence): boolean {
  return survey !== null && survey.depth === 'session' && survey.looks.every(({ connection }) => connection !== 'open' && connection !== 'timeout');
}
