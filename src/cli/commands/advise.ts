// `postern advise`: which port, which encryption, and the configuration that requires it. Asks at a terminal when nothing is said, answers by the
// flags otherwise, and looks at the network only with --probe.

import { readFileSync } from 'node:fs';
import { hostname as systemHostname } from 'node:os';
import { join } from 'node:path';
import { Option } from 'commander';
import type { Command } from 'commander';
import { advise } from '#advise/advise.ts';
import type { Survey } from '#advise/evidence.ts';
import { SCENARIOS, SELF_SIGNED, findLibrary, findProvider, tlsOfPort } from '#advise/question.ts';
import type { Question, Scenario, ServedPort } from '#advise/question.ts';
import { systemClock } from '#base/clock.ts';
import { askQuestions } from '#cli/advise/questions.ts';
import { adviceText } from '#cli/advise/text.ts';
import type { Cli } from '#cli/main.ts';
import type { Config } from '#config/config.ts';
import { openResolver } from '#dns/resolver.ts';
import { LIBRARIES } from '#knowledge/libraries.ts';
import { PROVIDERS } from '#knowledge/providers.ts';
import { lookAround } from '#server/advisor.ts';
import { canonicalDomain } from '#smtp/address.ts';
import { outboundTls } from '#tls/context.ts';
import { parsePorts, parseSeconds, usage } from '#cli/values.ts';

type Options = {
  scenario?: Scenario;
  library?: string;
  provider?: string;
  host?: string;
  ports?: number[];
  blocked?: number[];
  probe?: boolean;
  reference: string[];
  user?: string;
  from: string;
  to: string;
  timeout: number;
  caFile?: string;
  list?: 'libraries' | 'providers';
};

const EXAMPLES = `
Examples:
  postern advise                                       asks, at a terminal
  postern advise --scenario app --library nodemailer
  postern advise --provider sendgrid --library django --probe
  postern advise --scenario locked-cloud --provider mailgun --library phpmailer
  postern advise --scenario own-server --host mail.example.com
  postern advise --host smtp.example.com --blocked 587 --user app --json
  postern advise --list libraries

The short answer: 587 with STARTTLS required; 465 where the client is made for TLS from the first byte; 2525 only where 587 is blocked; 25 never for
handing in mail. Snippets read the password from SMTP_PASSWORD or a file, and refuse a certificate that does not verify.
Without --probe nothing is looked up and no connection made. With it the ports of the host (of the provider; without either, of two well-known
mail services or --reference) are tried side by side, as a client would, and the answer follows what was seen.
Exit codes: 0 there is a way; 1 --probe found none; 2 usage.`;

export function register(program: Command, cli: Cli): void {
  program
    .command('advise')
    .description('which port and encryption to use, and a configuration that requires it')
    .addOption(new Option('--scenario <name>', 'who sends (default: app; with --provider esp)').choices(Object.keys(SCENARIOS)))
    .option('--library <name>', 'the library or program that sends; see --list libraries')
    .option('--provider <name>', 'the mail service it goes through; see --list providers')
    .option('--host <host>', 'the server that mail is handed to; own-server: its own name')
    .option('--ports <ports>', 'the ports that it serves, with commas (465, 2465, 10465 and their like: TLS from the first byte)', parsePorts('--ports', 16))
    .option('--blocked <ports>', 'ports that the network blocks, with commas', parsePorts('--blocked', 16))
    .option('--probe', 'look what the network and the host allow')
    .option('--reference <host>', 'with --probe and no host: whom to try instead (repeat for more)', (value: string, before: readonly string[]) => [...before, value], [])
    .option('--user <name>', 'the login for the snippet')
    .option('--from <address>', 'the sender for the snippet', 'you@example.com')
    .option('--to <address>', 'the recipient for the snippet', 'friend@example.net')
    .option('--timeout <seconds>', 'with --probe: patience with each step', parseSeconds('--timeout', 600), 5)
    .option('--ca-file <file>', 'with --probe: more authorities to trust, PEM')
    .addOption(new Option('--list <what>', 'print what the advisor knows').choices(['libraries', 'providers']))
    .addHelpText('after', EXAMPLES)
    .action((options: Options, command: Command) => run(cli, options, isAskedNothing(command)));
}

function isAskedNothing(command: Command): boolean {
  return command.options.every((option) => command.getOptionValueSource(option.attributeName()) !== 'cli');
}

