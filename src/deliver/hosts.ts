// What is remembered of mail hosts: those that lately failed while another one of their site worked come last for a while, so that a dead
// first host is not waited for at every connection. Decides nothing about mail. RFC 5321 5.1 leaves the order among reachable hosts to us.

import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';

export type HostAddress = { readonly host: string; readonly address: string; readonly port: number };

const AVOID_MS = 5 * 60_000;
/** So many messages in a row that this host put off and another one of its site took. */
const MISSES = 5;
const MAX_HOSTS = 10_000;

/** The memory of one worker, bounded: the oldest entry goes first. */
export class HostMemory {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #untilMs = new Map<string, number>();
  readonly #misses = new Map<string, number>();

  constructor(parts: { readonly clock: Clock; readonly log: Log }) {
    this.#clock = parts.clock;
    this.#log = parts.log;
  }

  isAvoided(of: HostAddress): boolean {
    return this.#untilMs.size > 0 && (this.#untilMs.get(keyOf(of)) ?? 0) > this.#clock.nowMs();
  }

  /** Others come before this one for five minutes. */
  avoid(of: HostAddress, cause: string): void {
    if (this.isAvoided(of)) return;
    const untilMs = this.#clock.nowMs() + AVOID_MS;
    setBounded(this.#untilMs, keyOf(of), untilMs);
    this.#log.warn('delivery.host-avoided', {
      host: of.host,
      address: of.address,
      port: of.port,
      until: new Date(untilMs).toISOString(),
      cause,
      fix: 'Other hosts of the domain take its mail; it is tried again by itself. Whoever runs the host should look at it.',
    });
  }

  /** It put off what another host of its site took: at the fifth time in a row the others come first. */
  missed(of: HostAddress, cause: string): void {
    const misses = (this.#misses.get(keyOf(of)) ?? 0) + 1;
    setBounded(this.#misses, keyOf(of), misses);
    if (misses >= MISSES) this.avoid(of, cause);
  }

  /** It does its work. */
  worked(of: HostAddress): void {
    if (this.#untilMs.size > 0) this.#untilMs.delete(keyOf(of));
    if (this.#misses.size > 0) this.#misses.delete(keyOf(of));
  }
}

function setBounded(map: Map<string, number>, key: string, value: number): void {
  map.delete(key);
  map.set(key, value);
  const oldest = map.keys().next().value;
  if (map.size > MAX_HOSTS && oldest !== undefined) map.delete(oldest);
}

function keyOf({ address, port }: HostAddress): string {
  return `${address} ${port}`;
}
