// From events to spans: one trace a message, a span for each attempt, and the root once nothing of the message waits any more. Everything follows from the event
// and what lies with its message: nothing is remembered, so neither a restart nor a retry makes another trace. No address leaves here, only domains.

import { hash } from 'node:crypto';
import { eventId } from '#events/event.ts';
import { canonicalDomain } from '#smtp/address.ts';
import type { MessageId, Outcome, QueueEvent } from '#queue/records.ts';
import type { LoggedEvent } from '#store/event-log.ts';
import type { Attributes, Span } from './otlp.ts';

type Type = QueueEvent['type'];
type Change = LoggedEvent['changes'][number];

/** With these a recipient's way is over. */
const LAST: ReadonlySet<Type> = new Set(['delivered', 'bounced', 'expired', 'captured', 'cancelled']);
/** What operators did, and so no span. */
const NOTED: ReadonlySet<Type> = new Set(['held', 'released', 'retried', 'cancelled']);
/** Changes that make a span. */
export const TRACED: ReadonlySet<Type> = new Set([...LAST, 'deferred', 'returned']);

const PROTOCOLS: Readonly<Record<string, string>> = { mx: 'smtp', smarthost: 'smtp', lmtp: 'lmtp', webhook: 'http' };
/** Consistent with other samplers, which go by the last 56 bits of a trace id (OpenTelemetry, probability sampling). */
const SAMPLED_BITS = 56n;

export function traceIdOf(id: MessageId): string {
  return nonzero(hash('sha256', id, 'hex').slice(0, 32));
}

/** Whether the message is among the `share` (0 to 1) that is traced; always the same answer for it. */
export function isSampled(id: MessageId, share: number): boolean {
  if (share >= 1) return true;
  const chance = Number(BigInt(`0x${traceIdOf(id).slice(-14)}`)) / Number(1n << SAMPLED_BITS);
  return chance >= 1 - share;
}

/** None, one, or two: the last attempt comes with the root. */
export function spansOf(event: LoggedEvent): Span[] {
  const spans: Span[] = [];
  if (event.outcome !== null) spans.push(attemptSpan(event, event.outcome));
  if (isEnd(event)) spans.push(rootSpan(event));
  return spans;
}

function attemptSpan(event: LoggedEvent, outcome: Outcome): Span {
  const { envelope, type, atMs, n, to, recipients, nextAtMs } = event;
  const returned = type === 'returned';
  const failed = outcome.verdict === 'bounced' || outcome.verdict === 'expired';
  const recipient = n === null ? null : (to[n] ?? null);
  const known = [recipient, n === null ? null : recipients[n]?.via, envelope.from?.text].filter((address) => typeof address === 'string');
  const cause = withoutAddresses(outcome.cause, known);
  // What is not tried at all, and what somebody else tells of, is no request to another server.
  const elsewhere = !returned && outcome.verdict !== 'captured' && outcome.class !== 'suppressed';
  return {
    traceId: traceIdOf(envelope.id),
    spanId: spanIdOf(envelope.id, eventId(event.place)),
    parentSpanId: rootIdOf(envelope.id),
    name: returned ? 'return' : outcome.verdict === 'captured' ? 'capture' : 'deliver',
    kind: elsewhere ? 'client' : 'internal',
    // Of a report only its coming is known.
    startMs: returned ? atMs : outcome.startedAtMs,
    endMs: returned ? atMs : outcome.startedAtMs + outcome.durationMs,
    attributes: {
      'postern.message.id': envelope.id,
      'postern.recipient.domain': recipient === null ? null : domainOf(recipient),
      'postern.recipient.index': n,
      'postern.verdict': outcome.verdict,
      'postern.class': outcome.class,
      'postern.cause': cause === '' ? null : cause,
      'postern.reply.code': outcome.code === 0 ? null : outcome.code,
      'postern.reply.enhanced': outcome.enhanced === '' ? null : outcome.enhanced,
      'postern.route': outcome.route,
      'postern.retry_at': nextAtMs === null ? null : new Date(nextAtMs).toISOString(),
      'postern.possible_duplicate': outcome.possibleDuplicate ? true : null,
      'error.type': failed ? outcome.class : null,
      ...connectionOf(outcome),
    },
    notes: [],
    error: failed ? cause || outcome.class : null,
    atMs,
  };
}

