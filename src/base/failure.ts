// What went wrong, said so that a person can act: every failure that leaves Postern (log line, API answer, command) is one
// of these. Knows nothing of SMTP replies; `smtp/reply.ts` has those.

/** A failure with its cause and the fix, both full sentences for people. `code` is a stable kebab-case word for programs. */
export type Failure = { readonly code: string; readonly cause: string; readonly fix: string };

/** Thrown where a failure cannot be a value (start-up, I/O). `exitCode` is the command's: 1 bad news, 2 usage, 3 broken. */
export class PosternError extends Error {
  readonly failure: Failure;
  readonly exitCode: 1 | 2 | 3;
  constructor(failure: Failure, options: { exitCode?: 1 | 2 | 3; cause?: unknown } = {}) {
    super(failure.cause, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'PosternError';
    this.failure = failure;
    this.exitCode = options.exitCode ?? 3;
  }
}

/** The text of anything thrown, for logs and private causes; never for the wire. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The `code` of a system or library error (`ECONNREFUSED`), if it has one. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
