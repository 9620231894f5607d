// How hard a site may be pushed at present: its back-off, the single probe after it, and how many connections it bears. A small state
// machine without sockets or jobs; the lane asks it and tells it what happened. RFC 5321 4.5.4.1.

import type { Clock } from '#base/clock.ts';
import type { Outcome } from '#queue/records.ts';
import { backOffMs } from '#queue/schedule.ts';
import type { RetryPolicy } from '#queue/schedule.ts';
import { speaksOfSite } from './outcome.ts';

export type PaceParts = { readonly clock: Clock; readonly schedule: () => RetryPolicy; readonly random: () => number };

/** So many deferrals in a row, and nothing taken between them, say that the site takes nothing at present. */
const DEFERRALS_IN_A_ROW = 50;
/** While a lane comes back from a back-off one refusal is enough. */
const PROBE_DEFERRALS = 1;
/** More connections are not asked for right after one was refused, or after the site said that we are too fast. */
const GROWTH_PAUSE_MS = 10_000;

export class Pace {
  readonly #parts: PaceParts;
  #failures = 0;
  #deferrals = 0;
  #probing = false;
  #backOffUntilMs = 0;
  #growthPausedUntilMs = 0;
  #ceiling = Infinity;

  constructor(parts: PaceParts) {
    this.#parts = parts;
  }

  /** Coming back from a back-off: one job at a time, until one is taken. */
  get probing(): boolean {
    return this.#probing;
  }
  get backOffUntilMs(): number {
    return this.#backOffUntilMs;
  }
  get backedOff(): boolean {
    return this.#backOffUntilMs > this.#parts.clock.nowMs();
  }
  get growthPaused(): boolean {
    return this.#growthPausedUntilMs > this.#parts.clock.nowMs();
  }
  /** Back-offs in a row. */
  get failures(): number {
    return this.#failures;
  }

  /** How many connections may be open where `limit` are allowed; one more each time a pause has passed. */
  connections(limit: number): number {
    if (this.#ceiling < limit && !this.growthPaused) {
      this.#ceiling++;
      this.#growthPausedUntilMs = this.#parts.clock.nowMs() + GROWTH_PAUSE_MS;
    }
    return Math.min(limit, this.#ceiling);
  }

  /** The site took something. True when that ends the probing. */
  taken(): boolean {
    this.#deferrals = 0;
    this.#failures = 0;
    const probed = this.#probing;
    this.#probing = false;
    return probed;
  }

  /** The site put something off while `open` connections stood; true when it is to be left alone now. */
  deferred(outcome: Outcome, open: number): boolean {
    if (!speaksOfSite(outcome)) return false;
    if (outcome.class === 'rate-limited') this.tooFast(open);
    // What was under way when the back-off began tells nothing new.
    if (this.backedOff) return false;
    return ++this.#deferrals >= (this.#probing ? PROBE_DEFERRALS : DEFERRALS_IN_A_ROW);
  }

  /** Too many connections or messages for the site: half of what is open, then slowly more. */
  tooFast(open: number): void {
    if (this.growthPaused && this.#ceiling !== Infinity) return;
    this.#ceiling = Math.max(1, Math.floor(open / 2));
    this.pauseGrowth();
  }

  pauseGrowth(): void {
    this.#growthPausedUntilMs = this.#parts.clock.nowMs() + GROWTH_PAUSE_MS;
  }

  /** Leaves the site alone; returns until when. */
  backOff(): number {
    const { clock, schedule, random } = this.#parts;
    this.#failures++;
    this.#deferrals = 0;
    this.#probing = true;
    this.#backOffUntilMs = clock.nowMs() + backOffMs(schedule(), this.#failures, random());
    return this.#backOffUntilMs;
  }

  /** Its time has come, or an operator said so. */
  resume(): void {
    this.#backOffUntilMs = 0;
  }
}
