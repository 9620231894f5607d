// The DKIM algorithms, one row each: how a key is made, how its public half stands in the DNS, how a hash input is signed and how a signature
// is verified. RFC 6376 3.3, RFC 8301 (RSA from 2048 bits, SHA-256), RFC 8463 (Ed25519).

import { createHash, createPublicKey, generateKeyPair, sign, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

export type AlgorithmName = 'rsa-sha256' | 'ed25519-sha256';

export type KeyPair = { readonly publicKey: KeyObject; readonly privateKey: KeyObject };

export type Algorithm = {
  /** `a=` of a signature. */
  readonly name: AlgorithmName;
  /** `k=` of the record with the public key. */
  readonly keyType: 'rsa' | 'ed25519';
  /** The last letter of its selectors. */
  readonly letter: string;
  readonly makeKey: () => Promise<KeyPair>;
  /** What stands in `p=`, before base64. */
  readonly publicBytes: (publicKey: KeyObject) => Buffer;
  /** The key that `publicBytes` made, by whomever; null when it is none. */
  readonly readPublic: (bytes: Buffer) => KeyObject | null;
  /** Takes a core for 0.25 ms (RSA) or 0.04 (Ed25519): not for the loop of a worker (pen.ts). */
  readonly sign: (input: Buffer, privateKey: KeyObject) => Buffer;
  readonly verify: (input: Buffer, publicKey: KeyObject, signature: Buffer) => boolean;
};

const RSA_BITS = 2048;
/** The DER of an Ed25519 public key is a fixed head and the key itself (RFC 8410 4). */
const ED25519_BYTES = 32;
const ED25519_HEAD = Buffer.from('302a300506032b6570032100', 'hex');
/** A huge exponent makes a verification as costly as a signature. */
const MAX_RSA_EXPONENT = 0xffff_ffffn;

/** In the order in which signatures stand in a message: the one that every receiver knows comes first. */
export const ALGORITHMS: readonly Algorithm[] = [
  {
    name: 'rsa-sha256',
    keyType: 'rsa',
    letter: 'r',
    makeKey: () =>
      new Promise((resolve, reject) => {
        generateKeyPair('rsa', { modulusLength: RSA_BITS }, (error, publicKey, privateKey) => (error === null ? resolve({ publicKey, privateKey }) : reject(error)));
      }),
    publicBytes: (publicKey) => publicKey.export({ type: 'spki', format: 'der' }),
    // RFC 6376 says PKCS #1, everybody publishes SPKI, as its own example does.
    readPublic: (bytes) => {
      const key = tryKey(bytes, 'spki') ?? tryKey(bytes, 'pkcs1');
      return key?.asymmetricKeyType === 'rsa' && (key.asymmetricKeyDetails?.publicExponent ?? 0n) <= MAX_RSA_EXPONENT ? key : null;
    },
    sign: (input, privateKey) => sign('sha256', input, privateKey),
    verify: (input, publicKey, signature) => verify('sha256', input, publicKey, signature),
  },
  {
    name: 'ed25519-sha256',
    keyType: 'ed25519',
    letter: 'e',
    makeKey: () =>
      new Promise((resolve, reject) => {
        generateKeyPair('ed25519', (error, publicKey, privateKey) => (error === null ? resolve({ publicKey, privateKey }) : reject(error)));
      }),
    publicBytes: (publicKey) => publicKey.export({ type: 'spki', format: 'der' }).subarray(-ED25519_BYTES),
    readPublic: (bytes) => (bytes.length === ED25519_BYTES ? tryKey(Buffer.concat([ED25519_HEAD, bytes]), 'spki') : null),
    // What is signed is the hash, not the input itself (RFC 8463 3).
    sign: (input, privateKey) => sign(null, createHash('sha256').update(input).digest(), privateKey),
    verify: (input, publicKey, signature) => verify(null, createHash('sha256').update(input).digest(), publicKey, signature),
  },
];

export function algorithm(name: AlgorithmName): Algorithm {
  const found = ALGORITHMS.find((one) => one.name === name);
  if (found === undefined) throw new TypeError(`no DKIM algorithm ${name as string}`);
  return found;
}

function tryKey(der: Buffer, type: 'spki' | 'pkcs1'): KeyObject | null {
  try {
    return createPublicKey({ key: der, format: 'der', type });
  } catch {
    return null;
  }
}
