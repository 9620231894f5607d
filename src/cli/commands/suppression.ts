// `postern suppression`: addresses that get no more mail, because a receiver refused them for good or somebody said so.

import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { Option } from 'commander';
import { PosternError, errorText } from '#base/failure.ts';
import { openApi } from '#cli/api.ts';
import type { SuppressionQuery } from '#cli/api.ts';
import { examplesFor } from '#cli/examples.ts';
import { dateText } from '#cli/format.ts';
import type { Cli } from '#cli/main.ts';
import { cut } from '#cli/width.ts';
import { withoutUndefined } from '#http/wire.ts';
import { MAX_IMPORT } from '#http/routes/suppressions.ts';
import type { SuppressionInput, SuppressionView } from '#http/routes/suppressions.ts';
import { REASONS } from '#queue/suppression.ts';
import type { Reason } from '#queue/suppression.ts';

type Listed = { to?: string; sender?: string; reason?: string; before?: string; limit: string };
type Entry = { sender?: string; reason?: Reason; note?: string };

const MAX_COLUMNS = 60;

const EXAMPLES = `
Examples:
  postern suppression list --to example.net
  postern suppression list --reason bounced --json
  postern suppression show nobody@example.net
  postern suppression add ann@example.net --reason unsubscribed --sender news.example.com
  postern suppression remove ann@example.net
  postern suppression import bounces.csv              (one address a line, or ADDRESS,REASON,NOTE)

An entry is about the mail of one domain of yours (--sender), or of all. A receiver's final 5.1.x puts the recipient here for the domain it was
sent from; mail to it is then not sent, and its sender told why.`;

export function register(program: Command, cli: Cli): void {
  const command = program.command('suppression').description('addresses that get no more mail').addHelpText('afterAll', examplesFor(EXAMPLES));
  const reason = (): Option => new Option('--reason <reason>', REASONS.join(', ')).choices(REASONS);
  command
    .command('list')
    .description('list them, newest first')
    .option('--to <address>', 'an address, or the domain of some')
    .option('--sender <domain>', 'about mail of this domain; "*" for entries about all mail')
    .addOption(reason())
    .option('--limit <n>', 'at most so many', '100')
    .option('--before <cursor>', 'the next page')
    .action((options: Listed) => list(cli, options));
  command
    .command('show <address>')
    .description('why an address gets no mail, and from whom')
    .action((address: string) => show(cli, address));
  command
    .command('add <address...>')
    .description('send no more mail to these addresses')
    .option('--sender <domain>', 'only mail of this domain; without it all mail')
    .addOption(reason())
    .option('--note <text>', 'why, for whoever looks at it later')
    .action((addresses: string[], options: Entry) => add(cli, addresses, options));
  command
    .command('remove <address...>')
    .description('send mail to these addresses again')
    .option('--sender <domain>', 'only mail of this domain; without it every entry of the address goes')
    .action((addresses: string[], options: { sender?: string }) => remove(cli, addresses, options));
  command
    .command('import <file>')
    .description('add the addresses of a file, one a line or as ADDRESS,REASON,NOTE; "-" is standard input')
    .option('--sender <domain>', 'only mail of this domain; without it all mail')
    .addOption(reason())
    .action((file: string, options: Entry) => importFile(cli, file, options));
}

async function list(cli: Cli, options: Listed): Promise<void> {
  const { suppressions, next } = await openApi({ dataDir: cli.dataDir() }).suppressions(withoutUndefined(options) as SuppressionQuery);
  const filtered = Object.keys(withoutUndefined(options)).length > 1;
  if (suppressions.length === 0 && filtered) process.exitCode = 1;
  if (cli.json) return cli.out.json(suppressions);
  if (suppressions.length === 0) return cli.out.text(filtered ? 'No suppression matches.' : 'No address is suppressed.');
  table(cli, suppressions);
  if (next !== null) cli.out.note(`There are more: --before ${next}`);
}

