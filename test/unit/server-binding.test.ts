// Which port is tried when one cannot be had, and how the refusal is said. `listen` is played; one case uses real sockets.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { PosternError } from '#base/failure.ts';
import type { ListenerConfig } from '#config/config.ts';
import { assertFree, bindListeners } from '#server/binding.ts';

const DEFAULTS: readonly ListenerConfig[] = [
  { profile: 'mx', address: '::', port: 25, proxyProtocol: false },
  { profile: 'submissions', address: '::', port: 465, proxyProtocol: false },
  { profile: 'submission', address: '::', port: 587, proxyProtocol: false },
  { profile: 'alternate', address: '::', port: 2525, proxyProtocol: false },
];

type Refusals = Readonly<Record<string, string>>;

function played(refusals: Refusals) {
  return async ({ address, port }: ListenerConfig) => {
    const code = refusals[`${address}:${port}`] ?? refusals[address] ?? refusals[port];
    if (code !== undefined) throw Object.assign(new Error(code), { code });
    return { address, port: port === 0 ? 40_000 : port };
  };
}

const bind = (configs: readonly ListenerConfig[], defaults: boolean, refusals: Refusals) => bindListeners(configs, { defaults, listen: played(refusals) });

test('default ports stay when they can be had', async () => {
  const bound = await bind(DEFAULTS, true, {});
  assert.deepEqual(
    bound.map(({ name, port, tls, note }) => [name, port, tls, note]),
    [
      ['mx', 25, 'starttls', null],
      ['submissions', 465, 'implicit', null],
      ['submission', 587, 'starttls', null],
      ['alternate', 2525, 'starttls', null],
    ],
  );
});

test('default ports that may not be bound, or are taken, give way; 2525 stays', async () => {
  const bound = await bind(DEFAULTS, true, { 25: 'EACCES', 465: 'EACCES', 587: 'EADDRINUSE' });
  assert.deepEqual(
    bound.map((listener) => listener.port),
    [10_025, 10_465, 10_587, 2525],
  );
  assert.match(bound[0]?.note ?? '', /Port 25 .*may not bind.* 10025/);
  assert.match(bound[2]?.note ?? '', /Port 587 .*another program.* 10587/);
});

for (const [what, defaults, refusals, code] of [
  ['a configured port that is taken', false, { 587: 'EADDRINUSE' }, 'address-in-use'],
  ['a configured port that may not be bound', false, { 25: 'EACCES' }, 'port-not-allowed'],
  ['a default port without a fallback', true, { 2525: 'EADDRINUSE' }, 'address-in-use'],
  ['a fallback that is taken too', true, { 25: 'EACCES', 10025: 'EADDRINUSE' }, 'address-in-use'],
  ['an address of another machine', false, { '0.0.0.0': 'EADDRNOTAVAIL', '::': 'EADDRNOTAVAIL' }, 'address-not-here'],
] as const) {
  test(`${what} is refused with its fix`, async () => {
    await assert.rejects(
      bind(DEFAULTS, defaults, refusals),
      (error) => error instanceof PosternError && error.failure.code === code && error.exitCode === 3 && error.failure.fix !== '',
    );
  });
}

test('without IPv6 all addresses are those of IPv4', async () => {
  const bound = await bind(DEFAULTS.slice(3), true, { '::': 'EAFNOSUPPORT' });
  assert.equal(bound[0]?.address, '0.0.0.0');
});

test('an ephemeral port is kept for the other workers; names are unique', async () => {
  const config: ListenerConfig = { profile: 'submission', address: '127.0.0.1', port: 0, proxyProtocol: false };
  const bound = await bind([config, config], false, {});
  assert.deepEqual(
    bound.map((listener) => listener.name),
    ['submission', 'submission-2'],
  );
  assert.equal(bound[0]?.config.port, 40_000);
});

test('a port that is open to sharing is no free port', async () => {
  const other = createServer().listen({ host: '127.0.0.1', port: 0, reusePort: true });
  await once(other, 'listening');
  const { port } = other.address() as { port: number };
  const config: ListenerConfig = { profile: 'mx', address: '127.0.0.1', port, proxyProtocol: false };
  await assert.rejects(assertFree(config), { code: 'EADDRINUSE' });
  other.close();
  await once(other, 'close');
  await assertFree(config);
  await assertFree({ ...config, port: 0 });
});
