// The DNS Tree Walk: which record applies to a domain, and which organization a domain belongs to. At most eight questions a walk, answers
// of one message shared between its walks. RFC 9989 4.10.

import type { Cache } from '#dns/cache.ts';
import type { Resolver } from '#dns/resolver.ts';
import { parseDmarcRecord } from './record.ts';
import type { DmarcRecord } from './record.ts';

/** A record and the domain it was found at. */
export type Found = { readonly domain: string; readonly record: DmarcRecord };

/** Thrown by a walk: the DNS has no answer now, and what cannot be known must not be guessed. */
export class TreeUnknown extends Error {}

const MAX_QUESTIONS = 8;

export type Tree = {
  /** The record that applies to mail from this domain: its own, its organization's, or its public suffix's; null when there is none. */
  policy(domain: string): Promise<Found | null>;
  /** The organizational domain, for relaxed alignment. */
  organization(domain: string): Promise<string>;
};

/** Records as they were read, by the domain they are of, for as long as the DNS says that they hold. */
export type DmarcRecords = Cache<DmarcRecord | null>;

/** The walks of one message. They reject with TreeUnknown. `kept` saves reading the records of the domains that write often. */
export function openTree(resolver: Pick<Resolver, 'txt'>, kept: DmarcRecords | null = null): Tree {
  const asked = new Map<string, Promise<DmarcRecord | null>>();
  const at = (domain: string): Promise<DmarcRecord | null> => {
    let answer = asked.get(domain);
    if (answer === undefined) {
      const known = kept?.get(domain) ?? null;
      asked.set(domain, (answer = known === null ? lookUp(resolver, domain, kept) : Promise.resolve(known.value)));
    }
    return answer;
  };
  const walk = async (targets: readonly string[]): Promise<Found[]> => {
    const found: Found[] = [];
    for (const domain of targets) {
      const record = await at(domain);
      if (record === null) continue;
      found.push({ domain, record });
      if (record.psd !== 'u') break;
    }
    return found;
  };
  return {
    async policy(domain) {
      const own = await at(domain);
      if (own !== null) return { domain, record: own };
      const found = await walk(targetsOf(domain).slice(1));
      const organization = select(domain, found);
      return found.find((one) => one.domain === organization) ?? found.find((one) => one.record.psd === 'y') ?? null;
    },
    async organization(domain) {
      return select(domain, await walk(targetsOf(domain)));
    },
  };
}

/** The domain, then its parents; of a long name the middle is passed over, so that there are never more than eight. */
function targetsOf(domain: string): string[] {
  const labels = domain.split('.');
  const first = labels.length < MAX_QUESTIONS ? 1 : labels.length - (MAX_QUESTIONS - 1);
  const targets = [domain];
  for (let from = first; from < labels.length; from++) targets.push(labels.slice(from).join('.'));
  return targets;
}

/** The organization among the records of a walk, longest first (RFC 9989 4.10.2). */
function select(start: string, found: readonly Found[]): string {
  for (const { domain, record } of found) {
    if (record.psd === 'n') return domain;
    if (record.psd === 'y' && domain !== start) return oneLabelBelow(start, domain);
  }
  return found.at(-1)?.domain ?? start;
}

function oneLabelBelow(start: string, suffix: string): string {
  const labels = start.split('.');
  return labels.slice(labels.length - suffix.split('.').length - 1).join('.');
}

/** The one record at a name; several count as none. A name that cannot be asked for has none. */
async function lookUp(resolver: Pick<Resolver, 'txt'>, domain: string, kept: DmarcRecords | null): Promise<DmarcRecord | null> {
  const answer = await resolver.txt(`_dmarc.${domain}`);
  if (answer.status === 'failed' && answer.cause !== 'bad-name') throw new TreeUnknown(`the DMARC record of ${domain} could not be looked up: ${answer.detail}`);
  const records = answer.status === 'found' ? answer.records.map(parseDmarcRecord).filter((record) => record !== null) : [];
  const record = records.length === 1 ? (records[0] ?? null) : null;
  if (answer.status !== 'failed') kept?.set(domain, record, answer.ttlSeconds);
  return record;
}
