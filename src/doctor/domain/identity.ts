// What the domain says of the mail sent in its name: SPF with everything it leads to, DKIM keys, DMARC. RFC 7208, 6376, 9989.

import { readKey } from '#mail/dkim/key.ts';
import { TreeUnknown, openTree } from '#mail/dmarc/tree.ts';
import { SPF_LOOKUPS, SPF_VOIDS, walkSpf } from '#mail/identity/spf-walk.ts';
import { parseSpfRecord } from '#mail/spf/record.ts';
import { textRecords, unanswered } from './check.ts';
import type { DomainCheck, DomainVerdict } from './check.ts';

export const spf: DomainCheck = {
  id: 'spf',
  title: 'SPF',
  async judge({ resolver, domain }) {
    const records = await textRecords(resolver, domain, /^v=spf1(?: |$)/i);
    if ('unknown' in records) return [unanswered(domain, records.unknown)];
    const [record] = records;
    if (record === undefined)
      return [
        {
          status: 'fail',
          title: 'no SPF record',
          evidence: `no TXT record at ${domain} begins with v=spf1`,
          cause: 'Receivers cannot tell who may send for the domain: forged mail passes, and large providers refuse unauthenticated mail.',
          fix: `Publish a TXT record at ${domain}: "v=spf1 mx -all", with an include: for each service that sends for you.`,
        },
      ];
    if (records.length > 1)
      return [
        {
          status: 'fail',
          title: 'duplicate SPF records',
          evidence: records.join('\n'),
          cause: 'Only one record may be there; receivers take several for an error (permerror).',
          fix: 'Merge them into one record and remove the others.',
        },
      ];
    const { lookups, voids, chain, problems } = await walkSpf(resolver, domain, record);
    const evidence = [record, ...chain.map((line) => `  ${line}`), `${lookups} of ${SPF_LOOKUPS} look-ups`].join('\n');
    const parsed = parseSpfRecord(record);
    if (lookups > SPF_LOOKUPS)
      return [
        {
          status: 'fail',
          title: 'SPF needs too many look-ups',
          evidence,
          cause: `The record needs ${lookups} look-ups; past ${SPF_LOOKUPS} receivers take it for an error (permerror), and everything fails SPF.`,
          fix: 'Remove what is no longer used; replace include: and a: by ip4: and ip6: where addresses are stable.',
        },
      ];
    if ('problem' in parsed || problems.length > 0 || voids > SPF_VOIDS) {
      const cause =
        'problem' in parsed
          ? `The record is not valid: ${parsed.problem}.`
          : problems.length > 0
            ? problems.join(' ')
            : `${voids} look-ups find nothing; past ${SPF_VOIDS} receivers take it for an error.`;
      return [{ status: 'fail', title: 'SPF is broken', evidence, cause, fix: 'Correct or remove the term that is named.' }];
    }
    const all = parsed.directives.find((directive) => directive.mechanism === 'all')?.qualifier ?? (parsed.redirect === null ? 'neutral' : 'fail');
    if (all === 'pass')
      return [
        {
          status: 'fail',
          title: 'SPF allows everybody',
          evidence,
          cause: 'The record ends in +all: any machine may send for the domain.',
          fix: 'End it in -all, or ~all while you try it out.',
        },
      ];
    if (all === 'neutral')
      return [
        {
          status: 'warn',
          title: 'SPF forbids nobody',
          evidence,
          cause: 'The record ends in ?all or in nothing: other senders are neutral, so it protects little.',
          fix: 'End it in -all, or ~all while you try it out.',
        },
      ];
    return [{ status: 'pass', evidence }];
  },
};

/** Selectors that large senders use; what the user gives is looked for first. */
const COMMON_SELECTORS = [
  'default',
  'dkim',
  'mail',
  'google',
  'selector1',
  'selector2',
  's1',
  's2',
  'k1',
  'k2',
  'k3',
  'mandrill',
  'mxvault',
  'smtp',
  'pm',
  'zoho',
  'zmail',
  'protonmail',
  'fm1',
  'fm2',
  'fm3',
  'sig1',
  'scph0',
  'mte1',
  'everlytickey1',
  'key1',
  'rsa',
  'ed25519',
] as const;

export const dkim: DomainCheck = {
  id: 'dkim',
  title: 'DKIM keys',
  async judge({ resolver, domain, selectors }) {
    const given = selectors.length > 0;
    const names = given ? selectors : COMMON_SELECTORS;
    const answers = await Promise.all(names.map(async (selector) => ({ selector, answer: await resolver.txt(`${selector}._domainkey.${domain}`) })));
    const found = answers.flatMap(({ selector, answer }) =>
      answer.status === 'found' ? [{ selector, text: answer.records.find((text) => /(?:^|;)\s*p\s*=/.test(text)) ?? answer.records[0] ?? '' }] : [],
    );
    const verdicts = found.map(({ selector, text }) => keyVerdict(selector, text, { domain, given }));
    const missing = given ? answers.filter(({ answer }) => answer.status === 'no-data' || answer.status === 'no-domain') : [];
    for (const { selector } of missing)
      verdicts.push({
        status: 'fail',
        title: 'a DKIM key is missing',
        evidence: `nothing at ${selector}._domainkey.${domain}`,
        cause: 'Signatures with this selector cannot be verified.',
        fix: 'Publish the key at this name as the signing service shows it, or sign with a selector that is published.',
      });
    if (verdicts.length === 0)
      verdicts.push({
        status: 'skip',
        title: 'no DKIM key found',
        evidence: `nothing at ${names.length} usual selectors; selectors cannot be listed: name yours with --selector, or give a signed message with --message`,
      });
    return verdicts;
  },
};

