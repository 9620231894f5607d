// The ground of the zoo, laid in namespaces of its own: a loopback, a view of the files with the unpacked servers in their places, and the users
// that these want. Nothing of it is seen outside.

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tempDir } from '../support/temp.ts';
import { openCertificates } from './keepers/certificates.ts';
import type { Certificates } from './keepers/certificates.ts';

const UNPACKED = ['opensmtpd', 'exim4-daemon-light'].map((name) => `/var/cache/postern-tests/${name}/usr`);
const USERS = ['opensmtpd', 'opensmtpq', 'Debian-exim'];
const FIRST_ID = 64_001;

export type Ground = {
  readonly certificates: Certificates;
  /** The address of an animal. */
  address(name: string): string;
};

/** Lays it; `names` are given addresses in this order. */
export async function layGround(names: readonly string[]): Promise<Ground> {
  const dir = tempDir('zoo');
  const run = (command: string, ...args: string[]): void => void execFileSync(command, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  run('/bin/chmod', '755', dir);
  run('/bin/ip', 'link', 'set', 'lo', 'up');
  // Files of /etc are not covered one by one: whoever replaces one outside, as adduser does, would uncover it here.
  const ids = USERS.map((user, i) => ({ user, id: FIRST_ID + i }));
  const own: Readonly<Record<string, string>> = {
    passwd: `${readFileSync('/etc/passwd', 'utf8')}${ids.map(({ user, id }) => `${user}:x:${id}:${id}::/var/lib/opensmtpd/empty:/usr/sbin/nologin\n`).join('')}`,
    group: `${readFileSync('/etc/group', 'utf8')}${ids.map(({ user, id }) => `${user}:x:${id}:\n`).join('')}`,
    'resolv.conf': 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n',
    hosts: '127.0.0.1 localhost\n',
  };
  mkdirSync(join(dir, 'etc'), { mode: 0o755 });
  for (const [name, text] of Object.entries(own)) writeFileSync(join(dir, 'etc', name), text, { mode: 0o644 });
  for (const [path, above] of [
    ['/usr', UNPACKED],
    ['/etc', [join(dir, 'etc')]],
    ['/var/lib', ['/var/cache/postern-tests/opensmtpd/var/lib']],
  ] as const)
    run('/bin/mount', '-t', 'overlay', 'overlay', '-o', `lowerdir=${[...above, path].join(':')}`, path);
  for (const path of ['/run', '/var/spool']) run('/bin/mount', '-t', 'tmpfs', '-o', 'mode=755', 'none', path);
  const addresses = new Map(names.map((name, i) => [name, `127.20.${Math.floor(i / 200)}.${(i % 200) + 1}`]));
  return {
    certificates: await openCertificates(),
    address(name) {
      const address = addresses.get(name);
      if (address === undefined) throw new Error(`${name} has no address`);
      return address;
    },
  };
}
