// DMARC for one message: does a domain that authenticated it belong to the author's, and if not, what does the author's domain ask for. Decides
// nothing about delivery. RFC 9989 4.10, 5.3, 11.5.

import type { Resolver } from '#dns/resolver.ts';
import type { DmarcPolicy } from './record.ts';
import { TreeUnknown, openTree } from './tree.ts';
import type { DmarcRecords, Found, Tree } from './tree.ts';

/** `policy` is what the author's domain asks for mail like this, test mode considered; null without a record or without a verdict. */
export type DmarcVerdict = {
  readonly result: 'none' | 'pass' | 'fail' | 'temperror' | 'permerror';
  /** The author domain that decided; null when the header names none. */
  readonly domain: string | null;
  /** Where the record stands. */
  readonly policyDomain: string | null;
  readonly policy: DmarcPolicy | null;
  readonly testing: boolean;
  /** What authenticated the author domain. */
  readonly by: 'dkim' | 'spf' | null;
  readonly reason: string;
};

/** A domain that authenticated the message, or would if the DNS had answered (`certain` false). */
export type Identifier = { readonly by: 'dkim' | 'spf'; readonly domain: string; readonly certain: boolean };

/** Number of From fields, and the domains in them, canonical; '' for an address that cannot be read. */
export type Author = { readonly fromFields: number; readonly domains: readonly string[] };

const MAX_AUTHOR_DOMAINS = 4;
const SEVERITY: Readonly<Record<DmarcVerdict['result'], number>> = { pass: 0, none: 1, temperror: 2, fail: 3, permerror: 4 };
const STRICTNESS: Readonly<Record<DmarcPolicy, number>> = { none: 0, quarantine: 1, reject: 2 };
const MILDER: Readonly<Record<DmarcPolicy, DmarcPolicy>> = { none: 'none', quarantine: 'none', reject: 'quarantine' };

/**
 * Begins to look for the policy; what it returns is called once it is known what authenticated the message. Neither rejects. With several
 * author domains each is evaluated and the worst counts: a domain that is shown to the reader must not hide behind another.
 */
export function beginDmarc(resolver: Pick<Resolver, 'txt' | 'a'>, author: Author, kept: DmarcRecords | null = null): (identifiers: readonly Identifier[]) => Promise<DmarcVerdict> {
  const broken = malformed(author);
  if (broken !== null) return () => Promise.resolve(nothing('permerror', null, broken));
  const tree = openTree(resolver, kept);
  const domains = [...new Set(author.domains)];
  // Asked now, so that the answers are there when the content has come; a failure is found again when it counts.
  for (const domain of domains) tree.policy(domain).catch(() => {});
  return async (identifiers) => {
    const verdicts = await Promise.all(domains.map((domain) => evaluateOne({ resolver, tree, identifiers }, domain)));
    return verdicts.reduce((worst, one) => (weight(one) > weight(worst) ? one : worst));
  };
}

function weight(verdict: DmarcVerdict): number {
  return SEVERITY[verdict.result] * 10 + (verdict.policy === null ? 0 : STRICTNESS[verdict.policy]);
}

/** A header without exactly one From of readable addresses says nothing that could be held against a policy. */
function malformed({ fromFields, domains }: Author): string | null {
  if (fromFields === 0) return 'the message has no From field';
  if (fromFields > 1) return `the message has ${fromFields} From fields; one may be there`;
  if (domains.length === 0) return 'the From field names no address';
  if (domains.includes('')) return 'the From field has an address that cannot be read';
  const count = new Set(domains).size;
  return count > MAX_AUTHOR_DOMAINS ? `the From field names ${count} domains` : null;
}

type Parts = { readonly resolver: Pick<Resolver, 'a'>; readonly tree: Tree; readonly identifiers: readonly Identifier[] };

