// Webhooks as answers show them, and what is asked of them.

import { z } from 'zod';
import { EVENT_TYPES, EVENT_TYPE_NAMES } from '#events/event.ts';
import { projectName, since, time } from '#http/fields.ts';

const types = z
  .array(z.enum(EVENT_TYPE_NAMES))
  .min(1)
  .describe(EVENT_TYPE_NAMES.map((name) => `\`${name}\`: ${EVENT_TYPES[name]}`).join('; '));
const concurrency = z.int().min(1).max(32).describe('requests at once; 1: one after the other, in order');
const description = z.string().max(200);
const url = z.string().max(2000);

export const WEBHOOK = z
  .object({
    id: z.string(),
    url,
    description,
    types: types.nullable().describe('null: all'),
    project: z.string().nullable().describe('is told of its mail only; null: of all'),
    concurrency,
    createdAt: time,
    createdBy: z.string(),
    disabledAt: time.nullable(),
    disabledCause: z.string().nullable(),
    state: z.enum(['active', 'failing', 'disabled']),
    pending: z.int().describe('events that wait to be told, of those that were taken over: at most 500 at a time'),
    oldestAt: time.nullable().describe('since when the oldest of them waits'),
    lastSuccessAt: time.nullable(),
    failingSince: time.nullable(),
    missed: z.int().describe('times that events were no longer kept when their turn came'),
    replaying: z.boolean(),
  })
  .meta({ id: 'Webhook' });
export const MADE = WEBHOOK.extend({ secret: z.string().describe('what requests are signed with, `whsec_...`; told this once') }).meta({ id: 'NewWebhook' });

export const NEW = z.strictObject({
  url: url.describe('https'),
  description: description.default(''),
  types: types.nullable().default(null),
  project: projectName.nullable().default(null),
  concurrency: concurrency.default(8),
});
export const CHANGE = z.strictObject({ url: url.optional(), description: description.optional(), types: types.nullable().optional(), concurrency: concurrency.optional() });
export const ROTATE = z.strictObject({ overlapHours: z.int().min(0).max(168).default(24).describe('so long the old secret signs too') });
export const ENABLE = z.strictObject({ skip: z.boolean().default(false).describe('what happened meanwhile is not told') });
export const REPLAY = z
  .strictObject({
    events: z.array(z.string().max(64)).min(1).max(500).optional().describe('ids of events'),
    since: since.optional(),
    until: since.optional(),
    types: types.optional().describe('of a time; without it those of the webhook'),
  })
  .refine(({ events, since: from }) => (events === undefined) !== (from === undefined), { message: 'say either events, or since' });

export const DELIVERY = z
  .object({
    key: z.int(),
    webhook: z.string(),
    event: z.string(),
    type: z.string(),
    messageId: z.string().nullable(),
    attempt: z.int(),
    at: time,
    durationMs: z.number(),
    result: z.enum(['delivered', 'failed', 'given-up']),
    status: z.int().nullable().describe('of HTTP; null: there was no answer'),
    answer: z.string().describe('its beginning'),
    cause: z.string(),
    fix: z.string(),
    nextAt: time.nullable().describe('when it is tried again; null: it is not'),
  })
  .meta({ id: 'WebhookDelivery' });

export const TESTED = z
  .object({ taken: z.boolean(), status: z.int().nullable(), durationMs: z.number(), answer: z.string(), cause: z.string(), fix: z.string() })
  .meta({ id: 'WebhookTest' });

export type WebhookView = z.output<typeof WEBHOOK>;
export type WebhookMade = z.output<typeof MADE>;
export type NewWebhookInput = z.input<typeof NEW>;
export type DeliveryView = z.output<typeof DELIVERY>;
export type TestView = z.output<typeof TESTED>;
export type ReplayInput = z.input<typeof REPLAY>;
