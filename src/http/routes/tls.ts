// /v1/tls: what delivery to a domain requires of TLS, with the evidence; and the TLS reports about it.

import { z } from 'zod';
import type { PolicyView } from '#deliver/policy-view.ts';
import type { ReportRow, SessionSummary } from '#store/tls-sessions.ts';
import type { Demand } from '#tls/policy.ts';
import type { TlsReport } from '#tls/tlsrpt.ts';
import { domainName } from '#http/fields.ts';
import { operation } from '#http/operation.ts';
import type { Operation } from '#http/operation.ts';
import { ProblemError, notFound } from '#http/problem.ts';
import { TLS_POLICY, TLS_REPORT, TLS_REPORT_ROW } from '#http/views/tls.ts';
import { toWire } from '#http/wire.ts';
import type { Wire } from '#http/wire.ts';

/** A day's mail by domain, and what became of the reports. `more`: there are more domains than are listed. */
export type TlsReportDay = {
  readonly day: string;
  /** Reports are sent by themselves. */
  readonly sending: boolean;
  readonly more: boolean;
  readonly domains: readonly (SessionSummary & { readonly reports: readonly ReportRow[] })[];
};

export type TlsReportService = {
  day(day: string): TlsReportDay;
  /** The document of RFC 8460; null when there was no session. */
  report(day: string, domain: string): TlsReport | null;
  /** Sends what was not sent yet, now: of one domain, or of all (null). */
  send(day: string, domain: string | null): Promise<readonly ReportRow[]>;
};

export type TlsParts = { readonly policy: (domain: string, demand: Demand) => Promise<PolicyView>; readonly reports: TlsReportService };

export type TlsPolicyView = Wire<PolicyView>;
export type TlsReportDayView = Wire<TlsReportDay>;
export type TlsReportRowView = Wire<ReportRow>;

const DEMAND = z.strictObject({ demand: z.enum(['policy', 'requiretls', 'tls-optional']).default('policy').describe('what the message asks') });
const day = z
  .string()
  .regex(/^\d{4}-\d\d-\d\d$/, 'write a day (UTC) like 2026-11-24')
  .refine((text) => !Number.isNaN(Date.parse(text)), 'there is no such day')
  .optional()
  .describe('in UTC, like 2026-11-24');
const DAY = z.strictObject({ day });
const SEND = z.strictObject({ day, domain: domainName.optional().describe('without it all') });
const OF_DOMAIN = z.object({ domain: domainName });

export function tlsOperations(parts: () => TlsParts): readonly Operation[] {
  return [
    operation({
      method: 'GET',
      path: '/v1/tls/policy/{domain}',
      id: 'getTlsPolicy',
      tag: 'Server',
      summary: 'What delivery to a domain requires of each of its mail hosts, with the evidence',
      scope: 'server:read',
      params: OF_DOMAIN,
      query: DEMAND,
      answer: TLS_POLICY,
      example: { params: { domain: 'example.com' } },
      run: async ({ params: { domain }, query: { demand } }) => toWire(await parts().policy(domain, demand)),
    }),
    operation({
      method: 'GET',
      path: '/v1/tls/reports',
      id: 'listTlsReports',
      tag: 'Server',
      summary: "A day's connections to other servers by domain, and what became of the reports",
      scope: 'server:read',
      query: DAY,
      answer: z.object({
        day: z.string(),
        sending: z.boolean().describe('whether reports are sent by themselves'),
        more: z.boolean().describe('there are more domains than are listed'),
        domains: z.array(z.object({ domain: z.string(), successful: z.int(), failed: z.int(), reports: z.array(TLS_REPORT_ROW) })),
      }),
      run: ({ query }) => toWire(parts().reports.day(query.day ?? today())),
    }),
    operation({
      method: 'GET',
      path: '/v1/tls/reports/{domain}',
      id: 'getTlsReport',
      tag: 'Server',
      summary: 'The report about a domain, as RFC 8460 has it',
      scope: 'server:read',
      params: OF_DOMAIN,
      query: DAY,
      answer: TLS_REPORT,
      refusals: [404],
      example: { params: { domain: 'example.com' } },
      run: ({ params: { domain }, query }) => {
        const of = query.day ?? today();
        const report = parts().reports.report(of, domain);
        if (report === null) throw notFound(`session with ${domain} on ${of}`, 'See the domains of a day with: postern tls report --date DAY. Counts are kept for three days.');
        return report;
      },
    }),
    operation({
      method: 'POST',
      path: '/v1/tls/reports/send',
      id: 'sendTlsReports',
      tag: 'Server',
      summary: 'Send what was not sent yet of a day, now',
      description: "Without `day` yesterday's.",
      scope: 'server:write',
      body: SEND,
      answer: z.object({ day: z.string(), reports: z.array(TLS_REPORT_ROW) }),
      audit: ({ body }) => [body.day, body.domain].filter((text) => text !== undefined).join(' '),
      run: async ({ body }) => {
        const of = body.day ?? yesterday();
        if (of >= today()) throw notOver(of);
        return { day: of, reports: toWire(await parts().reports.send(of, body.domain ?? null)) };
      },
    }),
  ];
}

function notOver(of: string): ProblemError {
  return new ProblemError({
    status: 422,
    title: 'Not sent',
    code: 'day-not-over',
    cause: `${of} is not over (UTC): a report covers a whole day.`,
    fix: 'Send the one of yesterday; look at the counts of today with: postern tls report',
  });
}

function today(): string {
  return new Date().toISOString().slice(0, 10);
}

function yesterday(): string {
  return new Date(Date.now() - 86_400_000).toISOString().slice(0, 10);
}
