// Requests to the server: JSON, with the session's cookie; refusals become errors that carry cause and fix. Knows nothing of pages.

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import type { UseQueryResult } from '@tanstack/react-query';

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

type Problem = { readonly code?: string; readonly cause?: string; readonly fix?: string; readonly detail?: string };

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
    (json) => json as Problem,
    () => ({}) as Problem,
  );
  throw new Refusal({
    status: response.status,
    code: problem.code ?? 'refused',
    cause: problem.cause ?? problem.detail ?? `The server answered ${response.status}.`,
    fix: problem.fix ?? 'Load the page again; if it stays, look into the server log.',
  });
}

export async function get<T>(path: string): Promise<T> {
  return (await (await request('GET', path)).json()) as T;
}

export async function getText(path: string): Promise<string> {
  return (await request('GET', path)).text();
}

export async function send<T>(method: 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body?: unknown): Promise<T> {
  const text = await (await request(method, path, body)).text();
  return (text === '' ? undefined : JSON.parse(text)) as T;
}

/** A path with those of the parameters that are there. */
export function withQuery(path: string, query: Readonly<Record<string, string | number | null | undefined>>): string {
  const given = Object.entries(query).flatMap(([name, value]) => (value === null || value === undefined || value === '' ? [] : [[name, String(value)]]));
  return given.length === 0 ? path : `${path}?${new URLSearchParams(given).toString()}`;
}

/** What is at `path`, kept fresh: its parts are the key, so that `/v1/queue` also means `/v1/queue?lane=x` when something has changed. */
export function useApi<T>(path: string | null, options: { readonly everyMs?: number; readonly keep?: boolean } = {}): UseQueryResult<T, Refusal> {
  const { everyMs, keep = false } = options;
  return useQuery({
    queryKey: keyOf(path ?? ''),
    queryFn: () => get<T>(path ?? ''),
    enabled: path !== null,
    refetchInterval: everyMs ?? false,
    ...(keep ? { placeholderData: keepPreviousData } : {}),
  }) as UseQueryResult<T, Refusal>;
}

export function keyOf(path: string): string[] {
  const [place = '', query = ''] = path.split('?');
  return query === '' ? [place] : [place, query];
}
