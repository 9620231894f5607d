// smtp-sink, as Postfix ships it: a receiver that takes everything, dumps what it took, or answers with what it is told.
// Needs: postfix

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { answers, freePort, startProcess, tempDir, until } from './temp.ts';
import type { Running } from './temp.ts';

export type Sink = {
  readonly address: string;
  readonly port: number;
  readonly process: Running;
  /** Messages it dumped, each with smtp-sink's own headers before it. */ dumps(): string[];
};

/** `dump`: keep messages. `args`: more of its options. */
export async function startSink(options: { address?: string; port?: number; dump?: boolean; args?: readonly string[] } = {}): Promise<Sink> {
  const address = options.address ?? '127.0.0.1';
  const port = options.port ?? (await freePort(address));
  const dir = tempDir('sink');
  const sink = startProcess(
    '/usr/sbin/smtp-sink',
    ['-u', 'nobody', ...(options.dump === true ? ['-d', join(dir, 'm.%M.')] : []), ...(options.args ?? []), `inet:${address}:${port}`, '1000'].filter(
      (arg, i, all) => process.getuid?.() === 0 || (arg !== '-u' && all[i - 1] !== '-u'),
    ),
    { cwd: dir },
  );
  if (options.dump === true) await makeWritable(dir);
  await until('smtp-sink listens', () => answers(address, port));
  return {
    address,
    port,
    process: sink,
    dumps: () =>
      readdirSync(dir)
        .toSorted()
        .map((name) => readFileSync(join(dir, name), 'latin1')),
  };
}

async function makeWritable(dir: string): Promise<void> {
  const { chmodSync } = await import('node:fs');
  chmodSync(dir, 0o777);
}
