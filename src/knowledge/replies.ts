// What a refusal means: the rows of replies.json, found by code, enhanced code, the words of the reply, and who said it. Rows of providers come
// before those for everybody; in each group the first that matches wins.

import type { z } from 'zod';
import { CLASSES } from './classes.ts';
import type { Retry, Who } from './classes.ts';
import { compilePhrases } from './phrases.ts';
import { RECEIVERS, receiverOfHost } from './receivers.ts';
import data from './replies.json' with { type: 'json' };
import type { replySchema } from './schema.ts';

export type ReplyRow = z.infer<typeof replySchema>;

/** A reply as it was said: `lines` without the code, `enhanced` '' when there is none. */
export type Said = { readonly code: number; readonly enhanced: string; readonly lines: readonly string[] };

export const REPLY_ROWS = data as readonly ReplyRow[];

/** The rows that are left by code, enhanced code and provider, by number and in order: what is left to look at are the words. */
type Bucket = readonly number[];
type Index = {
  /** Numbers of rows whose words are there; of receivers, counted on behind the rows. */
  readonly find: (text: string) => Set<number>;
  readonly buckets: Map<string, Bucket>;
};

const ENHANCED_ON_LINE = /^[245]\.\d{1,3}\.\d{1,3} /;
/** Codes come from the internet: past so many combinations the index begins anew. */
const MAX_BUCKETS = 5000;

let index: Index | null = null;

/** The first row that matches; null for what is no refusal. `host` is who said it, when that is known. */
export function findReply(said: Said, host: string | null): ReplyRow | null {
  if (said.code < 400 || said.code > 599) return null;
  index ??= { find: compilePhrases([...REPLY_ROWS.map(({ text }) => text ?? []), ...RECEIVERS.map(({ marks }) => marks)]).find, buckets: new Map() };
  const found = index.find(wordsOf(said));
  const provider = receiverOfHost(host)?.id ?? (markedReceiver(found) || numberedReceiver(said.enhanced));
  for (const number of bucketOf(index, said, provider)) {
    const row = REPLY_ROWS[number] as ReplyRow;
    if (row.text === undefined || found.has(number)) return row;
  }
  return null;
}

export function whoActs(row: Pick<ReplyRow, 'class' | 'who'>): Who {
  return row.who ?? CLASSES.get(row.class)?.who ?? 'operator';
}

export function retryHelps(row: Pick<ReplyRow, 'class' | 'retry'>): Retry {
  return row.retry ?? CLASSES.get(row.class)?.retry ?? 'after-fix';
}

/** Some servers repeat the enhanced code on every line: it must not stand between the words. */
function wordsOf({ lines }: Said): string {
  const [first = ''] = lines;
  return lines.length === 1 ? first : lines.map((line) => line.replace(ENHANCED_ON_LINE, '')).join(' ');
}

function markedReceiver(found: ReadonlySet<number>): string {
  let least = Infinity;
  for (const number of found) if (number >= REPLY_ROWS.length && number < least) least = number;
  return RECEIVERS[least - REPLY_ROWS.length]?.id ?? '';
}

/** Details of three digits are given out by Microsoft alone (5.7.606); the registry of IANA ends far below. */
function numberedReceiver(enhanced: string): string {
  return /\.\d{3}$/.test(enhanced) ? 'microsoft' : '';
}

function bucketOf({ buckets }: Index, { code, enhanced }: Said, provider: string): Bucket {
  const key = `${code} ${enhanced} ${provider}`;
  const known = buckets.get(key);
  if (known !== undefined) return known;
  if (buckets.size >= MAX_BUCKETS) buckets.clear();
  const text = String(code);
  const bucket = REPLY_ROWS.flatMap((row, number) => {
    const spoken = row.provider === undefined || row.provider === provider || row.anywhere === true;
    const coded = spoken && row.codes.some((prefix) => text.startsWith(prefix));
    return coded && (row.enhanced?.some((pattern) => enhancedMatches(pattern, enhanced)) ?? true) ? [number] : [];
  });
  buckets.set(key, bucket);
  return bucket;
}

/** `5.7.26`, `5.7.606-649`, `5.7.*`, `*.2.2` */
function enhancedMatches(pattern: string, enhanced: string): boolean {
  if (pattern === enhanced) return true;
  const [klass = '', subject = '', detail = ''] = pattern.split('.');
  const [ownClass, ownSubject, ownDetail] = enhanced.split('.');
  if (ownDetail === undefined || subject !== ownSubject || (klass !== '*' && klass !== ownClass)) return false;
  if (detail === '*' || detail === ownDetail) return true;
  const [from, until] = detail.split('-').map(Number);
  return until !== undefined && from !== undefined && Number(ownDetail) >= from && Number(ownDetail) <= until;
}
