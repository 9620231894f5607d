// Where the domain wants reports about TLS to its mail hosts. RFC 8460.

import { textRecords, unanswered } from './check.ts';
import type { DomainCheck } from './check.ts';

export const tlsrpt: DomainCheck = {
  id: 'tlsrpt',
  title: 'TLS reports (TLSRPT)',
  async judge({ resolver, domain }) {
    const name = `_smtp._tls.${domain}`;
    const records = await textRecords(resolver, name, /^v=TLSRPTv1\s*;/);
    if ('unknown' in records) return [unanswered(name, records.unknown)];
    if (records.length === 0) return [{ status: 'skip', title: 'no TLS reports', evidence: `nothing at ${name}: senders cannot tell you when TLS to your hosts fails` }];
    if (records.length > 1)
      return [{ status: 'fail', title: 'duplicate TLSRPT records', evidence: records.join('\n'), cause: 'Several records count as none.', fix: `Keep one TXT record at ${name}.` }];
    if (!/;\s*rua\s*=\s*(?:mailto|https):\S+/.test(records[0] ?? ''))
      return [
        {
          status: 'fail',
          title: 'the TLSRPT record is not valid',
          evidence: records[0] ?? '',
          cause: 'rua= must be a mailto: or https: address.',
          fix: `Write "v=TLSRPTv1; rua=mailto:tls-reports@${domain}".`,
        },
      ];
    return [{ status: 'pass', evidence: records[0] ?? '' }];
  },
};
