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
