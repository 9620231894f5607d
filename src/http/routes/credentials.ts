// /v1/credentials: who may submit. The password is in the answer that makes it and nowhere else.

import { z } from 'zod';
import type { Credential, Directory } from '#store/directory.ts';
import { credentialName, domainName, network, projectName, time } from '#http/fields.ts';
import { sees } from '#http/identity.ts';
import type { Identity } from '#http/identity.ts';
import { operation } from '#http/operation.ts';
import type { Operation } from '#http/operation.ts';
import { notFound, outsideProject, refusing } from '#http/problem.ts';
import { toWire } from '#http/wire.ts';

const mode = z.enum(['sandbox', 'live']).describe('mail of a sandbox is captured, shown, and never leaves');

const CREDENTIAL = z
  .object({
    name: z.string(),
    username: z.string(),
    domains: z.array(z.string()).describe('that it may send as; none: any'),
    mode,
    allowIps: z.array(z.string()).describe('where it may be used from; none: anywhere'),
    ratePerHour: z.int().nullable().describe('messages (recipients) an hour; null: no limit'),
    project: z.string().nullable(),
    createdAt: time,
    rotatedAt: time.nullable(),
    revokedAt: time.nullable(),
    lastUsedAt: time.nullable(),
  })
  .meta({ id: 'Credential' });
const SECRET = CREDENTIAL.extend({ password: z.string().describe('told this once') }).meta({ id: 'CredentialSecret' });

export type CredentialView = z.output<typeof CREDENTIAL>;
/** As shown once: with the password. */
export type CredentialSecret = z.output<typeof SECRET>;

const NEW = z.strictObject({
  name: credentialName,
  domains: z.array(domainName).max(1000).default([]).describe('that it may send as; none: any'),
  mode: mode.default('sandbox'),
  allowIps: z.array(network).max(100).default([]).describe('addresses or networks it may be used from; none: anywhere'),
  ratePerHour: z.int().min(1).max(1_000_000_000).nullable().default(null),
  project: projectName.nullable().optional().describe('the project it belongs to; left out: that of the token'),
});

export type NewCredentialInput = z.input<typeof NEW>;

const NAMED = z.object({ name: z.string().max(64) });

export function credentialOperations(directory: Directory): readonly Operation[] {
  const own = async (name: string, identity: Identity): Promise<void> => {
    const found = (await directory.credentials()).find((credential) => credential.name === name);
    if (found === undefined || !sees(identity, found.project)) throw noCredential(name);
  };
  return [
    operation({
      method: 'GET',
      path: '/v1/credentials',
      id: 'listCredentials',
      tag: 'Credentials',
      summary: 'The credentials, without their passwords',
      scope: 'credentials:read',
      answer: z.object({ credentials: z.array(CREDENTIAL) }),
      run: async ({ identity }) => ({ credentials: (await directory.credentials()).filter((one) => sees(identity, one.project)).map(viewOf) }),
    }),
    operation({
      method: 'POST',
      path: '/v1/credentials',
      id: 'addCredential',
      tag: 'Credentials',
      summary: 'Make a credential',
      description: 'The password is told this once. Only `name` is needed: without `mode` it is a sandbox, without `domains` it may send as any.',
      scope: 'credentials:write',
      body: NEW,
      answer: SECRET,
      status: 201,
      refusals: [409],
      example: { body: { name: 'shop', domains: ['example.com'], mode: 'live', allowIps: ['192.0.2.0/24'], ratePerHour: 500 } },
      run: async ({ body, identity }) => {
        const project = await projectOf(body, { identity, directory });
        const wanted = { ...body, project, domains: [...new Set(body.domains)] };
        const { credential, password } = await refusing(() => directory.addCredential(wanted), { status: 409, title: 'Credential exists' });
        return secretOf(credential, password);
      },
    }),
    operation({
      method: 'POST',
      path: '/v1/credentials/{name}/rotate',
      id: 'rotateCredential',
      tag: 'Credentials',
      summary: 'Give a credential a new password; the old one stops at once',
      scope: 'credentials:write',
      params: NAMED,
      answer: SECRET,
      refusals: [404],
      example: { params: { name: 'shop' } },
      run: async ({ params: { name }, identity }) => {
        await own(name, identity);
        const rotated = await directory.rotateCredential(name);
        if (rotated === null) throw noCredential(name);
        return secretOf(rotated.credential, rotated.password);
      },
    }),
    operation({
      method: 'DELETE',
      path: '/v1/credentials/{name}',
      id: 'revokeCredential',
      tag: 'Credentials',
      summary: 'Revoke a credential; it stops at once, its waiting mail stays',
      scope: 'credentials:write',
      params: NAMED,
      answer: z.object({ name: z.string(), revoked: z.literal(true) }),
      refusals: [404],
      example: { params: { name: 'shop' } },
      run: async ({ params: { name }, identity }) => {
        await own(name, identity);
        if (!(await directory.revokeCredential(name))) throw noCredential(name);
        return { name, revoked: true as const };
      },
    }),
  ];
}

/** Whose it is. A project makes credentials for its own domains: which ones it has, is the operator's to say. */
async function projectOf(body: z.output<typeof NEW>, { identity, directory }: { identity: Identity; directory: Directory }): Promise<string | null> {
  if (identity.project === null) return body.project ?? null;
  const domains = (await directory.domains()).filter((domain) => domain.project === identity.project).map((domain) => domain.name);
  const foreign = body.domains.find((domain) => !domains.some((one) => domain === one || domain.endsWith(`.${one}`)));
  if (body.domains.length > 0 && foreign === undefined && (body.project ?? identity.project) === identity.project) return identity.project;
  throw outsideProject(
    `The project "${identity.project}" may make credentials for itself and its domains only${foreign === undefined ? '' : `; ${foreign} is none of them`}.`,
    domains.length === 0 ? 'Have the operator give the project a domain.' : `Name some of its domains: ${domains.join(', ')}.`,
  );
}

function noCredential(name: string): Error {
  return notFound(`credential "${name}"`, 'List the ones there are with: postern credential list');
}

/** The contract's five fields first. */
function secretOf(credential: Credential, password: string): CredentialSecret {
  const { name, username, domains, mode: its, ...rest } = viewOf(credential);
  return { name, username, password, domains, mode: its, ...rest };
}

function viewOf(credential: Credential): CredentialView {
  const { secretHash: _secretHash, scram: _scram, ...shown } = credential;
  return toWire(shown) as CredentialView;
}
