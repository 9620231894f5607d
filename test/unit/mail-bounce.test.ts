// Delivery reports of other servers, each file of test/vectors/bounces a case; and return paths, which nobody else can make up.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseBounce } from '#mail/bounce.ts';
import type { Bounce } from '#mail/bounce.ts';
import { composeDsn } from '#mail/dsn.ts';
import { parseHeaders } from '#mail/headers.ts';
import { openReturnPaths } from '#mail/identity/verp.ts';

const DIRECTORY = join(import.meta.dirname, '../vectors/bounces');

function subjectOf(bounce: Bounce): string | null {
  if (bounce.headers === null) return null;
  return (
    parseHeaders(bounce.headers)
      .fields.find((field) => field.name === 'subject')
      ?.value() ?? ''
  );
}

for (const name of readdirSync(DIRECTORY).filter((file) => file.endsWith('.eml'))) {
  test(`${name} is read as it should be, with line ends of either kind`, () => {
    const expected: unknown = JSON.parse(readFileSync(join(DIRECTORY, name.replace('.eml', '.json')), 'utf8'));
    const text = readFileSync(join(DIRECTORY, name), 'latin1');
    for (const content of [text, text.replace(/\r?\n/g, '\r\n')]) {
      const bounce = parseBounce(Buffer.from(content, 'latin1'));
      assert.deepEqual(bounce === null ? null : { reportingHost: bounce.reportingHost, recipients: bounce.recipients, subject: subjectOf(bounce) }, expected);
    }
  });
}

test('our own notifications can be read back', () => {
  const chunks = composeDsn({
    kind: 'failed',
    hostname: 'relay.example.net',
    id: '0123456789abcdef',
    nowMs: 0,
    original: {
      from: { local: 'a', domain: 'example.com', text: 'a@example.com' },
      envid: null,
      ret: null,
      acceptedAtMs: 0,
      headers: Buffer.from('Subject: x\r\n\r\n'),
      body: null,
    },
    recipients: [
      {
        address: { local: 'b', domain: 'far.example', text: 'b@far.example' },
        orcpt: null,
        outcome: { scope: 'recipient', code: 550, enhanced: '5.1.1', text: 'no such user', cause: 'c', fix: 'f', remoteHost: 'mx.far.example', startedAtMs: 0, durationMs: 1 },
      },
    ],
    retryUntilMs: null,
  });
  const bounce = parseBounce(Buffer.concat(chunks));
  assert.deepEqual(bounce?.recipients, [
    { final: 'b@far.example', original: null, action: 'failed', status: '5.1.1', diagnostic: '550 5.1.1 no such user', remoteHost: 'mx.far.example' },
  ]);
});

test('a report that is cut off anywhere, or has bytes changed, is read or not read, and never breaks anything', () => {
  const text = readFileSync(join(DIRECTORY, '02-several-recipients.eml'));
  fc.assert(
    fc.property(fc.nat(text.length), fc.nat(text.length - 1), fc.nat(255), (end, at, byte) => {
      const changed = Buffer.from(text.subarray(0, Math.max(end, 1)));
      if (at < changed.length) changed[at] = byte;
      parseBounce(changed);
    }),
    { numRuns: 2000 },
  );
});

test('a return path is read back in either case, for its own domain, and no other text is one', () => {
  const paths = openReturnPaths(Buffer.alloc(32, 1));
  for (const id of ['0123456789abcdef', 'zzzzzzzzzzzzzzzz']) {
    const local = paths.local('bounce.example.com', id);
    assert.ok(local.length <= 64);
    assert.equal(paths.local('bounce.example.com', id), local, 'the same each time');
    assert.equal(paths.read('bounce.example.com', local), id);
    assert.equal(paths.read('bounce.example.com', local.toUpperCase()), id);
    assert.equal(paths.read('bounce.example.net', local), null);
    assert.equal(openReturnPaths(Buffer.alloc(32, 2)).read('bounce.example.com', local), null);
    for (let at = 0; at < local.length; at++) {
      const changed = `${local.slice(0, at)}${local[at] === '2' ? '3' : '2'}${local.slice(at + 1)}`;
      assert.equal(paths.read('bounce.example.com', changed), null, changed);
    }
  }
  for (const text of ['', 'bounce', 'bounce+', 'bounce+0123456789abcdef', 'postmaster', `x${paths.local('d', '0123456789abcdef')}`]) assert.equal(paths.read('d', text), null);
});
