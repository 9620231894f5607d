// What an answer of a webhook, or none, means: taken, to be tried again, or the end; with cause and fix for people.

import type { PooledAnswer } from '#tls/https-pool.ts';

export type Verdict = {
  /** `gone`: it says that it wants nothing any more. */
  readonly result: 'taken' | 'failed' | 'gone';
  readonly cause: string;
  readonly fix: string;
};

const FAILURES: Readonly<Record<Extract<PooledAnswer, { failure: string }>['failure'], string>> = {
  refused: 'Events are not told inside of private networks. If it stands in your own, set delivery.allow_private_addresses = true.',
  dns: 'Check the host of the URL, and the DNS resolver.',
  certificate: 'Give it a certificate of a public authority for its name, or name its authority in delivery.ca_file.',
  timeout: 'Answer first, and work afterwards: an answer is due within 15 seconds.',
  other: 'See whether the application runs, and whether a firewall is between.',
};

const STATUSES: readonly { readonly when: (status: number) => boolean; readonly cause: string; readonly fix: string }[] = [
  { when: (status) => status >= 300 && status < 400, cause: 'It answers with a redirect, which is not followed.', fix: 'Put the URL it redirects to into the webhook.' },
  {
    when: (status) => status === 401 || status === 403,
    cause: 'It does not accept the request.',
    fix: 'Check that it has the secret of this webhook, verifies the body as it came, and that its clock is right.',
  },
  { when: (status) => status === 404 || status === 405, cause: 'It takes no POST requests at this path.', fix: 'Check the URL.' },
  { when: (status) => status === 429, cause: 'It takes only so many requests in a given time.', fix: 'It is tried again by itself; lower the concurrency of the webhook.' },
  { when: (status) => status >= 500, cause: 'The application behind it has a fault.', fix: 'It is tried again by itself; look into the log of the application.' },
];

export function judgeAnswer(answer: PooledAnswer): Verdict {
  if ('failure' in answer) return { result: 'failed', cause: `${answer.text}.`, fix: FAILURES[answer.failure] };
  const { status } = answer;
  if (status >= 200 && status < 300) return { result: 'taken', cause: '', fix: '' };
  if (status === 410) return { result: 'gone', cause: 'It answered 410: it wants no more events.', fix: 'Remove the webhook, or enable it again when it is wanted.' };
  const found = STATUSES.find(({ when }) => when(status));
  return { result: 'failed', cause: found?.cause ?? `It answered ${status}.`, fix: found?.fix ?? 'Answer 2xx once the event is taken.' };
}
