// What the animals are built from, by its name.

import type { Animal } from './animal.ts';

const NAMES: Readonly<Record<Animal['keep'][number]['by'], string>> = {
  postfix: 'Postfix',
  exim: 'Exim',
  opensmtpd: 'OpenSMTPD',
  dovecot: 'Dovecot',
  stunnel: 'stunnel',
  haproxy: 'HAProxy',
  nginx: 'nginx',
  socat: 'socat',
  aiosmtpd: 'aiosmtpd',
  nftables: 'nftables',
  knot: 'Knot, Unbound',
  postern: 'Postern',
  openssl: 'openssl s_server',
};

/** What an animal is built from, the front first. */
export function softwareOf({ keep }: Animal): string {
  return [...new Set(keep.map(({ by }) => NAMES[by]))].join(' + ') || 'nothing';
}
