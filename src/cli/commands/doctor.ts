// `postern doctor`: examines a host, a port, a domain or the domain of a mail address, and says what is wrong, why, and what to do.

import { readFileSync } from 'node:fs';
import { hostname as systemHostname } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { Option } from 'commander';
import type { Command } from 'commander';
import { PosternError, errorText } from '#base/failure.ts';
import { systemClock } from '#base/clock.ts';
import { openApi } from '#cli/api.ts';
import { register as registerExplain } from '#cli/doctor/explain.ts';
import { reportHtml } from '#doctor/render/html.ts';
import { reportMarkdown } from '#doctor/render/markdown.ts';
import { reportText } from '#cli/doctor/text.ts';
import { readLogin } from '#cli/login.ts';
import type { Cli } from '#cli/main.ts';
import { openResolver } from '#dns/resolver.ts';
import { PORTS, diagnose } from '#doctor/doctor.ts';
import type { DoctorOptions } from '#doctor/doctor.ts';
import type { Report } from '#doctor/report.ts';
import { parseTarget } from '#doctor/target.ts';
import { canonicalDomain, parseMailbox } from '#smtp/address.ts';
import { outboundTls } from '#tls/context.ts';
import { collect, parsePorts, parseSeconds, usage } from '#cli/values.ts';

type Options = {
  fromPortList?: number[];
  user?: string;
  passwordFile?: string;
  insecure?: boolean;
  timeout: number;
  reference?: string;
  relayTo?: string;
  selector: string[];
  message?: string;
  sendingAddress: string[];
  blocklist: string[];
  self?: boolean;
  as?: 'host' | 'domain';
  helo?: string;
  caFile?: string;
  markdown?: boolean;
  html?: boolean;
  watch?: number;
  verbose?: boolean;
};

const EXAMPLES = `
Examples:
  postern doctor smtp.example.com                    all four ports of a host, side by side
  postern doctor smtp.example.com:587 --user me --password-file secret.txt
  postern doctor example.com                         the mail setup of a domain, and its mail hosts
  postern doctor me@example.com --json
  postern doctor 192.0.2.7 --from-port-list 25,2526 --timeout 3
  postern doctor smtp.example.com --html > report.html
  postern doctor --self                              the running server looks at itself: port 25, certificates, records, blocklists
  postern doctor explain "550 5.7.1 ..."               what a reply, a log line or a bounce means

A bare name with MX records is taken for a domain, else for a host; --as decides otherwise. Nothing is sent: the conversation ends before DATA,
and a password is said
under TLS only, to a server whose certificate verifies (--insecure: to any). Where a port times out, --reference HOST tells a blocked network from a dead host.
Exit codes: 0 nothing is wrong (warnings may be there); 1 a check failed; 2 usage.`;

export function register(program: Command, cli: Cli): void {
  const command = program
    .command('doctor')
    .description('say what is wrong with an SMTP host or a mail domain, why, and what to do')
    .argument('[target]', 'host, host:port, domain or mail address')
    .option('--self', 'what the running server finds wrong with itself and its surroundings, instead of a target')
    .option('--from-port-list <ports>', 'ports to look at, with commas (default: 25,465,587,2525)', parsePorts('--from-port-list', 32))
    .option('--user <name>', 'try this login on every submission port')
    .option('--password-file <file>', 'file with its password; - reads standard input')
    .option('--insecure', 'try the login although the certificate does not verify')
    .option('--timeout <seconds>', 'patience with each step', parseSeconds('--timeout'), 10)
    .option('--reference <host>', 'a host known to serve these ports: tells a blocked network from a dead host')
    .option('--relay-to <address>', 'look for open relays with this mailbox elsewhere (nothing is sent to it)', parseRelayTo)
    .option('--selector <name>', 'DKIM selector to look for (repeat for more)', collect, [])
    .option('--message <file>', 'a signed message: its DKIM selectors are looked for')
    .option('--sending-address <address>', 'address that the mail of the domain is sent from (repeat for more; default: its mail hosts)', collect, [])
    .option('--blocklist <zone>', 'DNS blocklist to ask about these addresses (repeat for more; "none": ask none; default: doctor.blocklists)', collect, [])
    .addOption(new Option('--as <kind>', 'read a bare name as this').choices(['host', 'domain']))
    .option('--helo <name>', 'name to say in EHLO (default: the name of this machine)')
    .option('--ca-file <file>', 'more authorities to trust, PEM')
    .option('--markdown', 'print the report as Markdown')
    .option('--html', 'print the report as one self-contained HTML page')
    .option('--watch <seconds>', 'look again and again, and print what changes', parseSeconds('--watch'))
    .option('--verbose', 'all evidence, also of what is right')
    .addHelpText('after', EXAMPLES)
    .action((target: string | undefined, options: Options) => (options.self === true ? self(cli, target, options) : doctor(cli, named(target), options)));
  registerExplain(command, cli);
}

