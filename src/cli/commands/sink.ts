// `postern sink`: a receiver for tests and staging, with personalities. Takes mail for anybody and delivers none of it; ends on SIGINT, SIGTERM,
// or after so many messages, and says what came.

import { randomInt } from 'node:crypto';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { Option } from 'commander';
import type { Command } from 'commander';
import { isImplicitTlsPort } from '#base/ports.ts';
import { systemClock } from '#base/clock.ts';
import { PosternError, errorCode, errorText } from '#base/failure.ts';
import { readLogin } from '#cli/login.ts';
import type { Cli } from '#cli/main.ts';
import { listText, readBehaviour } from '#cli/sink/choice.ts';
import { eventText, summaryText } from '#cli/sink/text.ts';
import { parseSize } from '#config/units.ts';
import { openSinkTls } from '#sink/certificates.ts';
import type { SinkTls } from '#sink/certificates.ts';
import type { SinkEvent } from '#sink/events.ts';
import { openMailbag } from '#sink/mailbag.ts';
import { PERSONALITIES } from '#sink/personalities.ts';
import { openSink } from '#sink/sink.ts';
import type { Sink } from '#sink/sink.ts';
import type { Settings } from '#sink/world.ts';
import { canonicalDomain } from '#smtp/address.ts';
import { collect, parseNumber, parsePort, usage } from '#cli/values.ts';

type Options = {
  port: number;
  address: string;
  socket?: string;
  lmtp?: boolean;
  personality?: string[];
  reply?: string[];
  list?: boolean;
  tls?: 'starttls' | 'implicit' | 'none';
  cert?: string;
  key?: string;
  writeCa?: string;
  auth?: boolean;
  user?: string;
  passwordFile?: string;
  hostname: string;
  size: number;
  recipients: number;
  save?: string;
  count?: number;
  within?: number;
  timeout: number;
  readyFile?: string;
  transcript?: boolean;
  quiet?: boolean;
  seed?: number;
};

const EXAMPLES = `
Examples:
  postern sink                                             takes everything on 127.0.0.1:1025
  postern sink --list                                      the personalities, and what each shows of a client
  postern sink --port 2525 --personality greylist=10s
  postern sink --personality starttls-plain,auth-fails     several at once
  postern sink --reply "gone@*=550 5.1.1 No such user" --reply "message=451 4.3.0 Later"
  postern sink --port 0 --ready-file sink.json --save mail --count 3 --within 60
  postern sink --write-ca ca.pem --auth --transcript       then: postern send --host localhost --port 1025 --ca-file ca.pem --to a@example.net ...
  postern sink --lmtp --socket /tmp/lmtp --reply "message:full@*=452 4.2.2 Mailbox full"
  postern --json sink                                      an event a line

--reply STEP[:PATTERN]=ACT; STEP is connect, ehlo, helo, starttls, auth, mail, rcpt, data, message (the end of the content), rset, noop, vrfy or quit;
PATTERN is of the recipient, sender, name or user, with * and ?; ACT is a reply ("451 4.7.1 Later"), drop, reset, stall, "raw TEXT" or "raw+drop TEXT".
The first rule that holds counts, and rules come before personalities.
The certificate is made at each start, by an authority that --write-ca writes for clients to trust; exactly one thing is wrong with a bad one.
Exit codes: 0 ended as asked; 1 --within passed before --count messages; 2 usage; 3 it cannot listen.`;

export function register(program: Command, cli: Cli): void {
  program
    .command('sink')
    .description('receive mail for tests: take it, or misbehave as asked; deliver none of it')
    .optionsGroup('Where:')
    .option('--port <port>', 'port to listen on; 0 for any', parsePort(0), 1025)
    .option('--address <address>', 'address to listen on', '127.0.0.1')
    .option('--socket <path>', 'listen on this Unix socket instead')
    .option('--lmtp', 'speak LMTP: LHLO, and an answer for each recipient')
    .optionsGroup('How it behaves:')
    .option('--personality <name[=value]>', 'how to behave (repeat for more, or with commas); see --list', collect)
    .option('--reply <rule>', 'STEP[:PATTERN]=ACT: what to say or do at this step (repeat for more)', collect)
    .option('--list', 'show all personalities, and end')
    .optionsGroup('Encryption and login:')
    .addOption(new Option('--tls <mode>', 'starttls (default), implicit (default on 465, 2465, 10465 and their like), or none').choices(['starttls', 'implicit', 'none']))
    .option('--cert <file>', 'show this certificate, PEM, with --key; default: one made now')
    .option('--key <file>', 'its private key, PEM')
    .option('--write-ca <file>', 'write the authority of the certificate there, for clients to trust')
    .option('--auth', 'offer AUTH over TLS and want it before MAIL; any login is taken, unless --user is given')
    .option('--user <name>', 'take this login only; with --auth')
    .option('--password-file <file>', 'file with its password; - reads standard input')
    .option('--hostname <name>', 'name in the greeting and on the certificate', 'localhost')
    .optionsGroup('What it takes and keeps:')
    .addOption(new Option('--size <size>', 'largest message, like 10MB').argParser(parseBytes).default(50_000_000, '50MB'))
    .option('--recipients <number>', 'most recipients of a message', parseNumber('--recipients', 1_000_000), 1000)
    .option('--save <dir>', 'keep each message in this directory: ID.eml as it came, ID.json with the envelope')
    .option('--count <number>', 'end after so many messages', parseNumber('--count', 1_000_000_000))
    .option('--within <seconds>', 'end with exit code 1 when --count messages have not come in this time', parseNumber('--within', 86_400))
    .optionsGroup('How long, and what it shows:')
    .option('--timeout <seconds>', 'patience with a client that says nothing', parseNumber('--timeout', 86_400), 300)
    .option('--ready-file <file>', 'write {"pid", "address", "port", "tls", "caFile"} there as JSON once it listens')
    .option('--transcript', 'show what is said, too, without passwords')
    .option('--quiet', 'show only the summary')
    .option('--seed <number>', 'for personalities of chance: the same number gives the same chances', parseNumber('--seed', 4_294_967_295))
    .addHelpText('after', EXAMPLES)
    .action((options: Options) => sink(cli, options));
}

