// The addresses that mail comes from: PTR and the way back, the name said in EHLO, blocklists. RFC 1912 2.1, RFC 8601 2.7.3, RFC 5782.

import { isIPv4 } from 'node:net';
import { expandIpv6 } from '#dns/name.ts';
import type { Resolver } from '#dns/resolver.ts';
import type { DomainCheck, DomainContext, DomainVerdict } from './check.ts';

/** What these checks need to know; a domain has it, and so has a server that asks about itself. */
export type AddressContext = Pick<DomainContext, 'resolver' | 'sendingAddresses' | 'hosts' | 'blocklists'>;
type AddressCheck = Omit<DomainCheck, 'judge'> & { readonly judge: (context: AddressContext) => Promise<readonly DomainVerdict[]> };

const ADDRESSES = 8;

function sending({ sendingAddresses, hosts }: AddressContext): { addresses: readonly string[]; guessed: boolean } {
  if (sendingAddresses.length > 0) return { addresses: sendingAddresses.slice(0, ADDRESSES), guessed: false };
  return { addresses: [...new Set(hosts.flatMap((host) => host.addresses))].slice(0, ADDRESSES), guessed: true };
}

export const reverse: AddressCheck = {
  id: 'ptr',
  title: 'name of the sending address (PTR)',
  async judge(context) {
    const { addresses, guessed } = sending(context);
    return Promise.all(
      addresses.map(async (address) => {
        const verdict = await reverseVerdict(context.resolver, address);
        // Mail hosts that take mail need not send any: what is missing there is only worth a look.
        return { subject: address, ...verdict, status: guessed && verdict.status === 'fail' ? ('warn' as const) : verdict.status };
      }),
    );
  },
};

async function reverseVerdict(resolver: Resolver, address: string): Promise<DomainVerdict> {
  const answer = await resolver.ptr(address);
  if (answer.status === 'failed')
    return {
      status: 'warn',
      title: 'PTR: DNS gives no answer',
      evidence: answer.detail,
      cause: 'The reverse zone does not answer: receivers may defer.',
      fix: 'Ask the owner of the address (the hosting provider) to look at its reverse zone.',
    };
  if (answer.status !== 'found')
    return {
      status: 'fail',
      title: 'no PTR record',
      evidence: `${address} has no name`,
      cause: 'Many receivers refuse mail from addresses without a name.',
      fix: 'Have the provider of the address set its PTR record to the name of the mail server.',
    };
  for (const name of answer.records) {
    const back = address.includes(':') ? await resolver.aaaa(name) : await resolver.a(name);
    if (back.status === 'found' && back.records.some((one) => same(one, address))) {
      const generic = /(?:\d{1,3}[-.]){3}\d{1,3}|dynamic|dhcp|dialup|pool|broadband/i.test(name);
      if (generic)
        return {
          status: 'warn',
          title: 'PTR looks like a dial-up',
          evidence: `${address} -> ${name} -> ${address}`,
          cause: 'Receivers take names with the address in them for home connections.',
          fix: 'Have the PTR set to the name of the mail server.',
        };
      return { status: 'pass', evidence: `${address} -> ${name} -> ${address}` };
    }
  }
  return {
    status: 'fail',
    title: 'PTR does not lead back',
    evidence: `${address} -> ${answer.records.join(', ')} -> elsewhere`,
    cause: 'The name of the address has no address record that leads back to it (not forward-confirmed): receivers distrust it.',
    fix: `Give ${answer.records[0]} an address record with ${address}, or have the PTR set to a name that has.`,
  };
}

function same(a: string, b: string): boolean {
  return a === b || (a.includes(':') && b.includes(':') && expandIpv6(a).join(':') === expandIpv6(b).join(':'));
}

export const blocklists: AddressCheck = {
  id: 'blocklist',
  title: 'blocklists',
  async judge(context) {
    const { addresses } = sending(context);
    const open = addresses.filter((address) => !isPrivate(address));
    if (context.blocklists.length === 0 || open.length === 0)
      return addresses.length === 0 ? [] : [{ status: 'skip', evidence: context.blocklists.length === 0 ? 'no list was named (--blocklist)' : 'private addresses are on no list' }];
    return Promise.all(open.map((address) => listedVerdict(context, address)));
  },
};

async function listedVerdict({ resolver, blocklists: zones }: AddressContext, address: string): Promise<DomainVerdict> {
  const reversed = isIPv4(address)
    ? address.split('.').toReversed().join('.')
    : [
        ...expandIpv6(address)
          .map((group) => group.toString(16).padStart(4, '0'))
          .join(''),
      ]
        .toReversed()
        .join('.');
  const answers = await Promise.all(zones.map(async (zone) => ({ zone, answer: await resolver.a(`${reversed}.${zone}`) })));
  // 127.255.255.x says that the question was refused (an open resolver, too many questions), not that the address is listed.
  const listed = answers.filter(({ answer }) => answer.status === 'found' && answer.records.some((code) => code.startsWith('127.') && !code.startsWith('127.255.255.')));
  const refused = answers.filter(({ answer }) => answer.status === 'failed' || (answer.status === 'found' && answer.records.every((code) => code.startsWith('127.255.255.'))));
  if (listed.length > 0) {
    const reasons = await Promise.all(
      listed.map(async ({ zone, answer }) => `${zone}: ${answer.status === 'found' ? answer.records.join(', ') : ''} ${await reasonOf(resolver, `${reversed}.${zone}`)}`.trim()),
    );
    return {
      subject: address,
      status: 'fail',
      title: 'on a blocklist',
      evidence: reasons.join('\n'),
      cause: 'Receivers that ask this list refuse mail from the address: spam was sent from it, or it is listed as a home connection.',
      fix: 'Find and stop what sent it (a leaked password, a hacked form), then ask the list for removal on its web site; see the link in the evidence.',
    };
  }
  const evidence = `${address} is on none of ${zones.length - refused.length} lists${refused.length === 0 ? '' : `; no answer from ${refused.map(({ zone }) => zone).join(', ')}`}`;
  return { subject: address, status: refused.length === zones.length ? 'skip' : 'pass', evidence };
}

async function reasonOf(resolver: Resolver, name: string): Promise<string> {
  const answer = await resolver.txt(name);
  return answer.status === 'found' ? (answer.records[0] ?? '').slice(0, 200) : '';
}

/** Of a network of its own: the world knows no name of it, and no list has it. */
export function isPrivate(address: string): boolean {
  return isIPv4(address) ? /^(?:0|10|127)\.|^192\.168\.|^172\.(?:1[6-9]|2\d|3[01])\.|^169\.254\./.test(address) : /^(?:::1?$|f[cd]|fe[89ab])/i.test(address);
}