async function doctor(cli: Cli, text: string, options: Options): Promise<void> {
  const { config } = await cli.loadConfig();
  const resolver = openResolver({ servers: config.dns.servers, dnssec: config.dns.dnssec, timeoutMs: Math.min(config.dns.timeoutMs, options.timeout * 1000), clock: systemClock });
  try {
    const settings: DoctorOptions = {
      resolver,
      context: outboundTls({ caFile: options.caFile ?? config.delivery.caFile }).secureContext,
      helo: options.helo ?? canonicalDomain(systemHostname()) ?? 'localhost',
      timeoutMs: options.timeout * 1000,
      ports: options.fromPortList ?? PORTS,
      login: readLogin(cli, options),
      insecure: options.insecure === true,
      reference: options.reference ?? null,
      ...(options.relayTo === undefined ? {} : { relayTo: options.relayTo }),
      selectors: [...options.selector, ...(options.message === undefined ? [] : selectorsOf(options.message))],
      sendingAddresses: options.sendingAddress,
      blocklists: options.blocklist.length === 0 ? config.doctor.blocklists : options.blocklist.filter((zone) => zone !== 'none'),
      mxPort: config.delivery.mxPort,
      begun: (what) => cli.out.note(`${what} ...`),
      // Whoever watches sees what is wrong as it is found; the whole follows in order.
      ...(process.stderr.isTTY && !cli.json && options.watch === undefined
        ? { found: ({ status, title, subject }) => (status === 'fail' || status === 'warn' ? cli.out.note(`${status}: ${title} (${subject})`) : undefined) }
        : {}),
    };
    const once = async (): Promise<Report> => diagnose(text, await parseTarget(text, resolver, options.as ?? null), settings);
    if (options.watch !== undefined) return await watch(cli, once, options.watch);
    conclude(cli, await once(), options);
  } finally {
    resolver.close();
  }
}

/** The server is asked: it knows its certificates and domains, and the network that it sends from is its own. */
async function self(cli: Cli, target: string | undefined, options: Options): Promise<void> {
  if (target !== undefined) throw usage(`--self looks at the running server, not at ${target}.`, 'Say one of both.');
  const api = openApi({ dataDir: cli.dataDir() });
  const once = async (): Promise<Report> => {
    cli.out.note('the server looks at itself ...');
    const { report } = await api.checkSelf();
    if (report === null) throw new PosternError({ code: 'no-report', cause: 'The server ended before it had looked.', fix: 'Start it again: postern serve' });
    return report;
  };
  if (options.watch !== undefined) return watch(cli, once, options.watch);
  conclude(cli, await once(), options);
}

function named(target: string | undefined): string {
  if (target === undefined) throw usage('The doctor is not told what to look at.', 'Name a host, host:port, domain or mail address; or say --self for the running server.');
  return target;
}

function conclude(cli: Cli, report: Report, options: Options): void {
  print(cli, report, options);
  if (report.summary.fail > 0) process.exitCode = 1;
}

function print(cli: Cli, report: Report, options: Options): void {
  if (cli.json) return cli.out.json(report);
  if (options.html === true) return void process.stdout.write(reportHtml(report));
  if (options.markdown === true) return void process.stdout.write(reportMarkdown(report));
  const terminal = process.stdout.isTTY;
  process.stdout.write(
    `${reportText(report, { colour: terminal && process.env['NO_COLOR'] === undefined, verbose: options.verbose === true, width: terminal ? process.stdout.columns : 200 })}\n`,
  );
}

/** The whole report once, then what became different; until interrupted. With --json a line a look. */
async function watch(cli: Cli, once: () => Promise<Report>, seconds: number): Promise<void> {
  const ended = new AbortController();
  process.once('SIGINT', () => ended.abort());
  let before: Report | null = null;
  while (!ended.signal.aborted) {
    const report = await once();
    process.exitCode = report.summary.fail > 0 ? 1 : 0;
    if (cli.json) process.stdout.write(`${JSON.stringify(report)}\n`);
    else if (before === null) print(cli, report, {} as Options);
    else for (const line of changes(before, report)) cli.out.text(`${report.startedAt}  ${line}`);
    before = report;
    await pause(seconds * 1000, undefined, { signal: ended.signal }).catch(() => {});
  }
}

function changes(before: Report, now: Report): string[] {
  const known = new Map(before.checks.map((finding) => [finding.id, finding]));
  return now.checks.flatMap((finding) => {
    const last = known.get(finding.id);
    if (last?.status === finding.status && last.title === finding.title) return [];
    return [
      `${finding.subject}: ${last === undefined ? 'new' : `${last.status} -> ${finding.status}`}: ${finding.title}${finding.cause === '' ? '' : `. ${finding.cause} ${finding.fix}`}`,
    ];
  });
}

/** The selectors of the signatures of a message. */
function selectorsOf(file: string): string[] {
  let text: string;
  try {
    text = readFileSync(file, 'latin1');
  } catch (error) {
    throw usage(`The message ${file} cannot be read: ${errorText(error)}.`, 'Check the path given to --message.');
  }
  const [head = ''] = text.replace(/\r\n/g, '\n').split('\n\n');
  const signatures = [...head.matchAll(/^DKIM-Signature:((?:.*\n?)(?:[ \t].*\n?)*)/gim)];
  const selectors = signatures.flatMap(([, value = '']) => /(?:^|;)\s*s\s*=\s*([A-Za-z0-9._-]+)/.exec(value)?.[1] ?? []);
  if (selectors.length === 0) throw usage(`The message ${file} has no DKIM signature.`, 'Give a message as it arrived at a receiver, with all its headers.');
  return [...new Set(selectors)];
}

function parseRelayTo(text: string): string {
  if (parseMailbox(text) === null)
    throw usage(`--relay-to ${JSON.stringify(text)} is no mail address.`, 'Name a mailbox of yours that the server takes no mail for, for example me@example.net.');
  return text;
}
