// From a destination to an open connection: what a route has to offer a lane. A connector tries its candidates in order and says how each
// of them went; it keeps no connections.

import type { SecureContext } from 'node:tls';
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import type { LaneName } from '#queue/records.ts';
import { connectClient } from '#smtp/client.ts';
import type { ClientFailure, ClientOptions, SmtpClient, TlsSession, TlsWanted } from '#smtp/client.ts';

/** An open connection and how it may be spoken of. `tls` is for people: `TLSv1.3 TLS_AES_256_GCM_SHA384 verified`, `none (...)`. */
export type Connected = { readonly client: SmtpClient; readonly host: string; readonly address: string | null; readonly port: number | null; readonly tls: string };

/** One candidate that did not work. */
export type Tried = { readonly host: string; readonly address: string | null; readonly port: number | null; readonly failure: ClientFailure };

/** No connection: what was tried. `permanent` when no retry can help: a local refusal or a definite answer of the DNS. */
export type NotConnected = { readonly tried: readonly Tried[]; readonly permanent: Refusal | null };

/** An outcome that needs no connection: what the DNS or the configuration says. */
export type Refusal = {
  readonly verdict: 'bounced' | 'deferred';
  readonly code: number;
  readonly enhanced: string;
  readonly text: string;
  readonly class: string;
  readonly cause: string;
  readonly fix: string;
};

export type Connector = {
  readonly site: LaneName;
  readonly route: string;
  connect(signal: AbortSignal): Promise<Connected | NotConnected>;
};

/** What every route needs to dial. */
export type DialParts = {
  readonly hostname: string;
  readonly tlsContext: SecureContext;
  readonly timeouts: ClientOptions['timeouts'];
  readonly clock: Clock;
  readonly log: Log;
  readonly sessions: SessionCache;
};

export type DialTarget = {
  readonly protocol: 'smtp' | 'lmtp';
  readonly host: string;
  readonly target: ClientOptions['target'];
  readonly wanted: TlsWanted;
  readonly verify: boolean;
  readonly auth?: { readonly username: string; readonly password: string };
};

/** Dials one candidate. */
export async function dial(parts: DialParts, to: DialTarget, signal: AbortSignal): Promise<Connected | Tried> {
  const [address, port] = 'socket' in to.target ? [null, null] : [to.target.address, to.target.port];
  const key = `${to.host} ${address} ${port}`;
  const session = parts.sessions.get(key);
  const result = await connectClient({
    protocol: to.protocol,
    target: to.target,
    helo: parts.hostname,
    tls: {
      wanted: to.wanted,
      serverName: to.host,
      verify: to.verify,
      context: parts.tlsContext,
      onSession: (fresh) => parts.sessions.set(key, fresh),
      ...(session === undefined ? {} : { session }),
    },
    ...(to.auth === undefined ? {} : { auth: to.auth }),
    timeouts: parts.timeouts,
    signal,
    recorder: null,
  });
  if ('failure' in result) return { host: to.host, address, port, failure: result.failure };
  return { client: result.client, host: to.host, address, port, tls: describeTls(result.client) };
}

function describeTls(client: SmtpClient): string {
  if (client.tls === null) return 'none';
  return `${client.tls.protocol} ${client.tls.cipher} ${client.tls.verified ? 'verified' : 'unverified'}`;
}

/** TLS sessions by candidate, so that the next connection resumes. Bounded: the oldest goes. */
export class SessionCache {
  readonly #sessions = new Map<string, TlsSession>();
  readonly #max: number;
  constructor(max = 1000) {
    this.#max = max;
  }
  get(key: string): TlsSession | undefined {
    return this.#sessions.get(key);
  }
  set(key: string, session: TlsSession): void {
    this.#sessions.delete(key);
    this.#sessions.set(key, session);
    if (this.#sessions.size <= this.#max) return;
    const oldest = this.#sessions.keys().next().value;
    if (oldest !== undefined) this.#sessions.delete(oldest);
  }
}
