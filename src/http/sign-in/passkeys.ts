// Passkeys: what a browser is asked, and whether what it answers is true. WebAuthn Level 3, 7.1 and 7.2, without attestation: nobody here cares
// who made the authenticator, so the key is taken as the browser reads it out (getPublicKey), and no CBOR is parsed. Knows no tables.

import { createHash, createPublicKey, randomBytes, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { z } from 'zod';
import { ProblemError } from '#http/problem.ts';

/** COSE: Ed25519, ES256, RS256. */
const ALGORITHMS = [-8, -7, -257];
const CHALLENGE_BYTES = 32;
const CHALLENGE_MS = 5 * 60_000;
const MAX_CHALLENGES = 1000;
const FLAGS = { present: 0x01, verified: 0x04, attested: 0x40 } as const;
/** SHA-256 of the host, flags, counter; then 16 bytes of model, the length of the id, the id. */
const HEAD_BYTES = 37;
const ID_AT = HEAD_BYTES + 18;

const base64url = z.string().regex(/^[\w-]{1,8192}$/, 'write it in base64url');

/** PublicKeyCredential of `navigator.credentials.create`, its buffers in base64url. */
export const CREATED = z.strictObject({ id: base64url, clientData: base64url, authenticatorData: base64url, publicKey: base64url });
/** Of `navigator.credentials.get`. */
export const ASSERTED = z.strictObject({ id: base64url, clientData: base64url, authenticatorData: base64url, signature: base64url });

/** Where the page is: the origin that the browser signs, and the host that passkeys belong to. */
export type Place = { readonly origin: string; readonly host: string };

/** What was asked for: each challenge holds once, some minutes, for one person or (null) for whoever it turns out to be. */
export type Challenges = { make(personId: string | null): string; take(challenge: string, personId: string | null): boolean };

export function openChallenges(nowMs: () => number): Challenges {
  const open = new Map<string, { personId: string | null; untilMs: number }>();
  return {
    make(personId) {
      for (const oldest of open.keys()) {
        if (open.size < MAX_CHALLENGES) break;
        open.delete(oldest);
      }
      const challenge = randomBytes(CHALLENGE_BYTES).toString('base64url');
      open.set(challenge, { personId, untilMs: nowMs() + CHALLENGE_MS });
      return challenge;
    },
    take(challenge, personId) {
      const one = open.get(challenge);
      open.delete(challenge);
      return one !== undefined && one.personId === personId && one.untilMs >= nowMs();
    },
  };
}

/** For `navigator.credentials.create`. */
export function creationOptions(place: Place, person: { readonly id: string; readonly name: string }, known: readonly string[], challenge: string) {
  return {
    challenge,
    rp: { id: place.host, name: 'Postern' },
    user: { id: Buffer.from(person.id).toString('base64url'), name: person.name, displayName: person.name },
    pubKeyCredParams: ALGORITHMS.map((alg) => ({ type: 'public-key' as const, alg })),
    excludeCredentials: known.map((id) => ({ type: 'public-key' as const, id })),
    authenticatorSelection: { residentKey: 'required' as const, userVerification: 'required' as const },
    attestation: 'none' as const,
    timeout: CHALLENGE_MS,
  };
}

/** For `navigator.credentials.get`: any passkey of this host will do. */
export function requestOptions(place: Place, challenge: string) {
  return { challenge, rpId: place.host, userVerification: 'required' as const, timeout: CHALLENGE_MS };
}

/** The key that was made, ready to be kept. Throws the ProblemError that says what is wrong. */
export function readCreated(created: z.output<typeof CREATED>, place: Place, isAsked: (challenge: string) => boolean): { readonly publicKey: Buffer; readonly counter: number } {
  checkClient(created.clientData, { type: 'webauthn.create', origin: place.origin, isAsked });
  const { flags, counter, bytes } = readAuthenticator(created.authenticatorData, place.host);
  if ((flags & FLAGS.attested) === 0 || bytes.length < ID_AT) throw untrue('it has no key in it');
  const id = bytes.subarray(ID_AT, ID_AT + bytes.readUInt16BE(ID_AT - 2));
  if (id.toString('base64url') !== created.id) throw untrue('its id is another than the one it has inside');
  const publicKey = Buffer.from(created.publicKey, 'base64url');
  readKey(publicKey);
  return { publicKey, counter };
}

/** The counter of a true assertion. Throws the ProblemError that says what is wrong. */
export function readAsserted(
  asserted: z.output<typeof ASSERTED>,
  kept: { readonly publicKey: Uint8Array; readonly counter: number },
  place: Place,
  isAsked: (challenge: string) => boolean,
): number {
  checkClient(asserted.clientData, { type: 'webauthn.get', origin: place.origin, isAsked });
  const { counter, bytes } = readAuthenticator(asserted.authenticatorData, place.host);
  const signed = Buffer.concat([bytes, createHash('sha256').update(Buffer.from(asserted.clientData, 'base64url')).digest()]);
  const key = readKey(Buffer.from(kept.publicKey));
  const digest = key.asymmetricKeyType === 'ed25519' ? null : 'sha256';
  if (!verify(digest, signed, key, Buffer.from(asserted.signature, 'base64url'))) throw untrue('its signature is not by the key that was kept');
  // Passkeys that live in several places count nothing; one that counts and goes back was copied (6.1.1).
  if ((counter > 0 || kept.counter > 0) && counter <= kept.counter) throw untrue('its counter went back: it may have been copied');
  return counter;
}

function checkClient(clientData: string, wanted: { readonly type: string; readonly origin: string; readonly isAsked: (challenge: string) => boolean }): void {
  let client: Record<string, unknown>;
  try {
    client = JSON.parse(Buffer.from(clientData, 'base64url').toString('utf8')) as Record<string, unknown>;
  } catch {
    throw untrue('its client data are no JSON');
  }
  const { type, challenge, origin, crossOrigin } = client;
  if (type !== wanted.type) throw untrue('it answers another question');
  if (origin !== wanted.origin || crossOrigin === true) throw untrue(`it was made for another page than ${wanted.origin}`);
  if (typeof challenge !== 'string' || !wanted.isAsked(challenge)) throw untrue('the question was not asked here, or too long ago');
}

function readAuthenticator(data: string, host: string): { flags: number; counter: number; bytes: Buffer } {
  const bytes = Buffer.from(data, 'base64url');
  if (bytes.length < HEAD_BYTES) throw untrue('its authenticator data are too short');
  if (!bytes.subarray(0, 32).equals(createHash('sha256').update(host).digest())) throw untrue(`it belongs to another host than ${host}`);
  const flags = bytes.readUInt8(32);
  if ((flags & FLAGS.present) === 0 || (flags & FLAGS.verified) === 0) throw untrue('the authenticator did not make sure who uses it (PIN, finger, face)');
  return { flags, counter: bytes.readUInt32BE(33), bytes };
}

function readKey(der: Buffer): KeyObject {
  try {
    const key = createPublicKey({ key: der, format: 'der', type: 'spki' });
    const { asymmetricKeyType, asymmetricKeyDetails } = key;
    if (asymmetricKeyType === 'ed25519') return key;
    if (asymmetricKeyType === 'ec' && asymmetricKeyDetails?.namedCurve === 'prime256v1') return key;
    if (asymmetricKeyType === 'rsa' && (asymmetricKeyDetails?.modulusLength ?? 0) >= 2048) return key;
  } catch {
    // Said below.
  }
  throw untrue('its key is of a kind that is not taken (Ed25519, P-256, or RSA from 2048 bits)');
}

function untrue(why: string): ProblemError {
  return new ProblemError({
    status: 422,
    title: 'Passkey refused',
    code: 'passkey-refused',
    cause: `The passkey is not accepted: ${why}.`,
    fix: 'Try again from the page itself, or sign in another way.',
  });
}