function connectionOf({ route, remoteHost, remoteAddress, remotePort, tls, security }: Outcome): Attributes {
  return {
    'server.address': remoteHost ?? remoteAddress,
    'server.port': remotePort,
    'network.peer.address': remoteAddress,
    'network.peer.port': remoteAddress === null ? null : remotePort,
    'network.protocol.name': remoteHost === null ? null : (PROTOCOLS[route] ?? null),
    'tls.protocol.version': /^TLSv([\d.]+)$/.exec(security?.protocol ?? '')?.[1] ?? null,
    'tls.cipher': security?.cipher ?? null,
    'postern.tls': tls,
    'postern.tls_policy': security?.policy ?? null,
  };
}

function rootSpan({ envelope, recipients, changes, atMs, place }: LoggedEvent): Span {
  const count = (status: string): number | null => recipients.filter((one) => one.status === status).length || null;
  const lost = recipients.filter(({ status }) => status === 'bounced' || status === 'expired').length;
  return {
    traceId: traceIdOf(envelope.id),
    spanId: rootIdOf(envelope.id),
    parentSpanId: null,
    name: 'message',
    kind: 'consumer',
    startMs: envelope.acceptedAtMs,
    endMs: atMs,
    attributes: {
      'postern.message.id': envelope.id,
      'postern.size': envelope.sizeBytes,
      'postern.kind': envelope.kind,
      'postern.mode': envelope.mode,
      'postern.profile': envelope.origin.profile,
      'postern.credential': envelope.origin.credential,
      'postern.project': envelope.origin.project ?? null,
      'postern.recipients.total': recipients.length,
      'postern.recipients.delivered': count('delivered'),
      'postern.recipients.bounced': count('bounced'),
      'postern.recipients.expired': count('expired'),
      'postern.recipients.captured': count('captured'),
      'postern.recipients.cancelled': count('cancelled'),
      'postern.attempts': recipients.reduce((sum, { attempts }) => sum + attempts, 0),
      'error.type': lost === 0 ? null : (recipients.find(({ status }) => status === 'bounced' || status === 'expired')?.lastOutcome?.class ?? '_OTHER'),
    },
    notes: changes.filter(({ type, seq }) => NOTED.has(type) && seq <= place.seq).map((change) => ({ atMs: change.atMs, name: `postern.${change.type}` })),
    error: lost === 0 ? null : `${lost} of ${recipients.length} recipients did not get it.`,
    atMs,
  };
}

/** Nothing of the message waits, and no later change was the last one that it waited for. */
function isEnd({ type, n, place, recipients, changes }: LoggedEvent): boolean {
  if (!LAST.has(type) || recipients.some(({ status }) => !(LAST as ReadonlySet<string>).has(status))) return false;
  const last = changes.findLast((change: Change) => LAST.has(change.type));
  return last !== undefined && last.seq === place.seq && last.type === type && last.n === n;
}

function rootIdOf(id: MessageId): string {
  return spanIdOf(id, 'message');
}

function spanIdOf(id: MessageId, what: string): string {
  return nonzero(hash('sha256', `${id} ${what}`, 'hex').slice(0, 16));
}

/** All zeros would be no id. */
function nonzero(hex: string): string {
  return /^0+$/.test(hex) ? `${hex.slice(0, -1)}1` : hex;
}

function domainOf(address: string): string | null {
  return canonicalDomain(address.slice(address.lastIndexOf('@') + 1));
}

/** A cause may repeat what a receiver said, and receivers like to repeat the address, or the part of it that they know a user by. */
export function withoutAddresses(text: string, known: readonly string[]): string {
  if (text === '') return text;
  let left = text.replaceAll(/(?:"(?:[^"\\]|\\.){1,128}"|[^\s@<>(),;:"'[\]]+)@/g, '***@');
  for (const address of known) {
    const local = address.slice(0, address.lastIndexOf('@'));
    if (local !== '' && left.toLowerCase().includes(local.toLowerCase()))
      left = left.replace(new RegExp(`(?<![\\p{L}\\p{N}])${RegExp.escape(local)}(?![\\p{L}\\p{N}])`, 'giu'), '***');
  }
  return left;
}
