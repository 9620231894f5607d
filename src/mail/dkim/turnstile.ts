// Lets a bounded number of signatures into the thread pool at once; the rest wait in line, and past a bound are turned away. The pool is
// shared with everything else that uses it (files, names), which must not wait behind thousands of signatures.

import { Fifo } from '#base/fifo.ts';

export type Turnstile = {
  /** Runs `work` when it is its turn. Rejects with TurnedAway when too many wait. */
  pass<T>(work: () => Promise<T>): Promise<T>;
  readonly waiting: number;
};

export class TurnedAway extends Error {
  readonly code = 'signing-overloaded';
}

export function openTurnstile(options: { readonly atOnce: number; readonly waiting: number }): Turnstile {
  const line = new Fifo<() => void>();
  let inside = 0;
  const leave = (): void => {
    const next = line.shift();
    // Whoever leaves hands over its place: `inside` does not change.
    if (next === undefined) inside--;
    else next();
  };
  return {
    get waiting() {
      return line.size;
    },
    async pass(work) {
      if (inside < options.atOnce) inside++;
      else if (line.size >= options.waiting) throw new TurnedAway(`more than ${options.waiting} signatures wait for the processors`);
      else await new Promise<void>((enter) => line.push(enter));
      try {
        return await work();
      } finally {
        leave();
      }
    },
  };
}
