// Domains as answers show them: with their keys (the public halves), the records to publish, and what a look at the DNS found of each.

import { z } from 'zod';
import type { Domain } from '#store/directory.ts';
import { time } from '#http/fields.ts';
import type { RecordFinding } from '#mail/identity/finding.ts';
import type { DnsRecord } from '#mail/identity/records.ts';
import type { DomainKey } from '#store/domain-keys.ts';
import { toWire } from '#http/wire.ts';

/** A record to publish, and what the last check said of it (`unchecked` before the first). */
export type RecordRow = DnsRecord & { readonly status: string };

export type DomainDetail = {
  readonly domain: Domain;
  readonly keys: readonly Omit<DomainKey, 'domain' | 'publicKey' | 'sealed'>[];
  readonly records: readonly RecordRow[];
};

/** What a check found, and what it changed: sentences for people. */
export type DomainCheck = DomainDetail & { readonly findings: readonly RecordFinding[]; readonly changes: readonly string[] };

export type DomainChange = { readonly name: string; readonly inbound: boolean; readonly returnPath?: string | undefined; readonly project?: string | null | undefined };

/** `start` makes new keys to be published; `confirm` uses them on the operator's word; `cancel` drops them. */
export type RotationStep = 'start' | 'confirm' | 'cancel';

/** What the routes need; made by the server. */
export type DomainService = {
  list(): Promise<readonly Domain[]>;
  show(name: string): Promise<DomainDetail | null>;
  add(domain: DomainChange): Promise<DomainDetail>;
  /** Looks at the live DNS; keys that are published begin to sign, the return path is used once it is right. */
  check(name: string): Promise<DomainCheck | null>;
  /** Rejects with PosternError `rotation-under-way` or `no-rotation`. */
  rotate(name: string, step: RotationStep): Promise<DomainDetail | null>;
  remove(name: string): Promise<boolean>;
};

export const DOMAIN = z
  .object({
    name: z.string(),
    inbound: z.boolean(),
    project: z.string().nullable(),
    createdAt: time,
    returnPath: z.string().describe('the label under the domain that bounces come back to'),
    returnPathVerifiedAt: time.nullable().describe('since when it is used; null: it is not'),
    checkedAt: time.nullable(),
    status: z.string().describe('`verified` when the last check found every record right, `unchecked` before the first, else how many are'),
  })
  .meta({ id: 'Domain' });

const KEY = z
  .object({
    selector: z.string(),
    algorithm: z.enum(['rsa-sha256', 'ed25519-sha256']),
    state: z.enum(['next', 'active', 'retiring', 'removed']),
    createdAt: time,
    activatedAt: time.nullable(),
    removableAt: time.nullable().describe('until when the record must stay'),
  })
  .meta({ id: 'DomainKey' });

const RECORD = z
  .object({
    type: z.enum(['TXT', 'MX', 'CNAME']),
    name: z.string(),
    value: z.string(),
    purpose: z.string(),
    status: z.string().describe('`right`, `missing`, `wrong`, `unknown`, or `unchecked`'),
  })
  .meta({ id: 'DnsRecord' });

const FINDING = RECORD.extend({
  found: z.array(z.string()).describe('what is there, one text a record'),
  cause: z.string().nullable(),
  fix: z.string().nullable(),
  notes: z.array(z.string()),
}).meta({ id: 'DnsFinding' });

export const DOMAIN_DETAIL = DOMAIN.extend({ keys: z.array(KEY), records: z.array(RECORD) }).meta({ id: 'DomainDetail' });
export const DOMAIN_CHECK = DOMAIN.extend({
  keys: z.array(KEY),
  records: z.array(FINDING),
  changes: z.array(z.string()).describe('what followed, in sentences'),
}).meta({ id: 'DomainCheck' });

export type DomainView = z.output<typeof DOMAIN>;
export type DomainDetailView = z.output<typeof DOMAIN_DETAIL>;
export type DomainCheckView = z.output<typeof DOMAIN_CHECK>;
export type RecordView = z.output<typeof RECORD>;
/** A record with what a check found of it. */
export type FindingView = z.output<typeof FINDING>;

export function domainView({ statuses, ...domain }: Domain): DomainView {
  return { ...toWire(domain), status: statusText(Object.values(statuses)) };
}

function statusText(statuses: readonly string[]): string {
  const right = statuses.filter((status) => status === 'right').length;
  if (statuses.length === 0) return 'unchecked';
  return right === statuses.length ? 'verified' : `${right} of ${statuses.length} right`;
}

export function detailView({ domain, keys, records }: DomainDetail): DomainDetailView {
  return { ...domainView(domain), keys: [...toWire(keys)], records: records.map(recordView) };
}

export function checkView(check: DomainCheck): DomainCheckView {
  const records = check.findings.map((finding) => {
    const { found, cause, fix, notes } = finding;
    return { ...recordView(finding), found: [...found], cause, fix, notes: [...notes] };
  });
  return { ...detailView(check), records, changes: [...check.changes] };
}

/** The contract's five fields, in its order. */
function recordView({ type, name, value, purpose, status }: DomainDetail['records'][number]): RecordView {
  return { type, name, value, purpose, status };
}
