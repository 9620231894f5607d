// Return paths as one worker has them: the addresses that delivery gives out, and what intake does with mail that comes back to them.

import { join } from 'node:path';
import { systemClock } from '#base/clock.ts';
import type { Counters } from '#base/counters.ts';
import type { Log } from '#base/log.ts';
import type { Vault } from '#base/vault.ts';
import type { Dispatcher } from '#deliver/dispatcher.ts';
import { openReturns } from '#intake/returned.ts';
import type { Returns } from '#intake/returned.ts';
import type { Signing } from '#mail/dkim/signing.ts';
import { openReturnPaths } from '#mail/identity/verp.ts';
import type { ReturnPaths } from '#mail/identity/verp.ts';
import type { Queue } from '#queue/queue.ts';
import { openHistoryReader } from '#store/history.ts';
import type { MessageDetail } from '#store/history.ts';
import type { QueueClient } from '#store/sqlite/client.ts';
import type { Signatories } from './signatories.ts';

export type WorkerReturns = {
  readonly paths: ReturnPaths;
  /** `dispatcher` takes the notifications that reports bring forth. */
  intake(dispatcher: Pick<Dispatcher, 'take' | 'laneFor'>): Returns;
  close(): void;
};

export type WorkerReturnsParts = {
  readonly dataDir: string;
  readonly hostname: string;
  readonly vault: Vault;
  readonly signatories: Signatories;
  readonly signing: Signing;
  readonly client: QueueClient;
  readonly queue: Queue;
  readonly counters: Counters;
  readonly newId: (nowMs: number) => string;
  /** Domains in whose name forwarded mail leaves: their mailboxes are not return paths, but return paths may be among them. */
  readonly isForwarder: (domain: string) => boolean;
  readonly maxAgeMs: () => number;
  readonly log: Log;
};

export function openWorkerReturns(parts: WorkerReturnsParts): WorkerReturns {
  const { client, queue, counters, hostname, newId, signing, signatories, log } = parts;
  const history = openHistoryReader(join(parts.dataDir, 'history.db'));
  const paths = openReturnPaths(parts.vault.derive('return-path'));
  const look = async (id: string): Promise<MessageDetail | null> => {
    const found = await history.show(id);
    if (found !== null) return found;
    // A report may be quicker than the history is written.
    await client.call({ verb: 'flush' });
    await client.call({ verb: 'find', id: '' });
    return history.show(id);
  };
  return {
    paths,
    intake(dispatcher) {
      const laneFor = (domain: string, mode: 'live' | 'sandbox'): string => dispatcher.laneFor(domain, mode);
      return openReturns({
        paths,
        isBounceDomain: (domain) => signatories.isBounceDomain(domain) || parts.isForwarder(domain),
        history: look,
        notice: () => ({ hostname, newId, laneFor, maxAgeMs: parts.maxAgeMs(), sign: (chunks, nowMs) => signing.signWhole(chunks, nowMs) }),
        queue,
        deliver: (leases) => dispatcher.take(leases),
        counters,
        clock: systemClock,
        log,
      });
    },
    close: () => history.close(),
  };
}
