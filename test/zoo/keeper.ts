// Starts everything that the animals are kept by. What one daemon can hold together is started once, the rest one by one.

import type { Animal, Kept } from './animal.ts';
import { layGround } from './ground.ts';
import type { Ground } from './ground.ts';
import { keepDovecot } from './keepers/dovecot.ts';
import { keepExim } from './keepers/exim.ts';
import { keepFirewall } from './keepers/firewall.ts';
import { keepHaProxy } from './keepers/haproxy.ts';
import { keepNginx } from './keepers/nginx.ts';
import { keepOpenSmtpd } from './keepers/opensmtpd.ts';
import { keepOpenSsl } from './keepers/openssl.ts';
import { keepPostern } from './keepers/postern.ts';
import { keepPostfix } from './keepers/postfix.ts';
import { keepPython } from './keepers/python.ts';
import { keepSocat } from './keepers/socat.ts';
import { keepStunnel } from './keepers/stunnel.ts';
import { keepZones } from './keepers/zones.ts';

export type Kennel = { readonly ground: Ground; /** For [dns] servers. */ readonly resolver: string };

export async function keep(animals: readonly Animal[]): Promise<Kennel> {
  const names = animals.map(({ name }) => name);
  const ground = await layGround(names);
  const all = <By extends Kept['by']>(by: By): { name: string; keep: Extract<Kept, { by: By }> }[] =>
    animals.flatMap(({ name, keep: kept }) => kept.filter((one): one is Extract<Kept, { by: By }> => one.by === by).map((one) => ({ name, keep: one })));
  const [resolver] = await Promise.all([
    keepZones(all('knot'), names, ground),
    keepPostfix(all('postfix'), ground),
    keepOpenSmtpd(all('opensmtpd'), ground),
    ...all('exim').map((one) => keepExim(one, ground)),
    ...all('dovecot').map((one) => keepDovecot(one, ground)),
    ...all('stunnel').map((one) => keepStunnel(one, ground)),
    ...all('haproxy').map((one) => keepHaProxy(one, ground)),
    ...all('nginx').map((one) => keepNginx(one, ground)),
    ...all('socat').map((one) => keepSocat(one, ground)),
    ...all('aiosmtpd').map((one) => keepPython(one, ground)),
    ...all('openssl').map((one) => keepOpenSsl(one, ground)),
    ...all('postern').map((one) => keepPostern(one, ground)),
  ]);
  // Last, so that it keeps nobody from seeing that the others have started.
  keepFirewall(all('nftables'), ground);
  return { ground, resolver };
}
