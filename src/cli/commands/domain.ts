// `postern domain`: the domains this server sends for, and those it receives for, with the DNS records that they need.

import type { Command } from 'commander';
import { openApi } from '#cli/api.ts';
import { recordsText, recordsZone } from '#cli/domain/records.ts';
import { dateText } from '#cli/format.ts';
import type { Cli } from '#cli/main.ts';
import type { DomainDetailView } from '#http/routes/domains.ts';

const EXAMPLES = `
Examples:
  postern domain add example.com              send as example.com: makes its keys, prints the DNS records to publish
  postern domain add example.com --inbound    also take its mail on port 25 and hand it to the routes
  postern domain add example.com --zone >> example.com.zone
  postern domain show example.com             the records again`;

type AddOptions = { inbound?: boolean; returnPath?: string; zone?: boolean };

export function register(program: Command, cli: Cli): void {
  const command = program.command('domain').description('domains, their signing keys and their DNS records').addHelpText('after', EXAMPLES);
  command
    .command('add <domain>')
    .description('add a domain: makes its signing keys and prints the DNS records to publish')
    .option('--inbound', 'take mail for it on port 25 (its recipients are handled by the routes)')
    .option('--return-path <label>', 'the label that bounces come back to: bounce for bounce.example.com')
    .option('--zone', 'print the records as a zone file')
    .action((name: string, options: AddOptions) => add(cli, name, options));
  command
    .command('list')
    .description('list the domains')
    .action(() => list(cli));
  command
    .command('show <domain>')
    .description('show a domain, its keys and its DNS records')
    .option('--zone', 'print the records as a zone file')
    .action(async (name: string, options: { zone?: boolean }) => show(cli, await openApi({ dataDir: cli.dataDir() }).domain(name), options.zone === true));
  command
    .command('remove <domain>')
    .description('remove a domain and its keys; mail that waits is not touched')
    .action((name: string) => remove(cli, name));
}

async function add(cli: Cli, name: string, { inbound, returnPath, zone }: AddOptions): Promise<void> {
  const made = await openApi({ dataDir: cli.dataDir() }).addDomain({ name, inbound: inbound === true, ...(returnPath === undefined ? {} : { returnPath }) });
  show(cli, made, zone === true);
  cli.out.note(`Publish these records where ${made.name} has its DNS. If it has an SPF or DMARC record already, keep one of each: add to the one that is there.`);
}

async function list(cli: Cli): Promise<void> {
  const { domains } = await openApi({ dataDir: cli.dataDir() }).domains();
  if (cli.json) return cli.out.json(domains);
  if (domains.length === 0) return cli.out.text('There are no domains. Add one with: postern domain add DOMAIN');
  cli.out.table(
    ['DOMAIN', 'INBOUND', 'RETURN PATH', 'CHECKED', 'ADDED'],
    domains.map((domain) => [
      domain.name,
      domain.inbound ? 'yes' : 'no',
      domain.returnPathVerifiedAt === null ? 'not verified' : `${domain.returnPath}.${domain.name}`,
      dateText(domain.checkedAt),
      dateText(domain.createdAt),
    ]),
  );
}

async function remove(cli: Cli, name: string): Promise<void> {
  const answer = await openApi({ dataDir: cli.dataDir() }).removeDomain(name);
  if (cli.json) cli.out.json(answer);
  else cli.out.text(`Domain ${answer.name} is removed, with its keys. Its mail is no longer signed; its records may go from the DNS in a week.`);
}

function show(cli: Cli, domain: DomainDetailView, zone: boolean): void {
  if (cli.json) return cli.out.json(domain.records);
  if (zone) return cli.out.text(recordsZone(domain.records).trimEnd());
  const head = [
    `domain       ${domain.name}`,
    `inbound      ${domain.inbound ? 'yes: mail for it is taken on port 25' : 'no'}`,
    `return path  ${domain.returnPathVerifiedAt === null ? 'not verified yet: bounces go to the sender of each message' : `${domain.returnPath}.${domain.name}`}`,
    `added        ${dateText(domain.createdAt)}`,
    '',
  ];
  cli.out.text([...head, ...recordsText(domain.records)].join('\n'));
}
