// The grain of the statistics: how long a bucket is, how long it is kept, and the steps in which spans of time are counted, so that percentiles can be told.

const DAY_MS = 86_400_000;

export type SpanName = 'minute' | 'hour' | 'day';

export const SPANS: readonly { readonly name: SpanName; readonly seconds: number; readonly keepMs: number }[] = [
  { name: 'minute', seconds: 60, keepMs: 3 * DAY_MS },
  { name: 'hour', seconds: 3600, keepMs: 120 * DAY_MS },
  { name: 'day', seconds: 86_400, keepMs: 10 * 366 * DAY_MS },
];

/** Steps to the double: a percentile is told to within 10 %. */
const STEPS = 4;

/** The step a span of time falls into, as a label. */
export function latencyLabel(ms: number): string {
  return String(Math.max(0, Math.ceil(Math.log2(Math.max(1, ms)) * STEPS)));
}

/** The upper end of a step. */
function upperMs(label: string): number {
  return 2 ** (Number(label) / STEPS);
}

/** The spans of time that these shares of all counted ones stayed below; null without any. */
export function percentiles(counts: ReadonlyMap<string, number>, shares: readonly number[]): (number | null)[] {
  const steps = [...counts].toSorted(([a], [b]) => Number(a) - Number(b));
  const total = steps.reduce((sum, [, count]) => sum + count, 0);
  return shares.map((share) => {
    if (total === 0) return null;
    let seen = 0;
    for (const [label, count] of steps) {
      seen += count;
      if (seen >= share * total) return Math.round(upperMs(label) * 10) / 10;
    }
    return null;
  });
}
