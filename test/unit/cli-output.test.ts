// Tables as people see them: aligned by what is shown, not by code units, and within the terminal.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { openOutput, safe } from '#cli/output.ts';
import { columnsOf, cut, pad } from '#cli/width.ts';

function table(head: readonly string[], rows: readonly (readonly string[])[], terminal: number | null): string[] {
  let written = '';
  const stdout = { write: (text: string) => (written += text), ...(terminal === null ? {} : { isTTY: true, columns: terminal }) };
  openOutput({ json: () => false, stdout, stderr: stdout }).table(head, rows);
  return stripVTControlCharacters(written).trimEnd().split('\n');
}

test('columns are those of a terminal', () => {
  for (const [text, columns] of [
    ['plain', 5],
    ['日本語', 6],
    ['Grüße', 5],
    ['e\u0301', 1],
    ['👩‍👩‍👧', 2],
    ['🇩🇪', 2],
    ['한국어', 6],
    ['\u200b', 0],
  ] as const)
    assert.equal(columnsOf(text), columns, JSON.stringify(text));
});

test('nothing that came by mail steers the terminal, nor turns what stands beside it around', () => {
  assert.equal(safe('a\x1b[31mred\x1b[0m\x1b]0;title\x07b'), 'aredb');
  assert.equal(safe('\x00\x08\r\x7f\x9b'), '?????');
  assert.equal(safe('to \u202egpj.exe\u2066x\u2069'), 'to ?gpj.exe?x?');
  assert.equal(safe('שלום\u200f, Grüße\t日本'), 'שלום\u200f, Grüße\t日本');
});

test('a cut falls between characters, and counts the ellipsis', () => {
  assert.equal(cut('日本語です', 7), '日本語…');
  assert.equal(cut('日本語です', 6), '日本…');
  assert.equal(cut('ab👩‍👩‍👧cd', 4), 'ab…');
  assert.equal(cut('ab👩‍👩‍👧cd', 6), 'ab👩‍👩‍👧cd');
  assert.equal(pad('日本', 6), '日本  ');
});

const HEAD = ['ID', 'ACCEPTED', 'FROM', 'TO', 'SUBJECT'];
const ROWS = [
  ['1m86hbkgay1jw9hg', '2026-11-24 10:24:22Z', 'someone-with-a-long-name@sender.example', 'another-long-name@receiver.example', '日本語の件名です、とても長い件名'],
  ['1m86hbht923gvcq2', '2026-11-24 10:24:20Z', '<>', 'b@c.example', 'short'],
];

for (const terminal of [80, 100, 140]) {
  test(`within ${terminal} columns every column is there, and ids and times are whole`, () => {
    const lines = table(HEAD, ROWS, terminal);
    for (const line of lines) assert.ok(columnsOf(line) <= terminal, line);
    assert.match(lines[0] ?? '', /ID +ACCEPTED +FROM +TO +SUBJECT/);
    assert.match(lines[1] ?? '', /^1m86hbkgay1jw9hg {2}2026-11-24 10:24:22Z {2}someone/);
    assert.match(lines[1] ?? '', /another/);
    assert.match(lines[1] ?? '', /日本/);
    const at = columnsOf((lines[0] ?? '').slice(0, (lines[0] ?? '').indexOf('TO')));
    for (const [line, text] of [
      [lines[1] ?? '', 'another'],
      [lines[2] ?? '', 'b@c'],
    ] as const)
      assert.equal(columnsOf(line.slice(0, line.indexOf(text))), at, 'aligned');
  });
}

test('away from a terminal nothing is cut', () => {
  const lines = table(HEAD, ROWS, null);
  for (const cell of ROWS.flat()) assert.ok(lines.join('\n').includes(cell));
});
