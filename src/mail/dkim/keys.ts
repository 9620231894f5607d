// New keys for a domain: a pair for each algorithm under selectors that tell the day. Pure but for the making of keys.

import { createPublicKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { ALGORITHMS } from './algorithms.ts';
import type { AlgorithmName } from './algorithms.ts';

export type NewKey = { readonly selector: string; readonly algorithm: AlgorithmName; readonly publicKey: Buffer; readonly privateKey: Buffer };

/** `taken` are the selectors that the domain has had: none of them comes back. Public keys as SPKI, private ones as PKCS #8, DER. */
export async function makeKeys(nowMs: number, taken: readonly string[]): Promise<NewKey[]> {
  const stem = freeStem(nowMs, taken);
  return Promise.all(
    ALGORITHMS.map(async ({ name, letter, makeKey }) => {
      const { publicKey, privateKey } = await makeKey();
      return {
        selector: `${stem}${letter}`,
        algorithm: name,
        publicKey: publicKey.export({ type: 'spki', format: 'der' }),
        privateKey: privateKey.export({ type: 'pkcs8', format: 'der' }),
      };
    }),
  );
}

/** What stands in the record of a key that is kept as SPKI. */
export function publishedKey(key: { readonly selector: string; readonly algorithm: AlgorithmName; readonly publicKey: Buffer }): {
  selector: string;
  keyType: 'rsa' | 'ed25519';
  publicBytes: Buffer;
} {
  const row = ALGORITHMS.find(({ name }) => name === key.algorithm) as (typeof ALGORITHMS)[number];
  const publicKey: KeyObject = createPublicKey({ key: key.publicKey, format: 'der', type: 'spki' });
  return { selector: key.selector, keyType: row.keyType, publicBytes: row.publicBytes(publicKey) };
}

/** `p20261124`; `p20261124-2` when that day has had keys already. */
function freeStem(nowMs: number, taken: readonly string[]): string {
  const day = `p${new Date(nowMs).toISOString().slice(0, 10).replaceAll('-', '')}`;
  for (let n = 1; ; n++) {
    const stem = n === 1 ? day : `${day}-${n}`;
    if (!taken.some((selector) => selector.slice(0, -1) === stem)) return stem;
  }
}
