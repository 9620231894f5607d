// HTTPS to one host that somebody else named: connections are kept, each made to an address that our own resolver gave and that was looked at, so that no
// later answer of the DNS leads elsewhere. Certificate and name verified, no redirect followed, no decompression; answers are read as far as a person looks.

import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { isIP } from 'node:net';
import type { LookupFunction } from 'node:net';
import type { PeerCertificate } from 'node:tls';
import { findAddresses } from '#dns/mx.ts';
import { failureText, identityProblem } from './https-request.ts';
import type { HttpsParts } from './https-request.ts';

export type PooledRequest = {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  readonly timeoutMs: number;
};

/** `refused`: only addresses that are not connected to. */
export type PooledAnswer =
  | { readonly status: number; readonly retryAfter: string | null; readonly excerpt: string }
  | { readonly failure: 'refused' | 'dns' | 'certificate' | 'timeout' | 'other'; readonly text: string };

export type HttpsPool = { post(asked: PooledRequest): Promise<PooledAnswer>; close(): void };

const HEADER_BYTES = 16 * 1024;
const ANSWER_BYTES = 16 * 1024;
const EXCERPT = 500;
const MAX_ADDRESSES = 4;
const IDLE_MS = 60_000;

/** An error that the look-up makes, to be told apart from those of the connection. */
class NoAddress extends Error {
  readonly failure: 'refused' | 'dns';
  constructor(failure: 'refused' | 'dns', text: string) {
    super(text);
    this.failure = failure;
  }
}

export function openHttpsPool(parts: HttpsParts, { sockets }: { readonly sockets: number }): HttpsPool {
  // The system's roots take a while to read: when they are first needed.
  let agent: Agent | null = null;
  const opened = (): Agent =>
    (agent ??= new Agent({ keepAlive: true, maxSockets: sockets, maxFreeSockets: sockets, timeout: IDLE_MS, secureContext: parts.tlsContext(), ALPNProtocols: ['http/1.1'] }));
  return {
    async post(asked) {
      const host = asked.url.hostname.replace(/^\[|\]$/g, '');
      // A literal address is never looked up.
      if (isIP(host) !== 0 && parts.isRefused(host)) return { failure: 'refused', text: `${host} is a private address` };
      return post(parts, opened(), { ...asked, host });
    },
    close: () => agent?.destroy(),
  };
}

function post({ resolver, isRefused }: HttpsParts, agent: Agent, { url, headers, body, timeoutMs, host }: PooledRequest & { readonly host: string }): Promise<PooledAnswer> {
  const signal = AbortSignal.timeout(timeoutMs);
  const lookup: LookupFunction = (name, options, callback) => {
    findAddresses(resolver, name, { limit: MAX_ADDRESSES }).then(
      (found) => {
        if ('failure' in found) return callback(new NoAddress('dns', `${name} cannot be resolved: ${found.failure.detail}`), '');
        const usable = found.addresses.filter((address) => !isRefused(address)).map((address) => ({ address, family: isIP(address) }));
        const [first] = usable;
        if (first === undefined) return callback(new NoAddress('refused', `${name} has only private addresses: ${found.addresses.join(', ')}`), '');
        if (options.all === true) return callback(null, usable);
        callback(null, first.address, first.family);
      },
      (error: unknown) => callback(new NoAddress('dns', `${name} cannot be resolved: ${String(error)}`), ''),
    );
  };
  return new Promise((resolve) => {
    const failed = (error: unknown): void => resolve(failureOf(error, { url, signal, timeoutMs }));
    const outgoing = request({
      agent,
      host,
      port: url.port === '' ? 443 : Number(url.port),
      path: `${url.pathname}${url.search}`,
      method: 'POST',
      headers: { ...headers, host: url.host, 'content-length': String(body.length) },
      maxHeaderSize: HEADER_BYTES,
      signal,
      lookup,
      // No name is told for an address (RFC 6066 3); it is then what the certificate is held against.
      ...(isIP(host) === 0 ? { servername: host, checkServerIdentity: (_: string, certificate: PeerCertificate) => identityProblem(host, certificate) } : {}),
    });
    outgoing.on('error', failed);
    outgoing.on('response', (response) => {
      void readExcerpt(response).then((excerpt) => {
        resolve({ status: response.statusCode ?? 0, retryAfter: response.headers['retry-after'] ?? null, excerpt });
      }, failed);
    });
    outgoing.end(body);
  });
}

/** What is too long is not waited for; neither is the connection kept then. */
async function readExcerpt(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES) break;
  }
  return Buffer.concat(chunks)
    .toString('utf8')
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029\s]+/gu, ' ')
    .trim()
    .slice(0, EXCERPT);
}

function failureOf(error: unknown, { url, signal, timeoutMs }: { url: URL; signal: AbortSignal; timeoutMs: number }): PooledAnswer {
  if (error instanceof NoAddress) return { failure: error.failure, text: error.message };
  if (signal.aborted) return { failure: 'timeout', text: `${url.host} did not answer within ${timeoutMs / 1000} seconds` };
  return failureText(error, url.host);
}
