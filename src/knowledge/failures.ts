// What a failure without a reply means: connections and handshakes of our own client by what is known of them, and lines of other programs by
// their words. The rows are failures.json; the first that matches wins.

import type { z } from 'zod';
import data from './failures.json' with { type: 'json' };
import { compilePhrases } from './phrases.ts';
import type { Phrases } from './phrases.ts';
import type { failureSchema } from './schema.ts';

export type FailureRow = z.infer<typeof failureSchema>;

/** What is known of a failure of our own client. */
export type FailureFacts = { readonly phase: string; readonly kind: string; readonly code: string | null };

export const FAILURE_ROWS = data as readonly FailureRow[];

let phrases: Phrases | null = null;

export function findFailure(facts: FailureFacts): FailureRow | null {
  return FAILURE_ROWS.find(({ when }) => when !== undefined && matches(when, facts)) ?? null;
}

/** The row whose words are in a line of some other program. */
export function findFailureText(text: string): FailureRow | null {
  phrases ??= compilePhrases(FAILURE_ROWS.map((row) => row.text ?? []));
  const found = phrases.find(text);
  return found.size === 0 ? null : (FAILURE_ROWS[Math.min(...found)] ?? null);
}

function matches(when: NonNullable<FailureRow['when']>, { phase, kind, code }: FailureFacts): boolean {
  return (
    (when.codes?.includes(code ?? '') ?? true) &&
    (when.codeLike?.some((part) => code?.includes(part) === true) ?? true) &&
    (when.kind?.some((one) => one === kind) ?? true) &&
    (when.phase?.includes(phase) ?? true)
  );
}
