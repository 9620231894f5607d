// The records of a domain held against the live DNS: every responsible server asked, their answers judged, the configured resolver compared. Bounded
// in time by `signal`; decides nothing about what follows.

import type { LiveAnswer, LiveDns, ServerAnswer } from '#dns/authority.ts';
import { unknown } from './finding.ts';
import type { Finding, Judgement, RecordFinding } from './finding.ts';
import { judge } from './judge.ts';
import type { JudgeParts } from './judge.ts';
import type { DnsRecord } from './records.ts';

export type CheckParts = JudgeParts & { readonly dns: LiveDns };

/** `settled`: the resolver says the same, so that nobody behind it sees something else. */
export type Checked = RecordFinding & { readonly settled: boolean };

type Answered = Extract<ServerAnswer, { status: 'answered' }>;

/** All records, in order. */
export function checkRecords(parts: CheckParts, records: readonly DnsRecord[]): Promise<Checked[]> {
  return Promise.all(records.map((record) => checkRecord(parts, record)));
}

async function checkRecord(parts: CheckParts, record: DnsRecord): Promise<Checked> {
  const live = await parts.dns.look(record.name, record.type);
  const answered = live.authorities.filter((one): one is Answered => one.status === 'answered');
  const silent = live.authorities.flatMap((one) => (one.status === 'failed' ? [`${one.server} did not answer: ${one.detail}.`] : []));
  const { resolver } = live;
  if (answered.length === 0) return { ...record, ...(await byResolver(parts, record, live)), settled: false };
  // Servers of one zone may disagree while a change spreads: the worst answer counts, since some receivers get it.
  const groups = grouped(answered);
  const judged = await Promise.all(groups.map(async (group) => ({ group, judgement: await judge(parts, record, group.texts) })));
  const worst = judged.toSorted((a, b) => RANK[b.judgement.status] - RANK[a.judgement.status])[0] as (typeof judged)[number];
  const notes = [...worst.judgement.notes, ...silent];
  if (groups.length > 1)
    notes.push(`The name servers disagree: ${groups.map((group) => `${group.servers.join(', ')} ${shown(group.texts)}`).join('; ')}. A change may still be spreading.`);
  const same = resolver.status === 'answered' && sameTexts(resolver.texts, worst.group.texts);
  if (resolver.status === 'failed') notes.push(`${capital(resolver.server)} did not answer: ${resolver.detail}.`);
  else if (!same) {
    notes.push(`${capital(resolver.server)} still has what was there before, for up to ${spanText(resolver.ttlSeconds)} more: ${shown(resolver.texts)}.`);
  }
  return { ...record, ...worst.judgement, found: worst.group.texts, notes, settled: same && silent.length === 0 };
}

const RANK: Readonly<Record<Finding['status'], number>> = { right: 0, unknown: 1, missing: 2, wrong: 3 };

/** No responsible server answered: what the resolver has is better than nothing, and told as such. */
async function byResolver(parts: CheckParts, record: DnsRecord, live: LiveAnswer): Promise<Judgement & Pick<Finding, 'found'>> {
  const why = live.zone === null ? live.detail : live.authorities.map((one) => (one.status === 'failed' ? `${one.server}: ${one.detail}` : '')).join('; ') || live.detail;
  const { resolver } = live;
  if (resolver.status === 'failed') {
    return { ...unknown(`The DNS could not be asked: ${resolver.detail}.`, 'Check [dns] servers and the network of this machine, then check again.'), found: [] };
  }
  const judgement = await judge(parts, record, resolver.texts);
  return { ...judgement, found: resolver.texts, notes: [...judgement.notes, `This is what ${resolver.server} says; the responsible servers could not be asked (${why}).`] };
}

type Group = { readonly texts: readonly string[]; readonly servers: string[] };

function grouped(answers: readonly Answered[]): Group[] {
  const groups: Group[] = [];
  for (const answer of answers) {
    const same = groups.find((group) => sameTexts(group.texts, answer.texts));
    if (same === undefined) groups.push({ texts: answer.texts, servers: [answer.server] });
    else same.servers.push(answer.server);
  }
  return groups;
}

function sameTexts(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((text, i) => text === other[i]);
}

function shown(texts: readonly string[]): string {
  return texts.length === 0 ? 'no record' : texts.map((text) => `"${text.length > 60 ? `${text.slice(0, 57)}...` : text}"`).join(', ');
}

function spanText(seconds: number): string {
  if (seconds < 120) return `${seconds} seconds`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} minutes` : `${Math.round(seconds / 3600)} hours`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
