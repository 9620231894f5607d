// Every SQL statement of the delivery side, prepared once, named by what it does. No logic.

import type { Database, Statement } from './database.ts';
import { CAPTURED, LEASED, READY } from './schema.ts';

export type Statements = Readonly<Record<keyof typeof SQL, Statement>>;

const SQL = {
  begin: 'BEGIN IMMEDIATE',
  commit: 'COMMIT',
  rollback: 'ROLLBACK',
  insertMessage: 'INSERT INTO message (key, id, size, chunks, envelope, body) VALUES (?, ?, ?, ?, ?, ?)',
  insertChunk: 'INSERT INTO chunk (key, data) VALUES (?, ?)',
  insertRecipient: `INSERT INTO recipient (key, state, owner, next_at, expires_at, warn_at, attempts, lane, domain, credential, recipient)
    VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?)`,
  insertOutbox: 'INSERT INTO outbox (at, events) VALUES (?, ?)',
  trimOutbox: 'DELETE FROM outbox WHERE seq <= ?',
  outboxAfter: 'SELECT seq, at, events FROM outbox WHERE seq > ? AND seq < ? ORDER BY seq',
  lastOutbox: 'SELECT max(seq) AS seq FROM outbox',
  countOutbox: 'SELECT count(*) AS rows FROM outbox WHERE seq > ?',
  envelopeOf: 'SELECT id, envelope, chunks, size FROM message WHERE key = ?',
  bodyOf: 'SELECT chunks, body FROM message WHERE key = ?',
  keyOf: 'SELECT key FROM message WHERE id = ?',
  chunk: 'SELECT data FROM chunk WHERE key = ?',
  onceOf: 'SELECT hash, message AS id, at FROM once WHERE key = ?',
  insertOnce: 'INSERT OR REPLACE INTO once (key, hash, message, at) VALUES (?, ?, ?, ?)',
  trimOnce: 'DELETE FROM once WHERE key IN (SELECT key FROM once WHERE at < ? ORDER BY at LIMIT 5000)',
  chunkCount: 'SELECT chunks FROM message WHERE key = ?',
  dueOfLane: `SELECT key, recipient, attempts, warn_at, outcome FROM recipient WHERE state = ${READY} AND lane = ? AND next_at <= ? ORDER BY next_at LIMIT ?`,
  earliestOfLane: `SELECT min(next_at) AS at FROM recipient WHERE state = ${READY} AND lane = ?`,
  lease: `UPDATE recipient SET state = ${LEASED}, owner = ? WHERE key = ? AND state = ${READY}`,
  expired: `SELECT key, lane, recipient, attempts, warn_at, outcome FROM recipient WHERE state = ${READY} AND expires_at <= ? ORDER BY expires_at LIMIT ?`,
  warned: `SELECT key, lane, recipient, attempts, warn_at, outcome FROM recipient
    WHERE state = ${READY} AND warn_at IS NOT NULL AND warn_at <= ? AND expires_at > ? ORDER BY warn_at LIMIT ?`,
  oldest: `SELECT key FROM recipient WHERE key >= ? AND state <> ${CAPTURED} ORDER BY key LIMIT 1`,
  oldestDue: `SELECT key FROM recipient WHERE key >= ? AND state <> ${CAPTURED} AND NOT (state = ${READY} AND attempts = 0 AND next_at > ?) ORDER BY key LIMIT 1`,
  leasedRow: 'SELECT lane, domain, credential, attempts, wish FROM recipient WHERE key = ?',
  deleteRecipient: `DELETE FROM recipient WHERE key = ? AND state = ${LEASED} AND owner = ?`,
  anyRecipient: 'SELECT 1 FROM recipient WHERE key >= ? AND key < ? LIMIT 1',
  deleteMessage: 'DELETE FROM message WHERE key = ? RETURNING chunks, size',
  deleteChunks: 'DELETE FROM chunk WHERE key >= ? AND key < ?',
  deferRecipient: `UPDATE recipient SET state = ?, wish = NULL, next_at = ?, lane = ?, attempts = attempts + 1, warn_at = CASE WHEN ? THEN NULL ELSE warn_at END, outcome = ?
    WHERE key = ? AND state = ${LEASED} AND owner = ?`,
  captureRecipient: `UPDATE recipient SET state = ${CAPTURED}, attempts = attempts + 1, outcome = ? WHERE key = ? AND state = ${LEASED} AND owner = ?`,
  returnRecipient: `UPDATE recipient SET state = ?, wish = NULL, next_at = ?, lane = ? WHERE key = ? AND state = ${LEASED} AND owner = ?`,
} as const;

export function prepareStatements(database: Database): Statements {
  return Object.fromEntries(Object.entries(SQL).map(([name, sql]) => [name, database.prepare(sql)])) as unknown as Statements;
}
