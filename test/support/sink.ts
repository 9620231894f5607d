// smtp-sink, as Postfix ships it: a receiver that takes everything, dumps what it took, or answers with what it is told.
// Needs: postfix

import { closeSync, fstatSync, openSync, readFileSync, readSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { answers, freePort, startProcess, tempDir, until } from './temp.ts';
import type { Running } from './temp.ts';

export type Sink = {
  readonly address: string;
  readonly port: number;
  readonly process: Running;
  /** Messages it dumped, each with smtp-sink's own headers before it. */
  dumps(): string[];
  /** How many messages it took, as it counts them itself. */
  taken(): number;
};

/** `dump`: keep messages. `count`: say how many there were. `args`: more of its options. */
export async function startSink(options: { address?: string; port?: number; dump?: boolean; count?: boolean; args?: readonly string[] } = {}): Promise<Sink> {
  const address = options.address ?? '127.0.0.1';
  const port = options.port ?? (await freePort(address));
  const dir = tempDir('sink');
  // It says so after every message: into a file, so that nobody is woken for it.
  const counter = options.count === true ? openSync(join(dir, 'count'), 'a') : null;
  const sink = startProcess(
    '/usr/sbin/smtp-sink',
    [
      '-u',
      'nobody',
      ...(options.dump === true ? ['-d', join(dir, 'm.%M.')] : []),
      ...(options.count === true ? ['-c'] : []),
      ...(options.args ?? []),
      `inet:${address}:${port}`,
      '1000',
    ].filter((arg, i, all) => process.getuid?.() === 0 || (arg !== '-u' && all[i - 1] !== '-u')),
    { cwd: dir, stdio: ['ignore', counter ?? 'pipe', 'pipe'] },
  );
  if (counter !== null) closeSync(counter);
  if (options.dump === true) await makeWritable(dir);
  await until('smtp-sink listens', () => answers(address, port));
  return {
    address,
    port,
    process: sink,
    dumps: () =>
      readdirSync(dir)
        .filter((name) => name.startsWith('m.'))
        .toSorted()
        .map((name) => readFileSync(join(dir, name), 'latin1')),
    taken: () => Number(/mesg=(\d+)\r?$/.exec(lastOf(join(dir, 'count')))?.[1] ?? 0),
  };
}

const LINE_BYTES = 100;

function lastOf(path: string): string {
  const file = openSync(path, 'r');
  const { size } = fstatSync(file);
  const bytes = Buffer.alloc(Math.min(size, LINE_BYTES));
  readSync(file, bytes, 0, bytes.length, size - bytes.length);
  closeSync(file);
  return bytes.toString('latin1');
}

async function makeWritable(dir: string): Promise<void> {
  const { chmodSync } = await import('node:fs');
  chmodSync(dir, 0o777);
}
