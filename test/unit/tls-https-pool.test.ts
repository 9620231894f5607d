// HTTPS to a host that somebody else named: each connection goes to an address that was looked at, whatever the DNS says the next time, and nothing is followed.
// Needs: openssl

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createSecureContext } from 'node:tls';
import { before, test } from 'node:test';
import type { Resolver } from '#dns/resolver.ts';
import { openHttpsPool } from '#tls/https-pool.ts';
import type { HttpsPool, PooledAnswer } from '#tls/https-pool.ts';
import { makeAuthority } from '../support/authority.ts';
import { atEnd } from '../support/temp.ts';

const OUTSIDE = '127.77.0.1';
const INSIDE = '127.77.0.2';
const reached: string[] = [];
let servers: Server[];
let port: number;
let secureContext: ReturnType<typeof createSecureContext>;

before(async () => {
  const authority = makeAuthority();
  const pair = authority.issue(['hook.test', OUTSIDE]);
  secureContext = createSecureContext({ ca: readFileSync(authority.caFile) });
  const listen = async (address: string, at: number): Promise<Server> => {
    const server = createServer({ cert: pair.cert, key: pair.key }, (request, response) => {
      reached.push(`${address}${request.url}`);
      if (request.url === '/moved') return void response.writeHead(302, { location: `https://hook.test:${at}/elsewhere` }).end();
      if (request.url === '/long') return void response.end('x'.repeat(100_000));
      if (request.url === '/never') return;
      if (request.url === '/last') response.setHeader('connection', 'close');
      response.setHeader('retry-after', '7');
      response.end('taken');
    });
    server.listen(at, address);
    await once(server, 'listening');
    return server;
  };
  const first = await listen(OUTSIDE, 0);
  ({ port } = first.address() as AddressInfo);
  servers = [first, await listen(INSIDE, port)];
  atEnd(() => {
    for (const server of servers) {
      server.closeAllConnections();
      server.close();
    }
  });
});

/** Answers with one set of addresses after the other; the last one stays. */
function poolWith(...answers: readonly (readonly string[])[]): { pool: HttpsPool; asked: () => number } {
  let asked = 0;
  const addresses = async (name: string, family: 4 | 6) => {
    const list = family === 4 ? (answers[Math.min(asked++, answers.length - 1)] ?? []) : [];
    return list.length === 0
      ? ({ status: 'no-data', authenticated: false, ttlSeconds: 0 } as const)
      : ({ status: 'found', records: list, authenticated: false, ttlSeconds: 0, owner: name } as const);
  };
  const resolver = { a: (name: string) => addresses(name, 4), aaaa: (name: string) => addresses(name, 6) } as unknown as Resolver;
  const pool = openHttpsPool({ resolver, tlsContext: () => secureContext, isRefused: (address) => address === INSIDE || address === '127.0.0.1' }, { sockets: 2 });
  atEnd(() => pool.close());
  return { pool, asked: () => asked };
}

const post = (pool: HttpsPool, path: string, host = 'hook.test', timeoutMs = 5000): Promise<PooledAnswer> =>
  pool.post({ url: new URL(`https://${host}:${port}${path}`), headers: { 'content-type': 'application/json' }, body: Buffer.from('{}'), timeoutMs });

test('a name that leads outside first and inside later is followed outside only', async () => {
  const { pool, asked } = poolWith([OUTSIDE], [INSIDE]);
  assert.deepEqual(await post(pool, '/last'), { status: 200, retryAfter: '7', excerpt: 'taken' });
  assert.equal(asked(), 1);
  const refused = await post(pool, '/three');
  assert.ok('failure' in refused && refused.failure === 'refused', JSON.stringify(refused));
  assert.deepEqual(
    reached.filter((one) => one.startsWith(INSIDE)),
    [],
  );
});

test('of several addresses only those outside are connected to; a private literal to none', async () => {
  const { pool } = poolWith([INSIDE, OUTSIDE]);
  assert.ok('status' in (await post(pool, '/mixed')));
  assert.equal(reached.at(-1), `${OUTSIDE}/mixed`);
  const literal = await post(pool, '/literal', INSIDE);
  assert.ok('failure' in literal && literal.failure === 'refused');
  assert.ok('status' in (await post(pool, '/address', OUTSIDE)));
});

test('redirects are answers, long answers are cut, silence ends, another name is not believed', async () => {
  const { pool } = poolWith([OUTSIDE]);
  const moved = await post(pool, '/moved');
  assert.ok('status' in moved && moved.status === 302);
  assert.ok(!reached.includes(`${OUTSIDE}/elsewhere`));
  const long = await post(pool, '/long');
  assert.ok('status' in long && long.excerpt.length === 500);
  const never = await post(pool, '/never', 'hook.test', 300);
  assert.ok('failure' in never && never.failure === 'timeout');
  const other = await post(pool, '/', 'other.test');
  assert.ok('failure' in other && other.failure === 'certificate', JSON.stringify(other));
});
