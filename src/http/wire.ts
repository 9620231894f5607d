// How records look in JSON: points in time as ISO 8601 (`acceptedAtMs` becomes `acceptedAt`), everything else as it is, spans in
// milliseconds included. The types follow, so that routes and commands share them.

type TimeKey = 'atMs' | `${string}AtMs` | `${string}UntilMs`;

/** A record as the API tells it. */
export type Wire<T> = T extends readonly (infer E)[]
  ? readonly Wire<E>[]
  : T extends object
    ? { readonly [K in keyof T as WireKey<K>]: K extends TimeKey ? (null extends T[K] ? string | null : string) : Wire<T[K]> }
    : T;

type WireKey<K> = K extends TimeKey ? (K extends `${infer Stem}Ms` ? Stem : never) : K;

/** Copies plain data with its times made readable. */
export function toWire<T>(value: T): Wire<T> {
  if (Array.isArray(value)) return value.map((element) => toWire(element as unknown)) as Wire<T>;
  if (typeof value !== 'object' || value === null) return value as Wire<T>;
  return Object.fromEntries(Object.entries(value).map(([key, field]) => wireEntry(key, field))) as Wire<T>;
}

function wireEntry(key: string, field: unknown): [string, unknown] {
  if (!/(^at|At|Until)Ms$/.test(key)) return [key, toWire(field)];
  return [key.slice(0, -2), typeof field === 'number' ? new Date(field).toISOString() : null];
}

type Given<T> = { [K in keyof T]: Exclude<T[K], undefined> };

/** Keys that were not given are left out, as exact optional types want it. */
export function withoutUndefined<T extends object>(value: T): Given<T> {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as Given<T>;
}
