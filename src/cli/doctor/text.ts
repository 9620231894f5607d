// A report for a terminal: the board of ports, then what is wrong with evidence, cause and fix; what is right in a line each.

import { styleText } from 'node:util';
import { safe } from '#cli/output.ts';
import type { Finding, Report, Status } from '#doctor/report.ts';
import { boardOf, bySubject } from '#doctor/render/board.ts';

const SYMBOLS: Readonly<Record<Status, string>> = { pass: '✓', warn: '!', fail: '✗', skip: '·' };
const COLOURS = { pass: 'green', warn: 'yellow', fail: 'red', skip: 'dim' } as const;

export type TextOptions = { readonly colour: boolean; readonly verbose: boolean; readonly width: number };

export function reportText(report: Report, options: TextOptions): string {
  const paint = painter(options);
  const parts = [boardText(report, paint), ...bySubject(report.checks).map(([subject, findings]) => groupText(subject, findings, options))];
  const { summary } = report;
  const seconds = (report.durationMs / 1000).toFixed(1);
  parts.push(
    `${paint(summary.status, `${SYMBOLS[summary.status]} ${report.target}: ${summary.text}`)}\n${summary.pass} right, ${summary.warn} to look at, ${summary.fail} wrong, ${summary.skip} not looked at, in ${seconds} s`,
  );
  return parts.filter((part) => part !== '').join('\n\n');
}

type Paint = (status: Status, text: string) => string;

function painter({ colour }: TextOptions): Paint {
  return (status, text) => (colour ? styleText(COLOURS[status], text, { validateStream: false }) : text);
}

function boardText(report: Report, paint: Paint): string {
  const { columns, rows } = boardOf(report);
  if (rows.length === 0) return '';
  const first = Math.max(...rows.map(({ subject }) => subject.length));
  const head = [''.padEnd(first), ...columns].join('  ');
  const lines = rows.map(({ subject, cells }) => {
    const marks = cells.map((cell, i) => {
      const width = columns[i]?.length ?? 0;
      return cell === null ? ' '.padEnd(width) : paint(cell, SYMBOLS[cell]) + ' '.repeat(width - 1);
    });
    return [subject.padEnd(first), ...marks].join('  ').trimEnd();
  });
  return [head, ...lines].join('\n');
}

function groupText(subject: string, findings: readonly Finding[], options: TextOptions): string {
  return [subject, ...findings.map((finding) => findingText(finding, options))].join('\n');
}

/** One finding; also printed live. */
export function findingText(finding: Finding, options: TextOptions): string {
  const paint = painter(options);
  const { status, title, evidence, cause, fix } = finding;
  const mark = `  ${paint(status, SYMBOLS[status])} `;
  const [first = '', ...rest] = safe(evidence).split('\n');
  if (status === 'pass' || status === 'skip') {
    if (options.verbose && rest.length > 0) return `${mark}${title}\n${indented(evidence, '      ')}`;
    const text = rest.length > 0 ? `${first} …` : first;
    return cut(`${mark}${title}${text === '' ? '' : `: ${text}`}`, options);
  }
  const block = (name: string, text: string): string => (text === '' ? '' : `\n      ${name.padEnd(9)} ${indented(text, ' '.repeat(16)).trimStart()}`);
  return `${mark}${paint(status, title)}${block('evidence', evidence)}${block('cause', cause)}${block('fix', fix)}`;
}

function indented(text: string, indent: string): string {
  return safe(text)
    .split('\n')
    .map((line) => `${indent}${line}`)
    .join('\n');
}

/** Colour takes no room: only what is shown counts, and only the plain line is cut. */
function cut(line: string, { width, colour, verbose }: TextOptions): string {
  const extra = colour ? 10 : 0;
  return verbose || line.length <= width + extra ? line : `${line.slice(0, width + extra - 1)}…`;
}
