// The statistics: what was counted while the history was written is what happened, in every grain, once, and percentiles are as good as their steps.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { HISTORY_MIGRATIONS } from '#store/history/schema.ts';
import { History } from '#store/history/writer.ts';
import { openDatabase } from '#store/sqlite/database.ts';
import { openStatistics } from '#store/statistics.ts';
import { tellHistory, writeHistory } from '../support/history.ts';
import { tempDir } from '../support/temp.ts';

const UNTIL_MS = Date.parse('2026-11-24T12:00:00Z');
const HOUR_MS = 3_600_000;
const FROM_MS = UNTIL_MS - 30 * HOUR_MS;

const path = join(tempDir('statistics'), 'history.db');
const told = [...tellHistory({ messages: 900, fromMs: FROM_MS, toMs: UNTIL_MS - HOUR_MS })];
writeHistory(path, told);
const statistics = openStatistics(path);

function counted<T>(items: readonly T[], label: (item: T) => string): Record<string, number> {
  return Object.fromEntries([...Map.groupBy(items, label)].map(([name, list]) => [name, list.length]));
}

test('every grain counts the same', () => {
  const profiles = counted(told, ({ envelope }) => envelope.origin.profile);
  const recipients = told.flatMap(({ to, status }) => to.map(() => status));
  const fates = { ...counted(recipients, (status) => status), accepted: recipients.length };
  for (const span of ['hour', 'day'] as const) {
    const window = { span, fromMs: FROM_MS, untilMs: UNTIL_MS };
    assert.deepEqual(sorted(statistics.totals('messages', window)), sorted(profiles));
    assert.deepEqual(sorted(statistics.totals('fates', window)), sorted(fates));
  }
  const minutes = statistics.series('messages', { span: 'minute', fromMs: FROM_MS, untilMs: FROM_MS + HOUR_MS });
  assert.equal(minutes.length, 60);
  const [hour] = statistics.series('messages', { span: 'hour', fromMs: FROM_MS, untilMs: FROM_MS + HOUR_MS });
  assert.equal(sum(minutes.flatMap(({ counts }) => Object.values(counts))), sum(Object.values(hour?.counts ?? {})));
});

test('by credential: one of them only', () => {
  const mine = told.filter(({ envelope }) => envelope.origin.credential === 'app1').flatMap(({ to, status }) => to.map(() => status));
  const window = { span: 'day', fromMs: FROM_MS, untilMs: UNTIL_MS } as const;
  assert.deepEqual(sorted(statistics.totals('credentials', window, 'app1 ')), sorted({ ...counted(mine, (status) => status), accepted: mine.length }));
});

test('encryption by provider, in and out, and the classes of failures', () => {
  const window = { span: 'day', fromMs: FROM_MS, untilMs: UNTIL_MS } as const;
  const inbound = told.filter(({ envelope }) => envelope.origin.profile === 'mx');
  assert.deepEqual(sorted(statistics.totals('tls-in', window)), sorted(counted(inbound, ({ envelope }) => `google ${envelope.origin.tls === null ? 'plain' : 'encrypted'}`)));
  const providers = Object.keys(statistics.totals('tls-out', window));
  for (const provider of ['google', 'microsoft', 'yahoo', 'apple', 'other']) assert.ok(providers.includes(`${provider} encrypted`), `${provider} in ${providers.join()}`);
  const bounced = told.filter(({ status }) => status === 'bounced').flatMap(({ to }) => to).length;
  assert.equal(statistics.totals('classes', window)['bounced no-such-mailbox'] ?? statistics.totals('classes', window)['bounced other'], bounced);
});

test('what a crash took of the counts is counted again from the log', () => {
  const window = { span: 'day', fromMs: FROM_MS, untilMs: UNTIL_MS } as const;
  const names = ['messages', 'fates', 'credentials', 'classes', 'delivery', 'attempts', 'tls-in', 'tls-out'] as const;
  const before = names.map((name) => sorted(statistics.totals(name, window)));
  const database = openDatabase(path, HISTORY_MIGRATIONS, { synchronous: 'NORMAL' });
  database.exec("DELETE FROM statistic; DELETE FROM cursor WHERE name = 'counted'");
  database.close();
  assert.deepEqual(statistics.totals('fates', window), {});
  new History(path).close();
  assert.deepEqual(
    names.map((name) => sorted(statistics.totals(name, window))),
    before,
  );
});

test('percentiles are right to within their step', () => {
  const spans = told
    .flatMap(({ events }) => events as { type: string; outcome?: { durationMs: number } }[])
    .filter(({ type }) => type === 'delivered')
    .map(({ outcome }) => 5 + (outcome?.durationMs ?? 0))
    .toSorted((a, b) => a - b);
  const { total } = statistics.latency('delivery', { span: 'day', fromMs: FROM_MS, untilMs: UNTIL_MS });
  assert.equal(total.count, spans.length);
  for (const [share, found] of [
    [0.5, total.p50Ms],
    [0.9, total.p90Ms],
    [0.99, total.p99Ms],
  ] as const) {
    const exact = spans[Math.ceil(share * spans.length) - 1] ?? 0;
    assert.ok(found !== null && found >= exact * 0.99 && found <= exact * 1.2, `the ${share} of ${exact} is told as ${found}`);
  }
});

test('minutes are forgotten after days, hours after months, days stay', () => {
  const file = join(tempDir('trim'), 'history.db');
  writeHistory(file, tellHistory({ messages: 900, fromMs: FROM_MS, toMs: UNTIL_MS }));
  const history = new History(file);
  const reader = openStatistics(file);
  const left = (): number[] =>
    (['minute', 'hour', 'day'] as const).map((span) =>
      sum(Object.values(reader.totals('messages', { span, fromMs: span === 'minute' ? UNTIL_MS - 20 * HOUR_MS : FROM_MS, untilMs: UNTIL_MS }))),
    );
  const bounds = { historyMs: 9e11, historyBytes: 1e9, eventsMs: 9e11 };
  assert.ok(left().every((count) => count > 500));
  for (let stretch = 0; stretch < 20; stretch++) history.trim(UNTIL_MS + 4 * 24 * HOUR_MS, bounds);
  const [minutes, hours = 0] = left();
  assert.ok(minutes === 0 && hours === 900, `${minutes} ${hours}`);
  for (let stretch = 0; stretch < 20; stretch++) history.trim(UNTIL_MS + 200 * 24 * HOUR_MS, bounds);
  assert.deepEqual(left(), [0, 0, 900]);
  history.close();
  reader.close();
});

function sorted(counts: Readonly<Record<string, number>>): [string, number][] {
  return Object.entries(counts).toSorted(([a], [b]) => a.localeCompare(b));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
