// Keeps the animals that are a pipe of small tools on a port: socat starts a line of shell for each connection. `BEHIND` in it is a connection to
// another port of the same animal.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Ground } from '../ground.ts';
import { tempDir } from '../../support/temp.ts';
import { startDaemon } from './daemon.ts';

export type Socat = { readonly by: 'socat'; readonly port: number; readonly to?: number; readonly shell: string };

export async function keepSocat({ name, keep }: { name: string; keep: Socat }, ground: Ground): Promise<void> {
  const address = ground.address(name);
  const script = join(tempDir('soc'), 'each.sh');
  writeFileSync(script, `${keep.shell.replaceAll('BEHIND', `/usr/bin/socat - TCP:${address}:${keep.to}`)}\n`);
  const args = [`TCP-LISTEN:${keep.port},bind=${address},fork,reuseaddr`, `EXEC:/bin/sh ${script}`];
  await startDaemon({ name, command: '/usr/bin/socat', args, listens: [{ address, port: keep.port }] });
}
