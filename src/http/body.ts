// Bodies of requests: read up to a bound, and told apart by their media type.

import type { Context } from 'hono';
import type { Env } from './identity.ts';
import { ProblemError } from './problem.ts';

export const BODY_BYTES = 256 * 1024;

/** The media type of the body, in lower case and without parameters; '' when none is named. */
export function mediaOf(context: Context): string {
  return (context.req.header('content-type') ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
}

/** The body in whole. Hono's own body limit builds a second Request, which the server's lightweight one does not survive: count while reading. */
export async function readBody(context: Context<Env>, limitBytes: number): Promise<Buffer> {
  const announced = Number(context.req.header('content-length') ?? 0);
  if (announced > limitBytes) throw tooLarge(limitBytes);
  // The request as Node has it: a web stream around it costs more than all the rest of the reading.
  // Left in the middle it is not destroyed, as the refusal goes over the same connection.
  const body = context.env.incoming?.iterator({ destroyOnReturn: false }) ?? context.req.raw.body;
  if (body === null) return Buffer.alloc(0);
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > limitBytes) throw tooLarge(limitBytes);
    chunks.push(chunk);
  }
  const [only] = chunks;
  return chunks.length === 1 && Buffer.isBuffer(only) ? only : Buffer.concat(chunks);
}

/** A JSON document in UTF-8; no body counts as {}. */
export async function readJson(context: Context<Env>, limitBytes: number): Promise<unknown> {
  const media = mediaOf(context);
  if (media !== '' && media !== 'application/json' && !media.endsWith('+json')) throw unsupported(media, ['application/json']);
  const bytes = await readBody(context, limitBytes);
  if (bytes.length === 0) return {};
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as unknown;
  } catch {
    throw new ProblemError({ status: 400, title: 'Malformed JSON', code: 'malformed-json', cause: 'The body is not valid JSON.', fix: 'Send one JSON document in UTF-8.' });
  }
}

export function unsupported(media: string, wanted: readonly string[]): ProblemError {
  return new ProblemError({
    status: 415,
    title: 'Unsupported media type',
    code: 'unsupported-media-type',
    cause: `The body is said to be ${media}, which is not taken here.`,
    fix: `Send it with the header Content-Type: ${wanted.join(' or ')}.`,
  });
}

function tooLarge(limitBytes: number): ProblemError {
  return new ProblemError({ status: 413, title: 'Too large', code: 'body-too-large', cause: `The body is over ${limitBytes} bytes.`, fix: 'Send less at once.' });
}
