// DNS records as people paste them: into a form (type, name, value) or into a zone file. Pure text.

import type { RecordView } from '#http/routes/domains.ts';
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

function explain(record: Pick<RecordView, 'purpose'>): string {
  return PURPOSES[record.purpose as DnsRecord['purpose']];
}
