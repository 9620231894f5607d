// `postern tls report`: the sessions of a day as TLS reports tell of them, what became of the reports, and sending them now.

import { openApi } from '#cli/api.ts';
import { cut } from '#cli/width.ts';
import type { Cli } from '#cli/main.ts';
import type { TlsReportDayView, TlsReportRowView } from '#http/routes/tls.ts';
import type { TlsReport } from '#tls/tlsrpt.ts';

export type ReportOptions = { readonly domain?: string; readonly date?: string; readonly send?: boolean };

const MAX_CHARACTERS = 100;

/** Shows a day, one domain's report, or sends. Exit code 1 when a report could not be sent. */
export async function showReport(cli: Cli, { domain, date, send }: ReportOptions): Promise<void> {
  const api = openApi({ dataDir: cli.dataDir() });
  if (send === true) return sendReports(cli, await api.sendTlsReports({ ...(date === undefined ? {} : { day: date }), ...(domain === undefined ? {} : { domain }) }));
  if (domain !== undefined) {
    const report = await api.tlsReport(domain, date);
    if (cli.json) return cli.out.json(report);
    return cli.out.text(reportText(report));
  }
  const day = await api.tlsReports(date);
  if (cli.json) return cli.out.json(day);
  dayTable(cli, day);
}

function sendReports(cli: Cli, { day, reports }: { readonly day: string; readonly reports: readonly TlsReportRowView[] }): void {
  if (reports.some((report) => report.state !== 'sent')) process.exitCode = 1;
  if (cli.json) return cli.out.json({ day, reports });
  if (reports.length === 0) return cli.out.text(`Nobody asks for a report of ${day}.`);
  cli.out.table(
    ['DOMAIN', 'TO', 'STATE', 'DETAIL'],
    reports.map(({ domain, target, state, detail }) => [domain, target, state, detail]),
  );
}

function dayTable(cli: Cli, { day, domains, sending, more }: TlsReportDayView): void {
  if (domains.length === 0) cli.out.text(`There were no sessions on ${day} (UTC), or they are not kept any more.`);
  else
    cli.out.table(
      ['DOMAIN', 'WELL', 'FAILED', 'REPORTS'],
      domains.map(({ domain, successful, failed, reports }) => [
        domain,
        String(successful),
        String(failed),
        reports.map(({ state, target }) => `${state} ${target}`).join(', ') || '-',
      ]),
    );
  if (more) cli.out.note('There are more domains; ask for one with --domain.');
  if (!sending) cli.out.note('Reports are not sent: tls_reports.send is false, or the hostname has no dot.');
}

function reportText(report: TlsReport): string {
  const { policies } = report;
  const lines = [
    `report     ${report['report-id']}`,
    `from       ${report['organization-name']} (${report['contact-info']})`,
    `day        ${report['date-range']['start-datetime'].slice(0, 10)} (UTC)`,
  ];
  for (const { policy, summary, 'failure-details': failures } of policies) {
    lines.push('', `${policy['policy-type']}  ${policy['policy-domain']}`);
    for (const text of policy['policy-string'] ?? []) lines.push(`  policy   ${cut(text, MAX_CHARACTERS)}`);
    lines.push(`  well     ${summary['total-successful-session-count']}`, `  failed   ${summary['total-failure-session-count']}`);
    for (const failure of failures ?? []) {
      const where = [failure['receiving-mx-hostname'], failure['receiving-ip']].filter((part) => part !== undefined).join(' ');
      const why = failure['additional-information'] ?? failure['failure-reason-code'] ?? '';
      lines.push(`           ${failure['failed-session-count']} x ${failure['result-type']}${where === '' ? '' : ` at ${where}`}${why === '' ? '' : `: ${why}`}`);
    }
  }
  return lines.join('\n');
}
