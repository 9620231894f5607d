// Keeps the animals that are Postern itself.

import { startPostern } from '../../support/postern.ts';
import { hostOf } from '../animal.ts';
import type { Ground } from '../ground.ts';

/** On the four ports of its profiles. */
export type PosternServer = { readonly by: 'postern' };

const PORTS = { mx: 25, submissions: 465, submission: 587, alternate: 2525 } as const;

export async function keepPostern({ name }: { name: string }, ground: Ground): Promise<void> {
  const { chain, key } = await ground.certificates.issue(hostOf(name), 'good');
  const listeners = Object.entries(PORTS).map(([profile, port]) => `[[listener]]\nprofile = "${profile}"\naddress = "${ground.address(name)}"\nport = ${port}\n`);
  await startPostern({ hostname: hostOf(name), profiles: [], config: `${listeners.join('')}[tls]\nmode = "files"\ncert = "${chain}"\nkey = "${key}"\n` });
}
