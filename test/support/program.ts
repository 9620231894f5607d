// All commands of the program as its own table has them, for tests that hold for every one: paths, and the examples of their help.

import type { Command } from 'commander';
import { wholeProgram } from '#cli/main.ts';

/** `words` as they are typed, like ["queue", "list"]. */
export type Leaf = { readonly words: readonly string[]; readonly command: Command };

/** Commands that do something: those without subcommands, and those that take arguments themselves. */
export async function leaves(): Promise<readonly Leaf[]> {
  const found: Leaf[] = [];
  const walk = (command: Command, words: readonly string[]): void => {
    for (const child of command.commands) {
      const path = [...words, child.name()];
      const acts = child.commands.length === 0 || child.registeredArguments.length > 0;
      if (acts && child.name() !== 'help') found.push({ words: path, command: child });
      walk(child, path);
    }
  };
  walk(await wholeProgram(), []);
  return found;
}

/** The command lines of the examples in a help text, as words; remarks behind two spaces, redirections and variables before it are taken off. */
export function examplesIn(help: string): string[][] {
  return help.split('\n').flatMap((line) => {
    const command = /^ {2}(?:.* \| )?(?:[A-Z_]+=\S+ )*postern (.*)$/.exec(line)?.[1];
    if (command === undefined || command.startsWith('COMMAND')) return [];
    const words: string[] = [];
    // What stands in quotes is one word, whatever is in it.
    for (const [, gap = '', quoted, word = ''] of command.matchAll(/(^|\s+)(?:"([^"]*)"|(\S+))/g)) {
      if (gap.length > 1 || (quoted === undefined && (word === '>' || word.startsWith('(')))) break;
      words.push(quoted ?? word);
    }
    return [words];
  });
}
