// The bytes of a message on their way in: the same header and body however they are cut, and no more buffers than bytes call for.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Pieces } from '#base/bytes.ts';
import { IncomingBody } from '#intake/body.ts';
import { openDataDecoder } from '#smtp/framing.ts';
import { REPLIES } from '#smtp/reply.ts';

test('pieces come out as they went in, in few buffers', () => {
  const pieces = new Pieces();
  const all = Buffer.from(Array.from({ length: 100_000 }, (_, i) => i & 255));
  for (const byte of all) pieces.push(Buffer.from([byte]));
  assert.equal(pieces.length, all.length);
  const taken = pieces.takeAll();
  assert.ok(taken.length <= 17, `${taken.length} buffers`);
  assert.deepEqual(Buffer.concat(taken), all);
  assert.deepEqual([pieces.length, pieces.takeAll(), pieces.takeWhole()], [0, [], Buffer.alloc(0)]);
  const whole = Buffer.from('one piece');
  pieces.push(whole);
  assert.equal(pieces.takeWhole(), whole, 'a single piece is not copied');
});

test('content of lines that all begin with a dot comes in few buffers', () => {
  const { content, state } = openDataDecoder().feed(Buffer.from(`${'..x\r\n'.repeat(10_000)}.\r\n`));
  assert.equal(state, 'end');
  assert.ok(content.length <= 8, `${content.length} buffers`);
  assert.equal(Buffer.concat(content).toString(), '.x\r\n'.repeat(10_000));
});

/** What a message, cut at these offsets, is taken for. */
async function takeIn(text: string, cuts: readonly number[], headerBytes = 1000): Promise<{ head: string | null; body: string; refused: number | null }> {
  const message = Buffer.from(text, 'latin1');
  let head: string | null = null;
  const body = new IncomingBody({
    id: 'id',
    queue: { write: () => assert.fail('too small for a chunk'), abandon: () => {} },
    headerBytes,
    memory: { held: { bytes: 0 }, limitBytes: 1_000_000 },
    header(bytes) {
      assert.equal(head, null, 'told once');
      head = bytes.toString('latin1');
      return null;
    },
    failed: () => REPLIES.storeFull,
  });
  const offsets = [0, ...cuts.map((cut) => cut % (message.length + 1)).toSorted((a, b) => a - b), message.length];
  for (let i = 1; i < offsets.length; i++) {
    const refusal = await body.write(message.subarray(offsets[i - 1], offsets[i]));
    if (refusal) return { head, body: '', refused: refusal.code };
  }
  const refusal = body.end();
  const { tail } = await body.parts([]);
  return { head, body: Buffer.concat(tail).toString('latin1'), refused: refusal?.code ?? null };
}

test('header and body are told apart wherever the bytes are cut', async () => {
  const part = fc.constantFrom('\r\n', '\r', '\n', 'a', 'Subject: x', '\r\n\r\n', ' ', '\xfc');
  await fc.assert(
    fc.asyncProperty(fc.array(part, { maxLength: 12 }), fc.array(fc.nat(200), { maxLength: 8 }), async (parts, cuts) => {
      const text = `A: ${parts.join('')}`;
      const blank = text.indexOf('\r\n\r\n');
      const end = blank === -1 ? text.length : blank + 4;
      assert.deepEqual(await takeIn(text, cuts), { head: text.slice(0, end), body: text.slice(end), refused: null });
    }),
  );
});

test('a header may be as large as the limit and not larger, wherever it is cut', async () => {
  const header = `Subject: ${'x'.repeat(87)}\r\n\r\n`;
  assert.equal(header.length, 100);
  for (const cuts of [[], [1], [50], [97], [98], [99], Array.from({ length: 99 }, (_, i) => i + 1)]) {
    assert.equal((await takeIn(`${header}body\r\n`, cuts, 100)).head, header);
    assert.equal((await takeIn(`${header}body\r\n`, cuts, 99)).refused, 552);
  }
});

test('text that does not begin as a header does is all body, whatever comes further down', async () => {
  for (const text of [
    'just text\r\n',
    'just text',
    ' From: a@example.com\r\n\r\nx',
    '\tx: y\r\n',
    'Dear all,\r\nFrom: a@example.com\r\n\r\nx\r\n',
    'x'.repeat(3000),
    `${'x'.repeat(3000)}\r\n\r\ny`,
    ': x\r\n\r\n',
  ])
    for (const cuts of [[], [1], [500, 1500]]) assert.deepEqual(await takeIn(text, cuts), { head: '', body: text, refused: null }, text.slice(0, 30));
  for (const [text, head] of [
    ['', ''],
    ['\r\nbody', '\r\n'],
    ['\r\n', '\r\n'],
    ['From a@example.com Tue Nov 24 08:00:00 2026\r\nSubject: x\r\n\r\nbody', 'From a@example.com Tue Nov 24 08:00:00 2026\r\nSubject: x\r\n\r\n'],
    ['Subject : x\r\n', 'Subject : x\r\n'],
  ] as const)
    for (const cuts of [[], [1], [2], [3]]) assert.equal((await takeIn(text, cuts)).head, head, text);
});
