// One webhook at work: takes events over from the log into its window, posts those that are due, a bounded number at once, and writes down what came of it. What
// one event waits for does not hold up the others. Owns when; where, with what, and what it means is elsewhere.

import type { Cancel, Clock } from '#base/clock.ts';
import { errorText } from '#base/failure.ts';
import type { Log } from '#base/log.ts';
import { openWebhookSigner, retryAfterMs } from '#base/webhook.ts';
import { EVENT_TYPES, changesFor, eventId, tellEvent } from '#events/event.ts';
import type { EventType } from '#events/event.ts';
import type { EventLog, EventPage, Place } from '#store/event-log.ts';
import type { PendingEvent, WebhookProgress, WebhookQueue } from '#store/webhook-queue.ts';
import type { Webhook } from '#store/webhooks.ts';
import type { HttpsPool, PooledAnswer } from '#tls/https-pool.ts';
import { judgeAnswer } from './answer.ts';
import { DISABLE_AFTER_MS, RESTS_AFTER, nextAttemptMs, restMs } from './schedule.ts';

export type RunnerParts = {
  readonly webhook: Webhook;
  /** Those that sign now, the newest first. */
  readonly secrets: () => readonly Buffer[];
  readonly pool: HttpsPool;
  readonly queue: WebhookQueue;
  readonly events: EventLog;
  readonly hostname: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly counted: (result: 'delivered' | 'failed' | 'given-up') => void;
  /** It must not go on. */
  readonly disable: (cause: string) => void;
};

export type Runner = {
  /** Something may have happened. */
  wake(): void;
  /** Resolves when what is under way has ended. */
  stop(): Promise<void>;
};

/** Events that wait at one webhook, at most; the others wait in the log. */
const WINDOW = 500;
const TAKE = 100;
export const ANSWER_MS = 15_000;
const TYPES = Object.keys(EVENT_TYPES) as EventType[];

