// One HTTPS request to a server that mail depends on: to addresses that our own resolver gave, certificate and name verified, no redirect followed,
// no decompression, bounded in size and time. Knows nothing of what is asked. RFC 9110, RFC 9525.

import { X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { checkServerIdentity, connect } from 'node:tls';
import type { PeerCertificate, SecureContext } from 'node:tls';
import { errorCode, errorText } from '#base/failure.ts';
import { findAddresses } from '#dns/mx.ts';
import type { Resolver } from '#dns/resolver.ts';

export type HttpsParts = {
  readonly resolver: Resolver;
  readonly tlsContext: () => SecureContext;
  /** Addresses that are not connected to. */
  readonly isRefused: (address: string) => boolean;
};

export type HttpsRequest = {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly method: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer;
  readonly maxBytes: number;
  readonly timeoutMs: number;
};

/** The answer, whatever its status; or why there is none. `certificate`: there is a server, and it did not prove who it is. */
export type HttpsResult =
  | { readonly status: number; readonly type: string; readonly encoded: boolean; readonly body: Buffer; readonly from: string }
  | { readonly failure: 'certificate' | 'other'; readonly text: string };

const MAX_ADDRESSES = 4;
const HEADER_BYTES = 16 * 1024;
const CERTIFICATE_ERRORS = /^(ERR_TLS_CERT_ALTNAME_INVALID|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_(GET_ISSUER|VERIFY)|INVALID_(CA|PURPOSE)|HOSTNAME_MISMATCH|UNSPECIFIED)/;

/** Asks. Never rejects; tries another address of the host where one cannot be reached. */
export async function httpsRequest(parts: HttpsParts, asked: HttpsRequest): Promise<HttpsResult> {
  const { host } = asked;
  const found = await findAddresses(parts.resolver, host, { limit: MAX_ADDRESSES });
  if ('failure' in found) return other(`${host} cannot be resolved: ${found.failure.detail}`);
  const usable = found.addresses.filter((address) => !parts.isRefused(address));
  if (usable.length === 0) return other(`${host} has only private addresses: ${found.addresses.join(', ')}`);
  const signal = AbortSignal.timeout(asked.timeoutMs);
  let last: HttpsResult = other('nothing was tried');
  for (const address of usable) {
    last = await askAddress(parts, asked, address, signal);
    if ('status' in last || last.failure === 'certificate' || signal.aborted) return last;
  }
  return last;
}

function askAddress({ tlsContext }: HttpsParts, asked: HttpsRequest, address: string, signal: AbortSignal): Promise<HttpsResult> {
  const { host, port, path, method, headers, body, maxBytes } = asked;
  const from = `https://${host}${port === 443 ? '' : `:${port}`}${path} [${address}]`;
  return new Promise((resolve) => {
    const failed = (error: unknown): void => resolve(failureOf(error, { from, signal, timeoutMs: asked.timeoutMs }));
    const outgoing = request({
      path,
      method,
      headers: {
        host: port === 443 ? host : `${host}:${port}`,
        'user-agent': 'Postern',
        connection: 'close',
        ...(body === undefined ? {} : { 'content-length': String(body.length) }),
        ...headers,
      },
      maxHeaderSize: HEADER_BYTES,
      signal,
      createConnection: () =>
        connect({
          host: address,
          port,
          servername: host,
          secureContext: tlsContext(),
          checkServerIdentity: (_, certificate) => identityProblem(host, certificate),
          ALPNProtocols: ['http/1.1'],
        }),
    });
    outgoing.on('error', failed);
    outgoing.on('response', (response) => void readAnswer(response, { from, maxBytes }).then(resolve, failed));
    outgoing.end(body);
  });
}

async function readAnswer(response: IncomingMessage, { from, maxBytes }: { from: string; maxBytes: number }): Promise<HttpsResult> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes) {
      response.destroy();
      return other(`${from} is over ${maxBytes} bytes`);
    }
    chunks.push(chunk);
  }
  const { headers, statusCode = 0 } = response;
  const type = (headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
  return { status: statusCode, type, encoded: (headers['content-encoding'] ?? 'identity') !== 'identity', body: Buffer.concat(chunks), from };
}

/** The name must stand among the alternative names: a common name does not count (RFC 9525 2). */
export function identityProblem(host: string, certificate: PeerCertificate): Error | undefined {
  const problem = checkServerIdentity(host, certificate);
  if (problem !== undefined) return problem;
  if (new X509Certificate(certificate.raw).checkHost(host, { subject: 'never', partialWildcards: false }) !== undefined) return undefined;
  return Object.assign(new Error(`the certificate is not for ${host}`), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
}

function failureOf(error: unknown, { from, signal, timeoutMs }: { from: string; signal: AbortSignal; timeoutMs: number }): HttpsResult {
  if (signal.aborted) return other(`${from} did not answer within ${timeoutMs / 1000} seconds`);
  return failureText(error, from);
}

/** Why there was no answer from `from`. */
export function failureText(error: unknown, from: string): { readonly failure: 'certificate' | 'other'; readonly text: string } {
  const code = errorCode(error) ?? '';
  if (CERTIFICATE_ERRORS.test(code)) return { failure: 'certificate', text: `the certificate of ${from} does not verify: ${errorText(error)} (${code})` };
  return { failure: 'other', text: `${from} cannot be reached: ${errorText(error)}` };
}

function other(text: string): HttpsResult {
  return { failure: 'other', text };
}
