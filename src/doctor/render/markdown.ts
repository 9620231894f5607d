// A report as Markdown, for tickets and chats.

import type { Finding, Report, Status } from '#doctor/report.ts';
import { boardOf, bySubject } from './board.ts';

const WORDS: Readonly<Record<Status, string>> = { pass: 'ok', warn: 'look', fail: '**FAIL**', skip: '-' };

export function reportMarkdown(report: Report): string {
  const { summary } = report;
  const { columns, rows } = boardOf(report);
  const parts = [
    `# ${escape(report.target)}: ${escape(summary.text)}`,
    `${report.startedAt}, ${summary.pass} right, ${summary.warn} to look at, ${summary.fail} wrong, ${summary.skip} not looked at.`,
  ];
  if (rows.length > 0)
    parts.push(
      [
        `| | ${columns.join(' | ')} |`,
        `|---|${columns.map(() => '---').join('|')}|`,
        ...rows.map(({ subject, cells }) => `| ${escape(subject)} | ${cells.map((cell) => (cell === null ? '' : WORDS[cell])).join(' | ')} |`),
      ].join('\n'),
    );
  for (const [subject, findings] of bySubject(report.checks)) parts.push(`## ${escape(subject)}`, findings.map(findingMarkdown).join('\n'));
  return `${parts.join('\n\n')}\n`;
}

function findingMarkdown({ status, title, evidence, cause, fix }: Finding): string {
  const lines = [`- ${WORDS[status]} ${escape(title)}`];
  if (cause !== '') lines.push(`  - cause: ${escape(cause)}`);
  if (fix !== '') lines.push(`  - fix: ${escape(fix)}`);
  if (evidence !== '')
    lines.push(
      `\n  ${fence(evidence)}\n${evidence
        .split('\n')
        .map((line) => `  ${line}`)
        .join('\n')}\n  ${fence(evidence)}\n`,
    );
  return lines.join('\n');
}

/** Longer than any run of backticks in it: a server may say what it likes. */
function fence(text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  return '`'.repeat(longest + 1);
}

function escape(text: string): string {
  return text.replace(/[\\`*_{}[\]<>()#+!|~]/g, '\\$&').replace(/\n/g, ' ');
}
