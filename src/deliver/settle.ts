// What outcomes lead to: done, tried again later, given up; who is told; and the queue's record of it, all in one settlement.

import type { Clock } from '#base/clock.ts';
import { errorCode, errorText } from '#base/failure.ts';
import type { Log } from '#base/log.ts';
import type { Queue } from '#queue/queue.ts';
import type { LaneName, Lease, LeasedRecipient, Outcome, Settlement } from '#queue/records.ts';
import { isExpired, isWarningDue, nextAttemptAtMs } from '#queue/schedule.ts';
import type { RetryPolicy } from '#queue/schedule.ts';
import type { NewSuppression } from '#queue/suppression.ts';
import { isWanted } from '#queue/notice.ts';
import { notifications } from './notify.ts';
import type { News, NotifyParts } from './notify.ts';
import { expired } from './outcome.ts';
import { suppressionBy } from './suppressing.ts';

/** `dsn`: which report of success, if the sender wants one, is ours to make. `notBeforeMs`: a deferral lasts at least so long. */
export type Verdict = { readonly recipient: LeasedRecipient; readonly outcome: Outcome; readonly dsn: 'none' | 'delivered' | 'relayed'; readonly notBeforeMs?: number };

export type Settler = {
  /** Settles these recipients of the lease; deferred ones wait in `lane`. Never rejects: a failure is logged, and the recipients go back. */
  settle(lease: Lease, lane: LaneName, verdicts: readonly Verdict[]): Promise<void>;
  /** Settlements under way. */
  readonly pending: number;
};

const AGAIN_MS = 60_000;

export type SettlerParts = NotifyParts & {
  readonly queue: Pick<Queue, 'settle' | 'giveBack' | 'body'>;
  readonly schedule: () => RetryPolicy;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
};

export function openSettler(parts: SettlerParts): Settler {
  const state = { pending: 0 };
  return {
    get pending() {
      return state.pending;
    },
    async settle(lease, lane, verdicts) {
      if (verdicts.length === 0) return;
      state.pending++;
      try {
        await settleAll(parts, lease, lane, verdicts);
      } catch (error) {
        const lost = errorCode(error) === 'lease-lost';
        parts.log[lost ? 'warn' : 'error']('delivery.not-settled', {
          id: lease.envelope.id,
          cause: errorText(error),
          fix: lost
            ? 'Another worker has the message; it may be delivered twice.'
            : 'The outcome could not be written; the message is tried again in a minute, and may be delivered twice.',
        });
        if (!lost) await tryAgain(parts, lease, verdicts);
      } finally {
        state.pending--;
      }
    },
  };
}

/** A lease that nobody gives back would keep its recipients until the next start. */
async function tryAgain({ queue, clock, log }: SettlerParts, lease: Lease, verdicts: readonly Verdict[]): Promise<void> {
  const recipients = verdicts.map(({ recipient }) => recipient);
  try {
    await queue.giveBack([{ ...lease, recipients }], { nextAtMs: clock.nowMs() + AGAIN_MS });
  } catch (error) {
    log.error('queue.not-given-back', { id: lease.envelope.id, cause: errorText(error) });
  }
}

async function settleAll(parts: SettlerParts, lease: Lease, lane: LaneName, verdicts: readonly Verdict[]): Promise<void> {
  const nowMs = parts.clock.nowMs();
  const news: News[] = [];
  const settlements = verdicts.map((verdict) => settlementOf(parts, { lease, lane, verdict, nowMs, news }));
  // Almost always nobody is to be told, and then the original is not looked at.
  const tell = news.some((one) => isWanted(one.recipient, one.kind));
  const offspring = tell ? await notifications(parts, lease.envelope, news, { nowMs, read: () => lease.body ?? parts.queue.body(lease) }) : [];
  await parts.queue.settle({ lease, settlements, offspring });
}

