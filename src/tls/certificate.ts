// Certificates that this server signs itself: one to show while there is none of an authority, the one that answers a TLS-ALPN-01 challenge,
// those of an authority made for tests; and the request that an authority issues by. ECDSA P-256 unless a key is given. RFC 5280 4.1, 4.2;
// RFC 5480, 5758; RFC 8737 3; RFC 2986.

import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { isIP } from 'node:net';
import { reverseName } from '#dns/name.ts';
import { TAG, bitString, der, integer, objectId, octetString, pem, sequence, set, time } from './der.ts';

const ECDSA_SHA256 = [1, 2, 840, 10045, 4, 3, 2];
const RSA_SHA256 = [1, 2, 840, 113549, 1, 1, 11];
const EXTENSION_REQUEST = [1, 2, 840, 113549, 1, 9, 14];
const COMMON_NAME = [2, 5, 4, 3];
const SUBJECT_KEY_ID = [2, 5, 29, 14];
const KEY_USAGE = [2, 5, 29, 15];
const SUBJECT_ALT_NAME = [2, 5, 29, 17];
const BASIC_CONSTRAINTS = [2, 5, 29, 19];
const AUTHORITY_KEY_ID = [2, 5, 29, 35];
const EXTENDED_KEY_USAGE = [2, 5, 29, 37];
const SERVER_AUTH = [1, 3, 6, 1, 5, 5, 7, 3, 1];
const ACME_IDENTIFIER = [1, 3, 6, 1, 5, 5, 7, 1, 31];

/** Length of a common name (RFC 5280 A.1); the names that count are in the alternative names. */
const COMMON_NAME_CHARACTERS = 64;
const NULL = Buffer.from([0x05, 0x00]);

export type NewCertificate = { readonly certPem: string; readonly keyPem: string };
type Validity = { readonly fromMs: number; readonly untilMs: number };

/**
 * A new key and a certificate for it. `names` are host names (A-labels) and IP addresses, the first one the subject; times in ms
 * since the epoch. It is no authority: whoever trusts it trusts this server only.
 */
export function makeSelfSigned(names: readonly string[], validity: Validity): NewCertificate {
  return selfSigned(names, validity, []);
}

/** The certificate that proves control of `name` (RFC 8737 3): `digest` is SHA-256 of the key authorization. */
export function makeChallengeCertificate(name: string, validity: Validity & { readonly digest: Buffer }): NewCertificate {
  return selfSigned([name], validity, [extension(ACME_IDENTIFIER, octetString(validity.digest), true)]);
}

/** An authority: what signs others, with the name they will say. Without `issuer` it is a root. */
export type Authority = NewCertificate & { readonly name: string };

/** An authority of this name, for tests: nobody but who is given it trusts it. */
export function makeAuthority(name: string, validity: Validity, issuer?: Authority): Authority {
  const keys = newKey();
  const limits = [
    extension(BASIC_CONSTRAINTS, sequence(der(TAG.boolean, Buffer.from([0xff]))), true),
    // Bits 5 and 6, keyCertSign and cRLSign: one bit of the octet is unused.
    extension(KEY_USAGE, der(TAG.bitString, Buffer.from([1, 0x06])), true),
  ];
  return { ...certificate({ subject: name, keys, validity, issuer: issuer ?? { name, keyPem: keys.keyPem }, limits, more: [] }), name };
}

/** A certificate for these names that `issuer` signs. */
export function makeIssued(names: readonly string[], validity: Validity, issuer: Authority): NewCertificate {
  return certificate({ subject: names[0] ?? '', keys: newKey(), validity, issuer, limits: forServers(), more: [alternativeNames(names)] });
}

function selfSigned(names: readonly string[], validity: Validity, more: readonly Buffer[]): NewCertificate {
  const keys = newKey();
  const subject = names[0] ?? '';
  return certificate({ subject, keys, validity, issuer: { name: subject, keyPem: keys.keyPem }, limits: forServers(), more: [alternativeNames(names), ...more] });
}

type Keys = { readonly keyPem: string; readonly publicKey: Buffer };

function newKey(): Keys {
  const keyPem = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  return { keyPem, publicKey: publicKeyOf(keyPem) };
}

function publicKeyOf(keyPem: string): Buffer {
  return createPublicKey(keyPem).export({ type: 'spki', format: 'der' });
}

