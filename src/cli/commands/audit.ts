// `postern audit`: who changed what, when, and from where. Reads the audit log.

import type { Command } from 'commander';
import { openApi } from '#cli/api.ts';
import type { AuditQuery } from '#cli/api.ts';
import { examplesFor } from '#cli/examples.ts';
import { dateText } from '#cli/format.ts';
import type { Cli } from '#cli/main.ts';
import { withoutUndefined } from '#http/wire.ts';

type Listed = { name?: string; action?: string; since?: string; limit: string };

const EXAMPLES = `
Examples:
  postern audit list --since 24h
  postern audit list --name alice --json
  postern audit list --action revokeCredential`;

export function register(program: Command, cli: Cli): void {
  const command = program.command('audit').description('who changed what, when, and from where').addHelpText('afterAll', examplesFor(EXAMPLES));
  command
    .command('list')
    .description('list the changes, newest first')
    .option('--name <name>', 'by this account, token or person')
    .option('--action <id>', 'of this kind, as the API calls it')
    .option('--since <time>', '2026-11-24, 2026-11-24T08:00:00Z, or a span like 30m, 24h, 7d')
    .option('--limit <n>', 'at most so many', '100')
    .action((options: Listed) => list(cli, options));
}

async function list(cli: Cli, options: Listed): Promise<void> {
  const { entries, next } = await openApi({ dataDir: cli.dataDir() }).audit(withoutUndefined(options) as AuditQuery);
  const filtered = Object.keys(withoutUndefined(options)).length > 1;
  if (entries.length === 0 && filtered) process.exitCode = 1;
  if (cli.json) return cli.out.json(entries);
  if (entries.length === 0) return cli.out.text(filtered ? 'Nothing matches.' : 'Nothing was changed yet.');
  cli.out.table(
    ['WHEN', 'WHO', 'BY', 'FROM', 'WHAT', 'TO WHAT', ''],
    entries.map((one) => [dateText(one.at), one.name, one.kind, one.address ?? 'socket', one.action, one.target, one.status === 403 ? 'refused' : '']),
  );
  if (next !== null) cli.out.note('There are more; narrow the search, or raise --limit (at most 1000).');
}
