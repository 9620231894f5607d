// What a check of a domain is: it asks the DNS (bounded by the resolver) and gives verdicts, each for a subject.

import type { Resolver } from '#dns/resolver.ts';
import type { Verdict } from '#doctor/report.ts';
import type { DanePublished } from './dane.ts';
import type { StsPublished } from './mta-sts.ts';

export type DomainContext = {
  readonly domain: string;
  readonly resolver: Resolver;
  readonly nowMs: number;
  /** DKIM selectors to look for first, as the user gave them or a message named them. */
  readonly selectors: readonly string[];
  /** Addresses that the domain's mail is sent from; none: those of its mail hosts. */
  readonly sendingAddresses: readonly string[];
  readonly blocklists: readonly string[];
  /** The mail hosts, best first, with their addresses; empty when there are none. */
  readonly hosts: readonly MailHost[];
  /** Found out once, for the check of the domain and for those of its hosts. */
  readonly sts: Promise<StsPublished>;
  readonly dane: Promise<DanePublished>;
};

export type MailHost = { readonly host: string; readonly preference: number; readonly addresses: readonly string[] };

export type DomainVerdict = Verdict & { readonly subject?: string };
export type DomainCheck = { readonly id: string; readonly title: string; readonly judge: (context: DomainContext) => Promise<readonly DomainVerdict[]> };

/** The text records at a name that begin so, or why they cannot be had. */
export async function textRecords(resolver: Resolver, name: string, begins: RegExp): Promise<readonly string[] | { readonly unknown: string }> {
  const answer = await resolver.txt(name);
  if (answer.status === 'failed') return { unknown: answer.detail };
  return (answer.status === 'found' ? answer.records : []).filter((text) => begins.test(text));
}

/** The verdict for a record that the DNS gave no answer for. */
export function unanswered(name: string, detail: string): DomainVerdict {
  return {
    status: 'warn',
    title: 'DNS gives no answer',
    evidence: `${name}: ${detail}`,
    cause: 'The name servers of the zone do not answer, or DNSSEC is broken: receivers defer mail or treat the record as missing.',
    fix: 'Check the name servers of the domain and its DNSSEC.',
  };
}
