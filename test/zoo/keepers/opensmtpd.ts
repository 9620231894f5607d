// Keeps the animals that are OpenSMTPD: one daemon, because it can be there only once, with a listener for each port.

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hostOf } from '../animal.ts';
import type { Ground } from '../ground.ts';
import { tempDir } from '../../support/temp.ts';
import type { CertificateKind } from './certificates.ts';
import { startDaemon } from './daemon.ts';

export type OpenSmtpd = {
  readonly by: 'opensmtpd';
  readonly port: number;
  /** Default: a good one; null: no TLS. */
  readonly certificate?: CertificateKind | null;
  /** Default: `tls`, on 465 `smtps`. */
  readonly tls?: string;
  readonly auth?: boolean;
  /** What a `filter` line says behind its name. */
  readonly filter?: string;
  /** Takes mail for everybody. */
  readonly relays?: boolean;
};

export async function keepOpenSmtpd(kept: readonly { name: string; keep: OpenSmtpd }[], ground: Ground): Promise<void> {
  if (kept.length === 0) return;
  const dir = tempDir('osm');
  execFileSync('/bin/chmod', ['755', dir]);
  const conf = join(dir, 'smtpd.conf');
  const [pki, filters, listeners]: [Set<string>, string[], string[]] = [new Set(), [], []];
  for (const [i, { name, keep }] of kept.entries()) {
    const { certificate = 'good', port } = keep;
    const [host, tag] = [hostOf(name), `l${i}`];
    if (certificate !== null) {
      const { chain, key } = await ground.certificates.issue(host, certificate);
      // It refuses keys that others may read.
      execFileSync('/bin/cp', [key, join(dir, `${tag}.key`)]);
      execFileSync('/bin/chmod', ['600', join(dir, `${tag}.key`)]);
      pki.add(`pki ${tag} cert "${chain}"\npki ${tag} key "${join(dir, `${tag}.key`)}"`);
    }
    if (keep.filter !== undefined) filters.push(`filter ${tag} ${keep.filter}`);
    const auth = (keep.auth ?? port !== 25) ? ' auth <users>' : '';
    listeners.push(
      `listen on ${ground.address(name)} port ${port}${certificate === null ? '' : ` ${keep.tls ?? (port === 465 ? 'smtps' : 'tls')} pki ${tag}`}${auth} hostname ${host} tag ${keep.relays === true ? 'OPEN' : 'SHUT'}${keep.filter === undefined ? '' : ` filter ${tag}`}`,
    );
  }
  // "keeper", as crypt makes it.
  const hash = execFileSync('/usr/bin/openssl', ['passwd', '-6', 'keeper']).toString().trim();
  writeFileSync(
    conf,
    `${[...pki].join('\n')}
table users { "zoo" = "${hash}" }
${filters.join('\n')}
${listeners.join('\n')}
action "drop" maildir "${dir}/mail"
action "out" relay
match tag OPEN from any for any action "out"
match from any for domain "zoo.test" rcpt-to "postmaster@zoo.test" action "drop"
match from any auth for any action "out"
`,
    { mode: 0o600 },
  );
  const listens = kept.map(({ name, keep }) => ({ address: ground.address(name), port: keep.port }));
  await startDaemon({ name: 'OpenSMTPD', command: '/usr/sbin/smtpd', args: ['-d', '-f', conf], listens });
}
