// Requests to the server: JSON, with the session's cookie; refusals become errors that carry cause and fix. What a request takes and answers is known
// by its name in the API's own document (schema.ts). Knows nothing of pages.

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import type { UseQueryResult } from '@tanstack/react-query';
import type { Problem, Requests } from './schema.ts';

/** Requests as the reference writes them, `GET /v1/messages/{id}`: those that have an answer in JSON, or one of another media type. */
type Known<What extends 'answer' | 'media'> = { [R in keyof Requests]: Requests[R] extends Readonly<Record<What, unknown>> ? R : never }[keyof Requests];
type Asking = Extract<Known<'answer'>, `GET ${string}`>;
type PathOf<R extends string> = R extends `GET ${infer Path}` ? Path : never;

export type Answer<R extends Known<'answer'>> = Requests[R]['answer'];
export type Body<R extends keyof Requests> = Requests[R] extends { readonly body?: infer B } ? B : never;

type Named<R extends keyof Requests, Place extends 'path' | 'query'> = Place extends unknown
  ? Requests[R] extends Readonly<Record<Place, infer Names>>
    ? keyof Names
    : never
  : never;
/**
 * What stands in the path, and what is asked after it, of which null and '' are left out. Of the latter the names are checked here, the values by
 * the server: they come from the address of the page, which anybody may write.
 */
type Given<R extends keyof Requests> = [Named<R, 'path' | 'query'>] extends [never]
  ? Readonly<Record<string, never>>
  : { readonly [N in Named<R, 'path'>]: string | number } & { readonly [N in Named<R, 'query'>]?: string | number | null };
/** What is sent: nothing, something, or something that may be left out. */
type Sent<R extends keyof Requests> = Requests[R] extends { readonly body: infer B } ? [body: B] : Requests[R] extends { readonly body?: infer B } ? [body?: B] : [];

/** A refusal as the API tells it (RFC 9457); or that the server was not reached at all (status 0). */
export class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  readonly fix: string;
  constructor(problem: { readonly status: number; readonly code: string; readonly cause: string; readonly fix: string }) {
    super(problem.cause);
    this.name = 'Refusal';
    this.status = problem.status;
    this.code = problem.code;
    this.fix = problem.fix;
  }
}

async function request(method: string, path: string, body?: unknown): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      credentials: 'same-origin',
      headers: {
        accept: 'application/json',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch {
    throw new Refusal({
      status: 0,
      code: 'unreachable',
      cause: 'The server does not answer.',
      fix: 'Check that it runs and that this machine reaches it; the page tries again by itself.',
    });
  }
  if (response.ok) return response;
  const problem = await response.json().then(
    (json) => json as Partial<Problem>,
    (): Partial<Problem> => ({}),
  );
  throw new Refusal({
    status: response.status,
    code: problem.code ?? 'refused',
    cause: problem.cause ?? problem.detail ?? `The server answered ${response.status}.`,
    fix: problem.fix ?? 'Load the page again; if it stays, look into the server log.',
  });
}

/** The place of `path` with everything in it: of what is given, what does not stand in the path comes after it. */
export function addressOf<P extends PathOf<keyof Requests>>(path: P, given: Given<`GET ${P}`>): string {
  return filled(path, given);
}

export async function getText<P extends PathOf<Known<'media'>>>(path: P, given: Given<`GET ${P}`>): Promise<string> {
  return (await request('GET', filled(path, given))).text();
}

export async function send<R extends Exclude<Known<'answer'>, Asking>>(name: R, given: Given<R>, ...[body]: Sent<R>): Promise<Answer<R>> {
  const [method = '', path = ''] = name.split(' ');
  return (await (await request(method, filled(path, given), body)).json()) as Answer<R>;
}

/** What is at `path`, kept fresh: its parts are the key, so that `/v1/queue` also means `/v1/queue?lane=x` when something has changed. */
export function useApi<P extends PathOf<Asking>>(
  path: P,
  given: Given<`GET ${P}`>,
  options: { readonly everyMs?: number; readonly keep?: boolean } = {},
): UseQueryResult<Answer<`GET ${P}`>, Refusal> {
  const { everyMs, keep = false } = options;
  const address = filled(path, given);
  return useQuery({
    queryKey: keyOf(address),
    queryFn: async () => (await (await request('GET', address)).json()) as Answer<`GET ${P}`>,
    refetchInterval: everyMs ?? false,
    ...(keep ? { placeholderData: keepPreviousData } : {}),
  }) as UseQueryResult<Answer<`GET ${P}`>, Refusal>;
}

type Values = Readonly<Record<string, string | number | null | undefined>>;

function filled(path: string, given: Values): string {
  const names = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
  const place = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(given[name] ?? ''));
  return withQuery(place, Object.fromEntries(Object.entries(given).filter(([name]) => !names.includes(name))));
}

/** A path with those of the parameters that are there. */
export function withQuery(path: string, query: Values): string {
  const given = Object.entries(query).flatMap(([name, value]) => (value === null || value === undefined || value === '' ? [] : [[name, String(value)]]));
  return given.length === 0 ? path : `${path}?${new URLSearchParams(given).toString()}`;
}

export function keyOf(address: string): string[] {
  const [place = '', query = ''] = address.split('?');
  return query === '' ? [place] : [place, query];
}
