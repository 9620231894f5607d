// A program of an animal: started, and waited for until its ports answer. Many start at the same time, so it may take a while.

import type { SpawnOptions } from 'node:child_process';
import { answers, startProcess, until } from '../../support/temp.ts';

const PATIENCE_MS = 90_000;

export type Daemon = {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly listens: readonly { readonly address: string; readonly port: number }[];
  readonly options?: SpawnOptions;
  /** More to be told when it does not start. */
  readonly log?: () => string;
};

export async function startDaemon({ name, command, args, listens, options, log }: Daemon): Promise<void> {
  const daemon = startProcess(command, args, options);
  const ended = (): boolean => {
    if (daemon.child.exitCode !== null) throw new Error(`${name}: ${command} ended with ${daemon.child.exitCode}`);
    return false;
  };
  for (const { address, port } of listens) {
    await until(`${name} listens on ${port}`, async () => (await answers(address, port)) || ended(), PATIENCE_MS).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${daemon.output()}\n${log?.() ?? ''}`);
    });
  }
}
