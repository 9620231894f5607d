// `postern domain`: the domains this server sends for, and those it receives for, with the DNS records that they need.

import type { Command } from 'commander';
import { openApi } from '#cli/api.ts';
import { findingsText, keysText, recordsText, recordsZone, summaryText, unusableHostname } from '#cli/domain/records.ts';
import { examplesFor } from '#cli/examples.ts';
import { dateText } from '#cli/format.ts';
import type { Cli } from '#cli/main.ts';
import type { DomainDetailView } from '#http/views/domain.ts';

const EXAMPLES = `
Examples:
  postern domain add example.com              send as example.com: makes its keys, prints the DNS records to publish
  postern domain add example.com --inbound    also take its mail on port 25 and hand it to the routes
  postern domain show example.com --zone      the records again, as a zone file
  postern domain check example.com            what of it is in the DNS, what is wrong, and how to mend it
  postern domain rotate example.com           new keys; publish them, they are used once the DNS shows them
  postern domain list
  postern domain remove example.com`;

type AddOptions = { inbound?: boolean; returnPath?: string; project?: string; zone?: boolean };
type RotateOptions = { confirm?: boolean; cancel?: boolean; zone?: boolean };

export function register(program: Command, cli: Cli): void {
  const command = program.command('domain').description('domains, their signing keys and their DNS records').addHelpText('afterAll', examplesFor(EXAMPLES));
  command
    .command('add <domain>')
    .description('add a domain: makes its signing keys and prints the DNS records to publish')
    .option('--inbound', 'take mail for it on port 25 (its recipients are handled by the routes)')
    .option('--return-path <label>', 'the label that bounces come back to (default: bounce, for bounce.example.com)')
    .option('--project <project>', 'the project that may make credentials for it; "" takes it back')
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
    .command('check <domain>')
    .description('look at the live DNS: what is right, missing or wrong, what it breaks, how to mend it (exit code 1 unless all is right)')
    .action((name: string) => check(cli, name));
  command
    .command('rotate <domain>')
    .description('make new signing keys; they are used once the DNS shows them, the old ones stay valid')
    .option('--confirm', 'use the new keys now, on your word that they are published')
    .option('--cancel', 'drop the new keys')
    .option('--zone', 'print the records as a zone file')
    .action((name: string, options: RotateOptions) => rotate(cli, name, options));
  command
    .command('remove <domain>')
    .description('remove a domain and its keys; mail that waits is not touched')
    .action((name: string) => remove(cli, name));
}

async function add(cli: Cli, name: string, { inbound, returnPath, project, zone }: AddOptions): Promise<void> {
  const made = await openApi({ dataDir: cli.dataDir() }).addDomain({ name, inbound: inbound === true, returnPath, project: project === '' ? null : project });
  show(cli, made, zone === true);
  const unusable = unusableHostname(made.records);
  if (unusable !== null) {
    cli.out.note(
      `The records name this server ${unusable}, which nobody else can look up. Set hostname in the configuration to its public name, restart, and take the records from: postern domain show ${made.name}`,
    );
  }
  cli.out.note(
    `Publish these records where ${made.name} has its DNS (one SPF and one DMARC record: add to what is there). Then look whether all is right with: postern domain check ${made.name}`,
  );
}

async function list(cli: Cli): Promise<void> {
  const { domains } = await openApi({ dataDir: cli.dataDir() }).domains();
  if (cli.json) return cli.out.json(domains);
  if (domains.length === 0) return cli.out.text('There are no domains. Add one with: postern domain add DOMAIN');
  cli.out.table(
    ['DOMAIN', 'RECORDS', 'INBOUND', 'RETURN PATH', 'CHECKED', 'ADDED'],
    domains.map((domain) => [
      domain.name,
      domain.status,
      domain.inbound ? 'yes' : 'no',
      domain.returnPathVerifiedAt === null ? 'not used' : `${domain.returnPath}.${domain.name}`,
      dateText(domain.checkedAt),
      dateText(domain.createdAt),
    ]),
  );
}

async function check(cli: Cli, name: string): Promise<void> {
  const checked = await openApi({ dataDir: cli.dataDir() }).checkDomain(name);
  if (checked.records.some((record) => record.status !== 'right')) process.exitCode = 1;
  if (cli.json) return cli.out.json(checked.records);
  cli.out.text([...findingsText(checked.records), ...checked.changes, summaryText(checked)].join('\n'));
}

async function rotate(cli: Cli, name: string, { confirm, cancel, zone }: RotateOptions): Promise<void> {
  const step = confirm === true ? 'confirm' : cancel === true ? 'cancel' : 'start';
  const domain = await openApi({ dataDir: cli.dataDir() }).rotateDomain(name, step);
  const isKey = (purpose: string): boolean => purpose.startsWith('dkim');
  show(cli, { ...domain, records: domain.records.filter((record) => isKey(record.purpose)) }, zone === true);
  if (step === 'start') {
    cli.out.note(
      `Publish the records of the new keys and leave the old ones. Once the DNS shows them they sign by themselves, or at once with: postern domain check ${domain.name}`,
    );
  }
}

async function remove(cli: Cli, name: string): Promise<void> {
  const answer = await openApi({ dataDir: cli.dataDir() }).removeDomain(name);
  if (cli.json) cli.out.json(answer);
  else
    cli.out.text(
      `Domain ${answer.name} is removed, with its keys. Its mail is no longer signed. Leave its DKIM records in the DNS for a week: mail that they verify is on the way.`,
    );
}

function show(cli: Cli, domain: DomainDetailView, zone: boolean): void {
  if (cli.json) return cli.out.json(domain.records);
  if (zone) return cli.out.text(recordsZone(domain.records).trimEnd());
  const head = [
    `domain       ${domain.name}`,
    `records      ${domain.status}`,
    `inbound      ${domain.inbound ? 'yes: mail for it is taken on port 25' : 'no'}`,
    `return path  ${domain.returnPathVerifiedAt === null ? 'not used yet: bounces go to the sender of each message' : `${domain.returnPath}.${domain.name}`}`,
    `added        ${dateText(domain.createdAt)}`,
    '',
    ...keysText(domain.keys),
    '',
  ];
  cli.out.text([...head, ...recordsText(domain.records)].join('\n').trimEnd());
}
