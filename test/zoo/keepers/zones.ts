// Keeps the names: the hosts of all animals, and the domains that are animals themselves, in a real DNS (Knot, and Unbound in front of it).

import { startDns } from '../../support/dns.ts';
import { hostOf } from '../animal.ts';
import type { Ground } from '../ground.ts';

export type Zones = {
  readonly by: 'knot';
  /** The records of NAME.test. `ADDRESS` stands for the animal's address. */
  readonly records: string;
  /** Signed, with an anchor that Unbound knows. */
  readonly signed?: boolean;
  /** Whether the address leads back to a name; default: yes. */
  readonly reverse?: false | string;
};

/** A list that has one address on it. */
export const LISTED = '192.0.2.66';

export async function keepZones(kept: readonly { name: string; keep: Zones }[], names: readonly string[], ground: Ground): Promise<string> {
  const hosts = names.map((name) => `${name} A ${ground.address(name)}`);
  const reverse = names.flatMap((name) => {
    const zone = kept.find((one) => one.name === name)?.keep;
    const [, , third, fourth] = ground.address(name).split('.');
    return zone?.reverse === false ? [] : [`${fourth}.${third} PTR ${zone?.reverse ?? hostOf(name)}.`];
  });
  const zones = Object.fromEntries(kept.map(({ name, keep }) => [`${name}.test`, keep.records.replaceAll('ADDRESS', ground.address(name))]));
  const { server } = await startDns(
    {
      'zoo.test': [...hosts, `out A ${LISTED}`].join('\n'),
      '20.127.in-addr.arpa': reverse.join('\n'),
      '2.0.192.in-addr.arpa': '66 PTR out.zoo.test.',
      'list.test': `${LISTED.split('.').toReversed().join('.')} A 127.0.0.2\n${LISTED.split('.').toReversed().join('.')} TXT "spam was sent from here"`,
      // Walks up a name end here, not at the root.
      test: '',
      ...zones,
    },
    { port: 53, signed: kept.filter(({ keep }) => keep.signed === true).map(({ name }) => `${name}.test`) },
  );
  return server;
}
