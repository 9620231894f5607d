// The suppression list as the main thread and the workers have it: questions to the store thread, and the sieve that answers nearly all of the
// workers' without one.

import { openSieve } from '#base/sieve.ts';
import { EVERYBODY, addressKey, sieveKey } from '#queue/suppression.ts';
import type { Suppression, SuppressionReader, Suppressions } from '#queue/suppression.ts';
import type { QueueClient } from './sqlite/client.ts';

export function suppressionsOf(queue: QueueClient): Suppressions {
  return {
    list: (filter) => queue.call({ verb: 'suppressions', filter }) as ReturnType<Suppressions['list']>,
    add: async (entries) => ({ added: (await queue.call({ verb: 'suppress', entries })) as number }),
    remove: async (address, senderDomains) => ({ removed: (await queue.call({ verb: 'unsuppress', address, senderDomains })) as number }),
  };
}

/** The worker's side: almost every address is told by the sieve to be free, without a question to the store thread. */
export function openSuppressionReader(memory: SharedArrayBuffer, queue: Pick<QueueClient, 'call'>): SuppressionReader {
  const sieve = openSieve(memory);
  return {
    find(to, from) {
      const address = addressKey(to);
      const domains = from === null ? [EVERYBODY] : [from.domain, EVERYBODY];
      if (!domains.some((domain) => sieve.mayHold(sieveKey(address, domain)))) return null;
      return queue.call({ verb: 'suppressed', address, senderDomains: domains }) as Promise<Suppression | null>;
    },
  };
}
