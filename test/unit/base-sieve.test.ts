// The set in shared memory: what was added is never denied, what was not almost always is, and all threads see the same.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSieve, openSieve } from '#base/sieve.ts';

test('until it is filled everything may be in it', () => {
  const sieve = openSieve(createSieve());
  assert.equal(sieve.mayHold('a@example.com'), true);
  sieve.filled();
  assert.equal(sieve.mayHold('a@example.com'), false);
});

test('what was added is found by everybody who opens the memory, and hardly anything else', () => {
  const memory = createSieve();
  const sieve = openSieve(memory);
  sieve.filled();
  for (let i = 0; i < 100_000; i++) sieve.add(`* user${i}@example.com`);
  const other = openSieve(memory);
  let inVain = 0;
  for (let i = 0; i < 100_000; i++) {
    assert.ok(other.mayHold(`* user${i}@example.com`), String(i));
    if (other.mayHold(`* other${i}@example.com`) || other.mayHold(`example.org user${i}@example.com`)) inVain++;
  }
  assert.ok(inVain < 100, `${inVain} of 100,000 looked up in vain`);
});
