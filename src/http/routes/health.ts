// /health and /metrics: for load balancers and monitoring. Open on the TCP address; they tell no mail and no names.

import { z } from 'zod';
import { operation } from '#http/operation.ts';
import type { Operation } from '#http/operation.ts';

const READINESS = z
  .object({ ready: z.boolean(), checks: z.record(z.string(), z.object({ ok: z.boolean(), detail: z.string() })).describe('by name; those that are not ok say why') })
  .meta({ id: 'Readiness' });

export type Readiness = { readonly ready: boolean; readonly checks: Readonly<Record<string, { readonly ok: boolean; readonly detail: string }>> };

export type HealthParts = { readonly readiness: () => Promise<Readiness>; readonly metrics: () => Promise<string> };

export function healthOperations(parts: HealthParts): readonly Operation[] {
  return [
    operation({
      method: 'GET',
      path: '/health/live',
      id: 'getLiveness',
      tag: 'Health',
      summary: 'Whether the process answers',
      scope: 'open',
      answer: z.object({ live: z.literal(true) }),
      // The event loop of main answers: that is what live means.
      run: () => ({ live: true as const }),
    }),
    operation({
      method: 'GET',
      path: '/health/ready',
      id: 'getReadiness',
      tag: 'Health',
      summary: 'Whether mail is taken and delivered',
      scope: 'open',
      answer: READINESS,
      otherwise: { status: 503, description: 'Not ready; the same document says why.' },
      run: async ({ context }) => {
        const readiness = await parts.readiness();
        if (!readiness.ready) context.status(503);
        return readiness;
      },
    }),
    operation({
      method: 'GET',
      path: '/metrics',
      id: 'getMetrics',
      tag: 'Health',
      summary: 'Counters and gauges for Prometheus',
      scope: 'open',
      answer: { media: 'text/plain', doc: 'the text format of Prometheus' },
      run: async ({ context }) => context.text(await parts.metrics(), 200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }),
    }),
  ];
}
