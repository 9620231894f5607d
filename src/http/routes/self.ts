// /v1/self: what the server finds wrong with itself and its surroundings, as it last looked, and a look now.

import { z } from 'zod';
import type { Report } from '#doctor/report.ts';
import { time } from '#http/fields.ts';
import type { Identity } from '#http/identity.ts';
import { operation } from '#http/operation.ts';
import type { Operation } from '#http/operation.ts';
import { outsideProject } from '#http/problem.ts';
import { toWire } from '#http/wire.ts';
import type { Wire } from '#http/wire.ts';
import { REPORT } from '#http/views/doctor.ts';

/** Something that is wrong now, told once. */
export type SelfWarning = {
  readonly id: string;
  readonly check: string;
  readonly subject: string;
  readonly status: 'warn' | 'fail';
  readonly title: string;
  readonly cause: string;
  readonly fix: string;
  readonly sinceAtMs: number;
};

/** `everyMs`: null when it looks only if it is asked. `report`: null before the first look. */
export type SelfState = { readonly everyMs: number | null; readonly warnings: readonly SelfWarning[]; readonly report: Report | null };
export type SelfView = Wire<SelfState>;

export type SelfService = { last(): SelfState; look(): Promise<SelfState> };

const WARNING = z
  .object({
    id: z.string(),
    check: z.string(),
    subject: z.string(),
    status: z.enum(['warn', 'fail']),
    title: z.string(),
    cause: z.string(),
    fix: z.string(),
    sinceAt: time,
  })
  .meta({ id: 'SelfWarning' });

const STATE = z
  .object({
    everyMs: z.int().nullable().describe('how often the server looks; null: only when it is asked'),
    warnings: z.array(WARNING).describe('what is wrong now'),
    report: REPORT.nullable().describe('of the last look; null before the first'),
  })
  .meta({ id: 'SelfState' });

export function selfOperations(self: () => SelfService): readonly Operation[] {
  return [
    operation({
      method: 'GET',
      path: '/v1/self',
      id: 'getSelf',
      tag: 'Doctor',
      summary: 'What the server finds wrong with itself',
      description: 'Outbound port 25, certificates, the records of its domains, the name of its addresses and blocklists, as it last looked.',
      scope: 'doctor:run',
      answer: STATE,
      run({ identity }) {
        ofTheOperator(identity);
        return toWire(self().last());
      },
    }),
    operation({
      method: 'POST',
      path: '/v1/self',
      id: 'checkSelf',
      tag: 'Doctor',
      summary: 'Have the server look at itself now',
      scope: 'doctor:run',
      answer: STATE,
      audit: false,
      async run({ identity }) {
        ofTheOperator(identity);
        return toWire(await self().look());
      },
    }),
  ];
}

/** It names the domains of everybody, and looks at the network. */
function ofTheOperator({ project }: Identity): void {
  if (project !== null) throw outsideProject('What the server finds wrong with itself is not the business of a project.', 'Use a token without a project.');
}
