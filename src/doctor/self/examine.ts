// A server's look at itself: the checks in the order they are shown, side by side, as findings like those of any other target.

import { summarize } from '#doctor/report.ts';
import type { Finding, Report } from '#doctor/report.ts';
import type { SelfCheck, SelfContext } from './check.ts';
import { outbound } from './outbound.ts';
import { ownBlocklists, ownCertificates, ownDns, ownName, ownPtr, ownRecords } from './standing.ts';

const CHECKS: readonly SelfCheck[] = [outbound, ownCertificates, ownRecords, ownDns, ownName, ownPtr, ownBlocklists];

export const SELF_CHECKS: readonly string[] = CHECKS.map(({ id }) => id);

/** Never rejects for what it finds; bounded by the timeouts of the context. */
export async function examineSelf(context: SelfContext): Promise<Report> {
  const startMs = performance.now();
  const startedAt = new Date(context.nowMs).toISOString();
  const results = await Promise.all(
    CHECKS.map(async (check) => {
      const beginMs = performance.now();
      const verdicts = await check.judge(context);
      const durationMs = Math.round(performance.now() - beginMs);
      return verdicts.map(({ subject, status, evidence, cause = '', fix = '', title = check.title }): Finding => ({
        id: `${check.id}@${subject}`,
        title,
        status,
        evidence,
        cause,
        fix,
        durationMs,
        subject,
        host: null,
        port: null,
      }));
    }),
  );
  const checks = results.flat();
  return { target: context.hostname, kind: 'self', startedAt, durationMs: Math.round(performance.now() - startMs), checks, summary: summarize(checks) };
}
