// `postern domain`: the domains this server sends for, and those it receives for.

import type { Command } from 'commander';
import { openApi } from '#cli/api.ts';
import { dateText } from '#cli/format.ts';
import type { Cli } from '#cli/main.ts';
import type { DomainView } from '#http/routes/domains.ts';

const EXAMPLES = `
Examples:
  postern domain add example.com              send as example.com
  postern domain add example.com --inbound    also take its mail on port 25 and hand it to the routes
  postern domain show example.com`;

export function register(program: Command, cli: Cli): void {
  const command = program.command('domain').description('add, list, show and remove domains').addHelpText('after', EXAMPLES);
  command
    .command('add <domain>')
    .description('add a domain')
    .option('--inbound', 'take mail for it on port 25 (its recipients are handled by the routes)')
    .action((name: string, options: { inbound?: boolean }) => add(cli, name, options.inbound === true));
  command
    .command('list')
    .description('list the domains')
    .action(() => list(cli));
  command
    .command('show <domain>')
    .description('show one domain')
    .action(async (name: string) => show(cli, await openApi({ dataDir: cli.dataDir() }).domain(name)));
  command
    .command('remove <domain>')
    .description('remove a domain; mail that waits is not touched')
    .action((name: string) => remove(cli, name));
}

async function add(cli: Cli, name: string, inbound: boolean): Promise<void> {
  show(cli, await openApi({ dataDir: cli.dataDir() }).addDomain({ name, inbound }));
}

async function list(cli: Cli): Promise<void> {
  const { domains } = await openApi({ dataDir: cli.dataDir() }).domains();
  if (cli.json) return cli.out.json(domains);
  if (domains.length === 0) return cli.out.text('There are no domains. Add one with: postern domain add DOMAIN');
  cli.out.table(
    ['DOMAIN', 'INBOUND', 'ADDED'],
    domains.map((domain) => [domain.name, domain.inbound ? 'yes' : 'no', dateText(domain.createdAt)]),
  );
}

async function remove(cli: Cli, name: string): Promise<void> {
  const answer = await openApi({ dataDir: cli.dataDir() }).removeDomain(name);
  if (cli.json) cli.out.json(answer);
  else cli.out.text(`Domain ${answer.name} is removed.`);
}

function show(cli: Cli, domain: DomainView): void {
  if (cli.json) return cli.out.json(domain);
  cli.out.text([`domain   ${domain.name}`, `inbound  ${domain.inbound ? 'yes: mail for it is taken on port 25' : 'no'}`, `added    ${dateText(domain.createdAt)}`].join('\n'));
}
