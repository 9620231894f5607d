// A report as one HTML file that needs nothing else: to be mailed, kept, or printed. No script, nothing loaded.

import type { Finding, Report, Status } from '#doctor/report.ts';
import { boardOf, bySubject } from './board.ts';

const WORDS: Readonly<Record<Status, string>> = { pass: 'right', warn: 'look', fail: 'wrong', skip: 'not looked at' };
const SYMBOLS: Readonly<Record<Status, string>> = { pass: '✓', warn: '!', fail: '✗', skip: '·' };

const STYLE = `
:root{color-scheme:light dark;--line:#d5d9e0;--soft:#f4f6f9;--pass:#176b37;--warn:#8a5a00;--fail:#b3261e;--skip:#5f6673}
@media (prefers-color-scheme:dark){:root{--line:#3a414d;--soft:#1b2029;--pass:#6fd08f;--warn:#f0b84a;--fail:#ff8a80;--skip:#9aa3b2}}
*{box-sizing:border-box}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1.5rem}
h1{font-size:1.5rem;margin:0 0 .25rem}h2{font-size:1.1rem;margin:2rem 0 .5rem;overflow-wrap:anywhere}
table{border-collapse:collapse;display:block;overflow-x:auto}td,th{padding:.3rem .7rem;border-bottom:1px solid var(--line);text-align:left;white-space:nowrap}
.pass{color:var(--pass)}.warn{color:var(--warn)}.fail{color:var(--fail)}.skip{color:var(--skip)}
details{border-bottom:1px solid var(--line);padding:.4rem 0}summary{cursor:pointer}
pre{background:var(--soft);padding:.6rem;overflow-x:auto;font-size:.85rem;white-space:pre-wrap;overflow-wrap:anywhere}
dt{font-weight:600}dd{margin:0 0 .5rem}`;

export function reportHtml(report: Report): string {
  const { summary } = report;
  const { columns, rows } = boardOf(report);
  const board =
    rows.length === 0
      ? ''
      : `<table><thead><tr><th></th>${columns.map((name) => `<th scope="col">${escape(name)}</th>`).join('')}</tr></thead><tbody>${rows
          .map(({ subject, cells }) => `<tr><th scope="row">${escape(subject)}</th>${cells.map((cell) => `<td>${cell === null ? '' : mark(cell)}</td>`).join('')}</tr>`)
          .join('')}</tbody></table>`;
  const groups = bySubject(report.checks).map(([subject, findings]) => `<section><h2>${escape(subject)}</h2>${findings.map(findingHtml).join('')}</section>`);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escape(report.target)}: ${escape(summary.text)}</title><style>${STYLE}</style></head>
<body><main><h1>${escape(report.target)}</h1>
<p class="${summary.status}"><strong>${SYMBOLS[summary.status]} ${escape(summary.text)}</strong></p>
<p>${escape(report.startedAt)}: ${summary.pass} right, ${summary.warn} to look at, ${summary.fail} wrong, ${summary.skip} not looked at.</p>
${board}
${groups.join('\n')}
</main></body></html>
`;
}

function mark(status: Status): string {
  return `<span class="${status}"><span aria-hidden="true">${SYMBOLS[status]}</span> ${WORDS[status]}</span>`;
}

function findingHtml({ status, title, evidence, cause, fix }: Finding): string {
  const open = status === 'warn' || status === 'fail' ? ' open' : '';
  const facts = [
    ['Cause', cause],
    ['Fix', fix],
  ]
    .filter(([, text]) => text !== '')
    .map(([name = '', text = '']) => `<dt>${name}</dt><dd>${escape(text)}</dd>`)
    .join('');
  return `<details${open}><summary>${mark(status)}: ${escape(title)}</summary>${facts === '' ? '' : `<dl>${facts}</dl>`}${evidence === '' ? '' : `<pre>${escape(evidence)}</pre>`}</details>`;
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
