// Keeps the animals that stand behind stunnel, which puts TLS around a plain server at another address: one stunnel for each.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hostOf } from '../animal.ts';
import type { Ground } from '../ground.ts';
import { tempDir } from '../../support/temp.ts';
import type { CertificateKind } from './certificates.ts';
import { startDaemon } from './daemon.ts';

export type Stunnel = {
  readonly by: 'stunnel';
  readonly port: number;
  /** The animal's own port that it passes on to. */
  readonly to: number;
  readonly certificate?: CertificateKind;
  /** Diffie-Hellman parameters of 1024 bits. */
  readonly weakDh?: boolean;
  /** Lines of the service; `AUTHORITY` stands for the file of the zoo's own. */
  readonly lines?: string;
};

/** The second Oakley group (RFC 2409 6.2). */
const WEAK_DH = `-----BEGIN DH PARAMETERS-----
MIGHAoGBAP//////////yQ/aoiFowjTExmKLgNwc0SkCTgiKZ8x0Agu+pjsTmyJR
Sgh5jjQE3e+VGbPNOkMbMCsKbfJfFDdP4TVtbVHCReSFtXZiXn7G9ExC6aY37WsL
/1y29Aa37e44a/taiZ+lrp8kEXxLH+ZJKGZR7OZTgf//////////AgEC
-----END DH PARAMETERS-----
`;

export async function keepStunnel({ name, keep }: { name: string; keep: Stunnel }, ground: Ground): Promise<void> {
  const dir = tempDir('stn');
  const address = ground.address(name);
  const { chain, key } = await ground.certificates.issue(hostOf(name), keep.certificate ?? 'good');
  const conf = join(dir, 'stunnel.conf');
  const both = join(dir, 'both.pem');
  writeFileSync(both, `${readFileSync(chain, 'utf8')}${keep.weakDh === true ? WEAK_DH : ''}`);
  writeFileSync(
    conf,
    `foreground = yes\npid =\nsyslog = no\ndebug = 4\n[smtps]\naccept = ${address}:${keep.port}\nconnect = ${address}:${keep.to}\ncert = ${both}\nkey = ${key}\n${(keep.lines ?? '').replace('AUTHORITY', ground.certificates.caFile)}\n`,
  );
  await startDaemon({ name, command: '/usr/bin/stunnel4', args: [conf], listens: [{ address, port: keep.port }] });
}
