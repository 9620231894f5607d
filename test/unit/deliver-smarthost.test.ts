// The ladder of a smarthost: which rung is tried when, what moves on to the next one, what does not, and that nothing is ever sent in the
// clear or to a host that is not the one that was named.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { SessionCache } from '#deliver/connector.ts';
import type { Connected, Connector, NotConnected } from '#deliver/connector.ts';
import { HostMemory } from '#deliver/hosts.ts';
import { openSmarthost } from '#deliver/routes/smarthost.ts';
import type { Resolver } from '#dns/resolver.ts';
import { outboundTls } from '#tls/context.ts';
import { makeAuthority } from '../support/authority.ts';
import { startBlackhole } from '../support/blackhole.ts';
import { startReceiver } from '../support/receiver.ts';
import type { Receiver, Script } from '../support/receiver.ts';
import { tempDir, until } from '../support/temp.ts';

const authority = makeAuthority();
const good = authority.issue(['smart.test']);
const wrong = authority.issue(['other.test']);
const tlsContext = outboundTls({ caFile: authority.caFile }).secureContext;
const PORTS = [10465, 10587, 12525] as const;
let net = 0;

type Line = { readonly event: string; readonly fields: Readonly<Record<string, unknown>> };
type Setup = { readonly connector: Connector; readonly log: readonly Line[]; readonly address: string; later(ms: number): void };

/** A smarthost at an address of its own. */
function setup(options: { readonly login?: boolean; readonly addresses?: number; readonly connectMs?: number } = {}): Setup {
  const address = `127.0.3.${++net}`;
  const log: Line[] = [];
  const write = (event: string, fields?: Readonly<Record<string, unknown>>): void => void log.push({ event, fields: fields ?? {} });
  const sink: Log = { debug: write, info: write, warn: write, error: write, with: () => sink };
  let aheadMs = 0;
  const clock: Clock = {
    nowMs: () => Date.now() + aheadMs,
    after(delayMs, run) {
      const timer = setTimeout(run, delayMs);
      return () => clearTimeout(timer);
    },
  };
  const addresses = Array.from({ length: options.addresses ?? 1 }, (_, i) => (i === 0 ? address : `127.0.4.${net}`));
  const resolver = {
    a: () => Promise.resolve({ status: 'found', records: addresses, authenticated: false, ttlSeconds: 60 }),
    aaaa: () => Promise.resolve({ status: 'no-data', authenticated: false, ttlSeconds: 60 }),
  } as unknown as Resolver;
  const passwordFile = join(tempDir('pw'), 'password');
  writeFileSync(passwordFile, 'secret\n');
  const connector = openSmarthost(
    {
      hostname: 'relay.test',
      tlsContext,
      timeouts: { connectMs: options.connectMs ?? 300, greetingMs: 1000, commandMs: 1000, dataMs: 1000 },
      clock,
      log: sink,
      sessions: new SessionCache(),
      record: false,
      hosts: new HostMemory({ clock, log: sink }),
      resolver,
      allowPrivate: true,
      isPrivate: () => false,
    },
    {
      type: 'smarthost',
      match: '*',
      name: 'up',
      host: 'smart.test',
      ports: PORTS,
      username: options.login === true ? 'me' : null,
      passwordFile: options.login === true ? passwordFile : null,
    },
  );
  return { connector, log, address, later: (ms) => (aheadMs += ms) };
}

const rung = (address: string, port: (typeof PORTS)[number], script: Script = {}): Promise<Receiver> =>
  startReceiver({ tls: good, ...script, implicit: port === 10465, address, port });

async function connect(connector: Connector): Promise<Connected | NotConnected> {
  const result = await connector.connect(new AbortController().signal);
  if ('client' in result) await result.client.quit();
  return result;
}

const portOf = (result: Connected | NotConnected): number | null => ('client' in result ? result.port : null);
const events = (log: readonly Line[], event: string): readonly Line[] => log.filter((line) => line.event === event);

test('465 comes first, and is taken when it works', async () => {
  const { connector, address, log } = setup();
  await rung(address, 10465);
  const other = await rung(address, 10587);
  const result = await connect(connector);
  assert.equal(portOf(result), 10465);
  assert.match('client' in result ? result.tls : '', /verified$/);
  assert.equal(other.connections, 0);
  assert.equal(events(log, 'smarthost.rung')[0]?.fields['encryption'], 'implicit TLS');
});

test('a rung that swallows connections is left after its time, the next one taken and remembered, and the log says why', async () => {
  const { connector, address, log } = setup();
  await startBlackhole(address, 10465);
  const second = await rung(address, 10587);
  assert.equal(portOf(await connect(connector)), 10587);
  assert.equal(portOf(await connect(connector)), 10587);
  assert.equal(second.connections, 2);
  const failed = events(log, 'smarthost.rung-failed');
  assert.equal(failed.length, 1);
  assert.match(String(failed[0]?.fields['cause']), /timed out/);
  assert.match(String(failed[0]?.fields['fix']), /ladder|provider/);
  assert.match(String(events(log, 'smarthost.rung')[0]?.fields['tried']), /port 10465: the connection timed out/);
});

