// The DKIM signatures of one message, from its header to their verdicts. Keys are asked for as soon as the header is there, the body is
// hashed as it passes. Bounded: so many signatures are looked at, the others are told as not looked at. RFC 6376 6.

import type { Field } from '#mail/headers.ts';
import { checkBody, checkForm, checkWithKey } from './check.ts';
import type { BodyHashes, Checked, DkimResultName, SignedHeader } from './check.ts';
import type { Keys, NoKey, PublicKey } from './key.ts';
import { parseSignature } from './signature.ts';
import type { Signature } from './signature.ts';

/** One signature's verdict. `reason` is a phrase for people, empty for a plain pass; unknown parts are null. */
export type DkimVerdict = {
  readonly result: DkimResultName;
  readonly domain: string | null;
  readonly selector: string | null;
  readonly algorithm: string | null;
  readonly mark: string | null;
  readonly reason: string;
};

export type DkimParts = { readonly keys: Keys; readonly header: SignedHeader; readonly body: BodyHashes; readonly nowMs: number };

const MAX_SIGNATURES = 10;

type Pending = { readonly field: Field; readonly signature: Signature; readonly settled: Checked | null; readonly key: Promise<PublicKey | NoKey> | null };

/** Begins: asks for keys, tells the body which hashes are wanted. What it returns is called once the body has ended; it never rejects. */
export function beginDkim(parts: DkimParts): () => Promise<DkimVerdict[]> {
  const pending = parts.header.named('dkim-signature').map((field, i) => (i < MAX_SIGNATURES ? prepare(parts, field) : tooMany()));
  return () => Promise.all(pending.map(async (one) => ('result' in one ? one : decide(parts, one))));
}

function prepare(parts: DkimParts, field: Field): Pending | DkimVerdict {
  const signature = parseSignature(field.value(), 'dkim');
  if ('problem' in signature) {
    return { result: 'neutral', domain: signature.domain, selector: signature.selector, algorithm: null, mark: null, reason: signature.problem };
  }
  if (!signature.names.includes('from')) return verdict(signature, { result: 'permerror', reason: 'From is not among the signed fields' });
  const settled = checkForm(signature, parts.nowMs);
  if (settled === null) parts.body.want(signature.body);
  return { field, signature, settled, key: settled === null ? parts.keys.find(signature.domain, signature.selector) : null };
}

async function decide({ header, body }: DkimParts, { field, signature, settled, key }: Pending): Promise<DkimVerdict> {
  if (settled !== null || key === null) return verdict(signature, settled ?? { result: 'neutral', reason: 'not checked' });
  const found = await key;
  const changed = checkBody(signature, body);
  // A key that cannot be had now may make a difference later, a changed body cannot.
  if (changed !== null) return verdict(signature, changed);
  const input = header.covered(signature.names, signature.header) + header.unsigned(field, signature.header);
  return verdict(signature, checkWithKey(signature, found, input));
}

function verdict({ domain, selector, algorithm, mark }: Signature, { result, reason }: Checked): DkimVerdict {
  return { result, domain, selector, algorithm, mark, reason };
}

function tooMany(): DkimVerdict {
  return { result: 'neutral', domain: null, selector: null, algorithm: null, mark: null, reason: `only the first ${MAX_SIGNATURES} signatures are looked at` };
}
