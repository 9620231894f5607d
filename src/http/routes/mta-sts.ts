// /.well-known/mta-sts.txt over plain HTTP: for a web server in front that has the certificate of mta-sts.DOMAIN. Open to everyone; it tells what
// is public. RFC 8461 3.2.

import { Hono } from 'hono';
import { notFound } from '#http/problem.ts';

export type MtaStsParts = { /** The policy for a Host header; null: there is none for it. */ readonly stsPolicy: (host: string) => Promise<string | null> };

export function mtaStsRoutes(parts: MtaStsParts): Hono {
  const app = new Hono();
  app.get('/mta-sts.txt', async (context) => {
    const text = await parts.stsPolicy(context.req.header('host') ?? '');
    if (text === null)
      throw notFound(
        'MTA-STS policy for this host',
        'It is served as mta-sts.DOMAIN for the domains that mail is received for; let the web server in front pass the Host header on.',
      );
    return context.text(text, 200, { 'content-type': 'text/plain; charset=us-ascii', 'x-content-type-options': 'nosniff' });
  });
  return app;
}
