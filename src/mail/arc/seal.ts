// A set of ARC put on a message that is passed on: what this host found, its signature over the message, its seal over the chain. RFC 8617 5.1.
// A chain that is broken is not sealed: nothing that follows could mend it.

import type { SignedHeader } from '#mail/dkim/check.ts';
import { coveredFields } from '#mail/dkim/fields.ts';
import { canonicalField } from '#mail/dkim/canonical.ts';
import type { Pen } from '#mail/dkim/pen.ts';
import { foldNames, inputOf, signedField } from '#mail/dkim/signer.ts';
import type { SigningKey } from '#mail/dkim/signer.ts';
import type { Field } from '#mail/headers.ts';
import { foldHeader } from '#mail/headers.ts';
import type { Chain } from './chain.ts';

export type ToSeal = {
  readonly key: SigningKey;
  readonly hostname: string;
  /** What was found, as in Authentication-Results behind the host's name. */
  readonly results: readonly string[];
  readonly chain: Exclude<Chain, { status: 'fail' }>;
  readonly header: SignedHeader;
  readonly fields: readonly Field[];
  /** Of the relaxed body. */
  readonly bodyHash: Buffer;
  readonly nowMs: number;
};

const MAX_SETS = 50;

/** The three fields, to be put above those of the chain; null when the chain has no room for one more. Rejects as `pen` does. */
export async function sealMessage(message: ToSeal, pen: Pen): Promise<string | null> {
  const { key, hostname, results, chain, header, fields, bodyHash, nowMs } = message;
  const sets = chain.status === 'none' ? [] : chain.sets;
  const instance = sets.length + 1;
  if (instance > MAX_SETS) return null;
  const seconds = Math.floor(nowMs / 1000);
  const own = [`i=${instance};`, `a=${key.algorithm};`, `d=${key.domain};`, `s=${key.selector};`, `t=${seconds};`].join(' ');
  const arcResults = foldHeader('ARC-Authentication-Results', [`i=${instance};`, `${hostname};`, ...results]);
  // DKIM signatures are what the next host may want to hold against this one's word; ARC's own fields are the seal's matter.
  const names = [...coveredFields(fields).names, ...header.named('dkim-signature').map((field) => field.name)];
  const unsigned = [`ARC-Message-Signature: ${own}`, 'c=relaxed/relaxed;', ...foldNames(names), `bh=${bodyHash.toString('base64')};`, 'b='].join('\r\n\t');
  const sign = async (field: string, covered: string): Promise<string> => signedField(field, (await pen.sign([{ key, input: inputOf(field, covered) }]))[0] as string);
  const signature = await sign(unsigned, header.covered(names, 'relaxed'));
  const before = sets.map((set) => header.canonical(set.results, 'relaxed') + header.canonical(set.message, 'relaxed') + header.canonical(set.seal, 'relaxed')).join('');
  const sealed = before + canonicalField(arcResults, 'relaxed') + canonicalField(signature, 'relaxed');
  const seal = await sign([`ARC-Seal: ${own}`, `cv=${sets.length === 0 ? 'none' : 'pass'};`, 'b='].join('\r\n\t'), sealed);
  return seal + signature + arcResults;
}
