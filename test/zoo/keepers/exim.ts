// Keeps the animals that are Exim: a daemon with a configuration of its own for each, made of what all share and what the animal changes.

import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hostOf } from '../animal.ts';
import type { Ground } from '../ground.ts';
import { tempDir } from '../../support/temp.ts';
import type { CertificateKind } from './certificates.ts';
import { startDaemon } from './daemon.ts';

export type Exim = {
  readonly by: 'exim';
  /** 465 is TLS from the first byte. */
  readonly ports: readonly number[];
  /** Default: a good one; null: no TLS. */
  readonly certificate?: CertificateKind | null;
  /** A priority string of GnuTLS; default: TLS 1.2 and 1.3. */
  readonly ciphers?: string;
  /** Lines of the main part. */
  readonly main?: string;
  /** Lines at the beginning of these ACLs. */
  readonly connect?: string;
  readonly helo?: string;
  readonly rcpt?: string;
  /** Replaces the router that takes all local mail. */
  readonly routers?: string;
  readonly authenticators?: string;
};

const AUTHENTICATOR = `plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = \${if and{{eq{$auth2}{zoo}}{eq{$auth3}{keeper}}}}
  server_set_id = $auth2
  server_advertise_condition = \${if def:tls_in_cipher}`;

export async function keepExim({ name, keep }: { name: string; keep: Exim }, ground: Ground): Promise<void> {
  const dir = tempDir('exim');
  execFileSync('/bin/chmod', ['755', dir]);
  mkdirSync(join(dir, 'spool'));
  execFileSync('/bin/chown', ['Debian-exim:Debian-exim', join(dir, 'spool')]);
  const { certificate = 'good', ports } = keep;
  const files = certificate === null ? null : await ground.certificates.issue(hostOf(name), certificate);
  const tls = files === null ? 'tls_advertise_hosts =' : `tls_certificate = ${files.chain}\ntls_privatekey = ${files.key}\ntls_advertise_hosts = *\ntls_on_connect_ports = 465`;
  const conf = join(dir, 'exim.conf');
  writeFileSync(
    conf,
    `primary_hostname = ${hostOf(name)}
exim_user = Debian-exim
exim_group = Debian-exim
spool_directory = ${dir}/spool
log_file_path = ${dir}/spool/%slog
pid_file_path = ${dir}/spool/pid
local_interfaces = ${ground.address(name)}
daemon_smtp_ports = ${ports.join(' : ')}
domainlist mine = zoo.test
acl_smtp_connect = connect
acl_smtp_helo = helo
acl_smtp_rcpt = rcpt
host_lookup =
rfc1413_hosts =
keep_environment =
smtp_accept_max_per_host = 0
tls_require_ciphers = ${keep.ciphers ?? 'NORMAL:-VERS-TLS1.0:-VERS-TLS1.1'}
${tls}
${keep.main ?? ''}
begin acl
connect:
${keep.connect ?? ''}
  accept
helo:
${keep.helo ?? ''}
  accept
rcpt:
${keep.rcpt ?? ''}
  accept authenticated = *
  deny message = relay not permitted
       !domains = +mine
  deny message = no such mailbox
       !local_parts = postmaster
  accept
begin routers
${keep.routers ?? 'all:\n  driver = redirect\n  data = :blackhole:'}
begin authenticators
${ports.every((port) => port === 25) ? '' : (keep.authenticators ?? AUTHENTICATOR)}
`,
  );
  const address = ground.address(name);
  await startDaemon({ name, command: '/usr/sbin/exim4', args: ['-C', conf, '-bdf', '-v'], listens: ports.map((port) => ({ address, port })) });
}
