// Memory that large requests share: what is in work at once is bounded, whoever finds no room is told to come again. Small requests always find
// room.

import { ProblemError } from './problem.ts';

export type Memory = { /** Throws ProblemError 503 when so much is not free. */ take(bytes: number): { release(): void } };

const SMALL_BYTES = 64 * 1024;

export function openMemory(limitBytes: number): Memory {
  let taken = 0;
  return {
    take(bytes) {
      if (bytes > SMALL_BYTES && taken > 0 && taken + bytes > limitBytes) {
        throw new ProblemError({
          status: 503,
          title: 'Busy',
          code: 'busy',
          cause: 'Large requests are in work, and there is no memory for another one just now.',
          fix: 'Send it again in some seconds (Retry-After), and fewer of them at once.',
          headers: { 'retry-after': '2' },
        });
      }
      taken += bytes;
      let released = false;
      return {
        release() {
          if (!released) taken -= bytes;
          released = true;
        },
      };
    },
  };
}
