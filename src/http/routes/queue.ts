// /v1/queue and /v1/lanes: what waits, and the operator's verbs.

import { Hono } from 'hono';
import { z } from 'zod';
import type { LaneRow, QueueAdmin, QueueRow, Selection } from '#queue/queue.ts';
import type { Envelope } from '#queue/records.ts';
import { credentialName, domainName, limit, messageId } from '#http/fields.ts';
import { parseBody } from '#http/body.ts';
import { notFound, parseInput } from '#http/problem.ts';
import { toWire } from '#http/wire.ts';
import type { Wire } from '#http/wire.ts';

export type QueueRowView = Wire<QueueRow>;
export type LaneView = Wire<LaneRow>;
export type QueuedMessageView = Wire<Envelope> & { readonly recipients: readonly QueueRowView[] };

export const VERBS = ['retry', 'hold', 'release', 'cancel'] as const;
export type Verb = (typeof VERBS)[number];

const laneName = z.string().min(1).max(2000);

const FILTER = z.strictObject({
  id: messageId.optional(),
  lane: laneName.optional(),
  domain: domainName.optional(),
  credential: credentialName.optional(),
  state: z.enum(['ready', 'leased', 'deferred', 'held', 'captured']).optional(),
  after: z
    .string()
    .regex(/^[0-9a-z]{16}\.\d{1,6}$/, 'use the value of "next"')
    .optional(),
  limit,
});

const SELECTION: z.ZodType<Selection> = z.discriminatedUnion('by', [
  z.strictObject({ by: z.literal('message'), id: messageId }),
  z.strictObject({ by: z.literal('lane'), lane: laneName }),
  z.strictObject({ by: z.literal('domain'), domain: domainName }),
  z.strictObject({ by: z.literal('credential'), credential: credentialName }),
  z.strictObject({ by: z.literal('all') }),
]);

export function queueRoutes(admin: QueueAdmin): Hono {
  const app = new Hono();
  app.get('/', async (context) => {
    const { after, ...given } = parseInput(FILTER, context.req.query());
    const [id = '', n] = after?.split('.') ?? [];
    const filter = withoutUndefined(given);
    const rows = await admin.list(n === undefined ? filter : { ...filter, after: { id, n: Number(n) } });
    const last = rows.length === filter.limit ? rows.at(-1) : undefined;
    return context.json({ recipients: toWire(rows), next: last === undefined ? null : `${last.id}.${last.n}` });
  });
  app.get('/:id', async (context) => {
    const id = parseInput(messageId, context.req.param('id'));
    const found = await admin.show(id);
    if (found === null) throw notFound(`message ${id} in the queue`, `If it has left the queue, see its history with: postern message show ${id}`);
    return context.json({ ...toWire(found.envelope), recipients: toWire(found.recipients) });
  });
  for (const verb of VERBS) {
    app.post(`/${verb}`, async (context) => {
      const selection = await parseBody(context, SELECTION);
      return context.json({ verb, selection, ...(await admin[verb](selection)) });
    });
  }
  return app;
}

export function laneRoutes(admin: QueueAdmin): Hono {
  const app = new Hono();
  app.get('/', async (context) => context.json({ lanes: toWire(await admin.lanes()) }));
  return app;
}

type Given<T> = { [K in keyof T]: Exclude<T[K], undefined> };

/** Keys that were not given are left out, as exact optional types want it. */
export function withoutUndefined<T extends object>(value: T): Given<T> {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as Given<T>;
}
