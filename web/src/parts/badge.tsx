// States as words with a colour: never the colour alone.

import type { ReactNode } from 'react';
import type { Message, QueueRow } from '#web/api/schema.ts';

export type Tone = 'good' | 'warn' | 'bad' | 'info' | 'box' | 'plain';

const LOOKS: Readonly<Record<Tone, string>> = {
  good: 'bg-good-wash text-good',
  warn: 'bg-warn-wash text-warn',
  bad: 'bg-bad-wash text-bad',
  info: 'bg-info-wash text-info',
  box: 'bg-box-wash text-box',
  plain: 'bg-sunken text-soft',
};

export function Badge({ tone, children }: { readonly tone: Tone; readonly children: ReactNode }): ReactNode {
  return <span className={`inline-flex items-center gap-1 rounded-full px-2 text-[12px] leading-[21px] font-medium whitespace-nowrap ${LOOKS[tone]}`}>{children}</span>;
}

/** A message or a recipient, or what happened to it. */
type Stands = Message['status'] | Message['events'][number]['type'] | QueueRow['state'];

const STATUSES: Readonly<Record<string, readonly [Tone, string]>> = {
  queued: ['info', 'queued'],
  ready: ['info', 'ready'],
  leased: ['info', 'being sent'],
  accepted: ['info', 'accepted'],
  delivered: ['good', 'delivered'],
  deferred: ['warn', 'deferred'],
  bounced: ['bad', 'bounced'],
  expired: ['bad', 'expired'],
  captured: ['box', 'captured'],
  cancelled: ['plain', 'cancelled'],
  held: ['warn', 'held'],
  partial: ['warn', 'partly delivered'],
  returned: ['bad', 'returned'],
  released: ['info', 'released'],
  retried: ['info', 'retried'],
} satisfies Readonly<Record<Stands, readonly [Tone, string]>>;

export const statusTone = (status: Stands): Tone => STATUSES[status]?.[0] ?? 'plain';

export function Status({ of }: { readonly of: Stands }): ReactNode {
  const [tone, label] = STATUSES[of] ?? (['plain', of] as const);
  return <Badge tone={tone}>{label}</Badge>;
}
