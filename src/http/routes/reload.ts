// /v1/reload: what SIGHUP does, with an answer.

import { z } from 'zod';
import { operation } from '#http/operation.ts';
import type { Operation } from '#http/operation.ts';
import { refusing } from '#http/problem.ts';

const REPORT = z
  .object({
    changed: z.array(z.string()).describe('keys that took effect'),
    needRestart: z.array(z.string()).describe('keys that wait for the next start'),
    certificates: z.boolean().describe('whether the certificates were read again'),
  })
  .meta({ id: 'ReloadReport' });

/** Keys that took effect, keys that need a restart, and whether the certificates were read again. */
export type ReloadReport = { readonly changed: readonly string[]; readonly needRestart: readonly string[]; readonly certificates: boolean };

export function reloadOperations(reload: () => Promise<ReloadReport>): readonly Operation[] {
  return [
    operation({
      method: 'POST',
      path: '/v1/reload',
      id: 'reload',
      tag: 'Server',
      summary: 'Read the configuration and the certificates again, as SIGHUP does',
      scope: 'server:write',
      answer: REPORT,
      refusals: [422],
      run: () => refusing(reload, { status: 422, title: 'Not reloaded' }),
    }),
  ];
}
