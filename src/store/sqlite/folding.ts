// The way of the events from the outbox of the queue into the history: a stretch at a time, so that no commit waits long for it, and more
// urgently when many wait or somebody asks. Knows no threads.

import { Fifo } from '#base/fifo.ts';
import type { QueueEvent } from '#queue/records.ts';
import type { History } from '#store/history/writer.ts';
import { outboxText, toldFrom } from '#store/told.ts';
import type { Told, ToldRow } from '#store/told.ts';
import type { Statements } from './statements.ts';

/** Events folded at once, some 20 ms of them, and how many outbox rows may wait before some are folded after each commit. */
const EVENTS = 500;
const BACKLOG_ROWS = 400;
/** Rows just written that are kept in memory, by their JSON: what is older is read back from the outbox. */
const KEPT_CHARACTERS = 2 * 1024 * 1024;

type Kept = ToldRow & { readonly characters: number };

/** Somebody wants the history to be as far as the outbox was when they asked. */
type Wish<T> = { readonly who: T; readonly upTo: number };

export class Folding<T> {
  readonly #statements: Statements;
  readonly #history: History;
  /** Outbox rows that the history does not have. */
  #waiting: number;
  /** Outbox rows up to this one are gone, or go with the open transaction. */
  #trimmedTo = 0;
  #trimming = 0;
  /** The newest rows, in order, without gaps. */
  readonly #kept = new Fifo<Kept>();
  #keptCharacters = 0;
  /** The row of the open transaction. */
  #written: Kept | null = null;
  readonly #asked: T[] = [];
  #wishes: Wish<T>[] = [];

  constructor(parts: { statements: Statements; history: History }) {
    this.#statements = parts.statements;
    this.#history = parts.history;
    this.#waiting = (this.#statements.countOutbox.get(this.#history.cursor) as { rows: number }).rows;
  }

  /** In a transaction that changed something: its row in the outbox. What the history has goes with it, and costs no sync of its own. */
  write(atMs: number, changes: readonly Told[]): void {
    const text = `[${changes.map(outboxText).join(',')}]`;
    const { lastInsertRowid } = this.#statements.insertOutbox.run(atMs, text);
    this.#written = { seq: Number(lastInsertRowid), atMs, changes, characters: text.length };
    this.#waiting++;
    this.#trimming = this.#history.cursor;
    if (this.#trimming > this.#trimmedTo) this.#statements.trimOutbox.run(this.#trimming);
  }

  committed(): void {
    this.#trimmedTo = Math.max(this.#trimmedTo, this.#trimming);
    if (this.#written === null) return;
    this.#kept.push(this.#written);
    this.#keptCharacters += this.#written.characters;
    this.#written = null;
    while (this.#keptCharacters > KEPT_CHARACTERS) this.#forgetOldest();
  }

  rolledBack(): void {
    this.#written = null;
  }

  #forgetOldest(): void {
    this.#keptCharacters -= this.#kept.shift()?.characters ?? 0;
  }

  /** What waits, oldest first: read back from the outbox as far as it is not in memory. */
  *#rows(): Iterable<ToldRow> {
    const { cursor } = this.#history;
    while ((this.#kept.peek()?.seq ?? Infinity) <= cursor) this.#forgetOldest();
    const inMemory = this.#kept.peek()?.seq ?? Infinity;
    // Numbers have no gaps: nothing lies between the two.
    if (inMemory > cursor + 1) {
      for (const row of this.#statements.outboxAfter.iterate(cursor, Math.min(inMemory, Number.MAX_SAFE_INTEGER)) as Iterable<{ seq: number; at: number; events: string }>)
        yield { seq: row.seq, atMs: row.at, changes: (JSON.parse(row.events) as QueueEvent[]).map(toldFrom) };
    }
    yield* this.#kept;
  }

  ask(who: T): void {
    this.#asked.push(who);
  }

  /** After a commit: folds if it must; returns whose wish is fulfilled. */
  work(): T[] {
    if (this.#asked.length > 0) {
      const upTo = (this.#statements.lastOutbox.get() as { seq: number | null }).seq ?? 0;
      this.#wishes.push(...this.#asked.splice(0).map((who) => ({ who, upTo })));
    }
    if (this.#wishes.length === 0) {
      if (this.#waiting > BACKLOG_ROWS) this.fold();
      return [];
    }
    const none = this.fold() === 0;
    const fulfilled = this.#wishes.filter(({ upTo }) => none || upTo <= this.#history.cursor);
    if (fulfilled.length > 0) this.#writeCounts();
    this.#wishes = this.#wishes.filter((wish) => !fulfilled.includes(wish));
    return fulfilled.map(({ who }) => who);
  }

  /** Somebody waits: `work` is to be called again soon. */
  get urgent(): boolean {
    return this.#asked.length + this.#wishes.length > 0;
  }

  /** One stretch; returns how many rows. What fails is tried again with the next one. */
  fold(): number {
    try {
      const rows = this.#history.fold(this.#rows(), EVENTS);
      this.#waiting = rows === 0 ? 0 : Math.max(0, this.#waiting - rows);
      return rows;
    } catch {
      return 0;
    }
  }

  #writeCounts(): void {
    try {
      this.#history.writeCounts();
    } catch {
      // Goes with the next stretch.
    }
  }

  /** When there is nothing else to do. */
  trim(): void {
    const { cursor } = this.#history;
    this.#writeCounts();
    if (cursor <= this.#trimmedTo) return;
    try {
      this.#statements.trimOutbox.run(cursor);
      this.#trimmedTo = cursor;
    } catch {
      // Goes with the next transaction.
    }
  }
}
