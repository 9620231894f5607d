// `postern person`: who may sign in to the dashboard. Passwords are never typed here: a person gets a link that lets them in once.

import { Option } from 'commander';
import type { Command } from 'commander';
import { openApi } from '#cli/api.ts';
import { examplesFor } from '#cli/examples.ts';
import { dateText } from '#cli/format.ts';
import type { Cli } from '#cli/main.ts';
import type { Scope } from '#http/scopes.ts';
import { collectScope } from '#cli/values.ts';

const EXAMPLES = `
Examples:
  postern person add ada
  postern person add support --scope messages:read --scope queue:write
  postern person list
  postern person link ada
  postern person remove ada

The scopes are those of tokens: postern token --help`;

export function register(program: Command, cli: Cli): void {
  const command = program.command('person').description('let people in to the dashboard, and out').addHelpText('afterAll', examplesFor(EXAMPLES));
  command
    .command('add <name>')
    .description('let somebody in: prints a link that signs them in once')
    .addOption(new Option('--scope <scope>', 'what they may do (repeat for more; default: everything)').argParser(collectScope))
    .action((name: string, { scope }: { scope?: Scope[] }) => add(cli, name, scope ?? ['admin']));
  command
    .command('list')
    .description('list who may sign in, and how')
    .action(() => list(cli));
  command
    .command('link <name>')
    .description('a new link, for somebody who lost their password or telephone')
    .action((name: string) => link(cli, name));
  command
    .command('remove <name>')
    .description('let somebody in no more; they are signed out at once')
    .action((name: string) => remove(cli, name));
}

async function add(cli: Cli, name: string, scopes: readonly Scope[]): Promise<void> {
  const made = await openApi({ dataDir: cli.dataDir() }).addPerson({ name, scopes });
  if (cli.json) return cli.out.json(made);
  cli.out.text([`name    ${made.name}`, `scopes  ${made.scopes.join(' ')}`, `link    ${made.link}`, `until   ${dateText(made.until)}`].join('\n'));
  cli.out.note('Whoever opens the link first is signed in as this person. Then they choose a password or a passkey in the settings.');
}

async function list(cli: Cli): Promise<void> {
  const { people } = await openApi({ dataDir: cli.dataDir() }).people();
  if (cli.json) return cli.out.json(people);
  cli.out.table(
    ['NAME', 'SCOPES', 'PASSWORD', 'CODES', 'PASSKEYS', 'CREATED', 'BY', 'LAST SIGNED IN'],
    people.map((one) => [
      one.name,
      one.scopes.join(' '),
      one.password ? 'yes' : 'no',
      one.totp ? 'yes' : 'no',
      String(one.passkeys),
      dateText(one.createdAt),
      one.createdBy,
      dateText(one.signedInAt),
    ]),
  );
}

async function link(cli: Cli, name: string): Promise<void> {
  const made = await openApi({ dataDir: cli.dataDir() }).linkPerson(name);
  if (cli.json) return cli.out.json(made);
  cli.out.text([`link   ${made.link}`, `until  ${dateText(made.until)}`].join('\n'));
}

async function remove(cli: Cli, name: string): Promise<void> {
  const answer = await openApi({ dataDir: cli.dataDir() }).removePerson(name);
  if (cli.json) cli.out.json(answer);
  else cli.out.text(`"${answer.name}" cannot sign in any more.`);
}
