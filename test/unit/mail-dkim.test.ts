// DKIM against the examples of its RFCs, and against rules that hold for any body. Each file of test/vectors/dkim is a case.

import assert from 'node:assert/strict';
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { ALGORITHMS, algorithm } from '#mail/dkim/algorithms.ts';
import type { AlgorithmName } from '#mail/dkim/algorithms.ts';
import { BodyHash, canonicalField } from '#mail/dkim/canonical.ts';
import type { CanonicalizationName } from '#mail/dkim/canonical.ts';
import { computeSignature, ownPen } from '#mail/dkim/pen.ts';
import { signMessage } from '#mail/dkim/signer.ts';
import type { SigningKey } from '#mail/dkim/signer.ts';
import { openSigningThreads } from '#mail/dkim/signing-threads.ts';
import { parseHeaders } from '#mail/headers.ts';

const DIRECTORY = join(import.meta.dirname, '../vectors/dkim');

type Case = { readonly source: string; readonly keys: Readonly<Record<string, string>>; readonly p?: Readonly<Record<string, string>> };
type Canonical = { readonly source: string; readonly as: CanonicalizationName; readonly raw: string; readonly canonical: string };

function hashOf(body: Buffer, as: CanonicalizationName, chunkBytes = Math.max(1, body.length)): string {
  const hash = new BodyHash(as);
  for (let at = 0; at < body.length; at += chunkBytes) hash.update(body.subarray(at, at + chunkBytes));
  return hash.digest().toString('base64');
}

function tagsOf(value: string): Map<string, string> {
  return new Map(
    value
      .split(';')
      .map((tag) => tag.trim())
      .filter((tag) => tag !== '')
      .map((tag) => [tag.slice(0, tag.indexOf('=')).trim(), tag.slice(tag.indexOf('=') + 1).replace(/\s+/g, '')]),
  );
}

/** The fields that `h=` names, each time the lowest that was not taken (RFC 6376 5.4.2). */
function inputOf(text: string, names: readonly string[], as: CanonicalizationName): string {
  const left = parseHeaders(Buffer.from(text, 'latin1')).fields;
  return names
    .map((name) => {
      const at = left.findLastIndex((field) => field.name === name.toLowerCase());
      const [field] = at === -1 ? [] : left.splice(at, 1);
      return field === undefined ? '' : canonicalField(text.slice(field.start, field.end), as);
    })
    .join('');
}

for (const name of readdirSync(DIRECTORY).filter((file) => file.endsWith('.eml'))) {
  const { source, keys, p } = JSON.parse(readFileSync(join(DIRECTORY, name.replace('.eml', '.json')), 'utf8')) as Case;
  const text = readFileSync(join(DIRECTORY, name), 'latin1').replace(/\r?\n/g, '\r\n');
  const { fields, endOffset } = parseHeaders(Buffer.from(text, 'latin1'));
  for (const field of fields.filter((one) => one.name === 'dkim-signature')) {
    const tags = tagsOf(field.value());
    const selector = tags.get('s') ?? '';
    test(`${source}: ${tags.get('a')}, selector ${selector}, gives the printed signature`, () => {
      const [headAs, bodyAs] = (tags.get('c') ?? '').split('/') as [CanonicalizationName, CanonicalizationName];
      assert.equal(hashOf(Buffer.from(text.slice(endOffset), 'latin1'), bodyAs), tags.get('bh'));
      const privateKey = createPrivateKey(keys[selector] ?? '');
      const name = tags.get('a') as AlgorithmName;
      const unsigned = text.slice(field.start, field.end).replace(/\bb=[A-Za-z0-9+/=\s]+/, (found) => (found.endsWith('\r\n') && !found.includes(';') ? 'b=\r\n' : 'b='));
      const covered = inputOf(text, (tags.get('h') ?? '').split(':'), headAs);
      assert.equal(computeSignature(name, privateKey, covered + canonicalField(unsigned, headAs).slice(0, -2)), tags.get('b'));
      if (p !== undefined) assert.equal(algorithm(name).publicBytes(createPublicKey(privateKey)).toString('base64'), p[selector]);
    });
  }
}

const canonical = JSON.parse(readFileSync(join(DIRECTORY, '03-canonical.json'), 'utf8')) as { fields: Canonical[]; bodies: Canonical[] };

