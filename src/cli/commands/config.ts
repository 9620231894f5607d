// `postern config`: the configuration checked, shown with the origin of each value, and described.

import type { Command } from 'commander';
import { examplesFor } from '#cli/examples.ts';
import type { Cli } from '#cli/main.ts';
import { configurationReference, configurationSchema } from '#config/reference.ts';

const EXAMPLES = `
Examples:
  postern config check
  postern --config /etc/postern/postern.toml config show
  postern config schema > postern.schema.json
  postern config reference`;

export function register(program: Command, cli: Cli): void {
  const command = program.command('config').description('check and show the configuration').addHelpText('afterAll', examplesFor(EXAMPLES));
  command
    .command('check')
    .description('say whether the configuration is valid; every mistake with line, key and what is allowed')
    .action(() => check(cli));
  command
    .command('show')
    .description('show every value and where it is from')
    .action(() => show(cli));
  command
    .command('schema')
    .description('print the JSON schema of the file, for editors')
    .action(() => void process.stdout.write(`${JSON.stringify(configurationSchema(), null, cli.json ? undefined : 2)}\n`));
  command
    .command('reference')
    .description('print the reference page of all keys (docs/configuration.md)')
    .action(() => {
      if (cli.json) cli.out.json({ reference: configurationReference() });
      else process.stdout.write(configurationReference());
    });
}

async function check(cli: Cli): Promise<void> {
  const { file } = await cli.loadConfig();
  if (cli.json) cli.out.json({ valid: true, file });
  else cli.out.text(file === null ? 'There is no configuration file; the defaults (and POSTERN_ variables) are valid.' : `${file} is valid.`);
}

async function show(cli: Cli): Promise<void> {
  const { values, file } = await cli.loadConfig();
  const rows = [...values].map(([key, { value, origin }]) => ({ key, value, origin }));
  if (cli.json) return cli.out.json({ file, values: rows });
  cli.out.table(
    ['KEY', 'VALUE', 'ORIGIN'],
    rows.map(({ key, value, origin }) => [key, JSON.stringify(value), origin]),
  );
}