export function openRunner(parts: RunnerParts): Runner {
  const { webhook, queue, events, clock, log } = parts;
  const { id } = webhook;
  const wanted = new Set((webhook.types ?? TYPES) as EventType[]);
  const under = new Map<string, Promise<void>>();
  let stopped = false;
  let scheduled = false;
  let cancel: Cancel = () => {};
  let behind = true;

  const wake = (): void => {
    if (scheduled || stopped) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      if (stopped) return;
      try {
        step();
      } catch (error) {
        log.error('webhook.failed', { webhook: id, cause: errorText(error) });
        arm(clock.nowMs() + 10_000);
      }
    });
  };

  const arm = (atMs: number): void => {
    cancel();
    cancel = clock.after(Math.max(0, atMs - clock.nowMs()), wake);
  };

  function step(): void {
    const nowMs = clock.nowMs();
    const progress = queue.progress(id, events.newest());
    if (progress.pausedUntilMs > nowMs) return arm(progress.pausedUntilMs);
    if (queue.waiting(id).events < WINDOW - TAKE) takeOver(progress, nowMs);
    // One that fails is asked by one request at a time.
    const room = (progress.failures >= RESTS_AFTER ? 1 : webhook.concurrency) - under.size;
    if (room > 0) {
      const due = queue.due(id, nowMs, room + under.size).filter(({ event }) => !under.has(event));
      for (const event of due.slice(0, room)) start(event);
    }
    if (under.size > 0) return;
    const nextAtMs = queue.nextDueAtMs(id);
    if (behind && queue.waiting(id).events < WINDOW - TAKE) wake();
    else if (nextAtMs !== null) arm(nextAtMs);
  }

  /** New events first; what is replayed when there are none. */
  function takeOver(progress: WebhookProgress, nowMs: number): void {
    const oldest = events.oldest();
    // Of a transaction that was looked into all was taken over: nothing is missed when it is the last one that is gone.
    const missed = oldest.seq > progress.place.seq;
    const from = missed ? oldest : progress.place;
    if (missed) log.warn('webhook.missed', { webhook: id, url: webhook.url, fix: 'Events are kept for queue.events; what became of each message is in the history.' });
    const page = events.after(from, { types: changesFor(wanted), limit: TAKE });
    behind = page.more;
    queue.take(id, told(page, wanted, nowMs), { place: page.reached, missed: progress.missed + (missed ? 1 : 0) });
    if (page.more) return;
    const replay = queue.replay(id);
    if (replay === null) return;
    const only = new Set((replay.types ?? [...wanted]) as EventType[]);
    const again = events.after(replay.place, { types: changesFor(only), limit: TAKE, upTo: replay.upTo });
    queue.take(id, told(again, only, nowMs), { replay: again.more ? { ...replay, place: again.reached } : null });
    behind = again.more;
  }

  function told(page: EventPage, types: ReadonlySet<EventType>, nowMs: number): Omit<PendingEvent, 'webhook' | 'attempts'>[] {
    return page.events
      .filter(({ envelope }) => webhook.project === null || envelope.origin.project === webhook.project)
      .map((event) => ({ place: event.place, said: tellEvent(event) }))
      .filter(({ said }) => types.has(said.type))
      .map(({ place, said }) => pendingOf(place, said.type, said.data.messageId, JSON.stringify(said), nowMs));
  }

  function start(event: PendingEvent): void {
    const work = attempt(event)
      .catch((error: unknown) => {
        log.error('webhook.failed', { webhook: id, cause: errorText(error) });
        // Not in a tight loop, whatever it is.
        queue.setProgress(id, { pausedUntilMs: clock.nowMs() + 10_000 });
      })
      .finally(() => {
        under.delete(event.event);
        wake();
      });
    under.set(event.event, work);
  }

  async function attempt(event: PendingEvent): Promise<void> {
    const startedMs = clock.nowMs();
    const answer = await post(parts, { id: event.event, payload: event.payload });
    if (stopped && 'failure' in answer) return;
    settle(event, answer, startedMs);
  }

  function settle(event: PendingEvent, answer: PooledAnswer, startedMs: number): void {
    const nowMs = clock.nowMs();
    const before = queue.progress(id, event.place);
    const { result, cause, fix } = judgeAnswer(answer);
    const attempts = event.attempts + 1;
    const facts = {
      webhook: id,
      event: event.event,
      type: event.type,
      messageId: event.messageId,
      attempt: attempts,
      atMs: startedMs,
      durationMs: nowMs - startedMs,
      status: 'status' in answer ? answer.status : null,
      answer: 'status' in answer ? answer.excerpt : '',
      cause,
      fix,
    };
    if (result === 'taken') {
      queue.settle(event, { ...facts, result: 'delivered', nextAtMs: null }, { failures: 0, failingSinceMs: null, pausedUntilMs: 0, lastSuccessAtMs: nowMs });
      if (before.failures >= RESTS_AFTER) log.info('webhook.recovered', { webhook: id, url: webhook.url });
      parts.counted('delivered');
      return;
    }
    const asked = 'status' in answer ? retryAfterMs(answer.retryAfter, nowMs) : null;
    const waitMs = nextAttemptMs(attempts, Math.random());
    const failures = before.failures + 1;
    const failingSinceMs = before.failingSinceMs ?? startedMs;
    const pausedUntilMs = Math.max(before.pausedUntilMs, nowMs + restMs(failures));
    const given = waitMs === null ? 'given-up' : 'failed';
    queue.settle(event, { ...facts, result: given, nextAtMs: waitMs === null ? null : nowMs + Math.max(waitMs, asked ?? 0) }, { failures, failingSinceMs, pausedUntilMs });
    parts.counted(given);
    if (failures === RESTS_AFTER) log.warn('webhook.failing', { webhook: id, url: webhook.url, cause, fix });
    if (result === 'gone') parts.disable(cause);
    else if (nowMs - failingSinceMs > DISABLE_AFTER_MS) parts.disable(`Every attempt has failed since ${new Date(failingSinceMs).toISOString()}. The last one: ${cause}`);
  }

  wake();
  return {
    wake() {
      behind = true;
      wake();
    },
    async stop() {
      stopped = true;
      cancel();
      parts.pool.close();
      await Promise.all(under.values());
    },
  };
}

export function pendingOf(place: Place, type: string, messageId: string, payload: string, nowMs: number): Omit<PendingEvent, 'webhook' | 'attempts'> {
  return { event: eventId(place), place, type, messageId, payload, nextAtMs: nowMs };
}

/** One request, signed anew: the time of the signature is that of the attempt. */
export function post(
  { webhook, secrets, pool, hostname, clock }: Pick<RunnerParts, 'webhook' | 'secrets' | 'pool' | 'hostname' | 'clock'>,
  { id, payload }: { readonly id: string; readonly payload: string },
): Promise<PooledAnswer> {
  const body = Buffer.from(payload);
  const seconds = Math.floor(clock.nowMs() / 1000);
  const signer = openWebhookSigner(secrets(), { id, seconds });
  signer.update(body);
  return pool.post({
    url: new URL(webhook.url),
    headers: {
      'user-agent': `Postern (${hostname})`,
      'content-type': 'application/json',
      'webhook-id': id,
      'webhook-timestamp': String(seconds),
      'webhook-signature': signer.finish(),
    },
    body,
    timeoutMs: ANSWER_MS,
  });
}
