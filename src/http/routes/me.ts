// /v1/me: what a signed-in person does with their own account. Whatever changes how they sign in needs that they have just signed in, or their
// password once more: a browser left open must not be enough to lock its owner out.

import { z } from 'zod';
import { time } from '#http/fields.ts';
import type { Call, Operation } from '#http/operation.ts';
import { operation } from '#http/operation.ts';
import { ProblemError, notFound } from '#http/problem.ts';
import { placeOf, sessionOf } from '#http/sign-in/cookie.ts';
import { CREATED, creationOptions, readCreated } from '#http/sign-in/passkeys.ts';
import { PASSWORD_CHARACTERS, hashPassword, verifyPassword } from '#http/sign-in/password.ts';
import { base32, fromBase32, newRecoveryCodes, newTotpSecret, totpStepOf, totpUri } from '#http/sign-in/totp.ts';
import { PERSON, SESSION, personView, sessionView } from '#http/views/person.ts';
import { toWire } from '#http/wire.ts';
import { recoveryHash } from '#store/people.ts';
import type { Person } from '#store/people.ts';
import type { Session } from '#store/sessions.ts';
import { TOTP_PURPOSE } from './session.ts';
import type { SignInParts } from './session.ts';

const RECENT_MS = 15 * 60_000;
const MAX_PASSKEYS = 20;
const { min, max } = PASSWORD_CHARACTERS;
const given = z.string().max(max).optional().describe('yours, unless you signed in within the last 15 minutes');
const newPassword = z.string().min(min, `a password has at least ${min} characters; a sentence is easy to keep`).max(max);
const PASSKEY = z.object({ id: z.string(), name: z.string(), createdAt: time, usedAt: time.nullable() }).meta({ id: 'Passkey' });
const OPTIONS = z
  .object({
    challenge: z.string(),
    rp: z.object({ id: z.string(), name: z.string() }),
    user: z.object({ id: z.string(), name: z.string(), displayName: z.string() }),
    pubKeyCredParams: z.array(z.object({ type: z.literal('public-key'), alg: z.int() })),
    excludeCredentials: z.array(z.object({ type: z.literal('public-key'), id: z.string() })),
    authenticatorSelection: z.object({ residentKey: z.literal('required'), userVerification: z.literal('required') }),
    attestation: z.literal('none'),
    timeout: z.int(),
  })
  .meta({ id: 'PasskeyOptions' });

type Me = { readonly person: Person; readonly session: Session };
type AnyCall = Call<unknown, unknown, unknown>;

