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
  const over = (path: string, text: string): void => {
    const file = join(dir, path.replaceAll('/', '-'));
    writeFileSync(file, text, { mode: 0o644 });
    run('/bin/mount', '--bind', file, path);
  };
  run('/bin/chmod', '755', dir);
  run('/bin/ip', 'link', 'set', 'lo', 'up');
  run('/bin/mount', '-t', 'overlay', 'overlay', '-o', `lowerdir=${[...UNPACKED, '/usr'].join(':')}`, '/usr');
  for (const path of ['/run', '/var/spool', '/var/lib/opensmtpd']) {
    mkdirSync(path, { recursive: true });
    run('/bin/mount', '-t', 'tmpfs', '-o', 'mode=755', 'none', path);
  }
  mkdirSync('/var/lib/opensmtpd/empty');
  const ids = USERS.map((user, i) => ({ user, id: FIRST_ID + i }));
  over('/etc/passwd', `${readFileSync('/etc/passwd', 'utf8')}${ids.map(({ user, id }) => `${user}:x:${id}:${id}::/var/lib/opensmtpd/empty:/usr/sbin/nologin\n`).join('')}`);
  over('/etc/group', `${readFileSync('/etc/group', 'utf8')}${ids.map(({ user, id }) => `${user}:x:${id}:\n`).join('')}`);
  over('/etc/resolv.conf', 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n');
  over('/etc/hosts', '127.0.0.1 localhost\n');
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
