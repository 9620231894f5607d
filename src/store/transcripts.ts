// What was said at each attempt, for people who look into a message's fate: a table of transport.db, bounded by number, the oldest go first.
// A power cut may lose the newest; nothing depends on it.

import type { Transcript } from '#smtp/transcript.ts';
import { spare } from './sqlite/database.ts';
import type { Database } from './sqlite/database.ts';

/** One attempt: the recipients of one message that share an outcome's begin, and the conversation. */
export type AttemptTranscript = {
  readonly messageId: string;
  /** As their outcomes have it. */
  readonly startedAtMs: number;
  readonly recipients: readonly number[];
  readonly remoteHost: string;
  readonly remoteAddress: string | null;
  readonly remotePort: number | null;
  readonly entries: Transcript;
};

export type Transcripts = {
  /** In one transaction. Never throws for want of space. */
  add(attempts: readonly AttemptTranscript[]): void;
  /** Of one message, oldest first. */
  of(messageId: string): readonly AttemptTranscript[];
};

export const TRANSCRIPT_TABLE = `
  CREATE TABLE transcript (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    message TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    recipients TEXT NOT NULL,
    host TEXT NOT NULL,
    address TEXT,
    port INTEGER,
    entries TEXT NOT NULL
  );
  CREATE INDEX transcript_message ON transcript (message)
  `;

const MAX_OF_MESSAGE = 100;

type Row = { message: string; started_at: number; recipients: string; host: string; address: string | null; port: number | null; entries: string };

/** `most`: attempts that are kept in all. */
export function openTranscripts(database: Database, most: number): Transcripts {
  const insert = database.prepare('INSERT INTO transcript (message, started_at, recipients, host, address, port, entries) VALUES (?, ?, ?, ?, ?, ?, ?)');
  const trim = database.prepare('DELETE FROM transcript WHERE seq <= ?');
  const read = database.prepare(`SELECT * FROM transcript WHERE message = ? ORDER BY seq DESC LIMIT ${MAX_OF_MESSAGE}`);
  return {
    add(attempts) {
      spare(() => {
        database.exec('BEGIN IMMEDIATE');
        try {
          let last = 0;
          for (const { messageId, startedAtMs, recipients, remoteHost, remoteAddress, remotePort, entries } of attempts) {
            const { lastInsertRowid } = insert.run(messageId, startedAtMs, JSON.stringify(recipients), remoteHost, remoteAddress, remotePort, JSON.stringify(entries));
            last = Number(lastInsertRowid);
          }
          trim.run(last - most);
          database.exec('COMMIT');
        } catch (error) {
          if (database.isTransaction) database.exec('ROLLBACK');
          throw error;
        }
      });
    },
    of: (messageId) =>
      (read.all(messageId) as Row[]).toReversed().map(({ message, started_at, recipients, host, address, port, entries }) => ({
        messageId: message,
        startedAtMs: started_at,
        recipients: JSON.parse(recipients) as number[],
        remoteHost: host,
        remoteAddress: address,
        remotePort: port,
        entries: JSON.parse(entries) as Transcript,
      })),
  };
}
