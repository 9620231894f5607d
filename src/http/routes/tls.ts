// /v1/tls: what delivery to a domain requires of TLS, and the evidence.

import { Hono } from 'hono';
import { z } from 'zod';
import type { PolicyView } from '#deliver/policy-view.ts';
import type { Demand } from '#tls/policy.ts';
import { domainName } from '#http/fields.ts';
import { parseInput } from '#http/problem.ts';
import { toWire } from '#http/wire.ts';
import type { Wire } from '#http/wire.ts';

export type TlsParts = { readonly policy: (domain: string, demand: Demand) => Promise<PolicyView> };

export type TlsPolicyView = Wire<PolicyView>;

const DEMAND = z.strictObject({ demand: z.enum(['policy', 'requiretls', 'tls-optional']).default('policy') });

export function tlsRoutes(parts: TlsParts): Hono {
  const app = new Hono();
  app.get('/policy/:domain', async (context) => {
    const domain = parseInput(domainName, context.req.param('domain'));
    const { demand } = parseInput(DEMAND, context.req.query());
    return context.json(toWire(await parts.policy(domain, demand)));
  });
  return app;
}
