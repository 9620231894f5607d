// `postern serve`: runs the server in the foreground and tells where it listens.

import { dirname, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { openLog } from '#base/log.ts';
import type { Cli } from '#cli/main.ts';
import { programName, welcomeText } from '#server/first-start.ts';
import { packageVersion, serve } from '#server/serve.ts';
import type { Started } from '#server/serve.ts';

const EXAMPLES = `
Examples:
  postern serve
  postern --config /etc/postern/postern.toml --data /var/lib/postern serve
  POSTERN_HTTP__PORT=8080 postern serve --ready-file /run/postern/ready.json`;

export function register(program: Command, cli: Cli): void {
  program
    .command('serve')
    .description('run the server until SIGTERM or SIGINT; SIGHUP reloads configuration and certificates')
    .option('--ready-file <file>', 'write {"pid", "http", "listeners"} there as JSON once everything listens')
    .addHelpText('after', EXAMPLES)
    .action((options: { readyFile?: string }) => run(cli, options.readyFile ?? null));
}
