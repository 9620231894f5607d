// News for those who listen: whether anything happened since, found out by a counter in shared memory that the store moves with each commit. When nobody listens
// nothing is asked and nothing is read. Everyone reads the log from where they are, so that whoever is slow costs no memory.

import { systemClock } from '#base/clock.ts';
import { errorText } from '#base/failure.ts';
import type { Log } from '#base/log.ts';

export type Watch = {
  /** Resolves once something has happened since the last call (the history has it then), or when `signal` aborts. */
  next(signal: AbortSignal): Promise<void>;
  end(): void;
};

export type Feed = {
  /** Begins to watch; what happened before is in the history once this resolves. */
  watch(): Promise<Watch>;
};

export type FeedParts = {
  /** Moved by each commit that changes a message's fate. */
  readonly tide: Int32Array;
  /** Resolves when the history has all that has happened. */
  readonly flush: () => Promise<void>;
  readonly log: Log;
};

const LOOK_MS = 100;

export function openFeed({ tide, flush, log }: FeedParts): Feed {
  const listeners = new Set<() => void>();
  let seen = 0;
  let looking = false;

  async function look(): Promise<void> {
    const now = Atomics.load(tide, 0);
    if (now !== seen) {
      try {
        await flush();
        seen = now;
        for (const listener of listeners) listener();
      } catch (error) {
        log.warn('events.not-read', { cause: errorText(error) });
      }
    }
    looking = listeners.size > 0;
    if (looking) systemClock.after(LOOK_MS, () => void look());
  }

  return {
    async watch() {
      let news = false;
      let wake = (): void => {};
      const listener = (): void => {
        news = true;
        wake();
      };
      listeners.add(listener);
      if (!looking) {
        looking = true;
        seen = Atomics.load(tide, 0);
        systemClock.after(LOOK_MS, () => void look());
      }
      await flush();
      return {
        async next(signal) {
          if (!news && !signal.aborted) {
            await new Promise<void>((resolve) => {
              // The signal outlives thousands of these.
              wake = (): void => {
                signal.removeEventListener('abort', wake);
                resolve();
              };
              signal.addEventListener('abort', wake, { once: true });
            });
          }
          wake = () => {};
          news = false;
        },
        end: () => void listeners.delete(listener),
      };
    },
  };
}