function settlementOf(parts: SettlerParts, of: { lease: Lease; lane: LaneName; verdict: Verdict; nowMs: number; news: News[] }): Settlement {
  const { lease, lane, verdict, nowMs, news } = of;
  const { recipient, outcome } = verdict;
  const { n } = recipient;
  const { envelope } = lease;
  switch (outcome.verdict) {
    case 'delivered':
      if (verdict.dsn !== 'none') news.push({ recipient, outcome, kind: verdict.dsn });
      logOutcome(parts, lease, verdict);
      return { n, state: 'delivered', outcome };
    case 'captured':
      logOutcome(parts, lease, verdict);
      return { n, state: 'captured', outcome };
    case 'bounced':
    case 'expired': {
      news.push({ recipient, outcome, kind: 'failed' });
      logOutcome(parts, lease, verdict);
      const suppression = suppressionBy(envelope, { recipient, outcome, alone: lease.recipients.length === 1 });
      if (suppression !== null) logSuppression(parts, suppression);
      return { n, state: outcome.verdict, outcome, ...(suppression === null ? {} : { suppression }) };
    }
    case 'deferred': {
      if (isExpired(envelope.expiresAtMs, nowMs)) return settlementOf(parts, { ...of, verdict: { ...verdict, outcome: expiredNow(outcome, nowMs) } });
      const due = isWarningDue(recipient, envelope.warnAtMs, nowMs);
      if (due) news.push({ recipient, outcome, kind: 'delayed' });
      const scheduledMs = nextAttemptAtMs(parts.schedule(), { attempts: recipient.attempts + 1, expiresAtMs: envelope.expiresAtMs, nowMs, random: parts.random() });
      const nextAtMs = Math.min(Math.max(scheduledMs, verdict.notBeforeMs ?? 0), Math.max(envelope.expiresAtMs, nowMs + 1));
      logOutcome(parts, lease, verdict, nextAtMs);
      return { n, state: 'deferred', nextAtMs, lane, warned: recipient.warned || due, outcome };
    }
  }
}

function expiredNow(last: Outcome, nowMs: number): Outcome {
  return expired(last, {
    route: last.route,
    host: last.remoteHost,
    address: last.remoteAddress,
    port: last.remotePort,
    tls: last.tls,
    security: last.security ?? null,
    startedAtMs: nowMs,
    durationMs: 0,
  });
}

function logSuppression({ log }: SettlerParts, { address, senderDomain, text, messageId }: NewSuppression): void {
  log.info('suppression.added', { address, senderDomain, id: messageId, cause: text });
}

/** One line an outcome: `delivery.delivered`, `delivery.deferred`, `delivery.bounced`, ... */
function logOutcome(parts: SettlerParts, lease: Lease, { recipient, outcome }: Verdict, nextAtMs?: number): void {
  const { envelope } = lease;
  const fields = {
    id: envelope.id,
    to: recipient.address.text,
    route: outcome.route,
    host: outcome.remoteHost,
    address: outcome.remoteAddress,
    port: outcome.remotePort,
    tls: outcome.tls,
    tlsPolicy: outcome.security?.policy,
    tlsRequired: outcome.security?.required,
    certificate: outcome.security?.verdict,
    code: outcome.code,
    enhanced: outcome.enhanced,
    text: outcome.text,
    attempts: recipient.attempts + 1,
    durationMs: outcome.durationMs,
    delayMs: outcome.startedAtMs + outcome.durationMs - envelope.acceptedAtMs,
  };
  if (outcome.verdict === 'delivered' || outcome.verdict === 'captured') parts.log.info(`delivery.${outcome.verdict}`, fields);
  else
    parts.log.warn(`delivery.${outcome.verdict}`, {
      ...fields,
      class: outcome.class,
      cause: outcome.cause,
      fix: outcome.fix,
      ...(nextAtMs === undefined ? {} : { nextAt: new Date(nextAtMs).toISOString() }),
    });
}