for (const one of canonical.fields) {
  test(`a field, ${one.as}: ${one.source}`, () => assert.equal(canonicalField(one.raw, one.as), one.canonical));
}

for (const one of canonical.bodies) {
  test(`a body, ${one.as}: ${one.source}; however it is cut`, () => {
    const expected = createHash('sha256').update(Buffer.from(one.canonical, 'latin1')).digest('base64');
    const body = Buffer.from(one.raw, 'latin1');
    for (const size of [1, 2, 3, 5, 64]) assert.equal(hashOf(body, one.as, size), expected, `in chunks of ${size}`);
  });
}

/** RFC 6376 3.4.4 in its own words, for whole texts. */
function relaxedByTheBook(body: string): string {
  const lines = body.split('\r\n').map((line) => line.replace(/[ \t]+$/, '').replace(/[ \t]+/g, ' '));
  while (lines.length > 0 && lines.at(-1) === '') lines.pop();
  return lines.map((line) => `${line}\r\n`).join('');
}

test('relaxed bodies of any content and any cut are what the RFC says', () => {
  const piece = fc.constantFrom('a', 'bc', ' ', '  ', '\t', '\r\n', '\r\n\r\n', '\r', '\n', '.', 'é');
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), fc.integer({ min: 1, max: 9 }), (pieces, size) => {
      const text = pieces.join('');
      const expected = createHash('sha256')
        .update(Buffer.from(relaxedByTheBook(text), 'latin1'))
        .digest('base64');
      assert.equal(hashOf(Buffer.from(text, 'latin1'), 'relaxed', size), expected);
    }),
    { numRuns: 3000 },
  );
});

test('a body of many megabytes of empty lines is hashed without being kept', () => {
  const hash = new BodyHash('relaxed');
  const lines = Buffer.from('\r\n'.repeat(100_000));
  hash.update(Buffer.from('a'));
  for (let i = 0; i < 50; i++) hash.update(lines);
  hash.update(Buffer.from('b\r\n'));
  const expected = createHash('sha256').update('a');
  for (let i = 0; i < 50; i++) expected.update(lines);
  assert.equal(hash.digest().toString('hex'), expected.update('b\r\n').digest('hex'));
});

function testKeys(): SigningKey[] {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const ed = generateKeyPairSync('ed25519');
  return [
    { domain: 'example.com', selector: 'p20261124r', algorithm: 'rsa-sha256', privateKey: rsa.privateKey },
    { domain: 'example.com', selector: 'p20261124e', algorithm: 'ed25519-sha256', privateKey: ed.privateKey },
  ];
}

const HEADER = 'From: A <a@example.com>\r\nTo: b@example.net\r\nSubject: one\r\n two\r\nDate: Tue, 24 Nov 2026 08:00:00 +0000\r\nMessage-ID: <1@example.com>\r\nX-Own: x\r\n\r\n';

test('both signatures are made, cover what a reader sees once more than it is there, and say nothing of a length', async () => {
  const keys = testKeys();
  const bodyHash = new BodyHash('relaxed').digest();
  const signed = (await signMessage(keys, { header: Buffer.from(HEADER), bodyHash, nowMs: 1_764_000_000_123, lifetimeMs: 604_800_000 }, ownPen)).toString('latin1');
  const { fields } = parseHeaders(Buffer.from(`${signed}${HEADER}`, 'latin1'));
  const signatures = fields.filter((field) => field.name === 'dkim-signature');
  assert.equal(signatures.length, 2);
  assert.ok(
    signed.split('\r\n').every((line) => line.length <= 78),
    signed,
  );
  for (const [i, field] of signatures.entries()) {
    const tags = tagsOf(field.value());
    const key = keys[i] as SigningKey;
    assert.deepEqual([...tags.keys()], ['v', 'a', 'c', 'd', 's', 't', 'x', 'h', 'bh', 'b']);
    assert.equal(tags.get('a'), key.algorithm);
    assert.equal(tags.get('t'), '1764000000');
    assert.equal(tags.get('x'), '1764604800');
    assert.equal(tags.get('h'), 'from:from:subject:subject:date:date:to:to:cc:reply-to:message-id:message-id');
    assert.equal(tags.get('bh'), '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=');
    const raw = signed.slice(field.start, field.end);
    const own = canonicalField(raw.slice(0, raw.indexOf('b=', raw.indexOf('bh=') + 3) + 2), 'relaxed').slice(0, -2);
    const input = Buffer.from(inputOf(HEADER, (tags.get('h') ?? '').split(':'), 'relaxed') + own, 'latin1');
    const data = key.algorithm === 'rsa-sha256' ? input : createHash('sha256').update(input).digest();
    assert.ok(verify(key.algorithm === 'rsa-sha256' ? 'sha256' : null, data, createPublicKey(key.privateKey), Buffer.from(tags.get('b') ?? '', 'base64')));
  }
});

