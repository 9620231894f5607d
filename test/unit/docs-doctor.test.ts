// The page of the doctor against its code: every check has its row, and every row its check.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT } from '../support/postern.ts';

test('docs/doctor.md lists every check, and no other', () => {
  const page = readFileSync(join(ROOT, 'docs/doctor.md'), 'utf8');
  const told = [...page.matchAll(/^\| `([a-z0-9-]+)` \|/gm)].map(([, id]) => id ?? '').toSorted();
  const sources = readdirSync(join(ROOT, 'src/doctor'), { recursive: true })
    .map(String)
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(join(ROOT, 'src/doctor', name), 'utf8'));
  const ids = sources.flatMap((text) => [...text.matchAll(/(?:^ {2}|\{ )id: '([a-z0-9-]+)'/gm)].map(([, id]) => id ?? ''));
  assert.deepEqual(told, [...new Set(ids)].toSorted());
});
