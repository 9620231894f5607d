// /v1/tokens and /v1/identity: who may use the API, with which scopes. A token's text is in the answer that makes it and nowhere else.

import { z } from 'zod';
import type { Token, TokenStore } from '#store/tokens.ts';
import { credentialName, projectName, time } from '#http/fields.ts';
import { sees } from '#http/identity.ts';
import type { Identity } from '#http/identity.ts';
import { operation } from '#http/operation.ts';
import type { Operation } from '#http/operation.ts';
import { ProblemError, notFound, refusing } from '#http/problem.ts';
import { SCOPES, SCOPE_NAMES, beyond } from '#http/scopes.ts';
import { toWire } from '#http/wire.ts';

const scopes = z.array(z.enum(SCOPE_NAMES)).describe(SCOPE_NAMES.map((name) => `\`${name}\`: ${SCOPES[name]}`).join('; '));

const TOKEN = z
  .object({
    id: z.string(),
    name: z.string(),
    scopes,
    project: z.string().nullable().describe('sees only what belongs to it; null: everything'),
    ratePerMinute: z.int().nullable().describe("requests a minute; null: the server's limit"),
    createdAt: time,
    createdBy: z.string(),
    expiresAt: time.nullable(),
    revokedAt: time.nullable(),
    lastUsedAt: time.nullable().describe('to the minute'),
  })
  .meta({ id: 'Token' });
const MADE = TOKEN.extend({ token: z.string().describe('the text to send as Authorization: Bearer; told this once') }).meta({ id: 'NewToken' });

const DAY_MS = 86_400_000;
const NEW = z.strictObject({
  name: credentialName,
  scopes: scopes.min(1),
  project: projectName.nullable().default(null),
  expiresInDays: z.int().min(1).max(3650).nullable().default(null).describe('null: never'),
  ratePerMinute: z.int().min(1).max(1_000_000).nullable().default(null),
});

export type TokenView = z.output<typeof TOKEN>;
export type TokenMade = z.output<typeof MADE>;
export type NewTokenInput = z.input<typeof NEW>;

const NAMED = z.object({ name: z.string().max(64) });

export function tokenOperations(tokens: () => TokenStore): readonly Operation[] {
  return [
    operation({
      method: 'GET',
      path: '/v1/identity',
      id: 'getIdentity',
      tag: 'Access',
      summary: 'Who is asking',
      scope: 'known',
      answer: z.object({ kind: z.enum(['socket', 'local', 'token', 'session']), name: z.string(), scopes, project: z.string().nullable() }).meta({ id: 'Identity' }),
      run: ({ identity: { kind, name, scopes: has, project } }) => ({ kind: kind as 'token', name, scopes: has, project }),
    }),
    operation({
      method: 'GET',
      path: '/v1/tokens',
      id: 'listTokens',
      tag: 'Access',
      summary: 'The tokens, without their secrets',
      scope: 'tokens:read',
      answer: z.object({ tokens: z.array(TOKEN) }),
      run: ({ identity }) => ({
        tokens: tokens()
          .list()
          .filter((token) => sees(identity, token.project))
          .map(viewOf),
      }),
    }),
    operation({
      method: 'POST',
      path: '/v1/tokens',
      id: 'addToken',
      tag: 'Access',
      summary: 'Make a token',
      description: 'Its text is told this once. It has no more scopes than whoever makes it, and the project of its maker.',
      scope: 'tokens:write',
      body: NEW,
      answer: MADE,
      status: 201,
      refusals: [409],
      example: { body: { name: 'shop', scopes: ['messages:send', 'messages:read'], expiresInDays: 365 } },
      run: async ({ body, identity }) => {
        const { expiresInDays, ...wanted } = body;
        refuseBeyond(identity, wanted);
        const expiresAtMs = expiresInDays === null ? null : Date.now() + expiresInDays * DAY_MS;
        const token = { ...wanted, scopes: [...new Set(wanted.scopes)], expiresAtMs, createdBy: identity.name };
        const made = await refusing(() => tokens().add(token), { status: 409, title: 'Token exists' });
        return { ...viewOf(made.token), token: made.secret };
      },
    }),
    operation({
      method: 'DELETE',
      path: '/v1/tokens/{name}',
      id: 'revokeToken',
      tag: 'Access',
      summary: 'Revoke a token; it stops at once',
      scope: 'tokens:write',
      params: NAMED,
      answer: z.object({ name: z.string(), revoked: z.literal(true) }),
      refusals: [404],
      example: { params: { name: 'shop' } },
      run: ({ params: { name }, identity }) => {
        const token = tokens().find(name);
        if (token === null || !sees(identity, token.project) || !tokens().revoke(name)) throw notFound(`token "${name}"`, 'List the ones there are with: postern token list');
        return { name, revoked: true as const };
      },
    }),
  ];
}

function viewOf(token: Token): TokenView {
  return toWire(token) as TokenView;
}

/** Nobody gives what they do not have. */
function refuseBeyond(identity: Identity, wanted: { readonly scopes: NewTokenInput['scopes']; readonly project: string | null }): void {
  const tooMuch = beyond(identity.scopes, wanted.scopes);
  const foreign = identity.project !== null && identity.project !== wanted.project;
  if (tooMuch.length === 0 && !foreign) return;
  throw new ProblemError({
    status: 403,
    title: 'Not allowed',
    code: 'scope-missing',
    cause: foreign
      ? `A token of the project "${identity.project}" makes tokens of that project only.`
      : `You do not have the scopes that the token is to have: ${tooMuch.join(', ')}.`,
    fix: foreign ? `Name "project": "${identity.project}".` : 'Leave them out, or make the token on the server with: postern token add',
  });
}
