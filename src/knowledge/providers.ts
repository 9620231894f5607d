// Submission services: hosts, ports with their kind of TLS, what username and password are, and what else to mind.

import type { z } from 'zod';
import data from './providers.json' with { type: 'json' };
import type { providerSchema } from './schema.ts';

export type Provider = z.output<typeof providerSchema>;

export const PROVIDERS: readonly Provider[] = (data as readonly z.input<typeof providerSchema>[]).map((row) => ({ ...row, hosts: row.hosts ?? [] }));
