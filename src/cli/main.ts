// The program: global options, the table of commands (each loaded only when it is called), and the one place where a failure becomes text and
// an exit code: 1 bad news, 2 usage or configuration, 3 the server cannot be reached or broke.

import { resolve } from 'node:path';
import { Command, CommanderError, Option } from 'commander';
import { PosternError, errorCode, errorText } from '#base/failure.ts';
import type { Failure } from '#base/failure.ts';
import type { LoadedConfig } from '#config/load.ts';
import { openOutput } from './output.ts';
import type { Output } from './output.ts';
import { packageVersion } from './version.ts';

/** What every command is handed. */
export type Cli = {
  readonly json: boolean;
  readonly out: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** As given, for messages; not resolved. */
  dataDir(): string;
  configFile(): string | null;
  /** Throws PosternError (exit code 2). */
  loadConfig(): Promise<LoadedConfig>;
};

type Registered = { readonly register: (program: Command, cli: Cli) => void };

/** Name, what `--help` says of it, and where it is. */
const COMMANDS: readonly { readonly name: string; readonly summary: string; readonly load: () => Promise<Registered> }[] = [
  { name: 'serve', summary: 'run the server', load: () => import('./commands/serve.ts') },
  { name: 'send', summary: 'send one message and show what is said', load: () => import('./commands/send.ts') },
  { name: 'sink', summary: 'receive mail for tests, or misbehave as asked', load: () => import('./commands/sink.ts') },
  { name: 'sendmail', summary: 'hand mail over like the classic sendmail command', load: () => import('./commands/sendmail.ts') },
  { name: 'message', summary: 'what became of every message', load: () => import('./commands/message.ts') },
  { name: 'queue', summary: 'see the queue and change it', load: () => import('./commands/queue.ts') },
  { name: 'credential', summary: 'who may submit mail', load: () => import('./commands/credential.ts') },
  { name: 'suppression', summary: 'addresses that get no more mail', load: () => import('./commands/suppression.ts') },
  { name: 'webhook', summary: 'have events told to a URL', load: () => import('./commands/webhook.ts') },
  { name: 'token', summary: 'who may use the HTTP API', load: () => import('./commands/token.ts') },
  { name: 'person', summary: 'who may sign in to the dashboard', load: () => import('./commands/person.ts') },
  { name: 'audit', summary: 'who changed what', load: () => import('./commands/audit.ts') },
  { name: 'domain', summary: 'domains that mail is sent from and received for', load: () => import('./commands/domain.ts') },
  { name: 'doctor', summary: 'what is wrong with an SMTP host or a mail domain', load: () => import('./commands/doctor.ts') },
  { name: 'advise', summary: 'which port and encryption to use, and a configuration that requires it', load: () => import('./commands/advise.ts') },
  { name: 'tls', summary: 'the certificates: see them, renew them', load: () => import('./commands/tls.ts') },
  { name: 'config', summary: 'check and show the configuration', load: () => import('./commands/config.ts') },
];

const EXAMPLES = `
Examples:
  postern serve                                     run the server here, data in ./data
  postern credential add app --domain example.com --live
  postern send --to friend@example.net --user app --password-file secret.txt
  postern message list --since 24h
  postern queue lanes
  postern doctor smtp.example.com                   what is wrong with a host, why, and what to do
  postern advise --scenario app --library django    which port, which encryption, and a configuration that requires it
  postern COMMAND --help                            more about a command, with examples

Exit codes: 0 done; 1 bad news (a delivery failed, nothing found); 2 usage or configuration; 3 the server cannot be reached or broke.`;

/** Runs the program with these arguments (without node and script). Returns the exit code; never rejects. */
export async function main(args: readonly string[], env: Readonly<Record<string, string | undefined>>): Promise<number> {
  const classic = classicArguments(args);
  if (classic !== null) {
    const { runSendmail } = await import('./commands/sendmail.ts');
    return runSendmail(classic.args, { env }, classic.dataDir ?? (env['POSTERN_DATA'] || null));
  }
  const program = createProgram();
  // Asked before the arguments are parsed, as they may be what is wrong.
  const asked = args.slice(0, args.includes('--') ? args.indexOf('--') : args.length).includes('--json');
  const cli = cliOf(program, { env, json: () => asked });
  let written = '';
  program.configureOutput({
    writeOut(text) {
      written += text;
      (asked ? process.stderr : process.stdout).write(text);
    },
    // Told with cause and fix, like everything else.
    outputError() {},
  });
  try {
    const wanted = commandName(args);
    for (const command of COMMANDS) {
      if (command.name === wanted) (await command.load()).register(program, cli);
      else program.command(command.name).description(command.summary).helpOption(false);
    }
    inherit(program);
    if (args.filter((arg) => arg !== '--json').length === 0) program.help({ error: true });
    await program.parseAsync(args, { from: 'user' });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) {
      if (asked) cli.out.json(error.code === 'commander.version' ? { version: written.trim() } : { help: written });
      return 0;
    }
    return failed(error, cli, args);
  }
}

