// /v1/credentials: who may submit. The password is in the answer that makes it and nowhere else.

import { Hono } from 'hono';
import { z } from 'zod';
import { PosternError } from '#base/failure.ts';
import type { Credential, Directory } from '#store/directory.ts';
import { credentialName, domainName, network } from '#http/fields.ts';
import { ProblemError, notFound, parseBody } from '#http/problem.ts';
import { toWire } from '#http/wire.ts';
import type { Wire } from '#http/wire.ts';

export type CredentialView = Wire<Omit<Credential, 'secretHash' | 'scram'>>;
/** As shown once: with the password. */
export type CredentialSecret = CredentialView & { readonly password: string };

const NEW = z.strictObject({
  name: credentialName,
  domains: z.array(domainName).max(1000).default([]),
  mode: z.enum(['sandbox', 'live']).default('sandbox'),
  allowIps: z.array(network).max(100).default([]),
  ratePerHour: z.int().min(1).max(1_000_000_000).nullable().default(null),
});

export type NewCredentialInput = z.input<typeof NEW>;

export function credentialRoutes(directory: Directory): Hono {
  const app = new Hono();
  app.get('/', async (context) => context.json({ credentials: (await directory.credentials()).map(view) }));
  app.post('/', async (context) => {
    const input = await parseBody(context, NEW);
    try {
      const { credential, password } = await directory.addCredential({ ...input, domains: [...new Set(input.domains)] });
      return context.json(secret(credential, password), 201);
    } catch (error) {
      if (!(error instanceof PosternError) || error.failure.code !== 'credential-exists') throw error;
      throw new ProblemError({ ...error.failure, status: 409, title: 'Credential exists' });
    }
  });
  app.post('/:name/rotate', async (context) => {
    const rotated = await directory.rotateCredential(context.req.param('name'));
    if (rotated === null) throw noCredential(context.req.param('name'));
    return context.json(secret(rotated.credential, rotated.password));
  });
  app.delete('/:name', async (context) => {
    const name = context.req.param('name');
    if (!(await directory.revokeCredential(name))) throw noCredential(name);
    return context.json({ name, revoked: true });
  });
  return app;
}

function noCredential(name: string): ProblemError {
  return notFound(`credential "${name}"`, 'List the ones there are with: postern credential list');
}

/** The contract's five fields first. */
function secret(credential: Credential, password: string): CredentialSecret {
  const { name, username, domains, mode, ...rest } = view(credential);
  return { name, username, password, domains, mode, ...rest };
}

function view(credential: Credential): CredentialView {
  const { secretHash: _secretHash, scram: _scram, ...shown } = credential;
  return toWire(shown);
}
