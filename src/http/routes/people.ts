// /v1/people: who may sign in to the dashboard. A new person, or one who lost everything, gets a link that lets them in once.

import { z } from 'zod';
import { time } from '#http/fields.ts';
import type { Identity } from '#http/identity.ts';
import { operation } from '#http/operation.ts';
import type { Operation } from '#http/operation.ts';
import { ProblemError, notFound, refusing } from '#http/problem.ts';
import { beyond } from '#http/scopes.ts';
import type { Scope } from '#http/scopes.ts';
import { PERSON, SCOPE_LIST, personName, personView } from '#http/views/person.ts';
import type { PeopleStore, Person } from '#store/people.ts';

const LINK_MS = 24 * 3_600_000;
const LINK = z.object({ link: z.string().describe('the address to open; it holds once'), until: time });
const WITH_LINK = PERSON.extend(LINK.shape).meta({ id: 'NewPerson' });
const NAMED = z.object({ name: z.string().max(64) });

export type PersonMade = z.output<typeof WITH_LINK>;

/** `url`: where the dashboard is. */
export function peopleOperations({ people, url }: { readonly people: () => PeopleStore; readonly url: () => string }): readonly Operation[] {
  const common = { tag: 'Access' } as const;
  const named = (name: string): Person => {
    const person = people().find(name.normalize('NFC'));
    if (person === null) throw notFound(`person "${name}"`, 'List them with: postern person list');
    return person;
  };
  return [
    operation({
      ...common,
      method: 'GET',
      path: '/v1/people',
      id: 'listPeople',
      summary: 'Who may sign in',
      scope: 'people:read',
      answer: z.object({ people: z.array(PERSON) }),
      run: () => ({
        people: people()
          .list()
          .map((person) => personView(people(), person)),
      }),
    }),
    operation({
      ...common,
      method: 'POST',
      path: '/v1/people',
      id: 'addPerson',
      summary: 'Let somebody in: the answer has a link that signs them in once',
      scope: 'people:write',
      body: z.strictObject({ name: personName, scopes: SCOPE_LIST.min(1) }),
      answer: WITH_LINK,
      status: 201,
      refusals: [409],
      example: { body: { name: 'ada', scopes: ['admin'] } },
      run: async ({ body, identity }) => {
        refuseBeyond(identity, body.scopes);
        const wanted = { ...body, scopes: [...new Set(body.scopes)], createdBy: identity.name };
        const person = await refusing(() => people().add(wanted), { status: 409, title: 'Person exists' });
        return { ...personView(people(), person), ...linkFor(people(), person, url()) };
      },
    }),
    operation({
      ...common,
      method: 'PATCH',
      path: '/v1/people/{name}',
      id: 'changePerson',
      summary: 'Change what somebody may do; it holds at once',
      scope: 'people:write',
      params: NAMED,
      body: z.strictObject({ scopes: SCOPE_LIST.min(1) }),
      answer: PERSON,
      refusals: [404, 409],
      example: { params: { name: 'ada' }, body: { scopes: ['messages:read', 'queue:write'] } },
      run: ({ params: { name }, body, identity }) => {
        const person = named(name);
        refuseBeyond(identity, [...body.scopes, ...(person.scopes as Scope[])]);
        if (!body.scopes.includes('admin')) refuseLast(people(), person);
        people().setScopes(person.id, [...new Set(body.scopes)]);
        return personView(people(), people().get(person.id) as Person);
      },
    }),
    operation({
      ...common,
      method: 'POST',
      path: '/v1/people/{name}/link',
      id: 'makeSignInLink',
      summary: 'A link that lets somebody in once, without password and code; a link of theirs from before stops working',
      scope: 'people:write',
      params: NAMED,
      answer: LINK,
      refusals: [404],
      example: { params: { name: 'ada' } },
      run: ({ params: { name }, identity }) => {
        const person = named(name);
        refuseBeyond(identity, person.scopes as Scope[]);
        return linkFor(people(), person, url());
      },
    }),
    operation({
      ...common,
      method: 'DELETE',
      path: '/v1/people/{name}',
      id: 'removePerson',
      summary: 'Let somebody in no more; their sessions end',
      scope: 'people:write',
      params: NAMED,
      answer: z.object({ name: z.string(), removed: z.literal(true) }),
      refusals: [404, 409],
      example: { params: { name: 'ada' } },
      run: ({ params: { name }, identity }) => {
        const person = named(name);
        refuseBeyond(identity, person.scopes as Scope[]);
        if (identity.kind !== 'socket') refuseLast(people(), person);
        people().remove(person.id);
        return { name: person.name, removed: true as const };
      },
    }),
  ];
}

/** In the part of the address that browsers send to nobody. */
export function linkFor(people: PeopleStore, person: Person, url: string): z.output<typeof LINK> {
  const untilMs = Date.now() + LINK_MS;
  return { link: `${url}/sign-in#${people.makeLink(person.id, untilMs)}`, until: new Date(untilMs).toISOString() };
}

/** Nobody gives what they do not have, nor takes it from those who have more. */
function refuseBeyond(identity: Identity, wanted: readonly Scope[]): void {
  const tooMuch = beyond(identity.scopes, wanted);
  if (tooMuch.length === 0 && identity.project === null) return;
  throw new ProblemError({
    status: 403,
    title: 'Not allowed',
    code: 'scope-missing',
    cause:
      tooMuch.length === 0 ? 'People belong to no project, so a token of a project has nothing to do with them.' : `You do not have these scopes yourself: ${tooMuch.join(', ')}.`,
    fix: 'Ask somebody who has them, or do it on the server: postern person --help',
  });
}

function refuseLast(people: PeopleStore, person: Person): void {
  const others = people.list().filter((one) => one.id !== person.id && one.scopes.includes('admin'));
  if (!person.scopes.includes('admin') || others.length > 0) return;
  throw new ProblemError({
    status: 409,
    title: 'Last administrator',
    code: 'last-admin',
    cause: `"${person.name}" is the last person who may do everything.`,
    fix: 'Make somebody else an administrator first.',
  });
}
