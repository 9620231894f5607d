// What is kept of how mail travels to others: their MTA-STS policies, the sessions that TLS reports tell of, and the conversations of the last attempts. Portable SQL in a database of its own (transport.db), which every
// thread reads and writes; a power cut may lose the newest lines, and a full disk costs knowledge, never mail.

import type { KnownSts, StsMemory } from '#tls/mta-sts.ts';
import { openDatabase, spare } from './sqlite/database.ts';
import type { Database } from './sqlite/database.ts';
import { TRANSCRIPT_TABLE, openTranscripts } from './transcripts.ts';
import type { Transcripts } from './transcripts.ts';
import { TLS_SESSION_TABLES, tlsSessions } from './tls-sessions.ts';
import type { TlsSessions } from './tls-sessions.ts';

const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE sts_policy (
    domain TEXT PRIMARY KEY,
    id TEXT NOT NULL,
    policy TEXT,
    fetched_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    failure TEXT,
    used_at INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX sts_policy_fetched ON sts_policy (fetched_at);
  CREATE INDEX sts_policy_used ON sts_policy (used_at)
  `,
  TLS_SESSION_TABLES,
  TRANSCRIPT_TABLE,
];

const CACHE_BYTES = 2 * 1024 * 1024;
const DAY_MS = 86_400_000;
/** Policies kept; past it the ones that were not used for longest go. */
const MAX_POLICIES = 50_000;
const FORGET_AT_ONCE = 500;
/** A policy that nobody sent mail under for so long is not fetched again. */
const IN_USE_MS = 30 * DAY_MS;

export type Transport = { readonly sts: StsMemory; readonly sessions: TlsSessions; readonly transcripts: Transcripts; close(): void };

type StsRow = { domain: string; id: string; policy: string | null; fetched_at: number; expires_at: number; failure: string | null; used_at: number };

/** Opens the database for one thread; the main thread opens it first. */
export function openTransport(path: string, options: { readonly nowMs: () => number; /** Attempts whose conversation is kept. */ readonly transcripts?: number }): Transport {
  const database = openDatabase(path, MIGRATIONS, { synchronous: 'NORMAL', cacheBytes: CACHE_BYTES });
  return {
    sts: stsMemory(database, options.nowMs),
    sessions: tlsSessions(database),
    transcripts: openTranscripts(database, options.transcripts ?? 0),
    close: () => database.close(),
  };
}

function stsMemory(database: Database, nowMs: () => number): StsMemory {
  const read = database.prepare('SELECT * FROM sts_policy WHERE domain = ?');
  const touch = database.prepare('UPDATE sts_policy SET used_at = ? WHERE domain = ?');
  const write = database.prepare(
    `INSERT INTO sts_policy (domain, id, policy, fetched_at, expires_at, failure, used_at) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (domain) DO UPDATE SET id = excluded.id, policy = excluded.policy, fetched_at = excluded.fetched_at, expires_at = excluded.expires_at, failure = excluded.failure`,
  );
  const older = database.prepare('SELECT * FROM sts_policy WHERE fetched_at < ? AND used_at > ? AND policy IS NOT NULL AND expires_at > ? ORDER BY expires_at LIMIT ?');
  const count = database.prepare('SELECT count(*) AS n FROM sts_policy');
  const forget = database.prepare('DELETE FROM sts_policy WHERE domain IN (SELECT domain FROM sts_policy ORDER BY used_at LIMIT ?)');
  let writes = 0;
  return {
    read(domain) {
      const row = read.get(domain) as StsRow | undefined;
      if (row === undefined) return null;
      // Once a day is enough to know what is in use.
      if (row.used_at < nowMs() - DAY_MS) spare(() => touch.run(nowMs(), domain));
      return knownOf(row);
    },
    write({ domain, id, policy, fetchedAtMs, expiresAtMs, failure }) {
      spare(() => {
        write.run(domain, id, policy === null ? null : JSON.stringify(policy), fetchedAtMs, expiresAtMs, failure === null ? null : JSON.stringify(failure), nowMs());
        if (writes++ % FORGET_AT_ONCE === 0 && (count.get() as { n: number }).n > MAX_POLICIES) forget.run(FORGET_AT_ONCE);
      });
    },
    older: (thanMs, limit) => (older.all(thanMs, nowMs() - IN_USE_MS, nowMs(), limit) as StsRow[]).map(knownOf),
  };
}

function knownOf(row: StsRow): KnownSts {
  return {
    domain: row.domain,
    id: row.id,
    policy: row.policy === null ? null : (JSON.parse(row.policy) as KnownSts['policy']),
    fetchedAtMs: row.fetched_at,
    expiresAtMs: row.expires_at,
    failure: row.failure === null ? null : (JSON.parse(row.failure) as KnownSts['failure']),
  };
}
