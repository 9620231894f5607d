// What a diagnosis says: findings with the very evidence, the likely cause and the fix, and a summary of them. Shapes only; they are also
// what `doctor --json` prints.

export type Status = 'pass' | 'warn' | 'fail' | 'skip';

/** `id` is `CHECK@SUBJECT`, unique in a report. `cause` and `fix` are empty when there is nothing to mend. */
export type Finding = {
  readonly id: string;
  readonly title: string;
  readonly status: Status;
  readonly evidence: string;
  readonly cause: string;
  readonly fix: string;
  readonly durationMs: number;
  /** What it speaks of: a host and port, a domain, an address, the local network. */
  readonly subject: string;
  readonly host: string | null;
  readonly port: number | null;
};

export type Summary = {
  readonly status: Exclude<Status, 'skip'>;
  readonly pass: number;
  readonly warn: number;
  readonly fail: number;
  readonly skip: number;
  readonly text: string;
};

export type Report = {
  readonly target: string;
  readonly kind: 'host' | 'domain' | 'self';
  readonly startedAt: string;
  readonly durationMs: number;
  readonly checks: readonly Finding[];
  readonly summary: Summary;
};

/** What a check says; the runner adds the subject and the time. */
export type Verdict = { readonly status: Status; readonly evidence: string; readonly cause?: string; readonly fix?: string; readonly title?: string; readonly durationMs?: number };

export function summarize(checks: readonly Finding[]): Summary {
  const count = (status: Status): number => checks.filter((finding) => finding.status === status).length;
  const [fail, warn] = [count('fail'), count('warn')];
  const status = fail > 0 ? 'fail' : warn > 0 ? 'warn' : 'pass';
  const worst = checks.filter((finding) => finding.status === status);
  const named = worst
    .slice(0, 3)
    .map((finding) => `${finding.title} (${finding.subject})`)
    .join('; ');
  const more = worst.length > 3 ? ` and ${worst.length - 3} more` : '';
  const text = { fail: `${fail} failed: ${named}${more}`, warn: `nothing failed, ${warn} to look at: ${named}${more}`, pass: 'no fault found' }[status];
  return { status, pass: count('pass'), warn, fail, skip: count('skip'), text };
}
