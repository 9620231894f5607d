// TLS under the client: who the other side proves to be, on a first connection and on one that resumes a session.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectClient } from '#smtp/client.ts';
import type { ConnectResult, TlsSession } from '#smtp/client.ts';
import { outboundTls } from '#tls/context.ts';
import { makeAuthority } from '../support/authority.ts';
import { startReceiver } from '../support/receiver.ts';
import type { Receiver } from '../support/receiver.ts';
import { until } from '../support/temp.ts';

const authority = makeAuthority();
const context = outboundTls({ caFile: authority.caFile }).secureContext;

type Kept = { session: TlsSession | null };

async function connect(receiver: Receiver, kept: Kept, options: { verify: boolean; serverName?: string }): Promise<ConnectResult> {
  const result = await connectClient({
    protocol: 'smtp',
    target: { address: receiver.address, port: receiver.port },
    helo: 'client.test',
    recorder: null,
    tls: {
      wanted: 'starttls-required',
      serverName: options.serverName ?? 'right.test',
      verify: options.verify,
      context,
      onSession: (session) => (kept.session = session),
      ...(kept.session === null ? {} : { session: kept.session }),
    },
    timeouts: { connectMs: 5000, greetingMs: 5000, commandMs: 5000, dataMs: 5000 },
  });
  return result;
}

for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`${maxVersion}: a resumed session proves the name as little as the first did`, async () => {
    const { cert, key } = authority.issue(['wrong.test']);
    const receiver = await startReceiver({ tls: { cert, key, maxVersion } });
    const kept: Kept = { session: null };
    for (const round of ['first', 'second', 'third']) {
      const result = await connect(receiver, kept, { verify: false });
      assert.ok('client' in result, round);
      assert.equal(result.client.tls?.verified, false, `${round}, resumed: ${result.client.tls?.resumed}`);
      assert.match(result.client.tls?.problem ?? '', /right\.test/);
      await result.client.quit();
    }
  });

  test(`${maxVersion}: a certificate for another name is refused every time, whatever session is at hand`, async () => {
    const { cert, key } = authority.issue(['wrong.test']);
    const receiver = await startReceiver({ tls: { cert, key, maxVersion } });
    const kept: Kept = { session: null };
    const willing = await connect(receiver, kept, { verify: false });
    assert.ok('client' in willing);
    await until('a session', () => kept.session);
    await willing.client.quit();
    for (let round = 0; round < 3; round++) {
      const result = await connect(receiver, kept, { verify: true });
      assert.ok('failure' in result, `round ${round}`);
      assert.equal(result.failure.code, 'ERR_TLS_CERT_ALTNAME_INVALID');
    }
    assert.ok(!receiver.lines.some((line) => line.startsWith('AUTH') || line.startsWith('MAIL')));
  });

  test(`${maxVersion}: a good certificate stays good when its session is resumed`, async () => {
    const { cert, key } = authority.issue(['right.test']);
    const receiver = await startReceiver({ tls: { cert, key, maxVersion } });
    const kept: Kept = { session: null };
    for (const resumed of [false, true]) {
      const result = await connect(receiver, kept, { verify: true });
      assert.ok('client' in result);
      assert.deepEqual([result.client.tls?.verified, result.client.tls?.resumed], [true, resumed]);
      await until('a session', () => kept.session);
      await result.client.quit();
    }
  });
}
