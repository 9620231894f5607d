// What a look at the DNS finds of one record: is it right, and if not, what is there, what it breaks, and how it is mended. Records only.

import type { DnsRecord } from './records.ts';

export type RecordStatus = 'right' | 'missing' | 'wrong' | 'unknown';

export type Finding = {
  readonly status: RecordStatus;
  /** What is there, one text a record. */
  readonly found: readonly string[];
  /** What is wrong and what that breaks; null when it is right. */
  readonly cause: string | null;
  readonly fix: string | null;
  /** Remarks that need nobody's hand at once. */
  readonly notes: readonly string[];
};

export type RecordFinding = DnsRecord & Finding;

/** The part of a finding that judging makes; asking adds its own notes. */
export type Judgement = Pick<Finding, 'status' | 'cause' | 'fix' | 'notes'>;

export function right(...notes: string[]): Judgement {
  return { status: 'right', cause: null, fix: null, notes };
}

export function wrong(cause: string, fix: string, ...notes: string[]): Judgement {
  return { status: 'wrong', cause, fix, notes };
}

export function missing(cause: string, fix: string): Judgement {
  return { status: 'missing', cause, fix, notes: [] };
}

export function unknown(cause: string, fix: string): Judgement {
  return { status: 'unknown', cause, fix, notes: [] };
}
