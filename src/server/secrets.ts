// The vault of this server: opened with the key file, proven on everything that is sealed, or begun anew when the key is lost for good.

import { renameSync } from 'node:fs';
import { join } from 'node:path';
import type { Log } from '#base/log.ts';
import { openVault } from '#base/vault.ts';
import type { Vault } from '#base/vault.ts';
import type { Directory } from '#store/directory.ts';
import { KEY_PURPOSE, placeOf } from '#store/domain-keys.ts';
import { KEY_FILE, readSecretKey } from './secret-key.ts';

/** `orphans`: domains whose keys were given up with the old key file and that need new ones. */
export type Secrets = { readonly key: Buffer; readonly vault: Vault; readonly orphans: readonly string[] };

/** With `renew` the key file and all that is sealed with it are given up. Throws PosternError when the key does not open what is there. */
export async function openSecrets(parts: { readonly dataDir: string; readonly directory: Directory; readonly log: Log }, options: { readonly renew: boolean }): Promise<Secrets> {
  const { dataDir, directory } = parts;
  const orphans = options.renew ? await giveUp(parts) : [];
  const sealed = (await directory.domainKeys()).filter((key) => key.sealed !== null);
  const key = readSecretKey(dataDir, { inUse: sealed.length > 0 });
  const vault = openVault(key);
  for (const one of sealed) vault.open(KEY_PURPOSE, placeOf(one), one.sealed ?? Buffer.alloc(0)).fill(0);
  return { key, vault, orphans };
}

async function giveUp({ dataDir, directory, log }: { readonly dataDir: string; readonly directory: Directory; readonly log: Log }): Promise<string[]> {
  const domains = [...new Set((await directory.domainKeys()).map((key) => key.domain))];
  for (const domain of domains) await directory.forgetKeys(domain, 'all');
  const path = join(dataDir, KEY_FILE);
  const kept = `${path}.old`;
  try {
    renameSync(path, kept);
  } catch {
    // It is lost: that is why we are here.
  }
  log.warn('secrets.renewed', { domains, fix: `Publish the new records of ${domains.join(', ') || 'each domain'}: "postern domain show DOMAIN".` });
  return domains;
}
