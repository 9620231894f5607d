// The documentation's map of the code: functions named in docs/flow.md, rooms of CONTRIBUTING.md, paths and links of every page.

import assert from 'node:assert/strict';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { TIERS } from '../../scripts/layers.ts';
import { ROOT, codes, page, pages, tableRows } from '../support/markdown.ts';

/** A function, or a method, public or private, in a class, an object or a type. */
function defines(source: string, name: string): boolean {
  return new RegExp(`(?:\\bfunction\\*? ${name}[(<]|^\\s+(?:async )?\\*?#?${name}[(<].*(?:[{,(]|\\): .*;)$|\\bconst ${name} = (?:async )?\\()`, 'm').test(source);
}

test('every function named in docs/flow.md is in the file named before it', () => {
  let found = 0;
  for (const line of page('docs/flow.md').split('\n')) {
    let file = '';
    for (const code of codes(line)) {
      const name = /^(\w+)\(\)$/.exec(code)?.[1];
      if (code.startsWith('src/')) file = code;
      else if (name !== undefined) {
        assert.notEqual(file, '', `no file is named before ${code}`);
        assert.ok(defines(page(file), name), `${file} has no ${code}`);
        found++;
      }
    }
  }
  assert.ok(found > 80, `only ${found} functions were found on the page`);
});

test('CONTRIBUTING.md has every room of src/ in the order of its rank', () => {
  const rows = tableRows(page('CONTRIBUTING.md'), 'rank').map((row) => ({ rank: Number(row['rank']), room: (codes(row['room'] ?? '')[0] ?? '').replace(/^src\/(\w+)\/$/, '$1') }));
  const rooms = readdirSync(join(ROOT, 'src')).filter((name) => statSync(join(ROOT, 'src', name)).isDirectory());
  assert.deepEqual(rows.map(({ room }) => room).toSorted(), rooms.toSorted());
  const used = TIERS.map((tier) => tier.filter((room) => rooms.includes(room))).filter((tier) => tier.length > 0);
  for (const { rank, room } of rows) assert.ok(used[rank - 1]?.includes(room), `${room} has rank ${used.findIndex((tier) => tier.includes(room)) + 1}`);
});

/** Files that are there only on a machine that runs Postern, or as a pattern. */
const ELSEWHERE = /^(?:src|test|docs|scripts|bin|bench)\/(?:.*[A-Z*].*\/?|.*\*.*)$/;

test('every file of the repository that a page names is there', () => {
  for (const path of pages()) {
    for (const code of codes(page(path))) {
      const named = /^(?:src|test|docs|scripts|bin|bench)\/[\w./-]+$/.exec(code)?.[0];
      if (named === undefined || ELSEWHERE.test(named)) continue;
      assert.ok(existsSync(join(ROOT, named)), `${path} names ${named}`);
    }
  }
});

test('every link between pages leads to a page', () => {
  let links = 0;
  for (const path of pages()) {
    for (const match of page(path).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
      const target = match[1] ?? '';
      if (/^\w+:/.test(target)) continue;
      links++;
      assert.ok(existsSync(join(ROOT, dirname(path), target)), `${path} links to ${target}`);
    }
  }
  assert.ok(links > 20);
});

test('README.md leads to every page of docs/', () => {
  for (const name of readdirSync(join(ROOT, 'docs')).filter((one) => one.endsWith('.md'))) assert.ok(page('README.md').includes(`](docs/${name})`), `docs/${name}`);
});

test('every decision is in the list of decisions', () => {
  const files = readdirSync(join(ROOT, 'docs/decisions')).filter((name) => name !== 'README.md');
  for (const name of files) {
    assert.match(name, /^\d{4}-[a-z0-9-]+\.md$/);
    const [title = ''] = page(`docs/decisions/${name}`).split('\n');
    const [, number, text] = /^# (\d{4}): (.+)$/.exec(title) ?? [];
    assert.equal(number, name.slice(0, 4), name);
    assert.ok(page('docs/decisions/README.md').includes(`| [${number}](${name}) | ${text} |`), `${name} is not in the list under its title`);
  }
  const numbers = files.map((name) => name.slice(0, 4));
  assert.equal(new Set(numbers).size, numbers.length, 'a number is used twice');
});

test('every row of docs/states.md has its kill in test/faults/states.test.ts, and the reverse', () => {
  const rows = tableRows(page('docs/states.md'), 'id').flatMap((row) => codes(row['id'] ?? ''));
  const kills = [...page('test/faults/states.test.ts').matchAll(/^kill\('([^']+)'/gm)].map((match) => match[1] ?? '');
  assert.deepEqual(kills.toSorted(), rows.toSorted());
});
