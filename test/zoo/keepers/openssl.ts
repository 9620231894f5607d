// Keeps the animals that are openssl s_server: TLS, and nothing inside of it.

import { hostOf } from '../animal.ts';
import type { Ground } from '../ground.ts';
import type { CertificateKind } from './certificates.ts';
import { startDaemon } from './daemon.ts';

export type OpenSsl = { readonly by: 'openssl'; readonly port: number; readonly certificate?: CertificateKind };

export async function keepOpenSsl({ name, keep }: { name: string; keep: OpenSsl }, ground: Ground): Promise<void> {
  const address = ground.address(name);
  const { chain, leaf, key } = await ground.certificates.issue(hostOf(name), keep.certificate ?? 'good');
  const args = ['s_server', '-quiet', '-accept', `${address}:${keep.port}`, '-cert', leaf, '-cert_chain', chain, '-key', key];
  await startDaemon({ name, command: '/usr/bin/openssl', args, listens: [{ address, port: keep.port }], options: { stdio: ['pipe', 'pipe', 'pipe'] } });
}
