// One MTA-STS policy fetched over HTTPS: from mta-sts.DOMAIN and nowhere else, certificate and name verified, no redirect followed, bounded in
// size and time. Keeps nothing. RFC 8461 3.3.

import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { checkServerIdentity, connect } from 'node:tls';
import type { PeerCertificate, SecureContext } from 'node:tls';
import { X509Certificate } from 'node:crypto';
import { errorCode, errorText } from '#base/failure.ts';
import { findAddresses } from '#dns/mx.ts';
import type { Resolver } from '#dns/resolver.ts';
import { parseStsPolicy } from './mta-sts-policy.ts';
import type { StsPolicy } from './mta-sts-policy.ts';
import type { StsFailure } from './policy.ts';

export type StsFetchParts = {
  readonly resolver: Resolver;
  readonly tlsContext: () => SecureContext;
  /** Addresses that are not connected to. */
  readonly isRefused: (address: string) => boolean;
  /** 443, but in tests. */
  readonly port?: number;
};

export type StsFetched = { readonly policy: StsPolicy } | { readonly result: StsFailure; readonly why: string };

const PATH = '/.well-known/mta-sts.txt';
/** RFC 8461 3.3 suggests a minute; nobody should wait for mail that long. */
const FETCH_MS = 30_000;
const MAX_BYTES = 64 * 1024;
const MAX_ADDRESSES = 4;
const HEADER_BYTES = 16 * 1024;

/** Fetches the policy of a domain. Never rejects. */
export async function fetchStsPolicy(parts: StsFetchParts, domain: string): Promise<StsFetched> {
  const host = `mta-sts.${domain}`;
  const found = await findAddresses(parts.resolver, host, { limit: MAX_ADDRESSES });
  if ('failure' in found) return fetchError(`${host} cannot be resolved: ${found.failure.detail}`);
  const usable = found.addresses.filter((address) => !parts.isRefused(address));
  if (usable.length === 0) return fetchError(`${host} has only private addresses: ${found.addresses.join(', ')}`);
  const signal = AbortSignal.timeout(FETCH_MS);
  let last: StsFetched = fetchError('nothing was tried');
  for (const address of usable) {
    last = await fetchFrom(parts, { host, address }, signal);
    // Another address may answer where one does not; a policy that is there and wrong is wrong.
    if ('policy' in last || last.result !== 'sts-policy-fetch-error' || signal.aborted) return last;
  }
  return last;
}

function fetchFrom(parts: StsFetchParts, { host, address }: { host: string; address: string }, signal: AbortSignal): Promise<StsFetched> {
  return new Promise((resolve) => {
    const from = `https://${host}${PATH} [${address}]`;
    const outgoing = request({
      path: PATH,
      method: 'GET',
      headers: { host, 'user-agent': 'Postern', accept: 'text/plain', connection: 'close' },
      maxHeaderSize: HEADER_BYTES,
      signal,
      createConnection: () =>
        connect({
          host: address,
          port: parts.port ?? 443,
          servername: host,
          secureContext: parts.tlsContext(),
          checkServerIdentity: (_, certificate) => identityProblem(host, certificate),
          ALPNProtocols: ['http/1.1'],
        }),
    });
    outgoing.on('error', (error) => resolve(failedRequest(from, error, signal)));
    outgoing.on('response', (response) => {
      readAnswer(response, from).then(resolve, (error: unknown) => resolve(failedRequest(from, error, signal)));
    });
    outgoing.end();
  });
}

async function readAnswer(response: IncomingMessage, from: string): Promise<StsFetched> {
  const { statusCode, headers } = response;
  const refuse = (text: string): StsFetched => {
    response.destroy();
    return fetchError(`${from} ${text}`);
  };
  if (statusCode !== 200)
    return refuse(`answered with status ${statusCode}${statusCode !== undefined && statusCode >= 300 && statusCode < 400 ? ' (redirects are not followed)' : ''}`);
  const type = (headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase();
  if (type !== 'text/plain') return refuse(`is of the type ${JSON.stringify(type)} instead of text/plain`);
  if ((headers['content-encoding'] ?? 'identity') !== 'identity') return refuse('is compressed, which was not asked for');
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BYTES) return refuse(`is over ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  const policy = parseStsPolicy(Buffer.concat(chunks).toString('utf8'));
  return 'problem' in policy ? { result: 'sts-policy-invalid', why: `the policy at ${from} is not valid: ${policy.problem}` } : { policy };
}

/** The name must stand among the alternative names: a common name does not count (RFC 8461 3.3). */
function identityProblem(host: string, certificate: PeerCertificate): Error | undefined {
  const problem = checkServerIdentity(host, certificate);
  if (problem !== undefined) return problem;
  if (new X509Certificate(certificate.raw).checkHost(host, { subject: 'never', partialWildcards: false }) !== undefined) return undefined;
  return Object.assign(new Error(`the certificate is not for ${host}`), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
}

const CERTIFICATE_ERRORS = /^(ERR_TLS_CERT_ALTNAME_INVALID|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_(GET_ISSUER|VERIFY)|INVALID_(CA|PURPOSE)|HOSTNAME_MISMATCH|UNSPECIFIED)/;

function failedRequest(from: string, error: unknown, signal: AbortSignal): StsFetched {
  const code = errorCode(error) ?? '';
  if (signal.aborted) return fetchError(`${from} did not answer within ${FETCH_MS / 1000} seconds`);
  if (CERTIFICATE_ERRORS.test(code)) return { result: 'sts-webpki-invalid', why: `the certificate of ${from} does not verify: ${errorText(error)} (${code})` };
  return fetchError(`${from} cannot be fetched: ${errorText(error)}`);
}

function fetchError(why: string): StsFetched {
  return { result: 'sts-policy-fetch-error', why };
}
