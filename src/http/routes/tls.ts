// /v1/tls: what delivery to a domain requires of TLS, with the evidence; and the TLS reports about it.

import { Hono } from 'hono';
import { z } from 'zod';
import type { PolicyView } from '#deliver/policy-view.ts';
import type { ReportRow, SessionSummary } from '#store/tls-sessions.ts';
import type { Demand } from '#tls/policy.ts';
import type { TlsReport } from '#tls/tlsrpt.ts';
import { domainName } from '#http/fields.ts';
import { parseBody } from '#http/body.ts';
import { ProblemError, notFound, parseInput } from '#http/problem.ts';
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

const DEMAND = z.strictObject({ demand: z.enum(['policy', 'requiretls', 'tls-optional']).default('policy') });
const day = z
  .string()
  .regex(/^\d{4}-\d\d-\d\d$/, 'write a day (UTC) like 2026-11-24')
  .refine((text) => !Number.isNaN(Date.parse(text)), 'there is no such day')
  .optional();
const DAY = z.strictObject({ day });
const SEND = z.strictObject({ day, domain: domainName.optional() });

export function tlsRoutes(parts: TlsParts): Hono {
  const app = new Hono();
  app.get('/policy/:domain', async (context) => {
    const domain = parseInput(domainName, context.req.param('domain'));
    const { demand } = parseInput(DEMAND, context.req.query());
    return context.json(toWire(await parts.policy(domain, demand)));
  });
  app.get('/reports', (context) => context.json(toWire(parts.reports.day(parseInput(DAY, context.req.query()).day ?? today()))));
  app.get('/reports/:domain', (context) => {
    const domain = parseInput(domainName, context.req.param('domain'));
    const of = parseInput(DAY, context.req.query()).day ?? today();
    const report = parts.reports.report(of, domain);
    if (report === null) throw notFound(`session with ${domain} on ${of}`, 'See the domains of a day with: postern tls report --date DAY. Counts are kept for three days.');
    return context.json(report);
  });
  app.post('/reports/send', async (context) => {
    const { day: wanted, domain } = await parseBody(context, SEND);
    const of = wanted ?? yesterday();
    if (of >= today()) throw notOver(of);
    return context.json({ day: of, reports: toWire(await parts.reports.send(of, domain ?? null)) });
  });
  return app;
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
