// When the server looks at itself, what it tells and how often, with a clock that is played and a doctor that says what the test wants.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { silentLog } from '#base/log.ts';
import type { Config } from '#config/config.ts';
import type { Finding, Report, Status } from '#doctor/report.ts';
import type { SelfContext } from '#doctor/self/check.ts';
import { openSelfRounds } from '#server/self-rounds.ts';
import type { RoundsParts } from '#server/self-rounds.ts';

const HOUR_MS = 3_600_000;

function finding(id: string, status: Status, title = `it is ${status}`): Finding {
  return { id, title, status, evidence: 'e', cause: 'c', fix: 'f', durationMs: 1, subject: id.slice(id.indexOf('@') + 1), host: null, port: null };
}

type Seen = readonly Finding[];

/** `looks` is what the doctor finds, look by look; the last one for ever. */
function bench(looks: readonly Seen[], options: { everyMs?: number | null } = {}) {
  const state = {
    nowMs: 10 * HOUR_MS,
    timers: [] as { atMs: number; fn: () => void }[],
    said: [] as string[],
    looks: [...looks],
    contexts: [] as SelfContext[],
    checked: [] as string[],
  };
  const config = {
    hostname: 'relay.test',
    delivery: { mxPort: 25 },
    routes: [] as { match: string; type: string }[],
    forwards: [],
    inbound: { domains: [] },
    doctor: { everyMs: options.everyMs === undefined ? HOUR_MS : options.everyMs, references: [], addresses: [], blocklists: [] },
  };
  const clock: Clock = {
    nowMs: () => state.nowMs,
    after(delayMs, fn) {
      const timer = { atMs: state.nowMs + delayMs, fn };
      state.timers.push(timer);
      return () => void (state.timers = state.timers.filter((one) => one !== timer));
    },
  };
  const say = (event: string, { check = '', subject = '' }: { readonly check?: string; readonly subject?: string } = {}): void =>
    void state.said.push(`${event} ${check}@${subject}`);
  const log: Log = { ...silentLog, warn: say, info: say, error: say };
  const record = { type: 'TXT', name: 'a.test', value: 'v', purpose: 'spf' };
  const rounds = openSelfRounds({
    config: () => config as unknown as Config,
    directory: { credentials: async () => [] },
    domains: {
      list: async () => [{ name: 'a.test' }],
      show: async () => ({ records: [{ ...record, status: 'right' }] }),
      async check(name: string) {
        state.checked.push(name);
        return { findings: [{ ...record, status: 'missing', cause: 'gone' }] };
      },
    } as unknown as RoundsParts['domains'],
    certificates: () => [],
    tlsContext: () => null as unknown as SelfContext['context'],
    openResolver: () => ({ close() {} }) as ReturnType<RoundsParts['openResolver']>,
    async examine(context): Promise<Report> {
      state.contexts.push(context);
      const checks = (state.looks.length > 1 ? state.looks.shift() : state.looks[0]) ?? [];
      return {
        target: 'relay.test',
        kind: 'self',
        startedAt: new Date(context.nowMs).toISOString(),
        durationMs: 1,
        checks,
        summary: { status: 'pass', pass: 0, warn: 0, fail: 0, skip: 0, text: '' },
      };
    },
    clock,
    log,
  });
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  };
  return {
    rounds,
    state,
    config,
    settle,
    /** Lets this much time go by, timer by timer; gives what was said. */
    async pass(spanMs: number): Promise<string[]> {
      state.said = [];
      const endMs = state.nowMs + spanMs;
      for (;;) {
        await settle();
        const [next] = state.timers.filter(({ atMs }) => atMs <= endMs).toSorted((a, b) => a.atMs - b.atMs);
        if (next === undefined) break;
        state.timers = state.timers.filter((one) => one !== next);
        state.nowMs = Math.max(state.nowMs, next.atMs);
        next.fn();
      }
      state.nowMs = endMs;
      return state.said;
    },
  };
}

const BLOCKED = finding('outbound-25@port 25', 'fail', 'blocked');
const OPEN = finding('outbound-25@port 25', 'pass');

test('a fault is told once, as long as it lasts, and once when it is over', async () => {
  const { rounds, pass } = bench([[BLOCKED], [BLOCKED], [BLOCKED], [BLOCKED], [OPEN]]);
  rounds.start();
  assert.deepEqual(await pass(60_000), ['self.warning outbound-25@port 25']);
  assert.deepEqual(
    rounds.last().warnings.map(({ check, status }) => [check, status]),
    [['outbound-25', 'fail']],
  );
  assert.deepEqual(await pass(2 * HOUR_MS), []);
  assert.deepEqual(await pass(HOUR_MS), ['self.resolved outbound-25@port 25']);
  assert.deepEqual(rounds.last().warnings, []);
  assert.deepEqual(await pass(5 * HOUR_MS), []);
});