type Parts = {
  readonly subject: string;
  readonly keys: Keys;
  readonly validity: Validity;
  readonly issuer: { readonly name: string; readonly keyPem: string };
  readonly limits: readonly Buffer[];
  readonly more: readonly Buffer[];
};

function certificate({ subject, keys, validity, issuer, limits, more }: Parts): NewCertificate {
  const algorithm = sequence(objectId(ECDSA_SHA256));
  const body = sequence(
    der(0xa0, integer(Buffer.from([2]))),
    integer(serialNumber()),
    algorithm,
    subjectOf(issuer.name.slice(0, COMMON_NAME_CHARACTERS)),
    sequence(time(validity.fromMs), time(validity.untilMs)),
    subjectOf(subject.slice(0, COMMON_NAME_CHARACTERS)),
    keys.publicKey,
    der(0xa3, sequence(...limits, ...keyIds(keys.publicKey, publicKeyOf(issuer.keyPem)), ...more)),
  );
  const signature = sign('sha256', body, createPrivateKey(issuer.keyPem));
  return { certPem: pem('CERTIFICATE', sequence(body, algorithm, bitString(signature))), keyPem: keys.keyPem };
}

/** A request (PKCS #10, DER) for a certificate with these host names, signed by `key`: ECDSA or RSA. */
export function makeRequest(names: readonly string[], key: KeyObject): Buffer {
  const [first = ''] = names;
  const attribute = sequence(objectId(EXTENSION_REQUEST), set(sequence(alternativeNames(names))));
  const body = sequence(
    integer(Buffer.from([0])),
    // A name that is too long for a subject stands among the alternative names only.
    first.length <= COMMON_NAME_CHARACTERS ? subjectOf(first) : sequence(),
    createPublicKey(key).export({ type: 'spki', format: 'der' }),
    der(0xa0, attribute),
  );
  const algorithm = key.asymmetricKeyType === 'rsa' ? sequence(objectId(RSA_SHA256), NULL) : sequence(objectId(ECDSA_SHA256));
  return sequence(body, algorithm, bitString(sign('sha256', body, key)));
}

function subjectOf(name: string): Buffer {
  return sequence(set(sequence(objectId(COMMON_NAME), der(TAG.utf8, Buffer.from(name)))));
}

/** No authority, and for servers. */
function forServers(): Buffer[] {
  return [
    extension(BASIC_CONSTRAINTS, sequence(), true),
    // Bit 0, digitalSignature: seven bits of the octet are unused.
    extension(KEY_USAGE, der(TAG.bitString, Buffer.from([7, 0x80])), true),
    extension(EXTENDED_KEY_USAGE, sequence(objectId(SERVER_AUTH)), false),
  ];
}

function keyIds(own: Buffer, issuer: Buffer): Buffer[] {
  const idOf = (publicKey: Buffer): Buffer => createHash('sha256').update(publicKey).digest().subarray(0, 20);
  return [extension(SUBJECT_KEY_ID, octetString(idOf(own)), false), extension(AUTHORITY_KEY_ID, sequence(der(0x80, idOf(issuer))), false)];
}

function alternativeNames(names: readonly string[]): Buffer {
  return extension(SUBJECT_ALT_NAME, sequence(...names.map(generalName)), false);
}

function extension(id: readonly number[], value: Buffer, critical: boolean): Buffer {
  const flag = critical ? [der(TAG.boolean, Buffer.from([0xff]))] : [];
  return sequence(objectId(id), ...flag, octetString(value));
}

function generalName(name: string): Buffer {
  return isIP(name) === 0 ? der(0x82, Buffer.from(name, 'latin1')) : der(0x87, addressBytes(name));
}

/** The 4 or 16 bytes of an address, from its reverse name: decimal octets or nibbles, last first. */
function addressBytes(address: string): Buffer {
  const labels = (reverseName(address) ?? '').split('.').slice(0, -2).reverse();
  return isIP(address) === 4 ? Buffer.from(labels.map(Number)) : Buffer.from(labels.join(''), 'hex');
}

/** 127 random bits, positive and never zero (RFC 5280 4.1.2.2). */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes.writeUInt8((bytes.readUInt8(0) & 0x7f) | 0x40, 0);
  return bytes;
}
