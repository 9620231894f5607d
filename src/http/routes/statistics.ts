// /v1/statistics: counts over time, each with what others measure where there is something to compare. A token of a project sees the counts of its credentials.

import { z } from 'zod';
import { BASELINES } from '#knowledge/baselines.ts';
import { RECEIVERS } from '#knowledge/receivers.ts';
import type { QueueAdmin } from '#queue/queue.ts';
import { credentialName, since } from '#http/fields.ts';
import type { Identity } from '#http/identity.ts';
import { operation } from '#http/operation.ts';
import type { Operation } from '#http/operation.ts';
import { ProblemError, notFound } from '#http/problem.ts';
import { ENCRYPTION, FAILURES, LATENCIES, MAIL, PORTS, QUEUE } from '#http/views/statistics.ts';
import { toWire } from '#http/wire.ts';
import { MAX_BUCKETS, secondsOf } from '#store/statistics.ts';
import type { Bucket, StatisticsReader, Window } from '#store/statistics.ts';

export type StatisticsParts = {
  readonly statistics: StatisticsReader;
  readonly admin: Pick<QueueAdmin, 'lanes' | 'counts'>;
  readonly flushHistory: () => Promise<void>;
  /** The credentials of a project; null: all. */
  readonly credentialsOf: (project: string | null) => Promise<readonly string[]>;
};

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const LANES = 20;
const PROFILE_PORTS: Readonly<Record<string, string>> = { mx: '25', submissions: '465', submission: '587', alternate: '2525' };
const FOUR = ['25', '465', '587', '2525'] as const;

const WHEN = z.strictObject({
  span: z.enum(['minute', 'hour', 'day']).optional().describe('of one bucket; without it: what suits the time asked for'),
  since: since.optional().describe('a point in time, or a span before now like 24h; without it: 24 hours'),
  until: since.optional().describe('without it: now'),
});

