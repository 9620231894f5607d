// What is known of an MTA-STS policy over time: fetched when it is new, kept when it cannot be fetched, gone when its time is over. A real HTTPS
// server, with the DNS and the clock played.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:https';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { createSecureContext } from 'node:tls';
import { silentLog } from '#base/log.ts';
import type { Resolver } from '#dns/resolver.ts';
import { openOwnPolicy } from '#server/policy-host.ts';
import type { Config } from '#config/config.ts';
import { openTransport } from '#store/transport.ts';
import { openMtaSts } from '#tls/mta-sts.ts';
import type { MtaSts } from '#tls/mta-sts.ts';
import type { StsEvidence } from '#tls/policy.ts';
import { openPki } from '../support/pki.ts';
import { atEnd, tempDir } from '../support/temp.ts';

const issue = openPki();
const root = issue({ subject: '/CN=Test root', ca: true });
const DAY_MS = 86_400_000;
const MANY = 100;

let port: number;
const server = { status: 200, mode: 'enforce', requests: 0, hold: null as Promise<void> | null, most: 0, now: 0 };

before(async () => {
  const hosts = (letter: string, count: number): string[] => Array.from({ length: count }, (_, i) => `mta-sts.${letter}${i}.example.test`);
  const certificate = issue({ names: [...hosts('d', 20), ...hosts('m', MANY)], issuer: root });
  const https = createServer({ cert: certificate.cert, key: certificate.key }, (_, response) => {
    server.requests++;
    server.most = Math.max(server.most, ++server.now);
    const answer = (): void => {
      server.now--;
      response.writeHead(server.status, { 'content-type': 'text/plain' }).end(`version: STSv1\nmode: ${server.mode}\nmx: mx.example.test\nmax_age: 604800\n`);
    };
    void (server.hold ?? Promise.resolve()).then(answer);
  });
  https.listen(0, '127.0.0.1');
  await once(https, 'listening');
  ({ port } = https.address() as { port: number });
  atEnd(() => https.close());
});

type Played = { sts: MtaSts; clock: { ms: number }; dns: { id: string | null }; domain: string; look(): Promise<StsEvidence> };
let names = 0;

function play(options: { readonly isRefused?: (address: string) => boolean } = {}): Played {
  const clock = { ms: Date.UTC(2026, 10, 24) };
  const dns: { id: string | null } = { id: '1' };
  const transport = openTransport(join(tempDir('st'), 'transport.db'), { nowMs: () => clock.ms });
  atEnd(() => transport.close());
  const domain = `d${names++}.example.test`;
  const resolver = {
    txt: () =>
      Promise.resolve(
        dns.id === null
          ? { status: 'no-domain', authenticated: false, ttlSeconds: 1 }
          : { status: 'found', records: [`v=STSv1; id=${dns.id};`], authenticated: false, ttlSeconds: 1, owner: 'x' },
      ),
    a: () => Promise.resolve({ status: 'found', records: ['127.0.0.1'], authenticated: false, ttlSeconds: 1, owner: 'x' }),
    aaaa: () => Promise.resolve({ status: 'no-data', authenticated: false, ttlSeconds: 1 }),
  } as unknown as Resolver;
  const context = createSecureContext({ ca: root.cert });
  const sts = openMtaSts({
    resolver,
    tlsContext: () => context,
    isRefused: options.isRefused ?? (() => false),
    port,
    memory: transport.sts,
    clock: { nowMs: () => clock.ms, after: () => () => {} },
    log: silentLog,
  });
  return { sts, clock, dns, domain, look: () => sts.evidence(domain) };
}

function told(evidence: StsEvidence): string {
  return evidence.status === 'policy'
    ? `${evidence.policy.mode} ${evidence.id}${evidence.stale === null ? '' : ' stale'}`
    : evidence.status === 'failed'
      ? evidence.result
      : 'none';
}

test('fetched once, then kept while the id stays', async () => {
  const { look } = play();
  const before = server.requests;
  for (let i = 0; i < 5; i++) assert.equal(told(await look()), 'enforce 1');
  assert.equal(server.requests - before, 1);
});