async function show(cli: Cli, address: string): Promise<void> {
  const { suppressions } = await openApi({ dataDir: cli.dataDir() }).suppression(address);
  if (cli.json) return cli.out.json(suppressions);
  const blocks = suppressions.map((one) =>
    [
      `address  ${one.address}`,
      `mail of  ${one.sender === '*' ? 'everybody' : one.sender}`,
      `since    ${dateText(one.createdAt)}`,
      `reason   ${one.reason}`,
      ...(one.text === '' ? [] : [`why      ${one.text}`]),
      ...(one.remoteHost === null ? [] : [`host     ${one.remoteHost}`]),
      ...(one.messageId === null ? [] : [`message  ${one.messageId}`]),
    ].join('\n'),
  );
  cli.out.text(blocks.join('\n\n'));
}

async function add(cli: Cli, addresses: readonly string[], options: Entry): Promise<void> {
  const api = openApi({ dataDir: cli.dataDir() });
  const made: SuppressionView[] = [];
  for (const address of addresses) made.push(await api.addSuppression({ address, ...withoutUndefined(options) } as SuppressionInput));
  if (cli.json) return cli.out.json(made.length === 1 ? made[0] : made);
  for (const one of made) cli.out.text(`${one.address} gets no more mail${one.sender === '*' ? '' : ` of ${one.sender}`}.`);
}

async function remove(cli: Cli, addresses: readonly string[], { sender }: { sender?: string }): Promise<void> {
  const api = openApi({ dataDir: cli.dataDir() });
  const done: { address: string; removed: number }[] = [];
  for (const address of addresses) done.push(await api.removeSuppression(address, sender));
  if (cli.json) return cli.out.json(done.length === 1 ? done[0] : done);
  for (const { address } of done) cli.out.text(`${address} gets mail again${sender === undefined ? '' : ` of ${sender}`}.`);
}

async function importFile(cli: Cli, file: string, options: Entry): Promise<void> {
  const api = openApi({ dataDir: cli.dataDir() });
  const total = { entries: 0, added: 0 };
  // Before anything is read: without a server there is nobody to take it.
  await api.suppressions({ limit: '1' });
  for await (const entries of batches(file, options)) {
    const { entries: read, added } = await api.importSuppressions(entries);
    total.entries += read;
    total.added += added;
  }
  if (cli.json) cli.out.json(total);
  else cli.out.text(`${total.entries} addresses read, ${total.added} of them new.`);
}

/** Nothing is read ahead of what the server has taken. Lines without an address (a head, a comment) are left out. */
async function* batches(file: string, { sender, reason }: Entry): AsyncIterable<SuppressionInput[]> {
  const input = file === '-' ? process.stdin : createReadStream(file);
  const lines = createInterface({ input, crlfDelay: Infinity });
  let entries: SuppressionInput[] = [];
  try {
    for await (const line of lines) {
      const [address = '', word = '', note = ''] = line.split(',').map((field) => field.trim().replace(/^"(.*)"$/, '$1'));
      if (!address.includes('@') || address.startsWith('#')) continue;
      const known = REASONS.find((one) => one === word.toLowerCase());
      entries.push({ address, reason: known ?? reason ?? 'manual', note: known === undefined ? word : note, ...(sender === undefined ? {} : { sender }) });
      if (entries.length < MAX_IMPORT / 2) continue;
      yield entries;
      entries = [];
    }
  } catch (error) {
    throw new PosternError(
      { code: 'file-not-read', cause: `${file} could not be read: ${errorText(error)}.`, fix: 'Check the path, or give "-" for standard input.' },
      { exitCode: 2 },
    );
  }
  if (entries.length > 0) yield entries;
}

function table(cli: Cli, rows: readonly SuppressionView[]): void {
  cli.out.table(
    ['ADDRESS', 'MAIL OF', 'REASON', 'SINCE', 'WHY'],
    rows.map((one) => [cut(one.address, MAX_COLUMNS), one.sender === '*' ? 'everybody' : one.sender, one.reason, dateText(one.createdAt), cut(one.text, MAX_COLUMNS)]),
  );
}
