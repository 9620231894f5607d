// The lanes in the store thread's memory: when each is next due, until when its site is backed off, and whether it is held. Rebuilt from
// the table at start; its size is the number of lanes that wait, never of messages.

import type { LaneName } from '#queue/records.ts';

type Lane = { nextAtMs: number; backOffUntilMs: number; cause: string };

export class Lanes {
  readonly #lanes = new Map<LaneName, Lane>();
  /** Where the last round stopped, so that lanes take turns. */
  #turn = 0;

  get size(): number {
    return this.#lanes.size;
  }

  /** Something of this lane waits until `nextAtMs`. */
  waits(lane: LaneName, nextAtMs: number): void {
    const known = this.#lanes.get(lane);
    if (known === undefined) this.#lanes.set(lane, { nextAtMs, backOffUntilMs: 0, cause: '' });
    else if (nextAtMs < known.nextAtMs) known.nextAtMs = nextAtMs;
  }

  /** What the table says after rows were taken: the earliest that is left, or null for none. */
  corrected(lane: LaneName, nextAtMs: number | null, nowMs: number): void {
    const known = this.#lanes.get(lane);
    if (nextAtMs === null) {
      if (known === undefined) return;
      if (known.backOffUntilMs <= nowMs) this.#lanes.delete(lane);
      else known.nextAtMs = Infinity;
    } else if (known === undefined) this.#lanes.set(lane, { nextAtMs, backOffUntilMs: 0, cause: '' });
    else known.nextAtMs = nextAtMs;
  }

  backOff(lane: LaneName, untilMs: number, cause: string): void {
    const known = this.#lanes.get(lane);
    if (known === undefined) this.#lanes.set(lane, { nextAtMs: Infinity, backOffUntilMs: untilMs, cause });
    else Object.assign(known, { backOffUntilMs: untilMs, cause });
  }

  /** Until when the site is left alone, and why; null: it is not. */
  backedOff(lane: LaneName, nowMs: number): { readonly untilMs: number; readonly cause: string } | null {
    const known = this.#lanes.get(lane);
    return known === undefined || known.backOffUntilMs <= nowMs ? null : { untilMs: known.backOffUntilMs, cause: known.cause };
  }

  backOffUntil(lane: LaneName): number {
    return this.#lanes.get(lane)?.backOffUntilMs ?? 0;
  }

  endBackOff(lane: LaneName): void {
    const known = this.#lanes.get(lane);
    if (known !== undefined) known.backOffUntilMs = 0;
  }

  endBackOffs(): void {
    for (const known of this.#lanes.values()) known.backOffUntilMs = 0;
  }

  /** Lanes due at `nowMs`, beginning after where the last round ended. */
  due(nowMs: number, skip: ReadonlySet<LaneName>): LaneName[] {
    const due: LaneName[] = [];
    for (const [name, lane] of this.#lanes) {
      if (lane.nextAtMs <= nowMs && lane.backOffUntilMs <= nowMs && !skip.has(name)) due.push(name);
    }
    if (due.length < 2) return due;
    this.#turn = (this.#turn + 1) % due.length;
    return [...due.slice(this.#turn), ...due.slice(0, this.#turn)];
  }

  /** When the next lane falls due; Infinity when nothing waits. Forgets lanes that have nothing left to say. */
  nextDueAtMs(nowMs: number): number {
    let earliest = Infinity;
    for (const [name, lane] of this.#lanes) {
      if (lane.nextAtMs === Infinity && lane.backOffUntilMs <= nowMs) this.#lanes.delete(name);
      else earliest = Math.min(earliest, Math.max(lane.nextAtMs, lane.backOffUntilMs));
    }
    return earliest;
  }
}

/** What is on hold, lasting over restarts; new mail is checked against it. */
export type Holds = { readonly all: boolean; readonly lanes: ReadonlySet<string>; readonly domains: ReadonlySet<string>; readonly credentials: ReadonlySet<string> };

export function isHeld(holds: Holds, row: { lane: string; domain: string; credential: string | null }): boolean {
  return holds.all || holds.lanes.has(row.lane) || holds.domains.has(row.domain) || (row.credential !== null && holds.credentials.has(row.credential));
}
