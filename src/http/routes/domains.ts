// /v1/domains: the domains this server sends for, and those it receives for.

import { Hono } from 'hono';
import { z } from 'zod';
import type { Directory, Domain } from '#store/directory.ts';
import { domainName } from '#http/fields.ts';
import { notFound, parseBody, parseInput } from '#http/problem.ts';
import type { ProblemError } from '#http/problem.ts';
import { toWire } from '#http/wire.ts';
import type { Wire } from '#http/wire.ts';

export type DomainView = Wire<Domain>;

const NEW = z.strictObject({ name: domainName, inbound: z.boolean().default(false) });

export function domainRoutes(directory: Directory): Hono {
  const app = new Hono();
  app.get('/', async (context) => context.json({ domains: toWire(await directory.domains()) }));
  app.post('/', async (context) => context.json(toWire(await directory.addDomain(await parseBody(context, NEW))), 201));
  app.get('/:name', async (context) => {
    const name = parseInput(domainName, context.req.param('name'));
    const domain = await directory.domain(name);
    if (domain === null) throw noDomain(name);
    return context.json(toWire(domain));
  });
  app.delete('/:name', async (context) => {
    const name = parseInput(domainName, context.req.param('name'));
    if (!(await directory.removeDomain(name))) throw noDomain(name);
    return context.json({ name, removed: true });
  });
  return app;
}

function noDomain(name: string): ProblemError {
  return notFound(`domain "${name}"`, 'List the ones there are with: postern domain list');
}
