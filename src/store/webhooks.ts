// The webhooks, in the directory's database: where events are told, which, and with which secrets (sealed). How far each is, is another matter
// (webhook-queue.ts).

import { randomBytes } from 'node:crypto';
import type { Database } from './sqlite/database.ts';

export type Webhook = {
  readonly id: string;
  readonly url: string;
  /** For people. */
  readonly description: string;
  /** null: all. */
  readonly types: readonly string[] | null;
  /** Is told of its mail only; null: of all. */
  readonly project: string | null;
  /** Requests at once. One: in order. */
  readonly concurrency: number;
  /** The newest signs first; those that end sign until then. Sealed. */
  readonly sealed: Buffer;
  readonly createdAtMs: number;
  readonly createdBy: string;
  readonly disabledAtMs: number | null;
  readonly disabledCause: string | null;
};

export type NewWebhook = Pick<Webhook, 'url' | 'description' | 'types' | 'project' | 'concurrency' | 'createdBy'>;
export type WebhookChange = Partial<Pick<Webhook, 'url' | 'description' | 'types' | 'concurrency' | 'sealed' | 'disabledAtMs' | 'disabledCause'>>;

export type WebhookStore = {
  list(): readonly Webhook[];
  find(id: string): Webhook | null;
  /** `seal` is told the id that the secret is bound to. */
  add(webhook: NewWebhook, seal: (id: string) => Buffer): Webhook;
  change(id: string, change: WebhookChange): Webhook | null;
  remove(id: string): boolean;
};

export const WEBHOOK_MIGRATION = `
  CREATE TABLE webhook (
    id TEXT PRIMARY KEY,
    url TEXT NOT NULL,
    description TEXT NOT NULL,
    types TEXT,
    project TEXT,
    concurrency INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    disabled_at INTEGER,
    disabled_cause TEXT
  ) WITHOUT ROWID
  `;

const ALPHABET = 'abcdefghijkmnpqrstuvwxyz23456789';
const ID_CHARACTERS = 12;

type Row = {
  id: string;
  url: string;
  description: string;
  types: string | null;
  project: string | null;
  concurrency: number;
  sealed: Uint8Array;
  created_at: number;
  created_by: string;
  disabled_at: number | null;
  disabled_cause: string | null;
};

export function openWebhookStore(database: Database, nowMs: () => number): WebhookStore {
  const byId = database.prepare('SELECT * FROM webhook WHERE id = ?');
  const find = (id: string): Webhook | null => {
    const row = byId.get(id) as Row | undefined;
    return row === undefined ? null : webhookOf(row);
  };
  const write = database.prepare('UPDATE webhook SET url = ?, description = ?, types = ?, concurrency = ?, sealed = ?, disabled_at = ?, disabled_cause = ? WHERE id = ?');
  return {
    list: () => (database.prepare('SELECT * FROM webhook ORDER BY created_at, id').all() as Row[]).map(webhookOf),
    find,
    add({ url, description, types, project, concurrency, createdBy }, seal) {
      const id = `wh_${Array.from(randomBytes(ID_CHARACTERS), (byte) => ALPHABET[byte & 31]).join('')}`;
      database
        .prepare('INSERT INTO webhook VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)')
        .run(id, url, description, types === null ? null : JSON.stringify(types), project, concurrency, seal(id), nowMs(), createdBy);
      return find(id) as Webhook;
    },
    change(id, change) {
      const before = find(id);
      if (before === null) return null;
      const { url, description, types, concurrency, sealed, disabledAtMs, disabledCause } = { ...before, ...change };
      write.run(url, description, types === null ? null : JSON.stringify(types), concurrency, sealed, disabledAtMs, disabledCause, id);
      return find(id);
    },
    remove: (id) => database.prepare('DELETE FROM webhook WHERE id = ?').run(id).changes > 0,
  };
}

function webhookOf(row: Row): Webhook {
  return {
    id: row.id,
    url: row.url,
    description: row.description,
    types: row.types === null ? null : (JSON.parse(row.types) as string[]),
    project: row.project,
    concurrency: row.concurrency,
    sealed: Buffer.from(row.sealed),
    createdAtMs: row.created_at,
    createdBy: row.created_by,
    disabledAtMs: row.disabled_at,
    disabledCause: row.disabled_cause,
  };
}
