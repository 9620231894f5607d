// Token buckets in bounded memory: how often a key may come, and how long it has to wait when it came too often. Whoever was not seen for
// longest is forgotten first; a bucket that is forgotten was full again, or belongs to one of very many.

import type { Clock } from '#base/clock.ts';

export type Rate = { readonly perSecond: number; readonly burst: number };

export type Rates = { /** 0: go on; else how many milliseconds until the next one may pass. */ take(key: string, rate: Rate): number };

const MAX_KEYS = 20_000;

export function openRates(clock: Pick<Clock, 'nowMs'>): Rates {
  const buckets = new Map<string, { left: number; atMs: number }>();
  return {
    take(key, { perSecond, burst }) {
      const nowMs = clock.nowMs();
      const before = buckets.get(key);
      buckets.delete(key);
      const elapsedMs = before === undefined ? 0 : Math.max(0, nowMs - before.atMs);
      const left = before === undefined ? burst : Math.min(burst, before.left + (elapsedMs * perSecond) / 1000);
      const passes = left >= 1;
      buckets.set(key, { left: passes ? left - 1 : left, atMs: nowMs });
      if (buckets.size > MAX_KEYS) for (const oldest of buckets.keys()) if (buckets.delete(oldest)) break;
      return passes ? 0 : Math.ceil(((1 - left) * 1000) / perSecond);
    },
  };
}