test('what is gone at the second look was no fault', async () => {
  const { rounds, pass, state } = bench([[BLOCKED], [OPEN]]);
  rounds.start();
  assert.deepEqual(await pass(60_000), []);
  assert.equal(state.contexts.length, 2);
});

test('a fault that becomes another one is told again', async () => {
  const soon = finding('own-certificate@relay.test', 'warn', 'certificate expires in 3 days');
  const over = finding('own-certificate@relay.test', 'fail', 'certificate has expired');
  const { rounds, pass } = bench([[soon], [soon], [over]]);
  rounds.start();
  assert.equal((await pass(60_000)).length, 1);
  assert.deepEqual(await pass(2 * HOUR_MS), ['self.warning own-certificate@relay.test']);
  assert.equal(rounds.last().warnings[0]?.status, 'fail');
});

test('what cannot be looked at stays as it was; what is no longer there is no longer wrong', async () => {
  const records = finding('own-records@a.test', 'fail');
  const { rounds, pass } = bench([[BLOCKED, records], [BLOCKED, records], [{ ...BLOCKED, status: 'skip' }, records], [{ ...BLOCKED, status: 'skip' }]]);
  rounds.start();
  await pass(60_000);
  assert.deepEqual(await pass(HOUR_MS), []);
  assert.equal(rounds.last().warnings.length, 2);
  assert.deepEqual(await pass(HOUR_MS), ['self.resolved own-records@a.test']);
});

test('off: only when it is asked, and then with a fresh look at the records', async () => {
  const { rounds, pass, state } = bench([[BLOCKED]], { everyMs: null });
  rounds.start();
  assert.deepEqual(await pass(48 * HOUR_MS), []);
  assert.equal(state.contexts.length, 0);
  const { report, warnings } = await rounds.look();
  assert.equal(report?.checks.length, 1);
  assert.equal(warnings.length, 1);
  assert.deepEqual(state.checked, ['a.test']);
  assert.deepEqual(
    state.contexts[0]?.domains[0]?.records.map(({ status, cause }) => [status, cause]),
    [['missing', 'gone']],
  );
});

test('a round by itself goes by what the domain keeper saw', async () => {
  const { rounds, pass, state } = bench([[OPEN]]);
  rounds.start();
  await pass(60_000);
  assert.deepEqual(state.checked, []);
  assert.equal(state.contexts[0]?.domains[0]?.records[0]?.status, 'right');
});

test('whether mail goes to mail hosts: by a route, or because none takes all of it', async () => {
  const { rounds, state, config } = bench([[OPEN]]);
  const smarthost = { match: '*', type: 'smarthost' };
  for (const [routes, noMx] of [
    [[], false],
    [[{ match: 'a.test', type: 'smarthost' }], false],
    [[{ match: 'a.test', type: 'mx' }, smarthost], false],
    [[smarthost, { match: '*', type: 'mx' }], true],
    [[smarthost], true],
  ] as const) {
    config.routes = [...routes];
    await rounds.look();
    assert.equal(state.contexts.at(-1)?.noMx !== null, noMx, JSON.stringify(routes));
  }
});

test('switched on while it runs, it is noticed; stopped, nothing happens any more', async () => {
  const { rounds, pass, state, config } = bench([[OPEN]], { everyMs: null });
  rounds.start();
  await pass(HOUR_MS);
  config.doctor.everyMs = HOUR_MS;
  await pass(120_000);
  assert.equal(state.contexts.length, 1);
  rounds.stop();
  await pass(48 * HOUR_MS);
  assert.equal(state.contexts.length, 1);
  assert.equal(state.timers.length, 0);
});

test('a look that fails is told, and the next one comes', async () => {
  const { rounds, pass, state } = bench([[OPEN]]);
  state.looks = [];
  Object.defineProperty(state, 'looks', {
    get() {
      throw new Error('broken');
    },
    configurable: true,
  });
  rounds.start();
  assert.deepEqual([...new Set(await pass(60_000))], ['self.not-checked @']);
  Object.defineProperty(state, 'looks', { value: [[OPEN]] });
  await pass(2 * HOUR_MS);
  assert.notEqual(rounds.last().report, null);
});
