// What a check is: evidence in, verdict out, nothing in between that waits. `null` says that it has nothing to say of this evidence.

import type { Verdict } from '#doctor/report.ts';
import type { PortEvidence } from '#doctor/probes/port.ts';

export type PortCheck = {
  /** The first part of the finding's id. */
  readonly id: string;
  readonly title: string;
  readonly judge: (evidence: PortEvidence) => Verdict | null;
};

/** "587" or "465": where mail is handed in. 25 takes it from servers. */
export function isSubmission({ role }: Pick<PortEvidence, 'role'>): boolean {
  return role === 'submission' || role === 'submissions';
}

export function ms(value: number): string {
  return value >= 1000 ? `${(value / 1000).toFixed(1)} s` : `${Math.max(1, Math.round(value))} ms`;
}
