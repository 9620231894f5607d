// The keys with which a domain's mail is signed, in the directory's database: public halves as they are, private ones sealed. A row is never
// deleted: its selector must not come back with another key while some resolver still has the old one.

import type { Database } from './sqlite/database.ts';

/**
 * `next`: to be published, not yet used. `active`: signs. `retiring`: signs no more, but its record must stay until `removableAtMs`, while mail
 * that it signed is on the way. `removed`: only the selector is remembered.
 */
export type KeyState = 'next' | 'active' | 'retiring' | 'removed';

export type DomainKey = {
  readonly domain: string;
  readonly selector: string;
  readonly algorithm: 'rsa-sha256' | 'ed25519-sha256';
  readonly state: KeyState;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer;
  /** The private key, sealed; null once it signs no more. */
  readonly sealed: Buffer | null;
  readonly createdAtMs: number;
  readonly activatedAtMs: number | null;
  readonly removableAtMs: number | null;
};

export type DomainKeyReader = {
  /** All but the removed ones, oldest first. */
  domainKeys(): Promise<readonly DomainKey[]>;
};

export type DomainKeyWriter = DomainKeyReader & {
  /** Every selector the domain ever had. */
  selectors(domain: string): Promise<readonly string[]>;
  addDomainKeys(keys: readonly DomainKey[]): Promise<void>;
  /** The key signs from now on; the active one of its algorithm retires, its record to stay until `removableAtMs`. */
  activateKey(key: Pick<DomainKey, 'domain' | 'selector' | 'algorithm'>, at: { readonly nowMs: number; readonly removableAtMs: number }): Promise<void>;
  /** Forgets `next` keys (a rotation called off), or all keys of the domain. */
  forgetKeys(domain: string, which: 'next' | 'all'): Promise<number>;
  /** Retired keys whose time is over. */
  forgetRetired(nowMs: number): Promise<readonly DomainKey[]>;
};

/** How a private key is sealed: `vault.seal(PURPOSE, placeOf(key), pkcs8)`. */
export const KEY_PURPOSE = 'dkim';

export function placeOf(key: Pick<DomainKey, 'domain' | 'selector'>): string {
  return `domain_key/${key.domain}/${key.selector}`;
}

export const DOMAIN_KEY_MIGRATION = `
  CREATE TABLE domain_key (
    domain TEXT NOT NULL,
    selector TEXT NOT NULL,
    algorithm TEXT NOT NULL CHECK (algorithm IN ('rsa-sha256', 'ed25519-sha256')),
    state TEXT NOT NULL CHECK (state IN ('next', 'active', 'retiring', 'removed')),
    public_key BLOB NOT NULL,
    sealed BLOB,
    created_at INTEGER NOT NULL,
    activated_at INTEGER,
    removable_at INTEGER,
    PRIMARY KEY (domain, selector)
  ) WITHOUT ROWID;
  CREATE UNIQUE INDEX domain_key_active ON domain_key (domain, algorithm) WHERE state = 'active';
  ALTER TABLE domain ADD COLUMN return_path TEXT NOT NULL DEFAULT 'bounce';
  ALTER TABLE domain ADD COLUMN return_path_verified_at INTEGER;
  ALTER TABLE domain ADD COLUMN checked_at INTEGER;
  ALTER TABLE domain ADD COLUMN statuses TEXT NOT NULL DEFAULT '{}'
  `;

type Row = {
  domain: string;
  selector: string;
  algorithm: DomainKey['algorithm'];
  state: KeyState;
  public_key: Uint8Array;
  sealed: Uint8Array | null;
  created_at: number;
  activated_at: number | null;
  removable_at: number | null;
};

export function readDomainKeys(database: Database): DomainKeyReader {
  const all = database.prepare("SELECT * FROM domain_key WHERE state <> 'removed' ORDER BY domain, created_at, selector DESC");
  return { domainKeys: async () => (all.all() as Row[]).map(keyOf) };
}

/** `changed` is called after each change. */
export function writeDomainKeys(database: Database, changed: () => void): DomainKeyWriter {
  const atomically = (change: () => void): void => {
    database.exec('BEGIN IMMEDIATE');
    try {
      change();
      database.exec('COMMIT');
    } catch (error) {
      if (database.isTransaction) database.exec('ROLLBACK');
      throw error;
    }
    changed();
  };
  return {
    ...readDomainKeys(database),
    async selectors(domain) {
      return (database.prepare('SELECT selector FROM domain_key WHERE domain = ?').all(domain) as { selector: string }[]).map((row) => row.selector);
    },
    async addDomainKeys(keys) {
      const insert = database.prepare('INSERT INTO domain_key VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)');
      atomically(() => {
        for (const key of keys) insert.run(key.domain, key.selector, key.algorithm, key.state, key.publicKey, key.sealed, key.createdAtMs, key.activatedAtMs, key.removableAtMs);
      });
    },
    async activateKey({ domain, selector, algorithm }, { nowMs, removableAtMs }) {
      atomically(() => {
        const next = database.prepare("SELECT 1 FROM domain_key WHERE domain = ? AND selector = ? AND state = 'next'").get(domain, selector);
        if (next === undefined) return;
        // What signs no more needs no private key.
        database
          .prepare("UPDATE domain_key SET state = 'retiring', sealed = NULL, removable_at = ? WHERE domain = ? AND algorithm = ? AND state = 'active'")
          .run(removableAtMs, domain, algorithm);
        database.prepare("UPDATE domain_key SET state = 'active', activated_at = ? WHERE domain = ? AND selector = ? AND state = 'next'").run(nowMs, domain, selector);
      });
    },
    async forgetKeys(domain, which) {
      const { changes } =
        which === 'next'
          ? database.prepare("UPDATE domain_key SET state = 'removed', sealed = NULL WHERE domain = ? AND state = 'next'").run(domain)
          : database.prepare("UPDATE domain_key SET state = 'removed', sealed = NULL WHERE domain = ? AND state <> 'removed'").run(domain);
      changed();
      return Number(changes);
    },
    async forgetRetired(nowMs) {
      const due = (database.prepare("SELECT * FROM domain_key WHERE state = 'retiring' AND removable_at <= ?").all(nowMs) as Row[]).map(keyOf);
      if (due.length === 0) return due;
      database.prepare("UPDATE domain_key SET state = 'removed' WHERE state = 'retiring' AND removable_at <= ?").run(nowMs);
      changed();
      return due;
    },
  };
}

function keyOf(row: Row): DomainKey {
  return {
    domain: row.domain,
    selector: row.selector,
    algorithm: row.algorithm,
    state: row.state,
    publicKey: Buffer.from(row.public_key),
    sealed: row.sealed === null ? null : Buffer.from(row.sealed),
    createdAtMs: row.created_at,
    activatedAtMs: row.activated_at,
    removableAtMs: row.removable_at,
  };
}
