// A resolver for one task that anybody may set off: so many questions, so much time for all of them together. Past either it answers that
// the DNS did not, and asks no more.

import type { Clock } from '#base/clock.ts';
import type { DnsAnswer, Resolver } from './resolver.ts';

export type BoundedResolver = Pick<Resolver, 'a' | 'aaaa' | 'mx' | 'txt' | 'ptr'> & { /** The task is over: what still comes is not waited for. */ end(): void };

export type Bounds = { readonly clock: Clock; readonly withinMs: number; readonly questions: number };

type Failed = Extract<DnsAnswer<never>, { status: 'failed' }>;

/** Bounds a resolver; its time begins with the first question. */
export function boundResolver(resolver: Resolver, { clock, withinMs, questions }: Bounds): BoundedResolver {
  const tooLate: Failed = { status: 'failed', cause: 'timeout', detail: `the DNS took more than ${Math.round(withinMs / 1000)} s for everything` };
  const tooMany: Failed = { status: 'failed', cause: 'timeout', detail: `more than ${questions} questions to the DNS` };
  let asked = 0;
  let over = false;
  let running: { readonly expired: Promise<Failed>; end(): void } | null = null;
  const begin = (): NonNullable<typeof running> => {
    let expire: (answer: Failed) => void = () => {};
    const expired = new Promise<Failed>((resolve) => (expire = resolve));
    const end = (): void => {
      over = true;
      expire(tooLate);
    };
    const cancel = clock.after(withinMs, end);
    return {
      expired,
      end() {
        cancel();
        end();
      },
    };
  };
  const bound =
    <T>(ask: (name: string) => Promise<DnsAnswer<T>>) =>
    (name: string): Promise<DnsAnswer<T>> => {
      if (over) return Promise.resolve(tooLate);
      if (++asked > questions) return Promise.resolve(tooMany);
      running ??= begin();
      return Promise.race([ask(name), running.expired]);
    };
  return {
    a: bound((name) => resolver.a(name)),
    aaaa: bound((name) => resolver.aaaa(name)),
    mx: bound((name) => resolver.mx(name)),
    txt: bound((name) => resolver.txt(name)),
    ptr: bound((address) => resolver.ptr(address)),
    end() {
      over = true;
      running?.end();
    },
  };
}
