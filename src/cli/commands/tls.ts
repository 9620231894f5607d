// `postern tls`: the certificates that clients are shown, how their renewal stands, and renewing now; and what TLS delivery requires of others.

import { setTimeout as pause } from 'node:timers/promises';
import type { Command } from 'commander';
import { PosternError } from '#base/failure.ts';
import { openApi } from '#cli/api.ts';
import type { Api } from '#cli/api.ts';
import { examplesFor } from '#cli/examples.ts';
import { dateText, spanText } from '#cli/format.ts';
import type { Cli } from '#cli/main.ts';
import { showPolicy } from '#cli/tls/policy.ts';
import type { PolicyOptions } from '#cli/tls/policy.ts';
import { showReport } from '#cli/tls/report.ts';
import type { ReportOptions } from '#cli/tls/report.ts';
import type { CertificatesView } from '#http/routes/certificates.ts';

type Certificate = CertificatesView['certificates'][number];
type Renewal = CertificatesView['renewals'][number];

const EXAMPLES = `
Examples:
  postern tls show                    names, issuer, dates, where from, next renewal, what went wrong last
  postern --json tls show
  postern tls renew                   with tls.mode = "acme": have the certificate issued again now
  postern tls renew --no-wait
  postern tls report                  today's connections to other servers, by domain: how many went well
  postern tls report --domain example.net --date 2026-11-24 --json     the report of a day, as it is sent (RFC 8460)
  postern tls report --send           send yesterday's reports now, where they were not sent yet
  postern tls policy example.net      what mail to a domain needs of TLS, of each of its mail hosts, and why

docs/certificates.md tells how to have certificates issued and renewed by an authority, docs/tls.md what is required of other servers.`;

const POLL_MS = 500;
/** Longer than an authority may take to validate and to issue. */
const WAIT_MS = 25 * 60_000;

export function register(program: Command, cli: Cli): void {
  const command = program.command('tls').description('the certificates of this server, and the TLS policies of others').addHelpText('afterAll', examplesFor(EXAMPLES));
  command
    .command('show')
    .description('show the certificates that clients are shown')
    .action(() => show(cli));
  command
    .command('renew [name]')
    .description('have the certificates issued again now: all, or the one that has this name (tls.mode = "acme")')
    .option('--no-wait', 'do not wait for the result')
    .action((name: string | undefined, options: { wait: boolean }) => renew(cli, name ?? null, options.wait));
  command
    .command('policy <domain>')
    .description('show what delivery to a domain requires of each of its mail hosts, with the evidence: DANE, MTA-STS, [[tls_policy]]')
    .option('--requiretls', 'for a message that is sent with REQUIRETLS')
    .option('--tls-optional', 'for a message that says TLS-Required: No')
    .action((domain: string, options: PolicyOptions) => showPolicy(cli, domain, options));
  command
    .command('report')
    .description('show how TLS went with other servers on a day, as the reports to them tell it; or send the reports now')
    .option('--domain <domain>', 'the report about this domain')
    .option('--date <day>', 'the day (UTC), like 2026-11-24 (default: today; with --send yesterday)')
    .option('--send', 'send what was not sent yet, now; exit code 1 when a report could not be handed over')
    .action((options: ReportOptions) => showReport(cli, options));
}

async function show(cli: Cli): Promise<void> {
  const view = await openApi({ dataDir: cli.dataDir() }).certificates();
  tell(cli, view);
  // A certificate that fails clients, or whose renewal fails, is bad news.
  if (view.certificates.some(({ expiresAt }) => Date.parse(expiresAt) <= Date.now()) || view.renewals.some(({ status }) => status === 'failing')) process.exitCode = 1;
}

async function renew(cli: Cli, name: string | null, wait: boolean): Promise<void> {
  const api = openApi({ dataDir: cli.dataDir() });
  const before = await api.certificates();
  const { ordered } = await api.renewCertificates(name);
  const names = ordered.map(([first = '']) => first);
  if (!wait) {
    if (cli.json) cli.out.json({ ordered });
    else cli.out.text(`Ordered: ${names.join(', ')}. See how it goes with: postern tls show`);
    return;
  }
  cli.out.note(`Ordered: ${names.join(', ')}. Waiting for the authority (Ctrl-C stops the waiting, not the order).`);
  const view = await settled(api, names, before);
  tell(cli, view);
  const failed = view.renewals.find((renewal) => names.includes(renewal.names[0] ?? '') && renewal.status === 'failing');
  if (failed !== undefined) process.exitCode = 1;
}

/** Waits until each has a result that it did not have before. */
async function settled(api: Api, names: readonly string[], before: CertificatesView): Promise<CertificatesView> {
  const endMs = Date.now() + WAIT_MS;
  const mark = (view: CertificatesView, name: string): string => {
    const renewal = view.renewals.find((one) => one.names[0] === name);
    return `${renewal?.obtainedAt ?? ''} ${renewal?.lastError?.at ?? ''}`;
  };
  for (;;) {
    const view = await api.certificates();
    const open = names.filter((name) => mark(view, name) === mark(before, name) || view.renewals.some((one) => one.names[0] === name && one.status === 'ordering'));
    if (open.length === 0) return view;
    if (Date.now() > endMs)
      throw new PosternError(
        { code: 'not-renewed-yet', cause: `There is no result for ${open.join(', ')} yet.`, fix: 'It goes on; look later with: postern tls show' },
        { exitCode: 1 },
      );
    await pause(POLL_MS);
  }
}

function tell(cli: Cli, view: CertificatesView): void {
  if (cli.json) return cli.out.json(view);
  const blocks = view.certificates.map((certificate, i) => certificateText(certificate, i === 0));
  const renewals = view.renewals.map(renewalText);
  cli.out.text([...blocks, ...renewals].join('\n\n'));
}

function certificateText(certificate: Certificate, isDefault: boolean): string {
  const { names, issuer, source, key, validFromAt, expiresAt, fingerprint256, path } = certificate;
  const leftMs = Date.parse(expiresAt) - Date.now();
  const state = leftMs <= 0 ? 'EXPIRED' : `${spanText(leftMs)} left`;
  return [
    `names        ${names.join(', ')}${isDefault ? '  (default)' : ''}`,
    `issuer       ${source === 'self-signed' ? 'none: self-signed, clients that verify refuse it' : issuer}`,
    `valid        ${dateText(validFromAt)} to ${dateText(expiresAt)} (${state})`,
    `key          ${key}`,
    `source       ${source}  ${path}`,
    `sha256       ${fingerprint256}`,
  ].join('\n');
}

function renewalText(renewal: Renewal): string {
  const { names, status, directory, challenge, nextAt, window, failures, lastError } = renewal;
  const when = status === 'ordering' ? 'under way now' : nextAt === null ? 'not known yet' : `${dateText(nextAt)} (in ${spanText(Date.parse(nextAt) - Date.now())})`;
  const lines = [`renewal of   ${names.join(', ')}`, `authority    ${directory}  by ${challenge}`, `${status === 'failing' ? 'next try    ' : 'next        '} ${when}`];
  if (window !== null)
    lines.push(`window       ${dateText(window.startAt)} to ${dateText(window.endAt)}, as the authority suggests${window.explanation === null ? '' : ` (${window.explanation})`}`);
  if (lastError !== null) {
    lines.push(`last error   ${dateText(lastError.at)}, ${failures} in a row: ${lastError.cause}`, `fix          ${lastError.fix}`);
  }
  return lines.join('\n');
}
