// Whether an ARC chain holds: the newest message signature and every seal. Asks for the keys when the header is there, decides when the
// body has ended. RFC 8617 5.2.

import { checkBody, checkForm, checkWithKey } from '#mail/dkim/check.ts';
import type { BodyHashes, Checked, SignedHeader } from '#mail/dkim/check.ts';
import type { Keys, NoKey, PublicKey } from '#mail/dkim/key.ts';
import type { Signature } from '#mail/dkim/signature.ts';
import { readChain } from './chain.ts';
import type { ArcSet, Chain } from './chain.ts';

/** `instance` counts the sets, 0 without any. `sealers` are the domains of the seals, oldest first; `claimed` is what the newest set says
 * its host found. `temporary`: a key could not be had, another time the chain may hold. */
export type ArcVerdict = {
  readonly result: 'none' | 'pass' | 'fail';
  readonly instance: number;
  readonly sealers: readonly string[];
  readonly claimed: string | null;
  readonly temporary: boolean;
  readonly reason: string;
};

export type ArcParts = { readonly keys: Keys; readonly header: SignedHeader; readonly body: BodyHashes; readonly nowMs: number };

const CLAIM_CHARACTERS = 2000;

/** Begins; what it returns is called once the body has ended, and never rejects. */
export function beginArc(parts: ArcParts, chain: Chain = readChain(parts.header)): () => Promise<ArcVerdict> {
  if (chain.status === 'none') return () => Promise.resolve({ result: 'none', instance: 0, sealers: [], claimed: null, temporary: false, reason: '' });
  if (chain.status === 'fail') {
    const { instance, reason } = chain;
    return () => Promise.resolve({ result: 'fail', instance, sealers: [], claimed: null, temporary: false, reason });
  }
  const { sets } = chain;
  const newest = sets.at(-1) as ArcSet;
  parts.body.want(newest.messageSignature.body);
  const find = ({ domain, selector }: Signature): Promise<PublicKey | NoKey> => parts.keys.find(domain, selector);
  const messageKey = find(newest.messageSignature);
  const sealKeys = sets.map((set) => find(set.sealSignature));
  return async () => {
    const broken = checkMessage(parts, newest, await messageKey) ?? (await checkSeals(parts, sets, sealKeys));
    return {
      result: broken === null ? 'pass' : 'fail',
      instance: newest.instance,
      sealers: sets.map((set) => set.sealSignature.domain),
      claimed: newest.results.value().slice(0, CLAIM_CHARACTERS),
      temporary: broken?.result === 'temperror',
      reason: broken?.reason ?? '',
    };
  };
}

function checkMessage({ header, body, nowMs }: ArcParts, { message, messageSignature, instance }: ArcSet, key: PublicKey | NoKey): Checked | null {
  const input = header.covered(messageSignature.names, messageSignature.header) + header.unsigned(message, messageSignature.header);
  const checked = checkForm(messageSignature, nowMs) ?? checkBody(messageSignature, body) ?? checkWithKey(messageSignature, key, input);
  return checked.result === 'pass' ? null : { ...checked, reason: `the message signature of set ${instance}: ${checked.reason}` };
}

/** A seal covers all sets up to its own, oldest first, its own `b=` empty (RFC 8617 5.1.1). */
async function checkSeals({ header, nowMs }: ArcParts, sets: readonly ArcSet[], keys: readonly Promise<PublicKey | NoKey>[]): Promise<Checked | null> {
  const found = await Promise.all(keys);
  let before = '';
  for (const [i, { results, message, seal, sealSignature, instance }] of sets.entries()) {
    before += header.canonical(results, 'relaxed') + header.canonical(message, 'relaxed');
    const key = found[i] as PublicKey | NoKey;
    const checked = checkForm(sealSignature, nowMs) ?? checkWithKey(sealSignature, key, before + header.unsigned(seal, 'relaxed'));
    if (checked.result !== 'pass') return { ...checked, reason: `the seal of set ${instance}: ${checked.reason}` };
    before += header.canonical(seal, 'relaxed');
  }
  return null;
}
