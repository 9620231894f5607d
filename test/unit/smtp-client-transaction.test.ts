// One message over one connection: how odd servers are read, and what goes over the wire.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createSecureContext } from 'node:tls';
import { test } from 'node:test';
import { parseMailbox } from '#smtp/address.ts';
import { connectClient } from '#smtp/client.ts';
import type { ClientEnvelope, ConnectResult, SmtpClient, TransactionResult } from '#smtp/client.ts';
import { startReceiver } from '../support/receiver.ts';
import type { Receiver } from '../support/receiver.ts';
import { atEnd } from '../support/temp.ts';

const context = createSecureContext();

function dial(to: { address: string; port: number }, timeoutMs = 3000): Promise<ConnectResult> {
  return connectClient({
    protocol: 'smtp',
    target: to,
    helo: 'client.test',
    recorder: null,
    tls: { wanted: 'none', serverName: 'receiver.test', verify: false, context },
    timeouts: { connectMs: timeoutMs, greetingMs: timeoutMs, commandMs: timeoutMs, dataMs: timeoutMs },
  });
}

async function clientOf(receiver: Receiver): Promise<SmtpClient> {
  const result = await dial(receiver);
  assert.ok('client' in result);
  atEnd(() => result.client.destroy());
  return result.client;
}

function envelope(to: readonly string[], more: Partial<ClientEnvelope> = {}): ClientEnvelope {
  const recipients = to.map((text) => ({ address: parseMailbox(text) ?? assert.fail(text), notify: null, orcpt: null }));
  return { from: parseMailbox('a@sender.test'), recipients, sizeBytes: 100, eightBit: false, smtpUtf8: false, requireTls: false, ret: null, envid: null, ...more };
}

const codes = (result: TransactionResult): string =>
  'replies' in result ? result.replies.map(({ phase, reply }) => `${phase} ${reply.code} ${reply.enhanced}`.trim()).join(', ') : result.failure.text;

for (const [reply, expected] of [
  ['552 Too many recipients', 'rcpt 452'],
  ['552 5.5.3 Too many recipients', 'rcpt 452 4.5.3'],
  ['552 sorry', 'rcpt 452'],
  ['552 5.2.2 Over quota', 'rcpt 552 5.2.2'],
  ['552 Mailbox is full', 'rcpt 552'],
  ['552 5.3.4 Message too big', 'rcpt 552 5.3.4'],
  ['550 5.1.1 Unknown', 'rcpt 550 5.1.1'],
] as const) {
  test(`"${reply}" to RCPT is read as ${expected}`, async () => {
    const receiver = await startReceiver({ reply: (line) => (line.startsWith('RCPT') ? reply : undefined) });
    assert.equal(codes(await (await clientOf(receiver)).transact(envelope(['b@c.test']), [Buffer.from('x\r\n')])), expected);
  });
}

test('a server that refuses the sender and takes the rest gets no empty message, and no other one', async () => {
  const receiver = await startReceiver({
    reply: (line) => (line.startsWith('MAIL') ? '451 4.3.0 Not you' : line.startsWith('RCPT') ? '250 2.1.5 Why not' : line === 'DATA' ? '354 Go on' : undefined),
  });
  const client = await clientOf(receiver);
  assert.equal(codes(await client.transact(envelope(['b@c.test']), [Buffer.from('x\r\n')])), 'mail 451 4.3.0');
  assert.equal(client.usable, false);
  assert.equal(receiver.count, 0);
});

test('pipelined DATA that nobody is left for ends in an empty message that goes nowhere', async () => {
  const receiver = await startReceiver({ reply: (line) => (line.startsWith('RCPT') ? '550 5.1.1 No' : line === 'DATA' ? '354 Go on' : undefined) });
  const client = await clientOf(receiver);
  assert.equal(codes(await client.transact(envelope(['b@c.test', 'd@c.test']), [Buffer.from('x\r\n')])), 'rcpt 550 5.1.1, rcpt 550 5.1.1');
  assert.ok(client.usable);
  receiver.script = {};
  assert.equal(codes(await client.transact(envelope(['b@c.test']), [Buffer.from('x\r\n')])), 'final 250 2.0.0');
  assert.deepEqual(
    receiver.received.map((one) => one.content.toString()),
    ['x\r\n'],
  );
  assert.ok(receiver.lines.includes('RSET'));
});

