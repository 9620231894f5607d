// Whether the doctor was right about an animal: it named the planted fault with its cause and fix, and nothing else. Pure.

import type { Finding } from '#doctor/report.ts';
import type { Animal } from './animal.ts';
import type { Visit } from './box.ts';

export type Verdict = {
  readonly verdict: 'named' | 'healthy' | 'missed' | 'false alarm';
  /** The finding that names the fault, or the nearest one. */
  readonly finding: Finding | null;
  /** What the doctor got wrong; empty when nothing. */
  readonly problems: readonly string[];
};

export function judge(animal: Animal, { report, code, errors }: Visit): Verdict {
  if (report === null) return { verdict: 'missed', finding: null, problems: [`the doctor gave no report (exit ${code}): ${errors}`] };
  const { expect, follows = [] } = animal;
  const wrong = report.checks.filter(({ status }) => status === 'fail' || status === 'warn');
  // How long steps take says as much about the load of this machine as about the animal.
  const known = new Set([...follows, 'latency']);
  const alarms = wrong.filter((finding) => finding.status !== expect?.status || checkOf(finding) !== expect.check).filter((finding) => !known.has(checkOf(finding)));
  const alarmTexts = alarms.map(({ id, status, title, evidence }) => `false alarm: ${status} ${id}: ${title}: ${evidence}`);
  if (expect === null) return { verdict: alarms.length > 0 ? 'false alarm' : 'healthy', finding: alarms[0] ?? null, problems: alarmTexts };
  const candidates = report.checks.filter((finding) => checkOf(finding) === expect.check);
  const lacks = candidates.map((finding) => ({ finding, problems: lacking(finding, expect) })).toSorted((a, b) => a.problems.length - b.problems.length);
  const [best] = lacks;
  const problems = [...(best?.problems ?? [`nothing was said of ${expect.check}`]), ...exitProblem(expect.status, wrong, code), ...alarmTexts];
  const missed = best === undefined || best.problems.length > 0;
  return { verdict: missed ? 'missed' : problems.length > 0 ? 'false alarm' : 'named', finding: best?.finding ?? null, problems };
}

function lacking(finding: Finding, expect: NonNullable<Animal['expect']>): string[] {
  const problems: string[] = [];
  if (finding.status !== expect.status) problems.push(`${finding.id} is ${finding.status}, not ${expect.status}`);
  for (const part of ['title', 'cause', 'fix', 'evidence'] as const) {
    const wanted = expect[part];
    if (wanted !== undefined && !wanted.test(finding[part])) problems.push(`the ${part} of ${finding.id} does not say ${wanted.source}: ${JSON.stringify(finding[part])}`);
  }
  return problems;
}

function exitProblem(status: string, wrong: readonly Finding[], code: number | null): string[] {
  const wanted = status === 'fail' || wrong.some((finding) => finding.status === 'fail') ? 1 : 0;
  return code === wanted ? [] : [`exit ${code}, not ${wanted}`];
}

/** `certificate-expiry@host:587` and `mx-2@domain` are findings of `certificate-expiry` and `mx`. */
function checkOf({ id }: Finding): string {
  return id.replace(/@.*$/s, '').replace(/-\d+$/, '');
}
