// The examples of a command with subcommands, said once: its own help shows all of them, the help of a subcommand those that are its own.

import type { AddHelpTextContext } from 'commander';

/** For `addHelpText('afterAll', ...)`. `text` begins with the line "Examples:"; what stands behind a blank line is for the whole command only. */
export function examplesFor(text: string): (context: AddHelpTextContext) => string {
  return ({ command }) => {
    const { parent } = command;
    if (parent === null || parent.parent === null) return text;
    const [head = '', ...lines] = (text.trim().split('\n\n')[0] ?? '').split('\n');
    const own = lines.filter((line) => new RegExp(`\\b${parent.name()} ${command.name()}\\b`).test(line));
    return own.length === 0 ? '' : `\n${head}\n${own.join('\n')}`;
  };
}
