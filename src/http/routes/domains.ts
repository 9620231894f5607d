// /v1/domains: the domains this server sends for, and those it receives for, with the DNS records that they need.

import { Hono } from 'hono';
import { z } from 'zod';
import { PosternError } from '#base/failure.ts';
import type { Finding, RecordFinding } from '#mail/identity/finding.ts';
import type { DnsRecord } from '#mail/identity/records.ts';
import type { Domain } from '#store/directory.ts';
import type { DomainKey } from '#store/domain-keys.ts';
import { domainName } from '#http/fields.ts';
import { parseBody } from '#http/body.ts';
import { ProblemError, notFound, parseInput } from '#http/problem.ts';
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

/** What a check found, and what it changed: sentences for people. */
export type DomainCheck = DomainDetail & { readonly findings: readonly RecordFinding[]; readonly changes: readonly string[] };

/** `start` makes new keys to be published; `confirm` uses them on the operator's word; `cancel` drops them. */
export type RotationStep = 'start' | 'confirm' | 'cancel';

/** What the routes need; made by the server. */
export type DomainService = {
  list(): Promise<readonly Domain[]>;
  show(name: string): Promise<DomainDetail | null>;
  add(domain: DomainChange): Promise<DomainDetail>;
  /** Looks at the live DNS; keys that are published begin to sign, the return path is used once it is right. */
  check(name: string): Promise<DomainCheck | null>;
  /** Rejects with PosternError `rotation-under-way` or `no-rotation`. */
  rotate(name: string, step: RotationStep): Promise<DomainDetail | null>;
  remove(name: string): Promise<boolean>;
};

/** `status`: `verified` when the last check found every record right, `unchecked` before the first, else how many are. */
export type DomainView = Wire<Omit<Domain, 'statuses'>> & { readonly status: string };
export type DomainDetailView = DomainView & { readonly keys: Wire<DomainDetail['keys']>; readonly records: readonly RecordView[] };
/** A record with what a check found of it. */
export type FindingView = RecordView & Pick<Finding, 'found' | 'cause' | 'fix' | 'notes'>;
export type DomainCheckView = Omit<DomainDetailView, 'records'> & { readonly records: readonly FindingView[]; readonly changes: readonly string[] };
/** The contract's five fields, in its order. */
export type RecordView = { readonly type: string; readonly name: string; readonly value: string; readonly purpose: string; readonly status: string };

const LABEL = z.string().regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, 'one label of letters, digits and dashes, like bounce');
const NEW = z.strictObject({ name: domainName, inbound: z.boolean().default(false), returnPath: LABEL.optional() });

const STEP = z.strictObject({ step: z.enum(['start', 'confirm', 'cancel']).default('start') });

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
  app.post('/:name/check', async (context) => {
    const name = parseInput(domainName, context.req.param('name'));
    const check = await domains.check(name);
    if (check === null) throw noDomain(name);
    return context.json(checkView(check));
  });
  app.post('/:name/rotate', async (context) => {
    const name = parseInput(domainName, context.req.param('name'));
    const { step } = await parseBody(context, STEP);
    try {
      const detail = await domains.rotate(name, step);
      if (detail === null) throw noDomain(name);
      return context.json(detailView(detail));
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      throw new ProblemError({ ...error.failure, status: 409, title: 'Not possible now' });
    }
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

function view({ statuses, ...domain }: Domain): DomainView {
  return { ...toWire(domain), status: statusText(Object.values(statuses)) };
}

function statusText(statuses: readonly string[]): string {
  const right = statuses.filter((status) => status === 'right').length;
  if (statuses.length === 0) return 'unchecked';
  return right === statuses.length ? 'verified' : `${right} of ${statuses.length} right`;
}

function detailView({ domain, keys, records }: DomainDetail): DomainDetailView {
  return { ...view(domain), keys: toWire(keys), records: records.map(recordView) };
}

function checkView(check: DomainCheck): DomainCheckView {
  const records = check.findings.map((finding) => {
    const { found, cause, fix, notes } = finding;
    return { ...recordView(finding), found, cause, fix, notes };
  });
  return { ...detailView(check), records, changes: check.changes };
}

function recordView({ type, name, value, purpose, status }: RecordRow): RecordView {
  return { type, name, value, purpose, status };
}
