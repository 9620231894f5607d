// The table of suppressed addresses, for the store thread: written inside the transaction that is open there, listed newest first, found by
// address. What is in it is in the sieve too, which the workers ask first.

import type { Sieve } from '#base/sieve.ts';
import { sieveKey } from '#queue/suppression.ts';
import type { NewSuppression, Reason, Suppression, SuppressionFilter } from '#queue/suppression.ts';
import { Conditions } from './conditions.ts';
import type { Database, Statement } from './database.ts';

/** Entries put into the sieve at a time, some milliseconds of them. */
const FILL_ROWS = 5000;

type Row = {
  seq: number;
  address: string;
  recipient_domain: string;
  sender_domain: string;
  reason: Reason;
  enhanced: string;
  text: string;
  host: string | null;
  message: string | null;
  created_at: number;
};

export class SuppressionTable {
  readonly #database: Database;
  readonly #sieve: Sieve;
  readonly #insert: Statement;
  readonly #replace: Statement;
  readonly #find: Statement;

  constructor(database: Database, sieve: Sieve) {
    this.#database = database;
    this.#sieve = sieve;
    const insert = `INSERT INTO suppression (address, recipient_domain, sender_domain, reason, enhanced, text, host, message, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (address, sender_domain)`;
    this.#insert = database.prepare(`${insert} DO NOTHING`);
    this.#replace = database.prepare(
      `${insert} DO UPDATE SET reason = excluded.reason, enhanced = excluded.enhanced, text = excluded.text, host = excluded.host, message = excluded.message`,
    );
    this.#find = database.prepare('SELECT * FROM suppression WHERE address = ? AND sender_domain = ?');
  }

  /** What a receiver's answer brings forth: an entry that is there stays as it is. */
  note(entry: NewSuppression): void {
    this.#write(this.#insert, entry);
  }

  /** Returns how many are new. */
  add(entries: readonly NewSuppression[]): number {
    let added = 0;
    for (const entry of entries) {
      if (this.#find.get(entry.address, entry.senderDomain) === undefined) added++;
      this.#write(this.#replace, entry);
    }
    return added;
  }

  remove(address: string, senderDomains: readonly string[] | null): number {
    const [where, parameters] = senderDomains === null ? ['', []] : [' AND sender_domain IN (SELECT value FROM json_each(?))', [JSON.stringify(senderDomains)]];
    return Number(this.#database.prepare(`DELETE FROM suppression WHERE address = ?${where}`).run(address, ...parameters).changes);
  }

  find(address: string, senderDomains: readonly string[]): Suppression | null {
    for (const domain of senderDomains) {
      const row = this.#find.get(address, domain) as Row | undefined;
      if (row !== undefined) return suppressionOf(row);
    }
    return null;
  }

  list(filter: SuppressionFilter): Suppression[] {
    const asked = new Conditions();
    asked.add('address = ?', filter.address);
    asked.add('recipient_domain = ?', filter.recipientDomain);
    asked.add('reason = ?', filter.reason);
    asked.add('seq < ?', filter.before);
    if (filter.senderDomains !== null) asked.add('sender_domain IN (SELECT value FROM json_each(?))', JSON.stringify(filter.senderDomains));
    const rows = this.#database.prepare(`SELECT * FROM suppression WHERE ${asked.sql} ORDER BY seq DESC LIMIT ?`).all(...asked.values, filter.limit) as Row[];
    return rows.map(suppressionOf);
  }

  /** Puts what is in the table into the sieve, a stretch at a time; until that is done everybody is looked up. */
  fill(after = 0): void {
    // The server may end before it is done.
    if (!this.#database.isOpen) return;
    const rows = this.#database.prepare(`SELECT seq, address, sender_domain FROM suppression WHERE seq > ? ORDER BY seq LIMIT ${FILL_ROWS}`).all(after) as Row[];
    for (const { address, sender_domain: domain } of rows) this.#sieve.add(sieveKey(address, domain));
    const last = rows.at(-1);
    if (last === undefined || rows.length < FILL_ROWS) this.#sieve.filled();
    else setImmediate(() => this.fill(last.seq));
  }

  #write(statement: Statement, entry: NewSuppression): void {
    const { address, recipientDomain, senderDomain, reason, enhanced, text, remoteHost, messageId, createdAtMs } = entry;
    // Before the commit: who looks it up too early finds nothing yet.
    this.#sieve.add(sieveKey(address, senderDomain));
    statement.run(address, recipientDomain, senderDomain, reason, enhanced, text, remoteHost, messageId, createdAtMs);
  }
}

function suppressionOf(row: Row): Suppression {
  return {
    seq: row.seq,
    address: row.address,
    recipientDomain: row.recipient_domain,
    senderDomain: row.sender_domain,
    reason: row.reason,
    enhanced: row.enhanced,
    text: row.text,
    remoteHost: row.host,
    messageId: row.message,
    createdAtMs: row.created_at,
  };
}
