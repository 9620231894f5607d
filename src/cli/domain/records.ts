// DNS records as people paste them: into a form (type, name, value) or into a zone file; and what a check found of them. Pure text.

import { dateText } from '#cli/format.ts';
import type { DomainCheckView, DomainDetailView, FindingView, RecordView } from '#http/routes/domains.ts';
import { PURPOSES } from '#mail/identity/records.ts';
import type { DnsRecord } from '#mail/identity/records.ts';
import { zoneFile, zoneLine } from '#mail/identity/zone.ts';

/** A paragraph a record, ready to be copied line by line. */
export function recordsText(records: readonly RecordView[]): string[] {
  return records.flatMap((record) => [
    explain(record),
    `  type    ${record.type}`,
    `  name    ${record.name}`,
    `  value   ${record.value}`,
    `  zone    ${zoneLine(record as DnsRecord)}`,
    `  status  ${record.status}`,
    '',
  ]);
}

export function recordsZone(records: readonly RecordView[]): string {
  return zoneFile(records as readonly DnsRecord[], explain);
}

const KEY_STATES: Readonly<Record<string, string>> = {
  next: 'new: publish its record; it signs once the DNS shows it',
  active: 'signs',
  retiring: 'signs no more; leave its record until',
};

/** What each key does. */
export function keysText(keys: DomainDetailView['keys']): string[] {
  if (keys.length === 0) return ['keys         none: mail is not signed. Make some with: postern domain add DOMAIN'];
  return keys.map((key, i) => {
    const until = key.state === 'retiring' && key.removableAt !== null ? ` ${dateText(key.removableAt)}` : '';
    return `${i === 0 ? 'keys' : '    '}         ${key.selector.padEnd(14)} ${key.algorithm.padEnd(15)} ${KEY_STATES[key.state] ?? key.state}${until}`;
  });
}

/** A paragraph a record: the verdict first, then what is there, what should be, and how to mend it. */
export function findingsText(records: readonly FindingView[]): string[] {
  return records.flatMap((record) => {
    const lines = [`${record.status.toUpperCase().padEnd(7)}  ${record.type} ${record.name}  (${record.purpose})`];
    if (record.status !== 'right') {
      lines.push(`         there   ${record.found.length === 0 ? 'nothing' : record.found.join('\n                 ')}`, `         wanted  ${record.value}`);
    }
    if (record.cause !== null) lines.push(`         cause   ${record.cause}`);
    if (record.fix !== null) lines.push(`         fix     ${record.fix}`);
    for (const note of record.notes) lines.push(`         note    ${note.replaceAll('\n', '\n                 ')}`);
    return [...lines, ''];
  });
}

/** Whether mail that Postern sends as the domain passes DMARC, and by what. */
export function summaryText(checked: DomainCheckView): string {
  const isRight = (purpose: string): boolean => {
    const own = checked.records.filter((record) => record.purpose === purpose);
    return own.length > 0 && own.every((record) => record.status === 'right');
  };
  const byDkim = isRight('dkim-rsa');
  const bySpf = checked.returnPathVerifiedAt !== null;
  const dkim = byDkim ? `aligned by DKIM (d=${checked.name})` : 'not by DKIM yet';
  const spf = bySpf ? `aligned by SPF (${checked.returnPath}.${checked.name})` : 'not by SPF (the return path is not used yet)';
  const wrong = checked.records.filter((record) => record.status !== 'right').length;
  const verdict = byDkim || bySpf ? 'Mail from here passes DMARC' : 'Mail from here does not pass DMARC';
  const rest = wrong === 0 ? 'All records are right: the domain can go live.' : `${wrong} of ${checked.records.length} records are not right.`;
  return `${verdict}: ${dkim}, ${spf}. ${rest}`;
}

function explain(record: Pick<RecordView, 'purpose'>): string {
  return PURPOSES[record.purpose as DnsRecord['purpose']];
}
