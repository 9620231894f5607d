// The supervisor with threads that die: what they held is given back before they are replaced, ports and counts stay.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { systemClock } from '#base/clock.ts';
import { PosternError } from '#base/failure.ts';
import type { Log } from '#base/log.ts';
import { silentLog } from '#base/log.ts';
import type { Config, ListenerConfig } from '#config/config.ts';
import { Metrics } from '#events/metrics.ts';
import { Workers } from '#server/workers.ts';

const LISTENERS: readonly ListenerConfig[] = [{ profile: 'mx', address: '127.0.0.1', port: 0, proxyProtocol: false }];

function supervisor(count: number) {
  const events: string[] = [];
  const note = (event: string): void => void events.push(event);
  const log: Log = { ...silentLog, info: note, warn: note, error: note };
  const workers = new Workers({
    count,
    log,
    clock: systemClock,
    entry: new URL('../fixtures/mortal-worker.ts', import.meta.url),
    config: { hostname: 'first' } as Config,
    startOf(number, config) {
      note(`start ${number} ${config.hostname}`);
      const shared = new SharedArrayBuffer(8);
      return {
        number,
        config: {} as Config,
        dataDir: '',
        store: new MessageChannel().port1,
        counters: shared,
        generation: shared,
        sieve: shared,
        decoySecret: Buffer.alloc(0),
        secretKey: Buffer.alloc(32),
        ticketKeys: Buffer.alloc(0),
      };
    },
    gone: async (number) => note(`gone ${number}`),
    used: (names) => note(`used ${names.join(' ')}`),
  });
  return { workers, events };
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 300 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(condition());
}

test('the first worker finds the port, the others share it; a dead one is replaced on the same port', { timeout: 10_000 }, async () => {
  const { workers, events } = supervisor(2);
  const bound = await workers.start(LISTENERS, { defaults: false });
  assert.equal(bound[0]?.port, 40_001);
  assert.equal(workers.alive, 2);
  const before = new Metrics();
  await workers.collect(before);
  assert.match(before.render(), /accepted_messages_total\{profile="mx"\} 2/);
  await assert.rejects(workers.reload({ hostname: 'second' } as Config));
  await until(() => events.filter((event) => event === 'worker.replaced').length === 2);
  assert.equal(workers.alive, 2);
  assert.deepEqual(
    events.filter((event) => event.startsWith('start 1')),
    ['start 1 first', 'start 1 second'],
    'the new one has what was reloaded',
  );
  assert.ok(events.indexOf('gone 1') < events.indexOf('start 1 second'), 'leases return before the number is used again');
  const after = new Metrics();
  await workers.collect(after);
  const text = after.render();
  assert.match(text, /accepted_messages_total\{profile="mx"\} 4/, 'counters of the dead are kept');
  assert.match(text, /connections_open\{profile="mx"\} 2/, 'gauges of the dead are not');
  assert.match(text, /worker_restarts_total 2/);
  await workers.drain(1000);
  assert.equal(workers.alive, 0);
  assert.equal(events.filter((event) => event === 'worker.died').length, 2, 'an end that was asked for is no death');
});

test('a port that cannot be had fails the start', { timeout: 10_000 }, async () => {
  const { workers } = supervisor(1);
  await assert.rejects(
    workers.start([{ ...LISTENERS[0], address: 'taken' } as ListenerConfig], { defaults: false }),
    (error) => error instanceof PosternError && error.failure.code === 'address-in-use',
  );
  await workers.terminate();
});