/** The program with every command loaded, as the reference page shows it. */
export async function wholeProgram(): Promise<Command> {
  const program = createProgram();
  const cli = cliOf(program, { env: {}, json: () => false });
  for (const command of COMMANDS) (await command.load()).register(program, cli);
  inherit(program);
  return program;
}

function createProgram(): Command {
  return new Command('postern')
    .description('SMTP submission and relay server: accepts mail, delivers it, and explains what became of it.')
    .version(packageVersion(), '-V, --version')
    .addOption(new Option('--config <file>', 'configuration file (default: POSTERN_CONFIG, else ./postern.toml if it is there)'))
    .addOption(new Option('--data <dir>', 'data directory (default: POSTERN_DATA, else ./data)'))
    .option('--json', 'one JSON document on standard output')
    .addHelpText('after', EXAMPLES);
}

/** Errors are thrown, not ended with, and global options are told in every help. */
function inherit(command: Command): void {
  command.exitOverride().configureHelp({ showGlobalOptions: true });
  for (const child of command.commands) inherit(child);
}

function cliOf(program: Command, { env, json }: { env: Cli['env']; json: () => boolean }): Cli {
  const options = (): { config?: string; data?: string } => program.opts();
  const configFile = (): string | null => options().config ?? (env['POSTERN_CONFIG'] || null);
  return {
    get json() {
      return json();
    },
    out: openOutput({ json }),
    env,
    dataDir: () => options().data ?? (env['POSTERN_DATA'] || './data'),
    configFile,
    async loadConfig() {
      const { loadConfig } = await import('#config/load.ts');
      return loadConfig({ file: configFile(), env, directory: resolve('.') });
    },
  };
}

/** What stands behind `sendmail`: that command reads its arguments by itself, as the classic one does. Null: it is another command. */
function classicArguments(args: readonly string[]): { readonly args: readonly string[]; readonly dataDir: string | null } | null {
  const at = args.indexOf('sendmail');
  const before = args.slice(0, Math.max(at, 0));
  if (at === -1 || commandName(args.slice(0, at + 1)) !== 'sendmail' || args[at + 1] === '--help') return null;
  const attached = before.find((arg) => arg.startsWith('--data='))?.slice('--data='.length);
  return { args: args.slice(at + 1), dataDir: attached ?? before[before.indexOf('--data') + 1 || before.length] ?? null };
}

const VALUED = new Set(['--config', '--data']);

/** The first argument that is no global option and no value of one. */
function commandName(args: readonly string[]): string | undefined {
  const rest = args.filter((arg, i) => !arg.startsWith('-') && !VALUED.has(args[i - 1] ?? ''));
  return rest[0] === 'help' ? rest[1] : rest[0];
}

/** Tells what failed, for people and (with --json) for programs; gives the exit code. */
function failed(error: unknown, cli: Cli, args: readonly string[]): number {
  // Whoever read our output has seen enough (a pipe into head).
  if (errorCode(error) === 'EPIPE') return 0;
  const { failure, exitCode, shown } = told(error, args);
  if (cli.json && !cli.out.answered) cli.out.json({ error: failure });
  process.stderr.write(shown ?? `error: ${failure.cause}\nfix:   ${failure.fix}\n`);
  return exitCode;
}

type Told = { readonly failure: Failure; readonly exitCode: number; /** What people get instead of cause and fix. */ readonly shown?: string };

function told(error: unknown, args: readonly string[]): Told {
  if (error instanceof PosternError) return error;
  if (error instanceof CommanderError) {
    const known = COMMANDS.find(({ name }) => name === commandName(args));
    const fix = `See, with examples: postern ${known === undefined ? '' : `${known.name} `}--help`;
    // The help itself was the answer to people.
    if (error.code === 'commander.help') return { failure: { code: 'usage', cause: 'The command is not complete.', fix }, exitCode: 2, shown: '' };
    const cause = error.message.replace(/^error: /, '').replaceAll('\n', ' ');
    return { failure: { code: 'usage', cause: `${cause.charAt(0).toUpperCase()}${cause.slice(1)}${/[.)?]$/.test(cause) ? '' : '.'}`, fix }, exitCode: 2 };
  }
  const fix = 'This is a fault of Postern; please report it with the text above.';
  const failure = { code: 'fault', cause: errorText(error), fix };
  return { failure, exitCode: 3, shown: `error: ${error instanceof Error ? (error.stack ?? error.message) : errorText(error)}\nfix:   ${fix}\n` };
}
