// Keeps the animals that are Dovecot's submission server, which hands on to a relay once somebody is logged in; one Dovecot for each.

import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hostOf } from '../animal.ts';
import type { Ground } from '../ground.ts';
import { tempDir } from '../../support/temp.ts';
import type { CertificateKind } from './certificates.ts';
import { startDaemon } from './daemon.ts';

export type Dovecot = {
  readonly by: 'dovecot';
  /** 465 is TLS from the first byte. */
  readonly ports: readonly number[];
  readonly protocol?: 'submission' | 'imap';
  readonly certificate?: CertificateKind;
  readonly settings?: string;
};

export async function keepDovecot({ name, keep }: { name: string; keep: Dovecot }, ground: Ground): Promise<void> {
  const dir = tempDir('dvs');
  execFileSync('/bin/chmod', ['755', dir]);
  const [host, address, protocol] = [hostOf(name), ground.address(name), keep.protocol ?? 'submission'];
  const files = await ground.certificates.issue(host, keep.certificate ?? 'good');
  writeFileSync(join(dir, 'users'), 'zoo:{PLAIN}keeper::::::\n', { mode: 0o644 });
  const listeners = keep.ports.map((port) => `  inet_listener p${port} {\n    address = ${address}\n    port = ${port}\n    ssl = ${port === 465 ? 'yes' : 'no'}\n  }\n`);
  // The ones it brings itself would take ports of everybody.
  const off = (protocol === 'submission' ? ['submission', 'submissions'] : ['imap', 'imaps']).map((own) => `  inet_listener ${own} {\n    port = 0\n  }\n`);
  writeFileSync(
    join(dir, 'dovecot.conf'),
    `base_dir = ${dir}/run
state_dir = ${dir}/state
log_path = ${dir}/log
protocols = ${protocol}
hostname = ${host}
ssl = required
ssl_cert = <${files.chain}
ssl_key = <${files.key}
disable_plaintext_auth = yes
auth_mechanisms = plain login
mail_location = maildir:${dir}/mail
submission_relay_host = 127.0.0.1
submission_host = 127.0.0.1:25
auth_failure_delay = 0
passdb {
  driver = passwd-file
  args = ${dir}/users
}
userdb {
  driver = static
  args = uid=8 gid=8 home=${dir}/mail
}
service ${protocol}-login {
${[...off, ...listeners].join('')}}
${keep.settings ?? ''}
`,
  );
  const log = (): string => readFileSync(join(dir, 'log'), 'latin1');
  await startDaemon({ name, command: '/usr/sbin/dovecot', args: ['-F', '-c', join(dir, 'dovecot.conf')], listens: keep.ports.map((port) => ({ address, port })), log });
}