async function sink(cli: Cli, options: Options): Promise<void> {
  if (options.list === true) return cli.json ? cli.out.json(PERSONALITIES) : cli.out.text(listText(Math.min(process.stdout.columns ?? 120, 140)));
  const ended = Promise.withResolvers<'signal' | 'count' | 'late'>();
  let messages = 0;
  const emit = (event: SinkEvent): void => {
    tell(cli, options, event);
    if (event.event === 'message' && ++messages === options.count) ended.resolve('count');
  };
  const settings = readSettings(cli, options, emit);
  const tls = readTls(options, settings);
  if (options.readyFile !== undefined) rmSync(options.readyFile, { force: true });
  const startMs = performance.now();
  const open = await listen(settings, tls, options);
  const signalled = (): void => ended.resolve('signal');
  process.once('SIGINT', signalled).once('SIGTERM', signalled);
  if (options.within !== undefined) setTimeout(() => ended.resolve('late'), options.within * 1000).unref();
  announce(cli, options, { settings, open });
  const why = await ended.promise;
  // A second signal does not wait.
  process.once('SIGINT', () => process.exit(0)).once('SIGTERM', () => process.exit(0));
  await open.close();
  if (options.readyFile !== undefined) rmSync(options.readyFile, { force: true });
  summarize(cli, open, { seconds: (performance.now() - startMs) / 1000, why });
  if (why === 'late') {
    cli.out.note(`${open.counts.messages} of ${options.count} messages came within ${options.within} seconds`);
    process.exitCode = 1;
  }
}

function readSettings(cli: Cli, options: Options, emit: Settings['emit']): Settings {
  const behaviour = readBehaviour(options.personality ?? [], options.reply ?? []);
  if (isIP(options.address) === 0) throw usage(`--address ${JSON.stringify(options.address)} is no IP address.`, 'Write it like 127.0.0.1 or ::1.');
  if (canonicalDomain(options.hostname) === null) throw usage(`--hostname ${JSON.stringify(options.hostname)} is no host name.`, 'Write it like mx.example.com.');
  if (options.within !== undefined && options.count === undefined) throw usage('--within needs a number of messages to wait for.', 'Give it with --count.');
  const login = readLogin(cli, options);
  const auth = options.auth === true || login !== null || behaviour.knobs.auth === true;
  const tls = options.tls ?? (options.socket !== undefined ? 'none' : isImplicitTlsPort(Number(options.port)) ? 'implicit' : 'starttls');
  if (auth && tls === 'none' && behaviour.knobs.authInClear !== true)
    throw usage('AUTH is offered over TLS only, and there is none.', 'Leave --tls none out, or say --personality auth-in-clear.');
  return {
    hostname: options.hostname,
    protocol: options.lmtp === true ? 'lmtp' : 'smtp',
    tls,
    behaviour,
    auth,
    login,
    sizeBytes: options.size,
    recipients: options.recipients,
    timeoutMs: options.timeout * 1000,
    mailbag: options.save === undefined ? null : openDirectory(options.save),
    transcript: options.transcript === true,
    seed: options.seed ?? randomInt(2 ** 32),
    clock: systemClock,
    emit,
  };
}

function readTls(options: Options, { behaviour, hostname }: Settings): SinkTls {
  const { cert, key, writeCa } = options;
  if ((cert === undefined) !== (key === undefined)) throw usage('A certificate needs its key, and a key its certificate.', 'Give both --cert and --key.');
  const { certificate = null, tlsVersions = null } = behaviour.knobs;
  if (cert !== undefined && certificate !== null) throw usage('A certificate of yours cannot be made bad.', 'Leave out --cert, or the cert- personality.');
  const own = cert === undefined || key === undefined ? null : { cert: readText(cert, '--cert'), key: readText(key, '--key') };
  const names = [...new Set([hostname, 'localhost', '127.0.0.1', '::1', options.address])].filter((name) => name !== '0.0.0.0' && name !== '::');
  let tls: SinkTls;
  try {
    tls = openSinkTls({ names, fault: certificate, versions: tlsVersions, own, nowMs: Date.now() });
  } catch (error) {
    throw usage(`The certificate ${cert} and its key cannot be used: ${errorText(error)}.`, 'Give a PEM certificate with its chain, and the key that belongs to it.');
  }
  if (writeCa !== undefined) {
    if (tls.authority === null) throw usage('The authority of a certificate of yours is not known here.', 'Leave out --write-ca, or --cert and --key.');
    writeWhole(writeCa, tls.authority, '--write-ca');
  }
  return tls;
}

