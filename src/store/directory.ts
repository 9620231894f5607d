// The directory: credentials and domains. Portable SQL in a database of its own (directory.db); written by the main thread,
// read by the workers, who keep what they read until the generation counter moves.

import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { PosternError } from '#base/failure.ts';
import { isNetwork } from '#base/ip.ts';
import type { MaybePromise } from '#base/promise.ts';
import type { ScramKeys } from '#smtp/policy.ts';
import { AUDIT_MIGRATION, openAudit } from './audit.ts';
import type { AuditStore } from './audit.ts';
import { DOMAIN_KEY_MIGRATION, readDomainKeys, writeDomainKeys } from './domain-keys.ts';
import type { DomainKeyReader, DomainKeyWriter } from './domain-keys.ts';
import { REPORT_MIGRATION, openReports } from './reports.ts';
import type { ReportStore } from './reports.ts';
import { PEOPLE_MIGRATION, openPeople } from './people.ts';
import type { PeopleStore } from './people.ts';
import { openDatabase } from './sqlite/database.ts';
import type { Database } from './sqlite/database.ts';
import { TOKEN_MIGRATION, openTokens } from './tokens.ts';
import type { TokenStore } from './tokens.ts';
import { WEBHOOK_MIGRATION, openWebhookStore } from './webhooks.ts';
import type { WebhookStore } from './webhooks.ts';

/** A credential as kept: never the password, only what verifies it. `secretHash` is SHA-256 of the generated 160-bit password. */
export type Credential = {
  readonly name: string;
  readonly username: string;
  readonly domains: readonly string[];
  readonly mode: 'sandbox' | 'live';
  readonly allowIps: readonly string[];
  /** Messages (recipients) an hour; null: no limit. */
  readonly ratePerHour: number | null;
  /** Whose it is, and whose its messages are; null: nobody's in particular. */
  readonly project: string | null;
  readonly createdAtMs: number;
  readonly rotatedAtMs: number | null;
  readonly revokedAtMs: number | null;
  readonly lastUsedAtMs: number | null;
  readonly secretHash: Buffer;
  readonly scram: ScramKeys;
};

export type NewCredential = {
  readonly name: string;
  readonly domains: readonly string[];
  readonly mode: 'sandbox' | 'live';
  readonly allowIps: readonly string[];
  readonly ratePerHour: number | null;
  readonly project?: string | null;
};

export type Domain = {
  readonly name: string;
  readonly inbound: boolean;
  /** Who may send as it, besides those who may do everything; null: nobody in particular. */
  readonly project: string | null;
  readonly createdAtMs: number;
  /** The label under the domain that bounces come back to: `bounce` for bounce.example.com. */
  readonly returnPath: string;
  /** Since when the records of the return path are right in the DNS; null: they are not, and the envelope stays as the sender wrote it. */
  readonly returnPathVerifiedAtMs: number | null;
  readonly checkedAtMs: number | null;
  /** What the last check said, by `TYPE name` of the record. */
  readonly statuses: Readonly<Record<string, string>>;
};

/** What workers read. */
export type DirectoryReader = {
  /** By username, exact; revoked ones are not found. */
  credential(username: string): Promise<Credential | null>;
  /** Whether a credential that was read before still stands: not revoked, no new password. At once while nothing has changed. */
  current(credential: Credential): MaybePromise<boolean>;
  domain(name: string): Promise<Domain | null>;
  domains(): Promise<readonly Domain[]>;
};

/** What the main thread adds. Every change moves the generation. */
export type Directory = DirectoryReader &
  DomainKeyWriter & {
    readonly tokens: TokenStore;
    readonly webhooks: WebhookStore;
    readonly audit: AuditStore;
    readonly people: PeopleStore;
    readonly reports: ReportStore;
    credentials(): Promise<readonly Credential[]>;
    /** The password is in this answer and nowhere else. Rejects with PosternError `credential-exists`, exit code 1. */
    addCredential(credential: NewCredential): Promise<{ readonly credential: Credential; readonly password: string }>;
    revokeCredential(name: string): Promise<boolean>;
    rotateCredential(name: string): Promise<{ readonly credential: Credential; readonly password: string } | null>;
    /** Notes when these credentials were last used. */
    used(names: readonly string[], atMs: number): Promise<void>;
    /** A domain that is there keeps what it has, and gains `inbound`. */
    addDomain(domain: { name: string; inbound: boolean; returnPath?: string | undefined; project?: string | null | undefined }): Promise<Domain>;
    /** What a check of its records found. */
    noteCheck(name: string, found: Pick<Domain, 'returnPathVerifiedAtMs' | 'statuses'> & { readonly nowMs: number }): Promise<void>;
    removeDomain(name: string): Promise<boolean>;
    close(): void;
  };