async function evaluateOne(parts: Parts, domain: string): Promise<DmarcVerdict> {
  if (domain.startsWith('[')) return nothing('none', domain, 'the author address has no domain name');
  try {
    const found = await parts.tree.policy(domain);
    if (found === null) return nothing('none', domain, `${domain} publishes no DMARC policy`);
    if (found.record.unusable) return nothing('none', domain, `the DMARC record at ${found.domain} has no valid policy`);
    return await judge(parts, domain, found);
  } catch (error) {
    if (!(error instanceof TreeUnknown)) throw error;
    // The author domain itself authenticated the message: no record can turn that into a failure.
    const same = parts.identifiers.find((one) => one.certain && one.domain === domain);
    if (same !== undefined) return { ...nothing('pass', domain, `${error.message}, but the author domain itself is authenticated`), by: same.by };
    return nothing('temperror', domain, error.message);
  }
}

async function judge(parts: Parts, domain: string, found: Found): Promise<DmarcVerdict> {
  const { record } = found;
  const aligned: Identifier[] = [];
  for (const one of parts.identifiers) {
    const strict = one.by === 'dkim' ? record.strictDkim : record.strictSpf;
    if (await isAligned(parts.tree, { author: domain, identifier: one.domain, strict })) aligned.push(one);
    if (aligned.at(-1)?.certain === true) break;
  }
  const common = { domain, policyDomain: found.domain, testing: record.testing };
  const sure = aligned.find((one) => one.certain);
  if (sure !== undefined) return { ...common, result: 'pass', policy: await policyFor(parts, domain, found), by: sure.by, reason: '' };
  const [maybe] = aligned;
  const policy = await policyFor(parts, domain, found);
  if (maybe !== undefined) {
    return { ...common, result: 'temperror', policy, by: null, reason: `${maybe.by.toUpperCase()} of ${maybe.domain} could not be checked: the DNS did not answer` };
  }
  return { ...common, result: 'fail', policy, by: null, reason: failure(domain, parts.identifiers) };
}

/** Strict: the same name. Relaxed: the same organization, which has to be at or above both. */
async function isAligned(tree: Tree, { author, identifier, strict }: { author: string; identifier: string; strict: boolean }): Promise<boolean> {
  if (author === identifier) return true;
  if (strict) return false;
  const organization = await tree.organization(author);
  if (identifier !== organization && !identifier.endsWith(`.${organization}`)) return false;
  return (await tree.organization(identifier)) === organization;
}

/** `p=`, or for a name below the record `sp=` where it exists and `np=` where it does not; one step milder in test mode. */
async function policyFor({ resolver }: Parts, domain: string, { domain: at, record }: Found): Promise<DmarcPolicy> {
  let policy = record.policy;
  if (at !== domain) {
    policy = record.subdomains ?? record.policy;
    if (record.nonExistent !== null && record.nonExistent !== policy && !(await exists(resolver, domain))) policy = record.nonExistent;
  }
  return record.testing ? MILDER[policy] : policy;
}

/** A name does not exist when the DNS says so of it, whatever is asked for (RFC 8020). */
async function exists(resolver: Parts['resolver'], domain: string): Promise<boolean> {
  const answer = await resolver.a(domain);
  if (answer.status === 'failed' && answer.cause !== 'bad-name') throw new TreeUnknown(`whether ${domain} exists could not be looked up: ${answer.detail}`);
  return answer.status !== 'no-domain' && answer.status !== 'failed';
}

function failure(domain: string, identifiers: readonly Identifier[]): string {
  const passed = identifiers.filter((one) => one.certain);
  if (passed.length === 0) return `neither SPF nor DKIM authenticates the message for ${domain}`;
  const names = passed.map((one) => `${one.by.toUpperCase()} ${one.domain}`).slice(0, 5);
  return `what authenticates the message (${names.join(', ')}) does not belong to ${domain}`;
}

function nothing(result: DmarcVerdict['result'], domain: string | null, reason: string): DmarcVerdict {
  return { result, domain, policyDomain: null, policy: null, testing: false, by: null, reason };
}
