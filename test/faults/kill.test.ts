// Durability: killed with SIGKILL at random moments under load, again and again. Every message that got its 250 is delivered, at least once.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { checkStore } from '#store/open.ts';
import { startDns } from '../support/dns.ts';
import { startPostern } from '../support/postern.ts';
import type { Credential, Postern } from '../support/postern.ts';
import { startReceiver } from '../support/receiver.ts';
import { connectTo, message, submit } from '../support/submit.ts';
import { tempDir, until } from '../support/temp.ts';

const ROUNDS = 20;
const ROUND_MESSAGES = 20;

test(`${ROUNDS} rounds of kill -9 under load: nothing that was accepted is lost`, async (t) => {
  const receiver = await startReceiver({ address: '127.0.0.10' });
  const dns = await startDns({ 'example.test': '@ MX 10 mx\nmx A 127.0.0.10' });
  const dataDir = join(tempDir('kill'), 'd');
  const config = `[dns]\nservers = ["${dns.server}"]\n[delivery]\nmx_port = ${receiver.port}\nallow_private_addresses = true\n[inbound]\ndomains = ["example.test"]\n[queue]\nretry = { first = "200ms", factor = 1, max = "500ms", jitter = 0 }\n`;
  const acknowledged: string[] = [];
  let next = 0;
  let app: Credential | null = null;

  /** Submits without a pause until the connection breaks. Every third message is big, so that chunks are under way too. */
  async function load(postern: Postern, credential: Credential | null): Promise<void> {
    try {
      const client = await connectTo(postern.port(credential === null ? 'mx' : 'submission'), credential === null ? {} : { credential });
      for (;;) {
        const n = next++;
        const body = n % 3 === 0 ? `${'x'.repeat(70)}\r\n`.repeat(n % 9 === 0 ? 12_000 : 300) : 'small\r\n';
        const replies = await submit(client, { to: [`n${n}@example.test`], content: message(`kill ${n}`, body) });
        if (replies.every((reply) => reply.accepted)) acknowledged.push(`n${n}@example.test`);
      }
    } catch {
      // The server was killed: what had no 250 is not ours to look for.
    }
  }

  for (let round = 0; round < ROUNDS; round++) {
    const postern = await startPostern({ dataDir, config });
    app ??= await postern.credential('app', '--live');
    const loads = [load(postern, null), load(postern, null), load(postern, null), load(postern, app)];
    // On a machine that is busy the load takes its time: the moment is random once there is something to lose.
    const before = acknowledged.length;
    await until('messages are under way', () => acknowledged.length >= before + ROUND_MESSAGES, 60_000);
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 900));
    await postern.kill();
    await Promise.all(loads);
    assert.deepEqual(checkStore(dataDir), [], `round ${round}`);
  }

  const postern = await startPostern({ dataDir, config });
  await until('the queue is empty', async () => (await postern.json<unknown[]>('queue', 'list', '--limit', '1000')).length === 0, 120_000);
  const times = new Map<string, number>();
  for (const { to } of receiver.received) for (const address of to) times.set(address, (times.get(address) ?? 0) + 1);
  const lost = acknowledged.filter((address) => !times.has(address));
  const twice = acknowledged.filter((address) => (times.get(address) ?? 0) > 1);
  t.diagnostic(`${acknowledged.length} messages acknowledged in ${ROUNDS} rounds, ${lost.length} lost, ${twice.length} delivered more than once`);
  assert.deepEqual(lost, []);
  for (const { content, to } of receiver.received) {
    const n = Number(/^n(\d+)@/.exec(to[0] ?? '')?.[1]);
    assert.ok(content.toString('latin1').endsWith(n % 3 === 0 ? `${'x'.repeat(70)}\r\n` : 'small\r\n'), `message ${n} arrived in part`);
  }
  await postern.stop();
  assert.deepEqual(checkStore(dataDir), []);
});
