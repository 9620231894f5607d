// What a failure means and what to do: from a refused reply or a failed connection to {class, cause, fix}. The knowledge is in the data files;
// the class is a stable word for programs, cause and fix are sentences for people.

import { findFailure } from './failures.ts';
import type { FailureFacts } from './failures.ts';
import { findReply } from './replies.ts';
import type { Said } from './replies.ts';

export type Explanation = { readonly class: string; readonly cause: string; readonly fix: string };

/** Where it happened, for the sentences. */
export type Place = { readonly host: string; readonly port: number | null };

type Failure = FailureFacts & { readonly reply: Said | null; readonly text: string };

/** Explains a refusal by its reply; `host` is who gave it. */
export function explainReply(reply: Said, host: string | null): Explanation {
  const row = findReply(reply, host);
  return row === null
    ? { class: 'protocol-error', cause: 'The server gave an answer that does not belong here.', fix: 'Check that the port belongs to a mail server.' }
    : { class: row.class, cause: row.cause, fix: row.fix };
}

/** Explains the failure of a connection or of a whole transaction. */
export function explainFailure(failure: Failure, place: Place): Explanation {
  if (failure.reply !== null) {
    const explained = explainReply(failure.reply, place.host);
    // Whatever the words of a refused login are, it is the login.
    if (failure.phase !== 'auth' || failure.reply.code < 500 || explained.class.startsWith('auth-')) return explained;
    return { class: 'auth-failed', cause: `${place.host} refuses the login.`, fix: 'Check user and password; some providers want a password made for applications.' };
  }
  const row = findFailure(failure);
  if (row === null) return { class: 'failed', cause: `The connection to ${place.host} failed: ${failure.text}.`, fix: 'It is tried again by itself.' };
  return { class: row.class, cause: filled(row.cause, place), fix: filled(row.fix, place) };
}

export function filled(text: string, { host, port }: Place): string {
  return text.replaceAll('{host}', host).replaceAll('{port}', port === null ? '(socket)' : String(port));
}
