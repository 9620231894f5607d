// /v1/reload: what SIGHUP does, with an answer.

import { Hono } from 'hono';
import { PosternError } from '#base/failure.ts';
import { ProblemError } from '#http/problem.ts';

/** Keys that took effect, keys that need a restart, and whether the certificates were read again. */
export type ReloadReport = { readonly changed: readonly string[]; readonly needRestart: readonly string[]; readonly certificates: boolean };

export function reloadRoutes(reload: () => Promise<ReloadReport>): Hono {
  const app = new Hono();
  app.post('/', async (context) => {
    try {
      return context.json(await reload());
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      throw new ProblemError({ ...error.failure, status: 422, title: 'Not reloaded' });
    }
  });
  return app;
}
