// What the digits of a port say: only where a person chose them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isImplicitTlsPort, isMadeAfter } from '#base/ports.ts';

test('TLS begins with the first byte on 465 and on ports made after it', () => {
  for (const port of [465, 1465, 2465, 8465, 10_465, 31_465]) assert.equal(isImplicitTlsPort(port), true, String(port));
  for (const port of [25, 587, 2525, 464, 4650, 4651, 10_587]) assert.equal(isImplicitTlsPort(port), false, String(port));
});

test('a port that the kernel drew says nothing', () => {
  for (const port of [33_465, 35_465, 60_465, 65_465]) assert.equal(isImplicitTlsPort(port), false, String(port));
  assert.equal(isMadeAfter(10_025, 25), true);
  assert.equal(isMadeAfter(40_025, 25), false);
  assert.equal(isMadeAfter(10_587, 587), true);
  assert.equal(isMadeAfter(40_587, 587), false);
});
