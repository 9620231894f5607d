// Where forwarded mail goes and in whose name: rows that lead on, to themselves and round in circles, catch-alls, bounces on their way back.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Destination } from '#intake/forward.ts';
import { openSrs } from '#mail/identity/srs.ts';
import { parseMailbox } from '#smtp/address.ts';
import type { Address } from '#smtp/address.ts';
import type { RcptCommand, Transaction } from '#smtp/policy.ts';
import { plainForwarding } from '../support/forwarding.ts';

const TABLE = [
  { match: 'info@local.example', to: ['a@out.example', 'b@out.example'] },
  { match: 'team@local.example', to: ['info@local.example', 'c@out.example', 'a@out.example'] },
  { match: 'copy@local.example', to: ['copy@local.example', 'd@out.example'] },
  { match: 'ping@local.example', to: ['pong@local.example'] },
  { match: 'pong@local.example', to: ['ping@local.example'] },
  { match: '@all.example', to: ['box@all.example', 'e@out.example'] },
  { match: 'own@all.example', to: ['f@out.example'] },
];
const forwarding = plainForwarding({
  table: () => TABLE,
  isLocal: (domain) => ['local.example', 'all.example'].includes(domain),
  wayOf: (domain) => ({ leaves: domain.endsWith('out.example') || domain === 'gateway.example', srs: domain === 'gateway.example' }),
});

function address(text: string): Address {
  return parseMailbox(text) ?? assert.fail(text);
}

function transaction(from: string | null, ...to: readonly string[]): Transaction {
  const recipients: RcptCommand[] = to.map((text) => ({ to: address(text), notify: null, orcpt: null }));
  return { mail: { from: from === null ? null : address(from), sizeBytes: null, body: null, smtpUtf8: false, requireTls: false, ret: null, envid: null }, recipients };
}

function lines(destinations: readonly Destination[]): string[] {
  return destinations.map(({ to, via, srsDomain }) => `${to.text}${via === undefined ? '' : ` via ${via.text}`}${srsDomain === undefined ? '' : ` as ${srsDomain}`}`);
}

function go(from: string | null, ...to: readonly string[]): string[] {
  return lines(forwarding.destinations(transaction(from, ...to), true));
}

