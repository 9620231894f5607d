// Signed requests of ACME: the account's key, JSON Web Signatures over it, and what is derived from it (thumbprint, key authorization,
// external account binding). Sends nothing. RFC 7515, 7517, 7638; RFC 8555 6.2, 7.3.4, 8.1.

import { createHash, createHmac, createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

/** A P-256 key as JSON (RFC 7518 6.2), its members in the order of the thumbprint. */
type Jwk = { readonly crv: string; readonly kty: string; readonly x: string; readonly y: string };
export type AccountKey = { readonly privateKey: KeyObject; readonly jwk: Jwk };

/** The flattened serialization (RFC 7515 7.2.2), the only one of ACME. */
export type Jws = { readonly protected: string; readonly payload: string; readonly signature: string };
type Header = Readonly<Record<string, string | Jwk>>;

/** A new account key, PKCS #8 in PEM. */
export function newAccountKey(): string {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** Throws when the PEM is no P-256 key. */
export function readAccountKey(keyPem: string): AccountKey {
  const privateKey = createPrivateKey(keyPem);
  const { crv = '', kty = '', x = '', y = '' } = createPublicKey(keyPem).export({ format: 'jwk' });
  if (kty !== 'EC' || crv !== 'P-256') throw new TypeError('the account key is not an ECDSA P-256 key');
  return { privateKey, jwk: { crv, kty, x, y } };
}

/** Signs `payload` (JSON text; '' for POST-as-GET) with ES256. */
export function signJws(key: AccountKey, header: Header, payload: string): Jws {
  const parts = encode({ alg: 'ES256', ...header }, payload);
  const signature = sign('sha256', signed(parts), { key: key.privateKey, dsaEncoding: 'ieee-p1363' });
  return { ...parts, signature: signature.toString('base64url') };
}

/** The proof that an account of the authority's customers wants this key (RFC 8555 7.3.4). */
export function bindExternalAccount(key: AccountKey, url: string, external: { readonly kid: string; readonly hmacKey: Buffer }): Jws {
  const parts = encode({ alg: 'HS256', kid: external.kid, url }, JSON.stringify(key.jwk));
  return { ...parts, signature: createHmac('sha256', external.hmacKey).update(signed(parts)).digest('base64url') };
}

/** What a challenge is answered with: the token and the key's thumbprint (RFC 8555 8.1, RFC 7638). */
export function keyAuthorization(key: AccountKey, token: string): string {
  return `${token}.${createHash('sha256').update(JSON.stringify(key.jwk)).digest('base64url')}`;
}

function encode(header: Header, payload: string): { readonly protected: string; readonly payload: string } {
  return { protected: Buffer.from(JSON.stringify(header)).toString('base64url'), payload: Buffer.from(payload).toString('base64url') };
}

function signed(parts: { readonly protected: string; readonly payload: string }): Buffer {
  return Buffer.from(`${parts.protected}.${parts.payload}`);
}
