// A resolver for one task that anybody may set off: so many questions, so much time for all of them together. Past either it answers that
// the DNS did not, and asks no more.

import type { Clock } from '#base/clock.ts';
import type { DnsAnswer, Resolver } from './resolver.ts';

export type BoundedResolver = Pick<Resolver, 'a' | 'aaaa' | 'mx' | 'txt' | 'ptr'> & { /** The task is over: what still comes is not waited for. */ end(): void };

export type Bounds = { readonly clock: Clock; readonly withinMs: number; readonly questions: number };

type Failed = Extract<DnsAnswer<never>, { status: 'failed' }>;

/** Bounds a resolver; its time begins now. */
export function boundResolver(resolver: Resolver, { clock, withinMs, questions }: Bounds): BoundedResolver {
  const tooLate: Failed = { status: 'failed', cause: 'timeout', detail: `the DNS took more than ${Math.round(withinMs / 1000)} s for everything` };
  const tooMany: Failed = { status: 'failed', cause: 'timeout', detail: `more than ${questions} questions to the DNS` };
  let asked = 0;
  let over = false;
  let expire: (answer: Failed) => void = () => {};
  const expired = new Promise<Failed>((resolve) => (expire = resolve));
  const cancel = clock.after(withinMs, () => {
    over = true;
    expire(tooLate);
  });
  const bound =
    <T>(ask: (name: string) => Promise<DnsAnswer<T>>) =>
    (name: string): Promise<DnsAnswer<T>> => {
      if (over) return Promise.resolve(tooLate);
      return ++asked > questions ? Promise.resolve(tooMany) : Promise.race([ask(name), expired]);
    };
  return {
    a: bound((name) => resolver.a(name)),
    aaaa: bound((name) => resolver.aaaa(name)),
    mx: bound((name) => resolver.mx(name)),
    txt: bound((name) => resolver.txt(name)),
    ptr: bound((address) => resolver.ptr(address)),
    end() {
      over = true;
      cancel();
      expire(tooLate);
    },
  };
}
