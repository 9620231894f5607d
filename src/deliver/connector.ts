// From a destination to an open connection: what a route has to offer a lane. A connector tries its candidates in order and says how each
// of them went; it keeps no connections.

import type { SecureContext } from 'node:tls';
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import type { Envelope, LaneName, LeasedRecipient, Security } from '#queue/records.ts';
import { connectClient } from '#smtp/client.ts';
import type { CertificateProblem, ClientEnvelope, ClientFailure, ClientOptions, Presented, RecipientReply, SmtpClient, TlsSession, TlsWanted } from '#smtp/client.ts';
import { Recorder } from '#smtp/transcript.ts';
import type { Transcript } from '#smtp/transcript.ts';
import type { Explanation } from '#knowledge/explain.ts';
import type { HostMemory } from './hosts.ts';

export type Content = Iterable<Buffer> | AsyncIterable<Buffer>;

/** What is to be delivered, for hops that want to know more than SMTP tells. `content` begins anew at each call. */
export type Delivery = { readonly envelope: Envelope; readonly recipients: readonly LeasedRecipient[]; content(): Content };

/** `explained`: what it means, where the words alone do not tell. `retryAfterMs`: not before that. */
export type HopReply = RecipientReply & { readonly explained?: Explanation; readonly retryAfterMs?: number | null };
export type HopResult = { readonly replies: readonly HopReply[] } | { readonly failure: ClientFailure };

/** What a lane wants of an open connection. SMTP's client is one; so is a webhook. */
export type Hop = Pick<SmtpClient, 'capabilities' | 'usable' | 'giveUp' | 'quit' | 'destroy'> & {
  transact(envelope: ClientEnvelope, body: Content, delivery: Delivery): Promise<HopResult>;
  /** What is said; none of a hop that is no SMTP. */
  readonly transcript?: Transcript;
  beginTranscript?(): void;
};

/** An open connection and how it may be spoken of. `tls` is for people: `TLSv1.3 TLS_AES_256_GCM_SHA384 verified`, `none (...)`. */
export type Connected = {
  readonly client: Hop;
  readonly host: string;
  readonly address: string | null;
  readonly port: number | null;
  readonly tls: string;
  readonly security: Security | null;
};

/** One candidate that did not work. `explained`: what it means, where the failure alone does not tell. */
export type Tried = {
  readonly host: string;
  readonly address: string | null;
  readonly port: number | null;
  readonly failure: ClientFailure;
  readonly security?: Security | null;
  readonly explained?: Explanation;
  readonly said?: Transcript;
};

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

export type Except = { has(address: string): boolean };

export type Connector = {
  readonly site: LaneName;
  /** Sites with the same hosts count their connections together. */
  readonly limit: string;
  readonly route: string;
  /** What its connections were opened under: mail never takes one of a connector with other terms. */
  readonly terms: string;
  /** The site has several addresses: what one of them does not take may go to another. */
  readonly several: boolean;
  /**
   * `except`: addresses that are not tried; with all of them excepted nothing is, and `tried` is empty. `domains`: whose mail waits for the
   * connection, for reports.
   */
  connect(signal: AbortSignal, how?: { readonly except?: Except; readonly domains?: Iterable<string> }): Promise<Connected | NotConnected>;
};

/** What every route needs to dial. */
export type DialParts = {
  readonly hostname: string;
  readonly tlsContext: SecureContext;
  readonly timeouts: ClientOptions['timeouts'];
  readonly clock: Clock;
  readonly log: Log;
  readonly sessions: SessionCache;
  readonly hosts: HostMemory;
  /** Conversations are recorded. */
  readonly record: boolean;
};

/** What a judge found out about a certificate, kept with the session so that a resumed one is told the same. */
export type Judged = {
  /** Why the certificate is not what is required; null: it is. */
  readonly problem: CertificateProblem | null;
  /** What the usual check of chain and name says, whatever is required. */
  readonly usual: CertificateProblem | null;
  readonly certificate: Security['certificate'];
  readonly verdict: string;
  /** Who was there, for people; '' where it was as required. */
  readonly presented: string;
};

export type DialTarget = {
  readonly protocol: 'smtp' | 'lmtp';
  readonly host: string;
  readonly target: ClientOptions['target'];
  readonly wanted: TlsWanted;
  readonly verify: boolean;
  /** SNI, where it is not the host. */
  readonly serverName?: string;
  readonly judge?: (presented: Presented) => Judged;
  /** What certificates are judged by: sessions are resumed only under the same. */
  readonly terms?: string;
  readonly auth?: { readonly username: string; readonly password: string };
};

