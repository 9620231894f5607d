// HTTPS to one ACME server: bounded in time and size, verified, never redirected, never decompressed. Knows neither nonces nor signatures.
// RFC 8555 6.1; RFC 9110 10.2.3 (Retry-After).

import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import type { AgentOptions } from 'node:https';
import type { SecureContext } from 'node:tls';
import type { Clock } from '#base/clock.ts';
import { PosternError, errorCode, errorText } from '#base/failure.ts';

const ANSWER_MS = 30_000;
/** A chain of a dozen certificates is some 30 KB. */
const ANSWER_BYTES = 1024 * 1024;
const LONGEST_WAIT_MS = 7 * 86_400_000;

export type HttpsAnswer = {
  readonly status: number;
  readonly location: string | null;
  readonly nonce: string | null;
  /** When the server wants to be asked again. */
  readonly retryAtMs: number | null;
  readonly body: Buffer;
};

export type Https = {
  /** Rejects with PosternError `acme-not-reached` for a server that does not answer, or not in bounds. */
  send(method: 'GET' | 'HEAD' | 'POST', url: string, body?: string): Promise<HttpsAnswer>;
  close(): void;
};

export type HttpsOptions = { readonly secureContext: SecureContext; readonly userAgent: string; readonly clock: Clock; readonly signal: AbortSignal };

export function openHttps(options: HttpsOptions): Https {
  // The context is an option of the connection, which the types of the agent do not name.
  const agent = new Agent({ keepAlive: true, maxSockets: 2, secureContext: options.secureContext } as AgentOptions);
  return { send: (method, url, body) => send(options, agent, { method, url, body: body ?? null }), close: () => agent.destroy() };
}

type Ask = { readonly method: string; readonly url: string; readonly body: string | null };

async function send(options: HttpsOptions, agent: Agent, ask: Ask): Promise<HttpsAnswer> {
  const url = parse(ask.url);
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(ANSWER_MS)]);
  try {
    const answer = await start(options, agent, { ...ask, url, signal });
    const body = await collect(answer);
    const { location, 'replay-nonce': nonce, 'retry-after': retryAfter } = answer.headers;
    return {
      status: answer.statusCode ?? 0,
      location: location ?? null,
      nonce: typeof nonce === 'string' && /^[A-Za-z0-9_-]{1,1000}$/.test(nonce) ? nonce : null,
      retryAtMs: retryAfterTime(retryAfter, options.clock.nowMs()),
      body,
    };
  } catch (error) {
    throw notReached(url, signal.aborted && !options.signal.aborted ? new Error(`no answer within ${ANSWER_MS / 1000} seconds`) : error);
  }
}

function start({ userAgent }: HttpsOptions, agent: Agent, ask: { method: string; url: URL; body: string | null; signal: AbortSignal }): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = {
      'user-agent': userAgent,
      'accept-language': 'en',
      ...(ask.body === null ? {} : { 'content-type': 'application/jose+json', 'content-length': Buffer.byteLength(ask.body) }),
    };
    const outgoing = request(ask.url, { method: ask.method, agent, headers, signal: ask.signal });
    outgoing.on('error', reject);
    outgoing.on('response', resolve);
    outgoing.end(ask.body ?? undefined);
  });
}

async function collect(answer: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES) throw new Error(`an answer of more than ${ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** The server's own links lead here too: only HTTPS is followed (RFC 8555 6.1). */
function parse(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol === 'https:') return url;
  throw new PosternError({ code: 'acme-bad-url', cause: `The ACME server named a URL that is not HTTPS: ${text.slice(0, 200)}.`, fix: 'Check tls.acme.directory.' });
}

/** Seconds or a date (RFC 9110 10.2.3); null for none. */
export function retryAfterTime(value: string | undefined, nowMs: number): number | null {
  if (value === undefined) return null;
  const atMs = /^\d{1,9}$/.test(value) ? nowMs + Number(value) * 1000 : Date.parse(value);
  return Number.isNaN(atMs) ? null : Math.min(Math.max(atMs, nowMs), nowMs + LONGEST_WAIT_MS);
}

function notReached(url: URL, error: unknown): PosternError {
  const code = errorCode(error) ?? '';
  const untrusted = /SELF_SIGNED|UNABLE_TO|^CERT_|ALTNAME|DEPTH_ZERO/.test(code);
  return new PosternError(
    {
      code: untrusted ? 'acme-untrusted' : 'acme-not-reached',
      cause: untrusted ? `The certificate of the ACME server ${url.host} cannot be verified (${code}).` : `The ACME server ${url.host} cannot be reached (${errorText(error)}).`,
      fix: untrusted
        ? 'Check tls.acme.directory; for an authority of your own, name its root in tls.acme.ca_file.'
        : 'Check tls.acme.directory, DNS, and that this machine may open HTTPS connections. It is tried again by itself.',
    },
    { exitCode: 1, cause: error },
  );
}
