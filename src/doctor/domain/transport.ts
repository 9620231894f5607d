// What the domain publishes about TLS to its mail hosts: MTA-STS, TLSRPT, DANE. Whether the hosts keep it shows in their port probes. RFC 8461,
// 8460, 7672.

import { textRecords, unanswered } from './check.ts';
import type { DomainCheck, DomainVerdict } from './check.ts';

export const mtaSts: DomainCheck = {
  id: 'mta-sts',
  title: 'MTA-STS',
  async judge({ resolver, domain }) {
    const name = `_mta-sts.${domain}`;
    const records = await textRecords(resolver, name, /^v=STSv1\s*;/);
    if ('unknown' in records) return [unanswered(name, records.unknown)];
    if (records.length === 0)
      return [
        {
          status: 'skip',
          title: 'no MTA-STS',
          evidence: `nothing at ${name}: senders use TLS only if it is offered, and an attacker can take it away; an MTA-STS policy in mode "testing" costs nothing and shows who is affected`,
        },
      ];
    if (records.length > 1)
      return [
        { status: 'fail', title: 'duplicate MTA-STS records', evidence: records.join('\n'), cause: 'Several records count as none.', fix: `Keep one TXT record at ${name}.` },
      ];
    if (!/;\s*id\s*=\s*[A-Za-z0-9]{1,32}\s*(?:;|$)/.test(records[0] ?? ''))
      return [
        {
          status: 'fail',
          title: 'the MTA-STS record is not valid',
          evidence: records[0] ?? '',
          cause: 'The record needs id= with up to 32 letters and digits.',
          fix: 'Write "v=STSv1; id=20260101000000;", with a new id at each change of the policy.',
        },
      ];
    const host = `mta-sts.${domain}`;
    const [a, aaaa] = await Promise.all([resolver.a(host), resolver.aaaa(host)]);
    if (a.status !== 'found' && aaaa.status !== 'found')
      return [
        {
          status: 'fail',
          title: 'the MTA-STS policy cannot be fetched',
          evidence: `${records[0]}\n${host} has no address`,
          cause: 'The record announces a policy, but the host that serves it does not exist.',
          fix: `Serve the policy at https://${host}/.well-known/mta-sts.txt, or remove the record.`,
        },
      ];
    return [{ status: 'pass', evidence: records[0] ?? '' }];
  },
};

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

export const dane: DomainCheck = {
  id: 'dane',
  title: 'DANE (TLSA)',
  async judge({ resolver, hosts }) {
    const verdicts: DomainVerdict[] = [];
    for (const { host, addresses } of hosts) {
      if (addresses.length === 0) continue;
      const answer = await resolver.tlsa(`_25._tcp.${host}`);
      if (answer.status === 'failed' && answer.cause !== 'bad-name') verdicts.push({ subject: host, ...unanswered(`_25._tcp.${host}`, answer.detail) });
      if (answer.status !== 'found') continue;
      const evidence = answer.records.map(({ usage, selector, matchingType, data }) => `${usage} ${selector} ${matchingType} ${data.toString('hex').slice(0, 64)}`).join('\n');
      if (!answer.authenticated)
        verdicts.push({
          subject: host,
          status: 'warn',
          title: 'TLSA records without DNSSEC',
          evidence,
          cause: 'Without DNSSEC nobody heeds TLSA records (or the resolver here does not validate).',
          fix: 'Sign the zone with DNSSEC; ask through a validating resolver.',
        });
      else if (!answer.records.some(({ usage }) => usage === 2 || usage === 3))
        verdicts.push({
          subject: host,
          status: 'fail',
          title: 'TLSA records that mail cannot use',
          evidence,
          cause: 'For SMTP only the usages 2 (DANE-TA) and 3 (DANE-EE) count (RFC 7672 3.1.3).',
          fix: 'Publish "3 1 1" with the SHA-256 of the public key.',
        });
      else verdicts.push({ subject: host, status: 'pass', evidence });
    }
    return verdicts.length > 0 ? verdicts : [{ status: 'skip', title: 'no DANE', evidence: 'no mail host has TLSA records' }];
  },
};
