// PROXY headers: vectors of both versions; cut short and in any portions; any bytes at all. That nobody else may say one is shown over real
// sockets in server-listener.test.ts.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseProxy } from '#smtp/proxy.ts';

type Vector = { readonly name: string; readonly hex: string; readonly malformed?: true; readonly client?: { readonly address: string; readonly port: number } | null };

const vectors = JSON.parse(readFileSync(new URL('../vectors/proxy/headers.json', import.meta.url), 'utf8')) as Vector[];
const BEHIND = Buffer.from('EHLO client.test\r\n');

describe('PROXY headers', () => {
  for (const { name, hex, malformed, client } of vectors) {
    it(name, () => {
      const bytes = Buffer.from(hex, 'hex');
      const result = parseProxy(bytes);
      if (malformed === true) {
        assert.equal(result.is, 'malformed');
        return;
      }
      assert.deepEqual(result, { is: 'header', client, length: bytes.length });
      // What follows is not touched.
      assert.deepEqual(parseProxy(Buffer.concat([bytes, BEHIND])), result);
      // Nothing is believed before it is whole.
      for (let length = 0; length < bytes.length; length++) assert.deepEqual(parseProxy(bytes.subarray(0, length)), { is: 'more' }, `${length} of ${bytes.length}`);
    });
  }

  it('any bytes: an answer, and what was refused stays refused whatever follows', () => {
    const start = fc.constantFrom('', 'PROXY ', 'PROXY TCP4 ', 'PROXY TCP6 ', '\r\n\r\n\0\r\nQUIT\n', '\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c');
    fc.assert(
      fc.property(start, fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ maxLength: 50 }), (head, tail, more) => {
        const bytes = Buffer.concat([Buffer.from(head, 'latin1'), tail]);
        const result = parseProxy(bytes);
        const longer = parseProxy(Buffer.concat([bytes, more]));
        if (result.is !== 'more') assert.equal(longer.is, result.is);
        if (result.is === 'header') assert.deepEqual(longer, result);
        // Waiting is bounded: after so many bytes there is an answer.
        if (bytes.length >= 16 + 2048) assert.notEqual(result.is, 'more');
      }),
      { numRuns: 3000 },
    );
    assert.notEqual(parseProxy(Buffer.concat([Buffer.from('PROXY '), Buffer.alloc(200, 'x')])).is, 'more');
  });
});
