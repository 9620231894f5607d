// A reload: what takes effect, what is named as needing a restart, and that nothing changes when something is wrong.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PosternError } from '#base/failure.ts';
import { silentLog } from '#base/log.ts';
import type { Config } from '#config/config.ts';
import { differences, openReloader } from '#server/reload.ts';

const CONFIG = { hostname: 'a.example', limits: { recipients: 100, hops: 30 }, inbound: { domains: ['one.example'] }, workers: { count: 1 } };

function reloader(next: unknown, options: { tls?: () => Promise<void> } = {}) {
  const applied: unknown[] = [];
  const reload = openReloader({
    current: CONFIG as unknown as Config,
    loadConfig: async () => next as Config,
    reloadable: (path) => path.startsWith('limits') || path.startsWith('inbound'),
    apply: async (config) => void applied.push(config),
    tls: { reload: options.tls ?? (async () => {}) },
    log: silentLog,
  });
  return { reload, applied };
}

test('differences are found key by key, lists as a whole', () => {
  assert.deepEqual(differences(CONFIG, CONFIG), []);
  assert.deepEqual(differences(CONFIG, { ...CONFIG, hostname: 'b', limits: { recipients: 100, hops: 31 }, inbound: { domains: [] } }), [
    'hostname',
    'limits.hops',
    'inbound.domains',
  ]);
  assert.deepEqual(differences({ a: null }, { a: { b: 1 } }), ['a']);
});

test('what may change does; what may not is named and stays', async () => {
  const { reload, applied } = reloader({ ...CONFIG, hostname: 'b.example', limits: { recipients: 7, hops: 30 } });
  assert.deepEqual(await reload(), { changed: ['limits.recipients'], needRestart: ['hostname'], certificates: true });
  assert.deepEqual(applied, [{ ...CONFIG, limits: { recipients: 7, hops: 30 } }]);
  assert.deepEqual((await reload()).changed, [], 'the second time nothing is new');
});

test('a certificate that is not valid stops the reload', async () => {
  const refusal = new PosternError({ code: 'tls-unusable', cause: 'c', fix: 'f' });
  const { reload, applied } = reloader({ ...CONFIG, limits: { recipients: 7, hops: 30 } }, { tls: () => Promise.reject(refusal) });
  await assert.rejects(reload(), refusal);
  assert.deepEqual(applied, []);
});

test('one reload runs at a time; all that are asked for meanwhile are one more, which sees what they meant', async () => {
  const waiting: (() => void)[] = [];
  let limit = 1;
  const applied: number[] = [];
  const reload = openReloader({
    current: CONFIG as unknown as Config,
    loadConfig: async () => ({ ...CONFIG, limits: { recipients: limit, hops: 30 } }) as unknown as Config,
    reloadable: () => true,
    apply: (config) => new Promise((resolve) => waiting.push(() => resolve(void applied.push(config.limits.recipients)))),
    tls: { reload: async () => {} },
    log: silentLog,
  });
  const first = reload();
  while (waiting.length === 0) await new Promise(setImmediate);
  limit = 2;
  const [second, third] = [reload(), reload()];
  assert.equal(second, third);
  waiting.shift()?.();
  await first;
  while (waiting.length === 0) await new Promise(setImmediate);
  waiting.shift()?.();
  assert.deepEqual((await second).changed, ['limits.recipients']);
  assert.deepEqual(applied, [1, 2]);
  const later = reload();
  while (waiting.length === 0) await new Promise(setImmediate);
  waiting.shift()?.();
  assert.deepEqual((await later).changed, []);
});

test('a reload that fails does not stand in the way of the next', async () => {
  let valid = false;
  const reload = openReloader({
    current: CONFIG as unknown as Config,
    loadConfig: async () => {
      if (!valid) throw new PosternError({ code: 'invalid-configuration', cause: 'c', fix: 'f' });
      return CONFIG as unknown as Config;
    },
    reloadable: () => true,
    apply: async () => {},
    tls: { reload: async () => {} },
    log: silentLog,
  });
  const [first, second] = [reload(), reload()];
  await assert.rejects(first);
  await assert.rejects(second);
  valid = true;
  assert.deepEqual((await reload()).changed, []);
});
