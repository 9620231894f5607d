// `postern sendmail`: the classic command, for programs that hand mail to /usr/sbin/sendmail. Its arguments are its own, and so are its exit codes
// (sysexits); the message is handed over to the server, and 0 means that it is on disk there.

import { readFileSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';
import type { Command } from 'commander';
import { PosternError, errorText } from '#base/failure.ts';
import { openApi } from '#cli/api.ts';
import type { Cli } from '#cli/main.ts';
import { safe } from '#cli/output.ts';
import { EX, ask, handOver } from '#cli/sendmail/handover.ts';
import { makeReady, readContent } from '#cli/sendmail/message.ts';
import type { Account } from '#cli/sendmail/message.ts';
import { parseSendmail } from '#cli/sendmail/options.ts';
import type { Wanted } from '#cli/sendmail/options.ts';
import { findPlace } from '#cli/sendmail/place.ts';
import type { Place } from '#cli/sendmail/place.ts';
import { canonicalDomain } from '#smtp/address.ts';

/** The server has its own limit, which is almost always less. */
const LIMIT_BYTES = 512 * 1024 * 1024;

const HELP = `
Options (those of sendmail that ask for something here; all others of it are taken and ignored):
  -t                 recipients are in the header: To, Cc, Bcc; Bcc is taken out
  -f ADDRESS         the sender of the envelope (also -r); <> for none
  -F NAME            the name in the From field, if the message has none
  -i, -oi            a line with a single dot does not end the message
  -N WHEN            notifications: never, or success,failure,delay
  -R full|hdrs       how much of the message comes back with them
  -V ID              what they call the message
  -bs                SMTP on standard input and output
  -bp                show the queue (mailq)
  -q                 try all that waits now
  -bi                does nothing: there is no alias file (newaliases)
  --                 what follows are recipients

Examples:
  postern sendmail -t < message.eml
  echo "The backup is done." | postern sendmail -f backup@example.com admin@example.com
  ln -s /opt/postern/bin/postern /usr/sbin/sendmail     the name says which command it is (also mailq, newaliases)

Exit codes (sysexits): 0 the server has it on disk; 64 usage; 65 the message or an address is not valid; 69 refused for good; 75 not now, try again
(the server does not run, is full, or a rate is exceeded); 77 this account, or sender, may not; 78 /etc/postern/sendmail.toml is not valid.`;

/** For the help and the reference page; the program runs it by `runSendmail`, as its arguments are not read like those of other commands. */
export function register(program: Command, _cli: Cli): void {
  program
    .command('sendmail')
    .description('hand mail over like the classic sendmail command')
    .argument('[recipients...]')
    .helpOption('--help', 'display help for command')
    .allowUnknownOption()
    .addHelpText('after', HELP);
}

/** Runs with the arguments of the classic command. Returns the exit code; never rejects. */
export async function runSendmail(args: readonly string[], cli: Pick<Cli, 'env'>, dataDir: string | null): Promise<number> {
  const wanted = parseSendmail(args);
  if ('misuse' in wanted) return fail(EX.usage, `${wanted.misuse}.`);
  try {
    return await run(wanted, findPlace(dataDir, cli.env), cli.env);
  } catch (error) {
    if (error instanceof PosternError) {
      const code = error.exitCode === 2 ? EX.config : EX.tempFail;
      return fail(code, `${error.failure.cause} ${error.failure.fix}`);
    }
    return fail(EX.software, `${errorText(error)}. This is a fault of Postern; please report it.`);
  }
}

async function run(wanted: Wanted, place: Place, env: Cli['env']): Promise<number> {
  switch (wanted.do) {
    case 'aliases':
      process.stderr.write('sendmail: there is no alias file to rebuild: [[forward]] in the configuration of the server says where mail of an address goes.\n');
      return EX.ok;
    case 'queue':
      return showQueue(place);
    case 'flush':
      await manager(place).change('retry', { by: 'all' });
      return EX.ok;
    case 'smtp':
      return speakSmtp(place, env);
    case 'send':
      return send(wanted, place, env);
  }
}

async function send(wanted: Extract<Wanted, { do: 'send' }>, place: Place, env: Cli['env']): Promise<number> {
  const given = await readContent(process.stdin, { dots: wanted.dots, limitBytes: LIMIT_BYTES });
  if (given === undefined) return fail(EX.unavailable, `the message has more than ${LIMIT_BYTES} bytes.`);
  const account = await accountOf(place, env);
  const ready = makeReady(given, wanted, account);
  if ('misuse' in ready) return fail(wanted.to.length === 0 && !wanted.fromHeader ? EX.usage : EX.dataError, `${ready.misuse}.`);
  const { notify, ret, envid } = wanted;
  const { code, text } = await handOver(place, account.name, { ...ready, notify, ret, envid });
  return code === EX.ok ? EX.ok : fail(code, text);
}

async function speakSmtp(place: Place, env: Cli['env']): Promise<number> {
  const { speak } = await import('#cli/sendmail/dialogue.ts');
  const account = await accountOf(place, env);
  await speak({
    hostname: canonicalDomain(hostname()) ?? 'localhost',
    input: process.stdin,
    output: process.stdout,
    limitBytes: LIMIT_BYTES,
    handOver: (handed) => handOver(place, account.name, handed),
  });
  return EX.ok;
}

async function showQueue(place: Place): Promise<number> {
  const { recipients, next } = await manager(place).queue({ limit: '1000' });
  const waiting = recipients.filter((row) => row.state !== 'captured');
  if (waiting.length === 0) {
    process.stdout.write('Mail queue is empty\n');
    return EX.ok;
  }
  const lines = waiting.map((row) => {
    const { lastOutcome } = row;
    const why = lastOutcome === null ? '' : `\n    (${lastOutcome.code} ${lastOutcome.text})`;
    return `${row.id}  ${String(row.sizeBytes).padStart(9)}  ${row.acceptedAt}  ${row.state.padEnd(8)}  ${row.from || '<>'} -> ${row.to}${why}`;
  });
  process.stdout.write(`${safe(lines.join('\n'))}\n${next === null ? '' : 'There are more: postern queue list\n'}`);
  return EX.ok;
}

/** What an operator may; throws PosternError where there is no management socket. */
function manager(place: Place): ReturnType<typeof openApi> {
  if ('socket' in place.to && place.to.socket.endsWith('/postern.sock')) return openApi({ dataDir: place.to.socket.slice(0, -'/postern.sock'.length) });
  throw new PosternError(
    {
      code: 'not-managed-here',
      cause: 'Mail is handed over to a server whose management socket is not known here.',
      fix: 'Name its data directory: postern --data DIR sendmail ...',
    },
    { exitCode: 2 },
  );
}

async function accountOf(place: Place, env: Cli['env']): Promise<Account> {
  const name = accountName(env);
  const domain = await domainOf(place, name);
  return { name, fullName: env['NAME'] ?? '', domain: () => domain };
}

/** Of addresses without one: what the settings say, the name the server gives itself, or that of the machine. */
async function domainOf({ domain, to }: Place, account: string): Promise<string> {
  if (domain !== null) return domain;
  if ('socket' in to) {
    try {
      const { status, text } = await ask(to.socket, { method: 'GET', path: '/v1/server', account });
      if (status === 200) return (JSON.parse(text) as { hostname: string }).hostname;
    } catch {
      // Handing over will tell that there is no server.
    }
  }
  return mailName() ?? canonicalDomain(hostname()) ?? 'localhost';
}

/** What Debian calls the machine in mail. */
function mailName(): string | null {
  try {
    return canonicalDomain(readFileSync('/etc/mailname', 'utf8').trim());
  } catch {
    return null;
  }
}

function accountName(env: Cli['env']): string {
  try {
    return userInfo().username;
  } catch {
    return env['LOGNAME'] ?? env['USER'] ?? String(process.getuid?.() ?? 'nobody');
  }
}

function fail(code: number, text: string): number {
  process.stderr.write(`sendmail: ${safe(text)}\n`);
  return code;
}