export function statisticsOperations(parts: () => StatisticsParts): readonly Operation[] {
  const common = { method: 'GET', tag: 'Statistics', scope: 'statistics:read', refusals: [422] } as const;
  const example = { query: { since: '24h', span: 'hour' } };
  return [
    operation({
      ...common,
      path: '/v1/statistics/mail',
      id: 'getMailStatistics',
      summary: 'Recipients by what became of them',
      description:
        'A recipient is accepted once, deferred as often as it is put off, and ends in one of the others. `suppressed` are those that were not tried. By credential there are no minutes.',
      query: WHEN.extend({ credential: credentialName.optional() }),
      answer: MAIL,
      refusals: [404, 422],
      example,
      run: async ({ query, identity }) => {
        const { statistics } = await upToDate(parts());
        const names = await namesFor(parts(), query.credential ?? null, identity);
        const window = windowOf(query, names === null ? 'minute' : 'hour');
        if (names === null) return mailView(window, statistics.series('fates', window));
        return mailView(window, added(names.map((name) => statistics.series('credentials', window, `${name} `))));
      },
    }),
    operation({
      ...common,
      path: '/v1/statistics/latency',
      id: 'getLatencyStatistics',
      summary: "How long mail takes: from acceptance to the receiver's 250, and one attempt",
      description: 'Percentiles are told to within a fifth. `null` where nothing was counted.',
      query: WHEN,
      answer: LATENCIES,
      example,
      run: async ({ query, identity }) => {
        forAll(identity);
        const { statistics } = await upToDate(parts());
        const window = windowOf(query);
        return toWire({ ...spanOf(window), delivery: statistics.latency('delivery', window), attempts: statistics.latency('attempts', window) });
      },
    }),
    operation({
      ...common,
      path: '/v1/statistics/ports',
      id: 'getPortStatistics',
      summary: 'Messages by the port they came in by, beside the years of the industry',
      description: 'Port 25 is mail from other servers, never submission. `share` is percent of submissions, as in the baseline.',
      query: WHEN,
      answer: PORTS,
      example,
      run: async ({ query, identity }) => {
        forAll(identity);
        const { statistics } = await upToDate(parts());
        const window = windowOf(query);
        const buckets = statistics.series('messages', window).map(({ atMs, counts }) => ({ atMs, counts: byPort(counts) }));
        const totals = sumOf(buckets);
        return { ...toWire({ ...spanOf(window), totals, buckets }), share: sharesOf(totals), baseline: BASELINES.submissionByPort };
      },
    }),
    operation({
      ...common,
      path: '/v1/statistics/encryption',
      id: 'getEncryptionStatistics',
      summary: 'How much of the mail is encrypted, in and out, by provider, beside what providers see',
      description: 'In: messages by port 25, by the name that the client gives itself. Out: recipients delivered, by the host that took them.',
      query: WHEN,
      answer: ENCRYPTION,
      example,
      run: async ({ query, identity }) => {
        forAll(identity);
        const { statistics } = await upToDate(parts());
        const window = windowOf(query);
        const { year, note, providers } = BASELINES.encryptedInbound;
        return {
          ...spanOf(window),
          inbound: byProvider(statistics.totals('tls-in', window)),
          outbound: byProvider(statistics.totals('tls-out', window)),
          baseline: { year, note, providers: providers.map(({ receiver, name, percent }) => ({ provider: receiver, name, percent })) },
        };
      },
    }),
    operation({
      ...common,
      path: '/v1/statistics/failures',
      id: 'getFailureStatistics',
      summary: 'Failed attempts by class',
      query: WHEN,
      answer: FAILURES,
      example,
      run: async ({ query, identity }) => {
        forAll(identity);
        const { statistics } = await upToDate(parts());
        const window = windowOf(query);
        const classes = Object.entries(statistics.totals('classes', window))
          .map(([label, count]) => ({ verdict: label.split(' ')[0] ?? '', class: label.split(' ')[1] ?? '', count }))
          .toSorted((a, b) => b.count - a.count);
        return { ...spanOf(window), classes };
      },
    }),
    operation({
      ...common,
      path: '/v1/statistics/queue',
      id: 'getQueueStatistics',
      summary: 'How full the queue is, now and over time, and the lanes where most waits',
      description: 'Of each bucket the highest of the samples, one a minute.',
      query: WHEN,
      answer: QUEUE,
      example,
      run: async ({ query, identity }) => {
        forAll(identity);
        const { statistics, admin } = parts();
        const window = windowOf(query);
        const [now, lanes] = await Promise.all([admin.counts(), admin.lanes()]);
        const fullest = lanes.toSorted((a, b) => b.ready + b.deferred + b.held - (a.ready + a.deferred + a.held)).slice(0, LANES);
        return toWire({ ...spanOf(window), now, lanes: fullest, buckets: statistics.series('queue', window) });
      },
    }),
  ];
}

async function upToDate(parts: StatisticsParts): Promise<StatisticsParts> {
  await parts.flushHistory();
  return parts;
}

type Asked = z.output<typeof WHEN>;

function windowOf({ span: asked, since: sinceMs, until }: Asked, least: 'minute' | 'hour' = 'minute'): Window {
  const untilMs = until ?? Date.now();
  const fromMs = sinceMs ?? untilMs - DAY_MS;
  const suits = untilMs - fromMs <= 3 * HOUR_MS ? 'minute' : untilMs - fromMs <= 14 * DAY_MS ? 'hour' : 'day';
  const span = asked ?? (suits === 'minute' ? least : suits);
  if (fromMs >= untilMs) throw invalid('`since` is not before `until`.', 'Ask for a time that has passed.');
  if ((untilMs - fromMs) / 1000 / secondsOf(span) > MAX_BUCKETS - 2) throw invalid(`That is more than ${MAX_BUCKETS} buckets.`, 'Ask for a longer span, or for less time.');
  if (span === 'minute' && least === 'hour') throw invalid('By credential there are no minutes.', 'Ask with span=hour or span=day.');
  return { span, fromMs, untilMs };
}

