// Counts what happens, by minute, hour and day. It is added up in memory, and written every now and then: some hundred rows, however much happened.

import type { Counts } from '#store/facts.ts';
import type { Database, Statement } from '#store/sqlite/database.ts';
import { SPANS } from './spans.ts';

/**
 * What is counted: `messages` by port profile; recipients by what became of them (`fates`), by credential too, and by class of failure; how long deliveries
 * and attempts took; encryption by provider; the `queue` by state.
 */
export type StatisticName = 'messages' | 'fates' | 'credentials' | 'classes' | 'delivery' | 'attempts' | 'tls-in' | 'tls-out' | 'queue';

const NAMES: readonly StatisticName[] = ['messages', 'fates', 'credentials', 'classes', 'delivery', 'attempts', 'tls-in', 'tls-out', 'queue'];
const MINUTE_MS = 60_000;
/** There may be thousands of them: no minutes, and their hours not for as long. */
const BY_CREDENTIAL: StatisticName = 'credentials';
const KEEP_CREDENTIALS_MS = 35 * 86_400_000;
/** Rows of one name that are removed at once, about. */
const TRIM_ROWS = 500;

export class Counting {
  readonly #add: Statement;
  readonly #highest: Statement;
  readonly #trim: Statement;
  /** What is not written yet: by minute, how often each text was told. */
  #minutes = new Map<number, Map<Counts, number>>();

  constructor(database: Database) {
    this.#add = database.prepare(
      'INSERT INTO statistic (span, name, at, label, value) VALUES (?, ?, ?, ?, ?) ON CONFLICT (span, name, at, label) DO UPDATE SET value = value + excluded.value',
    );
    this.#highest = database.prepare(
      'INSERT INTO statistic (span, name, at, label, value) VALUES (?, ?, ?, ?, ?) ON CONFLICT (span, name, at, label) DO UPDATE SET value = max(value, excluded.value)',
    );
    this.#trim = database.prepare(
      // A range of the key: looking rows up one by one would go through the whole table.
      `DELETE FROM statistic WHERE span = ?1 AND name = ?2 AND at < coalesce((SELECT at FROM statistic WHERE span = ?1 AND name = ?2 AND at < ?3 ORDER BY at LIMIT 1 OFFSET ${TRIM_ROWS}), ?3)`,
    );
  }

  /** In memory. */
  count(atMs: number, counts: Counts, by = 1): void {
    const minute = Math.floor(atMs / MINUTE_MS);
    let texts = this.#minutes.get(minute);
    if (texts === undefined) this.#minutes.set(minute, (texts = new Map()));
    texts.set(counts, (texts.get(counts) ?? 0) + by);
  }

  /** In a transaction. */
  write(): void {
    for (const { name: span, seconds } of SPANS) {
      const sums = new Map<string, number>();
      for (const [minute, texts] of this.#minutes) {
        const at = Math.floor((minute * MINUTE_MS) / 1000 / seconds) * seconds;
        for (const [counts, value] of texts) {
          for (const line of counts.split('\n')) sums.set(`${at} ${line}`, (sums.get(`${at} ${line}`) ?? 0) + value);
        }
      }
      for (const [key, value] of sums) {
        const [at = '', name = '', ...label] = key.split(' ');
        if (name === BY_CREDENTIAL && span === 'minute') continue;
        this.#add.run(seconds, name, Number(at), label.join(' '), value);
      }
    }
  }

  /** It is written. */
  forget(): void {
    this.#minutes.clear();
  }

  /** How full the queue is now: of each span the highest is kept. */
  sample(nowMs: number, amounts: Readonly<Record<string, number>>): void {
    for (const { seconds } of SPANS) {
      const at = Math.floor(nowMs / 1000 / seconds) * seconds;
      for (const [label, value] of Object.entries(amounts)) if (value > 0) this.#highest.run(seconds, 'queue', at, label, value);
    }
  }

  /** Forgets the old, a stretch at a time. */
  trim(nowMs: number): void {
    for (const { name: span, seconds, keepMs } of SPANS) {
      for (const name of NAMES) {
        const kept = name === BY_CREDENTIAL && span === 'hour' ? KEEP_CREDENTIALS_MS : keepMs;
        this.#trim.run(seconds, name, Math.floor((nowMs - kept) / 1000));
      }
    }
  }
}
