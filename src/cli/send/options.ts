// The options of `postern send` and what each takes; what they mean together is read in request.ts and plan.ts.

import { Option } from 'commander';
import type { Command } from 'commander';
import type { ClientMechanism } from '#smtp/client.ts';
import type { TlsOption } from './plan.ts';
import { parseNumber, parsePort, parseSeconds, usage } from '#cli/values.ts';

export type Options = {
  readonly to: readonly string[];
  readonly cc: readonly string[];
  readonly bcc: readonly string[];
  readonly from?: string;
  readonly mailFrom?: string;
  readonly host?: string;
  readonly port?: number;
  readonly ipv4?: boolean;
  readonly ipv6?: boolean;
  readonly localAddress?: string;
  readonly lmtp?: boolean;
  readonly socket?: string;
  readonly helo?: string;
  readonly timeout: number;
  readonly tls?: TlsOption;
  readonly tlsServerName?: string;
  readonly caFile?: string;
  readonly insecure?: boolean;
  readonly user?: string;
  readonly passwordFile?: string;
  readonly auth?: ClientMechanism;
  readonly file?: string;
  readonly subject: string;
  readonly body: string;
  readonly html?: string;
  readonly attach: readonly string[];
  readonly header: readonly string[];
  readonly utf8?: boolean;
  readonly notify?: string;
  readonly ret?: 'full' | 'hdrs';
  readonly envid?: string;
  readonly orcpt: readonly string[];
  readonly requiretls?: boolean;
  readonly without: readonly string[];
  readonly proxySource?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly quitAfter?: 'ehlo' | 'auth' | 'rcpt';
  readonly dryRun?: boolean;
  readonly quiet?: boolean;
  readonly count: number;
  readonly connections: number;
  readonly perConnection?: number;
  readonly rate?: number;
  readonly loadHost?: string;
};

/** What may be said again and again, and was not said at all. */
export const NOTHING = { to: [], cc: [], bcc: [], attach: [], header: [], orcpt: [], without: [] } as const;

const MECHANISMS: readonly ClientMechanism[] = ['PLAIN', 'LOGIN', 'SCRAM-SHA-256', 'SCRAM-SHA-256-PLUS', 'XOAUTH2', 'OAUTHBEARER', 'CRAM-MD5'];

const EXAMPLES = `
Examples:
  postern send --to friend@example.net --user first --password-file secret.txt
  postern send --host smtp.example.com --user me --password-file secret.txt --from "Me <me@example.com>" --to friend@example.net
  postern send --host mx.example.net --port 25 --to postmaster@example.net --from me@example.com
  postern send --host 127.0.0.1 --port 1025 --tls none --to a@example.net --file message.eml
  postern send --to a@example.net --cc b@example.net --bcc c@example.net --subject Report --body @report.txt --attach report.pdf
  postern send --to a@example.net --attach "data.bin;type=text/csv;name=Übersicht.csv" --header "X-Test: 1"
  postern send --to a@example.net --notify success,failure --ret hdrs --envid order-17
  postern send --host mx.example.net --port 25 --to a@example.net --quit-after rcpt
  postern send --host mail.example.com --user me --password-file secret.txt --quit-after auth
  postern send --lmtp --socket /run/dovecot/lmtp --to a@example.net
  postern send --host 127.0.0.1 --port 1025 --ca-file ca.pem --to a@example.net --count 1000 --connections 10

Without --port the ladder 465, 587, 2525 is climbed until one works. Without --host the message goes to the server of the data directory.
The password comes from --password-file (- reads it from standard input) or from POSTERN_PASSWORD, never from an argument.
--body and --html take the text itself, @FILE, or - for standard input.
Load (--count above 1) is for servers of your own: this machine and private networks. Elsewhere it has to be confirmed by --load-host with the name of the host,
and is kept small.
Exit codes: 0 accepted for all recipients; 1 refused or failed; 2 usage; 3 no connection.`;

