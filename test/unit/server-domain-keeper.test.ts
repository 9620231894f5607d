// When the keeper looks at the DNS of which domain, with a clock that is played.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import type { DomainCheck } from '#http/views/domain.ts';
import { keepDomains } from '#server/domain-keeper.ts';
import type { Domain } from '#store/directory.ts';
import type { DomainKey } from '#store/domain-keys.ts';

const HOUR_MS = 3_600_000;

function domain(name: string, overrides: Partial<Domain> = {}): Domain {
  return { name, inbound: false, project: null, createdAtMs: 0, returnPath: 'bounce', returnPathVerifiedAtMs: null, checkedAtMs: null, statuses: {}, ...overrides };
}

/** Rounds are played one by one; `checked` are the names that were looked at in the last one. */
function bench(domains: Domain[], options: { next?: string; everyMs?: number | null; fails?: string } = {}) {
  const state = { nowMs: 10 * HOUR_MS, timers: [] as (() => void)[], checked: [] as string[] };
  const clock: Clock = {
    nowMs: () => state.nowMs,
    after(_delayMs, fn) {
      state.timers.push(fn);
      return () => void (state.timers = state.timers.filter((one) => one !== fn));
    },
  };
  const keeper = keepDomains({
    clock,
    log: silentLog,
    everyMs: () => (options.everyMs === undefined ? 6 * HOUR_MS : options.everyMs),
    keys: { domainKeys: async () => (options.next === undefined ? [] : [{ domain: options.next, state: 'next' } as DomainKey]) },
    domains: {
      list: async () => domains,
      async check(name) {
        state.checked.push(name);
        if (name === options.fails) throw new Error('broken');
        return null as DomainCheck | null;
      },
    },
  });
  return {
    keeper,
    timers: () => state.timers.length,
    async round(): Promise<string[]> {
      state.checked = [];
      const [timer] = state.timers.splice(0);
      timer?.();
      for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
      return state.checked;
    },
  };
}

const right = { 'TXT a': 'right' };

test('what waits for its records is looked at in every round, what is right when its time has come', async () => {
  const { round } = bench(
    [
      domain('new.example'),
      domain('broken.example', { checkedAtMs: 10 * HOUR_MS, statuses: { ...right, 'TXT b': 'missing' } }),
      domain('fine.example', { checkedAtMs: 9 * HOUR_MS, statuses: right }),
      domain('due.example', { checkedAtMs: 3 * HOUR_MS, statuses: right }),
      domain('rotating.example', { checkedAtMs: 10 * HOUR_MS, statuses: right }),
    ],
    { next: 'rotating.example' },
  );
  assert.deepEqual(await round(), ['new.example', 'broken.example', 'due.example', 'rotating.example']);
  assert.equal((await round()).length, 4, 'and so again');
});

test('one that fails takes no other down; "off" looks at none; after the end there is no round', async () => {
  const failing = bench([domain('a.example'), domain('b.example')], { fails: 'a.example' });
  assert.deepEqual(await failing.round(), ['a.example', 'b.example']);
  assert.equal(failing.timers(), 1);
  assert.deepEqual(await bench([domain('a.example')], { everyMs: null }).round(), []);
  failing.keeper.stop();
  assert.equal(failing.timers(), 0);
  assert.deepEqual(await failing.round(), []);
});
