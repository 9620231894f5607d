// /v1/certificates: what is shown to clients, how renewal stands, and renewing now.

import { Hono } from 'hono';
import { z } from 'zod';
import { PosternError } from '#base/failure.ts';
import { parseBody } from '#http/body.ts';
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

const RENEW = z.strictObject({ name: z.string().max(253).nullable().default(null) });

export function certificateRoutes(parts: CertificateParts): Hono {
  const app = new Hono();
  app.get('/', (context) => context.json(viewOf(parts)));
  app.post('/renew', async (context) => {
    const { name } = await parseBody(context, RENEW);
    if (parts.renew === null) {
      throw new ProblemError({
        status: 422,
        title: 'Not renewed',
        code: 'not-acme',
        cause: `The certificates are not issued by an authority here (tls.mode is "${parts.mode}").`,
        fix:
          parts.mode === 'files'
            ? 'Replace the files, then reload with SIGHUP.'
            : 'Set tls.mode = "acme" (docs/certificates.md); a self-signed certificate is renewed by itself at a start.',
      });
    }
    try {
      return context.json({ ordered: await parts.renew(name === null ? null : name.toLowerCase()) }, 202);
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      throw new ProblemError({ ...error.failure, status: error.failure.code === 'no-such-certificate' ? 404 : 429, title: 'Not renewed' });
    }
  });
  return app;
}

function viewOf({ mode, certificates, renewals }: CertificateParts): CertificatesView {
  return { mode, certificates: toWire(certificates()), renewals: toWire(renewals()) };
}
