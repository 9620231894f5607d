// What an answer of the collector, or none, means: taken, to be tried again, or refused for good; with cause and fix for people. Never says what the collector
// wrote: it may repeat the headers that it was sent. OTLP 1.x, OTLP/HTTP response.

import type { CollectorAnswer } from './collector.ts';

export type Verdict = {
  /** `refused`: the same spans would be refused again. */
  readonly result: 'taken' | 'again' | 'refused';
  /** Of what was taken, spans that were not. */
  readonly rejected: number;
  readonly cause: string;
  readonly fix: string;
};

type Failure = Extract<CollectorAnswer, { failure: string }>['failure'];

const FAILURES: Readonly<Record<Failure, string>> = {
  headers: 'Mend the file that telemetry.headers_file names; it is read again each time.',
  dns: 'Check the host in telemetry.traces, and the name service of this machine.',
  certificate: 'Give the collector a certificate of an authority that is trusted here, or name its authority in delivery.ca_file.',
  timeout: 'Look at its load, and whether a firewall is between.',
  other: 'See whether the collector runs and listens for OTLP over HTTP (4318 is its usual port, 4317 is gRPC).',
};

/** What OTLP calls retryable. */
const AGAIN: ReadonlySet<number> = new Set([429, 502, 503, 504]);

const STATUSES: readonly { readonly when: (status: number) => boolean; readonly cause: string; readonly fix: string }[] = [
  { when: (status) => status === 429, cause: 'The collector takes only so much in a given time', fix: 'Trace fewer messages (telemetry.sample), or raise its limit.' },
  { when: (status) => AGAIN.has(status), cause: 'The collector is not ready', fix: 'Look into its log.' },
  { when: (status) => status === 401 || status === 403, cause: 'The collector does not accept the request', fix: 'Check the token in telemetry.headers_file.' },
  {
    when: (status) => status === 404 || status === 405,
    cause: 'Nothing takes traces at this URL',
    fix: 'Check telemetry.traces: the URL before /v1/traces, of a receiver for OTLP over HTTP.',
  },
  { when: (status) => status === 413, cause: 'The collector takes no requests as large as this', fix: 'Allow it requests of 4 MB.' },
  { when: (status) => status === 415, cause: 'The collector takes no OTLP in JSON', fix: 'Send the traces to an OpenTelemetry Collector, which speaks its language.' },
  {
    when: (status) => status >= 300 && status < 400,
    cause: 'The collector answers with a redirect, which is not followed',
    fix: 'Put the URL it redirects to into telemetry.traces.',
  },
];

export function judgeAnswer(answer: CollectorAnswer): Verdict {
  if ('failure' in answer) return { result: 'again', rejected: 0, cause: `${answer.text}.`, fix: FAILURES[answer.failure] };
  const { status, rejected } = answer;
  if (status >= 200 && status < 300) {
    if (rejected === 0) return { result: 'taken', rejected, cause: '', fix: '' };
    return { result: 'taken', rejected, cause: `The collector rejected ${rejected} spans of a request that it took.`, fix: 'Look into its log.' };
  }
  const found = STATUSES.find(({ when }) => when(status));
  const [cause, fix] = found === undefined ? ['The collector refuses the request', 'Look into its log.'] : [found.cause, found.fix];
  return { result: AGAIN.has(status) ? 'again' : 'refused', rejected: 0, cause: `${cause} (${status}).`, fix };
}