const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE credential (
    name TEXT PRIMARY KEY,
    username TEXT NOT NULL,
    mode TEXT NOT NULL CHECK (mode IN ('sandbox', 'live')),
    domains TEXT NOT NULL,
    allow_ips TEXT NOT NULL,
    rate_per_hour INTEGER,
    created_at INTEGER NOT NULL,
    rotated_at INTEGER,
    revoked_at INTEGER,
    last_used_at INTEGER,
    secret_hash BLOB NOT NULL,
    scram_salt BLOB NOT NULL,
    scram_iterations INTEGER NOT NULL,
    scram_stored_key BLOB NOT NULL,
    scram_server_key BLOB NOT NULL
  ) WITHOUT ROWID;
  CREATE UNIQUE INDEX credential_username ON credential (username) WHERE revoked_at IS NULL;
  CREATE TABLE domain (name TEXT PRIMARY KEY, inbound INTEGER NOT NULL, created_at INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE secret (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID
  `,
  DOMAIN_KEY_MIGRATION,
  TOKEN_MIGRATION,
  AUDIT_MIGRATION,
  'ALTER TABLE credential ADD COLUMN project TEXT; ALTER TABLE domain ADD COLUMN project TEXT',
  REPORT_MIGRATION,
  PEOPLE_MIGRATION,
  WEBHOOK_MIGRATION,
];

/** 160 bits, in base 32 without look-alikes: 32 characters that survive any shell, URL and configuration file. */
const PASSWORD_CHARACTERS = 32;
const ALPHABET = 'abcdefghijkmnpqrstuvwxyz23456789';
/** SCRAM's iterations guard guessable passwords; ours are 160 bits, so the protocol's minimum (RFC 7677 4) is enough. */
const SCRAM_ITERATIONS = 4096;
const RETURN_PATH = 'bounce';
const MAX_CACHED = 10_000;
const CACHE_BYTES = 2 * 1024 * 1024;

type CredentialRow = {
  name: string;
  username: string;
  mode: 'sandbox' | 'live';
  domains: string;
  allow_ips: string;
  rate_per_hour: number | null;
  created_at: number;
  rotated_at: number | null;
  revoked_at: number | null;
  last_used_at: number | null;
  secret_hash: Uint8Array;
  scram_salt: Uint8Array;
  scram_iterations: number;
  scram_stored_key: Uint8Array;
  scram_server_key: Uint8Array;
  project: string | null;
};
type DomainRow = {
  name: string;
  inbound: number;
  created_at: number;
  return_path: string;
  return_path_verified_at: number | null;
  checked_at: number | null;
  statuses: string;
  project: string | null;
};

/** Opens the directory for its one writer. `generation[0]` moves with every change. */
export function openDirectory(path: string, generation: Int32Array): Directory & { /** A secret of this installation, made on first use. */ secret(name: string): Buffer } {
  const database = openDatabase(path, MIGRATIONS, { synchronous: 'FULL', cacheBytes: CACHE_BYTES });
  const changed = (): void => void Atomics.add(generation, 0, 1);
  const byName = (name: string): Credential | null => {
    const row = database.prepare('SELECT * FROM credential WHERE name = ?').get(name) as CredentialRow | undefined;
    return row === undefined ? null : credentialOf(row);
  };
  return {
    ...reading(database),
    ...writeDomainKeys(database, changed),
    tokens: openTokens(database, Date.now),
    webhooks: openWebhookStore(database, Date.now),
    audit: openAudit(database, Date.now),
    people: openPeople(database, Date.now),
    reports: openReports(database),
    async credentials() {
      return (database.prepare('SELECT * FROM credential ORDER BY name').all() as CredentialRow[]).map(credentialOf);
    },
    async addCredential(wanted) {
      checkCredential(wanted);
      const existing = byName(wanted.name);
      if (existing !== null && existing.revokedAtMs === null) throw exists(wanted.name);
      const { password, values } = newSecret();
      database
        .prepare('INSERT OR REPLACE INTO credential VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL, ?, ?, ?, ?, ?, ?)')
        .run(
          wanted.name,
          wanted.name,
          wanted.mode,
          JSON.stringify(wanted.domains),
          JSON.stringify(wanted.allowIps),
          wanted.ratePerHour,
          Date.now(),
          ...values,
          wanted.project ?? null,
        );
      changed();
      return { credential: byName(wanted.name) as Credential, password };
    },
    async revokeCredential(name) {
      const { changes } = database.prepare('UPDATE credential SET revoked_at = ? WHERE name = ? AND revoked_at IS NULL').run(Date.now(), name);
      changed();
      return changes > 0;
    },
    async rotateCredential(name) {
      const { password, values } = newSecret();
      const { changes } = database
        .prepare(
          'UPDATE credential SET rotated_at = ?, secret_hash = ?, scram_salt = ?, scram_iterations = ?, scram_stored_key = ?, scram_server_key = ? WHERE name = ? AND revoked_at IS NULL',
        )
        .run(Date.now(), ...values, name);
      changed();
      return changes > 0 ? { credential: byName(name) as Credential, password } : null;
    },
    async used(names, atMs) {
      database.prepare('UPDATE credential SET last_used_at = ? WHERE name IN (SELECT value FROM json_each(?))').run(atMs, JSON.stringify(names));
    },
    async addDomain({ name, inbound, returnPath, project }) {
      database
        .prepare(
          `INSERT INTO domain (name, inbound, created_at, return_path) VALUES (?, ?, ?, coalesce(?, '${RETURN_PATH}'))
          ON CONFLICT (name) DO UPDATE SET inbound = max(inbound, excluded.inbound)`,
        )
        .run(name, inbound ? 1 : 0, Date.now(), returnPath ?? null);
      if (returnPath !== undefined)
        database.prepare('UPDATE domain SET return_path = ?, return_path_verified_at = NULL WHERE name = ? AND return_path <> ?').run(returnPath, name, returnPath);
      if (project !== undefined) database.prepare('UPDATE domain SET project = ? WHERE name = ?').run(project, name);
      changed();
      return domainOf(database.prepare('SELECT * FROM domain WHERE name = ?').get(name) as DomainRow);
    },
    async noteCheck(name, { nowMs, returnPathVerifiedAtMs, statuses }) {
      database
        .prepare('UPDATE domain SET checked_at = ?, return_path_verified_at = ?, statuses = ? WHERE name = ?')
        .run(nowMs, returnPathVerifiedAtMs, JSON.stringify(statuses), name);
      changed();
    },
    async removeDomain(name) {
      const { changes } = database.prepare('DELETE FROM domain WHERE name = ?').run(name);
      changed();
      return changes > 0;
    },
    secret(name) {
      database.prepare('INSERT OR IGNORE INTO secret (name, value) VALUES (?, ?)').run(name, randomBytes(32));
      return Buffer.from((database.prepare('SELECT value FROM secret WHERE name = ?').get(name) as { value: Uint8Array }).value);
    },
    close: () => database.close(),
  };
}

/** Opens the directory for a worker: what was read is kept until `generation[0]` moves. Unknown names are not kept. */
export function openDirectoryReader(path: string, generation: Int32Array): DirectoryReader & DomainKeyReader & { close(): void } {
  const database = openDatabase(path, MIGRATIONS, { synchronous: 'FULL', readOnly: true, cacheBytes: CACHE_BYTES });
  const source = reading(database);
  let seen = Atomics.load(generation, 0);
  const credentials = new Map<string, Credential>();
  let domains: Map<string, Domain> | null = null;
  const refresh = (): void => {
    const now = Atomics.load(generation, 0);
    if (now === seen && credentials.size < MAX_CACHED) return;
    seen = now;
    credentials.clear();
    domains = null;
  };
  /** The generation at which a credential was last seen to stand. */
  const seenAt = new WeakMap<Credential, number>();
  const allDomains = async (): Promise<Map<string, Domain>> => {
    refresh();
    domains ??= new Map((await source.domains()).map((domain) => [domain.name, domain]));
    return domains;
  };
  const find = async (username: string): Promise<Credential | null> => {
    refresh();
    const known = credentials.get(username);
    if (known !== undefined) return known;
    const found = await source.credential(username);
    if (found === null) return null;
    credentials.set(username, found);
    seenAt.set(found, seen);
    return found;
  };
  return {
    credential: find,
    current(credential) {
      const now = Atomics.load(generation, 0);
      if (seenAt.get(credential) === now) return true;
      return find(credential.username).then((found) => {
        if (!sameSecret(found, credential)) return false;
        seenAt.set(credential, now);
        return true;
      });
    },
    domain: async (name) => (await allDomains()).get(name) ?? null,
    domains: async () => [...(await allDomains()).values()],
    ...readDomainKeys(database),
    close: () => database.close(),
  };
}

function reading(database: Database): DirectoryReader {
  const credential = database.prepare('SELECT * FROM credential WHERE username = ? AND revoked_at IS NULL');
  const domain = database.prepare('SELECT * FROM domain WHERE name = ?');
  const domains = database.prepare('SELECT * FROM domain ORDER BY name');
  const find = async (username: string): Promise<Credential | null> => {
    const row = credential.get(username) as CredentialRow | undefined;
    return row === undefined ? null : credentialOf(row);
  };
  return {
    credential: find,
    current: (known) => find(known.username).then((found) => sameSecret(found, known)),
    async domain(name) {
      const row = domain.get(name) as DomainRow | undefined;
      return row === undefined ? null : domainOf(row);
    },
    domains: async () => (domains.all() as DomainRow[]).map(domainOf),
  };
}

/** A new password and what is kept of it, in the order of the columns. */
function newSecret(): { password: string; values: [Buffer, Buffer, number, Buffer, Buffer] } {
  const password = Array.from(randomBytes(PASSWORD_CHARACTERS), (byte) => ALPHABET[byte & 31]).join('');
  const salt = randomBytes(16);
  const salted = pbkdf2Sync(password, salt, SCRAM_ITERATIONS, 32, 'sha256');
  const clientKey = createHmac('sha256', salted).update('Client Key').digest();
  const storedKey = createHash('sha256').update(clientKey).digest();
  const serverKey = createHmac('sha256', salted).update('Server Key').digest();
  return { password, values: [createHash('sha256').update(password).digest(), salt, SCRAM_ITERATIONS, storedKey, serverKey] };
}

function checkCredential(wanted: NewCredential): void {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(wanted.name)) {
    throw new PosternError(
      {
        code: 'credential-name',
        cause: `"${wanted.name}" cannot be the name of a credential.`,
        fix: 'Use 1 to 64 letters, digits, dots, dashes or underscores, beginning with a letter or digit.',
      },
      { exitCode: 2 },
    );
  }
  for (const network of wanted.allowIps) {
    if (!isNetwork(network))
      throw new PosternError(
        { code: 'credential-network', cause: `"${network}" is not an address or network.`, fix: 'Write it as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32.' },
        { exitCode: 2 },
      );
  }
  if (wanted.ratePerHour !== null && !(Number.isSafeInteger(wanted.ratePerHour) && wanted.ratePerHour > 0)) {
    throw new PosternError({ code: 'credential-rate', cause: 'The rate is not a positive whole number.', fix: 'Write it as 500/h.' }, { exitCode: 2 });
  }
}

function sameSecret(found: Credential | null, known: Credential): boolean {
  return found !== null && found.secretHash.equals(known.secretHash);
}

function exists(name: string): PosternError {
  return new PosternError(
    {
      code: 'credential-exists',
      cause: `A credential "${name}" exists already.`,
      fix: `Choose another name, get a new password with "postern credential rotate ${name}", or revoke it first.`,
    },
    { exitCode: 1 },
  );
}

function credentialOf(row: CredentialRow): Credential {
  return {
    name: row.name,
    username: row.username,
    mode: row.mode,
    domains: JSON.parse(row.domains) as string[],
    allowIps: JSON.parse(row.allow_ips) as string[],
    ratePerHour: row.rate_per_hour,
    createdAtMs: row.created_at,
    rotatedAtMs: row.rotated_at,
    project: row.project,
    revokedAtMs: row.revoked_at,
    lastUsedAtMs: row.last_used_at,
    secretHash: Buffer.from(row.secret_hash),
    scram: { salt: Buffer.from(row.scram_salt), iterations: row.scram_iterations, storedKey: Buffer.from(row.scram_stored_key), serverKey: Buffer.from(row.scram_server_key) },
  };
}

function domainOf(row: DomainRow): Domain {
  return {
    name: row.name,
    project: row.project,
    inbound: row.inbound === 1,
    createdAtMs: row.created_at,
    returnPath: row.return_path,
    returnPathVerifiedAtMs: row.return_path_verified_at,
    checkedAtMs: row.checked_at,
    statuses: JSON.parse(row.statuses) as Record<string, string>,
  };
}