describe('forwarding', () => {
  it('leads to all addresses of the row, in the name of the domain that is forwarded', () => {
    assert.deepEqual(go('joe@sender.example', 'Info@local.example'), [
      'a@out.example via Info@local.example as local.example',
      'b@out.example via Info@local.example as local.example',
    ]);
  });

  it('leaves everybody else alone', () => {
    assert.deepEqual(go('joe@sender.example', 'other@local.example', 'x@out.example'), ['other@local.example', 'x@out.example']);
  });

  it('follows rows to rows, each address once', () => {
    const found = go('joe@sender.example', 'team@local.example', 'info@local.example').map((line) => line.split(' ')[0] ?? '');
    assert.deepEqual(
      found.toSorted((a, b) => a.localeCompare(b)),
      ['a@out.example', 'b@out.example', 'c@out.example'],
    );
  });

  it('keeps what leads to itself, and what goes round in circles', () => {
    assert.deepEqual(go('joe@sender.example', 'copy@local.example'), ['copy@local.example', 'd@out.example via copy@local.example as local.example']);
    assert.deepEqual(go('joe@sender.example', 'ping@local.example'), ['ping@local.example']);
  });

  it('a row for a domain takes what has none of its own', () => {
    assert.deepEqual(go('joe@sender.example', 'any@all.example'), ['box@all.example via any@all.example', 'e@out.example via any@all.example as all.example']);
    assert.deepEqual(go('joe@sender.example', 'own@all.example'), ['f@out.example via own@all.example as all.example']);
  });

  it('rewrites no sender of ours, none that is null, and none of a submission', () => {
    assert.deepEqual(go('me@all.example', 'info@local.example')[0], 'a@out.example via info@local.example');
    assert.deepEqual(go(null, 'info@local.example')[0], 'a@out.example via info@local.example');
    assert.deepEqual(lines(forwarding.destinations(transaction('joe@sender.example', 'info@local.example'), false))[0], 'a@out.example via info@local.example');
  });

  it('a route may want senders rewritten for a domain that is not forwarded', () => {
    assert.deepEqual(go('joe@sender.example', 'x@gateway.example'), ['x@gateway.example as gateway.example']);
  });

  it('can be told another domain, or to leave senders alone', () => {
    const named = plainForwarding({ table: () => TABLE, settings: () => ({ srs: true, srsDomain: 'srs.example', seal: true }) });
    assert.match(lines(named.destinations(transaction('joe@sender.example', 'info@local.example'), true))[0] ?? '', / as srs\.example$/);
    const off = plainForwarding({ table: () => TABLE, settings: () => ({ srs: false, srsDomain: null, seal: true }) });
    assert.equal(lines(off.destinations(transaction('joe@sender.example', 'info@local.example'), true))[0], 'a@out.example via info@local.example');
  });

  it('a report speaks of the address that the sender wrote', () => {
    const [first] = forwarding.destinations(transaction('joe@sender.example', 'info@local.example'), true);
    assert.deepEqual(first?.orcpt, { type: 'rfc822', value: 'info@local.example' });
  });

  it('has a bound', () => {
    const many = plainForwarding({ table: () => [{ match: 'big@local.example', to: Array.from({ length: 600 }, (_, i) => `u${i}@out.example`) }] });
    const one = transaction('joe@sender.example');
    const [rcpt] = transaction(null, 'big@local.example').recipients;
    assert.ok(rcpt);
    assert.equal(many.admit(one, rcpt), null);
    assert.equal(many.admit(one, rcpt)?.code, 452);
  });
});

describe('bounces to rewritten senders', () => {
  const srs = openSrs(Buffer.alloc(32, 1));
  const there = srs.forward(address('joe@sender.example'), 'local.example', Date.now()) ?? assert.fail();

  it('go back to whoever sent the message', () => {
    assert.ok(forwarding.isRewritten(there));
    assert.equal(forwarding.admitBounce(null, there), null);
    assert.deepEqual(go(null, there.text), [`joe@sender.example via ${there.text}`]);
  });

  it('of mail that came round to us, rewritten twice, too; and to nobody when the inner proof is none', () => {
    const elsewhere = srs.forward(there, 'other.example', Date.now()) ?? assert.fail();
    const again = srs.forward(elsewhere, 'local.example', Date.now()) ?? assert.fail();
    assert.match(again.local, /^SRS1=[a-z2-7]+=local\.example==/);
    assert.deepEqual(go(null, again.text), [`joe@sender.example via ${again.text}`]);
    const made = srs.forward(address('SRS1=aaaaaaaaaa=local.example==aaaaaaaaaa=aa=victim.example=joe@other.example'), 'local.example', Date.now()) ?? assert.fail();
    assert.equal(forwarding.admitBounce(null, made)?.enhanced, '5.1.1');
  });

  it('come from nobody: anybody else is refused', () => {
    assert.deepEqual([forwarding.admitBounce(address('eve@evil.example'), there)?.code, forwarding.admitBounce(address('eve@evil.example'), there)?.enhanced], [550, '5.7.1']);
  });

  it('with a proof that is none are refused, and so are those for other domains', () => {
    const forged = address('SRS0=aaaaaaaaaa=aa=victim.example=joe@local.example');
    assert.equal(forwarding.admitBounce(null, forged)?.enhanced, '5.1.1');
    assert.equal(forwarding.isRewritten(address('SRS0=aaaaaaaaaa=aa=victim.example=joe@out.example')), false);
    assert.deepEqual(go(null, forged.text), [forged.text], 'and if it came so far it would stay here');
  });
});
