// `postern token`: who may use the HTTP API over TCP. The text of a token is made by the server and shown once.

import { InvalidArgumentError, Option } from 'commander';
import type { Command } from 'commander';
import { openApi } from '#cli/api.ts';
import { examplesFor } from '#cli/examples.ts';
import { dateText } from '#cli/format.ts';
import type { Cli } from '#cli/main.ts';
import { SCOPES } from '#http/scopes.ts';
import type { Scope } from '#http/scopes.ts';
import { collectScope } from '#cli/values.ts';

type AddOptions = { scope?: Scope[]; project?: string; expires?: number; rate?: number };

const EXAMPLES = `
Examples:
  postern token add shop --scope messages:send --scope messages:read
  postern token add ci --scope messages:send --expires 90d --project staging
  postern token add operator --scope admin
  postern token list
  postern token revoke shop

Scopes:
${Object.entries(SCOPES)
  .map(([name, doc]) => `  ${name.padEnd(20)}${doc}`)
  .join('\n')}`;

export function register(program: Command, cli: Cli): void {
  const command = program.command('token').description('make, list and revoke the tokens that open the HTTP API').addHelpText('afterAll', examplesFor(EXAMPLES));
  command
    .command('add <name>')
    .description('make a token; its text is shown once')
    .addOption(new Option('--scope <scope>', 'what it opens (repeat for more; see postern token --help)').argParser(collectScope).makeOptionMandatory())
    .option('--project <project>', 'it sees only what belongs to this project')
    .option('--expires <days>', 'it works so long, like 90d; without it until it is revoked', days)
    .option('--rate <n/m>', 'at most n requests a minute, like 60/m', rate)
    .action((name: string, options: AddOptions) => add(cli, name, options));
  command
    .command('list')
    .description('list the tokens')
    .action(() => list(cli));
  command
    .command('revoke <name>')
    .description('stop a token from working, at once')
    .action((name: string) => revoke(cli, name));
}

async function add(cli: Cli, name: string, { scope = [], project, expires, rate: ratePerMinute }: AddOptions): Promise<void> {
  const api = openApi({ dataDir: cli.dataDir() });
  const made = await api.addToken({ name, scopes: scope, project: project ?? null, expiresInDays: expires ?? null, ratePerMinute: ratePerMinute ?? null });
  if (cli.json) return cli.out.json(made);
  cli.out.text(
    [
      `name     ${made.name}`,
      `token    ${made.token}`,
      `scopes   ${made.scopes.join(' ')}`,
      `project  ${made.project ?? 'all'}`,
      `expires  ${made.expiresAt === null ? 'never' : dateText(made.expiresAt)}`,
    ].join('\n'),
  );
  cli.out.note('The token is shown this once. Send it as: Authorization: Bearer TOKEN');
}

async function list(cli: Cli): Promise<void> {
  const { tokens } = await openApi({ dataDir: cli.dataDir() }).tokens();
  if (cli.json) return cli.out.json(tokens);
  if (tokens.length === 0) return cli.out.text('There are no tokens. Make one with: postern token add NAME --scope messages:send');
  cli.out.table(
    ['NAME', 'SCOPES', 'PROJECT', 'STATE', 'CREATED', 'BY', 'LAST USED'],
    tokens.map((one) => [one.name, one.scopes.join(' '), one.project ?? 'all', stateOf(one), dateText(one.createdAt), one.createdBy, dateText(one.lastUsedAt)]),
  );
}

async function revoke(cli: Cli, name: string): Promise<void> {
  const answer = await openApi({ dataDir: cli.dataDir() }).revokeToken(name);
  if (cli.json) cli.out.json(answer);
  else cli.out.text(`Token "${name}" is revoked.`);
}

function stateOf({ revokedAt, expiresAt }: { revokedAt: string | null; expiresAt: string | null }): string {
  if (revokedAt !== null) return 'revoked';
  if (expiresAt === null) return 'works';
  return Date.parse(expiresAt) <= Date.now() ? 'expired' : `until ${dateText(expiresAt)}`;
}

function days(text: string): number {
  const [, digits] = /^(\d{1,4})d$/.exec(text) ?? [];
  if (digits === undefined || Number(digits) === 0) throw new InvalidArgumentError('Write it in days, like 90d.');
  return Number(digits);
}

function rate(text: string): number {
  const [, digits] = /^(\d{1,7})\/m$/.exec(text) ?? [];
  if (digits === undefined || Number(digits) === 0) throw new InvalidArgumentError('Write it as requests a minute, like 60/m.');
  return Number(digits);
}
