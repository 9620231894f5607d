// /v1/session: signing in by password (and code), by passkey, or by a link that holds once; who is signed in; signing out. The session itself is
// in a cookie that no script can read.

import { z } from 'zod';
import type { Vault } from '#base/vault.ts';
import { limitKey } from '#base/ip.ts';
import type { Networks } from '#base/ip.ts';
import { tooOften } from '#http/call.ts';
import type { Call, Operation } from '#http/operation.ts';
import { operation } from '#http/operation.ts';
import { ProblemError } from '#http/problem.ts';
import type { Rates } from '#http/rates.ts';
import { placeOf, refuseForeign, sessionOf, setCookie } from '#http/sign-in/cookie.ts';
import { ASSERTED, readAsserted, requestOptions } from '#http/sign-in/passkeys.ts';
import type { Challenges } from '#http/sign-in/passkeys.ts';
import { PASSWORD_CHARACTERS, verifyPassword } from '#http/sign-in/password.ts';
import { totpStepOf } from '#http/sign-in/totp.ts';
import { SIGNED_IN, personView, sessionView } from '#http/views/person.ts';
import type { PeopleStore, Person } from '#store/people.ts';
import type { SessionMethod } from '#store/sessions.ts';

export type SignInParts = {
  readonly people: () => PeopleStore;
  readonly vault: () => Vault;
  readonly rates: Rates;
  readonly challenges: Challenges;
  /** The proxies that are trusted. */
  readonly proxies: Networks;
};

/** What TOTP secrets are sealed for. */
export const TOTP_PURPOSE = 'totp';

/** Somebody who mistypes, not somebody who guesses: of one address, and for one person whatever the address. One address alone cannot use up a person's. */
const BY_ADDRESS = { perSecond: 1 / 40, burst: 10 };
/** Each question is remembered for minutes, a thousand in all: nobody crowds out those of others. */
const QUESTIONS = { perSecond: 1 / 2, burst: 20 };
const BY_PERSON = { perSecond: 1 / 20, burst: 20 };

const code = z.string().max(64);
const SIGN_IN = z.union([
  z.strictObject({ name: z.string().max(64), password: z.string().max(PASSWORD_CHARACTERS.max), code: code.optional().describe('of the app, or a recovery code') }),
  z.strictObject({ link: z.string().max(64).describe('what follows # in a sign-in link') }),
  z.strictObject({ passkey: ASSERTED }),
]);

type AnyCall = Pick<Call<unknown, unknown, unknown>, 'context'>;

export function sessionOperations(parts: SignInParts): readonly Operation[] {
  const { people, challenges, proxies } = parts;
  return [
    operation({
      method: 'POST',
      path: '/v1/session',
      id: 'signIn',
      tag: 'Access',
      summary: 'Sign a person in',
      description:
        'By name and password (401 `code-needed` asks for the code of the app as well), by a link that holds once, or by a passkey. The session is in the cookie that comes with the answer.',
      scope: 'open',
      body: SIGN_IN,
      answer: SIGNED_IN,
      refusals: [401, 403, 429, 503],
      example: { body: { name: 'ada', password: 'a long and private sentence' } },
      audit: ({ body }) => ('name' in body ? body.name : 'link' in body ? 'by a link' : 'by a passkey'),
      run: async ({ body, context }) => {
        refuseForeign(context, proxies);
        hold(parts, `sign-in ${limitKey(context.get('client'))}`, BY_ADDRESS);
        if ('link' in body) return begin(parts, { context }, byLink(people(), body.link), 'link');
        if ('passkey' in body) return begin(parts, { context }, byPasskey(parts, { context }, body.passkey), 'passkey');
        return begin(parts, { context }, await byPassword(parts, body), 'password');
      },
    }),
    operation({
      method: 'POST',
      path: '/v1/session/passkey',
      id: 'askForPasskey',
      tag: 'Access',
      summary: 'What to hand to navigator.credentials.get to sign in by a passkey',
      scope: 'open',
      audit: false,
      answer: z.object({ challenge: z.string(), rpId: z.string(), userVerification: z.literal('required'), timeout: z.int() }),
      refusals: [429],
      run: ({ context }) => {
        hold(parts, `passkey ${limitKey(context.get('client'))}`, QUESTIONS);
        return requestOptions(placeOf(context, proxies), challenges.make(null));
      },
    }),
    operation({
      method: 'GET',
      path: '/v1/session',
      id: 'getSession',
      tag: 'Access',
      summary: 'Who is signed in',
      scope: 'open',
      answer: SIGNED_IN,
      refusals: [401],
      run: ({ context }) => {
        const session = sessionOf(context, people(), proxies);
        const person = session === null ? null : people().get(session.personId);
        if (session === null || person === null) throw notSignedIn();
        return { person: personView(people(), person), session: sessionView(session, session.id) };
      },
    }),
    operation({
      method: 'DELETE',
      path: '/v1/session',
      id: 'signOut',
      tag: 'Access',
      summary: 'Sign out',
      scope: 'open',
      answer: z.object({ signedOut: z.literal(true) }),
      refusals: [403],
      run: ({ context }) => {
        refuseForeign(context, proxies);
        const session = sessionOf(context, people(), proxies);
        if (session !== null) people().sessions.end(session.personId, session.id);
        setCookie(context, null, proxies);
        return { signedOut: true as const };
      },
    }),
  ];
}

