// /v1/domains: the domains this server sends for, and those it receives for, with the DNS records that they need.

import { Hono } from 'hono';
import { z } from 'zod';
import type { DnsRecord } from '#mail/identity/records.ts';
import type { Domain } from '#store/directory.ts';
import type { DomainKey } from '#store/domain-keys.ts';
import { domainName } from '#http/fields.ts';
import { notFound, parseBody, parseInput } from '#http/problem.ts';
import type { ProblemError } from '#http/problem.ts';
import { toWire } from '#http/wire.ts';
import type { Wire } from '#http/wire.ts';

export type DomainChange = { readonly name: string; readonly inbound: boolean; readonly returnPath?: string | undefined };

/** A record to publish, and what the last check said of it (`unchecked` before the first). */
export type RecordRow = DnsRecord & { readonly status: string };

export type DomainDetail = {
  readonly domain: Domain;
  readonly keys: readonly Omit<DomainKey, 'domain' | 'publicKey' | 'sealed'>[];
  readonly records: readonly RecordRow[];
};

/** What the routes need; made by the server. */
export type DomainService = {
  list(): Promise<readonly Domain[]>;
  show(name: string): Promise<DomainDetail | null>;
  add(domain: DomainChange): Promise<DomainDetail>;
  remove(name: string): Promise<boolean>;
};

export type DomainView = Wire<Omit<Domain, 'statuses'>>;
export type DomainDetailView = DomainView & { readonly keys: Wire<DomainDetail['keys']>; readonly records: readonly RecordView[] };
/** The contract's five fields, in its order. */
export type RecordView = { readonly type: string; readonly name: string; readonly value: string; readonly purpose: string; readonly status: string };

const LABEL = z.string().regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, 'one label of letters, digits and dashes, like bounce');
const NEW = z.strictObject({ name: domainName, inbound: z.boolean().default(false), returnPath: LABEL.optional() });

export function domainRoutes(domains: DomainService): Hono {
  const app = new Hono();
  app.get('/', async (context) => context.json({ domains: (await domains.list()).map(view) }));
  app.post('/', async (context) => context.json(detailView(await domains.add(await parseBody(context, NEW))), 201));
  app.get('/:name', async (context) => {
    const name = parseInput(domainName, context.req.param('name'));
    const detail = await domains.show(name);
    if (detail === null) throw noDomain(name);
    return context.json(detailView(detail));
  });
  app.delete('/:name', async (context) => {
    const name = parseInput(domainName, context.req.param('name'));
    if (!(await domains.remove(name))) throw noDomain(name);
    return context.json({ name, removed: true });
  });
  return app;
}

function noDomain(name: string): ProblemError {
  return notFound(`domain "${name}"`, 'List the ones there are with: postern domain list');
}

function view({ statuses: _statuses, ...domain }: Domain): DomainView {
  return toWire(domain);
}

function detailView({ domain, keys, records }: DomainDetail): DomainDetailView {
  return { ...view(domain), keys: toWire(keys), records: records.map(recordView) };
}

function recordView({ type, name, value, purpose, status }: RecordRow): RecordView {
  return { type, name, value, purpose, status };
}
