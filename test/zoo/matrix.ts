// `npm run zoo`: prints what the doctor said of every animal, a row each; --json for programs, names to see only these. Exit 1 when it was wrong.

import process from 'node:process';
import { parseArgs } from 'node:util';
import { visit } from './box.ts';
import type { Visit } from './box.ts';
import { ANIMALS } from './list.ts';
import { softwareOf } from './software.ts';
import { judge } from './verdict.ts';

const { values, positionals } = parseArgs({ allowPositionals: true, options: { json: { type: 'boolean' }, findings: { type: 'boolean' } } });
const unknown = positionals.filter((name) => !ANIMALS.some((animal) => animal.name === name));
if (unknown.length > 0) {
  process.stderr.write(`error: the zoo has no ${unknown.join(', ')}.\nfix:   Name some of: ${ANIMALS.map(({ name }) => name).join(' ')}\n`);
  process.exit(2);
}

const startMs = performance.now();
const visits = new Map<string, Visit>();
await visit(positionals, (one) => {
  visits.set(one.name, one);
  if (process.stderr.isTTY) process.stderr.write(`\r${visits.size} seen `);
});
if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
const rows = ANIMALS.flatMap((animal) => {
  const seen = visits.get(animal.name);
  if (seen === undefined) return [];
  const { verdict, finding, problems } = judge(animal, seen);
  const { name, fault } = animal;
  return [
    {
      server: name,
      fault: fault ?? 'none',
      software: softwareOf(animal),
      finding: finding?.id ?? '',
      title: finding?.title ?? '',
      status: finding?.status ?? 'pass',
      evidence: finding?.evidence ?? '',
      cause: finding?.cause ?? '',
      fix: finding?.fix ?? '',
      verdict,
      problems,
      ms: seen.ms,
      report: seen.report,
    },
  ];
});
const wrong = rows.filter(({ problems }) => problems.length > 0);
const count = (verdict: string): number => rows.filter((row) => row.verdict === verdict).length;
const summary = {
  faults: rows.filter(({ fault }) => fault !== 'none').length,
  named: count('named'),
  healthy: count('healthy'),
  wrong: wrong.length,
  seconds: Math.round((performance.now() - startMs) / 100) / 10,
};
process.stdout.write(
  values.json === true ? `${JSON.stringify({ summary, rows: rows.map(({ report, ...row }) => (values.findings === true ? { ...row, report } : row)) }, null, 2)}\n` : table(),
);
process.exitCode = wrong.length > 0 ? 1 : 0;

function table(): string {
  const columns = [
    ['server', (row) => row.server],
    ['software', (row) => row.software],
    ['planted fault', (row) => row.fault],
    ['named by', (row) => row.finding.replace(/@.*/s, '')],
    ['status', (row) => row.status],
    ['verdict', (row) => row.verdict],
    ['title and evidence', (row) => (row.title === '' ? '' : `${row.title}: ${row.evidence.replace(/\s+/g, ' ')}`)],
  ] as const satisfies readonly (readonly [string, (row: (typeof rows)[number]) => string])[];
  const widths = columns.map(([head, cell]) => Math.max(head.length, ...rows.map((row) => cell(row).length)));
  const room = (process.stdout.columns ?? 200) - widths.slice(0, -1).reduce((sum, width) => sum + width + 2, 0);
  const line = (cells: readonly string[]): string => cells.map((cell, i) => (i < cells.length - 1 ? cell.padEnd(widths[i] ?? 0) : cell.slice(0, Math.max(40, room)))).join('  ');
  const problems = wrong.flatMap(({ server, problems: found }) => [`\n${server}:`, ...found.map((problem) => `  ${problem}`)]);
  return [
    line(columns.map(([head]) => head)),
    ...rows.map((row) => line(columns.map(([, cell]) => cell(row)))),
    '',
    `${summary.named} of ${summary.faults} planted faults named; ${summary.healthy} healthy without a false alarm; ${summary.wrong} wrong; ${summary.seconds} s`,
    ...problems,
    '',
  ].join('\n');
}
