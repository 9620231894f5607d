// Where people are signed in. The cookie's text is 192 bits of chance and kept as its SHA-256 only; a session ends when it was not used for
// some days, and some weeks after it began whatever happens.

import { createHash, randomBytes } from 'node:crypto';
import type { Database } from './sqlite/database.ts';

export type SessionMethod = 'password' | 'passkey' | 'link';

export type Session = {
  readonly id: string;
  readonly personId: string;
  readonly method: SessionMethod;
  readonly address: string;
  /** What the browser calls itself. */
  readonly agent: string;
  readonly createdAtMs: number;
  /** When the person last proved who they are. */
  readonly provedAtMs: number;
  /** To the minute. */
  readonly seenAtMs: number;
};

export type SessionStore = {
  /** The text is in this answer and nowhere else. */
  begin(session: Pick<Session, 'personId' | 'method' | 'address' | 'agent'>): { readonly session: Session; readonly text: string };
  /** The session whose text this is; null: there is none, or its time is over. */
  verify(text: string): Session | null;
  of(personId: string): readonly Session[];
  end(personId: string, id: string): boolean;
  /** All of a person's, except one. */
  endOthers(personId: string, except: string | null): number;
};

export const IDLE_MS = 3 * 86_400_000;
export const LONGEST_MS = 14 * 86_400_000;
const TEXT_BYTES = 24;
const NOTE_USE_MS = 60_000;
const MAX_AGENT = 200;
/** Of one person; the one that was not used for longest goes first. */
const MAX_SESSIONS = 50;

type Row = { id: string; person_id: string; method: SessionMethod; address: string; agent: string; created_at: number; proved_at: number; seen_at: number };

export function openSessions(database: Database, nowMs: () => number): SessionStore {
  const byHash = database.prepare('SELECT * FROM session WHERE hash = ?');
  const forPerson = database.prepare('SELECT * FROM session WHERE person_id = ? ORDER BY seen_at DESC');
  const see = database.prepare('UPDATE session SET seen_at = ? WHERE id = ?');
  const drop = database.prepare('DELETE FROM session WHERE id = ?');
  const over = database.prepare('DELETE FROM session WHERE seen_at < ? OR created_at < ?');
  const isOver = (row: Row): boolean => row.seen_at < nowMs() - IDLE_MS || row.created_at < nowMs() - LONGEST_MS;
  return {
    begin({ personId, method, address, agent }) {
      const now = nowMs();
      over.run(now - IDLE_MS, now - LONGEST_MS);
      for (const { id } of (forPerson.all(personId) as Row[]).slice(MAX_SESSIONS - 1)) drop.run(id);
      const text = randomBytes(TEXT_BYTES).toString('base64url');
      const id = randomBytes(9).toString('base64url');
      const row: Row = { id, person_id: personId, method, address, agent: agent.slice(0, MAX_AGENT), created_at: now, proved_at: now, seen_at: now };
      database.prepare('INSERT INTO session VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)').run(id, hashOf(text), personId, method, address, row.agent, now, now, now);
      return { session: sessionOf(row), text };
    },
    verify(text) {
      const row = text.length > 64 ? undefined : (byHash.get(hashOf(text)) as Row | undefined);
      if (row === undefined || isOver(row)) return null;
      if (nowMs() - row.seen_at >= NOTE_USE_MS) see.run(nowMs(), row.id);
      return sessionOf(row);
    },
    of: (personId) => (forPerson.all(personId) as Row[]).filter((row) => !isOver(row)).map(sessionOf),
    end: (personId, id) => database.prepare('DELETE FROM session WHERE person_id = ? AND id = ?').run(personId, id).changes > 0,
    endOthers: (personId, except) => Number(database.prepare('DELETE FROM session WHERE person_id = ? AND id <> ?').run(personId, except ?? '').changes),
  };
}

function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function sessionOf(row: Row): Session {
  return {
    id: row.id,
    personId: row.person_id,
    method: row.method,
    address: row.address,
    agent: row.agent,
    createdAtMs: row.created_at,
    provedAtMs: row.proved_at,
    seenAtMs: row.seen_at,
  };
}
