import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { createCounters, openCounters } from '#base/counters.ts';
import { idTimeMs, openMessageIds } from '#base/id.ts';

test('counts add up over threads and a dead thread is forgotten', () => {
  const memory = createCounters({ slots: 64, threads: 3 });
  const one = openCounters(memory, 0);
  const two = openCounters(memory, 1);
  assert.equal(one.add('address:192.0.2.1', 1), 1);
  assert.equal(two.add('address:192.0.2.1', 2), 3);
  assert.equal(one.get('address:192.0.2.1'), 3);
  assert.equal(one.get('address:192.0.2.2'), 0);
  two.forget(1);
  assert.equal(one.get('address:192.0.2.1'), 1);
  assert.equal(one.add('address:192.0.2.1', -5), 0, 'never below zero');
});

test('two threads counting at once lose nothing', async () => {
  const memory = createCounters({ threads: 4 });
  const source = `
    const { workerData } = require('node:worker_threads');
    import(workerData.module).then(({ openCounters }) => {
      const counters = openCounters(workerData.memory, workerData.thread);
      for (let i = 0; i < 50_000; i++) counters.add('shared', 1);
    });`;
  const module = new URL('../../src/base/counters.ts', import.meta.url).href;
  const workers = [1, 2].map((thread) => new Worker(source, { eval: true, workerData: { memory, thread, module } }));
  await Promise.all(workers.map((worker) => new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject))));
  assert.equal(openCounters(memory, 0).get('shared'), 100_000);
});

test('a token bucket refills with time and not beyond its burst', () => {
  const counters = openCounters(createCounters({ threads: 1 }), 0);
  const rate = { perMs: 2 / 1000, burst: 3, cost: 1 };
  const takes = (nowMs: number): boolean => counters.take('rate:a', { ...rate, nowMs });
  assert.deepEqual([takes(1), takes(1), takes(1), takes(1)], [true, true, true, false]);
  assert.deepEqual([takes(501), takes(501)], [true, false], 'half a second brings one');
  assert.deepEqual([takes(90_000), takes(90_000), takes(90_000), takes(90_000)], [true, true, true, false]);
});

test('more keys than slots: memory stays, held counts stay', () => {
  const counters = openCounters(createCounters({ slots: 64, threads: 1 }), 0);
  counters.add('held', 7);
  for (let i = 0; i < 10_000; i++) {
    counters.add(`passing:${i}`, 1);
    counters.add(`passing:${i}`, -1);
  }
  assert.equal(counters.get('held'), 7);
});

test('ids sort by time, differ, and tell their time', () => {
  const next = openMessageIds();
  const nowMs = Date.UTC(2026, 10, 24);
  const ids = Array.from({ length: 5000 }, () => next(nowMs));
  assert.equal(new Set(ids).size, ids.length);
  assert.ok(ids.every((id) => id.length === 16 && idTimeMs(id) === nowMs));
  assert.ok(next(nowMs + 1) > (ids.toSorted().at(-1) as string));
  assert.equal(idTimeMs('not an id'), null);
});
