// The four ports: what each is for, how it is encrypted, where it is blocked; and how that came to be.

import type { z } from 'zod';
import data from './ports.json' with { type: 'json' };
import type { historySchema, portSchema } from './schema.ts';

export type PortFacts = z.infer<typeof portSchema>;
export type PortEvent = z.infer<typeof historySchema>;

export const PORTS = data.ports as readonly PortFacts[];
export const PORT_HISTORY = data.history as readonly PortEvent[];
