// One MTA-STS policy fetched over HTTPS: from mta-sts.DOMAIN and nowhere else, bounded in size and time. Keeps nothing. RFC 8461 3.3.

import { httpsRequest } from './https-request.ts';
import type { HttpsParts } from './https-request.ts';
import { parseStsPolicy } from './mta-sts-policy.ts';
import type { StsPolicy } from './mta-sts-policy.ts';
import type { StsFailure } from './policy.ts';

export type StsFetchParts = HttpsParts & {
  /** 443, but in tests. */
  readonly port?: number;
  /** Default: 30 seconds. */
  readonly timeoutMs?: number;
};

export type StsFetched = { readonly policy: StsPolicy } | { readonly result: StsFailure; readonly why: string };

export const STS_PATH = '/.well-known/mta-sts.txt';
/** RFC 8461 3.3 suggests a minute; nobody should wait for mail that long. */
const FETCH_MS = 30_000;
const MAX_BYTES = 64 * 1024;

/** Fetches the policy of a domain. Never rejects. */
export async function fetchStsPolicy(parts: StsFetchParts, domain: string): Promise<StsFetched> {
  const answer = await httpsRequest(parts, {
    host: `mta-sts.${domain}`,
    port: parts.port ?? 443,
    path: STS_PATH,
    method: 'GET',
    headers: { accept: 'text/plain' },
    maxBytes: MAX_BYTES,
    timeoutMs: parts.timeoutMs ?? FETCH_MS,
  });
  if ('failure' in answer) return { result: answer.failure === 'certificate' ? 'sts-webpki-invalid' : 'sts-policy-fetch-error', why: answer.text };
  const { status, type, encoded, body, from } = answer;
  const redirect = status >= 300 && status < 400 ? ' (redirects are not followed)' : '';
  if (status !== 200) return fetchError(`${from} answered with status ${status}${redirect}`);
  if (type !== 'text/plain') return fetchError(`${from} is of the type ${JSON.stringify(type)} instead of text/plain`);
  if (encoded) return fetchError(`${from} is compressed, which was not asked for`);
  const policy = parseStsPolicy(body.toString('utf8'));
  return 'problem' in policy ? { result: 'sts-policy-invalid', why: `the policy at ${from} is not valid: ${policy.problem}` } : { policy };
}

function fetchError(why: string): StsFetched {
  return { result: 'sts-policy-fetch-error', why };
}
