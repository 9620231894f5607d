// Looks at the DNS of every domain from time to time, so that keys are used once they are published and broken records are told of before
// receivers tell. Decides only when; what a look changes is the service's matter.

import type { Cancel, Clock } from '#base/clock.ts';
import { errorText } from '#base/failure.ts';
import type { Log } from '#base/log.ts';
import type { DomainService } from '#http/views/domain.ts';
import type { Domain } from '#store/directory.ts';
import type { DomainKeyReader } from '#store/domain-keys.ts';

export type DomainKeeperParts = {
  readonly domains: Pick<DomainService, 'list' | 'check'>;
  readonly keys: DomainKeyReader;
  /** Null: never. */
  readonly everyMs: () => number | null;
  readonly clock: Clock;
  readonly log: Log;
};

/** How often it is looked whose turn it is; a domain that waits for its records is looked at each time. */
const ROUND_MS = 5 * 60_000;

/** Begins after the first pause; ends with `stop`. */
export function keepDomains(parts: DomainKeeperParts): { stop(): void } {
  const { clock, log } = parts;
  let cancel: Cancel = () => {};
  let stopped = false;
  const next = (): void => {
    if (stopped) return;
    cancel = clock.after(ROUND_MS, () => {
      round(parts, () => stopped)
        .catch((error: unknown) => log.error('domain.not-checked', { cause: errorText(error) }))
        .finally(next);
    });
  };
  next();
  return {
    stop() {
      stopped = true;
      cancel();
    },
  };
}

async function round({ domains, keys, everyMs, clock, log }: DomainKeeperParts, stopped: () => boolean): Promise<void> {
  const every = everyMs();
  if (every === null) return;
  const waiting = new Set((await keys.domainKeys()).filter((key) => key.state === 'next').map((key) => key.domain));
  for (const domain of await domains.list()) {
    if (stopped()) return;
    if (!isDue(domain, { every, nowMs: clock.nowMs(), waiting: waiting.has(domain.name) })) continue;
    try {
      await domains.check(domain.name);
    } catch (error) {
      log.error('domain.not-checked', { domain: domain.name, cause: errorText(error) });
    }
  }
}

/** One that waits (for its first records, or for new keys) is looked at in every round; one that is right now and then. */
function isDue(domain: Domain, { every, nowMs, waiting }: { every: number; nowMs: number; waiting: boolean }): boolean {
  const statuses = Object.values(domain.statuses);
  const right = statuses.length > 0 && statuses.every((status) => status === 'right');
  return waiting || !right || domain.checkedAtMs === null || nowMs - domain.checkedAtMs >= every;
}
