// Time as a parameter, so that tests can play it. Everything that waits, expires or stamps takes a Clock.

/** Cancels a pending timer; calling it twice is harmless. */
export type Cancel = () => void;

export type Clock = {
  /** Milliseconds since the epoch. */
  nowMs(): number;
  /** Runs `fn` once after `delayMs`; does not keep the process alive. */
  after(delayMs: number, fn: () => void): Cancel;
};

/** The machine's clock. Delays past Node's 31-bit limit are cut to it (24 days). */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  after(delayMs, fn) {
    const timer = setTimeout(fn, Math.min(Math.max(delayMs, 0), 0x7fffffff));
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** Resolves after `delayMs`, or at once when `signal` aborts. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = (): void => {
      cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const cancel = clock.after(delayMs, done);
    signal?.addEventListener('abort', done, { once: true });
  });
}