export function registerOptions(command: Command): Command {
  return command
    .optionsGroup('Who and to whom:')
    .option('--to <address>', 'recipient, as address or "Name <address>" (repeat for more, or with commas)', collect)
    .option('--cc <address>', 'recipient of a copy (repeat for more)', collect)
    .option('--bcc <address>', 'recipient that no header names (repeat for more)', collect)
    .option('--from <address>', 'author; "<>" for none (default: postern@ and the name of this machine)')
    .option('--mail-from <address>', 'sender of the envelope; "<>" for none (default: the author)')
    .optionsGroup('Where:')
    .option('--host <host>', 'server to send to (default: the one of the data directory)')
    .option('--port <port>', 'only this port (default: 465, then 587, then 2525)', parsePort(1))
    .option('-4, --ipv4', 'only its IPv4 addresses')
    .option('-6, --ipv6', 'only its IPv6 addresses')
    .option('--local-address <address>', 'address of this machine to send from')
    .option('--lmtp', 'speak LMTP, with an answer for each recipient (default port: 24)')
    .option('--socket <path>', 'Unix socket to send to, in the clear')
    .option('--helo <name>', 'name to say in EHLO (default: the name of this machine)')
    .option('--timeout <seconds>', 'patience with each step', parseSeconds('--timeout'), 30)
    .optionsGroup('Encryption and login:')
    .addOption(
      new Option(
        '--tls <mode>',
        'require (default): TLS from the first byte on 465, 2465, 10465 and their like, else STARTTLS; implicit: from the first byte; none: in the clear',
      ).choices(['require', 'implicit', 'none']),
    )
    .option('--tls-server-name <name>', 'name to ask for and to verify, where it is not the host')
    .option('--ca-file <file>', 'more authorities to trust, PEM')
    .option('--insecure', 'accept any certificate (it is still looked at, and told)')
    .option('--tls-cert <file>', 'show this certificate to the server, PEM, with --tls-key')
    .option('--tls-key <file>', 'its private key, PEM')
    .option('--user <name>', 'log in as this user')
    .option('--password-file <file>', 'file with the password; - reads standard input')
    .addOption(
      new Option('--auth <mechanism>', 'log in by this mechanism only (default: the best of SCRAM-SHA-256, PLAIN, LOGIN); for XOAUTH2 and OAUTHBEARER the password is the token')
        .choices(MECHANISMS)
        .argParser(parseMechanism),
    )
    .optionsGroup('The message:')
    .option('--file <file>', 'send this message instead of one that is made; - reads standard input')
    .option('--subject <text>', 'subject of the message', 'Test message from Postern')
    .option('--body <text>', 'text of the message', 'This message was sent by "postern send".')
    .option('--html <text>', 'the same as HTML')
    .option('--attach <file>', 'attach this file; ";type=TYPE" and ";name=NAME" may follow (repeat for more)', collect)
    .option('--header <field>', '"Name: value", in the place of fields of that name (repeat for more)', collect)
    .option('--utf8', 'write names, subject and --header in UTF-8 as they are, which needs SMTPUTF8')
    .optionsGroup('Delivery:')
    .option('--notify <list>', 'DSN wanted: never, or a list of success, failure, delay')
    .addOption(new Option('--ret <what>', 'what a DSN brings back').choices(['full', 'hdrs']))
    .option('--envid <text>', 'id of the envelope that a DSN repeats')
    .option('--orcpt <address>', 'original recipient, "rfc822;address" or the address (repeat: one for each recipient)', collect)
    .option('--requiretls', 'ask for TLS on every hop (REQUIRETLS)')
    .option('--without <extensions>', 'do not use these although they are offered, with commas: PIPELINING,CHUNKING,...', collectWords)
    .option('--proxy-source <address[:port]>', 'say a PROXY header first, with this client in it')
    .optionsGroup('What is done and shown:')
    .addOption(new Option('--quit-after <step>', 'send nothing: end after EHLO (and TLS), the login, or the recipients').choices(['ehlo', 'auth', 'rcpt']))
    .option('--dry-run', 'print the message, and connect to nobody')
    .option('--quiet', 'show the result only')
    .optionsGroup('Load:')
    .option('--count <number>', 'send so many messages, and measure', parseNumber('--count', 1_000_000), 1)
    .option('--connections <number>', 'on so many connections at once', parseNumber('--connections', 500), 1)
    .option('--per-connection <number>', 'open a new connection after so many messages', parseNumber('--per-connection', 1_000_000))
    .option('--rate <number>', 'no more than so many messages a second', parseNumber('--rate', 1_000_000))
    .option('--load-host <host>', 'confirm that this --host bears a load and may be loaded')
    .addHelpText('after', EXAMPLES);
}

function parseMechanism(text: string): ClientMechanism {
  const mechanism = MECHANISMS.find((one) => one === text.toUpperCase());
  if (mechanism === undefined) throw usage(`--auth ${JSON.stringify(text)} is not a mechanism of this client.`, `Write one of ${MECHANISMS.join(', ')}.`);
  return mechanism;
}

function collectWords(value: string, before: readonly string[] = []): string[] {
  return [
    ...before,
    ...value
      .toUpperCase()
      .split(',')
      .map((word) => word.trim()),
  ];
}

function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}
