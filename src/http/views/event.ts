// An event as answers show it; the compiler holds it against what is told (events/event.ts).

import { z } from 'zod';
import { EVENT_TYPE_NAMES } from '#events/event.ts';
import { time } from '#http/fields.ts';
import { OUTCOME } from './message.ts';

const OUTCOME_TOLD = OUTCOME.omit({ scope: true, said: true, security: true })
  .extend({ tlsPolicy: z.string().nullable() })
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
      outcome: OUTCOME_TOLD.nullable(),
    }),
  })
  .meta({ id: 'Event', description: 'One change of the fate of a message, as webhooks, pages and the stream tell it alike.' });
