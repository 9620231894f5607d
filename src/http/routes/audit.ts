// /v1/audit: who changed what, when, from where.

import { z } from 'zod';
import type { AuditStore } from '#store/audit.ts';
import { limit, since, time } from '#http/fields.ts';
import { operation } from '#http/operation.ts';
import type { Operation } from '#http/operation.ts';
import { toWire, withoutUndefined } from '#http/wire.ts';

const ENTRY = z
  .object({
    id: z.int(),
    at: time,
    kind: z.enum(['socket', 'local', 'token', 'session', 'nobody']),
    name: z.string().describe('of the account, the token or the person'),
    actorId: z.string().nullable(),
    project: z.string().nullable(),
    address: z.string().nullable().describe('null: the management socket'),
    action: z.string().describe('the id of the operation'),
    target: z.string(),
    status: z.int().describe('403: it was tried, and refused'),
  })
  .meta({ id: 'AuditEntry' });

export type AuditEntryView = z.output<typeof ENTRY>;

const FILTER = z.strictObject({
  action: z.string().max(100).optional().describe('the id of an operation'),
  name: z.string().max(100).optional(),
  since: since.optional(),
  before: z.coerce.number().int().min(1).optional().describe('the value of "next"'),
  limit,
});

export function auditOperations(audit: () => AuditStore): readonly Operation[] {
  return [
    operation({
      method: 'GET',
      path: '/v1/audit',
      id: 'listAudit',
      tag: 'Access',
      summary: 'Who changed what, newest first',
      description: 'Every call that changes something, and every one that was refused for lack of a scope. Messages that are sent are in their own list.',
      scope: 'audit:read',
      query: FILTER,
      answer: z.object({ entries: z.array(ENTRY), next: z.int().nullable() }),
      run: ({ query: { since: sinceMs, ...given }, identity }) => {
        const filter = withoutUndefined({ ...given, sinceMs, project: identity.project ?? undefined });
        const entries = audit().list({ ...filter, limit: given.limit });
        return { entries: toWire(entries), next: entries.length === given.limit ? (entries.at(-1)?.id ?? null) : null };
      },
    }),
  ];
}
