// An event as it is told outside: by webhooks, by the API and in its stream alike. Owns the names of the types and what each tells; stable, so that receivers can rely on it.

import type { Envelope, Outcome, QueueEvent } from '#queue/records.ts';
import type { LoggedEvent, Place } from '#store/event-log.ts';

/** What can be subscribed to, and what it means. */
export const EVENT_TYPES = {
  'message.accepted': 'a message was accepted; it is on disk',
  'message.delivered': 'a recipient: the receiver has taken it',
  'message.deferred': 'a recipient: an attempt failed, it is tried again at `nextAt`',
  'message.bounced': 'a recipient: refused for good',
  'message.suppressed': 'a recipient: not tried, because the address is on the suppression list',
  'message.expired': 'a recipient: given up, its time is over',
  'message.captured': 'a recipient: kept for viewing (sandbox), never sent',
  'message.returned': 'a report came back after a later hop had taken it',
  'message.held': 'a recipient: put on hold',
  'message.released': 'a recipient: the hold ended',
  'message.retried': 'a recipient: made due by an operator',
  'message.cancelled': 'a recipient: removed by an operator',
} as const;

export type EventType = keyof typeof EVENT_TYPES;
export const EVENT_TYPE_NAMES = Object.keys(EVENT_TYPES) as [EventType, ...EventType[]];

export type ToldOutcome = Omit<Outcome, 'scope' | 'startedAtMs' | 'security' | 'said'> & { readonly startedAt: string; readonly tlsPolicy: string | null };

export type PublicEvent = {
  readonly id: string;
  readonly type: EventType;
  readonly timestamp: string;
  readonly data: {
    readonly messageId: string;
    /** The one it is about; null: all, or the report did not say. */
    readonly recipient: string | null;
    readonly recipients: readonly string[];
    readonly from: string | null;
    readonly subject: string;
    readonly messageIdHeader: string;
    readonly credential: string | null;
    readonly project: string | null;
    readonly mode: Envelope['mode'];
    readonly kind: Envelope['kind'];
    readonly nextAt: string | null;
    readonly outcome: ToldOutcome | null;
  };
};

/** Of a message with very many recipients no more are told at once; the message itself has all. */
const MAX_RECIPIENTS = 100;

export function tellEvent({ place, type, atMs, envelope, to, n, nextAtMs, outcome }: LoggedEvent): PublicEvent {
  return {
    id: eventId(place),
    type: typeOf(type, outcome),
    timestamp: new Date(atMs).toISOString(),
    data: {
      messageId: envelope.id,
      recipient: n === null ? null : (to[n] ?? null),
      recipients: n === null ? to.slice(0, MAX_RECIPIENTS) : to.slice(n, n + 1),
      from: envelope.from?.text ?? null,
      subject: envelope.subject,
      messageIdHeader: envelope.messageIdHeader,
      credential: envelope.origin.credential,
      project: envelope.origin.project ?? null,
      mode: envelope.mode,
      kind: envelope.kind,
      nextAt: nextAtMs === null ? null : new Date(nextAtMs).toISOString(),
      outcome: outcome === null ? null : tellOutcome(outcome),
    },
  };
}

function tellOutcome(outcome: Outcome): ToldOutcome {
  const { verdict, code, enhanced, text, cause, fix, route, remoteHost, remoteAddress, remotePort, tls, possibleDuplicate, durationMs } = outcome;
  const facts = { verdict, code, enhanced, text, class: outcome.class, cause, fix, route, remoteHost, remoteAddress, remotePort, tls, possibleDuplicate, durationMs };
  return { ...facts, startedAt: new Date(outcome.startedAtMs).toISOString(), tlsPolicy: outcome.security?.policy ?? null };
}

function typeOf(type: QueueEvent['type'], outcome: Outcome | null): EventType {
  return type === 'bounced' && outcome?.class === 'suppressed' ? 'message.suppressed' : `message.${type}`;
}

/** Which changes of the queue can be told as one of these types. */
export function changesFor(types: ReadonlySet<EventType>): ReadonlySet<QueueEvent['type']> {
  return new Set([...types].map((type) => (type === 'message.suppressed' ? 'bounced' : (type.slice('message.'.length) as QueueEvent['type']))));
}

export function eventId({ seq, change }: Place): string {
  return `evt_${seq}_${change}`;
}

/** The place that an id names; null for anything else. */
export function placeOf(id: string): Place | null {
  const match = /^evt_(\d{1,15})_(\d{1,16})$/.exec(id);
  return match === null ? null : { seq: Number(match[1]), change: Number(match[2]) };
}
