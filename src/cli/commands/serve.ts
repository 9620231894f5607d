// `postern serve`: runs the server in the foreground and tells where it listens.

import { relative, resolve } from 'node:path';
import type { Command } from 'commander';
import { openLog } from '#base/log.ts';
import type { Cli } from '#cli/main.ts';
import { packageRoot, packageVersion } from '#cli/version.ts';
import { isReloadable } from '#config/reloadable.ts';
import { programName, welcomeText } from '#server/first-start.ts';
import { serve } from '#server/serve.ts';
import type { Started } from '#server/serve.ts';

const EXAMPLES = `
Examples:
  postern serve
  postern --config /etc/postern/postern.toml --data /var/lib/postern serve
  POSTERN_HTTP__PORT=8080 postern serve --ready-file /run/postern/ready.json

The log goes to standard error. SIGTERM and SIGINT drain and end; SIGHUP reloads configuration and certificates.`;

export function register(program: Command, cli: Cli): void {
  program
    .command('serve')
    .description('run the server until SIGTERM or SIGINT')
    .option('--ready-file <file>', 'write {"pid", "http", "listeners"} there as JSON once everything listens')
    .option('--new-secret-key', 'the key file DATA/secret.key is lost: make a new one, and new signing keys for every domain')
    .addHelpText('after', EXAMPLES)
    .action((options: ServeFlags) => run(cli, options));
}

type ServeFlags = { readonly readyFile?: string; readonly newSecretKey?: boolean };

async function run(cli: Cli, flags: ServeFlags): Promise<void> {
  const { config, defaultListeners } = await cli.loadConfig();
  const log = openLog(config.log);
  try {
    await serve({
      config,
      defaultListeners,
      version: packageVersion(),
      readyFile: flags.readyFile ?? null,
      newSecretKey: flags.newSecretKey === true,
      log,
      dataDir: cli.dataDir(),
      loadConfig: async () => (await cli.loadConfig()).config,
      reloadable: isReloadable,
      started: (started) => welcome(cli, config.hostname, started),
    });
  } finally {
    log.flush();
  }
}

function welcome(cli: Cli, hostname: string, { report, listeners, httpUrl, authority, first, signInLink }: Started): void {
  if (cli.json) return cli.out.json({ ...report, credential: first, signInLink });
  const dataDir = resolve(cli.dataDir());
  const shown = relative(process.cwd(), dataDir) || '.';
  const globalOptions = dataDir === resolve('./data') ? '' : ` --data ${quoted(shown.startsWith('..') ? dataDir : shown)}`;
  cli.out.text(
    welcomeText({
      version: packageVersion(),
      hostname,
      dataDir,
      httpUrl,
      listeners,
      authority,
      first,
      signInLink,
      program: programName(packageRoot(), process.cwd()),
      globalOptions,
    }).trimEnd(),
  );
}

function quoted(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
