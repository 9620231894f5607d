// The API's refusals: RFC 9457 problem details, each with a cause and a fix. Text of unexpected errors stays in the log.

import type { Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import type { z } from 'zod';
import type { Failure } from '#base/failure.ts';

const BODY_BYTES = 256 * 1024;

export type Problem = Failure & { readonly status: ContentfulStatusCode; readonly title: string };

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
  const { code, cause, fix, status, title } = problem;
  const body = { type: `urn:postern:problem:${code}`, title, status, detail: `${cause} ${fix}`, code, cause, fix };
  return context.json(body, status, { 'content-type': 'application/problem+json' });
}

export function notFound(what: string, fix: string): ProblemError {
  return new ProblemError({ status: 404, title: 'Not found', code: 'not-found', cause: `There is no ${what}.`, fix });
}

/** Checks input against its schema; throws the 422 that names the field and what is allowed. */
export function parseInput<T>(schema: z.ZodType<T>, input: unknown): T {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const field = issue?.path.join('.') ?? '';
  throw new ProblemError({
    status: 422,
    title: 'Invalid request',
    code: 'invalid-request',
    cause: field === '' ? `${issue?.message ?? 'The request is not valid'}.` : `${field}: ${issue?.message ?? 'not valid'}.`,
    fix: 'Correct the value and send the request again.',
  });
}

/** The JSON body checked against its schema; no body counts as {}. */
export async function parseBody<T>(context: Context, schema: z.ZodType<T>): Promise<T> {
  const text = await boundedText(context);
  let input: unknown = {};
  try {
    if (text !== '') input = JSON.parse(text);
  } catch {
    throw new ProblemError({ status: 400, title: 'Malformed JSON', code: 'malformed-json', cause: 'The body is not valid JSON.', fix: 'Send one JSON document in UTF-8.' });
  }
  return parseInput(schema, input);
}

/** Hono's own body limit builds a second Request, which the server's lightweight one does not survive: count while reading. */
async function boundedText(context: Context): Promise<string> {
  const body = context.req.raw.body;
  if (body === null) return '';
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES) {
      throw new ProblemError({ status: 413, title: 'Too large', code: 'body-too-large', cause: `The body is over ${BODY_BYTES} bytes.`, fix: 'Send less at once.' });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
