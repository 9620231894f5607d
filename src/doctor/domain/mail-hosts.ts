// Where the domain takes mail: MX records, null MX, hosts without addresses, aliases, IPv6. RFC 5321 5.1, RFC 7505, RFC 2181 10.3.

import { isIP } from 'node:net';
import { findAddresses, findMx } from '#dns/mx.ts';
import type { Resolver } from '#dns/resolver.ts';
import type { DomainCheck, DomainVerdict, MailHost } from './check.ts';

/** The hosts with the addresses they have; a host without any stays, with none. */
export async function mailHosts(resolver: Resolver, domain: string): Promise<readonly MailHost[]> {
  const found = await findMx(resolver, domain);
  if (found.status !== 'found') return [];
  return Promise.all(
    found.hosts.map(async ({ host, preference }) => {
      const answer = await findAddresses(resolver, host);
      return { host, preference, addresses: 'addresses' in answer ? answer.addresses : [] };
    }),
  );
}

export const mx: DomainCheck = {
  id: 'mx',
  title: 'mail hosts (MX)',
  async judge({ domain, resolver, hosts }) {
    const found = await findMx(resolver, domain);
    switch (found.status) {
      case 'no-domain':
        return [
          {
            status: 'fail',
            title: 'the domain does not exist',
            evidence: found.detail,
            cause: 'The domain is mistyped or its registration has ended.',
            fix: 'Check the spelling and the registration.',
          },
        ];
      case 'null-mx':
        return [{ status: 'pass', title: 'takes no mail, and says so (null MX)', evidence: found.detail }];
      case 'unusable':
        return [
          {
            status: 'fail',
            title: 'the MX records name no hosts',
            evidence: found.detail,
            cause: 'An MX record must hold a host name.',
            fix: 'Let the MX record name a host with address records, for example "10 mx.example.com.".',
          },
        ];
      case 'failed':
        return [
          {
            status: 'fail',
            title: 'DNS gives no answer',
            evidence: found.detail,
            cause: 'The name servers of the domain do not answer, or DNSSEC is broken: senders defer.',
            fix: 'Check the name servers of the domain and its DNSSEC.',
          },
        ];
      case 'found':
        return [...listed(found.implicit, hosts, domain), ...(await aliases(resolver, hosts))];
    }
  },
};

function listed(implicit: boolean, hosts: readonly MailHost[], domain: string): DomainVerdict[] {
  const evidence = hosts.map(({ host, preference, addresses }) => `${preference} ${host}: ${addresses.join(', ') || 'no address'}`).join('\n');
  if (hosts.every(({ addresses }) => addresses.length === 0)) {
    const cause = implicit ? 'The domain has neither an MX record nor an address: mail to it bounces.' : 'None of the mail hosts has an address: mail to the domain bounces.';
    return [
      {
        status: 'fail',
        title: 'no mail host can be reached',
        evidence: evidence || 'no MX, A or AAAA',
        cause,
        fix: 'Add an MX record that names a host with an A record; or a null MX ("0 .") if the domain takes no mail.',
      },
    ];
  }
  const dead = hosts.filter(({ addresses }) => addresses.length === 0);
  if (dead.length > 0)
    return [
      {
        status: 'warn',
        title: 'a mail host has no address',
        evidence,
        cause: `${dead.map(({ host }) => host).join(', ')} cannot be resolved: senders lose time, or mail when the others are down.`,
        fix: 'Remove that MX record or give its host an A record.',
      },
    ];
  if (implicit)
    return [
      {
        status: 'warn',
        title: 'no MX record',
        evidence: `${evidence}\n(taken from the address of ${domain})`,
        cause: 'Without an MX record mail goes to the address of the domain itself, which often is a web server.',
        fix: `Add an MX record; or a null MX ("0 .") if ${domain} takes no mail.`,
      },
    ];
  return [{ status: 'pass', evidence }];
}

async function aliases(resolver: Resolver, hosts: readonly MailHost[]): Promise<DomainVerdict[]> {
  const verdicts: DomainVerdict[] = [];
  for (const { host } of hosts) {
    if (isIP(host) !== 0) continue;
    const answer = await resolver.cname(host);
    if (answer.status === 'found')
      verdicts.push({
        status: 'warn',
        title: 'an MX record names an alias',
        evidence: `${host} is a CNAME for ${answer.records[0]}`,
        cause: 'An MX record must name a host with addresses of its own (RFC 2181 10.3); some senders refuse aliases.',
        fix: `Let the MX record name ${answer.records[0]}, or give ${host} an A record.`,
      });
  }
  return verdicts;
}

export const ipv6: DomainCheck = {
  id: 'ipv6',
  title: 'IPv6',
  judge({ hosts }) {
    const with6 = hosts.filter(({ addresses }) => addresses.some((address) => address.includes(':')));
    if (hosts.length === 0) return Promise.resolve([]);
    const evidence =
      with6.length > 0
        ? `${with6.map(({ host }) => host).join(', ')} can be reached by IPv6`
        : 'no mail host has an AAAA record; senders that have IPv6 only cannot reach it (they are few)';
    return Promise.resolve([{ status: 'pass', evidence }]);
  },
};
