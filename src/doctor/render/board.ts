// The ports of a report side by side: a row a host and port, a column a question. Made of the findings, so that every output shows the same.

import type { Finding, Report, Status } from '#doctor/report.ts';

export type Board = { readonly columns: readonly string[]; readonly rows: readonly { readonly subject: string; readonly cells: readonly (Status | null)[] }[] };

/** Each column shows the worst of its checks. */
const COLUMNS: readonly { readonly name: string; readonly ids: readonly string[] }[] = [
  { name: 'TCP', ids: ['tcp'] },
  { name: 'SMTP', ids: ['banner', 'ehlo', 'latency', 'rate'] },
  { name: 'TLS', ids: ['starttls', 'tls', 'tls-versions', 'downgrade', 'injection'] },
  { name: 'certificate', ids: ['certificate-expiry', 'certificate-name', 'certificate-chain', 'certificate-key'] },
  { name: 'AUTH', ids: ['auth-before-tls', 'auth', 'login'] },
  { name: 'relay', ids: ['open-relay'] },
];
const ORDER: readonly Status[] = ['pass', 'skip', 'warn', 'fail'];

export function boardOf(report: Report): Board {
  const subjects = [...new Set(report.checks.filter((finding) => finding.id.startsWith('tcp@')).map((finding) => finding.subject))];
  const rows = subjects.map((subject) => {
    const own = report.checks.filter((finding) => finding.subject === subject);
    return { subject, cells: COLUMNS.map(({ ids }) => worst(own.filter((finding) => ids.includes(checkOf(finding))))) };
  });
  return { columns: COLUMNS.map(({ name }) => name), rows };
}

export function checkOf(finding: Pick<Finding, 'id'>): string {
  return finding.id.slice(0, finding.id.indexOf('@'));
}

function worst(findings: readonly Finding[]): Status | null {
  if (findings.length === 0) return null;
  return ORDER[Math.max(...findings.map((finding) => ORDER.indexOf(finding.status)))] ?? null;
}

/** Findings by what they speak of, in the order they came. */
export function bySubject(findings: readonly Finding[]): [subject: string, findings: Finding[]][] {
  const groups = new Map<string, Finding[]>();
  for (const finding of findings) {
    const group = groups.get(finding.subject);
    if (group === undefined) groups.set(finding.subject, [finding]);
    else group.push(finding);
  }
  return [...groups];
}
