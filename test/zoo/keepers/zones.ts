// Keeps the names: the hosts of all animals, and the domains that are animals themselves, in a real DNS (Knot, and Unbound in front of it).

import { X509Certificate, createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { startDns } from '../../support/dns.ts';
import { LISTED, hostOf } from '../animal.ts';
import type { Ground } from '../ground.ts';
import type { CertificateKind } from './certificates.ts';

export type Zones = {
  readonly by: 'knot';
  /** The records of NAME.test. `ADDRESS` stands for the animal's address, `KEY` for the SHA-256 of the key of mx.NAME.test. */
  readonly records: string;
  /** Signed, with an anchor that Unbound knows. */
  readonly signed?: boolean;
  /** `bogus`: with an anchor that nothing in it fits; `mute`: its servers do not answer. */
  readonly broken?: 'bogus' | 'mute';
  /** What mx.NAME.test shows; default: a good one. */
  readonly certificate?: CertificateKind;
  /** Whether the address leads back to a name; default: yes. */
  readonly reverse?: false | string;
};

export async function keepZones(kept: readonly { name: string; keep: Zones }[], names: readonly string[], ground: Ground): Promise<string> {
  const hosts = names.map((name) => `${name} A ${ground.address(name)}`);
  const reverse = names.flatMap((name) => {
    const zone = kept.find((one) => one.name === name)?.keep;
    const [, , third, fourth] = ground.address(name).split('.');
    return zone?.reverse === false ? [] : [`${fourth}.${third} PTR ${zone?.reverse ?? hostOf(name)}.`];
  });
  const zonesThat = (are: (keep: Zones) => boolean): string[] => kept.filter(({ keep }) => are(keep)).map(({ name }) => `${name}.test`);
  const zones = Object.fromEntries(
    await Promise.all(
      kept
        .filter(({ keep }) => keep.broken !== 'mute')
        .map(
          async ({ name, keep }) =>
            [
              `${name}.test`,
              keep.records.replaceAll('ADDRESS', ground.address(name)).replaceAll('KEY', keep.records.includes('KEY') ? await keyOf(name, keep, ground) : ''),
            ] as const,
        ),
    ),
  );
  const { server } = await startDns(
    {
      'zoo.test': [...hosts, `out A ${LISTED}`, 'text-only TXT "no address"'].join('\n'),
      '20.127.in-addr.arpa': reverse.join('\n'),
      '2.0.192.in-addr.arpa': '66 PTR out.zoo.test.\n78 PTR out.zoo.test.',
      'list.test': `${LISTED.split('.').toReversed().join('.')} A 127.0.0.2\n${LISTED.split('.').toReversed().join('.')} TXT "spam was sent from here"`,
      // As it is in the world: one domain that takes no mail, one that does.
      'example.org': '@ MX 0 .',
      'iana.org': '@ MX 10 mx\nmx A 192.0.2.10',
      // Walks up a name end here, not at the root.
      test: '',
      ...zones,
    },
    { port: 53, signed: zonesThat((keep) => keep.signed === true), bogus: zonesThat((keep) => keep.broken === 'bogus'), mute: zonesThat((keep) => keep.broken === 'mute') },
  );
  return server;
}

async function keyOf(name: string, { certificate = 'good' }: Zones, ground: Ground): Promise<string> {
  const { leaf } = await ground.certificates.issue(`mx.${name}.test`, certificate);
  return createHash('sha256')
    .update(new X509Certificate(readFileSync(leaf)).publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex');
}