test('ten seconds are enough for a rung where there is another one, whatever the patience is otherwise', async () => {
  const { connector, address } = setup({ connectMs: 600_000 });
  await startBlackhole(address, 10465);
  await rung(address, 10587);
  const startedMs = performance.now();
  assert.equal(portOf(await connect(connector)), 10587);
  assert.ok(performance.now() - startedMs < 30_000);
});

for (const [name, script] of [
  ['greets with 421', { greeting: '421 4.3.2 Busy' }],
  ['drops at the greeting', { greeting: 'drop' }],
  ['offers no STARTTLS', { offers: ['PIPELINING'], tls: undefined as never }],
  ['refuses STARTTLS', { reply: (line: string) => (line === 'STARTTLS' ? '454 4.7.0 TLS not available' : undefined) }],
  ['breaks the handshake', { breakTls: true }],
  ['shows a certificate for another name', { tls: wrong }],
  ['injects behind its answer to STARTTLS', { reply: (line: string) => (line === 'STARTTLS' ? '220 2.0.0 Ready\r\n250 injected' : undefined) }],
] as const) {
  test(`587 ${name}: it is left, without a word in the clear, for 2525`, async () => {
    const { connector, address, log } = setup({ login: true });
    const middle = await rung(address, 10587, script as Script);
    await rung(address, 12525, { reply: (line) => (line.startsWith('AUTH') ? '235 2.7.0 Ok' : undefined), offers: ['AUTH PLAIN', 'PIPELINING'] });
    assert.equal(portOf(await connect(connector)), 12525);
    assert.ok(!middle.lines.some((line) => /^(AUTH|MAIL)/.test(line)));
    assert.equal(events(log, 'smarthost.rung-failed').length, 2);
  });
}

test('nothing but certificates for other names: no connection at all, and no password', async () => {
  const { connector, address } = setup({ login: true });
  const all = await Promise.all(PORTS.map((port) => rung(address, port, { tls: wrong, offers: ['AUTH PLAIN'] })));
  for (let round = 0; round < 3; round++) {
    const result = await connect(connector);
    assert.ok('tried' in result);
    assert.deepEqual(
      result.tried.map((one) => one.failure.code),
      ['ERR_TLS_CERT_ALTNAME_INVALID', 'ERR_TLS_CERT_ALTNAME_INVALID', 'ERR_TLS_CERT_ALTNAME_INVALID'],
    );
    assert.equal(result.permanent, null);
  }
  assert.ok(all.every((receiver) => !receiver.lines.some((line) => line.startsWith('AUTH'))));
});

test('a wrong password is not tried on the other rungs; a rung that has no login today, or drops it, is left for the next', async () => {
  const refused = setup({ login: true });
  const auth = (reply: string): Script => ({ offers: ['AUTH PLAIN'], reply: (line) => (line.startsWith('AUTH') ? reply : undefined) });
  await rung(refused.address, 10587, auth('535 5.7.8 Wrong'));
  const spare = await rung(refused.address, 12525, auth('235 2.7.0 Ok'));
  const result = await connect(refused.connector);
  assert.ok('tried' in result);
  assert.deepEqual(
    result.tried.map(({ port, failure }) => [port, failure.phase]),
    [
      [10465, 'connect'],
      [10587, 'auth'],
    ],
  );
  assert.equal(spare.connections, 0);
  // The rung is known to work: the next time it is asked first.
  const again = await connect(refused.connector);
  assert.deepEqual('tried' in again ? again.tried.map(({ port }) => port) : [], [10587]);
  for (const reply of ['454 4.7.0 Temporary authentication failure', 'drop']) {
    const { connector, address } = setup({ login: true });
    await rung(address, 10587, auth(reply));
    await rung(address, 12525, auth('235 2.7.0 Ok'));
    assert.equal(portOf(await connect(connector)), 12525, reply);
  }
});

test('the rungs before the one that works are looked at again later, beside the mail', async () => {
  const { connector, address, log, later } = setup();
  const hole = await startBlackhole(address, 10465);
  const second = await rung(address, 10587);
  assert.equal(portOf(await connect(connector)), 10587);
  later(11 * 60_000);
  assert.equal(portOf(await connect(connector)), 10587);
  await new Promise((resolve) => setTimeout(resolve, 500));
  await hole.end('SIGKILL');
  await rung(address, 10465);
  // It was looked at a moment ago and did not answer: not again before its time.
  assert.equal(portOf(await connect(connector)), 10587);
  assert.equal(events(log, 'smarthost.rung').length, 1);
  later(11 * 60_000);
  assert.equal(portOf(await connect(connector)), 10587);
  const back = await until('the better rung is found', () => events(log, 'smarthost.rung')[1]);
  assert.equal(back.fields['port'], 10465);
  assert.equal(portOf(await connect(connector)), 10465);
  assert.equal(second.connections, 4);
});

test('of several addresses the one that works is taken, and comes first from then on', async () => {
  const { connector, address } = setup({ addresses: 2 });
  await startBlackhole(address, 10587);
  const other = await startReceiver({ tls: good, address: address.replace('127.0.3.', '127.0.4.'), port: 10587 });
  assert.equal(portOf(await connect(connector)), 10587);
  const startedMs = performance.now();
  assert.equal(portOf(await connect(connector)), 10587);
  assert.ok(performance.now() - startedMs < 250, 'not through the dead address again');
  assert.equal(other.connections, 2);
  assert.equal(connector.several, true);
});