test('a new id is fetched before the next message goes; when that fails the old policy holds, and the fetch is not repeated for a while', async () => {
  const { look, dns, clock } = play();
  await look();
  dns.id = '2';
  server.mode = 'testing';
  assert.equal(told(await look()), 'testing 2');
  server.mode = 'enforce';
  dns.id = '3';
  server.status = 500;
  const before = server.requests;
  assert.equal(told(await look()), 'testing 2 stale');
  assert.equal(told(await look()), 'testing 2 stale');
  assert.equal(server.requests - before, 1);
  clock.ms += 6 * 60_000;
  server.status = 200;
  assert.equal(told(await look()), 'enforce 3');
});

test('a policy that was never had is none, and is tried again after five minutes', async () => {
  const { look, clock } = play();
  server.status = 404;
  const before = server.requests;
  assert.equal(told(await look()), 'sts-policy-fetch-error');
  assert.equal(told(await look()), 'sts-policy-fetch-error');
  assert.equal(server.requests - before, 1);
  server.status = 200;
  clock.ms += 6 * 60_000;
  assert.equal(told(await look()), 'enforce 1');
});

test('who takes the record away does not get rid of the policy before its end', async () => {
  const { look, dns, clock } = play();
  await look();
  dns.id = null;
  clock.ms += 6 * DAY_MS;
  assert.equal(told(await look()), 'enforce 1 stale');
  clock.ms += 2 * DAY_MS;
  assert.equal(told(await look()), 'none');
});

test('what is in use is fetched again once a day, so that it does not end between two messages', async () => {
  const { sts, look, clock } = play();
  await look();
  assert.equal(await sts.refresh(AbortSignal.timeout(10_000)), 0);
  clock.ms += 25 * 3_600_000;
  assert.equal(await sts.refresh(AbortSignal.timeout(10_000)), 1);
  clock.ms += 6.5 * DAY_MS;
  assert.equal(told(await look()), 'enforce 1');
  const evidence = await look();
  assert.equal(evidence.status === 'policy' ? evidence.expiresAtMs - evidence.fetchedAtMs : 0, 7 * DAY_MS);
  clock.ms += 40 * DAY_MS;
  assert.equal(await sts.refresh(AbortSignal.timeout(10_000)), 0, 'nobody has sent mail under it for a month');
});

test('private addresses are refused', async () => {
  const { look } = play({ isRefused: (address) => address.startsWith('127.') });
  const before = server.requests;
  const evidence = await look();
  assert.equal(told(evidence), 'sts-policy-fetch-error');
  assert.match(evidence.status === 'failed' ? evidence.why : '', /only private addresses: 127\.0\.0\.1/);
  assert.equal(server.requests, before);
});

test('many new policies wait their turn, and none is done without', async () => {
  const { sts } = play();
  let release = (): void => {};
  server.hold = new Promise((resolve) => (release = resolve));
  server.most = 0;
  const all = Promise.all(Array.from({ length: MANY }, (_, i) => sts.evidence(`m${i}.example.test`)));
  while (server.now < 32) await new Promise((resolve) => setTimeout(resolve, 5));
  server.hold = null;
  release();
  const found = await all;
  assert.ok(server.most <= 32, `${server.most} at once`);
  assert.deepEqual([...new Set(found.map(told))], ['enforce 1']);
});

test('the names that get a certificate are those that the DNS leads here', async () => {
  const config = { hostname: 'relay.test', mtaSts: { mode: 'enforce', mx: [], maxAgeMs: DAY_MS, address: '::', port: 443 as number | null }, inbound: { domains: [] } };
  const domain = (name: string, inbound: boolean, status: string): unknown => ({ name, inbound, statuses: { [`CNAME mta-sts.${name}`]: status } });
  const domains = [domain('right.test', true, 'right'), domain('missing.test', true, 'missing'), domain('mute.test', true, 'unknown'), domain('sending.test', false, 'right')];
  const policy = openOwnPolicy({
    config: () => config as unknown as Config,
    directory: { domains: () => Promise.resolve(domains), domain: () => Promise.resolve(null) } as unknown as Parameters<typeof openOwnPolicy>[0]['directory'],
  });
  assert.deepEqual(await policy.names(), [
    { name: 'mta-sts.right.test', certain: true },
    { name: 'mta-sts.mute.test', certain: false },
  ]);
  config.mtaSts.port = null;
  assert.deepEqual(await policy.names(), []);
});
