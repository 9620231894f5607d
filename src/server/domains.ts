// What can be done with the domains of this server: added with keys of their own, shown with the records they need, removed. Joins the directory,
// the vault and the making of records; changes of one domain never run into each other.

import type { Clock } from '#base/clock.ts';
import type { Vault } from '#base/vault.ts';
import type { DomainChange, DomainDetail, DomainService } from '#http/routes/domains.ts';
import { makeKeys, publishedKey } from '#mail/dkim/keys.ts';
import { publishedRecords } from '#mail/identity/records.ts';
import type { Directory, Domain } from '#store/directory.ts';
import { KEY_PURPOSE, placeOf } from '#store/domain-keys.ts';
import type { DomainKey } from '#store/domain-keys.ts';

export type DomainsParts = {
  readonly directory: Directory;
  readonly vault: Vault;
  readonly hostname: string;
  readonly clock: Clock;
};

export function openDomains(parts: DomainsParts): DomainService {
  const { directory, hostname } = parts;
  const inTurn = openLine();
  const detail = async (domain: Domain): Promise<DomainDetail> => {
    const keys = (await directory.domainKeys()).filter((key) => key.domain === domain.name);
    const records = publishedRecords({ ...domain, keys: keys.map(publishedKey) }, hostname);
    return {
      domain,
      keys: keys.map(({ publicKey: _publicKey, sealed: _sealed, domain: _domain, ...shown }) => shown),
      records: records.map((record) => ({ ...record, status: domain.statuses[`${record.type} ${record.name}`] ?? 'unchecked' })),
    };
  };
  return {
    list: () => directory.domains(),
    async show(name) {
      const domain = await directory.domain(name);
      return domain === null ? null : detail(domain);
    },
    add: (wanted: DomainChange) =>
      inTurn(async () => {
        const domain = await directory.addDomain(wanted);
        const keys = await directory.domainKeys();
        // Without a key before it there is no signature that these could break: they sign at once, published or not.
        if (!keys.some((key) => key.domain === domain.name)) await directory.addDomainKeys(await newKeys(parts, domain.name, 'active'));
        return detail(domain);
      }),
    remove: (name) =>
      inTurn(async () => {
        await directory.forgetKeys(name, 'all');
        return directory.removeDomain(name);
      }),
  };
}

async function newKeys({ directory, vault, clock }: DomainsParts, domain: string, state: 'next' | 'active'): Promise<DomainKey[]> {
  const nowMs = clock.nowMs();
  const made = await makeKeys(nowMs, await directory.selectors(domain));
  return made.map(({ selector, algorithm, publicKey, privateKey }) => {
    const sealed = vault.seal(KEY_PURPOSE, placeOf({ domain, selector }), privateKey);
    privateKey.fill(0);
    return { domain, selector, algorithm, state, publicKey, sealed, createdAtMs: nowMs, activatedAtMs: state === 'active' ? nowMs : null, removableAtMs: null };
  });
}

/** One after the other. */
function openLine(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const turn = last.then(work, work);
    last = turn.catch(() => {});
    return turn;
  };
}
