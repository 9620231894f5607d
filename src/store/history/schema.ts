// The tables of history.db, as numbered migrations: a migration that was released is never edited.

/** What a list shows lies apart from what only the page of one message shows: a look through many rows reads little. */
export const HISTORY_MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE message (
    id TEXT PRIMARY KEY,
    from_address TEXT NOT NULL,
    to_addresses TEXT NOT NULL,
    credential TEXT,
    status TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    envelope TEXT NOT NULL,
    recipients TEXT NOT NULL,
    events TEXT NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX message_unusual ON message (status, id) WHERE status <> 'delivered';
  CREATE TABLE cursor (name TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID
  `,
  `
  ALTER TABLE message ADD COLUMN project TEXT;
  CREATE INDEX message_project ON message (project, id) WHERE project IS NOT NULL
  `,
  // key: in the order of acceptance. log: what happened, a row for each of the outbox, a line for each change: `delivered ID 0`; the rest is with the message. late: what moved long after it came, so that "changed since" need not look at all that came before.
  `
  DROP INDEX message_unusual;
  DROP INDEX message_project;
  ALTER TABLE message RENAME TO message_before;
  CREATE TABLE message (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL,
    accepted_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    from_address TEXT NOT NULL,
    subject TEXT NOT NULL,
    message_id TEXT NOT NULL,
    size INTEGER NOT NULL,
    credential TEXT,
    project TEXT,
    profile TEXT NOT NULL,
    kind TEXT NOT NULL,
    mode TEXT NOT NULL,
    to_addresses TEXT NOT NULL
  );
  CREATE TABLE detail (key INTEGER PRIMARY KEY, envelope TEXT NOT NULL, recipients TEXT NOT NULL, events TEXT NOT NULL);
  INSERT INTO message (id, status, accepted_at, updated_at, from_address, subject, message_id, size, credential, project, profile, kind, mode, to_addresses)
    SELECT id, status, envelope ->> 'acceptedAtMs', updated_at, coalesce(envelope ->> '$.from.text', ''), envelope ->> 'subject', envelope ->> 'messageIdHeader',
      envelope ->> 'sizeBytes', credential, project, envelope ->> '$.origin.profile', envelope ->> 'kind', envelope ->> 'mode',
      (SELECT json_group_array(value ->> 'to') FROM json_each(recipients))
    FROM message_before ORDER BY id;
  INSERT INTO detail (key, envelope, recipients, events)
    SELECT message.key, message_before.envelope, message_before.recipients, message_before.events FROM message JOIN message_before ON message_before.id = message.id;
  DROP TABLE message_before;
  CREATE INDEX message_unusual ON message (status, key) WHERE status <> 'delivered';
  CREATE INDEX message_late ON message (updated_at) WHERE updated_at > accepted_at + 86400000;
  CREATE TABLE log (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, changes TEXT NOT NULL);
  CREATE TABLE statistic (
    span INTEGER NOT NULL,
    name TEXT NOT NULL,
    at INTEGER NOT NULL,
    label TEXT NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (span, name, at, label)
  ) WITHOUT ROWID
  `,
];
