// docs/commands.md: what every command says when it is asked for help, on one page. Nothing of it is written by hand.

import type { Command } from 'commander';
import { wholeProgram } from './main.ts';

const WIDTH = 120;

const HEAD = `<!-- Made by "npm run docs" from src/cli/commands/: change those, then make it again. -->
# Commands

Every command tells this itself, by \`--help\`. The global options go before the command: \`postern --data /var/lib/postern queue list\`.

With \`--json\` a command writes one JSON document to standard output, and what is for people goes to standard error. Commands that manage a
running server speak to its socket, \`DATA/postern.sock\`: run them as the account that runs the server, or as root.
`;

/** The page, whole. */
export async function commandsReference(): Promise<string> {
  const program = await wholeProgram();
  const parts = [HEAD, block(program)];
  for (const command of program.commands) {
    parts.push(`## postern ${command.name()}\n`, block(command));
    for (const sub of command.commands) parts.push(`### postern ${command.name()} ${sub.name()}\n`, block(sub));
  }
  return parts.join('\n');
}

function block(command: Command): string {
  let text = '';
  command.configureOutput({ writeOut: (part) => (text += part), getOutHelpWidth: () => WIDTH, getOutHasColors: () => false });
  command.configureHelp({ showGlobalOptions: false, helpWidth: WIDTH });
  command.outputHelp();
  return `\`\`\`\n${text.trim()}\n\`\`\`\n`;
}
