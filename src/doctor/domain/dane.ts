// DANE as its senders meet it: the TLSA records of the mail hosts, whether DNSSEC vouches for them, and whether they match what the hosts show.
// RFC 7672, RFC 7671.

import type { Resolver, TlsaRecord } from '#dns/resolver.ts';
import type { PortEvidence } from '#doctor/probes/port.ts';
import type { Verdict } from '#doctor/report.ts';
import { describeCertificate } from '#tls/chain.ts';
import { findTlsa } from '#tls/dane.ts';
import type { DaneEvidence } from '#tls/dane.ts';
import { formatTlsa, matchTlsa } from '#tls/tlsa.ts';
import { unanswered } from './check.ts';
import type { DomainCheck, DomainVerdict, MailHost } from './check.ts';

/** What the DNS says of each mail host; `unsigned`: records that nobody vouches for. */
export type DanePublished = ReadonlyMap<string, { readonly evidence: DaneEvidence; readonly unsigned: readonly TlsaRecord[] }>;

/** Senders ask for the port of mail between servers, whatever port is probed here. */
const PORT = 25;

export async function findDane(resolver: Resolver, domain: string, hosts: readonly MailHost[]): Promise<DanePublished> {
  const mx = await resolver.mx(domain);
  const mxSecure = mx.status !== 'failed' && mx.authenticated;
  const asked = hosts.filter(({ addresses }) => addresses.length > 0);
  const found = new Map<string, { readonly evidence: DaneEvidence; readonly unsigned: readonly TlsaRecord[] }>();
  await Promise.all(
    asked.map(async ({ host }) => {
      const evidence = await findTlsa(resolver, { host, port: PORT, mxSecure });
      const bare = evidence.status === 'none' ? await resolver.tlsa(`_${PORT}._tcp.${host}`) : null;
      found.set(host, { evidence, unsigned: bare?.status === 'found' ? bare.records : [] });
    }),
  );
  return found;
}

const shown = (records: readonly TlsaRecord[]): string => records.map(formatTlsa).join('\n');

export const dane: DomainCheck = {
  id: 'dane',
  title: 'DANE (TLSA)',
  async judge({ dane: published }) {
    const verdicts = [...(await published)].flatMap(([host, { evidence, unsigned }]): DomainVerdict[] => {
      const verdict = recordsVerdict(evidence, unsigned);
      return verdict === null ? [] : [{ subject: host, ...verdict }];
    });
    return verdicts.length > 0 ? verdicts : [{ status: 'skip', title: 'no DANE', evidence: 'no mail host has TLSA records' }];
  },
};

function recordsVerdict(evidence: DaneEvidence, unsigned: readonly TlsaRecord[]): DomainVerdict | null {
  switch (evidence.status) {
    case 'usable':
      return { status: 'pass', evidence: shown(evidence.set.usable) };
    case 'unusable':
      return {
        status: 'fail',
        title: 'TLSA records that mail cannot use',
        evidence: evidence.set.ignored.map(({ record, why }) => `${formatTlsa(record)}: ${why}`).join('\n'),
        cause: 'For SMTP only the usages 2 (DANE-TA) and 3 (DANE-EE) count, with known selectors and digests (RFC 7672 3.1.3): senders use TLS, and authenticate nobody.',
        fix: 'Publish "3 1 1" with the SHA-256 of the public key.',
      };
    case 'failed':
      return {
        ...unanswered(evidence.name, evidence.why),
        status: 'fail',
        cause: 'Whether there are TLSA records cannot be found out: senders with DANE must let mail wait (RFC 7672 2.1.2).',
      };
    case 'none':
      if (unsigned.length === 0) return null;
      return {
        status: 'warn',
        title: 'TLSA records without DNSSEC',
        evidence: `${shown(unsigned)}\n${evidence.why}`,
        cause: `Nobody heeds these TLSA records: ${evidence.why} (or the resolver here does not validate).`,
        fix: 'Sign the zones of the domain and of its mail hosts with DNSSEC; ask through a validating resolver.',
      };
  }
}

export type DaneKept = { readonly verdict: Verdict; /** The certificate needs no authority: a record stands for it. */ readonly vouched: boolean };

/** Whether a mail host shows what its TLSA records say; null: there are none that count, or nothing was found out. */
export function keepsDane(published: DanePublished, domain: string, { host, capabilities, tls, mode }: PortEvidence): DaneKept | null {
  const found = published.get(host)?.evidence;
  if (found?.status !== 'usable' || capabilities === null) return null;
  const records = shown(found.set.usable);
  const no = (title: string, evidence: string, cause: string, fix: string): DaneKept => ({ verdict: { status: 'fail', title, evidence, cause, fix }, vouched: false });
  const presented = tls !== null && 'value' in tls ? tls.value.presented : null;
  if (presented === null)
    return no(
      'TLSA records, but no TLS',
      `${records}\n${mode === 'none' ? 'STARTTLS is not offered' : 'no handshake comes about'}`,
      'The records say that this host is reached by TLS only: senders with DANE do not deliver to it.',
      `Mend TLS on ${host}, or remove the TLSA records until it works (and wait for their TTL).`,
    );
  const match = matchTlsa(found.set.usable, presented, { names: [found.base, host, domain], nowMs: Date.now() });
  if ('record' in match)
    return { verdict: { status: 'pass', title: 'the certificate matches a TLSA record', evidence: formatTlsa(match.record) }, vouched: match.record.usage === 3 };
  const { problem } = match;
  return no(
    problem.kind === 'mismatch' ? 'no TLSA record matches the certificate' : 'the chain below the TLSA record is not good',
    `${records}\n${problem.text}: ${describeCertificate(presented.leaf)}`,
    `Senders with DANE do not deliver to this host: ${problem.kind === 'mismatch' ? 'the certificate was replaced (renewed with a new key?) and the records were not' : problem.text}.`,
    `Publish at ${found.name} the record of the certificate that is in use (its "3 1 1" stands in the evidence); before the next renewal publish the new one beside it, or keep the key.`,
  );
}
