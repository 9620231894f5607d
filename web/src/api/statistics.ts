// Counts over time, as the server tells them, and the spans that people choose from.

import type { UseQueryResult } from '@tanstack/react-query';
import { useApi, withQuery } from './client.ts';
import type { Refusal } from './client.ts';

export type Counts = Readonly<Record<string, number>>;
export type Buckets = readonly { readonly at: string; readonly counts: Counts }[];
type Window = { readonly span: 'minute' | 'hour' | 'day'; readonly from: string; readonly until: string };
type Summary = { readonly count: number; readonly p50Ms: number | null; readonly p90Ms: number | null; readonly p99Ms: number | null };
export type Mail = Window & { readonly totals: Counts; readonly buckets: Buckets };
export type Latency = Window & { readonly delivery: { readonly total: Summary; readonly buckets: readonly (Summary & { readonly at: string })[] } };
type Four<T> = { readonly '587': T; readonly '465': T; readonly '25': T; readonly '2525': T };
export type Ports = Window & {
  readonly totals: Counts;
  readonly buckets: Buckets;
  readonly share: Four<number | null>;
  readonly baseline: { readonly note: string; readonly years: readonly (Four<number> & { readonly year: number })[] };
};
export type Provider = {
  readonly provider: string;
  readonly name: string;
  readonly messages: number;
  readonly encrypted: number;
  readonly verified: number;
  readonly percent: number | null;
};
export type Encryption = Window & {
  readonly inbound: readonly Provider[];
  readonly outbound: readonly Provider[];
  readonly baseline: {
    readonly note: string;
    readonly year: number;
    readonly providers: readonly { readonly provider: string | null; readonly name: string; readonly percent: number }[];
  };
};

export const SPANS = [
  ['1h', 'the last hour'],
  ['24h', '24 hours'],
  ['7d', '7 days'],
  ['30d', '30 days'],
] as const;

export function useStatistics<T>(what: string, since: string): UseQueryResult<T, Refusal> {
  return useApi<T>(withQuery(`/v1/statistics/${what}`, { since }), { everyMs: 30_000, keep: true });
}
