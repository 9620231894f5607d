// The tables of queue.db, as numbered migrations: a migration that was released is never edited.

/** Chunks and recipients carry their message in their key: key = message * KEY_SPAN + n. One B-tree each, no second index. */
export const KEY_SPAN = 65_536;

/** The owner of a leased row is worker * TOKENS + a number that is never used again, so a stale lease touches nothing. */
export const TOKENS = 2 ** 46;

/** States of a recipient row. READY waits for `next_at` (deferred when it was tried before). */
export const READY = 0;
export const LEASED = 1;
export const HELD = 2;
export const CAPTURED = 3;

/** What an operator wants of a row that is leased, done when it comes back: HELD, or this. */
export const GONE = 4;

export const QUEUE_MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE message (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    chunks INTEGER NOT NULL,
    envelope TEXT NOT NULL,
    body BLOB
  );
  CREATE TABLE chunk (key INTEGER PRIMARY KEY, data BLOB NOT NULL);
  CREATE TABLE recipient (
    key INTEGER PRIMARY KEY,
    state INTEGER NOT NULL,
    owner INTEGER NOT NULL,
    next_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    warn_at INTEGER,
    attempts INTEGER NOT NULL,
    lane TEXT NOT NULL,
    domain TEXT NOT NULL,
    credential TEXT,
    recipient TEXT NOT NULL,
    outcome TEXT
  );
  CREATE INDEX recipient_due ON recipient (lane, next_at) WHERE state = 0;
  CREATE TABLE hold (kind TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, value)) WITHOUT ROWID;
  CREATE TABLE outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, events TEXT NOT NULL)
  `,
  // Mail that is delivered at once never touches these.
  `
  CREATE INDEX recipient_expires ON recipient (expires_at) WHERE state = 0;
  CREATE INDEX recipient_warns ON recipient (warn_at) WHERE state = 0 AND warn_at IS NOT NULL;
  CREATE INDEX recipient_captured ON recipient (next_at) WHERE state = 3
  `,
  `ALTER TABLE recipient ADD COLUMN wish INTEGER`,
  // AUTOINCREMENT: a list that is read page by page must not meet a number for the second time.
  `
  CREATE TABLE suppression (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    address TEXT NOT NULL,
    recipient_domain TEXT NOT NULL,
    sender_domain TEXT NOT NULL,
    reason TEXT NOT NULL,
    enhanced TEXT NOT NULL,
    text TEXT NOT NULL,
    host TEXT,
    message TEXT,
    created_at INTEGER NOT NULL
  );
  CREATE UNIQUE INDEX suppression_address ON suppression (address, sender_domain);
  CREATE INDEX suppression_recipient_domain ON suppression (recipient_domain, seq)
  `,
  `
  CREATE TABLE once (key TEXT PRIMARY KEY, hash TEXT NOT NULL, message TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
  CREATE INDEX once_at ON once (at)
  `,
];
