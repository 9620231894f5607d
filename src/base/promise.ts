// A value that may be there already. The hot paths of the SMTP session avoid a promise (and a turn of the event loop) for
// answers that are known at once.

export type MaybePromise<T> = T | Promise<T>;

export function isPromise<T>(value: MaybePromise<T>): value is Promise<T> {
  return value instanceof Promise;
}

/** Calls; what throws at once fails like what throws later. */
export function guarded<T>(call: () => MaybePromise<T>): MaybePromise<T> {
  try {
    return call();
  } catch (error) {
    return Promise.reject(error instanceof Error ? error : new Error(String(error)));
  }
}
