// Replies as the client reads them: any bytes in any portions make the same replies or the same failure, and what is not a reply ends the
// connection instead of being guessed at.

import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { RemoteReply } from '#smtp/client-types.ts';
import { Wire } from '#smtp/client-wire.ts';

/** All replies that these portions make, and how it ended: still open, or with which failure. */
async function read(portions: readonly Buffer[]): Promise<{ replies: RemoteReply[]; end: string }> {
  const socket = new EventEmitter();
  const wire = new Wire(Object.assign(socket, { setTimeout: () => socket, destroy: () => socket }) as unknown as Socket, null);
  wire.attach();
  for (const portion of portions) socket.emit('data', portion);
  const replies: RemoteReply[] = [];
  for (;;) {
    if (!wire.unasked) break;
    const result = await wire.next('mail', 1000);
    assert.ok('reply' in result);
    replies.push(result.reply);
  }
  return { replies, end: wire.broken === null ? 'open' : wire.broken.text };
}

function cut(whole: Buffer, lengths: readonly number[]): Buffer[] {
  const parts: Buffer[] = [];
  for (let at = 0, i = 0; at < whole.length; i++) {
    const length = lengths[i % lengths.length] ?? 1;
    parts.push(whole.subarray(at, at + length));
    at += length;
  }
  return parts;
}

const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 8 });
const text = fc.stringMatching(/^[ -~éü]{0,30}$/u).filter((line) => !/^[245]\.\d{1,3}\.\d{1,3}/.test(line));
const reply = fc.record({ code: fc.integer({ min: 200, max: 599 }), enhanced: fc.boolean(), lines: fc.array(text, { minLength: 1, maxLength: 4 }) });

describe('replies', () => {
  it('come as they were said, however they are cut', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(reply, { maxLength: 5 }), sizes, async (said, lengths) => {
        const enhancedOf = ({ code, enhanced }: (typeof said)[number]): string => (enhanced && [2, 4, 5].includes(Math.floor(code / 100)) ? `${Math.floor(code / 100)}.1.5` : '');
        const wire = said.map((one) =>
          one.lines.map((line, i) => `${one.code}${i === one.lines.length - 1 ? ' ' : '-'}${enhancedOf(one) === '' ? '' : `${enhancedOf(one)} `}${line}\r\n`).join(''),
        );
        const { replies, end } = await read(cut(Buffer.from(wire.join('')), lengths));
        assert.equal(end, 'open');
        assert.deepEqual(
          replies.map(({ code, enhanced, lines }) => ({ code, enhanced, lines: lines.map((line) => line.trimStart()) })),
          said.map((one) => ({ code: one.code, enhanced: enhancedOf(one), lines: one.lines.map((line) => line.trimStart()) })),
        );
      }),
      { numRuns: 800 },
    );
  });

  it('any bytes in any portions: the same replies, the same end', async () => {
    const bytes = fc
      .array(
        fc.constantFrom('250 ok\r\n', '250-', '250', ' ', '-', '\r\n', '\n', '\r', 'x', '550 5.1.1 no\r\n', '250-2.1.0 a\r\n', '2', '\0', '\xff', 'é', 'y'.repeat(3000), '1'),
        { maxLength: 16 },
      )
      .map((parts) => Buffer.from(parts.join(''), 'utf8'));
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          bytes,
          fc.uint8Array({ maxLength: 100 }).map((array) => Buffer.from(array)),
        ),
        sizes,
        async (whole, lengths) => {
          assert.deepEqual(await read(cut(whole, lengths)), await read([whole]));
        },
      ),
      { numRuns: 2000 },
    );
  });

  for (const [what, bytes, expected] of [
    ['no code', 'hello\r\n', 'the other side sent no SMTP reply: hello'],
    ['a code of one digit less', '25 ok\r\n', 'the other side sent no SMTP reply: 25 ok'],
    ['a code that is none', '199 ok\r\n', 'the other side sent no SMTP reply: 199 ok'],
    ['a code beyond', '600 ok\r\n', 'the other side sent no SMTP reply: 600 ok'],
    ['no separator', '250ok\r\n', 'the other side sent no SMTP reply: 250ok'],
    ['two codes in one reply', '250-a\r\n251 b\r\n', 'the other side sent a reply with two codes'],
    ['a line too long', `250 ${'x'.repeat(5000)}\r\n`, 'the other side sent a line of more than 4096 octets'],
    ['a line without end', `250 ${'x'.repeat(5000)}`, 'the other side sent a line of more than 4096 octets'],
    ['a reply without end', '250-x\r\n'.repeat(300), 'the other side sent a reply without end'],
    ['replies without end', '250 x\r\n'.repeat(300), 'the other side sent replies nobody asked for'],
  ] as const) {
    it(`refused: ${what}`, async () => {
      assert.equal((await read([Buffer.from(bytes)])).end, expected);
    });
  }

  it('a code alone is a reply without text; LF alone ends a line as servers exist that say so', async () => {
    assert.deepEqual((await read([Buffer.from('250\r\n354\n')])).replies, [
      { code: 250, enhanced: '', lines: [''] },
      { code: 354, enhanced: '', lines: [''] },
    ]);
  });
});
