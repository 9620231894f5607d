// How many outbound connections there may be: to one site over all workers, and of this worker over all sites. When there are no more, a
// connection that only waits for its next message gives way to a site that has some, and so does one whose site has not answered for long.
// Knows no sockets.

import type { Clock } from '#base/clock.ts';
import type { Counters } from '#base/counters.ts';

export type PlaceLimits = { readonly perSite: number; readonly perWorker: number };

/** One connection's place. */
export type Place = {
  /** The site answers. Those that have not yet get half of the places at most, so that silent ones do not use up all. */
  prove(): void;
  /** Aborts while the site has not answered and others want the place. */
  readonly signal: AbortSignal;
  leave(): void;
};

/** A site that has not answered in this time has to give way, if somebody waits. */
const SILENT_MS = 10_000;

type Unproven = { readonly sinceMs: number; readonly abort: AbortController };

/** The places of one worker. */
export class Places {
  readonly #counters: Counters;
  readonly #clock: Clock;
  #taken = 0;
  /** The oldest first. */
  readonly #unproven = new Set<Unproven>();
  /** How to end the connections that wait, the longest first. */
  readonly #waiting = new Set<() => void>();
  /** Told once when a place is free. */
  readonly #hungry = new Set<() => void>();

  constructor(parts: { readonly counters: Counters; readonly clock: Clock }) {
    this.#counters = parts.counters;
    this.#clock = parts.clock;
  }

  get taken(): number {
    return this.#taken;
  }

  /** A place for one connection more to this site, if there may be one. `proven`: other connections to it stand. */
  take(site: string, { perSite, perWorker, proven }: PlaceLimits & { readonly proven: boolean }): Place | null {
    const silent = !proven && this.#unproven.size >= Math.max(1, Math.floor(perWorker / 2));
    if (this.#taken >= perWorker || silent) {
      if (silent || !this.#endWaiting()) this.#endSilent();
      return null;
    }
    const key = `lane:${site}`;
    if (this.#counters.add(key, 1) > perSite) {
      this.#counters.add(key, -1);
      return null;
    }
    this.#taken++;
    const own: Unproven = { sinceMs: this.#clock.nowMs(), abort: new AbortController() };
    if (!proven) this.#unproven.add(own);
    return {
      prove: () => this.#unproven.delete(own),
      signal: own.abort.signal,
      leave: () => {
        this.#unproven.delete(own);
        this.#counters.add(key, -1);
        this.#taken--;
        const [next] = this.#hungry;
        if (next === undefined) return;
        this.#hungry.delete(next);
        next();
      },
    };
  }

  /** Calls `grow` when a place has become free; once. */
  whenFree(grow: () => void): void {
    this.#hungry.add(grow);
  }

  forget(grow: () => void): void {
    this.#hungry.delete(grow);
  }

  /** A connection waits for its next message: `end` may be called to have its place. Returns how to say that it no longer waits. */
  waits(end: () => void): () => void {
    this.#waiting.add(end);
    return () => this.#waiting.delete(end);
  }

  #endWaiting(): boolean {
    const [end] = this.#waiting;
    if (end === undefined) return false;
    this.#waiting.delete(end);
    end();
    return true;
  }

  #endSilent(): void {
    const [oldest] = this.#unproven;
    if (oldest !== undefined && oldest.sinceMs + SILENT_MS <= this.#clock.nowMs()) oldest.abort.abort();
  }
}
