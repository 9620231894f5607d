// All commands of the program as its own table has them, for tests that hold for every one: paths, and the examples of their help.

import type { Command } from 'commander';
import { wholeProgram } from '#cli/main.ts';

/** `words` as they are typed, like ["queue", "list"]. */
export type Leaf = { readonly words: readonly string[]; readonly command: Command };

/** Commands that do something: those without subcommands. */
export async function leaves(): Promise<readonly Leaf[]> {
  const found: Leaf[] = [];
  const walk = (command: Command, words: readonly string[]): void => {
    for (const child of command.commands) {
      const path = [...words, child.name()];
      if (child.commands.length > 0) walk(child, path);
      else if (child.name() !== 'help') found.push({ words: path, command: child });
    }
  };
  walk(await wholeProgram(), []);
  return found;
}

/** The command lines of the examples in a help text, as words; remarks behind two spaces, redirections and variables before it are taken off. */
export function examplesIn(help: string): string[][] {
  return help.split('\n').flatMap((line) => {
    const command = /^ {2}(?:[A-Z_]+=\S+ )*postern (.*)$/.exec(line)?.[1];
    if (command === undefined || command.startsWith('COMMAND')) return [];
    const [plain = ''] = command.split(/ {2,}| \(| > /);
    return [plain.split(' ')];
  });
}
