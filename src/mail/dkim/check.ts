// One signature held against its message: the header fields it covers made canonical, the body's hash compared, the key used. The same for
// DKIM-Signature, ARC-Message-Signature and ARC-Seal. RFC 6376 3.7, 6.1.3; RFC 8301; RFC 8463 3; RFC 8617 5.1.1.

import type { Field } from '#mail/headers.ts';
import { ALGORITHMS } from './algorithms.ts';
import { BodyHash, canonicalField } from './canonical.ts';
import type { CanonicalizationName } from './canonical.ts';
import type { NoKey, PublicKey } from './key.ts';
import type { Signature } from './signature.ts';

/** RFC 8601 2.7.1. */
export type DkimResultName = 'pass' | 'fail' | 'policy' | 'neutral' | 'temperror' | 'permerror';

export type Checked = { readonly result: DkimResultName; readonly reason: string };

const MIN_RSA_BITS = 1024;
const MAX_RSA_BITS = 8192;

/** The header of one message, for all its signatures: fields by name, and their canonical forms, made once. */
export class SignedHeader {
  readonly #head: Buffer;
  readonly #byName = new Map<string, Field[]>();
  readonly #relaxed = new Map<Field, string>();

  constructor(head: Buffer, fields: readonly Field[]) {
    this.#head = head;
    for (const field of fields) {
      const same = this.#byName.get(field.name);
      if (same === undefined) this.#byName.set(field.name, [field]);
      else same.push(field);
    }
  }

  /** Top to bottom. */
  named(name: string): readonly Field[] {
    return this.#byName.get(name) ?? [];
  }

  canonical(field: Field, form: CanonicalizationName): string {
    if (form === 'simple') return canonicalField(this.#raw(field), form);
    let text = this.#relaxed.get(field);
    if (text === undefined) this.#relaxed.set(field, (text = canonicalField(this.#raw(field), form)));
    return text;
  }

  /** A signature's own field with its value taken out of `b=`, without the final line end (RFC 6376 3.7). */
  unsigned(field: Field, form: CanonicalizationName): string {
    return canonicalField(withoutSignature(this.#raw(field)), form).slice(0, -2);
  }

  /** The fields that `h=` names, from the bottom up; a name that is not there (any more) stands for nothing (RFC 6376 5.4.2). */
  covered(names: readonly string[], form: CanonicalizationName): string {
    const used = new Map<string, number>();
    let text = '';
    for (const name of names) {
      const fields = this.named(name);
      const taken = used.get(name) ?? 0;
      const field = fields[fields.length - 1 - taken];
      if (field === undefined) continue;
      used.set(name, taken + 1);
      text += this.canonical(field, form);
    }
    return text;
  }

  #raw(field: Field): string {
    return this.#head.toString('latin1', field.start, field.end);
  }
}

/** The hashes of one body, in the forms that its signatures ask for. */
export class BodyHashes {
  readonly #running = new Map<CanonicalizationName, BodyHash>();
  readonly #done = new Map<CanonicalizationName, { readonly hash: Buffer; readonly sizeBytes: number }>();

  want(form: CanonicalizationName): void {
    if (!this.#running.has(form)) this.#running.set(form, new BodyHash(form));
  }

  update(chunk: Buffer): void {
    for (const hash of this.#running.values()) hash.update(chunk);
  }

  /** Of a form that was wanted, once the body has ended. */
  result(form: CanonicalizationName): { readonly hash: Buffer; readonly sizeBytes: number } {
    let done = this.#done.get(form);
    if (done === undefined) {
      const running = this.#running.get(form);
      if (running === undefined) throw new TypeError(`the ${form} body was not hashed`);
      const hash = running.digest();
      this.#done.set(form, (done = { hash, sizeBytes: running.sizeBytes }));
    }
    return done;
  }
}

/** What can be said of a signature before its key is known; null when nothing stands against it. */
export function checkForm(signature: Signature, nowMs: number): Checked | null {
  if (signature.algorithm === 'rsa-sha1') return { result: 'policy', reason: 'rsa-sha1 is not safe and no longer accepted (RFC 8301)' };
  if (!ALGORITHMS.some((one) => one.name === signature.algorithm)) return { result: 'neutral', reason: `unknown algorithm ${signature.algorithm.slice(0, 40)}` };
  if (signature.expiresAtMs !== null && signature.expiresAtMs < nowMs)
    return { result: 'fail', reason: `the signature expired at ${new Date(signature.expiresAtMs).toISOString()}` };
  return null;
}

/** The hash of the body against `bh=`; null when it is right. A body of which `l=` leaves a part unsigned is not accepted. */
export function checkBody(signature: Signature, hashes: BodyHashes): Checked | null {
  if (signature.bodyHash === null) return null;
  const { hash, sizeBytes } = hashes.result(signature.body);
  const { bodyLength } = signature;
  if (bodyLength !== null && bodyLength < sizeBytes) return { result: 'policy', reason: `l= leaves ${sizeBytes - bodyLength} octets of the body unsigned` };
  if (bodyLength !== null && bodyLength > sizeBytes) return { result: 'fail', reason: 'the body is shorter than l= says' };
  return hash.equals(signature.bodyHash) ? null : { result: 'fail', reason: 'the body was changed (its hash is not that of bh=)' };
}

/** The last step: the signature itself. `input` is the canonical text that was signed. */
export function checkWithKey(signature: Signature, found: PublicKey | NoKey, input: string): Checked {
  if ('failure' in found) return { result: found.failure, reason: found.reason };
  const { algorithm, key, bits, strict, testing } = found;
  if (signature.algorithm !== algorithm.name) return { result: 'permerror', reason: `the key is of type ${algorithm.keyType}, the signature ${signature.algorithm}` };
  if (strict && signature.identity !== signature.domain) return { result: 'permerror', reason: 'the key does not allow subdomains in i= (t=s)' };
  if (bits !== null && bits < MIN_RSA_BITS) return { result: 'policy', reason: `the RSA key has ${bits} bits; ${MIN_RSA_BITS} is the least that is accepted (RFC 8301)` };
  if (bits !== null && bits > MAX_RSA_BITS) return { result: 'policy', reason: `the RSA key has ${bits} bits; ${MAX_RSA_BITS} is the most that is accepted` };
  const valid = algorithm.verify(Buffer.from(input, 'latin1'), key, signature.bytes);
  if (!valid) return { result: 'fail', reason: 'the signature does not fit the header fields it covers' };
  return { result: 'pass', reason: testing ? 'the domain is testing DKIM (t=y)' : '' };
}

/** The text of a signature field with the value of `b=` taken out, all else as it is. */
function withoutSignature(raw: string): string {
  const colon = raw.indexOf(':');
  const specs = raw.slice(colon + 1).split(';');
  const emptied = specs.map((spec) => (/^[ \t\r\n]*b[ \t\r\n]*=/.test(spec) ? spec.slice(0, spec.indexOf('=') + 1) : spec));
  return `${raw.slice(0, colon + 1)}${emptied.join(';')}`;
}
