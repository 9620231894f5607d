// Every row of docs/states.md: the real server is killed with SIGKILL in exactly that state, and started again on what it left behind. States
// that last only for a moment are held open: by a receiver that stalls, a resolver that is mute, or a lock on the database.

import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { cpSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { before, test } from 'node:test';
import { checkStore } from '#store/open.ts';
import { startDns } from '../support/dns.ts';
import { messages, startPostern } from '../support/postern.ts';
import type { Postern } from '../support/postern.ts';
import { rawTo } from '../support/raw.ts';
import { startReceiver } from '../support/receiver.ts';
import type { Receiver, Script } from '../support/receiver.ts';
import { accepted, connectTo, message } from '../support/submit.ts';
import { atEnd, tempDir, until } from '../support/temp.ts';

type Row = { readonly id: string; readonly to: string; readonly state: string; readonly attempts: number; readonly nextAt: string | null };
type Events = { readonly status: string; readonly events: readonly { readonly type: string }[] };
type OnDisk = { readonly messages: number; readonly chunks: number; readonly states: readonly number[]; readonly outbox: number };

const [READY, LEASED, HELD, CAPTURED] = [0, 1, 2, 3];
const BIG = `${'x'.repeat(76)}\r\n`.repeat(9000);

/** The mail hosts of example.test, other.test and sender.test. */
let receiver: Receiver;
let other: Receiver;
let sender: Receiver;
let resolver: string;
let muteResolver: string;

before(async () => {
  receiver = await startReceiver({ address: '127.0.0.60' });
  other = await startReceiver({ address: '127.0.0.61', port: receiver.port });
  sender = await startReceiver({ address: '127.0.0.62', port: receiver.port });
  resolver = (
    await startDns({
      'example.test': '@ MX 10 mx\nmx A 127.0.0.60',
      'other.test': '@ MX 10 mx\nmx A 127.0.0.61',
      'sender.test': '@ MX 10 mx\nmx A 127.0.0.62',
    })
  ).server;
  const mute = createSocket('udp4').bind(0, '127.0.0.1');
  await once(mute, 'listening');
  atEnd(() => mute.close());
  muteResolver = `127.0.0.1:${mute.address().port}`;
});

/** What a case has: its data directory, and servers on it, one after the other. */
class Case {
  readonly dataDir = join(tempDir('st'), 'd');
  readonly id: string;
  /** A recipient that no other case has. */
  readonly to: string;
  #server: Postern | null = null;
  #receivedBefore = new Map<Receiver, number>();

  constructor(id: string) {
    this.id = id;
    this.to = `${id}@example.test`;
    for (const one of [receiver, other, sender]) {
      one.script = {};
      this.#receivedBefore.set(one, one.received.length);
    }
  }

  get server(): Postern {
    if (this.#server === null) throw new Error('no server runs');
    return this.#server;
  }

  async start(options: { dns?: string; queue?: string } = {}): Promise<Postern> {
    const queue = options.queue ?? 'retry = { first = "1h", factor = 1, max = "1h", jitter = 0 }';
    this.#server = await startPostern({
      dataDir: this.dataDir,
      profiles: ['mx', 'submission'],
      config: `[dns]\nservers = ["${options.dns ?? resolver}"]\ntimeout = "60s"\n[delivery]\nmx_port = ${receiver.port}\nallow_private_addresses = true\n[inbound]\ndomains = ["example.test", "other.test"]\n[queue]\n${queue}\n`,
    });
    return this.#server;
  }

  /** Sends from another server; gives the queue id. */
  async send(to: string | readonly string[] = this.to, body?: string): Promise<string> {
    const client = await connectTo(this.server.port('mx'));
    const id = await accepted(client, { to: typeof to === 'string' ? [to] : to, content: message(this.id, body) });
    client.destroy();
    return id;
  }

  async kill(): Promise<void> {
    await this.server.kill();
    this.#server = null;
  }

  /** Somebody else has killed it. */
  async died(): Promise<void> {
    await this.server.process.end('SIGKILL');
    this.#server = null;
  }

  /** All went well: the queue is empty, the server ends, the databases are whole. */
  async end(options: { leaves?: number } = {}): Promise<void> {
    await until('the queue is empty', async () => (await this.queue()).length === (options.leaves ?? 0));
    assert.equal(await this.server.stop(), 0);
    assert.deepEqual(checkStore(this.dataDir), []);
  }

  queue(): Promise<readonly Row[]> {
    return this.server.json<readonly Row[]>('queue', 'list');
  }

  history(id: string): Promise<Events> {
    return this.server.json<Events>('message', 'show', id);
  }

  async inState(state: string, to = this.to): Promise<Row> {
    return until(`${to} is ${state}`, async () => (await this.queue()).find((row) => row.to === to && row.state === state));
  }

  /** How often a receiver has taken a message of this case. */
  count(at: Receiver, to?: string): number {
    return at.received.slice(this.#receivedBefore.get(at)).filter((one) => to === undefined || one.to.includes(to)).length;
  }

  async delivered(times = 1, at = receiver): Promise<void> {
    await until(`${times} deliveries`, () => this.count(at) >= times);
    assert.equal(this.count(at), times);
  }

  /** Shows that the server has looked at its queue: a message to another place comes through. */
  async othersAreDelivered(): Promise<void> {
    const had = this.count(other);
    await this.send('marker@other.test');
    await until('a message to another place', () => this.count(other) === had + 1);
  }

  onDisk(): OnDisk {
    const database = new DatabaseSync(join(this.dataDir, 'queue.db'), { readOnly: true });
    try {
      const number = (sql: string): number => Number(Object.values(database.prepare(sql).get() ?? {})[0]);
      return {
        messages: number('SELECT count(*) FROM message'),
        chunks: number('SELECT count(*) FROM chunk'),
        states: database
          .prepare('SELECT state FROM recipient ORDER BY key')
          .all()
          .map((row) => Number(row['state'])),
        outbox: number('SELECT count(*) FROM outbox'),
      };
    } finally {
      database.close();
    }
  }

  /** Nothing can be committed to this database until the lock is let go: its next transaction waits. */
  lock(name: 'queue.db' | 'history.db'): () => void {
    const database = new DatabaseSync(join(this.dataDir, name), { timeout: 5000 });
    database.exec('BEGIN IMMEDIATE');
    return () => database.close();
  }
}

function kill(id: string, title: string, run: (scene: Case) => Promise<void>): void {
  test(`${id}: ${title}`, async () => run(new Case(id)));
}

const stallAt = (verb: string): Script => ({ reply: (line) => (line.startsWith(verb) ? 'stall' : undefined) });

kill('receiving', 'content without its end leaves nothing', async (scene) => {
  const server = await scene.start();
  const raw = await rawTo(server.port('mx'));
  for (const line of ['EHLO c.test', 'MAIL FROM:<a@sender.test>', `RCPT TO:<${scene.to}>`]) assert.match(await raw.ask(line), /^250/);
  assert.match(await raw.ask('DATA'), /^354/);
  raw.send(message('receiving', 'the beginning\r\n'));
  await scene.kill();
  assert.equal(await raw.reply(), 'closed');
  assert.deepEqual(scene.onDisk(), { messages: 0, chunks: 0, states: [], outbox: 0 });
  await scene.start();
  await scene.othersAreDelivered();
  assert.equal(scene.count(receiver), 0);
  await scene.end();
});

kill('chunks', 'chunks of a message that never came to be are swept', async (scene) => {
  const server = await scene.start();
  const raw = await rawTo(server.port('mx'));
  for (const line of ['EHLO c.test', 'MAIL FROM:<a@sender.test>', `RCPT TO:<${scene.to}>`]) assert.match(await raw.ask(line), /^250/);
  assert.match(await raw.ask('DATA'), /^354/);
  raw.send(message('chunks', BIG));
  await until('chunks are stored', () => scene.onDisk().chunks >= 2);
  await scene.kill();
  assert.equal(await raw.reply(), 'closed');
  assert.equal(scene.onDisk().messages, 0);
  assert.ok(scene.onDisk().chunks >= 2);
  await scene.start();
  assert.equal(scene.onDisk().chunks, 0);
  await scene.othersAreDelivered();
  assert.equal(scene.count(receiver), 0);
  await scene.end();
});

kill('accepting', 'before the commit there is no 250, and no message', async (scene) => {
  const server = await scene.start();
  const raw = await rawTo(server.port('mx'));
  for (const line of ['EHLO c.test', 'MAIL FROM:<a@sender.test>', `RCPT TO:<${scene.to}>`]) assert.match(await raw.ask(line), /^250/);
  assert.match(await raw.ask('DATA'), /^354/);
  const unlock = scene.lock('queue.db');
  raw.send(`${message('accepting')}.\r\n`);
  assert.deepEqual(await raw.rest(500), []);
  await scene.kill();
  unlock();
  assert.equal(await raw.reply(), 'closed');
  assert.deepEqual(scene.onDisk(), { messages: 0, chunks: 0, states: [], outbox: 0 });
  await scene.start();
  await scene.send();
  await scene.delivered();
  await scene.end();
});

kill('accepted', 'answered with 250 and not yet under way: delivered', async (scene) => {
  await scene.start({ dns: muteResolver });
  await scene.send();
  await scene.kill();
  assert.deepEqual(scene.onDisk().states, [LEASED]);
  await scene.start();
  await scene.delivered();
  await scene.end();
});

kill('accepted-big', 'a message in chunks is delivered byte for byte', async (scene) => {
  await scene.start({ dns: muteResolver });
  await scene.send(scene.to, BIG);
  await scene.kill();
  assert.ok(scene.onDisk().chunks >= 3);
  await scene.start();
  await scene.delivered();
  assert.ok(receiver.received.at(-1)?.content.toString('latin1').endsWith(`\r\n\r\n${BIG}`));
  await scene.end();
  assert.equal(scene.onDisk().chunks, 0);
});

kill('accepted-past-memory', 'what found no place in memory is delivered from disk', async (scene) => {
  const queue = 'memory = "0"';
  await scene.start({ dns: muteResolver, queue });
  await scene.send();
  await scene.kill();
  assert.equal(scene.onDisk().states.length, 1);
  await scene.start({ queue });
  await scene.delivered();
  await scene.end();
});

kill('connecting', 'leased, and the receiver has not greeted: delivered once', async (scene) => {
  receiver.script = { greeting: 'stall' };
  const connections = receiver.connections;
  await scene.start();
  await scene.send();
  await until('a connection', () => receiver.connections > connections);
  await scene.kill();
  assert.deepEqual(scene.onDisk().states, [LEASED]);
  receiver.script = {};
  await scene.start();
  await scene.delivered();
  await scene.end();
});

kill('delivering', 'the envelope is taken and the content is not through: delivered once', async (scene) => {
  receiver.script = stallAt('DATA');
  await scene.start();
  await scene.send();
  await until('the envelope is there', () => receiver.lines.some((line) => line.startsWith(`RCPT TO:<${scene.to}>`)));
  await scene.kill();
  assert.deepEqual(scene.onDisk().states, [LEASED]);
  receiver.script = {};
  await scene.start();
  await scene.delivered();
  await scene.end();
});

kill('sent', 'the receiver has it and its answer did not arrive: delivered again, never lost', async (scene) => {
  const server = await scene.start();
  receiver.script = {
    reply(line) {
      if (line === '.') process.kill(server.pid, 'SIGKILL');
      return undefined;
    },
  };
  await scene.send();
  await scene.delivered();
  await scene.died();
  assert.deepEqual(scene.onDisk().states, [LEASED]);
  receiver.script = {};
  await scene.start();
  await scene.delivered(2);
  await scene.end();
});

kill('settling', "the receiver's 250 is in and not on disk: delivered again, never lost", async (scene) => {
  const server = await scene.start();
  const locks: (() => void)[] = [];
  receiver.script = {
    reply(line) {
      if (line === '.') locks.push(scene.lock('queue.db'));
      return undefined;
    },
  };
  const id = await scene.send();
  await server.logged('delivery.delivered');
  await scene.kill();
  for (const unlock of locks) unlock();
  assert.deepEqual(scene.onDisk().states, [LEASED]);
  receiver.script = {};
  await scene.start();
  await scene.delivered(2);
  await scene.end();
  await scene.start();
  const { events } = await scene.history(id);
  assert.deepEqual(
    events.map(({ type }) => type),
    ['accepted', 'delivered'],
  );
  await scene.end();
});

kill('settled-in-part', 'only the recipient that is not done is tried again', async (scene) => {
  other.script = { reply: (line) => (line.startsWith('RCPT') ? '451 4.3.2 Not now' : undefined) };
  await scene.start();
  await scene.send([scene.to, 'part@other.test']);
  await scene.delivered();
  await scene.inState('deferred', 'part@other.test');
  await until('the other one is settled', async () => (await scene.queue()).length === 1);
  await scene.kill();
  assert.deepEqual(scene.onDisk().states, [READY]);
  other.script = {};
  await scene.start();
  await scene.server.json('queue', 'retry', '--all');
  await scene.delivered(1, other);
  await scene.end();
  assert.equal(scene.count(receiver), 1);
});

kill('refusing', 'a refusal that is not on disk comes again, and the sender is told once', async (scene) => {
  const server = await scene.start();
  const locks: (() => void)[] = [];
  receiver.script = {
    reply(line) {
      if (!line.startsWith('RCPT')) return undefined;
      if (locks.length === 0) locks.push(scene.lock('queue.db'));
      return '550 5.1.1 No such user';
    },
  };
  const id = await scene.send();
  await server.logged('delivery.bounced');
  await scene.kill();
  for (const unlock of locks) unlock();
  assert.deepEqual(scene.onDisk().states, [LEASED]);
  assert.equal(scene.count(sender), 0);
  await scene.start();
  await scene.delivered(1, sender);
  assert.equal((await scene.history(id)).status, 'bounced');
  await scene.end();
  assert.equal(scene.count(sender), 1);
});

kill('bounced', 'the notification is on disk with the outcome, and reaches the sender once', async (scene) => {
  receiver.script = { reply: (line) => (line.startsWith('RCPT') ? '550 5.1.1 No such user' : undefined) };
  sender.script = { greeting: 'stall' };
  const connections = sender.connections;
  await scene.start();
  const id = await scene.send();
  await until('the notification is under way', () => sender.connections > connections);
  await scene.kill();
  assert.equal(scene.onDisk().messages, 1);
  sender.script = {};
  await scene.start();
  await scene.delivered(1, sender);
  assert.equal((await scene.history(id)).status, 'bounced');
  await scene.end();
  assert.equal(scene.count(sender), 1);
});

kill('deferred', 'waits until the same time, and is not tried before', async (scene) => {
  receiver.script = { reply: (line) => (line.startsWith('RCPT') ? '451 4.3.2 Not now' : undefined) };
  await scene.start();
  const id = await scene.send();
  const row = await scene.inState('deferred');
  await scene.kill();
  assert.deepEqual(scene.onDisk().states, [READY]);
  receiver.script = {};
  await scene.start();
  await scene.othersAreDelivered();
  assert.deepEqual(
    (await scene.queue()).find((one) => one.id === id),
    row,
  );
  assert.equal(row.attempts, 1);
  assert.equal(scene.count(receiver), 0);
  await scene.server.json('queue', 'retry', id);
  await scene.delivered();
  await scene.end();
});

kill('warned', 'the sender is told of a delay once', async (scene) => {
  const queue = 'delay_warning = "1s"\nretry = { first = "1200ms", factor = 1, max = "1200ms", jitter = 0 }';
  receiver.script = { reply: (line) => (line.startsWith('RCPT') ? '451 4.3.2 Not now' : undefined) };
  const server = await scene.start({ queue });
  await scene.send();
  assert.equal((await server.logged('dsn.created'))['kind'], 'delayed');
  await scene.delivered(1, sender);
  await until('the notification is settled', async () => (await scene.queue()).length === 1);
  await scene.kill();
  const attempts = async (): Promise<number> => (await scene.queue()).find((row) => row.to === scene.to)?.attempts ?? 0;
  await scene.start({ queue });
  const before = await attempts();
  await until('it is tried twice more', async () => (await attempts()) >= before + 2);
  assert.equal(scene.count(sender), 1);
  receiver.script = {};
  await scene.delivered();
  await scene.end();
  assert.equal(scene.count(sender), 1);
});

kill('held', 'stays held, and so does what comes later', async (scene) => {
  await scene.start();
  await scene.server.json('queue', 'hold', '--domain', 'example.test');
  await scene.send();
  await scene.inState('held');
  await scene.kill();
  assert.deepEqual(scene.onDisk().states, [HELD]);
  await scene.start();
  await scene.send('later@example.test');
  await scene.othersAreDelivered();
  assert.deepEqual(
    (await scene.queue()).map((row) => row.state),
    ['held', 'held'],
  );
  assert.equal(scene.count(receiver), 0);
  await scene.server.json('queue', 'release', '--domain', 'example.test');
  await scene.delivered(2);
  await scene.end();
});

kill('held-on-the-way', 'what was on its way when its domain was put on hold is held', async (scene) => {
  receiver.script = stallAt('DATA');
  await scene.start();
  await scene.send();
  await until('the envelope is there', () => receiver.lines.some((line) => line.startsWith(`RCPT TO:<${scene.to}>`)));
  await scene.server.json('queue', 'hold', '--domain', 'example.test');
  await scene.kill();
  assert.deepEqual(scene.onDisk().states, [LEASED]);
  receiver.script = {};
  await scene.start();
  await scene.othersAreDelivered();
  await scene.inState('held');
  assert.equal(scene.count(receiver), 0);
  await scene.server.json('queue', 'release', '--domain', 'example.test');
  await scene.delivered();
  await scene.end();
});

kill('captured', 'is still there to be read, and never sent', async (scene) => {
  const server = await scene.start();
  const credential = await server.credential('sandbox');
  const client = await connectTo(server.port('submission'), { credential });
  const id = await accepted(client, { to: [scene.to], content: message('captured', 'Look at me.\r\n') });
  client.destroy();
  await messages(server, 'captured', 1);
  await scene.kill();
  assert.deepEqual(scene.onDisk().states, [CAPTURED]);
  await scene.start();
  await scene.othersAreDelivered();
  assert.match((await scene.server.cli('message', 'body', id)).stdout, /\r\n\r\nLook at me\.\r\n$/);
  assert.equal(scene.count(receiver), 0);
  await scene.end({ leaves: 1 });
});

kill('cancelled-on-the-way', 'what was being sent when it was cancelled is gone, and not sent again', async (scene) => {
  receiver.script = stallAt('.');
  await scene.start();
  const id = await scene.send();
  await until('the content is there', () => receiver.lines.slice(receiver.lines.findLastIndex((line) => line === `RCPT TO:<${scene.to}>`)).includes('DATA'));
  const { underWay } = await scene.server.json<{ underWay: number }>('queue', 'cancel', id);
  assert.equal(underWay, 1);
  await scene.kill();
  assert.deepEqual(scene.onDisk().states, [LEASED]);
  receiver.script = {};
  await scene.start();
  await scene.othersAreDelivered();
  assert.equal((await scene.history(id)).status, 'cancelled');
  assert.equal(scene.count(receiver), 0);
  await scene.end();
});

kill('scheduled', 'waits until the same time, and goes when it is told to', async (scene) => {
  await scene.start();
  const at = new Date(Date.now() + 3_600_000).toISOString();
  const id = await post(join(scene.dataDir, 'postern.sock'), { from: 'app@sender.test', to: scene.to, subject: 'later', text: 'x', sendAt: at });
  const row = await scene.inState('ready');
  assert.deepEqual([row.id, row.attempts, row.nextAt], [id, 0, at]);
  await scene.kill();
  assert.deepEqual(scene.onDisk().states, [READY]);
  await scene.start();
  await scene.othersAreDelivered();
  assert.deepEqual(
    (await scene.queue()).find((one) => one.id === id),
    row,
  );
  assert.equal(scene.count(receiver), 0);
  await scene.server.json('queue', 'retry', id);
  await scene.delivered();
  await scene.end();
});

function post(socketPath: string, body: object): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, method: 'POST', path: '/v1/messages', headers: { 'content-type': 'application/json' } }, (answer) => {
      let text = '';
      answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
      answer.on('end', () => (answer.statusCode === 202 ? resolve((JSON.parse(text) as { id: string }).id) : reject(new Error(text))));
    });
    outgoing.on('error', reject);
    outgoing.end(JSON.stringify(body));
  });
}

