// What changes something: each act tells its outcome, and what was asked before and may have changed is asked again.

import { useMutation, useQueryClient } from '@tanstack/react-query';
import type { QueryClient, UseMutationResult } from '@tanstack/react-query';
import { send } from './client.ts';
import type { Answer, Body, Refusal } from './client.ts';

/** Everything under these paths is stale, also with other parameters. */
export async function refresh(queries: QueryClient, paths: readonly string[]): Promise<void> {
  await queries.invalidateQueries({ predicate: ({ queryKey }) => paths.some((path) => String(queryKey[0]).startsWith(path)) });
}

type Act<I, O> = {
  readonly act: (input: I) => Promise<O>;
  readonly stale: readonly string[];
  readonly done?: (output: O, input: I) => void;
  readonly failed?: (error: Refusal) => void;
};

export function useAct<I, O>({ act, stale, done, failed }: Act<I, O>): UseMutationResult<O, Refusal, I> {
  const queries = useQueryClient();
  return useMutation<O, Refusal, I>({
    mutationFn: act,
    onSuccess: async (output, input) => {
      done?.(output, input);
      await refresh(queries, stale);
    },
    ...(failed === undefined ? {} : { onError: failed }),
  });
}

export type Verb = 'retry' | 'hold' | 'release' | 'cancel';
/** What a verb is about. */
export type Selection = Body<`POST /v1/queue/${Verb}`>;
export type Changed = Answer<`POST /v1/queue/${Verb}`>;

export function useVerb(said: (verb: Verb, changed: Changed) => void, failed: (error: Refusal) => void): UseMutationResult<Changed, Refusal, { verb: Verb; selection: Selection }> {
  return useAct({
    act: ({ verb, selection }: { verb: Verb; selection: Selection }) => send(`POST /v1/queue/${verb}`, {}, selection),
    stale: ['/v1/queue', '/v1/lanes', '/v1/messages'],
    done: (changed, { verb }) => said(verb, changed),
    failed,
  });
}
