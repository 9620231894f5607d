// `postern send`: one message, with everything that is said. Without a port it climbs the ladder 465 -> 587 -> 2525; TLS is required unless
// --tls none is said, and a rung without it is left, not used.

import { hostname as systemHostname } from 'node:os';
import { styleText } from 'node:util';
import { Option } from 'commander';
import type { Command } from 'commander';
import { PosternError } from '#base/failure.ts';
import type { Cli } from '#cli/main.ts';
import { readMessage, testMessage } from '#cli/send/message.ts';
import { readLogin } from '#cli/login.ts';
import { safe } from '#cli/output.ts';
import { planTarget } from '#cli/send/plan.ts';
import type { Rung, Target, TlsOption } from '#cli/send/plan.ts';
import { transact } from '#cli/send/transaction.ts';
import type { Said } from '#cli/send/transaction.ts';
import { canonicalDomain, parseMailbox } from '#smtp/address.ts';
import type { Address, ReversePath } from '#smtp/address.ts';
import { connectClient } from '#smtp/client.ts';
import type { ClientFailure, RecipientReply, SmtpClient } from '#smtp/client.ts';
import { explainFailure, explainReply } from '#knowledge/explain.ts';
import type { Explanation } from '#knowledge/explain.ts';
import { Recorder } from '#smtp/transcript.ts';
import type { TranscriptEntry } from '#smtp/transcript.ts';
import { outboundTls } from '#tls/context.ts';

type Options = {
  to?: string[];
  from?: string;
  host?: string;
  port?: number;
  tls?: TlsOption;
  user?: string;
  passwordFile?: string;
  file?: string;
  subject: string;
  body: string;
  timeout: number;
  caFile?: string;
  insecure?: boolean;
};

type Attempt = {
  readonly address: string;
  readonly port: number;
  readonly encryption: string;
  readonly transcript: readonly TranscriptEntry[];
  readonly failure: (Explanation & { readonly text: string }) | null;
};
type Replied = { readonly to: string; readonly accepted: boolean; readonly code: number; readonly enhanced: string; readonly text: string; readonly failure: Explanation | null };

const EXAMPLES = `
Examples:
  postern send --to friend@example.net --user first --password-file secret.txt
  postern send --host smtp.example.com --user me --password-file secret.txt --from me@example.com --to friend@example.net
  postern send --host mx.example.net --port 25 --to postmaster@example.net --from me@example.com
  postern send --host 127.0.0.1 --port 1025 --tls none --to a@example.net --file message.eml

Without --port the ladder 465, 587, 2525 is climbed until one works. Without --host the message goes to the server of the data directory.
The password comes from --password-file (- reads it from standard input) or from POSTERN_PASSWORD, never from an argument.
Exit codes: 0 accepted for all recipients; 1 refused or failed; 2 usage; 3 no connection.`;

export function register(program: Command, cli: Cli): void {
  program
    .command('send')
    .description('send one message and show what is said')
    .option('--to <address>', 'recipient (repeat for more); needed', collect)
    .option('--from <address>', 'sender; "<>" for none (default: postern@ and the name of this machine)')
    .option('--host <host>', 'server to send to (default: the one of the data directory)')
    .option('--port <port>', 'only this port (default: 465, then 587, then 2525)', parsePort)
    .addOption(
      new Option('--tls <mode>', 'require (default): TLS from the first byte on ports ending in 465, else STARTTLS; implicit: from the first byte; none: in the clear').choices([
        'require',
        'implicit',
        'none',
      ]),
    )
    .option('--user <name>', 'log in as this user')
    .option('--password-file <file>', 'file with the password; - reads standard input')
    .option('--file <file>', 'send this message instead of a test message; - reads standard input')
    .option('--subject <text>', 'subject of the test message', 'Test message from Postern')
    .option('--body <text>', 'text of the test message', 'This message was sent by "postern send".')
    .option('--timeout <seconds>', 'patience with each step', parseSeconds, 30)
    .option('--ca-file <file>', 'more authorities to trust, PEM')
    .option('--insecure', 'accept any certificate (it is still looked at, and told)')
    .addHelpText('after', EXAMPLES)
    .action((options: Options) => send(cli, options));
}

