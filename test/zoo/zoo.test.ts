// The fault zoo: servers and domains with one planted fault each, built from real software, and healthy ones. The doctor, as its users run it,
// has to name each fault with its cause and its fix, and to find nothing else.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { hostOf } from './animal.ts';
import { visit } from './box.ts';
import type { Visit } from './box.ts';
import { ANIMALS } from './list.ts';
import { softwareOf } from './software.ts';
import { judge } from './verdict.ts';

const visits = new Map<string, Visit>();

before(() => visit([], (one) => visits.set(one.name, one)));

test('the zoo is as large as it is said to be, and every animal is told apart', () => {
  const names = ANIMALS.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  assert.ok(ANIMALS.filter(({ expect }) => expect !== null).length >= 30);
  assert.ok(ANIMALS.filter(({ expect }) => expect === null).length >= 5);
});

for (const animal of ANIMALS) {
  test(`${hostOf(animal.name)} (${softwareOf(animal)}): ${animal.fault ?? 'healthy'}`, () => {
    const seen = visits.get(animal.name);
    assert.ok(seen !== undefined, 'it was not visited');
    const { problems } = judge(animal, seen);
    assert.deepEqual(
      problems,
      [],
      JSON.stringify(
        seen.report?.checks.filter(({ status }) => status !== 'pass'),
        null,
        2,
      ),
    );
  });
}
