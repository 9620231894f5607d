// The program run many times in one process (test/fixtures/many-commands.ts): what a test over all commands or all configurations needs.

import { fileURLToPath } from 'node:url';
import { run } from './temp.ts';
import type { Done } from './temp.ts';

const FIXTURE = fileURLToPath(new URL('../fixtures/many-commands.ts', import.meta.url));

export type Command = { readonly args: readonly string[]; readonly env?: Readonly<Record<string, string>> };

/** What each command wrote, and how it ended. Throws when one of them broke the process. */
export async function runCommands(commands: readonly Command[], options: { readonly cwd: string }): Promise<readonly Done[]> {
  const done = await run(process.execPath, ['--disable-warning=ExperimentalWarning', FIXTURE], { ...options, input: JSON.stringify(commands), timeoutMs: 120_000 });
  if (done.code !== 0) throw new Error(`the process of the commands ended with ${done.code}:\n${done.stdout.slice(-2000)}${done.stderr}`);
  return JSON.parse(Buffer.from(done.stdout, 'latin1').toString('utf8')) as Done[];
}
