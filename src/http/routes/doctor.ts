// /v1/doctor: examinations of hosts and domains with their progress, the reports that are kept, and sharing one by a link that cannot be guessed.

import { z } from 'zod';
import { reportHtml } from '#doctor/render/html.ts';
import { eventStream } from '#http/event-stream.ts';
import { limit, messageId } from '#http/fields.ts';
import { operation } from '#http/operation.ts';
import type { Operation } from '#http/operation.ts';
import { notFound, outsideProject, refusing } from '#http/problem.ts';
import { EXAMINATION, EXAMINATION_ROW, EXAMINE } from '#http/views/doctor.ts';
import type { DoctorService } from '#http/views/doctor.ts';
import { toWire } from '#http/wire.ts';

const NAMED = z.object({ id: messageId });
/** The page brings its style along, and nothing else. */
const REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export function doctorOperations(doctor: () => DoctorService): readonly Operation[] {
  const common = { tag: 'Doctor', scope: 'doctor:run' } as const;
  return [
    operation({
      ...common,
      method: 'POST',
      path: '/v1/doctor',
      id: 'examine',
      summary: 'Examine a host, a domain or the domain of a mail address',
      description: 'The answer comes once it is under way: see how it goes with its events, and the report with its id. It looks from this server, at whatever it can reach.',
      body: EXAMINE,
      answer: EXAMINATION,
      status: 202,
      refusals: [429],
      example: { body: { target: 'example.com' } },
      audit: ({ body }) => body.target,
      run: async ({ body, identity }) => {
        if (identity.project !== null)
          throw outsideProject('The doctor looks from the network of this server, which is not the business of a project.', 'Use a token without a project.');
        const busy = { status: 429, title: 'Too many examinations' } as const;
        return examinationView(await refusing(() => doctor().start(body, identity.name), busy, { usage: { status: 422, title: 'Invalid request' } }));
      },
    }),
    operation({
      ...common,
      method: 'GET',
      path: '/v1/doctor',
      id: 'listExaminations',
      summary: 'Examinations: those that run, then the reports that are kept, newest first',
      query: z.strictObject({ limit }),
      answer: z.object({ examinations: z.array(EXAMINATION_ROW) }),
      run: ({ query }) => ({
        examinations: doctor()
          .list(query.limit)
          .map(({ shareKey, ...row }) => ({ ...toWire(row), sharePath: sharePath(shareKey) })),
      }),
    }),
    operation({
      ...common,
      method: 'GET',
      path: '/v1/doctor/{id}',
      id: 'getExamination',
      summary: 'One examination with its report',
      params: NAMED,
      answer: EXAMINATION,
      refusals: [404],
      run: ({ params: { id } }) => examinationView(found(doctor().show(id), id)),
    }),
    operation({
      ...common,
      method: 'GET',
      path: '/v1/doctor/{id}/events',
      id: 'watchExamination',
      summary: 'How an examination goes, as it goes',
      description: 'Events `begun` {what}, `found` {finding}, and at the end `done` {summary} or `failed`. `Last-Event-ID` takes up where a connection broke.',
      params: NAMED,
      answer: { media: 'text/event-stream', doc: 'server-sent events; each has JSON in its data' },
      refusals: [404],
      run: ({ params: { id }, context }) => {
        found(doctor().show(id), id);
        return eventStream(context, eventsOf(doctor(), id, Number(context.req.header('last-event-id') ?? 0)));
      },
    }),
    operation({
      ...common,
      method: 'POST',
      path: '/v1/doctor/{id}/share',
      id: 'shareExamination',
      summary: 'Make a link to a report: whoever has it reads the report, and nothing else',
      params: NAMED,
      answer: z.object({ id: z.string(), sharePath: z.string() }),
      refusals: [404],
      run: ({ params: { id } }) => ({ id, sharePath: found(sharePath(doctor().share(id)), id) }),
    }),
    operation({
      ...common,
      method: 'DELETE',
      path: '/v1/doctor/{id}/share',
      id: 'unshareExamination',
      summary: 'Make the link to a report worth nothing',
      params: NAMED,
      answer: z.object({ id: z.string(), shared: z.literal(false) }),
      refusals: [404],
      run: ({ params: { id } }) => ({ id: found(doctor().unshare(id) ? id : null, id), shared: false as const }),
    }),
    operation({
      ...common,
      method: 'DELETE',
      path: '/v1/doctor/{id}',
      id: 'removeExamination',
      summary: 'Forget a report',
      params: NAMED,
      answer: z.object({ id: z.string(), removed: z.literal(true) }),
      refusals: [404],
      run: ({ params: { id } }) => ({ id: found(doctor().remove(id) ? id : null, id), removed: true as const }),
    }),
    operation({
      method: 'GET',
      path: '/reports/{key}',
      id: 'readSharedReport',
      tag: 'Doctor',
      summary: 'A report that was shared, as a page',
      scope: 'open',
      params: z.object({ key: z.string().max(100) }),
      answer: { media: 'text/html', doc: 'one page that needs nothing else' },
      refusals: [404],
      run: ({ params: { key }, context }) => {
        const report = doctor().shared(key);
        if (report === null) throw notFound('report behind this link', 'Ask whoever gave you the link for a new one.');
        return context.html(reportHtml(report), 200, { 'content-security-policy': REPORT_POLICY, 'x-robots-tag': 'noindex' });
      },
    }),
  ];
}

async function* eventsOf(doctor: DoctorService, id: string, after: number): AsyncIterable<{ id: string; event: string; data: unknown }> {
  for await (const { n, progress } of doctor.watch(id, Number.isSafeInteger(after) && after > 0 ? after : 0)) {
    const { type, ...data } = progress;
    yield { id: String(n), event: type, data };
  }
}

function examinationView({ shareKey, ...run }: NonNullable<ReturnType<DoctorService['show']>>) {
  return { ...toWire(run), sharePath: sharePath(shareKey) };
}

function sharePath(key: string | null): string | null {
  return key === null ? null : `/reports/${key}`;
}

function found<T>(thing: T | null, id: string): T {
  if (thing === null) throw notFound(`examination ${id}`, 'List the ones there are with GET /v1/doctor.');
  return thing;
}
