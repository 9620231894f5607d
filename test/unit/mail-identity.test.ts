// The records of a domain and how they are written.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeKeys, publishedKey } from '#mail/dkim/keys.ts';
import { publishedRecords } from '#mail/identity/records.ts';
import { merged } from '#mail/identity/judge.ts';
import { walkSpf } from '#mail/identity/spf-walk.ts';
import { textStrings, zoneFile, zoneLine } from '#mail/identity/zone.ts';
import { zoneResolver } from '../support/zone.ts';

const DOMAIN = { name: 'example.com', inbound: false, returnPath: 'bounce', keys: [] };
const SERVER = { hostname: 'relay.example.net', stsId: '0123abc' };

test('a domain that sends publishes SPF, DKIM, DMARC and its return path; one that receives MX, MTA-STS and TLS reports too', () => {
  const keys = [
    { selector: 'p20261124r', keyType: 'rsa' as const, publicBytes: Buffer.from('rsa key') },
    { selector: 'p20261124e', keyType: 'ed25519' as const, publicBytes: Buffer.alloc(32) },
  ];
  const sending = publishedRecords({ ...DOMAIN, keys }, SERVER);
  assert.deepEqual(
    sending.map(({ type, name, value, purpose }) => `${purpose} ${name} ${type} ${value}`),
    [
      'spf example.com TXT v=spf1 a:relay.example.net ~all',
      'dkim-rsa p20261124r._domainkey.example.com TXT v=DKIM1; k=rsa; p=cnNhIGtleQ==',
      'dkim-ed25519 p20261124e._domainkey.example.com TXT v=DKIM1; k=ed25519; p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=',
      'dmarc _dmarc.example.com TXT v=DMARC1; p=none; rua=mailto:postmaster@example.com',
      'return-path bounce.example.com MX 10 relay.example.net',
      'return-path bounce.example.com TXT v=spf1 a:relay.example.net -all',
    ],
  );
  const receiving = publishedRecords({ ...DOMAIN, inbound: true, returnPath: 'rp', keys }, SERVER);
  assert.deepEqual(
    receiving.slice(4).map(({ type, name, value }) => `${name} ${type} ${value}`),
    [
      'rp.example.com MX 10 relay.example.net',
      'rp.example.com TXT v=spf1 a:relay.example.net -all',
      'example.com MX 10 relay.example.net',
      '_mta-sts.example.com TXT v=STSv1; id=0123abc;',
      'mta-sts.example.com CNAME relay.example.net',
      '_smtp._tls.example.com TXT v=TLSRPTv1; rua=mailto:postmaster@example.com',
    ],
  );
  const without = publishedRecords({ ...DOMAIN, inbound: true, keys }, { ...SERVER, stsId: null });
  assert.deepEqual(
    without.filter(({ purpose }) => purpose === 'mta-sts'),
    [],
  );
});

test('selectors tell the day and never come back', async () => {
  const nowMs = Date.UTC(2026, 10, 24, 23, 59);
  const first = await makeKeys(nowMs, []);
  assert.deepEqual(
    first.map((key) => [key.selector, key.algorithm]),
    [
      ['p20261124r', 'rsa-sha256'],
      ['p20261124e', 'ed25519-sha256'],
    ],
  );
  const again = await makeKeys(nowMs, ['p20261124r', 'p20261124e', 'p20261124-2e', 'other']);
  assert.deepEqual(
    again.map((key) => key.selector),
    ['p20261124-3r', 'p20261124-3e'],
  );
  const [rsa, ed] = first.map(publishedKey);
  assert.equal(rsa?.publicBytes.length, 294);
  assert.equal(ed?.publicBytes.length, 32);
});

test('zone lines: absolute names, texts in strings of 255 octets, quotes and bytes escaped', () => {
  assert.equal(zoneLine({ type: 'MX', name: 'a.example', value: '10 mx.example' }), 'a.example. 3600 IN MX 10 mx.example.');
  assert.equal(zoneLine({ type: 'CNAME', name: 'a.example', value: 'b.example' }), 'a.example. 3600 IN CNAME b.example.');
  assert.equal(zoneLine({ type: 'TXT', name: 'a.example', value: 'say "a;\\b" \u00fc' }), 'a.example. 3600 IN TXT "say \\"a;\\\\b\\" \\195\\188"');
  const long = `v=DKIM1; k=rsa; p=${'A'.repeat(392)}`;
  assert.deepEqual(
    textStrings(long).map((text) => text.length),
    [255, 155],
  );
  assert.equal(textStrings(long).join(''), long);
  assert.deepEqual(textStrings(''), ['']);
  const file = zoneFile([{ type: 'TXT', name: 'a.example', value: 'x', purpose: 'spf' }], ({ purpose }) => purpose);
  assert.equal(file, '; spf\na.example. 3600 IN TXT "x"\n');
});

test('an SPF record is walked to its end: look-ups counted, the chain shown, errors found, macros left alone', async () => {
  const resolver = zoneResolver({
    'a.example': [{ TXT: 'v=spf1 include:b.example mx a:gone.example exists:%{i}.list.example -all' }, { MX: [10, 'mx.a.example'] }],
    'b.example': [{ TXT: 'v=spf1 ip4:192.0.2.1 include:c.example redirect=d.example' }],
    'c.example': [{ TXT: 'v=spf1 a ~all' }, { A: '192.0.2.2' }],
    'd.example': [{ TXT: 'v=spf1 ptr -all' }],
  });
  const walk = await walkSpf(resolver, 'a.example', 'v=spf1 include:b.example mx a:gone.example exists:%{i}.list.example -all');
  assert.deepEqual(
    walk.chain.map((line) => line.replace(/ \(.*/, '')),
    [
      'include:b.example',
      '  include:c.example',
      '    a',
      '  redirect=d.example',
      '    ptr',
      'mx',
      'a:gone.example',
      '    ^ a:gone.example finds nothing',
      'exists:%{i}.list.example',
    ],
  );
  assert.deepEqual([walk.lookups, walk.voids, walk.problems, walk.cut], [8, 1, [], false]);
});

test('a record that includes itself, or nothing, ends', async () => {
  const loop = await walkSpf(
    zoneResolver({ 'l.example': [{ TXT: 'v=spf1 include:l.example include:l.example -all' }] }),
    'l.example',
    'v=spf1 include:l.example include:l.example -all',
  );
  assert.ok(loop.cut && loop.lookups > 10);
  const none = await walkSpf(zoneResolver({ 'n.example': [{ TXT: 'x' }] }), 'n.example', 'v=spf1 include:none.example include:n.example -all');
  assert.deepEqual([none.lookups, none.voids, none.problems.length], [2, 1, 2]);
});

test('several SPF records become one: every term once, this server first, the strictest end', () => {
  assert.equal(merged(['v=spf1 mx include:a.example ~all', 'v=spf1 MX:x include:a.example -all'], 'relay.example'), 'v=spf1 a:relay.example mx include:a.example MX:x -all');
  assert.equal(merged(['v=spf1 redirect=a.example'], 'relay.example'), 'v=spf1 a:relay.example redirect=a.example');
});
