// /health and /metrics: for load balancers and monitoring. Open on the TCP address; they tell no mail and no names.

import { Hono } from 'hono';

export type Readiness = { readonly ready: boolean; readonly checks: Readonly<Record<string, { readonly ok: boolean; readonly detail: string }>> };

export type HealthParts = { readonly readiness: () => Promise<Readiness>; readonly metrics: () => Promise<string> };

export function healthRoutes(parts: HealthParts): Hono {
  const app = new Hono();
  // The event loop of main answers: that is what live means.
  app.get('/health/live', (context) => context.json({ live: true }));
  app.get('/health/ready', async (context) => {
    const readiness = await parts.readiness();
    return context.json(readiness, readiness.ready ? 200 : 503);
  });
  app.get('/metrics', async (context) => context.text(await parts.metrics(), 200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }));
  return app;
}
