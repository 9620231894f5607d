// What the store is told of a message, and of an outcome, beside their JSON: what a list shows, and what is counted. Found out by whoever has the objects, so
// that the one thread that writes for all need not read their JSON.

import { idTimeMs } from '#base/id.ts';
import { CLASSES } from '#knowledge/classes.ts';
import { receiverOfHost } from '#knowledge/receivers.ts';
import type { Envelope, MessageId, Outcome } from '#queue/records.ts';
import { latencyLabel } from './history/spans.ts';

/** What a list of messages shows, and is searched by. */
export type Listed = {
  readonly from: string;
  readonly subject: string;
  readonly messageIdHeader: string;
  readonly sizeBytes: number;
  readonly credential: string | null;
  readonly project: string | null;
  readonly profile: string;
  readonly kind: 'mail' | 'dsn';
  readonly mode: 'live' | 'sandbox';
};

export function listedOf({ from, subject, messageIdHeader, sizeBytes, origin, kind, mode }: Envelope): Listed {
  return {
    from: from?.text ?? '',
    subject,
    messageIdHeader,
    sizeBytes,
    credential: origin.credential,
    project: origin.project ?? null,
    profile: origin.profile,
    kind,
    mode,
  };
}

/**
 * What is counted of a change, as `name label` lines: all of them together are one text, as one thread counts texts, and takes them apart when it has
 * counted some hundred. The labels come from small fixed sets.
 */
export type Counts = string;

const OTHER = 'other';

export function countsOfAccepted({ origin }: Envelope): Counts {
  const messages = `messages ${origin.profile}`;
  return origin.profile === 'mx' ? `${messages}\ntls-in ${providerOf(origin.helo)} ${origin.tls === null ? 'plain' : 'encrypted'}` : messages;
}

export function countsOfOutcome(outcome: Outcome, id: MessageId): Counts {
  const { verdict, remoteHost, durationMs, startedAtMs } = outcome;
  // What is refused because of the suppression list was never tried.
  const fate = verdict === 'bounced' && outcome.class === 'suppressed' ? 'suppressed' : verdict;
  const counts = [`fates ${fate}`];
  if (verdict !== 'delivered' && verdict !== 'captured') counts.push(`classes ${verdict} ${CLASSES.has(outcome.class) ? outcome.class : OTHER}`);
  if (remoteHost !== null) counts.push(`attempts ${latencyLabel(durationMs)}`);
  if (remoteHost !== null && verdict === 'delivered') {
    counts.push(`delivery ${latencyLabel(startedAtMs + durationMs - (idTimeMs(id) ?? startedAtMs))}`, `tls-out ${providerOf(remoteHost)} ${securityOf(outcome)}`);
  }
  return counts.join('\n');
}

function providerOf(host: string): string {
  return receiverOfHost(host)?.id ?? OTHER;
}

function securityOf({ tls, security }: Outcome): 'plain' | 'encrypted' | 'verified' {
  if (tls === null || tls.startsWith('none')) return 'plain';
  return security?.certificate === 'verified' || security?.certificate === 'matched' ? 'verified' : 'encrypted';
}
