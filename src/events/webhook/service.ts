// All webhooks: which there are, their secrets, who of them is at work, and what an operator may do with them. Secrets lie sealed; a rotated one signs on for a while,
// so that receivers can change over.

import { randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import type { Clock } from '#base/clock.ts';
import { PosternError, errorText } from '#base/failure.ts';
import type { Log } from '#base/log.ts';
import type { Vault } from '#base/vault.ts';
import { newWebhookSecret, parseWebhookSecrets } from '#base/webhook.ts';
import { placeOf, tellEvent } from '#events/event.ts';
import type { EventType } from '#events/event.ts';
import type { Feed, Watch } from '#events/feed.ts';
import type { Metrics } from '#events/metrics.ts';
import type { EventLog } from '#store/event-log.ts';
import type { DeliveryRow, WebhookProgress, WebhookQueue } from '#store/webhook-queue.ts';
import type { NewWebhook, Webhook, WebhookChange, WebhookStore } from '#store/webhooks.ts';
import { openHttpsPool } from '#tls/https-pool.ts';
import type { HttpsParts } from '#tls/https-request.ts';
import { judgeAnswer } from './answer.ts';
import { openRunner, pendingOf, post } from './runner.ts';
import type { Runner } from './runner.ts';
import { RESTS_AFTER } from './schedule.ts';

export type WebhookState = Omit<Webhook, 'sealed'> & {
  readonly state: 'active' | 'failing' | 'disabled';
  readonly pending: number;
  readonly oldestAtMs: number | null;
  readonly lastSuccessAtMs: number | null;
  readonly failingSinceMs: number | null;
  readonly missed: number;
  readonly replaying: boolean;
};

export type TestResult = Pick<DeliveryRow, 'status' | 'durationMs' | 'answer' | 'cause' | 'fix'> & { readonly taken: boolean };
export type ReplayRequest = {
  readonly events?: readonly string[] | undefined;
  readonly sinceMs?: number | undefined;
  readonly untilMs?: number | undefined;
  readonly types?: readonly EventType[] | undefined;
};

/** Throws PosternError: `webhook-url`, `too-many-webhooks` with exit code 2. */
export type WebhookService = {
  list(): readonly WebhookState[];
  show(id: string): WebhookState | null;
  /** The secret is in this answer, and in that of `rotate`, and nowhere else. */
  add(webhook: NewWebhook): { readonly webhook: WebhookState; readonly secret: string };
  change(id: string, change: Omit<WebhookChange, 'sealed' | 'disabledAtMs' | 'disabledCause'>): WebhookState | null;
  /** The old one signs on for `overlapMs`. */
  rotate(id: string, overlapMs: number): { readonly webhook: WebhookState; readonly secret: string } | null;
  /** `skip`: what happened meanwhile is not told. */
  enable(id: string, options: { readonly skip: boolean }): WebhookState | null;
  disable(id: string, cause: string): WebhookState | null;
  test(id: string): Promise<TestResult | null>;
  /** How many events are told again now; null for a time: it is found out as it goes. */
  replay(id: string, request: ReplayRequest): { readonly events: number | null } | null;
  deliveries(id: string, options: { readonly limit: number; readonly before?: number }): readonly DeliveryRow[];
  remove(id: string): Promise<boolean>;
  /** Adds what can be said now to a scrape. */
  measure(metrics: Metrics): void;
  start(): void;
  stop(): Promise<void>;
};

export type WebhookParts = HttpsParts & {
  readonly webhooks: WebhookStore;
  readonly queue: WebhookQueue;
  readonly events: EventLog;
  readonly feed: Feed;
  readonly vault: Vault;
  readonly hostname: string;
  readonly clock: Clock;
  readonly log: Log;
};

export const MAX_WEBHOOKS = 100;
const MAX_SECRETS = 3;
const PURPOSE = 'webhook';
type Kept = { readonly secret: string; readonly untilMs: number | null };

export function openWebhooks(parts: WebhookParts): WebhookService {
  const { webhooks, queue, events, feed, vault, clock, log } = parts;
  const runners = new Map<string, Runner>();
  const results: Record<'delivered' | 'failed' | 'given-up', number> = { delivered: 0, failed: 0, 'given-up': 0 };
  const ending = new AbortController();
  let watching: Promise<void> | null = null;
  /** What changes which webhooks are at work goes one after the other. */
  let turning: Promise<unknown> = Promise.resolve();

  const keptOf = (webhook: Webhook): readonly Kept[] => JSON.parse(vault.open(PURPOSE, placeOfSecret(webhook.id), webhook.sealed).toString()) as Kept[];
  const seal = (id: string, kept: readonly Kept[]): Buffer => vault.seal(PURPOSE, placeOfSecret(id), Buffer.from(JSON.stringify(kept)));
  const secretsOf = (webhook: Webhook): readonly Buffer[] => {
    const nowMs = clock.nowMs();
    const valid = keptOf(webhook).filter(({ untilMs }) => untilMs === null || untilMs > nowMs);
    return parseWebhookSecrets(valid.map(({ secret }) => secret).join('\n')) ?? [];
  };
  const postingParts = (webhook: Webhook) => ({
    webhook,
    secrets: () => secretsOf(webhook),
    pool: openHttpsPool(parts, { sockets: webhook.concurrency }),
    hostname: parts.hostname,
    clock,
  });

  const stateOf = (webhook: Webhook): WebhookState => {
    const { sealed: _sealed, ...told } = webhook;
    const progress: WebhookProgress = queue.progress(webhook.id, events.newest());
    const { events: pending, oldestAtMs } = queue.waiting(webhook.id);
    const { lastSuccessAtMs, failingSinceMs, missed } = progress;
    const state = webhook.disabledAtMs !== null ? 'disabled' : progress.failures >= RESTS_AFTER ? 'failing' : 'active';
    return { ...told, state, pending, oldestAtMs, lastSuccessAtMs, failingSinceMs, missed, replaying: queue.replay(webhook.id) !== null };
  };

  const begin = (webhook: Webhook): void => {
    if (webhook.disabledAtMs !== null || ending.signal.aborted) return;
    runners.set(
      webhook.id,
      openRunner({
        ...postingParts(webhook),
        queue,
        events,
        log,
        counted: (result) => results[result]++,
        disable: (cause) => {
          log.error('webhook.disabled', {
            webhook: webhook.id,
            url: webhook.url,
            cause,
            fix: `Mend it, test it (postern webhook test ${webhook.id}), then: postern webhook enable ${webhook.id}`,
          });
          disable(webhook.id, cause);
        },
      }),
    );
    beginWatching();
  };
  const end = async (id: string): Promise<void> => {
    const runner = runners.get(id);
    runners.delete(id);
    await runner?.stop();
  };
  const turn = (id: string): void => {
    turning = turning
      .then(() => end(id))
      .then(() => {
        const now = webhooks.find(id);
        if (now !== null) begin(now);
      })
      .catch((error: unknown) => log.error('webhook.failed', { webhook: id, cause: errorText(error) }));
  };
  /** With what has changed. */
  const again = (webhook: Webhook | null): WebhookState | null => {
    if (webhook === null) return null;
    turn(webhook.id);
    return stateOf(webhook);
  };
  const disable = (id: string, cause: string): WebhookState | null => again(webhooks.change(id, { disabledAtMs: clock.nowMs(), disabledCause: cause }));

  function beginWatching(): void {
    watching ??= watch();
  }

  /** While there is any; each is told, and looks for itself. */
  async function watch(): Promise<void> {
    let news: Watch | null = null;
    try {
      news = await feed.watch();
      while (!ending.signal.aborted && runners.size > 0) {
        for (const runner of runners.values()) runner.wake();
        await news.next(ending.signal);
      }
    } catch (error) {
      log.error('webhook.failed', { cause: errorText(error) });
    } finally {
      news?.end();
      watching = null;
      if (!ending.signal.aborted && runners.size > 0) clock.after(1000, beginWatching);
    }
  }

  return {
    list: () => webhooks.list().map(stateOf),
    show(id) {
      const webhook = webhooks.find(id);
      return webhook === null ? null : stateOf(webhook);
    },
    add(wanted) {
      checkUrl(wanted.url, parts);
      if (webhooks.list().length >= MAX_WEBHOOKS) throw tooMany();
      const secret = newWebhookSecret();
      const webhook = webhooks.add(wanted, (id) => seal(id, [{ secret, untilMs: null }]));
      const webhookState = stateOf(webhook);
      begin(webhook);
      return { webhook: webhookState, secret };
    },
    change(id, change) {
      if (change.url !== undefined) checkUrl(change.url, parts);
      return again(webhooks.change(id, change));
    },
    rotate(id, overlapMs) {
      const before = webhooks.find(id);
      if (before === null) return null;
      const secret = newWebhookSecret();
      const nowMs = clock.nowMs();
      const old = keptOrNone(() => keptOf(before))
        .map((kept) => ({ ...kept, untilMs: Math.min(kept.untilMs ?? Infinity, nowMs + overlapMs) }))
        .filter(({ untilMs }) => untilMs > nowMs);
      const webhook = webhooks.change(id, { sealed: seal(id, [{ secret, untilMs: null }, ...old].slice(0, MAX_SECRETS)) });
      return webhook === null ? null : { webhook: again(webhook) ?? stateOf(webhook), secret };
    },
    enable(id, { skip }) {
      const webhook = webhooks.change(id, { disabledAtMs: null, disabledCause: null });
      if (webhook === null) return null;
      queue.setProgress(id, { failures: 0, failingSinceMs: null, pausedUntilMs: 0, ...(skip ? { place: events.newest() } : {}) });
      return again(webhook);
    },
    disable,
    async test(id) {
      const webhook = webhooks.find(id);
      if (webhook === null) return null;
      const posting = postingParts(webhook);
      const startedMs = clock.nowMs();
      const event = `evt_test_${randomBytes(8).toString('hex')}`;
      const payload = JSON.stringify({
        id: event,
        type: 'webhook.test',
        timestamp: new Date(startedMs).toISOString(),
        data: { webhook: id, text: 'This is a test. Nothing has happened.' },
      });
      const answer = await post(posting, { id: event, payload });
      posting.pool.close();
      const { result, cause, fix } = judgeAnswer(answer);
      const facts = { status: 'status' in answer ? answer.status : null, durationMs: clock.nowMs() - startedMs, answer: 'status' in answer ? answer.excerpt : '', cause, fix };
      const taken = result === 'taken';
      queue.note({ webhook: id, event, type: 'webhook.test', messageId: null, attempt: 1, atMs: startedMs, result: taken ? 'delivered' : 'failed', nextAtMs: null, ...facts });
      return { taken, ...facts };
    },
    replay(id, { events: ids, sinceMs, untilMs, types }) {
      const webhook = webhooks.find(id);
      if (webhook === null) return null;
      stateOf(webhook);
      if (ids === undefined) {
        queue.setReplay(id, { place: events.before(sinceMs ?? 0), upTo: untilMs === undefined ? events.newest() : events.before(untilMs), types: types ?? null });
        runners.get(id)?.wake();
        return { events: null };
      }
      const found = ids.flatMap((text) => {
        const place = placeOf(text);
        const event = place === null ? null : events.at(place);
        return event === null || (webhook.project !== null && event.envelope.origin.project !== webhook.project) ? [] : [tellEvent(event)];
      });
      const nowMs = clock.nowMs();
      queue.take(
        id,
        found.map((said) => pendingOf(placeOf(said.id) ?? events.newest(), said.type, said.data.messageId, JSON.stringify(said), nowMs)),
        {},
      );
      runners.get(id)?.wake();
      return { events: found.length };
    },
    deliveries: (id, options) => queue.deliveries(id, options),
    async remove(id) {
      const removed = webhooks.remove(id);
      turn(id);
      await turning;
      queue.forget(id);
      return removed;
    },
    measure(metrics) {
      const states = webhooks.list().map(stateOf);
      for (const state of ['active', 'failing', 'disabled'] as const) metrics.set('postern_webhooks', [state], states.filter((one) => one.state === state).length);
      for (const [result, count] of Object.entries(results)) metrics.set('postern_webhook_attempts_total', [result], count);
      const oldest = states.flatMap((one) => (one.state !== 'disabled' && one.oldestAtMs !== null ? [one.oldestAtMs] : []));
      metrics.set(
        'postern_webhook_events_pending',
        [],
        states.reduce((sum, { pending }) => sum + pending, 0),
      );
      metrics.set('postern_webhook_oldest_seconds', [], oldest.length === 0 ? 0 : Math.max(0, (clock.nowMs() - Math.min(...oldest)) / 1000));
    },
    start() {
      for (const webhook of webhooks.list()) begin(webhook);
    },
    async stop() {
      ending.abort();
      await turning;
      await Promise.all([...runners.keys()].map(end));
      await watching;
      queue.close();
    },
  };
}

function placeOfSecret(id: string): string {
  return `webhook/${id}`;
}

/** The key file was lost: a rotation mends it. */
function keptOrNone(read: () => readonly Kept[]): readonly Kept[] {
  try {
    return read();
  } catch (error) {
    if (error instanceof PosternError) return [];
    throw error;
  }
}

function checkUrl(text: string, { isRefused }: Pick<HttpsParts, 'isRefused'>): void {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || url.protocol !== 'https:') throw badUrl(`"${text}" is not an https URL.`, 'Write it like https://app.example.com/hooks/mail.');
  if (url.username !== '' || url.password !== '') throw badUrl('The URL has a user name or a password in it.', 'Leave it out: each request is signed.');
  if (url.hash !== '') throw badUrl('The URL has a fragment, which no server sees.', 'Leave out what follows the #.');
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) === 0 && !/^(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\.?$/.test(host))
    throw badUrl(`"${host}" is no host name.`, 'Check the URL.');
  if (isIP(host) !== 0 && isRefused(host))
    throw badUrl(`${host} is a private address.`, 'Events are not told inside of private networks. If it stands in your own, set delivery.allow_private_addresses = true.');
}

function badUrl(cause: string, fix: string): PosternError {
  return new PosternError({ code: 'webhook-url', cause, fix }, { exitCode: 2 });
}

function tooMany(): PosternError {
  return new PosternError({ code: 'too-many-webhooks', cause: `There are ${MAX_WEBHOOKS} webhooks already.`, fix: 'Remove one that is not used.' }, { exitCode: 1 });
}
