// TLSA records against chains: usages, selectors, matching types, digest agility, and what a trust anchor does and does not vouch for.
// Needs: openssl

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { createServer } from 'node:tls';
import type { TlsaRecord } from '#dns/resolver.ts';
import { formatTlsa, matchTlsa, selectTlsa } from '#tls/tlsa.ts';
import { chainFile, openPki, tlsaFor } from '../support/pki.ts';
import type { Certificate } from '../support/pki.ts';
import { run } from '../support/temp.ts';

const issue = openPki();
const root = issue({ subject: '/CN=Root', ca: true });
const middle = issue({ subject: '/CN=Middle', ca: true, issuer: root });
const leaf = issue({ names: ['mx.example.test'], issuer: middle });
const other = issue({ names: ['mx.example.test'] });
const oldLeaf = issue({ names: ['mx.example.test'], issuer: middle, days: -1 });
const lone = issue({ names: ['somewhere.else.test'], days: -1 });
const wildcard = issue({ names: ['*.example.test'], issuer: middle });
const clientOnly = issue({ names: ['mx.example.test'], issuer: middle, extensions: ['extendedKeyUsage=clientAuth'] });
const noAuthority = issue({ subject: '/CN=No authority', issuer: root, names: ['ca.test'] });
const belowNone = issue({ names: ['mx.example.test'], issuer: noAuthority });
const shortRoot = issue({ subject: '/CN=Short', ca: true, extensions: ['basicConstraints=critical,CA:TRUE,pathlen:0'] });
const belowShort = issue({ subject: '/CN=Below short', ca: true, issuer: shortRoot });
const tooDeep = issue({ names: ['mx.example.test'], issuer: belowShort });
const onlyOther = issue({ subject: '/CN=Only other', ca: true, extensions: ['nameConstraints=critical,permitted;DNS:other.test'] });
const notPermitted = issue({ names: ['mx.example.test'], issuer: onlyOther });
const onlyExample = issue({ subject: '/CN=Only example', ca: true, extensions: ['nameConstraints=critical,permitted;DNS:example.test,excluded;DNS:bad.example.test'] });
const permitted = issue({ names: ['mx.example.test'], issuer: onlyExample });
const excluded = issue({ names: ['mx.example.test', 'x.bad.example.test'], issuer: onlyExample });
const strange = issue({ names: ['mx.example.test'], issuer: middle, extensions: ['1.2.3.4=critical,ASN1:UTF8String:strange'] });
const oldMiddle = issue({ subject: '/CN=Old middle', ca: true, issuer: root, days: -1 });
const belowOld = issue({ names: ['mx.example.test'], issuer: oldMiddle });

function record(text: string): TlsaRecord {
  const [usage = '', selector = '', matchingType = '', data = ''] = text.split(' ');
  return { usage: Number(usage), selector: Number(selector), matchingType: Number(matchingType), data: Buffer.from(data, 'hex') };
}

function judged(records: readonly string[], chain: readonly Certificate[], names: readonly string[] = ['mx.example.test']): string {
  const set = selectTlsa(records.map(record));
  const [first, ...issuers] = chain;
  const result = matchTlsa(set.usable, { leaf: first?.der ?? Buffer.alloc(0), issuers: issuers.map((one) => one.der) }, { names, nowMs: Date.now() });
  return 'record' in result ? 'match' : result.problem.kind;
}

const good = [leaf, middle, root];

const ROWS: readonly (readonly [what: string, records: readonly string[], chain: readonly Certificate[], expected: string, names?: readonly string[]])[] = [
  ['EE, key, SHA-256', [tlsaFor(leaf, 3, 1, 1)], good, 'match'],
  ['EE, key, SHA-512', [tlsaFor(leaf, 3, 1, 2)], good, 'match'],
  ['EE, key, whole', [tlsaFor(leaf, 3, 1, 0)], good, 'match'],
  ['EE, certificate, SHA-256', [tlsaFor(leaf, 3, 0, 1)], good, 'match'],
  ['EE, certificate, SHA-512', [tlsaFor(leaf, 3, 0, 2)], good, 'match'],
  ['EE, certificate, whole', [tlsaFor(leaf, 3, 0, 0)], good, 'match'],
  ['EE of another key', [tlsaFor(other, 3, 1, 1)], good, 'mismatch'],
  ['EE: neither name nor date counts', [tlsaFor(lone, 3, 1, 1)], [lone], 'match'],
  ['EE does not match an issuer', [tlsaFor(middle, 3, 1, 1)], good, 'mismatch'],
  ['roll-over: two records, the second one matches', [tlsaFor(other, 3, 1, 1), tlsaFor(leaf, 3, 1, 1)], good, 'match'],
  ['TA, intermediate, key', [tlsaFor(middle, 2, 1, 1)], good, 'match'],
  ['TA, intermediate, certificate, SHA-512', [tlsaFor(middle, 2, 0, 2)], [leaf, middle], 'match'],
  ['TA, root', [tlsaFor(root, 2, 0, 1)], good, 'match'],
  ['TA whose certificate was not presented', [tlsaFor(root, 2, 0, 1)], [leaf, middle], 'mismatch'],
  ['TA, whole certificate, need not be presented', [tlsaFor(root, 2, 0, 0)], [leaf, middle], 'match'],
  ['TA, whole key, need not be presented', [tlsaFor(middle, 2, 1, 0)], [leaf], 'match'],
  ['TA, whole certificate that has signed nothing here', [tlsaFor(other, 2, 0, 0)], good, 'mismatch'],
  ['TA does not match the leaf itself', [tlsaFor(other, 2, 1, 1)], [other], 'mismatch'],
  ['TA: issuers in any order', [tlsaFor(root, 2, 0, 1)], [leaf, root, middle], 'match'],
  ['TA: the name counts', [tlsaFor(middle, 2, 1, 1)], good, 'name', ['mx.other.test']],
  ['TA: any of the names will do', [tlsaFor(middle, 2, 1, 1)], good, 'match', ['base.test', 'mx.example.test']],
  ['TA: wildcards stand for one label', [tlsaFor(middle, 2, 1, 1)], [wildcard, middle], 'match'],
  ['TA: and for no more', [tlsaFor(middle, 2, 1, 1)], [wildcard, middle], 'name', ['a.mx.example.test']],
  ['TA: an expired leaf', [tlsaFor(middle, 2, 1, 1)], [oldLeaf, middle], 'expired'],
  ['TA: an expired intermediate', [tlsaFor(root, 2, 1, 1)], [belowOld, oldMiddle, root], 'expired'],
  ['TA: a leaf for clients only', [tlsaFor(middle, 2, 1, 1)], [clientOnly, middle], 'chain'],
  ['TA: an issuer that is no authority', [tlsaFor(root, 2, 1, 1)], [belowNone, noAuthority, root], 'chain'],
  ['TA: longer than the anchor allows', [tlsaFor(shortRoot, 2, 1, 1)], [tooDeep, belowShort, shortRoot], 'chain'],
  ['TA: a name that the anchor may not issue for', [tlsaFor(onlyOther, 2, 1, 1)], [notPermitted, onlyOther], 'chain'],
  ['TA: a name that it may issue for', [tlsaFor(onlyExample, 2, 1, 1)], [permitted, onlyExample], 'match'],
  ['TA: one name of several that it may not', [tlsaFor(onlyExample, 2, 1, 1)], [excluded, onlyExample], 'chain'],
  ['TA: a critical extension that nobody knows', [tlsaFor(middle, 2, 1, 1)], [strange, middle], 'chain'],
  ['EE beside a TA that fails', [tlsaFor(root, 2, 1, 1), tlsaFor(oldLeaf, 3, 1, 1)], [oldLeaf, middle, root], 'match'],
  ['nothing presented', [tlsaFor(leaf, 3, 1, 1)], [], 'mismatch'],
];

