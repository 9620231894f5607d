// The API's tokens, in the directory's database: `pst_ID_SECRET`, the id to find it by, the secret (160 bits) to prove it. Of the secret only the
// SHA-256 is kept: it is chosen by chance, so there is nothing to guess that a slow hash would protect.

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { PosternError } from '#base/failure.ts';
import type { Database } from './sqlite/database.ts';

export type Token = {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly string[];
  /** Sees only what belongs to it; null: everything. */
  readonly project: string | null;
  /** Requests a minute; null: the server's limit. */
  readonly ratePerMinute: number | null;
  readonly createdAtMs: number;
  /** The name of whoever made it. */
  readonly createdBy: string;
  readonly expiresAtMs: number | null;
  readonly revokedAtMs: number | null;
  /** To the minute. */
  readonly lastUsedAtMs: number | null;
};

export type NewToken = Pick<Token, 'name' | 'scopes' | 'project' | 'ratePerMinute' | 'expiresAtMs' | 'createdBy'>;

export type TokenStore = {
  list(): readonly Token[];
  /** The secret is in this answer and nowhere else. Throws PosternError `token-exists`, exit code 1. */
  add(token: NewToken): { readonly token: Token; readonly secret: string };
  /** By name; null: there is none of this name that still works. */
  find(name: string): Token | null;
  revoke(name: string): boolean;
  /** The token whose text this is; null: there is none, it is revoked, or its time is over. */
  verify(text: string): Token | null;
};

export const TOKEN_MIGRATION = `
  CREATE TABLE token (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    secret_hash BLOB NOT NULL,
    scopes TEXT NOT NULL,
    project TEXT,
    rate_per_minute INTEGER,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER,
    last_used_at INTEGER
  ) WITHOUT ROWID;
  CREATE UNIQUE INDEX token_name ON token (name) WHERE revoked_at IS NULL
  `;

const ALPHABET = 'abcdefghijkmnpqrstuvwxyz23456789';
const ID_CHARACTERS = 8;
/** Five bits each. */
const SECRET_CHARACTERS = 32;
const SHAPE = new RegExp(`^pst_([${ALPHABET}]{${ID_CHARACTERS}})_([${ALPHABET}]{${SECRET_CHARACTERS}})$`);
/** Every use would be a write of its own. */
const NOTE_USE_MS = 60_000;
const MAX_PROVEN = 1000;

type Row = {
  id: string;
  name: string;
  secret_hash: Uint8Array;
  scopes: string;
  project: string | null;
  rate_per_minute: number | null;
  created_at: number;
  created_by: string;
  expires_at: number | null;
  revoked_at: number | null;
  last_used_at: number | null;
};

export function openTokens(database: Database, nowMs: () => number): TokenStore {
  const byId = database.prepare('SELECT * FROM token WHERE id = ?');
  const byName = database.prepare('SELECT * FROM token WHERE name = ? AND revoked_at IS NULL');
  const use = database.prepare('UPDATE token SET last_used_at = ? WHERE id = ?');
  /** Texts that were looked up lately: a busy client shows the same one thousands of times. Nobody else writes this table. */
  const proven = new Map<string, Proven>();
  const find = (name: string): Token | null => {
    const row = byName.get(name) as Row | undefined;
    return row === undefined ? null : tokenOf(row);
  };
  return {
    list: () => (database.prepare('SELECT * FROM token ORDER BY name, created_at').all() as Row[]).map(tokenOf),
    find,
    add({ name, scopes, project, ratePerMinute, expiresAtMs, createdBy }) {
      if (find(name) !== null) throw exists(name);
      const [id, secret] = [chance(ID_CHARACTERS), chance(SECRET_CHARACTERS)];
      database
        .prepare('INSERT INTO token VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)')
        .run(id, name, hashOf(secret), JSON.stringify(scopes), project, ratePerMinute, nowMs(), createdBy, expiresAtMs);
      return { token: tokenOf(byId.get(id) as Row), secret: `pst_${id}_${secret}` };
    },
    revoke(name) {
      proven.clear();
      return database.prepare('UPDATE token SET revoked_at = ? WHERE name = ? AND revoked_at IS NULL').run(nowMs(), name).changes > 0;
    },
    verify(text) {
      const kept = proven.get(text);
      if (kept !== undefined && isFresh(kept, nowMs())) return kept.token;
      const [, id = '', secret = ''] = SHAPE.exec(text) ?? [];
      const row = id === '' ? undefined : (byId.get(id) as Row | undefined);
      // An id that is not there takes as long as a wrong secret.
      const proved = timingSafeEqual(hashOf(secret), row === undefined ? hashOf('') : row.secret_hash);
      if (row === undefined || !proved || row.revoked_at !== null) return null;
      const now = nowMs();
      if (row.expires_at !== null && row.expires_at <= now) return null;
      if (row.last_used_at === null || now - row.last_used_at >= NOTE_USE_MS) use.run(now, id);
      const token = tokenOf(row);
      if (proven.size >= MAX_PROVEN) proven.clear();
      proven.set(text, { token, untilMs: now + NOTE_USE_MS / 2 });
      return token;
    },
  };
}

type Proven = { readonly token: Token; readonly untilMs: number };

function isFresh({ token: { expiresAtMs }, untilMs }: Proven, now: number): boolean {
  return now < untilMs && (expiresAtMs === null || now < expiresAtMs);
}

function chance(characters: number): string {
  return Array.from(randomBytes(characters), (byte) => ALPHABET[byte & 31]).join('');
}

function hashOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

function tokenOf(row: Row): Token {
  return {
    id: row.id,
    name: row.name,
    scopes: JSON.parse(row.scopes) as string[],
    project: row.project,
    ratePerMinute: row.rate_per_minute,
    createdAtMs: row.created_at,
    createdBy: row.created_by,
    expiresAtMs: row.expires_at,
    revokedAtMs: row.revoked_at,
    lastUsedAtMs: row.last_used_at,
  };
}

function exists(name: string): PosternError {
  return new PosternError(
    { code: 'token-exists', cause: `A token "${name}" exists already.`, fix: `Choose another name, or revoke it first: postern token revoke ${name}` },
    { exitCode: 1 },
  );
}
