// When to try again: for any policy, any attempt and any chance.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { backOffMs, isExpired, isWarningDue, nextAttemptAtMs } from '#queue/schedule.ts';
import type { RetryPolicy } from '#queue/schedule.ts';

const policy = fc
  .record({
    firstMs: fc.integer({ min: 100, max: 86_400_000 }),
    factor: fc.double({ min: 1, max: 10, noNaN: true }),
    more: fc.integer({ min: 0, max: 7 * 86_400_000 }),
    jitter: fc.double({ min: 0, max: 0.9, noNaN: true }),
  })
  .map(({ firstMs, factor, more, jitter }): RetryPolicy => ({ maxAgeMs: 345_600_000, delayWarningMs: null, firstMs, factor, maxMs: firstMs + more, jitter }));
const chance = fc.double({ min: 0, max: 1, noNaN: true });
const attempts = fc.integer({ min: 0, max: 10_000 });

describe('the pause after an attempt', () => {
  it('is within its bounds, a whole number, and never less than a millisecond', () => {
    fc.assert(
      fc.property(policy, attempts, chance, (rules, n, random) => {
        const delayMs = backOffMs(rules, n, random);
        assert.ok(Number.isInteger(delayMs) && delayMs >= 1);
        assert.ok(delayMs <= rules.maxMs * (1 + rules.jitter) + 1, String(delayMs));
        assert.ok(delayMs >= rules.firstMs * (1 - rules.jitter) - 1, String(delayMs));
      }),
      { numRuns: 2000 },
    );
  });

  it('does not get shorter with more attempts, by the same chance', () => {
    fc.assert(
      fc.property(policy, attempts, fc.integer({ min: 1, max: 50 }), chance, (rules, n, more, random) => {
        assert.ok(backOffMs(rules, n + more, random) >= backOffMs(rules, n, random));
      }),
      { numRuns: 2000 },
    );
  });

  it('chance spreads it evenly to both sides; without jitter there is none', () => {
    fc.assert(
      fc.property(policy, attempts, chance, (rules, n, random) => {
        const middle = backOffMs(rules, n, 0.5);
        assert.ok(Math.abs(backOffMs(rules, n, random) + backOffMs(rules, n, 1 - random) - 2 * middle) <= 2);
        assert.equal(backOffMs({ ...rules, jitter: 0 }, n, random), backOffMs({ ...rules, jitter: 0 }, n, 0.5));
      }),
    );
  });

  it('the defaults: 1, 2, 4 ... minutes, at most an hour', () => {
    const rules: RetryPolicy = { maxAgeMs: 345_600_000, delayWarningMs: 14_400_000, firstMs: 60_000, factor: 2, maxMs: 3_600_000, jitter: 0.2 };
    assert.deepEqual(
      [1, 2, 3, 4, 5, 6, 7, 8, 100].map((n) => backOffMs(rules, n, 0.5) / 60_000),
      [1, 2, 4, 8, 16, 32, 60, 60, 60],
    );
    assert.deepEqual([backOffMs(rules, 1, 0), backOffMs(rules, 1, 1)], [48_000, 72_000]);
  });
});

describe('the next attempt', () => {
  it('lies ahead, and not behind the end unless the end is past', () => {
    fc.assert(
      fc.property(policy, attempts, chance, fc.integer({ min: 0, max: 2 ** 41 }), fc.integer({ min: -1e9, max: 1e9 }), (rules, n, random, nowMs, leftMs) => {
        const expiresAtMs = nowMs + leftMs;
        const atMs = nextAttemptAtMs(rules, { attempts: n, expiresAtMs, nowMs, random });
        assert.ok(atMs > nowMs);
        assert.ok(atMs <= Math.max(expiresAtMs, nowMs + 1));
        // Whoever comes then finds it expired, or has an attempt left.
        if (atMs >= expiresAtMs) assert.ok(isExpired(expiresAtMs, atMs));
      }),
      { numRuns: 2000 },
    );
  });

  it('a warning is due from its time on, once, and never without a time', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), (warnAtMs, nowMs) => {
        assert.equal(isWarningDue({ warned: false }, warnAtMs, nowMs), nowMs >= warnAtMs);
        assert.equal(isWarningDue({ warned: true }, warnAtMs, nowMs), false);
        assert.equal(isWarningDue({ warned: false }, null, nowMs), false);
      }),
    );
  });
});
