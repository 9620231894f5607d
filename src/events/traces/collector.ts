// One connection to the collector that the operator named: posts what it is given, and tells what came back. It goes where the configuration says, private
// addresses too, by the machine's own name service: hosts files and search domains of inner networks count. Certificates are verified, no redirect is followed.

import { readFile } from 'node:fs/promises';
import { Agent as HttpAgent, request as requestHttp } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import { isIP } from 'node:net';
import type { PeerCertificate, SecureContext } from 'node:tls';
import { errorCode, errorText } from '#base/failure.ts';
import { failureText, identityProblem } from '#tls/https-request.ts';
import { parseHeaders } from './headers.ts';
import type { Headers } from './headers.ts';

/** `rejected`: how many spans it says it did not take. `text` has no full stop, and nothing that the collector or the file with the headers said. */
export type CollectorAnswer =
  | { readonly status: number; readonly retryAfter: string | null; readonly rejected: number }
  | { readonly failure: 'headers' | 'dns' | 'certificate' | 'timeout' | 'other'; readonly text: string };

export type Collector = {
  /** Never rejects. */
  post(body: string, timeoutMs: number): Promise<CollectorAnswer>;
  /** What is under way fails. */
  close(): void;
};

export type CollectorParts = {
  /** Of the endpoint, without `/v1/traces`. */
  readonly url: string;
  readonly headersFile: string | null;
  readonly tlsContext: () => SecureContext;
  readonly version: string;
};

const PATH = '/v1/traces';
const HEADER_BYTES = 16 * 1024;
/** An answer is a few bytes, or nothing. */
const ANSWER_BYTES = 16 * 1024;
const IDLE_MS = 60_000;

export function openCollector(parts: CollectorParts): Collector {
  const url = new URL(`${parts.url.replace(/\/+$/, '')}${PATH}`);
  const secure = url.protocol === 'https:';
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const keeping = { keepAlive: true, maxSockets: 1, maxFreeSockets: 1, timeout: IDLE_MS };
  const agent = secure ? new HttpsAgent({ ...keeping, secureContext: parts.tlsContext(), ALPNProtocols: ['http/1.1'] }) : new HttpAgent(keeping);
  // No name is told for an address (RFC 6066 3); it is then what the certificate is held against.
  const named =
    secure && isIP(host) === 0 ? { servername: host, checkServerIdentity: (_: string, certificate: PeerCertificate): Error | undefined => identityProblem(host, certificate) } : {};
  const closing = new AbortController();

  function post(headers: Headers, body: Buffer, timeoutMs: number): Promise<CollectorAnswer> {
    const late = AbortSignal.timeout(timeoutMs);
    return new Promise((resolve) => {
      const failed = (error: unknown): void =>
        resolve(late.aborted ? { failure: 'timeout', text: `${url.host} did not answer within ${timeoutMs / 1000} seconds` } : failureOf(error));
      const outgoing = (secure ? requestHttps : requestHttp)(url, {
        agent,
        method: 'POST',
        headers: { 'user-agent': `Postern/${parts.version}`, ...headers, 'content-type': 'application/json', 'content-length': String(body.length) },
        maxHeaderSize: HEADER_BYTES,
        signal: AbortSignal.any([late, closing.signal]),
        ...named,
      });
      outgoing.on('error', failed);
      outgoing.on('response', (response) => {
        readRejected(response).then((rejected) => resolve({ status: response.statusCode ?? 0, retryAfter: response.headers['retry-after'] ?? null, rejected }), failed);
      });
      outgoing.end(body);
    });
  }

  function failureOf(error: unknown): CollectorAnswer {
    if (/^EAI_|^ENOTFOUND$/.test(errorCode(error) ?? '')) return { failure: 'dns', text: `${host} cannot be resolved: ${errorCode(error) ?? ''}` };
    return failureText(error, url.host);
  }

  return {
    async post(body, timeoutMs) {
      const read = await readHeaders(parts.headersFile);
      return 'failure' in read ? read : post(read.headers, Buffer.from(body), timeoutMs);
    },
    close() {
      closing.abort();
      agent.destroy();
    },
  };
}

/** Anew for each request, so that a changed token counts at once. */
async function readHeaders(file: string | null): Promise<{ readonly headers: Headers } | Extract<CollectorAnswer, { failure: string }>> {
  if (file === null) return { headers: {} };
  try {
    const parsed = parseHeaders(await readFile(file, 'utf8'));
    return 'headers' in parsed ? parsed : { failure: 'headers', text: `In ${file} ${parsed.mistake}` };
  } catch (error) {
    return { failure: 'headers', text: `${file} cannot be read: ${errorText(error)}` };
  }
}

/** What is too long is not waited for; neither is the connection kept then. */
async function readRejected(response: IncomingMessage): Promise<number> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES) break;
  }
  const found = /"rejectedSpans"\s*:\s*"?(\d{1,9})\b/.exec(Buffer.concat(chunks).toString('utf8'));
  return found === null ? 0 : Number(found[1]);
}