kill('cancelled', 'is gone', async (scene) => {
  receiver.script = { reply: (line) => (line.startsWith('RCPT') ? '451 4.3.2 Not now' : undefined) };
  await scene.start();
  const id = await scene.send();
  await scene.inState('deferred');
  await scene.server.json('queue', 'cancel', id);
  await scene.kill();
  assert.deepEqual({ ...scene.onDisk(), outbox: 0 }, { messages: 0, chunks: 0, states: [], outbox: 0 });
  receiver.script = {};
  await scene.start();
  await scene.othersAreDelivered();
  assert.equal((await scene.history(id)).status, 'cancelled');
  assert.equal(scene.count(receiver), 0);
  await scene.end();
});

kill('unfolded', 'events that are in the outbox only reach the history, each once', async (scene) => {
  await scene.start({ dns: muteResolver });
  const unlock = scene.lock('history.db');
  const id = await scene.send();
  await scene.kill();
  assert.equal(scene.onDisk().outbox, 1);
  unlock();
  await scene.start();
  await scene.delivered();
  await scene.end();
  await scene.start();
  assert.deepEqual(
    (await scene.history(id)).events.map(({ type }) => type),
    ['accepted', 'delivered'],
  );
  await scene.end();
});

test('a snapshot of a server that runs is as good as what a kill leaves: the backup that docs/operations.md speaks of', async () => {
  const scene = new Case('snapshot');
  receiver.script = { reply: (line) => (line.startsWith('RCPT') ? '451 4.3.2 Not now' : undefined) };
  const server = await scene.start();
  const ids = [await scene.send(), await scene.send(scene.to, BIG)];
  await until('both are deferred', async () => (await scene.queue()).filter((row) => row.state === 'deferred').length === 2);
  // Nobody writes while it is copied: what an atomic snapshot of the file system shows.
  process.kill(server.pid, 'SIGSTOP');
  const copy = new Case('copy');
  cpSync(scene.dataDir, copy.dataDir, { recursive: true, filter: (path) => !path.endsWith('.sock') });
  process.kill(server.pid, 'SIGCONT');
  await scene.kill();
  await copy.start();
  assert.deepEqual((await copy.queue()).map((row) => row.id).toSorted(), ids.toSorted());
  receiver.script = {};
  await copy.server.json('queue', 'retry', '--all');
  await copy.delivered(2);
  await copy.end();
});
