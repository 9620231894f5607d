// The texts of MTA-STS: the TXT record that announces a policy, the policy itself, and which mail hosts it allows. Read strictly, written
// for the domains we receive for. Pure: asks nobody. RFC 8461 3.1, 3.2, 4.1.

import { createHash } from 'node:crypto';
import { canonicalName } from '#dns/name.ts';

export type StsMode = 'enforce' | 'testing' | 'none';

/** `mx` are host names and `*.` patterns, canonical. `text` is the policy as it was served, its lines without their ends. */
export type StsPolicy = { readonly mode: StsMode; readonly mx: readonly string[]; readonly maxAgeSeconds: number; readonly text: readonly string[] };

/** A year: the longest life of a policy (3.2). */
export const LONGEST_MAX_AGE_SECONDS = 31_557_600;
const MAX_PATTERNS = 500;

/**
 * The id in the TXT records of `_mta-sts.DOMAIN`: null when no policy is announced. Records for other purposes are passed over; two that
 * announce one, or a broken one, announce none (3.1).
 */
export function readStsRecord(records: readonly string[]): { readonly id: string } | { readonly id: null; readonly why: string } {
  const own = records.filter((record) => /^v=STSv1[ \t]*;/.test(record));
  const [record] = own;
  if (record === undefined) return { id: null, why: 'no TXT record announces a policy' };
  if (own.length > 1) return { id: null, why: `${own.length} TXT records announce a policy: none counts` };
  const fields = record.split(';').map((field) => field.trim());
  const id = fields.find((field) => field.startsWith('id='))?.slice('id='.length) ?? '';
  return /^[A-Za-z0-9]{1,32}$/.test(id) ? { id } : { id: null, why: `the TXT record has no valid id: ${JSON.stringify(record.slice(0, 100))}` };
}

/** Reads a policy file; the sentence says what is wrong with it. Unknown keys are passed over, of a repeated one (but mx) the first counts. */
export function parseStsPolicy(source: string): StsPolicy | { readonly problem: string } {
  const text = source
    .split(/\r?\n/)
    .map((line) => line.trimEnd())
    .filter((line) => line !== '');
  const single = new Map<string, string>();
  const mx: string[] = [];
  for (const line of text) {
    const found = /^([A-Za-z0-9][A-Za-z0-9_.-]{0,31})[ \t]*:[ \t]*(.*)$/.exec(line);
    if (found === null) return { problem: `this is no line of a policy: ${JSON.stringify(line.slice(0, 80))}` };
    const [, key = '', value = ''] = found;
    if (key !== 'mx') {
      if (!single.has(key)) single.set(key, value);
      continue;
    }
    const pattern = canonicalPattern(value);
    if (pattern === null) return { problem: `mx: ${JSON.stringify(value.slice(0, 80))} is neither a host name nor a pattern like *.example.com` };
    if (mx.length === MAX_PATTERNS) return { problem: `more than ${MAX_PATTERNS} mx lines` };
    mx.push(pattern);
  }
  if (single.get('version') !== 'STSv1') return { problem: single.has('version') ? 'version is not STSv1' : 'version is missing' };
  const mode = single.get('mode');
  if (mode !== 'enforce' && mode !== 'testing' && mode !== 'none') return { problem: mode === undefined ? 'mode is missing' : 'mode is none of enforce, testing and none' };
  const maxAge = single.get('max_age') ?? '';
  if (!/^\d{1,10}$/.test(maxAge)) return { problem: 'max_age is not a number of seconds' };
  if (mode !== 'none' && mx.length === 0) return { problem: `mode is ${mode}, but no mx is named` };
  return { mode, mx, maxAgeSeconds: Math.min(Number(maxAge), LONGEST_MAX_AGE_SECONDS), text };
}

/** Whether a policy allows a mail host; `*.example.com` stands for one label (4.1). */
export function allowsHost(policy: Pick<StsPolicy, 'mx'>, host: string): boolean {
  const dot = host.indexOf('.');
  const wildcard = dot > 0 ? `*${host.slice(dot)}` : null;
  return policy.mx.some((pattern) => pattern === host || pattern === wildcard);
}

/** A policy as it is served. */
export function formatStsPolicy(policy: Omit<StsPolicy, 'text'>): string {
  return ['version: STSv1', `mode: ${policy.mode}`, ...policy.mx.map((host) => `mx: ${host}`), `max_age: ${policy.maxAgeSeconds}`, ''].join('\r\n');
}

/** An id for the TXT record that changes when, and only when, the policy does. */
export function stsPolicyId(policy: Omit<StsPolicy, 'text'>): string {
  return createHash('sha256').update(formatStsPolicy(policy)).digest('hex').slice(0, 20);
}

function canonicalPattern(value: string): string | null {
  if (!value.startsWith('*.')) return canonicalName(value);
  const name = canonicalName(value.slice(2));
  return name === null ? null : `*.${name}`;
}
