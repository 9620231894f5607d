// Who is signed in, how they sign in and out, and passkeys as the browser knows them. Knows nothing of pages.

import { useQueryClient } from '@tanstack/react-query';
import type { UseQueryResult } from '@tanstack/react-query';
import { send, useApi } from './client.ts';
import type { Refusal } from './client.ts';
import type { Identity, Passkey, SignedIn } from './schema.ts';

export function useIdentity(): UseQueryResult<Identity, Refusal> {
  return useApi('/v1/identity', {});
}

export function useMe(): UseQueryResult<SignedIn, Refusal> {
  return useApi('/v1/session', {});
}

/** Nothing of what one person saw is left for the next. */
export function useSignOut(): () => Promise<void> {
  const queries = useQueryClient();
  return async () => {
    await send('DELETE /v1/session', {});
    queries.clear();
    location.assign('/');
  };
}

export const canPasskeys = (): boolean => typeof PublicKeyCredential !== 'undefined' && !/^[\d.]+$|:/.test(location.hostname);

/** Has one made; the browser asks the person. */
export async function makePasskey(name: string, current: string | undefined): Promise<Passkey> {
  const options = await send('POST /v1/me/passkeys/options', {}, current === undefined ? {} : { current });
  const made = await navigator.credentials.create({
    publicKey: {
      ...options,
      pubKeyCredParams: [...options.pubKeyCredParams],
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
  return send('POST /v1/me/passkeys', {}, { name, passkey });
}

export async function signInByPasskey(): Promise<SignedIn> {
  const options = await send('POST /v1/session/passkey', {});
  const got = await navigator.credentials.get({ publicKey: { ...options, challenge: bytes(options.challenge) } });
  if (!(got instanceof PublicKeyCredential) || !(got.response instanceof AuthenticatorAssertionResponse)) throw new Error('The browser gave no passkey.');
  const { clientDataJSON, authenticatorData, signature } = got.response;
  return send(
    'POST /v1/session',
    {},
    {
      passkey: { id: text(got.rawId), clientData: text(clientDataJSON), authenticatorData: text(authenticatorData), signature: text(signature) },
    },
  );
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
