// DNS records as people paste them: into a form (type, name, value) or into a zone file; and what a check found of them. Pure text.

import { dateText } from '#cli/format.ts';
import type { DomainCheckView, DomainDetailView, FindingView, RecordView } from '#http/views/domain.ts';
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
  const { records, keys, name, returnPath, returnPathVerifiedAt } = checked;
  const wrong = records.filter((record) => record.status !== 'right');
  const rest = wrong.length === 0 ? 'All records are right: the domain can go live.' : `${wrong.length} of ${records.length} records are not right.`;
  if (wrong.length === records.length && wrong.every((record) => record.status === 'unknown')) return 'The DNS did not answer, so nothing can be said of the records.';
  // Only what signs now counts: keys to come, and keys that are going, align nothing.
  const active = keys.filter((key) => key.state === 'active');
  const signed = active.filter((key) => records.some((record) => record.name === `${key.selector}._domainkey.${name}` && record.status === 'right'));
  const byDkim = signed.length > 0;
  const bySpf = returnPathVerifiedAt !== null;
  const dkim = byDkim ? `aligned by DKIM (d=${name}, s=${signed.map((key) => key.selector).join(', ')})` : 'not by DKIM (no key that signs is right in the DNS)';
  const spf = bySpf ? `aligned by SPF (${returnPath}.${name})` : 'not by SPF (the return path is not used)';
  return `${byDkim || bySpf ? 'Mail from here passes DMARC' : 'Mail from here does not pass DMARC'}: ${dkim}, ${spf}. ${rest}`;
}

/** The server's name as the records have it, if it is none that the world could look up. */
export function unusableHostname(records: readonly RecordView[]): string | null {
  const host = records.find((record) => record.type === 'MX' && record.purpose === 'return-path')?.value.split(' ')[1] ?? '';
  return host === '' || (host.includes('.') && !/\.(?:local|localdomain|internal|lan|home|invalid)$/.test(host)) ? null : host;
}

function explain(record: Pick<RecordView, 'purpose'>): string {
  return PURPOSES[record.purpose as DnsRecord['purpose']];
}
