// What answers tell of TLS towards other servers: policies with their evidence, and reports (RFC 8460).

import { z } from 'zod';
import { time } from '#http/fields.ts';

const refusal = z.object({ class: z.string(), cause: z.string(), fix: z.string() }).nullable();

const HOST = z
  .object({
    host: z.string(),
    preference: z.int(),
    policy: z.string(),
    why: z.string(),
    required: z.string().nullable().describe('null: the host would not be used'),
    names: z.array(z.string()).describe('of which a certificate must have one; none: no name counts'),
    tlsa: z.object({
      name: z.string().nullable(),
      status: z.string(),
      records: z.array(z.string()),
      ignored: z.array(z.object({ record: z.string(), why: z.string() })),
    }),
    refused: refusal,
  })
  .meta({ id: 'TlsHost' });

const STS = z
  .discriminatedUnion('status', [
    z.object({
      status: z.literal('policy'),
      id: z.string(),
      policy: z.object({ mode: z.enum(['enforce', 'testing', 'none']), mx: z.array(z.string()), maxAgeSeconds: z.int(), text: z.array(z.string()).describe('its lines') }),
      fetchedAt: time,
      expiresAt: time,
      stale: z.string().nullable(),
    }),
    z.object({ status: z.literal('failed'), result: z.string(), why: z.string() }),
    z.object({ status: z.literal('none'), why: z.string() }),
  ])
  .meta({ id: 'MtaSts' });

export const TLS_POLICY = z
  .object({
    domain: z.string(),
    demand: z.string(),
    route: z.object({ type: z.string(), name: z.string() }),
    refusal: refusal.describe('why no mail can be delivered at all'),
    mx: z.object({ dnssec: z.boolean(), lane: z.string() }).nullable().describe('null: the route is no `mx`, or there is a refusal'),
    mtaSts: STS,
    configured: z.object({ match: z.string(), require: z.enum(['off', 'opportunistic', 'encrypted', 'verified', 'dane']), names: z.array(z.string()) }).nullable(),
    hosts: z.array(HOST),
  })
  .meta({ id: 'TlsPolicy' });

export const TLS_REPORT_ROW = z
  .object({
    id: z.string(),
    day: z.string(),
    domain: z.string(),
    target: z.string(),
    state: z.enum(['waiting', 'sent', 'failed']),
    messageId: z.string().nullable(),
    attempts: z.int(),
    nextAt: time.nullable(),
    createdAt: time,
    detail: z.string(),
  })
  .meta({ id: 'TlsReportRow' });

export const TLS_REPORT = z
  .object({
    'organization-name': z.string(),
    'date-range': z.object({ 'start-datetime': z.string(), 'end-datetime': z.string() }),
    'contact-info': z.string(),
    'report-id': z.string(),
    policies: z.array(
      z.object({
        policy: z.object({
          'policy-type': z.enum(['tlsa', 'sts', 'no-policy-found']),
          'policy-string': z.array(z.string()).optional(),
          'policy-domain': z.string(),
          'mx-host': z.array(z.string()).optional(),
        }),
        summary: z.object({ 'total-successful-session-count': z.int(), 'total-failure-session-count': z.int() }),
        'failure-details': z.array(z.record(z.string(), z.union([z.string(), z.int()]))).optional(),
      }),
    ),
  })
  .meta({ id: 'TlsReport' });