export function meOperations(parts: SignInParts): readonly Operation[] {
  const { people, vault, challenges, proxies } = parts;
  const common = { tag: 'Access', scope: 'known' } as const;
  const me = ({ context }: Pick<AnyCall, 'context'>): Me => {
    // By the cookie alone: a token beside it was not asked where the page is, and the audit log would name it.
    if (context.get('identity').kind !== 'session') throw onlyPeople();
    const session = sessionOf(context, people(), proxies);
    const person = session === null ? null : people().get(session.personId);
    if (session === null || person === null) throw onlyPeople();
    return { person, session };
  };
  const sure = async (call: Pick<AnyCall, 'context'>, password: string | undefined): Promise<Me> => {
    const who = me(call);
    if (who.session.provedAtMs > Date.now() - RECENT_MS) return who;
    if (password !== undefined && (await verifyPassword(password, who.person.passwordHash))) return who;
    throw proveAgain(password !== undefined);
  };
  return [
    operation({
      ...common,
      method: 'PUT',
      path: '/v1/me/password',
      id: 'setPassword',
      summary: 'Set your password; your other sessions end',
      body: z.strictObject({ password: newPassword, current: given }),
      answer: PERSON,
      refusals: [401],
      audit: () => '',
      run: async (call) => {
        const { person, session } = await sure(call, call.body.current);
        const { password } = call.body;
        if (password.toLowerCase().includes(person.name.toLowerCase()) && password.length < person.name.length + min)
          throw invalid('The password is little more than your name.', 'Choose one that nobody who knows you would try.');
        people().setPassword(person.id, await hashPassword(password));
        people().sessions.endOthers(person.id, session.id);
        return personView(people(), people().get(person.id) as Person);
      },
    }),
    operation({
      ...common,
      method: 'POST',
      path: '/v1/me/totp',
      id: 'beginTotp',
      summary: 'A secret for your authenticator app; it counts once a code of it was shown',
      body: z.strictObject({ current: given }),
      answer: z.object({ secret: z.string(), uri: z.string().describe('for a QR code') }),
      refusals: [401],
      audit: false,
      run: async (call) => {
        const { person } = await sure(call, call.body.current);
        const secret = newTotpSecret();
        return { secret: base32(secret), uri: totpUri(secret, person.name, placeOf(call.context, proxies).host) };
      },
    }),
    operation({
      ...common,
      method: 'PUT',
      path: '/v1/me/totp',
      id: 'confirmTotp',
      summary: 'Ask for codes of the app from now on; the answer has the recovery codes, told this once',
      body: z.strictObject({ secret: z.string().regex(/^[A-Z2-7]{32}$/), code: z.string().max(16), current: given }),
      answer: z.object({ recoveryCodes: z.array(z.string()) }),
      refusals: [401],
      audit: () => '',
      run: async (call) => {
        const { person } = await sure(call, call.body.current);
        const secret = fromBase32(call.body.secret);
        const step = totpStepOf(secret, call.body.code, Date.now());
        if (step === null) throw invalid('The code is not of this secret.', 'Check the clock of the telephone, and type the code it shows now.');
        const recoveryCodes = newRecoveryCodes();
        people().setTotp(person.id, { sealed: vault().seal(TOTP_PURPOSE, person.id, secret), recoveryHashes: recoveryCodes.map(recoveryHash) });
        people().useTotpStep(person.id, step);
        return { recoveryCodes };
      },
    }),
    operation({
      ...common,
      method: 'DELETE',
      path: '/v1/me/totp',
      id: 'removeTotp',
      summary: 'Ask for no codes any more',
      body: z.strictObject({ current: given }),
      answer: PERSON,
      refusals: [401],
      audit: () => '',
      run: async (call) => {
        const { person } = await sure(call, call.body.current);
        people().setTotp(person.id, null);
        return personView(people(), people().get(person.id) as Person);
      },
    }),
    operation({
      ...common,
      method: 'GET',
      path: '/v1/me/passkeys',
      id: 'listPasskeys',
      summary: 'Your passkeys',
      answer: z.object({ passkeys: z.array(PASSKEY) }),
      refusals: [401],
      run: (call) => ({
        passkeys: people()
          .passkeys(me(call).person.id)
          .map(({ id, name, createdAtMs, usedAtMs }) => toWire({ id, name, createdAtMs, usedAtMs })),
      }),
    }),
    operation({
      ...common,
      method: 'POST',
      path: '/v1/me/passkeys/options',
      id: 'askToMakePasskey',
      summary: 'What to hand to navigator.credentials.create',
      description: 'Passkeys belong to a name: they do not work where the page is opened by an IP address.',
      body: z.strictObject({ current: given }),
      answer: OPTIONS,
      refusals: [401, 422],
      audit: false,
      run: async (call) => {
        const { person } = await sure(call, call.body.current);
        const place = placeOf(call.context, proxies);
        if (/^[\d.]+$|:/.test(place.host))
          throw invalid(`A passkey cannot belong to ${place.host}.`, 'Open the page by a name: http://localhost on this machine, or https:// behind a proxy.');
        const known = people().passkeys(person.id);
        if (known.length >= MAX_PASSKEYS) throw invalid(`You have ${MAX_PASSKEYS} passkeys.`, 'Remove one that you do not use.');
        return creationOptions(
          place,
          person,
          known.map(({ id }) => id),
          challenges.make(person.id),
        );
      },
    }),
    operation({
      ...common,
      method: 'POST',
      path: '/v1/me/passkeys',
      id: 'addPasskey',
      summary: 'Keep the passkey that was made',
      body: z.strictObject({ name: z.string().trim().min(1).max(64), passkey: CREATED }),
      answer: PASSKEY,
      status: 201,
      refusals: [401, 409, 422],
      audit: ({ body }) => body.name,
      run: (call) => {
        const { person } = me(call);
        const { name, passkey } = call.body;
        const { publicKey, counter } = readCreated(passkey, placeOf(call.context, proxies), (challenge) => challenges.take(challenge, person.id));
        if (people().passkey(passkey.id) !== null)
          throw new ProblemError({ status: 409, title: 'Passkey known', code: 'passkey-known', cause: 'This passkey is kept already.', fix: 'Sign in with it.' });
        people().addPasskey({ id: passkey.id, personId: person.id, name, publicKey, counter });
        return { id: passkey.id, name, createdAt: new Date().toISOString(), usedAt: null };
      },
    }),
    operation({
      ...common,
      method: 'DELETE',
      path: '/v1/me/passkeys/{id}',
      id: 'removePasskey',
      summary: 'Forget a passkey',
      params: z.object({ id: z.string().max(2000) }),
      body: z.strictObject({ current: given }),
      answer: z.object({ id: z.string(), removed: z.literal(true) }),
      refusals: [401, 404],
      example: { params: { id: 'bm90LWEtcmVhbC1pZA' } },
      run: async (call) => {
        const { person } = await sure(call, call.body.current);
        const { id } = call.params;
        if (!people().removePasskey(person.id, id)) throw notFound('such passkey of yours', 'See the ones there are in the settings.');
        return { id, removed: true as const };
      },
    }),
    operation({
      ...common,
      method: 'GET',
      path: '/v1/me/sessions',
      id: 'listSessions',
      summary: 'Where you are signed in',
      answer: z.object({ sessions: z.array(SESSION) }),
      refusals: [401],
      run: (call) => {
        const { person, session } = me(call);
        return {
          sessions: people()
            .sessions.of(person.id)
            .map((one) => sessionView(one, session.id)),
        };
      },
    }),
    operation({
      ...common,
      method: 'DELETE',
      path: '/v1/me/sessions/{id}',
      id: 'endSession',
      summary: 'Sign out somewhere else',
      params: z.object({ id: z.string().max(64) }),
      answer: z.object({ id: z.string(), ended: z.literal(true) }),
      refusals: [401, 404],
      example: { params: { id: 'AbCdEfGhIjKl' } },
      run: (call) => {
        const { id } = call.params;
        if (!people().sessions.end(me(call).person.id, id)) throw notFound('such session of yours', 'It may have ended already.');
        return { id, ended: true as const };
      },
    }),
  ];
}

function onlyPeople(): ProblemError {
  return new ProblemError({
    status: 401,
    title: 'Not signed in',
    code: 'not-signed-in',
    cause: 'This is for people who are signed in, not for tokens.',
    fix: 'Sign in to the dashboard; a link to it is made by: postern person link NAME',
  });
}

function proveAgain(wrong: boolean): ProblemError {
  return new ProblemError({
    status: 401,
    title: 'Prove it again',
    code: wrong ? 'password-wrong' : 'prove-again',
    cause: wrong ? 'The password is not right.' : 'You signed in more than 15 minutes ago.',
    fix: 'Send your password as "current", or sign out and in again.',
  });
}

function invalid(cause: string, fix: string): ProblemError {
  return new ProblemError({ status: 422, title: 'Invalid request', code: 'invalid-request', cause, fix });
}
