// /v1/certificates: what is shown to clients, how renewal stands, and renewing now.

import { z } from 'zod';
import { PosternError } from '#base/failure.ts';
import { time } from '#http/fields.ts';
import { operation } from '#http/operation.ts';
import type { Operation } from '#http/operation.ts';
import { ProblemError } from '#http/problem.ts';
import { toWire } from '#http/wire.ts';
import type { Wire } from '#http/wire.ts';
import type { Renewal } from '#tls/acme/keeper.ts';
import type { CertificateSource, CertificateSummary } from '#tls/context.ts';

export type CertificateParts = {
  readonly mode: CertificateSource;
  /** The first is the default one. */
  readonly certificates: () => readonly CertificateSummary[];
  /** One for each certificate that an authority is to issue, whether it is there yet or not. */
  readonly renewals: () => readonly Renewal[];
  /** Orders now; null when no authority issues. Rejects with PosternError. Returns the names of what was ordered. */
  readonly renew: ((name: string | null) => Promise<readonly (readonly string[])[]>) | null;
};

export type CertificatesView = { readonly mode: CertificateSource; readonly certificates: readonly Wire<CertificateSummary>[]; readonly renewals: readonly Wire<Renewal>[] };

const SOURCE = z.enum(['self-signed', 'files', 'acme']);
const CERTIFICATE = z
  .object({
    subject: z.string(),
    issuer: z.string(),
    names: z.array(z.string()),
    source: SOURCE,
    key: z.string(),
    serialNumber: z.string(),
    validFromAt: time,
    expiresAt: time,
    fingerprint256: z.string(),
    selfSigned: z.boolean(),
    path: z.string(),
  })
  .meta({ id: 'Certificate' });
const RENEWAL = z
  .object({
    names: z.array(z.string()),
    status: z.enum(['ordering', 'waiting', 'failing']),
    directory: z.string(),
    challenge: z.enum(['http-01', 'tls-alpn-01', 'dns-01']),
    obtainedAt: time.nullable(),
    nextAt: time.nullable(),
    window: z.object({ startAt: time, endAt: time, explanation: z.string().nullable() }).nullable().describe('when the authority wants it renewed (RFC 9773)'),
    failures: z.int(),
    lastError: z.object({ code: z.string(), cause: z.string(), fix: z.string(), at: time }).nullable(),
  })
  .meta({ id: 'Renewal' });
const RENEW = z.strictObject({ name: z.string().max(253).nullable().default(null).describe('of the certificate; null: all') });

export function certificateOperations(parts: () => CertificateParts): readonly Operation[] {
  return [
    operation({
      method: 'GET',
      path: '/v1/certificates',
      id: 'listCertificates',
      tag: 'Server',
      summary: 'The certificates that clients are shown, the default one first, and how their renewal stands',
      scope: 'server:read',
      answer: z.object({ mode: SOURCE, certificates: z.array(CERTIFICATE), renewals: z.array(RENEWAL) }),
      run: () => {
        const { mode, certificates, renewals } = parts();
        return { mode, certificates: toWire(certificates()), renewals: toWire(renewals()) };
      },
    }),
    operation({
      method: 'POST',
      path: '/v1/certificates/renew',
      id: 'renewCertificates',
      tag: 'Server',
      summary: 'Order certificates now',
      description: 'With `tls.mode = "acme"`. The order goes on after the answer.',
      scope: 'server:write',
      body: RENEW,
      answer: z.object({ ordered: z.array(z.array(z.string())).describe('the names of what was ordered') }),
      status: 202,
      refusals: [404, 429],
      example: { body: { name: 'relay.example.com' } },
      run: async ({ body: { name } }) => {
        const { mode, renew } = parts();
        if (renew === null) throw notAcme(mode);
        try {
          return { ordered: await renew(name === null ? null : name.toLowerCase()) };
        } catch (error) {
          if (!(error instanceof PosternError)) throw error;
          throw new ProblemError({ ...error.failure, status: error.failure.code === 'no-such-certificate' ? 404 : 429, title: 'Not renewed' });
        }
      },
    }),
  ];
}

function notAcme(mode: CertificateSource): ProblemError {
  return new ProblemError({
    status: 422,
    title: 'Not renewed',
    code: 'not-acme',
    cause: `The certificates are not issued by an authority here (tls.mode is "${mode}").`,
    fix:
      mode === 'files' ? 'Replace the files, then reload with SIGHUP.' : 'Set tls.mode = "acme" (docs/certificates.md); a self-signed certificate is renewed by itself at a start.',
  });
}
