// Keeps the animals that stand behind HAProxy: one HAProxy for each, a front with lines of its own before a port of the same animal.

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hostOf } from '../animal.ts';
import type { Ground } from '../ground.ts';
import { tempDir } from '../../support/temp.ts';
import type { CertificateKind } from './certificates.ts';
import { startDaemon } from './daemon.ts';

export type HaProxy = {
  readonly by: 'haproxy';
  readonly port: number;
  /** The animal's own port behind it; null: nothing is there. */
  readonly to: number | null;
  /** TLS from the first byte, with these words behind `ssl crt FILE`. */
  readonly tls?: string;
  readonly certificate?: CertificateKind;
  /** Lines of the front. */
  readonly lines?: string;
};

export async function keepHaProxy({ name, keep }: { name: string; keep: HaProxy }, ground: Ground): Promise<void> {
  const dir = tempDir('hap');
  const address = ground.address(name);
  const { chain, key } = await ground.certificates.issue(hostOf(name), keep.certificate ?? 'good');
  execFileSync('/bin/sh', ['-c', `cat ${chain} ${key} > ${dir}/both.pem`]);
  const conf = join(dir, 'haproxy.cfg');
  writeFileSync(
    conf,
    `defaults
  mode tcp
  timeout connect 2s
  timeout client 30s
  timeout server 30s
frontend f
  bind ${address}:${keep.port}${keep.tls === undefined ? '' : ` ssl crt ${dir}/both.pem ${keep.tls}`}
${keep.lines ?? ''}
  default_backend b
backend b
${keep.to === null ? '' : `  server s ${address}:${keep.to}\n`}`,
  );
  await startDaemon({ name, command: '/usr/sbin/haproxy', args: ['-db', '-f', conf], listens: [{ address, port: keep.port }] });
}
