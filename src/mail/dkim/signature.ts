// DKIM-Signature, ARC-Message-Signature and ARC-Seal read into one record: what was signed, how, and where the key is. Checks the form of
// each tag; knows no DNS and no cryptography. RFC 6376 3.5, RFC 8301, RFC 8463, RFC 8617 4.1.

import { canonicalName } from '#dns/name.ts';
import { decodeTagBase64, parseTags, withoutSpace } from '#mail/tags.ts';
import type { CanonicalizationName } from './canonical.ts';

export type SignatureKind = 'dkim' | 'arc-message' | 'arc-seal';

export type Signature = {
  /** `a=` as it stands there: whether it may be used is the verifier's matter. */
  readonly algorithm: string;
  readonly domain: string;
  readonly selector: string;
  readonly bytes: Buffer;
  /** The first characters of `b=`, which tell signatures of one domain apart (RFC 6008). */
  readonly mark: string;
  /** `bh=`; null for a seal, which covers no body. */
  readonly bodyHash: Buffer | null;
  readonly header: CanonicalizationName;
  readonly body: CanonicalizationName;
  /** Lower case, in the order of `h=`. */
  readonly names: readonly string[];
  readonly bodyLength: number | null;
  /** The domain of `i=`: that of `d=` or one below it. */
  readonly identity: string;
  readonly expiresAtMs: number | null;
  /** `cv=` of a seal. */
  readonly chain: 'none' | 'pass' | 'fail' | null;
};

/** A signature that cannot be read: what of it can be told, and why. */
export type Unreadable = { readonly problem: string; readonly domain: string | null; readonly selector: string | null };

const MAX_SECONDS = 8_640_000_000_000;
/** The text of a signature is looked at by several expressions; nobody's is anywhere near. */
const MAX_CHARACTERS = 32 * 1024;

/** Reads the value of a signature field (all that follows the colon, folded or not). */
export function parseSignature(value: string, kind: SignatureKind): Signature | Unreadable {
  const tags = value.length > MAX_CHARACTERS ? null : parseTags(value);
  if (tags === null) return { problem: 'the field is no list of tags', domain: null, selector: null };
  const domain = canonicalName(tags.get('d') ?? '');
  const selector = readSelector(tags.get('s') ?? '');
  const bad = (problem: string): Unreadable => ({ problem, domain, selector });
  if (domain === null) return bad('d= is no domain');
  if (selector === null) return bad('s= is no selector');
  if (kind === 'dkim' && tags.get('v') !== '1') return bad('v= is not 1');
  const algorithm = tags.get('a');
  if (algorithm === undefined || algorithm === '') return bad('a= is missing');
  const bytes = decodeTagBase64(tags.get('b') ?? '');
  if (bytes === null) return bad('b= is not base64');
  const times = readTimes(tags);
  if ('problem' in times) return bad(times.problem);
  const common = { algorithm, domain, selector, bytes, mark: withoutSpace(tags.get('b') ?? '').slice(0, 8), expiresAtMs: times.expiresAtMs };
  if (kind === 'arc-seal') {
    const seal = readSeal(tags);
    return 'problem' in seal ? bad(seal.problem) : { ...common, ...seal, identity: domain };
  }
  const covered = readCovered(tags, kind);
  if ('problem' in covered) return bad(covered.problem);
  const identity = kind === 'dkim' ? readIdentity(tags.get('i'), domain) : domain;
  return identity === null ? bad('i= is not below d=') : { ...common, ...covered, identity, chain: null };
}

/** Any labels, numbers too, as they stand below `_domainkey`. */
function readSelector(text: string): string | null {
  const suffix = '._domainkey';
  return canonicalName(`${text}${suffix}`)?.slice(0, -suffix.length) ?? null;
}

type Tags = ReadonlyMap<string, string>;
type Problem = { readonly problem: string };

function readSeal(tags: Tags): Pick<Signature, 'bodyHash' | 'header' | 'body' | 'names' | 'bodyLength' | 'chain'> | Problem {
  const chain = tags.get('cv');
  if (chain !== 'none' && chain !== 'pass' && chain !== 'fail') return { problem: 'cv= is not none, pass or fail' };
  if (tags.has('h')) return { problem: 'a seal has no h=' };
  return { bodyHash: null, header: 'relaxed', body: 'relaxed', names: [], bodyLength: null, chain };
}

function readCovered(tags: Tags, kind: 'dkim' | 'arc-message'): Pick<Signature, 'bodyHash' | 'header' | 'body' | 'names' | 'bodyLength'> | Problem {
  const bodyHash = decodeTagBase64(tags.get('bh') ?? '');
  if (bodyHash === null) return { problem: 'bh= is not base64' };
  // RFC 8617 names no default of its own; the working group's suite takes relaxed.
  const forms = /^(simple|relaxed)(?:\/(simple|relaxed))?$/.exec(tags.get('c') ?? (kind === 'dkim' ? 'simple/simple' : 'relaxed/relaxed'));
  if (forms === null) return { problem: 'c= names no canonicalization' };
  const list = tags.get('h');
  if (list === undefined) return { problem: 'h= is missing' };
  const names = withoutSpace(list).toLowerCase().split(':');
  if (kind === 'dkim' && names.includes('')) return { problem: 'h= has an empty name' };
  if (kind === 'arc-message' && names.includes('arc-seal')) return { problem: 'h= must not name ARC-Seal' };
  const methods = tags.get('q');
  if (methods !== undefined && !withoutSpace(methods).split(':').includes('dns/txt')) return { problem: 'q= does not offer dns/txt' };
  const length = tags.get('l');
  if (length !== undefined && !/^\d{1,15}$/.test(length)) return { problem: 'l= is no number' };
  return {
    bodyHash,
    header: forms[1] as CanonicalizationName,
    body: (forms[2] ?? 'simple') as CanonicalizationName,
    names,
    bodyLength: length === undefined ? null : Number(length),
  };
}

/** `t=` and `x=`, seconds since the epoch; `x=` must be later (RFC 6376 3.5). */
function readTimes(tags: Tags): { readonly expiresAtMs: number | null } | Problem {
  const [made, ends] = [tags.get('t'), tags.get('x')];
  for (const [name, value] of [
    ['t', made],
    ['x', ends],
  ] as const) {
    if (value !== undefined && !/^\d{1,12}$/.test(value)) return { problem: `${name}= is no time` };
  }
  if (made !== undefined && ends !== undefined && Number(ends) <= Number(made)) return { problem: 'x= is not later than t=' };
  return { expiresAtMs: ends === undefined ? null : Math.min(Number(ends), MAX_SECONDS) * 1000 };
}

/** The domain of `i=`, if it is that of `d=` or below it (RFC 6376 3.5). */
function readIdentity(value: string | undefined, domain: string): string | null {
  if (value === undefined) return domain;
  const text = withoutSpace(value);
  const at = text.lastIndexOf('@');
  const identity = at === -1 ? null : canonicalName(text.slice(at + 1));
  return identity !== null && (identity === domain || identity.endsWith(`.${domain}`)) ? identity : null;
}