test('content in chunks: each is answered before the next, the last one says so, none is empty', async () => {
  const receiver = await startReceiver({ offers: ['PIPELINING', 'CHUNKING', '8BITMIME'] });
  const client = await clientOf(receiver);
  const parts = ['.one\r\n', 'two\r', '\nthree\r\n', 'no end'].map((text) => Buffer.from(text));
  async function* body(): AsyncGenerator<Buffer> {
    yield* parts;
  }
  assert.equal(codes(await client.transact(envelope(['b@c.test']), body())), 'final 250 2.0.0');
  assert.deepEqual(
    receiver.lines.filter((line) => line.startsWith('BDAT')),
    ['BDAT 6', 'BDAT 4', 'BDAT 8', 'BDAT 6 LAST'],
  );
  assert.equal(receiver.received[0]?.content.toString(), Buffer.concat(parts).toString());
  async function* nothing(): AsyncGenerator<Buffer> {}
  assert.equal(codes(await client.transact(envelope(['b@c.test']), nothing())), 'final 250 2.0.0');
  assert.equal(receiver.lines.at(-1), 'BDAT 0 LAST');
});

test('a chunk that is refused ends the transaction, and the next one begins anew', async () => {
  const receiver = await startReceiver({ offers: ['PIPELINING', 'CHUNKING'], reply: (line) => (line === 'BDAT' ? '552 5.3.4 Too big' : undefined) });
  const client = await clientOf(receiver);
  async function* body(): AsyncGenerator<Buffer> {
    yield Buffer.from('one\r\n');
    yield Buffer.from('two\r\n');
  }
  assert.equal(codes(await client.transact(envelope(['b@c.test']), body())), 'data 552 5.3.4');
  assert.equal(codes(await client.transact(envelope(['b@c.test']), [Buffer.from('x\r\n')])), 'final 250 2.0.0');
  assert.ok(receiver.lines.includes('RSET'));
});

test('parameters go where they are offered, and in the form that is right for them', async () => {
  const receiver = await startReceiver({ offers: ['PIPELINING', 'SIZE 1000', '8BITMIME', 'SMTPUTF8', 'DSN', 'REQUIRETLS'] });
  const wish = { success: true, failure: false, delay: true };
  const recipients = [
    { address: parseMailbox('jürgen@c.test') ?? assert.fail(), notify: wish, orcpt: { type: 'utf-8', value: 'jürgen+x=y\\z@c.test' } },
    { address: parseMailbox('b@c.test') ?? assert.fail(), notify: { success: false, failure: false, delay: false }, orcpt: { type: 'rfc822', value: 'a+b=c@d.test' } },
  ];
  const full = envelope([], { recipients, smtpUtf8: true, eightBit: true, ret: 'hdrs', envid: 'id+1 =2' });
  await (await clientOf(receiver)).transact(full, [Buffer.from('x\r\n')]);
  assert.deepEqual(receiver.lines.slice(1, 4), [
    'MAIL FROM:<a@sender.test> SIZE=100 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=id+2B1+20+3D2',
    'RCPT TO:<jürgen@c.test> NOTIFY=SUCCESS,DELAY ORCPT=utf-8;j\\x{FC}rgen\\x{2B}x\\x{3D}y\\x{5C}z@c.test',
    'RCPT TO:<b@c.test> NOTIFY=NEVER ORCPT=rfc822;a+2Bb+3Dc@d.test',
  ]);
  const bare = await startReceiver({ offers: [] });
  await (await clientOf(bare)).transact(envelope([], { recipients: recipients.slice(1), ret: 'hdrs', envid: 'x' }), [Buffer.from('x\r\n')]);
  assert.deepEqual(bare.lines.slice(1, 3), ['MAIL FROM:<a@sender.test>', 'RCPT TO:<b@c.test>']);
});

test('a thousand recipients in one transaction, all answered in one packet', async () => {
  const server = createServer((socket) => {
    let text = '';
    socket.on('error', () => {});
    socket.write('220 x\r\n');
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (text.startsWith('EHLO')) socket.write('250-x\r\n250 PIPELINING\r\n');
      else if (text.endsWith('.\r\n')) socket.write('250 2.0.0 Taken\r\n');
      else if (text.endsWith('DATA\r\n')) socket.write(`${'250 2.1.5 Ok\r\n'.repeat(1001)}354 Go on\r\n`);
      else return;
      text = '';
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(() => server.close());
  const result = await dial({ address: '127.0.0.1', port: (server.address() as { port: number }).port });
  assert.ok('client' in result);
  const sent = await result.client.transact(envelope(Array.from({ length: 1000 }, (_, i) => `u${i}@c.test`)), [Buffer.from('x\r\n')]);
  assert.ok('replies' in sent, codes(sent));
  assert.equal(sent.replies.filter(({ accepted }) => accepted).length, 1000);
  result.client.destroy();
});

test('a reply that trickles in has no more time than one that does not come', async () => {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.write('220-');
    const timer = setInterval(() => socket.write('x'), 50);
    socket.on('close', () => clearInterval(timer));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(() => server.close());
  const result = await dial({ address: '127.0.0.1', port: (server.address() as { port: number }).port }, 500);
  assert.ok('failure' in result);
  assert.deepEqual([result.failure.kind, result.failure.phase], ['timeout', 'greeting']);
});
