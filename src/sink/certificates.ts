// The certificates of a sink: an authority of its own, which a client can be told to trust, so that exactly one thing is wrong with a bad
// certificate. Lives as long as the sink.

import { createSecureContext } from 'node:tls';
import type { SecureContext, SecureContextOptions } from 'node:tls';
import { makeAuthority, makeIssued, makeSelfSigned } from '#tls/certificate.ts';

export type Fault = 'expired' | 'not-yet-valid' | 'self-signed' | 'wrong-name' | 'unknown-authority' | 'incomplete';

export type SinkTls = { readonly context: SecureContext; /** Whom a client has to trust, PEM; null: the certificate is not ours. */ readonly authority: string | null };

const DAY_MS = 86_400_000;
const WRONG_NAME = 'somebody-else.invalid';

/** Makes the context. `own`: a certificate of the operator instead of one that is made. Throws what Node says of a certificate it cannot use. */
export function openSinkTls(options: {
  readonly names: readonly string[];
  readonly fault: Fault | null;
  readonly versions: '1.2' | 'old' | null;
  readonly own: { readonly cert: string; readonly key: string } | null;
  readonly nowMs: number;
}): SinkTls {
  const { names, fault, versions, own, nowMs } = options;
  const limits = versionLimits(versions);
  if (own !== null) return { context: createSecureContext({ ...own, ...limits }), authority: null };
  const life = { fromMs: nowMs - DAY_MS, untilMs: nowMs + 30 * DAY_MS };
  const root = makeAuthority('Postern sink authority', { fromMs: nowMs - 60 * DAY_MS, untilMs: life.untilMs });
  if (fault === 'self-signed') {
    const { certPem, keyPem } = makeSelfSigned(names, life);
    return { context: createSecureContext({ cert: certPem, key: keyPem, ...limits }), authority: root.certPem };
  }
  const issuer = fault === 'unknown-authority' ? makeAuthority('Authority nobody knows', life) : root;
  const between = makeAuthority('Postern sink intermediate', life, issuer);
  const dates = { ...life, ...(fault === 'expired' ? { fromMs: nowMs - 40 * DAY_MS, untilMs: nowMs - DAY_MS } : fault === 'not-yet-valid' ? { fromMs: nowMs + DAY_MS } : {}) };
  const { certPem, keyPem } = makeIssued(fault === 'wrong-name' ? [WRONG_NAME] : names, dates, between);
  const cert = fault === 'incomplete' ? certPem : `${certPem}${between.certPem}`;
  return { context: createSecureContext({ cert, key: keyPem, ...limits }), authority: root.certPem };
}

function versionLimits(versions: '1.2' | 'old' | null): SecureContextOptions {
  if (versions === '1.2') return { maxVersion: 'TLSv1.2' };
  // OpenSSL has what is so old on its lowest level of security only.
  return versions === 'old' ? { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' } : { minVersion: 'TLSv1.2' };
}
