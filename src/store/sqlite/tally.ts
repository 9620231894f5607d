// How much there is in the queue, counted as rows change: a question that a backlog of a million must not make slow. Made from the tables at
// start; follows the transaction that is open, and goes back with it.

import type { Database } from './database.ts';
import { CAPTURED, HELD, LEASED, READY } from './schema.ts';

export type Counted = 'ready' | 'deferred' | 'leased' | 'held' | 'captured';
export type Amounts = Readonly<Record<Counted | 'messages' | 'bodyBytes', number>>;

/** What a row in this state counts as. */
export function countedAs(state: number, attempts: number): Counted {
  if (state === READY) return attempts > 0 ? 'deferred' : 'ready';
  return state === LEASED ? 'leased' : state === HELD ? 'held' : 'captured';
}

export class Tally {
  #now: Record<Counted | 'messages' | 'bodyBytes', number> = { ready: 0, deferred: 0, leased: 0, held: 0, captured: 0, messages: 0, bodyBytes: 0 };
  #before: Amounts = this.#now;

  get amounts(): Amounts {
    return { ...this.#now };
  }

  /** A recipient's row: from what it was (null: new) to what it is (null: gone). */
  move(from: Counted | null, to: Counted | null): void {
    if (from !== null) this.#now[from]--;
    if (to !== null) this.#now[to]++;
  }

  /** A message came (1) or went (-1). */
  message(sign: 1 | -1, sizeBytes: number): void {
    this.#now.messages += sign;
    this.#now.bodyBytes += sign * sizeBytes;
  }

  begin(): void {
    this.#before = { ...this.#now };
  }

  rollBack(): void {
    this.#now = { ...this.#before };
  }

  /** Counts all rows anew. */
  count(database: Database): void {
    const recipients = database
      .prepare(
        `SELECT coalesce(sum(state = ${READY} AND attempts = 0), 0) AS ready, coalesce(sum(state = ${READY} AND attempts > 0), 0) AS deferred,
          coalesce(sum(state = ${LEASED}), 0) AS leased, coalesce(sum(state = ${HELD}), 0) AS held, coalesce(sum(state = ${CAPTURED}), 0) AS captured FROM recipient`,
      )
      .get() as Record<Counted, number>;
    const messages = database.prepare('SELECT count(*) AS messages, coalesce(sum(size), 0) AS bodyBytes FROM message').get() as { messages: number; bodyBytes: number };
    this.#now = { ...recipients, ...messages };
  }
}
