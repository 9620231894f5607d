// /v1/queue and /v1/lanes: what waits, and the operator's verbs.

import { z } from 'zod';
import type { LaneRow, QueueAdmin, QueueRow, Selection } from '#queue/queue.ts';
import type { Envelope } from '#queue/records.ts';
import { credentialName, domainName, limit, messageId } from '#http/fields.ts';
import { sees } from '#http/identity.ts';
import { operation } from '#http/operation.ts';
import type { Operation } from '#http/operation.ts';
import { notFound, outsideProject } from '#http/problem.ts';
import { ENVELOPE, LANE, QUEUE_ROW, STATES } from '#http/views/message.ts';
import { toWire, withoutUndefined } from '#http/wire.ts';
import type { Wire } from '#http/wire.ts';

export type QueueRowView = Wire<QueueRow>;
export type LaneView = Wire<LaneRow>;
export type QueuedMessageView = Wire<Envelope> & { readonly recipients: readonly QueueRowView[] };

const VERBS = {
  retry: ['retryQueued', 'Try again now', 'Recipients are due now, and the back-off of their lane ends.'],
  hold: ['holdQueued', 'Hold', 'Kept until released. A held lane, domain, credential or `all` also holds what comes later, over restarts too.'],
  release: ['releaseQueued', 'Release', 'Ends this hold; what another one covers stays held. A message by its id goes at once whatever covers it; `all` ends every hold.'],
  cancel: ['cancelQueued', 'Cancel', 'Removed, captured ones too, without telling anybody.'],
} as const;
export type Verb = keyof typeof VERBS;

const laneName = z.string().min(1).max(2000);

const FILTER = z.strictObject({
  id: messageId.optional(),
  lane: laneName.optional(),
  domain: domainName.optional().describe('of the recipients'),
  credential: credentialName.optional(),
  state: z
    .enum([...STATES, 'waiting'])
    .optional()
    .describe('`waiting`: all but what was captured'),
  after: z
    .string()
    .regex(/^[0-9a-z]{16}\.\d{1,6}$/, 'use the value of "next"')
    .optional()
    .describe('the value of "next"'),
  limit,
});

const SELECTION: z.ZodType<Selection> = z
  .discriminatedUnion('by', [
    z.strictObject({ by: z.literal('message'), id: messageId }),
    z.strictObject({ by: z.literal('lane'), lane: laneName }),
    z.strictObject({ by: z.literal('domain'), domain: domainName }),
    z.strictObject({ by: z.literal('credential'), credential: credentialName }),
    z.strictObject({ by: z.literal('all') }),
  ])
  .describe('what the verb is about');

const CHANGED = z.object({
  verb: z.enum(['retry', 'hold', 'release', 'cancel']),
  selection: z.record(z.string(), z.string()),
  recipients: z.int().describe('how many were changed'),
  underWay: z
    .int()
    .describe('how many more are with a worker: one that is not being sent yet comes back and is held or removed at once, one that is being sent if the receiver puts it off'),
});

type QueueParts = {
  readonly admin: () => QueueAdmin;
  /** Whose credential this is; null: nobody's in particular, or there is none. */ readonly projectOf: (credential: string) => Promise<string | null>;
};

export function queueOperations(parts: QueueParts): readonly Operation[] {
  return [
    operation({
      method: 'GET',
      path: '/v1/queue',
      id: 'listQueue',
      tag: 'Queue',
      summary: 'What waits, by recipient',
      scope: 'queue:read',
      query: FILTER,
      answer: z.object({ recipients: z.array(QUEUE_ROW), next: z.string().nullable() }),
      example: { query: { state: 'deferred' } },
      run: async ({ query: { after, ...given }, identity }) => {
        const [id = '', n] = after?.split('.') ?? [];
        const filter = withoutUndefined({ ...given, project: identity.project ?? undefined, after: n === undefined ? undefined : { id, n: Number(n) } });
        const rows = await parts.admin().list({ ...filter, limit: given.limit });
        const last = rows.length === given.limit ? rows.at(-1) : undefined;
        return { recipients: toWire(rows), next: last === undefined ? null : `${last.id}.${last.n}` };
      },
    }),
    operation({
      method: 'GET',
      path: '/v1/queue/{id}',
      id: 'getQueued',
      tag: 'Queue',
      summary: 'One message of the queue',
      scope: 'queue:read',
      params: z.object({ id: messageId }),
      answer: ENVELOPE.extend({ recipients: z.array(QUEUE_ROW) }).meta({ id: 'QueuedMessage' }),
      refusals: [404],
      run: async ({ params: { id }, identity }) => {
        const found = await parts.admin().show(id);
        if (found === null || !sees(identity, found.envelope.origin.project)) throw notQueued(id);
        return { ...toWire(found.envelope), recipients: toWire(found.recipients) };
      },
    }),
    ...(Object.keys(VERBS) as Verb[]).map((verb) => verbOperation(verb, parts)),
    operation({
      method: 'GET',
      path: '/v1/lanes',
      id: 'listLanes',
      tag: 'Queue',
      summary: 'What waits, by destination',
      scope: 'queue:read',
      answer: z.object({ lanes: z.array(LANE) }),
      run: async ({ identity }) => {
        if (identity.project !== null) throw outsideProject('The lanes are shared by all projects.', 'List what waits of your own with GET /v1/queue.');
        return { lanes: toWire(await parts.admin().lanes()) };
      },
    }),
  ];
}

function verbOperation(verb: Verb, { admin, projectOf }: QueueParts): Operation {
  const [id, summary, description] = VERBS[verb];
  return operation({
    method: 'POST',
    path: `/v1/queue/${verb}`,
    id,
    tag: 'Queue',
    summary,
    description,
    scope: 'queue:write',
    body: SELECTION,
    answer: CHANGED,
    example: { body: { by: 'domain', domain: 'example.com' } },
    audit: ({ body }) => Object.values(body).join(' '),
    run: async ({ body, identity: { project } }) => {
      const own =
        project === null ||
        (body.by === 'message' && (await admin().show(body.id))?.envelope.origin.project === project) ||
        (body.by === 'credential' && (await projectOf(body.credential)) === project);
      if (!own) throw outsideProject(`The project "${project ?? ''}" may do this with its own messages and credentials only.`, 'Name one of its messages or credentials.');
      return { verb, selection: { ...body }, ...(await admin()[verb](body)) };
    },
  });
}

function notQueued(id: string): Error {
  return notFound(`message ${id} in the queue`, `If it has left the queue, see its history with: postern message show ${id}`);
}
