// Durability: killed with SIGKILL at random moments under load, again and again. Every message that got its 250 is delivered, at least once.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { request } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { openApi } from '#cli/api.ts';
import { checkStore } from '#store/open.ts';
import { startDns } from '../support/dns.ts';
import { startPostern } from '../support/postern.ts';
import type { Credential, Postern } from '../support/postern.ts';
import { startReceiver } from '../support/receiver.ts';
import { connectTo, message, submit } from '../support/submit.ts';
import { tempDir, until } from '../support/temp.ts';

const ROUNDS = 20;
const ROUND_MESSAGES = 20;
const HTTP_ROUNDS = 12;

type Sending = { readonly n: number; readonly key: string };

/** POSTs one message over the socket; null: there was no answer. */
function post(postern: Postern, { n, key }: Sending): Promise<{ readonly status: number; readonly id: string } | null> {
  const to = `n${n}@example.test`;
  const text = n % 3 === 0 ? `${'x'.repeat(70)}\n`.repeat(n % 9 === 0 ? 12_000 : 300) : 'small\n';
  const [type, body] =
    n % 2 === 0
      ? ['application/json', JSON.stringify({ from: 'app@sender.test', to, subject: `kill ${n}`, text })]
      : ['message/rfc822', message(`kill ${n}`, text).replace('someone@example.test', to)];
  return new Promise((resolve) => {
    const outgoing = request(
      {
        socketPath: join(postern.dataDir, 'postern.sock'),
        method: 'POST',
        path: '/v1/messages',
        headers: { 'content-type': type, 'content-length': Buffer.byteLength(body), 'idempotency-key': key },
      },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('error', () => resolve(null));
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, id: String((JSON.parse(Buffer.concat(chunks).toString()) as { id?: string }).id) }));
      },
    );
    outgoing.on('error', () => resolve(null));
    outgoing.end(body);
  });
}

test(`${HTTP_ROUNDS} rounds of kill -9 under load by HTTP: nothing that was answered 202 is lost, and what is repeated under its key is one message`, async (t) => {
  const receiver = await startReceiver({ address: '127.0.0.10' });
  const dns = await startDns({ 'example.test': '@ MX 10 mx\nmx A 127.0.0.10' });
  const dataDir = join(tempDir('kill'), 'd');
  const config = `[dns]\nservers = ["${dns.server}"]\n[delivery]\nmx_port = ${receiver.port}\nallow_private_addresses = true\n[queue]\nretry = { first = "200ms", factor = 1, max = "500ms", jitter = 0 }\n`;
  const acknowledged = new Map<number, string>();
  /** Sent when the server was killed, without an answer: a client repeats them. */
  let unanswered: Sending[] = [];
  let repeated = 0;
  let next = 0;

  async function load(postern: Postern): Promise<void> {
    for (;;) {
      const n = next++;
      const sending = { n, key: randomUUID() };
      const answer = await post(postern, sending);
      if (answer === null) return void unanswered.push(sending);
      if (answer.status === 202) acknowledged.set(n, answer.id);
    }
  }

  for (let round = 0; round < HTTP_ROUNDS; round++) {
    const postern = await startPostern({ dataDir, config });
    for (const sending of unanswered.splice(0)) {
      const answer = await post(postern, sending);
      assert.equal(answer?.status, 202);
      acknowledged.set(sending.n, answer.id);
      repeated++;
    }
    const before = acknowledged.size;
    const loads = Array.from({ length: 4 }, () => load(postern));
    await until('messages are under way', () => acknowledged.size >= before + ROUND_MESSAGES, 60_000);
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 500));
    await postern.kill();
    await Promise.all(loads);
    assert.deepEqual(checkStore(dataDir), [], `round ${round}`);
  }

  const postern = await startPostern({ dataDir, config });
  await until('the queue is empty', async () => (await postern.json<unknown[]>('queue', 'list', '--limit', '1000')).length === 0, 120_000);
  const arrived = new Map<number, Buffer>();
  for (const { to, content } of receiver.received) for (const address of to) arrived.set(Number(/^n(\d+)@/.exec(address)?.[1]), content);
  t.diagnostic(`${acknowledged.size} messages answered 202 in ${HTTP_ROUNDS} rounds, ${repeated} of them repeated after a kill`);
  assert.deepEqual(
    [...acknowledged.keys()].filter((n) => !arrived.has(n)),
    [],
  );
  for (const [n, content] of arrived) assert.ok(content.toString('latin1').endsWith(n % 3 === 0 ? `${'x'.repeat(70)}\r\n` : 'small\r\n'), `message ${n} arrived in part`);
  // Each key has made one message, whether its first request was answered or not.
  const made = new Map<string, number>();
  let before: string | undefined;
  do {
    const page = await openApi({ dataDir }).messages({ limit: '1000', ...(before === undefined ? {} : { before }) });
    for (const { to } of page.messages) made.set(to[0] ?? '', (made.get(to[0] ?? '') ?? 0) + 1);
    before = page.next ?? undefined;
  } while (before !== undefined);
  assert.deepEqual(
    [...made].filter(([, count]) => count > 1),
    [],
  );
  await postern.stop();
  assert.deepEqual(checkStore(dataDir), []);
});

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
