// What a settlement does when the store does not take it: the recipients are not lost with their lease.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { openSettler } from '#deliver/settle.ts';
import type { SettlerParts, Verdict } from '#deliver/settle.ts';
import type { Lease, LeasedRecipient, Outcome } from '#queue/records.ts';

const recipient: LeasedRecipient = { n: 3, address: { local: 'a', domain: 'b.test', text: 'a@b.test' }, notify: null, orcpt: null, attempts: 0, warned: true, lastOutcome: null };
const lease = {
  key: 7,
  token: 1,
  envelope: { id: 'x', expiresAtMs: Infinity, warnAtMs: null, acceptedAtMs: 0 },
  lane: 'mx:b.test',
  recipients: [recipient],
  body: null,
} as unknown as Lease;
const delivered: Verdict = { recipient, outcome: { verdict: 'delivered', startedAtMs: 0, durationMs: 0 } as Outcome, dsn: 'none' };

function settlerOn(failure: Error): { settle: () => Promise<void>; back: unknown[]; pending: () => number } {
  const back: unknown[] = [];
  const settler = openSettler({
    queue: {
      async settle() {
        throw failure;
      },
      giveBack: async (leases: readonly Lease[], options?: { nextAtMs?: number }) =>
        void back.push({ key: leases[0]?.key, ns: leases[0]?.recipients.map(({ n }) => n), later: (options?.nextAtMs ?? 0) > Date.now() + 30_000 }),
      body: () => assert.fail(),
    },
    schedule: () => ({ maxAgeMs: 1, delayWarningMs: null, firstMs: 1, factor: 1, maxMs: 1, jitter: 0 }),
    clock: systemClock,
    log: silentLog,
    random: () => 0.5,
  } as unknown as SettlerParts);
  return { settle: () => settler.settle(lease, 'mx:b.test', [delivered]), back, pending: () => settler.pending };
}

test('an outcome that cannot be written: its recipients go back, for later', async () => {
  const { settle, back, pending } = settlerOn(Object.assign(new Error('disk I/O error'), { code: 'store-failed' }));
  await settle();
  assert.deepEqual(back, [{ key: 7, ns: [3], later: true }]);
  assert.equal(pending(), 0);
});

test('a lease that is somebody else’s by now is left to them', async () => {
  const { settle, back } = settlerOn(Object.assign(new Error('lost'), { code: 'lease-lost' }));
  await settle();
  assert.deepEqual(back, []);
});
