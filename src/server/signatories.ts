// The domains of the directory that sign, with their keys opened, as one worker holds them: read anew when the directory's generation has
// moved. Answers at once.

import { createPrivateKey } from 'node:crypto';
import { errorText } from '#base/failure.ts';
import type { Log } from '#base/log.ts';
import type { Vault } from '#base/vault.ts';
import type { Signatory } from '#mail/dkim/signing.ts';
import { ALGORITHMS } from '#mail/dkim/algorithms.ts';
import type { SigningKey } from '#mail/dkim/signer.ts';
import { bounceDomain } from '#mail/identity/records.ts';
import type { DirectoryReader } from '#store/directory.ts';
import { KEY_PURPOSE, placeOf } from '#store/domain-keys.ts';
import type { DomainKey, DomainKeyReader } from '#store/domain-keys.ts';

export type Signatories = {
  find(domain: string): Signatory | null;
  /** Whether bounces of a domain of ours come back to this one. */
  isBounceDomain(domain: string): boolean;
  /** Looks whether the directory has changed; the new ones are there before the next turn of the event loop. */
  refresh(): void;
};

export type SignatoriesParts = {
  readonly directory: Pick<DirectoryReader, 'domains'> & DomainKeyReader;
  readonly generation: Int32Array;
  readonly vault: Vault;
  readonly log: Log;
};

const DAY_MS = 86_400_000;

/** Long enough for the last attempt of a message and for those that it is passed on to. */
export function signatureLifetimeMs(maxAgeMs: number): number {
  return Math.max(7 * DAY_MS, maxAgeMs + 3 * DAY_MS);
}

type Known = { readonly signatories: ReadonlyMap<string, Signatory>; readonly bounceDomains: ReadonlySet<string> };

export async function openSignatories(parts: SignatoriesParts): Promise<Signatories> {
  const { generation, log } = parts;
  const opened = new Map<string, SigningKey>();
  let seen = Atomics.load(generation, 0);
  let known = await read(parts, opened);
  const refresh = (): void => {
    const now = Atomics.load(generation, 0);
    if (now === seen) return;
    seen = now;
    read(parts, opened).then(
      (next) => (known = next),
      (error: unknown) => {
        seen = now - 1;
        log.error('signing.keys-not-read', { cause: errorText(error), fix: 'Mail is signed with the keys that were there before; see whether directory.db can be read.' });
      },
    );
  };
  return {
    find(domain) {
      refresh();
      return known.signatories.get(domain) ?? null;
    },
    isBounceDomain: (domain) => known.bounceDomains.has(domain),
    refresh,
  };
}

/** Keys that were opened before are not opened again: a change of the directory is often about something else. */
async function read({ directory, vault }: SignatoriesParts, opened: Map<string, SigningKey>): Promise<Known> {
  const [domains, keys] = [await directory.domains(), await directory.domainKeys()];
  const active = keys.filter((key) => key.state === 'active');
  const places = new Set(active.map(placeOf));
  for (const place of opened.keys()) if (!places.has(place)) opened.delete(place);
  const signatories = new Map<string, Signatory>();
  for (const domain of domains) {
    const own = ALGORITHMS.flatMap(({ name }) => active.filter((key) => key.domain === domain.name && key.algorithm === name));
    if (own.length === 0) continue;
    signatories.set(domain.name, {
      domain: domain.name,
      keys: own.map((key) => openKey(vault, key, opened)),
      bounceDomain: domain.returnPathVerifiedAtMs === null ? null : bounceDomain(domain),
    });
  }
  return { signatories, bounceDomains: new Set(domains.map(bounceDomain)) };
}

function openKey(vault: Vault, key: DomainKey, opened: Map<string, SigningKey>): SigningKey {
  const place = placeOf(key);
  const known = opened.get(place);
  if (known !== undefined) return known;
  const der = vault.open(KEY_PURPOSE, place, key.sealed ?? Buffer.alloc(0));
  const signing = { domain: key.domain, selector: key.selector, algorithm: key.algorithm, privateKey: createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }) };
  der.fill(0);
  opened.set(place, signing);
  return signing;
}
