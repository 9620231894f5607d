// The doctor as requests ask for it and answers show it: what is to be examined, how it goes, and the report.

import { z } from 'zod';
import type { Failure } from '#base/failure.ts';
import type { Finding, Report, Summary } from '#doctor/report.ts';
import type { StoredReport } from '#store/reports.ts';
import { time } from '#http/fields.ts';

export type DoctorRequest = {
  readonly target: string;
  readonly as: 'host' | 'domain' | null;
  readonly ports: readonly number[];
  readonly login: { readonly username: string; readonly password: string } | null;
  readonly insecure: boolean;
  readonly reference: string | null;
  readonly timeoutMs: number;
  readonly selectors: readonly string[];
  readonly sendingAddresses: readonly string[];
  readonly blocklists: readonly string[] | null;
};

export type Examination = {
  readonly id: string;
  readonly target: string;
  readonly by: string;
  readonly startedAtMs: number;
  readonly status: 'running' | 'done' | 'failed';
  readonly doing: string | null;
  readonly report: Report | null;
  readonly failure: Failure | null;
  readonly shareKey: string | null;
};

export type Progress =
  | { readonly type: 'begun'; readonly what: string }
  | { readonly type: 'found'; readonly finding: Finding }
  | { readonly type: 'done'; readonly summary: Summary }
  | { readonly type: 'failed' };

export type DoctorService = {
  /** Resolves once it is under way. Rejects with PosternError: `usage` for a target that is none, `doctor-busy`. */
  start(request: DoctorRequest, by: string): Promise<Examination>;
  /** Those that run, then those that are kept, newest first. */
  list(limit: number): readonly (Omit<StoredReport, 'status'> & { readonly status: 'running' | 'pass' | 'warn' | 'fail' })[];
  show(id: string): Examination | null;
  /** What happened after number `after`, and what happens, until its end. */
  watch(id: string, after: number): AsyncIterable<{ readonly n: number; readonly progress: Progress }>;
  share(id: string): string | null;
  unshare(id: string): boolean;
  shared(key: string): Report | null;
  remove(id: string): boolean;
};

const STATUS = z.enum(['pass', 'warn', 'fail', 'skip']);

const FINDING = z
  .object({
    id: z.string().describe('CHECK@SUBJECT'),
    title: z.string(),
    status: STATUS,
    evidence: z.string(),
    cause: z.string(),
    fix: z.string(),
    durationMs: z.number(),
    subject: z.string(),
    host: z.string().nullable(),
    port: z.int().nullable(),
  })
  .meta({ id: 'DoctorFinding' });

export const REPORT = z
  .object({
    target: z.string(),
    kind: z.enum(['host', 'domain', 'self']),
    startedAt: time,
    durationMs: z.number(),
    checks: z.array(FINDING),
    summary: z.object({ status: z.enum(['pass', 'warn', 'fail']), pass: z.int(), warn: z.int(), fail: z.int(), skip: z.int(), text: z.string() }),
  })
  .meta({ id: 'DoctorReport' });

export const EXAMINATION = z
  .object({
    id: z.string(),
    target: z.string(),
    by: z.string(),
    startedAt: time,
    status: z.enum(['running', 'done', 'failed']),
    doing: z.string().nullable().describe('what it is at, while it runs'),
    report: REPORT.nullable(),
    failure: z.object({ code: z.string(), cause: z.string(), fix: z.string() }).nullable(),
    sharePath: z.string().nullable().describe('where others read it; null: nowhere'),
  })
  .meta({ id: 'Examination' });

export const EXAMINATION_ROW = z
  .object({
    id: z.string(),
    target: z.string(),
    by: z.string(),
    startedAt: time,
    status: z.enum(['running', 'pass', 'warn', 'fail']),
    summary: z.string(),
    sharePath: z.string().nullable(),
  })
  .meta({ id: 'ExaminationRow' });

const name = z.string().max(253);

export const EXAMINE = z.strictObject({
  target: z.string().min(1).max(320).describe('host, host:port, domain or mail address'),
  as: z.enum(['host', 'domain']).nullable().default(null).describe('how a bare name is read'),
  ports: z.array(z.int().min(1).max(65_535)).max(8).default([]).describe('25, 465, 587 and 2525 unless told'),
  login: z
    .strictObject({ username: z.string().min(1).max(320), password: z.string().min(1).max(1000) })
    .nullable()
    .default(null)
    .describe('tried under TLS; kept nowhere'),
  insecure: z.boolean().default(false).describe('try the login although the certificate does not verify'),
  reference: name.nullable().default(null).describe('a host known to serve these ports: tells a blocked network from a dead host'),
  timeoutMs: z.int().min(500).max(30_000).default(10_000).describe('for each step'),
  selectors: z.array(z.string().max(100)).max(20).default([]).describe('of DKIM, to be looked for'),
  sendingAddresses: z.array(z.string().max(64)).max(20).default([]).describe('that the mail of the domain is sent from'),
  blocklists: z.array(name).max(20).nullable().default(null).describe('zones to ask about these addresses; null: those of `doctor.blocklists`'),
});
