// What others measure: submission by port over the years, and encryption at mailbox providers. Stands beside the own traffic in the charts.

import type { z } from 'zod';
import data from './baselines.json' with { type: 'json' };
import type { baselineSchema } from './schema.ts';

export type Baselines = z.infer<typeof baselineSchema>;

export const BASELINES: Baselines = data;
