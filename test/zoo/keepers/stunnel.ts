// Keeps the animals that stand behind stunnel, which puts TLS around a plain server at another address: one stunnel for each.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hostOf } from '../animal.ts';
import type { Ground } from '../ground.ts';
import { answers, startProcess, tempDir, until } from '../../support/temp.ts';
import type { CertificateKind } from './certificates.ts';

export type Stunnel = {
  readonly by: 'stunnel';
  readonly port: number;
  /** The animal's own port that it passes on to. */
  readonly to: number;
  readonly certificate?: CertificateKind;
  /** Lines of the service. */
  readonly lines?: string;
};

export async function keepStunnel({ name, keep }: { name: string; keep: Stunnel }, ground: Ground): Promise<void> {
  const dir = tempDir('stn');
  const address = ground.address(name);
  const { chain, key } = await ground.certificates.issue(hostOf(name), keep.certificate ?? 'good');
  const conf = join(dir, 'stunnel.conf');
  writeFileSync(
    conf,
    `foreground = yes\npid =\nsyslog = no\ndebug = 4\n[smtps]\naccept = ${address}:${keep.port}\nconnect = ${address}:${keep.to}\ncert = ${chain}\nkey = ${key}\n${keep.lines ?? ''}\n`,
  );
  const daemon = startProcess('/usr/bin/stunnel4', [conf]);
  await until(`${name} listens`, () => answers(address, keep.port)).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${daemon.output()}`);
  });
}
