// One message over one open connection, to the recipients a lane has for it: how they are split over transactions, what is done about
// 8-bit content, and what each reply means. Decides nothing about when to try again. RFC 5321 3.3, RFC 6152 3, RFC 3461 5.2.7.

import type { Clock } from '#base/clock.ts';
import type { Signing } from '#mail/dkim/signing.ts';
import { downgrade } from '#mail/downgrade.ts';
import type { Srs } from '#mail/identity/srs.ts';
import type { ReturnPaths } from '#mail/identity/verp.ts';
import type { Envelope, Lease, LeasedRecipient } from '#queue/records.ts';
import { isAsciiAddress } from '#smtp/address.ts';
import type { Address, ReversePath } from '#smtp/address.ts';
import type { ClientEnvelope, ClientFailure, RecipientReply } from '#smtp/client.ts';
import type { Connected, Content, HopReply } from './connector.ts';
import { fitEnvelope } from './international.ts';
import type { Fit } from './international.ts';
import { outcomeOfFailure, outcomeOfRefusal, outcomeOfReply } from './outcome.ts';
import type { Attempt } from './outcome.ts';
import type { Verdict } from './settle.ts';

/** A message for one lane: recipients of it that share the site. */
export type Job = {
  readonly lease: Lease;
  readonly recipients: readonly LeasedRecipient[];
  /** Went back to the line because a connection that had served others before broke before it took anything. */
  requeued: boolean;
};

export type AttemptParts = {
  readonly clock: Clock;
  /** The stored body, when it is not in memory. */
  readonly body: (lease: Lease) => AsyncIterable<Buffer>;
  readonly recipientsPerTransaction: () => number;
  /** Content that was converted needs its signatures made again (RFC 6376 5.3). */
  readonly signAgain: Signing['signAgain'];
  /** The local part of a return path. */
  readonly returnPath: ReturnPaths['local'];
  readonly srs: Srs['forward'];
};

/**
 * `verdicts` for the recipients that have an outcome. `broken`: the connection failed and took the rest with it, before anything of the
 * message can have been taken: they may go again over another one.
 */
export type Attempted = { readonly verdicts: readonly Verdict[]; readonly untouched: readonly LeasedRecipient[]; readonly broken: ClientFailure | null };

/** Bodies up to this size are read whole from disk, so that they go out in one packet and serve several transactions. */
const WHOLE_BYTES = 256 * 1024;
/** Content is converted in memory; what is larger is not converted. */
const MAX_DOWNGRADE_BYTES = 16 * 1024 * 1024;

/** Sends a job's message. Never rejects. */
export async function attempt(parts: AttemptParts, connected: Connected, route: string, job: Job): Promise<Attempted> {
  const { client } = connected;
  const { envelope } = job.lease;
  const content = await openContent(parts, connected, job.lease);
  if ('problem' in content) {
    const outcome = outcomeOfRefusal(placeOf(connected, { route, startedAtMs: parts.clock.nowMs(), durationMs: 0 }), cannotConvert(content.problem));
    return { verdicts: job.recipients.map((recipient) => ({ recipient, outcome, dsn: 'none' as const })), untouched: [], broken: null };
  }
  const verdicts: Verdict[] = [];
  let waiting: readonly LeasedRecipient[] = job.recipients;
  while (waiting.length > 0) {
    const startedAtMs = parts.clock.nowMs();
    const place = (): Attempt => placeOf(connected, { route, startedAtMs, durationMs: parts.clock.nowMs() - startedAtMs });
    const { batch, rest } = nextBatch(waiting, parts.recipientsPerTransaction());
    const fit = fitEnvelope({ envelope, from: senderOf(parts, envelope, { route, srsDomain: batch[0]?.srsDomain }), recipients: batch }, client.capabilities);
    if (fit.why !== null && fit.unfit.length > 0) {
      const outcome = outcomeOfFailure(place(), fit.why);
      verdicts.push(...fit.unfit.map((recipient) => ({ recipient, outcome, dsn: 'none' as const })));
    }
    waiting = rest;
    if (fit.fitted.length === 0) continue;
    const going = fit.fitted.map(({ recipient }) => recipient);
    const result = await client.transact(clientEnvelope(envelope, fit, content), content.chunks(), { envelope, recipients: going, content: content.chunks });
    if ('failure' in result) {
      const { failure } = result;
      if (failure.kind !== 'policy' && !failure.possibleDuplicate) return { verdicts, untouched: [...going, ...rest], broken: failure };
      const outcome = outcomeOfFailure(place(), failure);
      verdicts.push(...going.map((recipient) => ({ recipient, outcome, dsn: 'none' as const })));
      if (failure.kind !== 'policy') return { verdicts, untouched: rest, broken: rest.length > 0 ? failure : null };
      continue;
    }
    const again = collect(verdicts, { batch: going, replies: result.replies, place: place(), dsn: dsnOf(connected, route) });
    waiting = [...again, ...rest];
    if (waiting.length > 0 && !client.usable) return { verdicts, untouched: waiting, broken: closing(result.replies) };
  }
  return { verdicts, untouched: [], broken: null };
}