async function listen(settings: Settings, tls: SinkTls, { address, port, socket }: Options): Promise<Sink> {
  try {
    return await openSink(settings, tls, socket === undefined ? { address, port } : { socket });
  } catch (error) {
    const code = errorCode(error);
    if (socket !== undefined)
      throw new PosternError(
        {
          code: 'not-listening',
          cause: code === 'EADDRINUSE' ? `The socket ${socket} is there already.` : `Nothing can listen on ${socket}: ${errorText(error)}.`,
          fix: code === 'EADDRINUSE' ? 'Stop who listens on it, or remove it if nobody does.' : 'Give a path in a directory that this account may write to.',
        },
        { cause: error },
      );
    const [cause, fix] =
      code === 'EADDRINUSE'
        ? [`Another program listens on ${address} port ${port} already.`, `Stop it ("ss -ltnp sport = :${port}" names it), or give another --port; 0 takes any.`]
        : code === 'EACCES'
          ? [`This account may not bind port ${port}.`, 'Give a --port of 1024 or higher.']
          : [`Nothing can listen on ${address} port ${port}: ${errorText(error)}.`, 'Give an --address of this machine.'];
    throw new PosternError({ code: 'not-listening', cause, fix }, { cause: error });
  }
}

function announce(cli: Cli, options: Options, { settings, open }: { settings: Settings; open: Sink }): void {
  const { behaviour, tls, auth, seed } = settings;
  const { address, port } = open;
  const caFile = options.writeCa ?? null;
  if (options.readyFile !== undefined) writeWhole(options.readyFile, `${JSON.stringify({ pid: process.pid, address, port, tls, caFile })}\n`, '--ready-file');
  const chance = behaviour.rules.some(({ when }) => when.is === 'chance');
  if (cli.json) return line({ event: 'listening', pid: process.pid, address, port, tls, auth, personalities: behaviour.names, caFile, ...(chance ? { seed } : {}) });
  const how = { starttls: 'STARTTLS', implicit: 'TLS from the first byte', none: 'no TLS' }[tls];
  const names = behaviour.names.length === 0 ? '' : `; ${behaviour.names.join(', ')}${chance ? ` (--seed ${seed})` : ''}`;
  cli.out.text(
    `listening on ${address}${port === null ? '' : ` port ${port}`}, ${settings.protocol === 'lmtp' ? 'LMTP, ' : ''}${how}${auth ? ', AUTH' : ''}${names}. Mail ends here: none is delivered. Ctrl-C ends the sink.`,
  );
  if (port !== null && !/^(127\.|::1$)/.test(address)) cli.out.note(`Everybody who reaches ${address} can send mail here: whatever is meant for somebody is lost.`);
}

function tell(cli: Cli, options: Options, event: SinkEvent): void {
  if (cli.json) return line({ ...event, at: new Date().toISOString() });
  if (options.quiet === true) return;
  const text = eventText(event);
  if (text !== null) cli.out.text(text);
}

function summarize(cli: Cli, open: Sink, { seconds, why }: { seconds: number; why: string }): void {
  const { refused, acted, ...counts } = open.counts;
  if (cli.json) return line({ event: 'summary', why, seconds, ...counts, refused: Object.fromEntries(refused), acted: Object.fromEntries(acted) });
  cli.out.text(summaryText(open.counts, seconds));
}

function line(value: Readonly<Record<string, unknown>>): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

function openDirectory(path: string): ReturnType<typeof openMailbag> {
  try {
    return openMailbag(path);
  } catch (error) {
    throw usage(`The directory ${path} cannot be made: ${errorText(error)}.`, 'Give --save a directory that this account may write to.');
  }
}

function readText(path: string, option: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw usage(`The file ${path} cannot be read: ${errorText(error)}.`, `Check the path given to ${option}.`);
  }
}

/** Readers see all of it or nothing. */
function writeWhole(path: string, text: string, option: string): void {
  try {
    const draft = `${path}.${process.pid}.tmp`;
    writeFileSync(draft, text);
    renameSync(draft, path);
  } catch (error) {
    throw usage(`The file ${path} cannot be written: ${errorText(error)}.`, `Give ${option} a path that this account may write to.`);
  }
}

function parseBytes(text: string): number {
  const bytes = parseSize(text);
  if (bytes === null || bytes < 1) throw usage(`--size ${JSON.stringify(text)} is not a size.`, 'Write it like 500kB or 10MB.');
  return bytes;
}