async function send(cli: Cli, options: Options): Promise<void> {
  if (options.to === undefined) throw usage('No recipient was given.', 'Name one with --to name@example.com.');
  const name = canonicalDomain(systemHostname()) ?? 'localhost';
  const from = parseFrom(options.from ?? `postern@${name.includes('.') ? name : `${name}.localdomain`}`);
  const to = options.to.map((text) => parseAddress(text, '--to'));
  if (options.passwordFile === '-' && options.file === '-') throw usage('Standard input cannot be both the password and the message.', 'Give one of them as a file.');
  const content =
    options.file === undefined ? testMessage({ from, to, subject: options.subject, text: options.body, hostname: name, nowMs: Date.now() }) : readMessage(options.file);
  const auth = readLogin(cli, options);
  const target = await planTarget({
    host: options.host ?? null,
    port: options.port ?? null,
    tls: options.tls ?? null,
    dataDir: cli.dataDir(),
    certificates: serverCertificates(cli),
  });
  const context = outboundTls({ caFile: options.caFile ?? null, trusted: target.trusted }).secureContext;
  const attempts: Attempt[] = [];
  for (const rung of target.rungs) {
    const done = await tryRung({ cli, options, target, rung, auth, context, name, attempts });
    if (done === 'next') continue;
    if (done === 'stop') break;
    const said = await transact(done.client, { from, to, content }, cli.out.note);
    await done.client.quit();
    return finish(cli, { target, rung, client: done.client, attempts, said, to });
  }
  return failedAll(cli, target, attempts);
}

type Trying = {
  readonly cli: Cli;
  readonly options: Options;
  readonly target: Target;
  readonly rung: Rung;
  readonly auth: { username: string; password: string } | null;
  readonly context: ReturnType<typeof outboundTls>['secureContext'];
  readonly name: string;
  readonly attempts: Attempt[];
};

/** All addresses on one rung. */
async function tryRung({ cli, options, target, rung, auth, context, name, attempts }: Trying): Promise<{ client: SmtpClient } | 'next' | 'stop'> {
  const timeoutMs = options.timeout * 1000;
  for (const address of target.addresses) {
    const encryption = { implicit: 'TLS from the first byte', 'starttls-required': 'STARTTLS required', 'starttls-opportunistic': 'STARTTLS', none: 'no TLS' }[rung.wanted];
    cli.out.note(`${target.host} [${address}] port ${rung.port}, ${encryption}`);
    const recorder = new Recorder((entry) => printEntry(entry));
    const result = await connectClient({
      protocol: 'smtp',
      target: { address, port: rung.port },
      helo: name,
      ...(auth === null ? {} : { auth }),
      recorder,
      tls: { wanted: rung.wanted, serverName: target.host, verify: options.insecure !== true, context },
      timeouts: { connectMs: Math.min(timeoutMs, 10_000), greetingMs: timeoutMs, commandMs: timeoutMs, dataMs: timeoutMs * 2 },
    });
    if ('client' in result) {
      attempts.push({ address, port: rung.port, encryption, transcript: recorder.entries, failure: null });
      return result;
    }
    const failure = { ...explainFailure(result.failure, { host: target.host, port: rung.port }), text: result.failure.text };
    attempts.push({ address, port: rung.port, encryption, transcript: recorder.entries, failure });
    cli.out.note(`  ${failure.cause}`);
    // A wrong password is wrong on every rung; that there is no login today, or a password would go in the clear, is not.
    if (result.failure.phase === 'auth' && (result.failure.reply?.code ?? 0) >= 500) return 'stop';
  }
  return 'next';
}