function placeOf({ host, address, port, tls, security }: Connected, when: Pick<Attempt, 'route' | 'startedAtMs' | 'durationMs'>): Attempt {
  return { ...when, host, address, port, tls, security };
}

/** Turns replies into verdicts; returns the recipients the server had no room for while it took others: they go at once (RFC 5321 4.5.3.1.10). */
function collect(verdicts: Verdict[], of: { batch: readonly LeasedRecipient[]; replies: readonly HopReply[]; place: Attempt; dsn: Verdict['dsn'] }): LeasedRecipient[] {
  const again: LeasedRecipient[] = [];
  const progress = of.replies.some((reply) => reply.phase !== 'rcpt');
  of.batch.forEach((recipient, i) => {
    const reply = of.replies[i];
    if (reply === undefined) return;
    const outcome = outcomeOfReply(of.place, reply);
    if (progress && reply.phase === 'rcpt' && reply.reply.code === 452 && outcome.class !== 'mailbox-full') again.push(recipient);
    else verdicts.push({ recipient, outcome, dsn: of.dsn, ...notBefore(of.place, reply) });
  });
  return again;
}

function notBefore({ startedAtMs, durationMs }: Attempt, { retryAfterMs }: HopReply): Pick<Verdict, 'notBeforeMs'> {
  return retryAfterMs === undefined || retryAfterMs === null ? {} : { notBeforeMs: startedAtMs + durationMs + retryAfterMs };
}

/** Who reports success: a hop that does DSN itself; for one that does not, we say that it was relayed; a mail store is the end of the way. */
function dsnOf(connected: Connected, route: string): Verdict['dsn'] {
  if (connected.client.capabilities.keywords.has('DSN')) return 'none';
  return route === 'lmtp' || route === 'webhook' ? 'delivered' : 'relayed';
}

type Opened = { readonly sizeBytes: number; readonly eightBit: boolean; readonly chunks: () => Content } | { readonly problem: string };

async function openContent(parts: AttemptParts, { client }: Connected, lease: Lease): Promise<Opened> {
  const { envelope, body } = lease;
  const { sizeBytes, eightBit } = envelope;
  const { keywords } = client.capabilities;
  // What needs SMTPUTF8 is refused for the lack of that, not for a conversion that would not help.
  const convert = eightBit && !keywords.has('8BITMIME') && !(envelope.smtpUtf8 && !keywords.has('SMTPUTF8'));
  if (body !== null && !convert) return { sizeBytes, eightBit, chunks: () => body };
  if (convert && sizeBytes > MAX_DOWNGRADE_BYTES) return { problem: 'it is too large to be converted' };
  if (!convert && sizeBytes > WHOLE_BYTES) return { sizeBytes, eightBit, chunks: () => parts.body(lease) };
  let chunks: readonly Buffer[];
  try {
    chunks = body ?? (await readAll(parts.body(lease)));
  } catch {
    // Fails in the transaction again, where it is told properly.
    return { sizeBytes, eightBit, chunks: () => parts.body(lease) };
  }
  if (!convert) return { sizeBytes, eightBit, chunks: () => chunks };
  const converted = downgrade(Buffer.concat(chunks));
  if ('problem' in converted) return converted;
  const signed = await parts.signAgain(converted.chunks, parts.clock.nowMs());
  return { sizeBytes: signed.reduce((sum, chunk) => sum + chunk.length, 0), eightBit: false, chunks: () => signed };
}

