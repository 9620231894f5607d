// Statistics as answers show them.

import { z } from 'zod';
import { time } from '#http/fields.ts';
import { LANE } from './message.ts';

const count = z.int().min(0);
const counts = z.record(z.string(), count).describe('noughts are left out');
const buckets = z.array(z.object({ at: time, counts }));
const WINDOW = z.object({ span: z.enum(['minute', 'hour', 'day']), from: time, until: time });
const percent = z.number().min(0).max(100).nullable().describe('null: nothing was counted');

export const MAIL = WINDOW.extend({ totals: counts, buckets }).meta({ id: 'MailStatistics' });

const spanMs = z.number().nullable();
const summary = { count, p50Ms: spanMs, p90Ms: spanMs, p99Ms: spanMs };
const LATENCY = z.object({ total: z.object(summary), buckets: z.array(z.object({ at: time, ...summary })) });
export const LATENCIES = WINDOW.extend({ delivery: LATENCY, attempts: LATENCY }).meta({ id: 'LatencyStatistics' });

export const PORTS = WINDOW.extend({
  totals: counts,
  buckets,
  share: z.object({ '25': percent, '465': percent, '587': percent, '2525': percent }),
  baseline: z.object({
    note: z.string(),
    years: z.array(z.object({ year: z.int(), '587': z.number(), '465': z.number(), '25': z.number(), '2525': z.number() })),
  }),
}).meta({ id: 'PortStatistics' });

const PROVIDERS = z.array(z.object({ provider: z.string(), name: z.string(), messages: count, encrypted: count, verified: count, percent }));
export const ENCRYPTION = WINDOW.extend({
  inbound: PROVIDERS,
  outbound: PROVIDERS,
  baseline: z.object({
    note: z.string(),
    year: z.int(),
    providers: z.array(z.object({ provider: z.string().nullable().describe('null: all domains'), name: z.string(), percent: z.number() })),
  }),
}).meta({ id: 'EncryptionStatistics' });

export const FAILURES = WINDOW.extend({ classes: z.array(z.object({ verdict: z.string(), class: z.string(), count })) }).meta({ id: 'FailureStatistics' });

export const QUEUE = WINDOW.extend({
  now: z.object({ ready: count, leased: count, deferred: count, held: count, captured: count, messages: count, bodyBytes: count, oldestAt: time.nullable() }),
  lanes: z.array(LANE).describe('where most waits, at most 20'),
  buckets,
}).meta({ id: 'QueueStatistics' });
