// Who is signed in, how they sign in and out, and passkeys as the browser knows them. Knows nothing of pages.

import { useQueryClient } from '@tanstack/react-query';
import type { UseQueryResult } from '@tanstack/react-query';
import { send, useApi } from './client.ts';
import type { Refusal } from './client.ts';

export type Identity = { readonly kind: 'socket' | 'token' | 'session'; readonly name: string; readonly scopes: readonly string[] };
export type Person = {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly string[];
  readonly password: boolean;
  readonly totp: boolean;
  readonly recoveryCodes: number;
  readonly passkeys: number;
  readonly createdAt: string;
  readonly createdBy: string;
  readonly signedInAt: string | null;
};
export type SignedIn = { readonly person: Person };
export type Place = {
  readonly id: string;
  readonly method: 'password' | 'passkey' | 'link';
  readonly address: string;
  readonly agent: string;
  readonly createdAt: string;
  readonly seenAt: string;
  readonly current: boolean;
};
export type Passkey = { readonly id: string; readonly name: string; readonly createdAt: string; readonly usedAt: string | null };

export function useIdentity(): UseQueryResult<Identity, Refusal> {
  return useApi<Identity>('/v1/identity');
}

export function useMe(): UseQueryResult<SignedIn, Refusal> {
  return useApi<SignedIn>('/v1/session');
}

/** Nothing of what one person saw is left for the next. */
export function useSignOut(): () => Promise<void> {
  const queries = useQueryClient();
  return async () => {
    await send('DELETE', '/v1/session');
    queries.clear();
    location.assign('/');
  };
}

export const canPasskeys = (): boolean => typeof PublicKeyCredential !== 'undefined' && !/^[\d.]+$|:/.test(location.hostname);

type Creation = {
  readonly challenge: string;
  readonly rp: PublicKeyCredentialRpEntity;
  readonly user: { readonly id: string; readonly name: string; readonly displayName: string };
  readonly pubKeyCredParams: PublicKeyCredentialParameters[];
  readonly excludeCredentials: readonly { readonly type: 'public-key'; readonly id: string }[];
  readonly authenticatorSelection: AuthenticatorSelectionCriteria;
  readonly attestation: AttestationConveyancePreference;
  readonly timeout: number;
};

/** Has one made; the browser asks the person. */
export async function makePasskey(name: string, current: string | undefined): Promise<Passkey> {
  const options = await send<Creation>('POST', '/v1/me/passkeys/options', current === undefined ? {} : { current });
  const made = await navigator.credentials.create({
    publicKey: {
      ...options,
      challenge: bytes(options.challenge),
      user: { ...options.user, id: bytes(options.user.id) },
      excludeCredentials: options.excludeCredentials.map(({ type, id }) => ({ type, id: bytes(id) })),
    },
  });
  if (!(made instanceof PublicKeyCredential) || !(made.response instanceof AuthenticatorAttestationResponse)) throw new Error('The browser made no passkey.');
  const { response } = made;
  const key = response.getPublicKey();
  if (key === null) throw new Error('The browser cannot read the key of this passkey.');
  const passkey = { id: text(made.rawId), clientData: text(response.clientDataJSON), authenticatorData: text(response.getAuthenticatorData()), publicKey: text(key) };
  return send<Passkey>('POST', '/v1/me/passkeys', { name, passkey });
}

export async function signInByPasskey(): Promise<SignedIn> {
  const options = await send<{ challenge: string; rpId: string; userVerification: UserVerificationRequirement; timeout: number }>('POST', '/v1/session/passkey');
  const got = await navigator.credentials.get({ publicKey: { ...options, challenge: bytes(options.challenge) } });
  if (!(got instanceof PublicKeyCredential) || !(got.response instanceof AuthenticatorAssertionResponse)) throw new Error('The browser gave no passkey.');
  const { clientDataJSON, authenticatorData, signature } = got.response;
  return send<SignedIn>('POST', '/v1/session', {
    passkey: { id: text(got.rawId), clientData: text(clientDataJSON), authenticatorData: text(authenticatorData), signature: text(signature) },
  });
}

function bytes(base64url: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64url.replaceAll('-', '+').replaceAll('_', '/')), (letter) => letter.charCodeAt(0));
}

function text(buffer: ArrayBuffer): string {
  return btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replace(/=+$/, '');
}