async function readAll(body: AsyncIterable<Buffer>): Promise<Buffer[]> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return chunks;
}

/** As many as go in one transaction: those with one sender. */
function nextBatch(waiting: readonly LeasedRecipient[], limit: number): { readonly batch: readonly LeasedRecipient[]; readonly rest: readonly LeasedRecipient[] } {
  const domain = waiting[0]?.srsDomain;
  if (waiting.every((recipient) => recipient.srsDomain === domain)) return { batch: waiting.slice(0, limit), rest: waiting.slice(limit) };
  const batch = waiting.filter((recipient) => recipient.srsDomain === domain).slice(0, limit);
  return { batch, rest: waiting.filter((recipient) => !batch.includes(recipient)) };
}

/**
 * MAIL FROM: to MX hosts the return path of the message, if its domain has one, so that SPF aligns and late bounces find their way; of forwarded
 * mail the sender rewritten; else what the sender wrote. An upstream relay has its own return path, and expects addresses it knows.
 */
function senderOf(parts: AttemptParts, envelope: Envelope, { route, srsDomain }: { route: string; srsDomain: string | undefined }): ReversePath {
  const { from, bounceDomain, id } = envelope;
  if (from === null) return null;
  if (srsDomain !== undefined) {
    // What does not fit into an address has a return path like mail of our own: bounces are known again by the message.
    return parts.srs(from, srsDomain, envelope.acceptedAtMs) ?? returnPath(parts, srsDomain, id);
  }
  return bounceDomain === undefined || route !== 'mx' ? from : returnPath(parts, bounceDomain, id);
}

function returnPath(parts: AttemptParts, domain: string, id: string): Address {
  const local = parts.returnPath(domain, id);
  return { local, domain, text: `${local}@${domain}` };
}

function clientEnvelope(envelope: Envelope, { from, fitted, smtpUtf8 }: Fit<LeasedRecipient>, content: { sizeBytes: number; eightBit: boolean }): ClientEnvelope {
  const { requireTls, ret, envid, bounceDomain } = envelope;
  const back = bounceDomain !== undefined && from?.domain === bounceDomain;
  const recipients = fitted.map(({ recipient, address }) => ({
    address,
    notify: recipient.notify,
    orcpt: back || recipient.srsDomain !== undefined ? originalOf(recipient) : recipient.orcpt,
  }));
  return { from, recipients, sizeBytes: content.sizeBytes, eightBit: content.eightBit, smtpUtf8, requireTls, ret, envid };
}

/** A report names the recipient as we know it, whatever aliases are behind it (RFC 3461 5.2.1 lets a relay say so). */
function originalOf({ orcpt, address }: LeasedRecipient): LeasedRecipient['orcpt'] {
  return orcpt === null && isAsciiAddress(address) ? { type: 'rfc822', value: address.text } : orcpt;
}

function cannotConvert(problem: string): Parameters<typeof outcomeOfRefusal>[1] {
  return {
    verdict: 'bounced',
    code: 554,
    enhanced: '5.6.3',
    text: 'Conversion to 7 bits required but not possible',
    class: 'conversion-failed',
    cause: `The next hop takes no 8-bit content (no 8BITMIME), and the message cannot be converted: ${problem}.`,
    fix: 'Send the content encoded as quoted-printable or base64.',
  };
}

/** A server that says 421 in the middle closes; what it has not answered goes elsewhere. */
function closing(replies: readonly RecipientReply[]): ClientFailure {
  const reply = replies.find((one) => one.reply.code === 421)?.reply ?? null;
  return { phase: 'rcpt', kind: reply === null ? 'socket' : 'reply', reply, code: null, text: 'the server closed the connection', possibleDuplicate: false };
}
