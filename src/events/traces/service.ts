// Traces at work: follows the log from its place, and hands the collector one request after the other. What was not taken waits in the log, not in memory, for an
// hour at most. Best effort: it begins with what is new at each start, and nothing waits for it.

import { setImmediate as turn } from 'node:timers/promises';
import { sleep } from '#base/clock.ts';
import type { Clock } from '#base/clock.ts';
import { errorText } from '#base/failure.ts';
import type { Log } from '#base/log.ts';
import { retryAfterMs } from '#base/webhook.ts';
import type { Feed, Watch } from '#events/feed.ts';
import type { Metrics } from '#events/metrics.ts';
import type { EventLog, EventPage, Place } from '#store/event-log.ts';
import { judgeAnswer } from './answer.ts';
import { openCollector } from './collector.ts';
import type { CollectorParts } from './collector.ts';
import { exportRequest } from './otlp.ts';
import type { Span } from './otlp.ts';
import { TRACED, isSampled, spansOf } from './span.ts';

export type TraceParts = CollectorParts & {
  /** The share of messages, 0 to 1. */
  readonly sample: number;
  /** Where the log was when the server began, before anything was delivered. */
  readonly from: Place;
  readonly events: EventLog;
  readonly feed: Feed;
  readonly hostname: string;
  readonly clock: Clock;
  readonly log: Log;
};

export type TraceService = {
  /** Adds what can be said now to a scrape. */
  measure(metrics: Metrics): void;
  start(): void;
  /** Sends once more what there is, if the collector takes it. */
  stop(): Promise<void>;
};

/** An event makes two spans at most, of some 1 to 3 KB each. */
const EVENTS_PER_REQUEST = 250;
/** What happens within this time travels together. */
const GATHER_MS = 1000;
const ANSWER_MS = 10_000;
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 60_000;
const JITTER = 0.2;
/** Traces are looked at while something happens; and events are kept for so long at least. */
export const KEPT_MS = 3_600_000;
/** Failures in a row that are worth telling. */
const TOLD_AFTER = 3;
/** What is under way may end at a stop, and what is left has this long as well. */
const LAST_MS = 2000;

const WHY_LATE = { cause: 'The collector has not taken them for an hour.', fix: 'Only traces are lost: the fate of each message is in the history.' };

export function openTraces(parts: TraceParts): TraceService {
  const { events, feed, sample, clock, log } = parts;
  const collector = openCollector(parts);
  const ending = new AbortController();
  const counts = { sent: 0, dropped: 0 };
  const outage = { failures: 0, told: false, dropped: 0, toldDropped: false };
  let place = parts.from;
  let running: Promise<void> = Promise.resolve();

  function read(from: Place): EventPage {
    const oldest = events.oldest();
    if (oldest.seq > from.seq) drop(0, WHY_LATE);
    return events.after(oldest.seq > from.seq ? oldest : from, { types: TRACED, limit: EVENTS_PER_REQUEST, ...(sample < 1 ? { wanted: (id) => isSampled(id, sample) } : {}) });
  }

  function drop(spans: number, why: { readonly cause: string; readonly fix: string }): void {
    counts.dropped += spans;
    outage.dropped += spans;
    if (!outage.toldDropped) log.warn('traces.dropped', why);
    outage.toldDropped = true;
  }

  function taken(spans: number): void {
    counts.sent += spans;
    if (outage.told || outage.toldDropped) log.info('traces.recovered', { dropped: outage.dropped });
    Object.assign(outage, { failures: 0, told: false, dropped: 0, toldDropped: false });
  }

  /** One request; how long to wait then, and whether the spans are done with. */
  async function attempt(spans: readonly Span[], timeoutMs: number): Promise<{ readonly done: boolean; readonly waitMs: number }> {
    const answer = await collector.post(exportRequest(spans, parts), timeoutMs);
    const { result, rejected, cause, fix } = judgeAnswer(answer);
    if (result === 'taken' && rejected === 0) {
      taken(spans.length);
      return { done: true, waitMs: 0 };
    }
    if (result === 'taken') {
      const lost = Math.min(rejected, spans.length);
      counts.sent += spans.length - lost;
      drop(lost, { cause, fix });
      outage.failures = 0;
      return { done: true, waitMs: 0 };
    }
    if (ending.signal.aborted) return { done: false, waitMs: 0 };
    outage.failures++;
    if (result === 'refused') drop(spans.length, { cause, fix });
    else if (outage.failures >= TOLD_AFTER && !outage.told) {
      outage.told = true;
      log.warn('traces.failing', { cause, fix });
    }
    const asked = 'status' in answer ? (retryAfterMs(answer.retryAfter, clock.nowMs()) ?? 0) : 0;
    return { done: result === 'refused', waitMs: Math.max(asked, pauseMs(outage.failures, Math.random())) };
  }

  /** Until they are taken, refused or too old; false when the end came first. */
  async function deliver(spans: readonly Span[]): Promise<boolean> {
    for (let left = spans; ;) {
      const sinceMs = clock.nowMs() - KEPT_MS;
      const young = left.filter(({ atMs }) => atMs >= sinceMs);
      if (young.length < left.length) drop(left.length - young.length, WHY_LATE);
      left = young;
      if (left.length === 0) return true;
      const { done, waitMs } = await attempt(left, ANSWER_MS);
      if (waitMs > 0) await sleep(clock, Math.min(waitMs, KEPT_MS), ending.signal);
      if (done) return true;
      if (ending.signal.aborted) return false;
    }
  }

  async function sendNews(): Promise<void> {
    for (let more = true; more && !ending.signal.aborted;) {
      const page = read(place);
      const spans = page.events.flatMap(spansOf);
      if (spans.length === 0) await turn();
      else if (!(await deliver(spans))) return;
      place = page.reached;
      more = page.more;
    }
  }

  async function follow(): Promise<void> {
    while (!ending.signal.aborted) {
      let news: Watch | null = null;
      try {
        news = await feed.watch();
        while (!ending.signal.aborted) {
          await sendNews();
          await news.next(ending.signal);
          await sleep(clock, GATHER_MS, ending.signal);
        }
      } catch (error) {
        log.error('traces.failed', { cause: errorText(error) });
        await sleep(clock, LONGEST_PAUSE_MS, ending.signal);
      } finally {
        news?.end();
      }
    }
  }

  /** What the drain brought. Who has not answered before is not asked. */
  async function sendLast(): Promise<void> {
    if (outage.failures > 0) return;
    const endMs = clock.nowMs() + LAST_MS;
    (await feed.watch()).end();
    for (let more = true; more;) {
      const leftMs = endMs - clock.nowMs();
      const page = read(place);
      const spans = page.events.flatMap(spansOf);
      if (leftMs <= 0 || (spans.length > 0 && !(await attempt(spans, leftMs)).done)) return;
      place = page.reached;
      more = page.more;
    }
  }

  return {
    measure(metrics) {
      for (const [result, count] of Object.entries(counts)) metrics.set('postern_trace_spans_total', [result], count);
    },
    start() {
      running = follow();
    },
    async stop() {
      ending.abort();
      const cancel = clock.after(LAST_MS, () => collector.close());
      await running;
      cancel();
      await sendLast().catch((error: unknown) => log.error('traces.failed', { cause: errorText(error) }));
      collector.close();
    },
  };
}

/** After so many failures in a row; `random` from 0 to 1. */
export function pauseMs(failures: number, random: number): number {
  return Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(failures - 1, 16)) * (1 + JITTER * (2 * random - 1));
}
