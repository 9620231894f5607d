// The classes of failures: one stable word each, what it means, who has to act, and whether sending again helps.

import type { z } from 'zod';
import data from './classes.json' with { type: 'json' };
import type { RETRY, WHO, classSchema } from './schema.ts';

export type Who = (typeof WHO)[number];
export type Retry = (typeof RETRY)[number];
export type FailureClass = z.infer<typeof classSchema>;

export const CLASSES: ReadonlyMap<string, FailureClass> = new Map((data as readonly FailureClass[]).map((row) => [row.class, row]));
