// Keeps the animals that are a pipe of small tools on a port: socat starts a line of shell for each connection. `BEHIND` in it is a connection to
// another port of the same animal.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Ground } from '../ground.ts';
import { answers, startProcess, tempDir, until } from '../../support/temp.ts';

export type Socat = { readonly by: 'socat'; readonly port: number; readonly to?: number; readonly shell: string };

export async function keepSocat({ name, keep }: { name: string; keep: Socat }, ground: Ground): Promise<void> {
  const address = ground.address(name);
  const script = join(tempDir('soc'), 'each.sh');
  writeFileSync(script, `${keep.shell.replaceAll('BEHIND', `/usr/bin/socat - TCP:${address}:${keep.to}`)}\n`);
  const daemon = startProcess('/usr/bin/socat', [`TCP-LISTEN:${keep.port},bind=${address},fork,reuseaddr`, `EXEC:/bin/sh ${script}`]);
  await until(`${name} listens`, () => answers(address, keep.port)).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${daemon.output()}`);
  });
}
