// The real server for tests: on ephemeral ports, with its own data directory, and the commands that speak to it.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Profile } from '#smtp/policy.ts';
import { run, startProcess, tempDir, until } from './temp.ts';
import type { Done, Running } from './temp.ts';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const ENTRY = join(ROOT, 'src/cli/run.ts');
/** Nobody listens there. */
const NO_DNS = '127.0.0.1:1';
const NODE = ['--disable-warning=ExperimentalWarning', ENTRY];

export type Options = {
  /** TOML behind the test's own listeners, http and log. */
  readonly config?: string;
  readonly hostname?: string;
  readonly dataDir?: string;
  readonly profiles?: readonly Profile[];
  /** Lines of every [[listener]]. */
  readonly listener?: string;
  readonly address?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** More arguments of `serve`. */
  readonly serveArgs?: readonly string[];
  /** Run under this program, like ["strace", "-f"]. */
  readonly under?: readonly string[];
};

export type Credential = { readonly username: string; readonly password: string };
export type MessageSummary = { readonly id: string; readonly status: string; readonly from: string; readonly to: readonly string[]; readonly subject: string };

export type Postern = {
  readonly dataDir: string;
  readonly configFile: string;
  readonly http: string;
  readonly pid: number;
  readonly readyFile: string;
  readonly process: Running;
  port(profile: Profile): number;
  /** Runs a command on this server. */
  cli(...args: readonly string[]): Promise<Done>;
  /** The same with these variables in its environment. */
  cliWith(env: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<Done>;
  /** Runs a command with --json; throws when it fails. */
  json<T>(...args: readonly string[]): Promise<T>;
  credential(name: string, ...args: readonly string[]): Promise<Credential>;
  /** Log lines so far, parsed. */
  log(): readonly Record<string, unknown>[];
  logged(event: string, withinMs?: number): Promise<Record<string, unknown>>;
  stop(): Promise<number | null>;
  kill(): Promise<void>;
};

/** Starts a server and waits until it listens. */
export async function startPostern(options: Options = {}): Promise<Postern> {
  const dataDir = options.dataDir ?? join(tempDir('pn'), 'd');
  const work = tempDir('pc');
  const configFile = join(work, 'postern.toml');
  const readyFile = join(work, 'ready.json');
  writeFileSync(configFile, configText(options));
  const [command, ...before] = [...(options.under ?? []), process.execPath];
  const running = startProcess(command, [...before, ...NODE, '--config', configFile, '--data', dataDir, 'serve', '--ready-file', readyFile, ...(options.serveArgs ?? [])], {
    env: { ...process.env, ...options.env },
    cwd: work,
  });
  await until(
    `the server is ready\n${running.output()}`,
    () => {
      if (running.child.exitCode !== null) throw new Error(`the server ended with ${running.child.exitCode}:\n${running.output()}`);
      return existsSync(readyFile);
    },
    30_000,
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${running.output()}`);
  });
  const ready = JSON.parse(readFileSync(readyFile, 'utf8')) as { pid: number; http: string; listeners: { profile: Profile; port: number }[] };
  const cliWith = (env: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<Done> =>
    run(process.execPath, [...NODE, '--config', configFile, '--data', dataDir, ...args], { cwd: work, env: { ...process.env, ...env } });
  const cli = (...args: readonly string[]): Promise<Done> => cliWith({}, ...args);
  const log = (): Record<string, unknown>[] =>
    running
      .output()
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const json = async <T>(...args: readonly string[]): Promise<T> => {
    const done = await cli('--json', ...args);
    if (done.code !== 0) throw new Error(`postern ${args.join(' ')}: exit ${done.code}\n${done.stderr}`);
    return JSON.parse(done.stdout) as T;
  };
  return {
    dataDir,
    configFile,
    http: ready.http,
    pid: ready.pid,
    readyFile,
    process: running,
    cli,
    cliWith,
    json,
    log,
    port(profile) {
      const found = ready.listeners.find((listener) => listener.profile === profile);
      if (found === undefined) throw new Error(`no listener ${profile}`);
      return found.port;
    },
    credential: (name, ...args) => json('credential', 'add', name, ...args),
    logged: (event, withinMs) => until(`log event ${event}`, () => log().find((line) => line['event'] === event), withinMs),
    stop: () => running.end('SIGTERM'),
    async kill() {
      process.kill(ready.pid, 'SIGKILL');
      await running.end('SIGKILL');
    },
  };
}

function configText(options: Options): string {
  const profiles = options.profiles ?? ['mx', 'submissions', 'submission', 'alternate'];
  const listeners = profiles.map((profile) => `[[listener]]\nprofile = "${profile}"\naddress = "${options.address ?? '127.0.0.1'}"\nport = 0\n${options.listener ?? ''}\n`);
  const config = options.config ?? '';
  // A test that brings no DNS gets none: questions about other people's domains do not leave the machine, and have their answer at once.
  const dns = config.includes('[dns]') ? '' : `[dns]\nservers = ["${NO_DNS}"]\n\n`;
  return `hostname = "${options.hostname ?? 'relay.test'}"\n${listeners.join('\n')}\n[http]\nport = 0\n\n[log]\nformat = "json"\n\n${dns}${config}\n`;
}

/** The messages of a server, once there are `count` of this status. */
export async function messages(postern: Postern, status: string, count: number, withinMs = 20_000): Promise<readonly MessageSummary[]> {
  return until(
    `${count} messages ${status}`,
    async () => {
      const { code, stdout } = await postern.cli('--json', 'message', 'list', '--status', status, '--limit', '1000');
      const found = code === 0 || code === 1 ? (JSON.parse(stdout) as MessageSummary[]) : [];
      return found.length >= count ? found : null;
    },
    withinMs,
  );
}
