// A webhook at work with time, chance and network played: what fails for days, rests, is given up, is disabled; what is too much waits in the log; what is no
// longer there is counted.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Cancel, Clock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { openRunner } from '#events/webhook/runner.ts';
import { DISABLE_AFTER_MS, RETRY_MS, nextAttemptMs, restMs } from '#events/webhook/schedule.ts';
import { openEventLog } from '#store/event-log.ts';
import { History } from '#store/history/writer.ts';
import { toldFrom } from '#store/told.ts';
import { openWebhookQueue } from '#store/webhook-queue.ts';
import type { QueueEvent } from '#queue/records.ts';
import type { Webhook } from '#store/webhooks.ts';
import type { PooledAnswer } from '#tls/https-pool.ts';
import { tellHistory, writeHistory } from '../support/history.ts';
import { atEnd, tempDir, until } from '../support/temp.ts';

const START_MS = Date.parse('2026-11-24T12:00:00Z');
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

/** Time that stands still until it is moved. */
function playedClock(): Clock & { move(ms: number): void } {
  let nowMs = START_MS;
  const timers = new Set<{ readonly atMs: number; readonly fn: () => void }>();
  return {
    nowMs: () => nowMs,
    after(delayMs, fn): Cancel {
      const timer = { atMs: nowMs + delayMs, fn };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    move(ms) {
      nowMs += ms;
      for (const timer of timers) {
        if (timer.atMs > nowMs) continue;
        timers.delete(timer);
        timer.fn();
      }
    },
  };
}

function scene(options: { readonly messages: number; readonly concurrency?: number; readonly answer: (body: string) => PooledAnswer | Promise<PooledAnswer> }) {
  const dir = tempDir('runner');
  const path = join(dir, 'history.db');
  writeHistory(path, tellHistory({ messages: options.messages, fromMs: START_MS - MINUTE_MS, toMs: START_MS }));
  const clock = playedClock();
  const events = openEventLog(path);
  const queue = openWebhookQueue(join(dir, 'webhook.db'), () => clock.nowMs());
  const webhook: Webhook = {
    id: 'wh_1',
    url: 'https://app.test/',
    description: '',
    types: ['message.accepted'],
    project: null,
    concurrency: options.concurrency ?? 4,
    sealed: Buffer.alloc(0),
    createdAtMs: START_MS,
    createdBy: 'test',
    disabledAtMs: null,
    disabledCause: null,
  };
  queue.progress('wh_1', events.oldest());
  const counts = { delivered: 0, failed: 0, 'given-up': 0 };
  const seen = { open: 0, most: 0, bodies: [] as string[], disabled: '' };
  const runner = openRunner({
    webhook,
    secrets: () => [Buffer.alloc(32, 1)],
    pool: {
      async post({ body }) {
        seen.most = Math.max(seen.most, ++seen.open);
        seen.bodies.push(body.toString());
        const answer = await options.answer(body.toString());
        seen.open--;
        return answer;
      },
      close() {},
    },
    queue,
    events,
    hostname: 'relay.test',
    clock,
    log: silentLog,
    counted: (result) => counts[result]++,
    disable(cause) {
      seen.disabled = cause;
    },
  });
  atEnd(async () => {
    await runner.stop();
    queue.close();
    events.close();
  });
  return { path, clock, queue, events, runner, counts, seen };
}

const OK: PooledAnswer = { status: 200, retryAfter: null, excerpt: '' };
const DOWN: PooledAnswer = { failure: 'other', text: 'app.test cannot be reached' };
/** Everything that was begun has come to its end. */
const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

test('each event once, no more at once than allowed, in order with one at a time', async () => {
  const { counts, seen, queue } = scene({ messages: 300, concurrency: 1, answer: () => OK });
  await until('all were told', () => counts.delivered === 300);
  assert.equal(seen.most, 1);
  const ids = seen.bodies.map((body) => (JSON.parse(body) as { timestamp: string; id: string }).id);
  assert.equal(new Set(ids).size, 300);
  const numbers = ids.map((id) => id.split('_').slice(1).map(Number) as [number, number]);
  assert.deepEqual(
    numbers,
    numbers.toSorted(([a, b], [c, d]) => a - c || b - d),
  );
  assert.equal(queue.waiting('wh_1').events, 0);
  assert.ok(queue.deliveries('wh_1', { limit: 1000 }).length === 300);
});

test('of a message with hundreds of recipients each outcome is told, however late', () => {
  const path = join(tempDir('many'), 'history.db');
  const history = new History(path);
  const [told] = tellHistory({ messages: 1, fromMs: START_MS, toMs: START_MS + 1 });
  const [accepted, delivered] = (told?.events ?? []) as [Record<string, unknown>, Record<string, unknown>];
  const { id } = accepted as { id: string };
  const recipients = Array.from({ length: 300 }, (_, n) => ({ ...(accepted['recipients'] as object[])[0], n }));
  const changes = (list: readonly object[]) => list.map((event) => toldFrom(event as QueueEvent));
  history.fold([{ seq: 1, atMs: START_MS, changes: changes([{ ...accepted, seq: 1, recipients }]) }], 1000);
  // One is put off first; then all are delivered, ten to a transaction.
  const outcome = (n: number, verdict: string, atMs: number) => ({
    ...delivered,
    atMs,
    id,
    n,
    type: verdict,
    nextAtMs: null,
    outcome: { ...(delivered['outcome'] as object), verdict, text: `${verdict} ${n}` },
  });
  history.fold([{ seq: 2, atMs: START_MS + 1, changes: changes([outcome(0, 'deferred', START_MS + 1)]) }], 1000);
  for (let n = 0; n < 300; n += 10)
    history.fold([{ seq: 3 + n / 10, atMs: START_MS + 2 + n, changes: changes(Array.from({ length: 10 }, (_, i) => outcome(n + i, 'delivered', START_MS + 2 + n))) }], 1000);
  history.close();
  const log = openEventLog(path);
  const page = log.after(log.oldest(), { limit: 1000 });
  log.close();
  assert.deepEqual(
    page.events.slice(0, 2).map(({ type, outcome: said }) => [type, said]),
    [
      ['accepted', null],
      ['deferred', null],
    ],
  );
  const last = page.events.slice(2);
  assert.deepEqual(
    last.map(({ n, outcome: said }) => [n, said?.text]),
    Array.from({ length: 300 }, (_, n) => [n, `delivered ${n}`]),
  );
  assert.equal(new Set(last.map(({ atMs }) => atMs)).size, 30);
});

test('no more is taken over than the window has room for, however much waits', async () => {
  const { queue, seen, runner } = scene({ messages: 3000, answer: () => new Promise(() => {}) });
  await until('some were taken over', () => seen.bodies.length === 4);
  for (let i = 0; i < 20; i++) {
    runner.wake();
    await settled();
  }
  const { events } = queue.waiting('wh_1');
  assert.ok(events >= 400 && events <= 500, `${events} are in hand`);
  assert.equal(seen.most, 4);
});

test('one that is down is asked now and then, by one request at a time, and disabled after days', async () => {
  const { clock, counts, seen, queue } = scene({ messages: 50, answer: () => DOWN });
  await until('it failed a few times', () => counts.failed >= 4);
  await settled();
  const first = seen.bodies.length;
  assert.ok(first <= 12, `${first} requests before it rests`);
  seen.most = 0;
  let requests = 0;
  for (let passed = 0; passed < DAY_MS; passed += 10 * MINUTE_MS) {
    clock.move(10 * MINUTE_MS);
    await settled();
    requests = seen.bodies.length - first;
  }
  assert.ok(seen.most <= 1, `${seen.most} at once while it rests`);
  assert.ok(requests > 20 && requests <= 150, `${requests} requests in a day`);
  assert.equal(seen.disabled, '');
  clock.move(DISABLE_AFTER_MS);
  await until('it is disabled', () => seen.disabled !== '');
  assert.match(seen.disabled, /cannot be reached/);
  assert.equal(queue.waiting('wh_1').events + counts['given-up'], 50);
});

test('one event that is refused does not hold up the others, waits as long as it is asked to, and is given up after its last attempt', async () => {
  let poison = '';
  const { clock, counts, seen, queue } = scene({
    messages: 20,
    concurrency: 1,
    answer(body) {
      poison ||= body;
      return body === poison ? { status: 500, retryAfter: '100000', excerpt: 'no' } : OK;
    },
  });
  await until('the others were told', () => counts.delivered === 19);
  const [failed] = queue.deliveries('wh_1', { limit: 100 }).filter(({ result }) => result === 'failed');
  // A day at most, whatever is asked for.
  assert.equal((failed?.nextAtMs ?? 0) - START_MS, DAY_MS);
  for (let attempt = 1; attempt <= RETRY_MS.length; attempt++) {
    clock.move(2 * DAY_MS);
    await until(`attempt ${attempt + 1}`, () => seen.bodies.filter((body) => body === poison).length === attempt + 1);
    await settled();
  }
  await until('it is given up', () => counts['given-up'] === 1);
  assert.equal(queue.waiting('wh_1').events, 0);
});

test('what was no longer kept when its turn came is counted', async () => {
  const { path, queue, events, runner, counts } = scene({ messages: 10, answer: () => OK });
  await until('all were told', () => counts.delivered === 10);
  // That everything told is gone after a quiet week is no loss.
  const quiet = new History(path);
  quiet.trim(START_MS + 10 * DAY_MS, { historyMs: 60 * DAY_MS, historyBytes: 1e9, eventsMs: DAY_MS });
  quiet.close();
  runner.wake();
  await settled();
  assert.equal(queue.progress('wh_1', events.newest()).missed, 0);
  writeHistory(path, tellHistory({ messages: 2000, fromMs: START_MS, toMs: START_MS + DAY_MS, seed: 2 }));
  const history = new History(path);
  do history.trim(START_MS + 10 * DAY_MS, { historyMs: 60 * DAY_MS, historyBytes: 1e9, eventsMs: DAY_MS });
  while (history.behind);
  history.close();
  writeHistory(path, tellHistory({ messages: 5, fromMs: START_MS + 10 * DAY_MS, toMs: START_MS + 10 * DAY_MS + 1000, seed: 3 }));
  assert.ok(events.oldest().seq > 1);
  runner.wake();
  await until('the newest were told', () => counts.delivered === 15);
  assert.equal(queue.progress('wh_1', events.newest()).missed, 1);
});

test('the schedule: over four days, with jitter; rests grow to ten minutes', () => {
  const sum = RETRY_MS.reduce((total, ms) => total + ms, 0);
  assert.ok(sum > DISABLE_AFTER_MS && sum < 5 * DAY_MS);
  assert.deepEqual([nextAttemptMs(1, 0), nextAttemptMs(1, 0.5), nextAttemptMs(1, 1)], [4500, 5000, 5500]);
  assert.equal(nextAttemptMs(RETRY_MS.length + 1, 0.5), null);
  assert.deepEqual(
    [4, 5, 6, 30].map((failures) => restMs(failures)),
    [0, 5000, 10_000, 600_000],
  );
});
