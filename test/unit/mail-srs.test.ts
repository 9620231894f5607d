// SRS: there and back, over several forwarders, by nobody else, not for ever.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { openSrs } from '#mail/identity/srs.ts';
import { parseMailbox } from '#smtp/address.ts';
import type { Address } from '#smtp/address.ts';

const DAY_MS = 86_400_000;
const NOW = Date.UTC(2026, 10, 24, 12);
const srs = openSrs(Buffer.alloc(32, 1));

function address(text: string): Address {
  return parseMailbox(text) ?? assert.fail(text);
}

function rewritten(text: string, domain = 'fwd.example', by = srs, atMs = NOW): Address {
  return by.forward(address(text), domain, atMs) ?? assert.fail(`${text} was not rewritten`);
}

describe('the sender rewriting scheme', () => {
  it('leads there and back', () => {
    const there = rewritten('joe@example.com');
    assert.match(there.text, /^SRS0=[a-z2-7]{10}=[a-z2-7]{2}=example\.com=joe@fwd\.example$/);
    assert.equal(srs.reverse(there.local, NOW)?.text, 'joe@example.com');
  });

  it('is the same all day, for all attempts', () => {
    assert.equal(rewritten('joe@example.com').text, rewritten('joe@example.com', 'fwd.example', srs, NOW + 60_000).text);
  });

  it('survives servers that change the case', () => {
    const { local } = rewritten('Joe@example.com');
    assert.equal(srs.reverse(local.toUpperCase(), NOW)?.text.toLowerCase(), 'joe@example.com');
    assert.equal(srs.reverse(local.toLowerCase(), NOW)?.text, 'joe@example.com');
  });

  it('shortens the address of another forwarder, and leads back to that one', () => {
    const theirs = 'SRS0=HHHH=TT=example.com=joe@first.example';
    const ours = rewritten(theirs);
    assert.match(ours.text, /^SRS1=[a-z2-7]{10}=first\.example==HHHH=TT=example\.com=joe@fwd\.example$/);
    assert.equal(srs.reverse(ours.local, NOW)?.text, theirs);
  });

  it('of many forwarders keeps the first and the last', () => {
    const second = openSrs(Buffer.alloc(32, 2));
    const third = openSrs(Buffer.alloc(32, 3));
    const a = rewritten('joe@example.com', 'a.example');
    const two = second.forward(a, 'b.example', NOW) ?? assert.fail('two');
    const three = third.forward(two, 'c.example', NOW) ?? assert.fail('three');
    assert.match(three.local, /^SRS1=[a-z2-7]{10}=a\.example==/);
    assert.ok(three.local.length <= two.local.length);
    const back = third.reverse(three.local, NOW) ?? assert.fail('back');
    assert.equal(back.text, a.text);
    assert.equal(srs.reverse(back.local, NOW)?.text, 'joe@example.com');
  });

  it('takes no address that somebody else made up, or changed', () => {
    const { local } = rewritten('joe@example.com');
    for (const forged of [
      local.replace('=joe', '=eve'),
      local.replace('example.com', 'example.org'),
      'SRS0=aaaaaaaaaa=aa=example.com=joe',
      'SRS0==aa=example.com=joe',
      'SRS0=example.com=joe',
      'SRS0=',
      'SRS1=aaaaaaaaaa=first.example==HHHH=TT=example.com=joe',
      'SRS1==first.example==HHHH=TT=example.com=joe',
      'SRS1=',
      'joe',
    ]) {
      assert.equal(srs.reverse(forged, NOW), null, forged);
    }
    assert.equal(openSrs(Buffer.alloc(32, 9)).reverse(local, NOW), null);
  });

  it('is valid for three weeks, over the turn of its calendar too', () => {
    for (const start of [NOW, 1023 * DAY_MS, 2047 * DAY_MS + 1]) {
      const { local } = rewritten('joe@example.com', 'fwd.example', srs, start);
      assert.ok(srs.reverse(local, start + 21 * DAY_MS));
      assert.equal(srs.reverse(local, start + 22 * DAY_MS), null);
      assert.equal(srs.reverse(local, start + 500 * DAY_MS), null);
      assert.ok(srs.reverse(local, start - DAY_MS), 'a clock a little behind');
      assert.equal(srs.reverse(local, start - 3 * DAY_MS), null);
    }
  });

  it('does not write what would be too long, or have to be quoted', () => {
    assert.equal(srs.forward(address(`${'x'.repeat(60)}@example.com`), 'fwd.example', NOW), null);
    assert.equal(srs.forward(address('"two words"@example.com'), 'fwd.example', NOW), null);
    assert.equal(srs.forward(address('joe@[192.0.2.1]'), 'fwd.example', NOW), null);
    assert.match(rewritten('j=o+e-x@example.com').text, /=example\.com=j=o\+e-x@/);
  });

  it('for any sender: back to it, or not written at all', () => {
    const atom = fc.stringMatching(/^[a-z0-9!#$%&'*+/=?^_`{|}~-]{1,30}$/);
    fc.assert(
      fc.property(atom, fc.stringMatching(/^[a-z0-9]{1,12}(\.[a-z]{2,8}){1,2}$/), (local, domain) => {
        const sender = parseMailbox(`${local}@${domain}`);
        fc.pre(sender !== null && !srs.isRewritten(local));
        const there = srs.forward(sender, 'fwd.example', NOW);
        if (there === null) return;
        assert.equal(srs.reverse(there.local, NOW)?.text, sender.text);
      }),
    );
  });
});
