// Lines and content, held against a model that is too slow to be wrong: any bytes, cut anywhere; dots undone that were put in by our client;
// chunks of BDAT.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { FINAL_DOT, Stuffer } from '#smtp/client-body.ts';
import { openChunkDecoder, openDataDecoder, readLine } from '#smtp/framing.ts';
import type { Decoder } from '#smtp/framing.ts';

/** Bytes that matter to framing, most of the time. */
const bytes = fc
  .array(
    fc.oneof({ weight: 6, arbitrary: fc.constantFrom('\r\n', '.', '\r\n.', '..', 'a', 'bc', '\r\n.\r\n') }, { weight: 1, arbitrary: fc.constantFrom('\r', '\n', '\0', '\xff') }),
    { maxLength: 24 },
  )
  .map((parts) => Buffer.from(parts.join(''), 'latin1'));
/** Content as it may be: every CR and LF in a pair. */
const content = fc.array(fc.constantFrom('\r\n', '.', '..', 'a', 'bc.', '\0', '\xff', '\r\n.\r\n'), { maxLength: 24 }).map((parts) => Buffer.from(parts.join(''), 'latin1'));
const sizes = fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 8 });

function cut(whole: Buffer, lengths: readonly number[]): Buffer[] {
  const parts: Buffer[] = [];
  for (let at = 0, i = 0; at < whole.length; i++) {
    const length = lengths[i % lengths.length] ?? 1;
    parts.push(whole.subarray(at, at + length));
    at += length;
  }
  return parts;
}

type Result = { readonly state: 'more' | 'bare' | 'end'; readonly content: string; readonly rest: string };

/** Feeds until the decoder is done; what follows its end is its rest and what was not fed. */
function decode(decoder: Decoder, parts: readonly Buffer[]): Result {
  let text = '';
  for (const [i, part] of parts.entries()) {
    const result = decoder.feed(part);
    text += Buffer.concat(result.content).toString('latin1');
    if (result.state === 'bare') return { state: 'bare', content: '', rest: '' };
    if (result.state === 'end') return { state: 'end', content: text, rest: Buffer.concat([result.rest, ...parts.slice(i + 1)]).toString('latin1') };
  }
  return { state: 'more', content: text, rest: '' };
}

/** DATA, line by line, as RFC 5321 4.5.2 says it. */
function modelOfData(text: string): Result {
  let left = text;
  let kept = '';
  for (;;) {
    const end = left.indexOf('\r\n');
    const line = end === -1 ? left : left.slice(0, end);
    if (/\r(?!$)|\n/.test(line) || (end !== -1 && line.includes('\r'))) return { state: 'bare', content: '', rest: '' };
    if (end === -1) return { state: 'more', content: kept, rest: '' };
    left = left.slice(end + 2);
    if (line === '.') return { state: 'end', content: kept, rest: left };
    kept += `${line.startsWith('.') ? line.slice(1) : line}\r\n`;
  }
}

describe('DATA', () => {
  it('is decoded as the model does it, however it is cut', () => {
    fc.assert(
      fc.property(bytes, sizes, (whole, lengths) => {
        const expected = modelOfData(whole.toString('latin1'));
        const found = decode(openDataDecoder(), cut(whole, lengths));
        assert.equal(found.state, expected.state);
        if (expected.state === 'end') assert.deepEqual(found, expected);
        // Before the end the decoder may have given more than whole lines, never less.
        if (expected.state === 'more') assert.ok(found.content.startsWith(expected.content));
      }),
      { numRuns: 5000 },
    );
  });

  it('gives back what our client stuffed, and nothing of what follows it', () => {
    fc.assert(
      fc.property(content, sizes, sizes, (body, out, back) => {
        const stuffer = new Stuffer();
        const wire = [...cut(body, out).flatMap((part) => stuffer.pieces(part)), ...stuffer.end()];
        const followed = Buffer.concat([...wire, Buffer.from('NOOP\r\n')]);
        const ended = body.length === 0 || body.subarray(-2).equals(Buffer.from('\r\n')) ? body : Buffer.concat([body, Buffer.from('\r\n')]);
        assert.deepEqual(decode(openDataDecoder(), cut(followed, back)), { state: 'end', content: ended.toString('latin1'), rest: 'NOOP\r\n' });
      }),
      { numRuns: 3000 },
    );
  });

  it('the stuffed content has its only lone dot at the end, and the client changes no byte it was given', () => {
    fc.assert(
      fc.property(content, sizes, (body, out) => {
        const copy = Buffer.from(body);
        const stuffer = new Stuffer();
        const text = Buffer.concat([...cut(body, out).flatMap((part) => stuffer.pieces(part)), ...stuffer.end()]).toString('latin1');
        assert.ok(text.endsWith(FINAL_DOT.toString()));
        assert.equal(`\r\n${text}`.split('\r\n.\r\n').length, 2);
        assert.deepEqual(body, copy);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('BDAT', () => {
  it('chunks of any sizes, fed in any portions, are the content; a lone CR or LF anywhere is told', () => {
    fc.assert(
      fc.property(bytes, sizes, sizes, (whole, chunks, portions) => {
        const lines = { pendingCr: false, lineStart: true };
        const parts = cut(whole, chunks);
        let text = '';
        let state: Result['state'] = 'more';
        for (const [i, part] of (parts.length === 0 ? [Buffer.alloc(0)] : parts).entries()) {
          const last = i >= parts.length - 1;
          const decoder = openChunkDecoder(part.length, last, lines);
          // An empty chunk is complete without any octet.
          const found = part.length === 0 ? decode(decoder, [part]) : decode(decoder, [...cut(part, portions), Buffer.from('NOOP\r\n')]);
          state = found.state;
          if (state === 'bare') break;
          assert.equal(found.state, 'end');
          assert.equal(found.rest, part.length === 0 ? '' : 'NOOP\r\n');
          text += found.content;
        }
        const source = whole.toString('latin1');
        const bare = /\r(?!\n)|(?<!\r)\n/.test(source);
        assert.equal(state, bare ? 'bare' : 'end');
        if (!bare) assert.equal(text, source === '' || source.endsWith('\r\n') ? source : `${source}\r\n`);
      }),
      { numRuns: 5000 },
    );
  });
});

describe('lines', () => {
  it('end at CRLF only', () => {
    fc.assert(
      fc.property(bytes, fc.nat(10), (whole, skip) => {
        const from = Math.min(skip, whole.length);
        const text = whole.toString('latin1', from);
        const result = readLine(whole, from);
        const end = /[\r\n]/.exec(text)?.index ?? -1;
        if (end === -1 || (text[end] === '\r' && end === text.length - 1)) assert.equal(result, 'partial');
        else if (text.startsWith('\r\n', end)) {
          assert.ok(typeof result === 'object');
          assert.equal(result.line.toString('latin1'), text.slice(0, end));
          assert.equal(result.next, from + end + 2);
        } else assert.equal(result, 'bare');
      }),
      { numRuns: 3000 },
    );
  });
});
