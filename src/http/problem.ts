// The API's refusals: RFC 9457 problem details, each with a cause and a fix. Text of unexpected errors stays in the log.

import type { Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { z } from 'zod';
import { PosternError } from '#base/failure.ts';
import type { Failure } from '#base/failure.ts';

export type Problem = Failure & {
  readonly status: ContentfulStatusCode;
  readonly title: string;
  /** Of the answer, besides the usual ones: `Retry-After`, `WWW-Authenticate`. */
  readonly headers?: Readonly<Record<string, string>>;
};

/** As the document describes it. */
export const PROBLEM = z
  .object({
    type: z.string().describe('urn:postern:problem: and the code'),
    title: z.string(),
    status: z.int(),
    detail: z.string().describe('cause and fix in one text'),
    code: z.string().describe('a stable word for programs'),
    cause: z.string().describe('what is the matter, a sentence for people'),
    fix: z.string().describe('what to do about it'),
  })
  .meta({ id: 'Problem', description: 'Why a request was refused (RFC 9457).' });

/** Thrown inside a route where returning would bury the happy path; answered by the app's one error handler. */
export class ProblemError extends Error {
  readonly problem: Problem;
  constructor(problem: Problem) {
    super(problem.cause);
    this.name = 'ProblemError';
    this.problem = problem;
  }
}

/** The answer: `application/problem+json` with `type`, `title`, `status`, `detail` and our `code`, `cause`, `fix`. */
export function answerProblem(context: Context, problem: Problem): Response {
  const { status, headers } = problem;
  return context.json(problemBody(problem), status, { ...headers, 'content-type': 'application/problem+json' });
}

/** As it is told, also as a part of an answer. */
export function problemBody({ code, cause, fix, status, title }: Problem): z.output<typeof PROBLEM> {
  return { type: `urn:postern:problem:${code}`, title, status, detail: `${cause} ${fix}`, code, cause, fix };
}

export function notFound(what: string, fix: string): ProblemError {
  return new ProblemError({ status: 404, title: 'Not found', code: 'not-found', cause: `There is no ${what}.`, fix });
}

/** For a project that reaches for what is not its own. */
export function outsideProject(cause: string, fix: string): ProblemError {
  return new ProblemError({ status: 403, title: 'Not allowed', code: 'outside-project', cause, fix });
}

type RefusedAs = { readonly status: ContentfulStatusCode; readonly title: string };

/** What a service refuses by a PosternError, as a refusal of this status; anything else stays an error. */
export async function refusing<T>(work: () => Promise<T> | T, as: RefusedAs, byCode: Readonly<Record<string, RefusedAs>> = {}): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof PosternError)) throw error;
    throw new ProblemError({ ...error.failure, ...(byCode[error.failure.code] ?? as) });
  }
}

type Issue = z.core.$ZodIssue;

/** Of a value that may be one of several kinds, what is wrong with it as the kind that it seems to be: the one that was read furthest. */
function telling(issue: Issue | undefined, before: readonly PropertyKey[] = []): { readonly issue: Issue | undefined; readonly path: readonly PropertyKey[] } {
  const path = [...before, ...(issue?.path ?? [])];
  if (issue?.code !== 'invalid_union') return { issue, path };
  const found = issue.errors.flatMap((branch) => (branch[0] === undefined ? [] : [telling(branch[0], path)]));
  const [best] = found.toSorted((a, b) => b.path.length - a.path.length || Number(b.issue?.code === 'custom') - Number(a.issue?.code === 'custom'));
  return best ?? { issue, path };
}

/** Checks input against its schema; throws the 422 that names the field and what is allowed. */
export function parseInput<T>(schema: z.ZodType<T>, input: unknown): T {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const { issue, path } = telling(result.error.issues[0]);
  const field = path.join('.');
  throw new ProblemError({
    status: 422,
    title: 'Invalid request',
    code: 'invalid-request',
    cause: field === '' ? `${issue?.message ?? 'The request is not valid'}.` : `${field}: ${issue?.message ?? 'not valid'}.`,
    fix: 'Correct the value and send the request again.',
  });
}
