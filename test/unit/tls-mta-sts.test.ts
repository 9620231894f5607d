// MTA-STS texts: the record that announces a policy, policies good and bad, which hosts they allow, and the ones we serve ourselves.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { allowsHost, formatStsPolicy, parseStsPolicy, readStsRecord, stsPolicyId } from '#tls/mta-sts-policy.ts';

for (const [what, records, id] of [
  ['plain', ['v=STSv1; id=20260101T000000;'], '20260101T000000'],
  ['without the final semicolon', ['v=STSv1; id=1'], '1'],
  ['space before the semicolon', ['v=STSv1 ; id=1 ;'], '1'],
  ['more fields', ['v=STSv1; x=y; id=7; z=1'], '7'],
  ['other records beside it', ['v=spf1 -all', 'v=STSv1; id=1;'], '1'],
  ['two policies', ['v=STSv1; id=1;', 'v=STSv1; id=2;'], null],
  ['none', ['v=spf1 -all'], null],
  ['another version', ['v=STSv2; id=1;'], null],
  ['a word that begins like it', ['v=STSv10; id=1;'], null],
  ['lower case version', ['v=stsv1; id=1;'], null],
  ['no id', ['v=STSv1;'], null],
  ['an id with other characters', ['v=STSv1; id=1-2;'], null],
  ['an id too long', [`v=STSv1; id=${'1'.repeat(33)};`], null],
] as const) {
  test(`record: ${what}`, () => assert.equal(readStsRecord(records).id, id));
}

const GOOD = 'version: STSv1\r\nmode: enforce\r\nmx: mx.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n';

for (const [what, text, expected] of [
  ['as in the RFC', GOOD, { mode: 'enforce', mx: ['mx.example.com', '*.example.net'], maxAgeSeconds: 604_800 }],
  ['LF only, no last line end', 'version: STSv1\nmode: testing\nmx: a.test\nmax_age: 1', { mode: 'testing', mx: ['a.test'], maxAgeSeconds: 1 }],
  ['any order, spaces, unknown keys', 'max_age:5  \nfoo: bar\nmx:A.Test.\nmode:enforce\nversion:STSv1\n', { mode: 'enforce', mx: ['a.test'], maxAgeSeconds: 5 }],
  ['none needs no mx', 'version: STSv1\nmode: none\nmax_age: 86400\n', { mode: 'none', mx: [], maxAgeSeconds: 86_400 }],
  [
    'of a repeated key the first counts',
    'version: STSv1\nmode: testing\nmode: enforce\nmx: a.test\nmax_age: 10\nmax_age: 20\n',
    { mode: 'testing', mx: ['a.test'], maxAgeSeconds: 10 },
  ],
  ['a life longer than a year is a year', 'version: STSv1\nmode: testing\nmx: a.test\nmax_age: 9999999999\n', { mode: 'testing', mx: ['a.test'], maxAgeSeconds: 31_557_600 }],
  ['no version', 'mode: enforce\nmx: a.test\nmax_age: 1\n', /version is missing/],
  ['another version', 'version: STSv2\nmode: enforce\nmx: a.test\nmax_age: 1\n', /version is not STSv1/],
  ['no mode', 'version: STSv1\nmx: a.test\nmax_age: 1\n', /mode is missing/],
  ['an unknown mode', 'version: STSv1\nmode: Enforce\nmx: a.test\nmax_age: 1\n', /mode is none of/],
  ['no max_age', 'version: STSv1\nmode: enforce\nmx: a.test\n', /max_age/],
  ['a negative max_age', 'version: STSv1\nmode: enforce\nmx: a.test\nmax_age: -1\n', /max_age/],
  ['no mx', 'version: STSv1\nmode: enforce\nmax_age: 1\n', /no mx/],
  ['an mx that is no name', 'version: STSv1\nmode: enforce\nmx: a b\nmax_age: 1\n', /neither a host name nor a pattern/],
  ['an address as mx', 'version: STSv1\nmode: enforce\nmx: 192.0.2.1\nmax_age: 1\n', /neither a host name nor a pattern/],
  ['a pattern inside a name', 'version: STSv1\nmode: enforce\nmx: a.*.test\nmax_age: 1\n', /neither a host name nor a pattern/],
  ['a web page', '<!doctype html><html></html>', /no line of a policy/],
  ['nothing', '', /version is missing/],
] as const) {
  test(`policy: ${what}`, () => {
    const policy = parseStsPolicy(text);
    if (expected instanceof RegExp) return assert.match('problem' in policy ? policy.problem : '', expected);
    assert.ok(!('problem' in policy), JSON.stringify(policy));
    const { text: _, ...rest } = policy;
    assert.deepEqual(rest, expected);
  });
}

for (const [pattern, host, allowed] of [
  ['mx.example.com', 'mx.example.com', true],
  ['mx.example.com', 'a.mx.example.com', false],
  ['*.example.com', 'mx.example.com', true],
  ['*.example.com', 'a.mx.example.com', false],
  ['*.example.com', 'example.com', false],
  ['*.example.com', 'mx.example.com.evil.test', false],
  ['*.com', 'example.com', true],
] as const) {
  test(`${pattern} ${allowed ? 'allows' : 'does not allow'} ${host}`, () => assert.equal(allowsHost({ mx: [pattern] }, host), allowed));
}

test('what we serve is read back as it was meant, and its id changes with it alone', () => {
  const label = fc.stringMatching(/^[a-z]{1,10}$/);
  const policy = fc.record({
    mode: fc.constantFrom('enforce' as const, 'testing' as const),
    mx: fc.array(
      fc.tuple(fc.boolean(), label, label).map(([wild, a, b]) => `${wild ? '*.' : ''}${a}.${b}`),
      { minLength: 1, maxLength: 5 },
    ),
    maxAgeSeconds: fc.integer({ min: 86_400, max: 31_557_600 }),
  });
  fc.assert(
    fc.property(policy, (one) => {
      const read = parseStsPolicy(formatStsPolicy(one));
      assert.ok(!('problem' in read));
      assert.deepEqual([read.mode, read.mx, read.maxAgeSeconds], [one.mode, one.mx, one.maxAgeSeconds]);
      assert.equal(stsPolicyId(one), stsPolicyId({ ...one }));
      assert.notEqual(stsPolicyId(one), stsPolicyId({ ...one, maxAgeSeconds: one.maxAgeSeconds - 1 }));
      assert.deepEqual(readStsRecord([`v=STSv1; id=${stsPolicyId(one)};`]), { id: stsPolicyId(one) });
    }),
  );
});

test('no text makes the reader fail', () => fc.assert(fc.property(fc.string(), (text) => void parseStsPolicy(text))));
