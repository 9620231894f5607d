// The document of a TLS report as RFC 8460 4.4 defines it, written from the RFC: whoever reads reports strictly reads ours.

import { gunzipSync } from 'node:zlib';
import { z } from 'zod';

const count = z.int().min(0);
const dateTime = z.iso.datetime();

const FAILURE = z.strictObject({
  'result-type': z.enum([
    'starttls-not-supported',
    'certificate-host-mismatch',
    'certificate-expired',
    'certificate-not-trusted',
    'validation-failure',
    'tlsa-invalid',
    'dnssec-invalid',
    'dane-required',
    'sts-policy-fetch-error',
    'sts-policy-invalid',
    'sts-webpki-invalid',
  ]),
  'sending-mta-ip': z.union([z.ipv4(), z.ipv6()]).optional(),
  'receiving-mx-hostname': z.string().min(1).optional(),
  'receiving-mx-helo': z.string().min(1).optional(),
  'receiving-ip': z.union([z.ipv4(), z.ipv6()]).optional(),
  'failed-session-count': count.min(1),
  'additional-information': z.string().min(1).optional(),
  'failure-reason-code': z.string().min(1).optional(),
});

const RESULT = z.strictObject({
  policy: z.strictObject({
    'policy-type': z.enum(['tlsa', 'sts', 'no-policy-found']),
    'policy-string': z.array(z.string().min(1)).min(1).optional(),
    'policy-domain': z.string().min(1),
    'mx-host': z.array(z.string().min(1)).min(1).optional(),
  }),
  summary: z.strictObject({ 'total-successful-session-count': count, 'total-failure-session-count': count }),
  'failure-details': z.array(FAILURE).min(1).optional(),
});

const REPORT = z
  .strictObject({
    'organization-name': z.string().min(1),
    'date-range': z.strictObject({ 'start-datetime': dateTime, 'end-datetime': dateTime }),
    'contact-info': z.string().min(1),
    'report-id': z.string().regex(/^\S+$/),
    policies: z.array(RESULT).min(1),
  })
  .refine(
    ({ policies }) =>
      policies.every(
        ({ summary, 'failure-details': details = [] }) => summary['total-failure-session-count'] === details.reduce((sum, one) => sum + one['failed-session-count'], 0),
      ),
    'the failures do not add up',
  );

export type ParsedReport = z.infer<typeof REPORT>;

/** Throws where the document is not as it must be. */
export function checkReport(document: unknown): ParsedReport {
  return REPORT.parse(document);
}

export function checkCompressed(bytes: Buffer): ParsedReport {
  return checkReport(JSON.parse(gunzipSync(bytes).toString('utf8')));
}
