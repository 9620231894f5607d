// Each record held against what is there: pure but for SPF and DMARC, where other records have a say and are asked for. Every verdict tells what
// it breaks and how it is mended.

import type { Resolver } from '#dns/resolver.ts';
import { readKey } from '#mail/dkim/key.ts';
import { parseDmarcRecord } from '#mail/dmarc/record.ts';
import { openTree } from '#mail/dmarc/tree.ts';
import { checkSpf } from '#mail/spf/check.ts';
import { isSpfRecord } from '#mail/spf/record.ts';
import { parseTags, withoutSpace } from '#mail/tags.ts';
import { missing, right, wrong } from './finding.ts';
import type { Judgement } from './finding.ts';
import type { DnsRecord } from './records.ts';
import { zoneLine } from './zone.ts';
import { SPF_LOOKUPS, SPF_VOIDS, walkSpf } from './spf-walk.ts';

export type JudgeParts = {
  readonly resolver: Resolver;
  readonly hostname: string;
  /** From which this server sends, as far as its name tells. */
  readonly addresses: readonly string[];
  readonly nowMs: number;
};

/** `texts` are the records of this name and type as one server has them. */
export async function judge(parts: JudgeParts, record: DnsRecord, texts: readonly string[]): Promise<Judgement> {
  switch (record.purpose) {
    case 'spf':
    case 'return-path':
      return record.type === 'MX' ? judgeMx(parts, record, texts) : judgeSpf(parts, record, texts);
    case 'mx':
      return judgeMx(parts, record, texts);
    case 'dkim-rsa':
    case 'dkim-ed25519':
      return judgeKey(record, texts);
    case 'dmarc':
      return judgeDmarc(parts, record, texts);
    case 'mta-sts':
      return record.type === 'CNAME'
        ? judgeHost(parts, record, texts)
        : judgeVersioned(record, texts, { version: 'STSv1', needs: 'id', breaks: 'senders do not look for the MTA-STS policy' });
    case 'tls-rpt':
      return judgeVersioned(record, texts, { version: 'TLSRPTv1', needs: 'rua', breaks: 'nobody reports when TLS to this domain fails' });
  }
}

function publish(record: DnsRecord): string {
  return `Publish: ${zoneLine(record)}`;
}

function judgeKey(record: DnsRecord, texts: readonly string[]): Judgement {
  const breaks = 'Signatures made with this key count for nothing, and DMARC has only SPF left to pass by';
  const keys = texts.filter((text) => /(?:^|;)\s*p\s*=/.test(text));
  if (keys.length === 0) return missing(texts.length === 0 ? `There is no record. ${breaks}.` : `What is there is no key (no p=). ${breaks}.`, publish(record));
  if (keys.length > 1) return wrong(`There are ${keys.length} keys at one name: which one a receiver takes is chance.`, 'Remove all but the one that is right.');
  const [text = ''] = keys;
  const key = readKey(text);
  const wanted = withoutSpace(parseTags(record.value)?.get('p') ?? '');
  const published = withoutSpace(parseTags(text)?.get('p') ?? '');
  if ('failure' in key) {
    const quoted = text.includes('"') ? ' The quotes of the zone file went into the value: where a form asks for it, the value has none.' : '';
    return wrong(`The key ${key.reason}.${quoted} ${breaks}.`, publish(record));
  }
  if (published !== wanted) {
    const cut = wanted.startsWith(published) ? ' It is the beginning of the right one: the value was cut when it was pasted.' : '';
    return wrong(`It is another key.${cut} ${breaks}.`, publish(record));
  }
  return right(...(key.testing ? ['t=y says that DKIM is only being tried out: some receivers take that for no signature. Take it out.'] : []));
}

async function judgeDmarc(parts: JudgeParts, record: DnsRecord, texts: readonly string[]): Promise<Judgement> {
  const domain = record.name.slice('_dmarc.'.length);
  const records = texts.filter((text) => /^\s*v\s*=\s*DMARC1/i.test(text));
  if (records.length > 1) return wrong(`There are ${records.length} DMARC records: receivers then apply none.`, 'Remove all but one.');
  const [text] = records;
  if (text === undefined) {
    const above = await inherited(parts, domain);
    if (above !== null) return right(`The record of ${above} applies.`);
    return missing('There is no record. Large providers refuse or junk bulk mail of domains without one, and nobody reports forged mail.', publish(record));
  }
  const policy = parseDmarcRecord(text);
  if (policy === null || policy.unusable) return wrong('The record cannot be read as DMARC (v=DMARC1 comes first, then p=none, quarantine or reject).', publish(record));
  const notes: string[] = [];
  if (policy.policy === 'none') notes.push('p=none only watches. Once the reports show nothing but your own mail, go to p=quarantine and then p=reject.');
  if (policy.strictDkim) notes.push(`adkim=s: mail from addresses below ${domain} does not align; add such a domain with "postern domain add" if you send as it.`);
  if (policy.strictSpf) notes.push(`aspf=s: the return path is below ${domain} and so does not align by SPF. Mail aligns by DKIM alone.`);
  if (!/(?:^|;)\s*rua\s*=/.test(text)) notes.push('Without rua= nobody sends reports.');
  return right(...notes);
}

async function inherited({ resolver }: JudgeParts, domain: string): Promise<string | null> {
  try {
    const found = await openTree(resolver).policy(domain);
    return found === null || found.domain === domain ? null : found.domain;
  } catch {
    return null;
  }
}

