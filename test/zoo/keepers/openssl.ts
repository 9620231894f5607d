// Keeps the animals that are openssl s_server: TLS, and nothing inside of it.

import { hostOf } from '../animal.ts';
import type { Ground } from '../ground.ts';
import { answers, startProcess, until } from '../../support/temp.ts';
import type { CertificateKind } from './certificates.ts';

export type OpenSsl = { readonly by: 'openssl'; readonly port: number; readonly certificate?: CertificateKind };

export async function keepOpenSsl({ name, keep }: { name: string; keep: OpenSsl }, ground: Ground): Promise<void> {
  const address = ground.address(name);
  const { chain, leaf, key } = await ground.certificates.issue(hostOf(name), keep.certificate ?? 'good');
  const daemon = startProcess('/usr/bin/openssl', ['s_server', '-quiet', '-accept', `${address}:${keep.port}`, '-cert', leaf, '-cert_chain', chain, '-key', key], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  await until(`${name} listens`, () => answers(address, keep.port)).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${daemon.output()}`);
  });
}