/** `given`: somebody signs with this selector; what is only found at a usual name may be what is left of an old service. */
function keyVerdict(selector: string, text: string, { domain, given }: { domain: string; given: boolean }): DomainVerdict {
  const key = readKey(text);
  const name = `${selector}._domainkey.${domain}`;
  if ('failure' in key) {
    const revoked = /(?:^|;)\s*p\s*=\s*(?:;|$)/.test(text);
    return {
      status: revoked && !given ? 'pass' : 'fail',
      title: revoked ? `DKIM key ${selector} is revoked` : `DKIM key ${selector} ${key.reason}`,
      evidence: `${name}: ${text.slice(0, 200)}`,
      cause: revoked ? 'The key was taken back (p= is empty): signatures with this selector do not verify.' : 'Signatures with this key do not verify.',
      fix: revoked
        ? 'Sign with the selector that came after it, or publish its key again.'
        : 'Publish the record again exactly as the signing service shows it: one TXT record, split into strings of at most 255 characters.',
    };
  }
  const evidence = `${name}: ${key.algorithm.keyType}${key.bits === null ? '' : ` ${key.bits} bits`}${key.testing ? ', testing (t=y)' : ''}`;
  if (key.bits !== null && key.bits < 1024)
    return {
      status: 'fail',
      title: `DKIM key ${selector} is too short`,
      evidence,
      cause: 'Keys under 1024 bits must not be accepted (RFC 8301).',
      fix: 'Rotate to RSA of 2048 bits, with Ed25519 beside it.',
    };
  if (key.bits !== null && key.bits < 2048)
    return {
      status: 'warn',
      title: `DKIM key ${selector} is short`,
      evidence,
      cause: 'RSA of 1024 bits is at the lower limit of what is accepted.',
      fix: 'Rotate to RSA of 2048 bits.',
    };
  if (key.testing)
    return {
      status: 'warn',
      title: `DKIM key ${selector} says that it is a test`,
      evidence,
      cause: 't=y asks receivers to treat signed mail like unsigned mail.',
      fix: 'Remove t=y when signing works.',
    };
  return { status: 'pass', evidence };
}

export const dmarc: DomainCheck = {
  id: 'dmarc',
  title: 'DMARC',
  async judge({ resolver, domain }) {
    const own = await textRecords(resolver, `_dmarc.${domain}`, /^\s*v\s*=\s*DMARC1/i);
    if ('unknown' in own) return [unanswered(`_dmarc.${domain}`, own.unknown)];
    if (own.length > 1)
      return [
        { status: 'fail', title: 'duplicate DMARC records', evidence: own.join('\n'), cause: 'Several records count as none.', fix: `Keep one TXT record at _dmarc.${domain}.` },
      ];
    const found = await openTree(resolver)
      .policy(domain)
      .catch((error: unknown) => {
        if (error instanceof TreeUnknown) return error;
        throw error;
      });
    if (found instanceof TreeUnknown) return [unanswered(`_dmarc.${domain}`, found.message)];
    if (found === null)
      return [
        {
          status: 'fail',
          title: 'no DMARC record',
          evidence: `nothing at _dmarc.${domain} and above`,
          cause: 'Nothing says what to do with forged mail, and large providers ask bulk senders for a record.',
          fix: `Publish a TXT record at _dmarc.${domain}: "v=DMARC1; p=none; rua=mailto:postmaster@${domain}"; read the reports, then go to p=quarantine and p=reject.`,
        },
      ];
    const { record } = found;
    const applies = found.domain === domain ? record.policy : (record.subdomains ?? record.policy);
    const evidence = `${own[0] ?? `from ${found.domain}`}\npolicy for ${domain}: ${applies}; alignment: DKIM ${record.strictDkim ? 'strict' : 'relaxed'}, SPF ${record.strictSpf ? 'strict' : 'relaxed'}`;
    if (record.unusable)
      return [
        {
          status: 'fail',
          title: 'the DMARC record is not valid',
          evidence,
          cause: 'It has no valid policy (p=), so it applies to nothing.',
          fix: 'Write p=none, p=quarantine or p=reject right behind v=DMARC1.',
        },
      ];
    if (applies === 'none')
      return [
        {
          status: 'warn',
          title: 'DMARC only watches (p=none)',
          evidence,
          cause: 'Forged mail is reported, not stopped.',
          fix: 'When the reports show that your own mail passes, go to p=quarantine, then p=reject.',
        },
      ];
    return [{ status: 'pass', evidence }];
  },
};
