// How this server and its domains stand: its certificates, its domains' records, the name of its addresses. RFC 5280, RFC 1912 2.1.

import { isIP } from 'node:net';
import { findAddresses } from '#dns/mx.ts';
import { blocklists, isPrivate, reverse } from '#doctor/domain/addresses.ts';
import type { AddressContext } from '#doctor/domain/addresses.ts';
import type { DomainVerdict } from '#doctor/domain/check.ts';
import { isExpiring } from '#tls/context.ts';
import { skipped } from './check.ts';
import type { OwnCertificate, OwnRecord, SelfCheck, SelfContext, SelfVerdict } from './check.ts';

const DAY_MS = 86_400_000;

export const ownCertificates: SelfCheck = {
  id: 'own-certificate',
  title: 'certificate of this server',
  judge: ({ certificates, nowMs }) => certificates.map((one) => certificateVerdict(one, nowMs)),
};

function certificateVerdict({ names, validFromMs, expiresMs, renewedBy }: OwnCertificate, nowMs: number): SelfVerdict {
  const subject = names[0] ?? 'certificate';
  const evidence = `${names.join(', ')}: valid from ${day(validFromMs)} to ${day(expiresMs)}`;
  const fix = {
    acme: 'It should have been renewed by itself: "postern tls show" says what keeps it; mend that, then "postern tls renew".',
    itself: 'Restart the server, or have it reload (SIGHUP): it makes a new one.',
    operator: 'Renew the certificate, put it in the place of the old one, then reload with SIGHUP.',
  }[renewedBy];
  if (expiresMs <= nowMs) return { subject, status: 'fail', title: 'certificate has expired', evidence, cause: 'Clients that check it, as they must, refuse to connect.', fix };
  if (validFromMs > nowMs)
    return {
      subject,
      status: 'fail',
      title: 'certificate is not valid yet',
      evidence,
      cause: 'Clients that check it refuse to connect.',
      fix: 'Check the clock of this machine, or use the certificate from its first day on.',
    };
  if (isExpiring({ validFromMs, expiresMs, nowMs, byHand: renewedBy === 'operator' }))
    return {
      subject,
      status: 'warn',
      title: `certificate expires in ${days(expiresMs - nowMs)}`,
      evidence,
      cause: 'When it has expired, clients that check it refuse to connect.',
      fix,
    };
  return { subject, status: 'pass', evidence };
}

/** Without these, receivers take mail of the domain for forged. */
const NEEDED = /^(?:spf|dkim)/;

export const ownRecords: SelfCheck = {
  id: 'own-records',
  title: 'DNS records of the domains of this server',
  judge({ domains }) {
    return domains.map(({ name, records }): SelfVerdict => {
      const bad = records.filter(({ status }) => status === 'missing' || status === 'wrong');
      if (records.every(({ status }) => status === 'unchecked')) return { subject: name, status: 'skip', evidence: 'not looked at yet' };
      if (bad.length === 0)
        return { subject: name, status: 'pass', evidence: `${records.filter(({ status }) => status === 'right').length} of ${records.length} records are right` };
      const missing = bad.filter(({ status }) => status === 'missing').length;
      const what = [missing > 0 ? `${missing} missing` : '', bad.length > missing ? `${bad.length - missing} wrong` : ''].filter((text) => text !== '').join(', ');
      return {
        subject: name,
        status: bad.some(({ purpose }) => NEEDED.test(purpose)) ? 'fail' : 'warn',
        title: `records: ${what}`,
        evidence: bad.map(recordText).join('\n'),
        cause: `The DNS does not have what mail of ${name} needs: receivers distrust or refuse it, or bounces do not find back.`,
        fix: `"postern domain check ${name}" says what is wrong with each and what to publish.`,
      };
    });
  },
};

function recordText({ type, name, purpose, status, cause }: OwnRecord): string {
  return `${status}: ${type} ${name} (${purpose})${cause === null ? '' : `: ${cause}`}`;
}

