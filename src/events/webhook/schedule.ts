// When what failed is tried again: each event by its own schedule, over four days; the webhook as a whole rests while everything fails, so that one that is
// down is asked now and then, and not by each event. Pure.

const S = 1000;
const MIN = 60 * S;
const HOUR = 60 * MIN;

/** After the first attempt, the second, and so on; after the last one the event is given up. */
export const RETRY_MS: readonly number[] = [5 * S, MIN, 5 * MIN, 30 * MIN, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR, 24 * HOUR];

/** Nothing but failures for so long: the webhook is disabled. */
export const DISABLE_AFTER_MS = 4 * 24 * HOUR;

/** Failures in a row after which the webhook rests between attempts. */
export const RESTS_AFTER = 5;
const LONGEST_REST_MS = 10 * MIN;
const JITTER = 0.1;

/** null: that was the last. `random` from 0 to 1. */
export function nextAttemptMs(attempts: number, random: number): number | null {
  const ms = RETRY_MS[attempts - 1];
  return ms === undefined ? null : Math.round(ms * (1 + JITTER * (2 * random - 1)));
}

export function restMs(failures: number): number {
  return failures < RESTS_AFTER ? 0 : Math.min(LONGEST_REST_MS, 5 * S * 2 ** (failures - RESTS_AFTER));
}
