// MTA-STS as its senders meet it: the record, the policy fetched over HTTPS, whether it names the mail hosts, and whether these keep what it says.
// RFC 8461.

import type { SecureContext } from 'node:tls';
import type { Resolver } from '#dns/resolver.ts';
import type { PortEvidence } from '#doctor/probes/port.ts';
import type { Verdict } from '#doctor/report.ts';
import { fetchStsPolicy } from '#tls/mta-sts-fetch.ts';
import type { StsFetched } from '#tls/mta-sts-fetch.ts';
import { allowsHost } from '#tls/mta-sts-policy.ts';
import type { StsPolicy } from '#tls/mta-sts-policy.ts';
import { textRecords, unanswered } from './check.ts';
import type { DomainCheck, DomainVerdict, MailHost } from './check.ts';

/** What is published: the records, and what the policy host gave for the one that counts. */
export type StsPublished = { readonly unknown: string } | { readonly records: readonly string[]; readonly fetched: StsFetched | null };

const DAY_SECONDS = 86_400;

export async function findStsPolicy(resolver: Resolver, domain: string, options: { readonly tlsContext: SecureContext; readonly timeoutMs: number }): Promise<StsPublished> {
  const records = await textRecords(resolver, `_mta-sts.${domain}`, /^v=STSv1[ \t]*;/);
  if ('unknown' in records) return records;
  const [record, second] = records;
  if (record === undefined || second !== undefined || !hasId(record)) return { records, fetched: null };
  // Whoever asks the doctor may reach what others cannot: a policy host with a private address is looked at too.
  const parts = { resolver, tlsContext: () => options.tlsContext, isRefused: () => false, timeoutMs: options.timeoutMs };
  return { records, fetched: await fetchStsPolicy(parts, domain) };
}

function hasId(record: string): boolean {
  return /;[ \t]*id[ \t]*=[ \t]*[A-Za-z0-9]{1,32}[ \t]*(?:;|$)/.test(record);
}

export const mtaSts: DomainCheck = {
  id: 'mta-sts',
  title: 'MTA-STS',
  async judge({ domain, hosts, sts }) {
    const name = `_mta-sts.${domain}`;
    const published = await sts;
    if ('unknown' in published) return [unanswered(name, published.unknown)];
    const { records, fetched } = published;
    const [record] = records;
    if (record === undefined)
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
    if (fetched === null)
      return [
        {
          status: 'fail',
          title: 'the MTA-STS record is not valid',
          evidence: record,
          cause: 'The record needs id= with up to 32 letters and digits.',
          fix: 'Write "v=STSv1; id=20260101000000;", with a new id at each change of the policy.',
        },
      ];
    return 'policy' in fetched ? policyVerdicts(fetched.policy, record, hosts) : [notHad(fetched, record, domain)];
  },
};

function notHad({ result, why }: Extract<StsFetched, { result: string }>, record: string, domain: string): DomainVerdict {
  const url = `https://mta-sts.${domain}/.well-known/mta-sts.txt`;
  const evidence = `${record}\n${why}`;
  switch (result) {
    case 'sts-webpki-invalid':
      return {
        status: 'fail',
        title: 'the MTA-STS policy host does not prove who it is',
        evidence,
        cause: `Senders take a policy only from a host whose certificate verifies for mta-sts.${domain}: to them there is none, and mail to the domain goes unprotected.`,
        fix: `Give the web server a certificate of a public authority for mta-sts.${domain}, with its full chain, and have it renewed.`,
      };
    case 'sts-policy-invalid':
      return {
        status: 'fail',
        title: 'the MTA-STS policy is not valid',
        evidence,
        cause: 'Senders cannot read the policy: to them there is none.',
        fix: 'Serve lines like "version: STSv1", "mode: enforce", "mx: mail.example.com" (one for each mail host) and "max_age: 604800".',
      };
    case 'sts-policy-fetch-error':
      return {
        status: 'fail',
        title: 'the MTA-STS policy cannot be fetched',
        evidence,
        cause: 'The record announces a policy, but the host that has to serve it does not: senders go on without it, or with one that is old.',
        fix: `Serve the policy at ${url} with status 200 and the type text/plain, without redirects; or remove the record.`,
      };
  }
}