function finish(cli: Cli, of: { target: Target; rung: Rung; client: SmtpClient; attempts: readonly Attempt[]; said: Said; to: readonly Address[] }): void {
  const { target, rung, client, attempts, said, to } = of;
  const explain = (failed: ClientFailure): Explanation => explainFailure(failed, { host: target.host, port: rung.port });
  const failure = 'kind' in said ? { ...explain(said), text: said.text } : null;
  const replied: Replied[] = 'kind' in said ? [] : said.map((one, i) => ({ to: to[i]?.text ?? '', ...('kind' in one ? unasked(one, explain(one)) : told(one, target.host)) }));
  const ok = failure === null && replied.every((one) => one.accepted);
  if (!ok) process.exitCode = 1;
  const tls = client.tls === null ? null : `${client.tls.protocol} ${client.tls.cipher}, ${client.tls.problem ?? 'certificate verified'}`;
  if (cli.json) return cli.out.json({ ok, host: target.host, port: rung.port, tls, replies: replied, failure, transcript: attempts.at(-1)?.transcript ?? [], attempts });
  for (const one of replied) {
    cli.out.text(`${one.accepted ? 'accepted' : 'refused '}  ${one.to}  ${[one.code, one.enhanced, one.text].filter((part) => part !== '' && part !== 0).join(' ')}`);
    if (one.failure !== null) cli.out.text(`cause     ${one.failure.cause}\nfix       ${one.failure.fix}`);
  }
  if (failure !== null) cli.out.text(`failed    ${failure.text}\ncause     ${failure.cause}\nfix       ${failure.fix}`);
}

function told({ accepted, reply }: RecipientReply, host: string): Omit<Replied, 'to'> {
  return { accepted, code: reply.code, enhanced: reply.enhanced, text: reply.lines.join(' '), failure: accepted ? null : explainReply(reply, host) };
}

/** A recipient this server cannot have. */
function unasked({ text }: ClientFailure, failure: Explanation): Omit<Replied, 'to'> {
  return { accepted: false, code: 0, enhanced: '', text, failure };
}

/** No rung worked. */
function failedAll(cli: Cli, target: Target, attempts: readonly Attempt[]): void {
  const refused = attempts.some((attempt) => attempt.failure !== null && attempt.transcript.some((entry) => entry.direction === '<'));
  process.exitCode = refused ? 1 : 3;
  const last = attempts.at(-1)?.failure ?? null;
  if (cli.json) return cli.out.json({ ok: false, host: target.host, port: null, tls: null, replies: [], failure: last, transcript: attempts.at(-1)?.transcript ?? [], attempts });
  cli.out.text('not sent');
  for (const { address, port, failure } of attempts)
    if (failure !== null) cli.out.text(`  [${address}] port ${port}: ${failure.text}\n    cause  ${failure.cause}\n    fix    ${failure.fix}`);
}

const STYLES = { '>': 'cyan', '<': 'green', '*': 'dim' } as const;

function printEntry({ direction, text }: TranscriptEntry): void {
  const line = `  ${direction} ${safe(text.trimEnd().replaceAll('\r\n', `\n  ${direction} `))}`;
  process.stderr.write(`${process.stderr.isTTY ? styleText(STYLES[direction], line) : line}\n`);
}

/** The certificate of this server, when the configuration names one. */
function serverCertificates(cli: Cli): string[] {
  const named = cli.env['POSTERN_TLS__CERT'];
  return named === undefined ? [] : [named];
}

function parseFrom(text: string): ReversePath {
  return text === '<>' || text === '' ? null : parseAddress(text, '--from');
}

function parseAddress(text: string, option: string): Address {
  const address = parseMailbox(text.replace(/^<(.*)>$/, '$1'));
  if (address === null) throw usage(`${option} ${JSON.stringify(text)} is not a mail address.`, 'Write it like name@example.com.');
  return address;
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1 || port > 65_535) throw usage(`--port ${JSON.stringify(text)} is not a port.`, 'Write a number from 1 to 65535.');
  return port;
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (!(seconds > 0 && seconds <= 3600)) throw usage(`--timeout ${JSON.stringify(text)} is not a number of seconds.`, 'Write a number from 1 to 3600.');
  return seconds;
}

function usage(cause: string, fix: string): PosternError {
  return new PosternError({ code: 'usage', cause, fix }, { exitCode: 2 });
}

function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}