function hold({ rates }: SignInParts, key: string, rate: typeof BY_ADDRESS): void {
  const waitMs = rates.take(key, rate);
  if (waitMs > 0) throw tooOften(waitMs, 'There were too many attempts to sign in');
}

async function byPassword(parts: SignInParts, { name, password, code: given }: { name: string; password: string; code?: string | undefined }): Promise<Person> {
  hold(parts, `sign-in as ${name.normalize('NFC').toLowerCase().slice(0, 64)}`, BY_PERSON);
  const person = parts.people().find(name.normalize('NFC'));
  if (!(await verifyPassword(password, person?.passwordHash ?? null)) || person === null) {
    throw refused('sign-in-failed', 'The name or the password is not right.', 'Try again; whoever runs the server can let you in anew: postern person link NAME');
  }
  if (person.totpSecret === null) return person;
  if (given === undefined || given === '') throw refused('code-needed', 'The code of your authenticator app is needed as well.', 'Send it as "code"; a recovery code does too.');
  if (!isCode(parts, person, given)) throw refused('code-wrong', 'The code is not right, or was used already.', 'Wait for the next one of the app, or use a recovery code.');
  return person;
}

/** A code of the app, or a recovery code; each counts once. */
export function isCode({ people, vault }: Pick<SignInParts, 'people' | 'vault'>, person: Person, given: string): boolean {
  if (person.totpSecret === null) return false;
  const secret = vault().open(TOTP_PURPOSE, person.id, Buffer.from(person.totpSecret));
  const step = totpStepOf(secret, given, Date.now());
  return step === null ? people().useRecovery(person.id, given) : people().useTotpStep(person.id, step);
}

function byLink(people: PeopleStore, link: string): Person {
  const person = people.useLink(link);
  if (person === null) throw refused('link-invalid', 'The sign-in link was used already, or its time is over.', 'Make another one on the server: postern person link NAME');
  return person;
}

function byPasskey({ people, challenges, proxies }: SignInParts, { context }: AnyCall, asserted: z.output<typeof ASSERTED>): Person {
  const passkey = people().passkey(asserted.id);
  const person = passkey === null ? null : people().get(passkey.personId);
  if (passkey === null || person === null) throw refused('passkey-unknown', 'This passkey is not known here.', 'Sign in another way, then add it in the settings.');
  const counter = readAsserted(asserted, passkey, placeOf(context, proxies), (challenge) => challenges.take(challenge, null));
  people().notePasskey(passkey.id, counter);
  return person;
}

/** A new session in any case: what was in the cookie before is nobody's afterwards. */
function begin({ people, proxies }: SignInParts, { context }: AnyCall, person: Person, method: SessionMethod): z.output<typeof SIGNED_IN> {
  const before = sessionOf(context, people(), proxies);
  if (before !== null) people().sessions.end(before.personId, before.id);
  const { session, text } = people().sessions.begin({ personId: person.id, method, address: context.get('client'), agent: context.req.header('user-agent') ?? '' });
  people().noteSignIn(person.id);
  setCookie(context, text, proxies);
  return { person: personView(people(), people().get(person.id) ?? person), session: sessionView(session, session.id) };
}

function notSignedIn(): ProblemError {
  return refused('not-signed-in', 'Nobody is signed in.', 'Sign in, or send a token: Authorization: Bearer pst_...');
}

function refused(code: string, cause: string, fix: string): ProblemError {
  return new ProblemError({ status: 401, title: 'Not signed in', code, cause, fix });
}
