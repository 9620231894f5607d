// An event as answers show it; the compiler holds it against what is told (events/event.ts).

import { z } from 'zod';
import { EVENT_TYPE_NAMES } from '#events/event.ts';
import { time } from '#http/fields.ts';

const OUTCOME = z
  .object({
    verdict: z.enum(['delivered', 'deferred', 'bounced', 'expired', 'captured']),
    code: z.int().describe('of the SMTP reply; 0 without one'),
    enhanced: z.string(),
    text: z.string(),
    class: z.string().describe('a stable word, see docs/failures.md'),
    cause: z.string(),
    fix: z.string(),
    route: z.string(),
    remoteHost: z.string().nullable(),
    remoteAddress: z.string().nullable(),
    remotePort: z.int().nullable(),
    tls: z.string().nullable(),
    tlsPolicy: z.string().nullable(),
    possibleDuplicate: z.boolean(),
    durationMs: z.number(),
    startedAt: time,
  })
  .meta({ id: 'EventOutcome', description: 'What an attempt came to.' });

export const EVENT = z
  .object({
    id: z.string(),
    type: z.enum(EVENT_TYPE_NAMES),
    timestamp: time,
    data: z.object({
      messageId: z.string(),
      recipient: z.string().nullable().describe('the one it is about; null: all of them, or the report did not say'),
      recipients: z.array(z.string()),
      from: z.string().nullable(),
      subject: z.string(),
      messageIdHeader: z.string(),
      credential: z.string().nullable(),
      project: z.string().nullable(),
      mode: z.enum(['live', 'sandbox']),
      kind: z.enum(['mail', 'dsn']),
      nextAt: time.nullable().describe('of a deferred one: when it is tried again'),
      outcome: OUTCOME.nullable(),
    }),
  })
  .meta({ id: 'Event', description: 'One change of the fate of a message, as webhooks, pages and the stream tell it alike.' });
