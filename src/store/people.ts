// People who use the dashboard, in the directory's database: who they are, what proves it (a password, a second factor, passkeys), where they are
// signed in, and the links that let somebody in once. Secrets are kept as hashes, or sealed by whoever hands them over.

import { createHash, randomBytes } from 'node:crypto';
import { PosternError } from '#base/failure.ts';
import { openSessions } from './sessions.ts';
import type { SessionStore } from './sessions.ts';
import type { Database } from './sqlite/database.ts';

export type Person = {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly string[];
  /** As src/http/sign-in/password.ts writes it; null: there is none yet. */
  readonly passwordHash: string | null;
  /** Sealed; null: no second factor. */
  readonly totpSecret: Uint8Array | null;
  /** The step of the last code that was taken: no code counts twice. */
  readonly totpStep: number;
  /** SHA-256 of the recovery codes that are left. */
  readonly recoveryHashes: readonly string[];
  readonly createdAtMs: number;
  readonly createdBy: string;
  readonly signedInAtMs: number | null;
};

/** A credential of WebAuthn. `publicKey` is SubjectPublicKeyInfo, DER. */
export type Passkey = {
  readonly id: string;
  readonly personId: string;
  readonly name: string;
  readonly publicKey: Uint8Array;
  readonly counter: number;
  readonly createdAtMs: number;
  readonly usedAtMs: number | null;
};

export type PeopleStore = {
  readonly sessions: SessionStore;
  list(): readonly Person[];
  find(name: string): Person | null;
  get(id: string): Person | null;
  /** Throws PosternError `person-exists`, exit code 1. */
  add(person: Pick<Person, 'name' | 'scopes' | 'createdBy'>): Person;
  /** With passkeys, sessions and links. */
  remove(id: string): boolean;
  setScopes(id: string, scopes: readonly string[]): void;
  setPassword(id: string, hash: string): void;
  /** null takes the second factor away. */
  setTotp(id: string, totp: { readonly sealed: Uint8Array; readonly recoveryHashes: readonly string[] } | null): void;
  /** True once for each step: a code that was seen does not count again. */
  useTotpStep(id: string, step: number): boolean;
  /** True once for each code. */
  useRecovery(id: string, code: string): boolean;
  noteSignIn(id: string): void;
  passkeys(personId: string): readonly Passkey[];
  passkey(id: string): Passkey | null;
  addPasskey(passkey: Omit<Passkey, 'createdAtMs' | 'usedAtMs'>): void;
  removePasskey(personId: string, id: string): boolean;
  notePasskey(id: string, counter: number): void;
  /** A link that signs this person in once, until then; one of theirs that is there already stops working. */
  makeLink(personId: string, untilMs: number): string;
  /** Whose link it is; it works no more. Null: there is no such link, or its time is over. */
  useLink(text: string): Person | null;
};

export const PEOPLE_MIGRATION = `
  CREATE TABLE person (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    scopes TEXT NOT NULL,
    password_hash TEXT,
    totp_secret BLOB,
    totp_step INTEGER NOT NULL DEFAULT 0,
    recovery_hashes TEXT NOT NULL DEFAULT '[]',
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    signed_in_at INTEGER
  ) WITHOUT ROWID;
  CREATE TABLE passkey (
    id TEXT PRIMARY KEY,
    person_id TEXT NOT NULL,
    name TEXT NOT NULL,
    public_key BLOB NOT NULL,
    counter INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    used_at INTEGER
  ) WITHOUT ROWID;
  CREATE INDEX passkey_person ON passkey (person_id);
  CREATE TABLE sign_in_link (person_id TEXT PRIMARY KEY, hash BLOB NOT NULL UNIQUE, until INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE session (
    id TEXT PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    person_id TEXT NOT NULL,
    method TEXT NOT NULL,
    address TEXT NOT NULL,
    agent TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    proved_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX session_person ON session (person_id)
  `;

type PersonRow = {
  id: string;
  name: string;
  scopes: string;
  password_hash: string | null;
  totp_secret: Uint8Array | null;
  totp_step: number;
  recovery_hashes: string;
  created_at: number;
  created_by: string;
  signed_in_at: number | null;
};
type PasskeyRow = { id: string; person_id: string; name: string; public_key: Uint8Array; counter: number; created_at: number; used_at: number | null };

const LINK_BYTES = 24;