export const ownDns: SelfCheck = {
  id: 'own-dns',
  title: 'resolver of this server',
  async judge({ hostname, references, resolver, sendsNothing }) {
    const subject = 'resolver';
    if (sendsNothing !== null) return skipped(subject, sendsNothing);
    // One zone that is broken is not the resolver's fault: several are asked about.
    const names = [hostname, ...references.filter((name) => isIP(name) === 0)];
    const answers = await Promise.all(names.map(async (name) => ({ name, answer: await resolver.a(name) })));
    const evidence = answers.map(({ name, answer }) => `${name}: ${answer.status === 'failed' ? answer.detail : 'answered'}`).join('\n');
    if (answers.some(({ answer }) => answer.status !== 'failed')) return [{ subject, status: 'pass', evidence }];
    return [
      {
        subject,
        status: 'fail',
        title: 'the resolver gives no answers',
        evidence,
        cause: 'Without DNS no mail is delivered, and mail that comes in cannot be judged: all of it waits.',
        fix: 'Look at the resolver that dns.servers names (else /etc/resolv.conf), and at the way to it.',
      },
    ];
  },
};

export const ownName: SelfCheck = {
  id: 'own-name',
  title: 'name of this server',
  async judge({ hostname, resolver, sendsNothing }) {
    if (sendsNothing !== null) return skipped(hostname, sendsNothing);
    const found = await findAddresses(resolver, hostname);
    if ('addresses' in found) return [{ subject: hostname, status: 'pass', evidence: `${hostname} -> ${found.addresses.join(', ')}` }];
    const { kind, detail } = found.failure;
    if (kind === 'temporary') return skipped(hostname, detail);
    return [
      {
        subject: hostname,
        status: 'fail',
        title: 'the name of this server has no address',
        evidence: detail,
        cause: 'Receivers look at the name that this server says in EHLO: one that the DNS does not know makes mail look forged.',
        fix: 'Set hostname to the public name of this server, and give that name an address record.',
      },
    ];
  },
};

export const ownPtr: SelfCheck = {
  id: 'own-ptr',
  title: 'name of the sending address (PTR)',
  judge: (context) =>
    ofAddresses(context, async (asked) => {
      const verdicts = await reverse.judge(asked);
      // A DNS that does not answer is no fault of the address.
      const silent = async (address: string): Promise<boolean> => (await asked.resolver.ptr(address)).status === 'failed';
      return Promise.all(verdicts.map(async (verdict) => (verdict.subject !== undefined && (await silent(verdict.subject)) ? { ...verdict, status: 'skip' as const } : verdict)));
    }),
};

export const ownBlocklists: SelfCheck = { id: 'own-blocklist', title: 'blocklists', judge: (context) => ofAddresses(context, blocklists.judge) };

/** What the doctor asks about the addresses of any domain, asked about ours. */
async function ofAddresses(context: SelfContext, judge: (asked: AddressContext) => Promise<readonly DomainVerdict[]>): Promise<readonly SelfVerdict[]> {
  const { hostname, resolver, addresses, sendsNothing } = context;
  if (sendsNothing !== null) return skipped(hostname, sendsNothing);
  const found = addresses.length > 0 ? { addresses } : await findAddresses(resolver, hostname);
  if (!('addresses' in found)) return skipped(hostname, 'the addresses that mail leaves from are not known (doctor.addresses names them)');
  const open = found.addresses.filter((address) => !isPrivate(address));
  if (open.length === 0)
    return skipped(hostname, `${found.addresses.join(', ')}: addresses of a private network, which the world does not see (doctor.addresses names the ones that it sees)`);
  const verdicts = await judge({ resolver, hosts: [], sendingAddresses: open, blocklists: context.blocklists });
  return verdicts.map((verdict) => ({ subject: hostname, ...verdict }));
}

function day(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 10);
}

function days(spanMs: number): string {
  const count = Math.ceil(spanMs / DAY_MS);
  return count === 1 ? 'a day' : `${count} days`;
}
