// Answers kept until their time is over: bounded, the least recently used goes first. Knows nothing of DNS but the time to live.
// RFC 2308 5, 7 (negative answers and failures), RFC 8767 is deliberately not done: stale answers hide moved mail hosts.

import type { Clock } from '#base/clock.ts';

export type Cache<T> = {
  /** The value and the seconds it still holds, or null. */
  get(key: string): { readonly value: T; readonly ttlSeconds: number } | null;
  set(key: string, value: T, ttlSeconds: number): void;
  clear(): void;
  readonly size: number;
};

/** A cache of at most `entries` values. */
export function openCache<T>(clock: Clock, entries: number): Cache<T> {
  // A Map iterates in order of insertion: re-inserting on use makes its first key the least recently used.
  const kept = new Map<string, { value: T; expiresAtMs: number }>();
  return {
    get(key) {
      const entry = kept.get(key);
      if (entry === undefined) return null;
      const leftMs = entry.expiresAtMs - clock.nowMs();
      kept.delete(key);
      if (leftMs <= 0) return null;
      kept.set(key, entry);
      return { value: entry.value, ttlSeconds: Math.ceil(leftMs / 1000) };
    },
    set(key, value, ttlSeconds) {
      kept.delete(key);
      for (const oldest of kept.keys()) {
        if (kept.size < entries) break;
        kept.delete(oldest);
      }
      kept.set(key, { value, expiresAtMs: clock.nowMs() + ttlSeconds * 1000 });
    },
    clear: () => kept.clear(),
    get size() {
      return kept.size;
    },
  };
}
