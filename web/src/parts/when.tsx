// Points in time as distance from now, which goes on by itself; the exact time is the title.

import { useSyncExternalStore } from 'react';
import type { ReactNode } from 'react';
import { ago, dateTime } from '#web/base/text.ts';

const TICK_MS = 5_000;
let nowMs = Date.now();
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => {
    nowMs = Date.now();
    for (const each of listeners) each();
  }, TICK_MS);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

/** Now, to within a few seconds; one clock for the whole page. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => nowMs);
}

export function When({ at }: { readonly at: string | null }): ReactNode {
  const now = useNow();
  if (at === null) return <span className="text-soft">–</span>;
  return (
    <time dateTime={at} title={dateTime(at)} className="whitespace-nowrap">
      {ago(at, Math.max(now, Date.now() - TICK_MS))}
    </time>
  );
}