function spanOf({ span, fromMs, untilMs }: Window): { span: Window['span']; from: string; until: string } {
  return { span, from: new Date(fromMs).toISOString(), until: new Date(untilMs).toISOString() };
}

/** Whose counts; null: all. */
async function namesFor(parts: StatisticsParts, credential: string | null, { project }: Identity): Promise<readonly string[] | null> {
  if (project === null && credential === null) return null;
  const own = await parts.credentialsOf(project);
  if (credential !== null && !own.includes(credential)) throw notFound(`credential ${credential}`, 'List the ones there are with GET /v1/credentials.');
  return credential === null ? own : [credential];
}

function forAll({ project }: Identity): void {
  if (project === null) return;
  throw new ProblemError({
    status: 403,
    title: 'Not allowed',
    code: 'outside-project',
    cause: 'This is counted for the whole server, which is not the business of a project.',
    fix: 'Use a token without a project, or GET /v1/statistics/mail, which counts the own credentials.',
  });
}

function invalid(cause: string, fix: string): ProblemError {
  return new ProblemError({ status: 422, title: 'Invalid request', code: 'invalid-request', cause, fix });
}

function mailView(
  window: Window,
  buckets: readonly Bucket[],
): { span: Window['span']; from: string; until: string; totals: Record<string, number>; buckets: readonly { at: string; counts: Readonly<Record<string, number>> }[] } {
  return { ...spanOf(window), totals: sumOf(buckets), buckets: toWire(buckets) };
}

function added(all: readonly (readonly Bucket[])[]): readonly Bucket[] {
  const [first = [], ...others] = all;
  return first.map(({ atMs, counts }, i) => ({ atMs, counts: sumOf([{ atMs, counts }, ...others.map((series) => series[i] ?? { atMs, counts: {} })]) }));
}

function sumOf(buckets: readonly Bucket[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const { counts } of buckets) for (const [label, value] of Object.entries(counts)) sums[label] = (sums[label] ?? 0) + value;
  return sums;
}

function byPort(counts: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).map(([profile, value]) => [PROFILE_PORTS[profile] ?? profile, value]));
}

/** Submission is what comes by the three ports for it; nothing is submitted by port 25 here. */
function sharesOf(totals: Readonly<Record<string, number>>): Record<(typeof FOUR)[number], number | null> {
  const submitted = (port: string): number => (port === '25' ? 0 : (totals[port] ?? 0));
  const all = FOUR.reduce((sum, port) => sum + submitted(port), 0);
  const share = (port: string): number | null => percentOf(submitted(port), all);
  return { '25': share('25'), '465': share('465'), '587': share('587'), '2525': share('2525') };
}

function byProvider(totals: Readonly<Record<string, number>>): { provider: string; name: string; messages: number; encrypted: number; verified: number; percent: number | null }[] {
  const providers = Map.groupBy(Object.entries(totals), ([label]) => label.split(' ')[0] ?? '');
  return [...providers]
    .map(([provider, rows]) => {
      const count = (kinds: readonly string[]): number => rows.reduce((sum, [label, value]) => sum + (kinds.includes(label.split(' ')[1] ?? '') ? value : 0), 0);
      const messages = count(['plain', 'encrypted', 'verified']);
      const encrypted = count(['encrypted', 'verified']);
      const name = RECEIVERS.find(({ id }) => id === provider)?.name ?? 'all others';
      return { provider, name, messages, encrypted, verified: count(['verified']), percent: percentOf(encrypted, messages) };
    })
    .toSorted((a, b) => b.messages - a.messages);
}

function percentOf(part: number, whole: number): number | null {
  return whole === 0 ? null : Math.round((part / whole) * 1000) / 10;
}