async function judgeSpf(parts: JudgeParts, record: DnsRecord, texts: readonly string[]): Promise<Judgement> {
  const { hostname, addresses, resolver, nowMs } = parts;
  const records = texts.filter(isSpfRecord);
  const breaks = record.purpose === 'spf' ? `mail with a sender at ${record.name} fails SPF` : 'SPF does not align, and mail has DKIM alone';
  if (records.length === 0) return missing(`There is no SPF record: ${breaks}.`, publish(record));
  if (records.length > 1) {
    return wrong(
      `There are ${records.length} SPF records (${records.map((text) => `"${text}"`).join(', ')}). More than one is an error at every receiver: ${breaks}.`,
      `Make one of them: "${merged(records, hostname)}".`,
    );
  }
  const [text = ''] = records;
  const walk = await walkSpf(resolver, record.name, text);
  const chain = walk.chain.length === 0 ? [] : [`Look-ups (${walk.lookups} of ${SPF_LOOKUPS} allowed): ${walk.chain.map((line) => line.trimStart()).join(', ')}`];
  const [problem] = walk.problems;
  if (problem !== undefined) return wrong(`An error for every receiver: ${problem}; ${breaks}.`, 'Correct or remove that part of the record.', ...chain);
  if (walk.lookups > SPF_LOOKUPS) {
    return wrong(
      `It takes ${walk.lookups} look-ups${walk.cut ? ' or more' : ''}, and receivers stop with an error after ${SPF_LOOKUPS}: ${breaks}.`,
      'Take out what no longer sends for the domain, or replace includes by the addresses they stand for (ip4:, ip6:).',
      `The chain:\n${walk.chain.join('\n')}`,
    );
  }
  if (walk.voids > SPF_VOIDS) {
    return wrong(
      `${walk.voids} of its look-ups find nothing, and receivers stop with an error after ${SPF_VOIDS}: ${breaks}.`,
      'Take out the names that are not there any more.',
      ...chain,
    );
  }
  if (addresses.length === 0) {
    return wrong(
      `The name of this server, ${hostname}, has no address in the DNS, so no record can allow it by name: ${breaks}.`,
      `Give ${hostname} an A (and AAAA) record with the address that this server sends from, or set hostname in the configuration to a name that has.`,
      ...chain,
    );
  }
  for (const address of addresses) {
    const { result } = await checkSpf(resolver, { address, domain: record.name, local: 'postmaster', helo: hostname, hostname, nowMs });
    if (result !== 'pass') {
      return wrong(
        `It does not allow this server (${hostname}, ${address}): the result is ${result}, and ${breaks}.`,
        `Add a:${hostname} to it: "${merged(records, hostname)}".`,
        ...chain,
      );
    }
  }
  return right(...chain);
}

/** One record of several, with this server in it: terms in order, each once, the strictest end. */
export function merged(records: readonly string[], hostname: string): string {
  const terms = records.flatMap((text) => text.trim().split(/\s+/).slice(1));
  const ends = terms.filter((term) => /^[-~?+]?all$/i.test(term)).map((term) => term.toLowerCase());
  const end = ['-all', '~all', '?all'].find((one) => ends.includes(one)) ?? '~all';
  const middle = terms.filter((term) => !/^[-~?+]?all$/i.test(term) && !/^redirect=/i.test(term));
  const redirect = ends.length === 0 ? terms.find((term) => /^redirect=/i.test(term)) : undefined;
  return ['v=spf1', ...new Set([`a:${hostname}`, ...middle]), redirect ?? end].join(' ');
}

function judgeMx({ hostname }: JudgeParts, record: DnsRecord, texts: readonly string[]): Judgement {
  const breaks = record.purpose === 'mx' ? 'mail for the domain does not come here' : 'bounces that come later do not come back, so the return path stays unused';
  if (texts.length === 0) return missing(`There is no MX record: ${breaks}.`, publish(record));
  const hosts = texts.map((text) => ({ preference: Number(text.split(' ')[0]), host: (text.split(' ')[1] ?? '').replace(/\.$/, '') }));
  const own = hosts.find(({ host }) => host === hostname);
  if (own === undefined) return wrong(`It names ${hosts.map(({ host }) => host || '.').join(', ')}, not this server: ${breaks}.`, publish(record));
  const before = hosts.filter(({ host, preference }) => host !== hostname && preference <= own.preference);
  return right(...(before.length === 0 ? [] : [`Mail goes to ${before.map(({ host }) => host).join(', ')} before or beside this server.`]));
}

async function judgeHost({ resolver }: JudgeParts, record: DnsRecord, texts: readonly string[]): Promise<Judgement> {
  if (texts.length === 0 && (await resolver.a(record.name)).status === 'found') return right('It has addresses of its own: the policy has to be served there.');
  if (texts.length === 0) return missing('The host of the MTA-STS policy has no record: senders cannot fetch it, and go on without.', publish(record));
  const [host = ''] = texts;
  return host === record.value ? right() : right(`It is an alias for ${host}: the policy has to be served there.`);
}

function judgeVersioned(record: DnsRecord, texts: readonly string[], { version, needs, breaks }: { version: string; needs: string; breaks: string }): Judgement {
  const records = texts.filter((text) => text.startsWith(`v=${version}`));
  if (records.length === 0) return missing(`There is no record: ${breaks}.`, publish(record));
  if (records.length > 1) return wrong(`There are ${records.length} records, which count for none: ${breaks}.`, 'Remove all but one.');
  const value = parseTags(records[0] ?? '')?.get(needs) ?? '';
  return value === '' ? wrong(`The record has no ${needs}=: ${breaks}.`, publish(record)) : right();
}
