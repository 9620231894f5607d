// The statistics as others read them: counts in buckets of time, each series by its label, made whole (an hour without mail is an hour of noughts). Counted by
// history/counting.ts; read here beside it.

import { HISTORY_MIGRATIONS } from './history/schema.ts';
import { SPANS, percentiles } from './history/spans.ts';
import type { SpanName } from './history/spans.ts';
import type { StatisticName } from './history/counting.ts';
import { openDatabase } from './sqlite/database.ts';

export type Window = { readonly span: SpanName; readonly fromMs: number; readonly untilMs: number };

/** One bucket: when it begins, and what was counted by label. */
export type Bucket = { readonly atMs: number; readonly counts: Readonly<Record<string, number>> };
export type LatencyBucket = { readonly atMs: number; readonly count: number; readonly p50Ms: number | null; readonly p90Ms: number | null; readonly p99Ms: number | null };

export type StatisticsReader = {
  /** From the bucket of `fromMs` up to, not with, the one of `untilMs`; all of them. `label`: only labels that begin so. */
  series(name: StatisticName, window: Window, label?: string): readonly Bucket[];
  totals(name: StatisticName, window: Window, label?: string): Readonly<Record<string, number>>;
  latency(name: 'delivery' | 'attempts', window: Window): { readonly total: Omit<LatencyBucket, 'atMs'>; readonly buckets: readonly LatencyBucket[] };
  close(): void;
};

/** More than anybody can look at. */
export const MAX_BUCKETS = 1500;
const SHARES = [0.5, 0.9, 0.99] as const;
const CACHE_BYTES = 2 * 1024 * 1024;

export function secondsOf(span: SpanName): number {
  return SPANS.find(({ name }) => name === span)?.seconds ?? 60;
}

export function openStatistics(path: string): StatisticsReader {
  const database = openDatabase(path, HISTORY_MIGRATIONS, { synchronous: 'NORMAL', readOnly: true, cacheBytes: CACHE_BYTES });
  // A label goes up to the last one that begins so.
  const rows = database.prepare('SELECT at, label, value FROM statistic WHERE span = ? AND name = ? AND at >= ? AND at < ? AND label >= ? AND label < ? ORDER BY at');
  const read = (name: StatisticName, { span, fromMs, untilMs }: Window, label = ''): { at: number; label: string; value: number }[] => {
    const seconds = secondsOf(span);
    return rows.all(seconds, name, floor(fromMs, seconds), Math.ceil(untilMs / 1000 / seconds) * seconds, label, `${label}\u{10FFFF}`) as {
      at: number;
      label: string;
      value: number;
    }[];
  };
  const grouped = (name: StatisticName, window: Window, label?: string): { readonly atMs: number; readonly counts: Map<string, number> }[] => {
    const seconds = secondsOf(window.span);
    const buckets = new Map<number, Map<string, number>>();
    for (let at = floor(window.fromMs, seconds); at * 1000 < window.untilMs && buckets.size < MAX_BUCKETS; at += seconds) buckets.set(at, new Map());
    for (const row of read(name, window, label)) buckets.get(row.at)?.set(row.label.slice((label ?? '').length), row.value);
    return [...buckets].map(([at, counts]) => ({ atMs: at * 1000, counts }));
  };
  return {
    series: (name, window, label) => grouped(name, window, label).map(({ atMs, counts }) => ({ atMs, counts: Object.fromEntries(counts) })),
    totals(name, window, label = '') {
      const sums = new Map<string, number>();
      for (const row of read(name, window, label)) add(sums, row.label.slice(label.length), row.value);
      return Object.fromEntries(sums);
    },
    latency(name, window) {
      const all = new Map<string, number>();
      const buckets = grouped(name, window).map(({ atMs, counts }) => {
        for (const [label, value] of counts) add(all, label, value);
        return { atMs, ...summary(counts) };
      });
      return { total: summary(all), buckets };
    },
    close: () => database.close(),
  };
}

function summary(counts: ReadonlyMap<string, number>): Omit<LatencyBucket, 'atMs'> {
  const [p50Ms = null, p90Ms = null, p99Ms = null] = percentiles(counts, SHARES);
  return { count: [...counts.values()].reduce((sum, value) => sum + value, 0), p50Ms, p90Ms, p99Ms };
}

function add(sums: Map<string, number>, label: string, by: number): void {
  sums.set(label, (sums.get(label) ?? 0) + by);
}

function floor(ms: number, seconds: number): number {
  return Math.floor(ms / 1000 / seconds) * seconds;
}
