// When a certificate is renewed: in the window that the authority suggests, else before a third of its life is left; and when an order that
// failed is tried again. Pure. RFC 9773 4.2.

import type { RenewalWindow } from './client.ts';

export type Lifetime = { readonly fromMs: number; readonly untilMs: number };

/** The last third; earlier by up to a thirtieth, so that servers of one age do not come together. */
const LEFT = 1 / 3;
const SPREAD = 1 / 30;
/** A suggestion that leaves less than this share of the life is not followed. */
const LEAST_LEFT = 1 / 6;

const FIRST_RETRY_MS = 10 * 60_000;
const MAX_RETRY_MS = 12 * 3_600_000;
const RETRY_JITTER = 0.2;

/** How often an authority is asked for its window when it names no time itself; and the bounds of the time it names (RFC 9773 4.3). */
const WINDOW_MS = 6 * 3_600_000;
const WINDOW_LEAST_MS = 60_000;
const WINDOW_MOST_MS = 86_400_000;

/** `random` is from 0 to below 1. */
export function renewalTime(lifetime: Lifetime, window: RenewalWindow | null, random: number): number {
  const { fromMs, untilMs } = lifetime;
  const lifeMs = untilMs - fromMs;
  if (window !== null && window.endMs <= untilMs - lifeMs * LEAST_LEFT) return Math.round(window.startMs + random * (window.endMs - window.startMs));
  return Math.round(untilMs - lifeMs * LEFT - random * lifeMs * SPREAD);
}

/** After `failures` failures in a row. Authorities count failed validations by the hour, so the first pause is not short. */
export function retryTime(nowMs: number, failures: number, random: number): number {
  const pauseMs = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 20));
  return Math.round(nowMs + pauseMs * (1 + RETRY_JITTER * (2 * random - 1)));
}

/** When the window is asked for again. */
export function windowTime(nowMs: number, retryAtMs: number | null): number {
  if (retryAtMs === null) return nowMs + WINDOW_MS;
  return nowMs + Math.min(WINDOW_MOST_MS, Math.max(WINDOW_LEAST_MS, retryAtMs - nowMs));
}