test('of several fields with one name all are covered, the last one first', async () => {
  const header = Buffer.from('From: a@example.com\r\nList-Id: one\r\nTo: first\r\nTo: second\r\nList-Id: two\r\n\r\n');
  const [key] = testKeys();
  const signed = await signMessage([key as SigningKey], { header, bodyHash: Buffer.alloc(32), nowMs: 0, lifetimeMs: 1000 }, ownPen);
  const h = tagsOf(parseHeaders(signed).fields[0]?.value() ?? '').get('h');
  assert.equal(h, 'from:from:subject:date:to:to:to:cc:reply-to:message-id:list-id:list-id');
});

test('keys are RSA of 2048 bits and Ed25519', async () => {
  for (const row of ALGORITHMS) {
    const { publicKey } = await row.makeKey();
    assert.equal(publicKey.asymmetricKeyType, row.keyType);
    assert.equal(row.publicBytes(publicKey).length, row.keyType === 'rsa' ? 294 : 32);
  }
});

test('threads sign what is wanted, each message with its own keys, and say which key cannot', async () => {
  const pen = openSigningThreads({ threads: 2, waiting: 1000 });
  const keys = [...testKeys(), ...testKeys()];
  const inputs = Array.from({ length: 60 }, (_, i) => `input ${i} \xff`);
  const made = await Promise.all(inputs.map((input, i) => pen.sign(keys.slice((i % 2) * 2, (i % 2) * 2 + 2).map((key) => ({ key, input })))));
  for (const [i, input] of inputs.entries()) {
    const own = keys.slice((i % 2) * 2, (i % 2) * 2 + 2);
    assert.deepEqual(
      made[i],
      own.map((key) => computeSignature(key.algorithm, key.privateKey, input)),
    );
  }
  // Between two that can, one whose key is of the wrong kind: only that one fails.
  const wrong = { algorithm: 'ed25519-sha256', privateKey: createPublicKey((keys[0] as SigningKey).privateKey) } as const;
  const [before, broken, after] = await Promise.allSettled([
    pen.sign([{ key: keys[0] as SigningKey, input: 'a' }]),
    pen.sign([{ key: wrong, input: 'b' }]),
    pen.sign([{ key: keys[1] as SigningKey, input: 'c' }]),
  ]);
  assert.deepEqual([before?.status, broken?.status, after?.status], ['fulfilled', 'rejected', 'fulfilled']);
  await pen.close();
  await assert.rejects(pen.sign([{ key: keys[0] as SigningKey, input: 'late' }]), /the server stops/);
});

test('a thread that dies takes only what it had: the next one signs what comes after', async () => {
  const pen = openSigningThreads({ threads: 1, waiting: 3, entry: new URL('../fixtures/mortal-signing.ts', import.meta.url) });
  const [key] = testKeys() as [SigningKey];
  await assert.rejects(pen.sign([{ key, input: 'die' }]), /a thread that signs ended/);
  const waiting = ['1', '2', '3'].map((input) => pen.sign([{ key, input }]));
  assert.equal(pen.waiting, 3);
  await assert.rejects(pen.sign([{ key, input: '4' }]), { code: 'signing-overloaded' });
  assert.deepEqual(await Promise.all(waiting), [['1 by 1'], ['2 by 1'], ['3 by 1']]);
  await assert.rejects(pen.sign([{ key, input: 'die' }]), /a thread that signs ended/);
  // A new thread knows no key that the old one was told.
  assert.deepEqual(await pen.sign([{ key, input: 'again' }]), ['again by 1']);
  await pen.close();
});