for (const [what, records, chain, expected, names] of ROWS) test(`TLSA: ${what}`, () => assert.equal(judged(records, chain, names), expected));

test('OpenSSL comes to the same verdict over every chain', async () => {
  const different: string[] = [];
  for (const [what, records, chain, expected, names = ['mx.example.test']] of ROWS) {
    const [first, ...issuers] = chain;
    // It takes one name on its command line.
    if (first === undefined || names.length > 1) continue;
    const server = createServer({ cert: readFileSync(chainFile(first, ...issuers), 'utf8'), key: first.key }, (socket) => socket.on('error', () => {}).end());
    server.on('tlsClientError', () => {});
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const data = records.flatMap((text) => ['-dane_tlsa_rrdata', text]);
    const { code, stdout } = await run('/usr/bin/openssl', [
      's_client',
      '-connect',
      `127.0.0.1:${port}`,
      '-dane_tlsa_domain',
      names[0] ?? '',
      ...data,
      '-dane_ee_no_namechecks',
      '-verify_return_error',
      '-brief',
    ]);
    server.close();
    if ((code === 0) !== (expected === 'match')) different.push(`${what}: OpenSSL ends with ${code}\n${stdout}`);
  }
  assert.deepEqual(different, []);
});

for (const [what, records, usable] of [
  ['PKIX usages', ['0 1 1 ' + '00'.repeat(32), '1 0 1 ' + '00'.repeat(32)], []],
  ['unknown usage', ['4 1 1 ' + '00'.repeat(32)], []],
  ['unknown selector', ['3 2 1 ' + '00'.repeat(32)], []],
  ['unknown matching type', ['3 1 3 ' + '00'.repeat(32)], []],
  ['digest of a wrong length', ['3 1 1 ' + '00'.repeat(31), '3 1 2 ' + '00'.repeat(32)], []],
  ['whole values that are none', ['3 0 0 0102', '2 1 0 0102'], []],
  ['the strongest digest of one kind counts', ['3 1 1 ' + 'aa'.repeat(32), '3 1 2 ' + 'bb'.repeat(64)], ['3 1 2 ' + 'bb'.repeat(64)]],
  [
    'kinds do not hide each other',
    ['3 1 1 ' + 'aa'.repeat(32), '3 0 2 ' + 'bb'.repeat(64), '2 1 1 ' + 'cc'.repeat(32)],
    ['3 1 1 ' + 'aa'.repeat(32), '3 0 2 ' + 'bb'.repeat(64), '2 1 1 ' + 'cc'.repeat(32)],
  ],
  ['a stronger digest that is broken hides nothing', ['3 1 1 ' + 'aa'.repeat(32), '3 1 2 ' + 'bb'.repeat(63)], ['3 1 1 ' + 'aa'.repeat(32)]],
] as const) {
  test(`TLSA records that count: ${what}`, () => {
    const set = selectTlsa(records.map(record));
    assert.deepEqual(set.usable.map(formatTlsa), usable);
    assert.equal(set.ignored.length, records.length - usable.length);
  });
}

test('a whole value counts beside digests, and a digest beside it', () => {
  const texts = [tlsaFor(leaf, 3, 1, 0), tlsaFor(leaf, 3, 1, 1), tlsaFor(leaf, 3, 1, 2)];
  assert.deepEqual(selectTlsa(texts.map(record)).usable.map(formatTlsa), [texts[0], texts[2]]);
});