/** What was seen of the other side on the way, whether it worked or not. */
export type Seen = { readonly localAddress: string; readonly helo: string; readonly judged: Judged | null };

export type Dialled = { readonly seen: Seen } & ({ readonly client: SmtpClient; readonly tls: string } | { readonly failure: ClientFailure; readonly said: Transcript });

/** For a conversation; null where none is kept. */
export function recorderFor(parts: DialParts): Recorder | null {
  return parts.record ? new Recorder() : null;
}

/** Dials one candidate. `recorder`: that of a try before it, which belongs to the same conversation. */
export async function dial(parts: DialParts, to: DialTarget, signal: AbortSignal, recorder: Recorder | null = recorderFor(parts)): Promise<Dialled> {
  const [address, port] = 'socket' in to.target ? [null, null] : [to.target.address, to.target.port];
  const key = `${to.host} ${address} ${port} ${to.terms ?? ''}`;
  const kept = parts.sessions.get(key);
  let judged: Judged | null = null;
  const result = await connectClient({
    protocol: to.protocol,
    target: to.target,
    helo: parts.hostname,
    tls: {
      wanted: to.wanted,
      serverName: to.serverName ?? to.host,
      verify: to.verify,
      context: parts.tlsContext,
      onSession: (session) => parts.sessions.set(key, { session, judged }),
      ...(to.judge === undefined ? {} : { judge: (presented: Presented) => (judged = to.judge?.(presented) ?? null)?.problem ?? null }),
      ...(kept === undefined ? {} : { session: kept.session }),
    },
    ...(to.auth === undefined ? {} : { auth: to.auth }),
    timeouts: parts.timeouts,
    signal,
    recorder,
  });
  if ('failure' in result) return { failure: result.failure, said: result.transcript, seen: { localAddress: result.localAddress, helo: heloOf(result.greeting), judged } };
  const { client } = result;
  if (client.tls?.resumed === true) judged ??= kept?.judged ?? null;
  return { client, tls: describeTls(client), seen: { localAddress: client.localAddress, helo: heloOf(client.greeting), judged } };
}

/** Dials one candidate of a route that is no MX: what it asks of TLS is the route's own matter. */
export async function dialRoute(parts: DialParts, to: DialTarget, security: { readonly required: string; readonly why: string }, signal: AbortSignal): Promise<Connected | Tried> {
  const [address, port] = 'socket' in to.target ? [null, null] : [to.target.address, to.target.port];
  const place = { host: to.host, address, port };
  const result = await dial(parts, to, signal);
  if ('failure' in result) return { ...place, failure: result.failure, said: result.said };
  return { ...place, client: result.client, tls: result.tls, security: securityOf({ policy: 'route', ...security }, result.client, null) };
}

/** The record of a connection: what was asked for, and what there is. */
export function securityOf(asked: Pick<Security, 'policy' | 'required' | 'why'>, client: SmtpClient | null, judged: Judged | null): Security {
  const { policy, required, why } = asked;
  const tls = client?.tls ?? null;
  const usual = {
    certificate: tls === null ? 'none' : tls.verified ? 'verified' : 'unverified',
    verdict: tls === null ? 'no TLS' : (tls.problem ?? 'chain and name verify'),
  } as const;
  const { certificate, verdict } = judged ?? usual;
  return { policy, required, why, protocol: tls?.protocol ?? null, cipher: tls?.cipher ?? null, certificate, verdict };
}

function heloOf(greeting: { readonly lines: readonly string[] }): string {
  const [name = ''] = (greeting.lines[0] ?? '').split(' ');
  return /^[\w.[\]:-]{1,255}$/.test(name) ? name : '';
}

function describeTls(client: SmtpClient): string {
  if (client.tls === null) return 'none';
  return `${client.tls.protocol} ${client.tls.cipher} ${client.tls.verified ? 'verified' : 'unverified'}`;
}

export type KeptSession = { readonly session: TlsSession; readonly judged: Judged | null };

/** TLS sessions by candidate, so that the next connection resumes. Bounded: the oldest goes. */
export class SessionCache {
  readonly #sessions = new Map<string, KeptSession>();
  readonly #max: number;
  constructor(max = 1000) {
    this.#max = max;
  }
  get(key: string): KeptSession | undefined {
    return this.#sessions.get(key);
  }
  set(key: string, session: KeptSession): void {
    this.#sessions.delete(key);
    this.#sessions.set(key, session);
    if (this.#sessions.size <= this.#max) return;
    const oldest = this.#sessions.keys().next().value;
    if (oldest !== undefined) this.#sessions.delete(oldest);
  }
}