export function openPeople(database: Database, nowMs: () => number): PeopleStore {
  const byId = database.prepare('SELECT * FROM person WHERE id = ?');
  const byName = database.prepare('SELECT * FROM person WHERE name = ?');
  const get = (id: string): Person | null => personOf(byId.get(id) as PersonRow | undefined);
  const find = (name: string): Person | null => personOf(byName.get(name) as PersonRow | undefined);
  const passkeysOf = database.prepare('SELECT * FROM passkey WHERE person_id = ? ORDER BY created_at');
  const sessions = openSessions(database, nowMs);
  return {
    sessions,
    get,
    find,
    list: () => (database.prepare('SELECT * FROM person ORDER BY name').all() as PersonRow[]).map((row) => personOf(row) as Person),
    add({ name, scopes, createdBy }) {
      if (find(name) !== null) throw exists(name);
      const id = randomBytes(12).toString('base64url');
      database.prepare('INSERT INTO person (id, name, scopes, created_at, created_by) VALUES (?, ?, ?, ?, ?)').run(id, name, JSON.stringify(scopes), nowMs(), createdBy);
      return get(id) as Person;
    },
    remove(id) {
      for (const table of ['passkey', 'sign_in_link', 'session'] as const) database.prepare(`DELETE FROM ${table} WHERE person_id = ?`).run(id);
      return database.prepare('DELETE FROM person WHERE id = ?').run(id).changes > 0;
    },
    setScopes: (id, scopes) => void database.prepare('UPDATE person SET scopes = ? WHERE id = ?').run(JSON.stringify(scopes), id),
    setPassword: (id, hash) => void database.prepare('UPDATE person SET password_hash = ? WHERE id = ?').run(hash, id),
    setTotp(id, totp) {
      database
        .prepare('UPDATE person SET totp_secret = ?, totp_step = 0, recovery_hashes = ? WHERE id = ?')
        .run(totp?.sealed ?? null, JSON.stringify(totp?.recoveryHashes ?? []), id);
    },
    useTotpStep: (id, step) => database.prepare('UPDATE person SET totp_step = ? WHERE id = ? AND totp_step < ?').run(step, id, step).changes > 0,
    useRecovery(id, code) {
      const person = get(id);
      const hash = recoveryHash(code);
      if (person === null || !person.recoveryHashes.includes(hash)) return false;
      const left = person.recoveryHashes.filter((one) => one !== hash);
      database.prepare('UPDATE person SET recovery_hashes = ? WHERE id = ?').run(JSON.stringify(left), id);
      return true;
    },
    noteSignIn: (id) => void database.prepare('UPDATE person SET signed_in_at = ? WHERE id = ?').run(nowMs(), id),
    passkeys: (personId) => (passkeysOf.all(personId) as PasskeyRow[]).map(passkeyOf),
    passkey(id) {
      const row = database.prepare('SELECT * FROM passkey WHERE id = ?').get(id) as PasskeyRow | undefined;
      return row === undefined ? null : passkeyOf(row);
    },
    addPasskey({ id, personId, name, publicKey, counter }) {
      database.prepare('INSERT INTO passkey VALUES (?, ?, ?, ?, ?, ?, NULL)').run(id, personId, name, publicKey, counter, nowMs());
    },
    removePasskey: (personId, id) => database.prepare('DELETE FROM passkey WHERE person_id = ? AND id = ?').run(personId, id).changes > 0,
    notePasskey: (id, counter) => void database.prepare('UPDATE passkey SET counter = ?, used_at = ? WHERE id = ?').run(counter, nowMs(), id),
    makeLink(personId, untilMs) {
      const text = randomBytes(LINK_BYTES).toString('base64url');
      database.prepare('INSERT OR REPLACE INTO sign_in_link VALUES (?, ?, ?)').run(personId, sha256(text), untilMs);
      return text;
    },
    useLink(text) {
      const row = database.prepare('DELETE FROM sign_in_link WHERE hash = ? RETURNING person_id, until').get(sha256(text)) as { person_id: string; until: number } | undefined;
      return row === undefined || row.until < nowMs() ? null : get(row.person_id);
    },
  };
}

/** Codes are chosen by chance, 80 bits each: a fast hash is enough. Case and dashes do not matter. */
export function recoveryHash(code: string): string {
  return sha256(code.toLowerCase().replace(/[^a-z0-9]/g, '')).toString('base64url');
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function personOf(row: PersonRow | undefined): Person | null {
  if (row === undefined) return null;
  return {
    id: row.id,
    name: row.name,
    scopes: JSON.parse(row.scopes) as string[],
    passwordHash: row.password_hash,
    totpSecret: row.totp_secret,
    totpStep: row.totp_step,
    recoveryHashes: JSON.parse(row.recovery_hashes) as string[],
    createdAtMs: row.created_at,
    createdBy: row.created_by,
    signedInAtMs: row.signed_in_at,
  };
}

function passkeyOf(row: PasskeyRow): Passkey {
  return { id: row.id, personId: row.person_id, name: row.name, publicKey: row.public_key, counter: row.counter, createdAtMs: row.created_at, usedAtMs: row.used_at };
}

function exists(name: string): PosternError {
  return new PosternError(
    { code: 'person-exists', cause: `There is a person "${name}" already.`, fix: `Choose another name, or let them in again with: postern person link ${name}` },
    { exitCode: 1 },
  );
}
