// How many outbound connections there may be: to one site over all workers, and of this worker over all sites. Knows no sockets.

import type { Counters } from '#base/counters.ts';
import type { LaneName } from '#queue/records.ts';

export type PlaceLimits = { readonly perSite: number; readonly perWorker: number };

/** The places of one worker. */
export class Places {
  readonly #counters: Counters;
  #taken = 0;

  constructor(counters: Counters) {
    this.#counters = counters;
  }

  get taken(): number {
    return this.#taken;
  }

  /** One connection more to this site, if there may be one. */
  take(site: LaneName, { perSite, perWorker }: PlaceLimits): boolean {
    if (this.#taken >= perWorker) return false;
    if (this.#counters.add(keyOf(site), 1) > perSite) {
      this.#counters.add(keyOf(site), -1);
      return false;
    }
    this.#taken++;
    return true;
  }

  leave(site: LaneName): void {
    this.#counters.add(keyOf(site), -1);
    this.#taken--;
  }
}

function keyOf(site: LaneName): string {
  return `lane:${site}`;
}