async function run(cli: Cli, options: Options, askedNothing: boolean): Promise<void> {
  if (options.list !== undefined) return list(cli, options.list);
  const interactive = askedNothing && !cli.json && process.stdin.isTTY && process.stdout.isTTY;
  const answers = interactive ? await askQuestions({ input: process.stdin, output: process.stdout }) : null;
  const advice = await answer(cli, { ...options, ...answers });
  if (!advice.usable) process.exitCode = 1;
  if (cli.json) return cli.out.json(advice);
  const colour = process.stdout.isTTY && process.env['NO_COLOR'] === undefined;
  process.stdout.write(`${adviceText(advice, { colour, width: process.stdout.isTTY ? Math.min(process.stdout.columns, 120) : 120 })}\n`);
  if (askedNothing && !interactive) cli.out.note('Nothing was said, so this is the answer for an application that nothing is known of; postern advise --help says what to say.');
}

async function answer(cli: Cli, options: Options): Promise<ReturnType<typeof advise>> {
  const { config } = await cli.loadConfig();
  const provider = options.provider === undefined ? null : findProvider(options.provider);
  const own = ownPorts(config, join(cli.dataDir(), 'server.json'), options.host);
  const question: Question = {
    scenario: options.scenario ?? (provider === null ? 'app' : 'esp'),
    library: options.library === undefined ? null : findLibrary(options.library),
    provider,
    host: options.host === undefined ? null : checkedHost(options.host),
    served: options.ports?.map((port) => ({ port, tls: tlsOfPort(port) })) ?? own,
    blocked: options.blocked ?? [],
    survey: null,
    username: options.user ?? null,
    from: options.from,
    to: options.to,
    remarks: isOwn(config, options.host) && config.tls.mode === 'self-signed' ? [SELF_SIGNED] : [],
  };
  // What cannot stand in a snippet is said before anybody is kept waiting.
  const first = advise(question);
  if (options.probe !== true) return first;
  return advise({ ...question, survey: await look(cli, config, question, options) });
}

function isOwn(config: Config, host: string | undefined): boolean {
  return host !== undefined && canonicalDomain(host) === config.hostname;
}

/** Of this very server, by its name: what it listens on. It may not have been given the usual ports. */
function ownPorts(config: Config, serverFile: string, host: string | undefined): readonly ServedPort[] | null {
  if (!isOwn(config, host)) return null;
  try {
    const { listeners } = JSON.parse(readFileSync(serverFile, 'utf8')) as { listeners: readonly { profile: string; port: number; tls: string }[] };
    const served = listeners.filter(({ profile }) => profile !== 'mx').map(({ port, tls }): ServedPort => ({ port, tls: tls === 'implicit' ? 'implicit' : 'starttls' }));
    return served.length === 0 ? null : served;
  } catch {
    // It does not run here.
    return null;
  }
}

async function look(cli: Cli, config: Config, question: Question, options: Options): Promise<Survey> {
  const timeoutMs = options.timeout * 1000;
  const resolver = openResolver({ servers: config.dns.servers, dnssec: config.dns.dnssec, timeoutMs: Math.min(config.dns.timeoutMs, timeoutMs), clock: systemClock });
  try {
    const settings = {
      resolver,
      timeoutMs,
      limitMs: timeoutMs * 3,
      context: outboundTls({ caFile: options.caFile ?? config.delivery.caFile }).secureContext,
      helo: canonicalDomain(systemHostname()) ?? 'localhost',
    };
    return await lookAround(question, { ...settings, references: options.reference.map(checkedHost), begun: (what) => cli.out.note(`${what} ...`) });
  } finally {
    resolver.close();
  }
}

function list(cli: Cli, what: 'libraries' | 'providers'): void {
  if (what === 'libraries') {
    if (cli.json) return cli.out.json(LIBRARIES.map(({ id, name, language, aliases = [] }) => ({ id, name, language, aliases })));
    return cli.out.table(
      ['ID', 'NAME', 'LANGUAGE', 'ALSO'],
      LIBRARIES.map(({ id, name, language, aliases = [] }) => [id, name, language, aliases.join(', ')]),
    );
  }
  if (cli.json) return cli.out.json(PROVIDERS.map(({ id, name, host, ports, aliases = [] }) => ({ id, name, host, ports, aliases })));
  cli.out.table(
    ['ID', 'NAME', 'HOST', 'PORTS', 'ALSO'],
    PROVIDERS.map(({ id, name, host, ports, aliases = [] }) => [id, name, host, ports.map(({ port }) => port).join(', '), aliases.join(', ')]),
  );
}

function checkedHost(text: string): string {
  const host = text.trim().replace(/\.$/, '').toLowerCase();
  if (/^[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?$/.test(host) || /^[0-9a-f:.]+$/.test(host)) return host;
  throw usage(`${JSON.stringify(text)} is neither a host name nor an IP address.`, 'Write it like smtp.example.com; ports go to --ports.');
}
