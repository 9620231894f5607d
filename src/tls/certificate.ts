// A self-signed certificate for a server without one: ECDSA P-256, the names it answers to, server use only. Writes the few DER
// structures that this takes, and nothing else. RFC 5280 4.1, 4.2; RFC 5480, 5758; X.690 8.

import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { isIP } from 'node:net';
import { reverseName } from '#dns/name.ts';

const ECDSA_SHA256 = [1, 2, 840, 10045, 4, 3, 2];
const COMMON_NAME = [2, 5, 4, 3];
const SUBJECT_KEY_ID = [2, 5, 29, 14];
const KEY_USAGE = [2, 5, 29, 15];
const SUBJECT_ALT_NAME = [2, 5, 29, 17];
const BASIC_CONSTRAINTS = [2, 5, 29, 19];
const AUTHORITY_KEY_ID = [2, 5, 29, 35];
const EXTENDED_KEY_USAGE = [2, 5, 29, 37];
const SERVER_AUTH = [1, 3, 6, 1, 5, 5, 7, 3, 1];

/** Length of a common name (RFC 5280 A.1); the names that count are in the alternative names. */
const COMMON_NAME_CHARACTERS = 64;

export type NewCertificate = { readonly certPem: string; readonly keyPem: string };

/**
 * A new key and a certificate for it. `names` are host names (A-labels) and IP addresses, the first one the subject; times in ms
 * since the epoch. It is no authority: whoever trusts it trusts this server only.
 */
export function makeSelfSigned(names: readonly string[], validity: { readonly fromMs: number; readonly untilMs: number }): NewCertificate {
  const keyPem = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const publicKey = createPublicKey(keyPem).export({ type: 'spki', format: 'der' });
  const algorithm = sequence(objectId(ECDSA_SHA256));
  const subject = sequence(set(sequence(objectId(COMMON_NAME), der(0x0c, Buffer.from((names[0] ?? '').slice(0, COMMON_NAME_CHARACTERS))))));
  const body = sequence(
    der(0xa0, integer(Buffer.from([2]))),
    integer(serialNumber()),
    algorithm,
    subject,
    sequence(time(validity.fromMs), time(validity.untilMs)),
    subject,
    publicKey,
    der(0xa3, sequence(...extensions(names, publicKey))),
  );
  const signature = sign('sha256', body, createPrivateKey(keyPem));
  const bytes = sequence(body, algorithm, der(0x03, Buffer.concat([Buffer.from([0]), signature])));
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? [];
  return { certPem: `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`, keyPem };
}

function extensions(names: readonly string[], publicKey: Buffer): Buffer[] {
  const keyId = createHash('sha256').update(publicKey).digest().subarray(0, 20);
  return [
    extension(BASIC_CONSTRAINTS, sequence(), true),
    // Bit 0, digitalSignature: seven bits of the octet are unused.
    extension(KEY_USAGE, der(0x03, Buffer.from([7, 0x80])), true),
    extension(EXTENDED_KEY_USAGE, sequence(objectId(SERVER_AUTH)), false),
    extension(SUBJECT_KEY_ID, der(0x04, keyId), false),
    extension(AUTHORITY_KEY_ID, sequence(der(0x80, keyId)), false),
    extension(SUBJECT_ALT_NAME, sequence(...names.map(generalName)), false),
  ];
}

function extension(id: readonly number[], value: Buffer, critical: boolean): Buffer {
  const flag = critical ? [der(0x01, Buffer.from([0xff]))] : [];
  return sequence(objectId(id), ...flag, der(0x04, value));
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

function der(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const head = length < 0x80 ? [tag, length] : length < 0x100 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(head), content]);
}

function sequence(...parts: Buffer[]): Buffer {
  return der(0x30, Buffer.concat(parts));
}

function set(...parts: Buffer[]): Buffer {
  return der(0x31, Buffer.concat(parts));
}

function integer(bytes: Buffer): Buffer {
  return der(0x02, bytes);
}

function objectId(arcs: readonly number[]): Buffer {
  const [first = 0, second = 0, ...rest] = arcs;
  const bytes = [first * 40 + second];
  for (const arc of rest) {
    const groups = [arc & 0x7f];
    for (let left = arc >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return der(0x06, Buffer.from(bytes));
}

/** UTCTime through 2049, GeneralizedTime from 2050 on (RFC 5280 4.1.2.5). */
function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/[-:T]/g, '').slice(0, 14);
  return digits < '2050' ? der(0x17, Buffer.from(`${digits.slice(2)}Z`)) : der(0x18, Buffer.from(`${digits}Z`));
}