function policyVerdicts(policy: StsPolicy, record: string, hosts: readonly MailHost[]): DomainVerdict[] {
  const evidence = [record, ...policy.text].join('\n');
  const missing = policy.mode === 'none' ? [] : hosts.filter(({ host }) => !allowsHost(policy, host)).map(({ host }) => host);
  if (missing.length > 0)
    return [
      {
        status: policy.mode === 'enforce' ? 'fail' : 'warn',
        title: 'the MTA-STS policy does not name every mail host',
        evidence,
        cause: `${missing.join(', ')} ${missing.length > 1 ? 'are mail hosts' : 'is a mail host'} of the domain, but no mx line of the policy allows ${missing.length > 1 ? 'them' : 'it'}: senders that heed the policy ${policy.mode === 'enforce' ? 'refuse to deliver there' : 'will refuse to deliver there once its mode is enforce'}.`,
        fix: `Add ${missing.map((host) => `"mx: ${host}"`).join(' and ')} to the policy, then give the record a new id.`,
      },
    ];
  if (policy.mode === 'none') return [{ status: 'pass', title: 'MTA-STS is switched off (mode none)', evidence }];
  if (policy.maxAgeSeconds < DAY_SECONDS)
    return [
      {
        status: 'warn',
        title: 'the MTA-STS policy is soon forgotten',
        evidence,
        cause: `Senders keep it for ${policy.maxAgeSeconds} seconds: an attacker who keeps them from it for so long is rid of it.`,
        fix: 'Set max_age to weeks, for example 1209600 (RFC 8461 3.2).',
      },
    ];
  if (policy.mode === 'testing')
    return [
      {
        status: 'warn',
        title: 'MTA-STS only watches (mode testing)',
        evidence,
        cause: 'Senders report what breaks the policy, and deliver all the same.',
        fix: 'When the TLS reports show no failures, set "mode: enforce" and give the record a new id.',
      },
    ];
  return [{ status: 'pass', evidence }];
}

/** Whether a mail host shows what the policy wants of it; null: the policy says nothing about it, or nothing was found out. */
export function keepsPolicy(published: StsPublished, evidence: PortEvidence): Verdict | null {
  const policy = 'records' in published && published.fetched !== null && 'policy' in published.fetched ? published.fetched.policy : null;
  if (policy === null || policy.mode === 'none' || evidence.capabilities === null || !allowsHost(policy, evidence.host)) return null;
  const broken = brokenBy(evidence);
  if (broken === null) return { status: 'pass', title: 'the mail host keeps the MTA-STS policy', evidence: 'STARTTLS, with a certificate that verifies for its name' };
  return {
    status: policy.mode === 'enforce' ? 'fail' : 'warn',
    title: 'the mail host does not keep the MTA-STS policy',
    evidence: `mode ${policy.mode}; ${broken}`,
    cause:
      policy.mode === 'enforce'
        ? 'Senders that heed the policy do not deliver to this host: mail waits, then bounces.'
        : 'Senders report this, and would not deliver here once the mode is enforce.',
    fix: `Give ${evidence.host} STARTTLS and a certificate of a public authority for that name; until then set "mode: testing" and give the record a new id.`,
  };
}

function brokenBy({ host, mode, tls }: PortEvidence): string | null {
  if (mode === 'none') return 'STARTTLS is not offered';
  if (tls === null) return 'STARTTLS is refused';
  if ('failure' in tls) return `no TLS: ${tls.failure.text}`;
  if (!tls.value.nameMatches) return `the certificate is not for ${host}`;
  return tls.value.problem === null ? null : `the certificate does not verify: ${tls.value.problem}`;
}
