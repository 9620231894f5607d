// People and their sessions as the API shows them: what they can do, never what proves who they are.

import { z } from 'zod';
import { time } from '#http/fields.ts';
import { SCOPES, SCOPE_NAMES } from '#http/scopes.ts';
import type { Scope } from '#http/scopes.ts';
import { toWire } from '#http/wire.ts';
import type { PeopleStore, Person } from '#store/people.ts';
import type { Session } from '#store/sessions.ts';

export const SCOPE_LIST = z.array(z.enum(SCOPE_NAMES)).describe(SCOPE_NAMES.map((name) => `\`${name}\`: ${SCOPES[name]}`).join('; '));

export const personName = z
  .string()
  .regex(/^[\p{L}\p{N}][\p{L}\p{N}._@+-]{0,63}$/u, 'a name has 1 to 64 letters, digits, dots, dashes, underscores, plus or @, beginning with a letter or digit')
  .transform((text) => text.normalize('NFC'));

export const PERSON = z
  .object({
    id: z.string(),
    name: z.string(),
    scopes: SCOPE_LIST,
    password: z.boolean().describe('whether there is one'),
    totp: z.boolean().describe('whether codes of an app are asked for'),
    recoveryCodes: z.int().describe('how many are left'),
    passkeys: z.int(),
    createdAt: time,
    createdBy: z.string(),
    signedInAt: time.nullable(),
  })
  .meta({ id: 'Person' });

export type PersonView = z.output<typeof PERSON>;

export const SESSION = z
  .object({
    id: z.string(),
    method: z.enum(['password', 'passkey', 'link']),
    address: z.string(),
    agent: z.string().describe('what the browser calls itself'),
    createdAt: time,
    seenAt: time.describe('to the minute'),
    current: z.boolean().describe('the one that asks'),
  })
  .meta({ id: 'Session' });

export const SIGNED_IN = z.object({ person: PERSON, session: SESSION }).meta({ id: 'SignedIn' });

export function personView(people: PeopleStore, person: Person): PersonView {
  const { id, name, scopes, createdAtMs, createdBy, signedInAtMs } = person;
  return {
    ...toWire({ id, name, createdAtMs, createdBy, signedInAtMs }),
    scopes: scopes as Scope[],
    password: person.passwordHash !== null,
    totp: person.totpSecret !== null,
    recoveryCodes: person.recoveryHashes.length,
    passkeys: people.passkeys(id).length,
  };
}

export function sessionView(session: Session, currentId: string | null): z.output<typeof SESSION> {
  const { id, method, address, agent, createdAtMs, seenAtMs } = session;
  return { ...toWire({ id, method, address, agent, createdAtMs, seenAtMs }), current: id === currentId };
}
