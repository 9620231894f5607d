// /v1/events: what happened to messages, one by one: in pages, and as it happens. Whoever follows is a place in the log, and is read for when they can take more.

import { z } from 'zod';
import { EVENT_TYPES, EVENT_TYPE_NAMES, changesFor, eventId, placeOf, tellEvent } from '#events/event.ts';
import type { EventType, PublicEvent } from '#events/event.ts';
import type { Feed } from '#events/feed.ts';
import { eventStream } from '#http/event-stream.ts';
import type { StreamedEvent } from '#http/event-stream.ts';
import { limit, messageId, since } from '#http/fields.ts';
import { sees } from '#http/identity.ts';
import type { Identity } from '#http/identity.ts';
import { operation } from '#http/operation.ts';
import type { Operation } from '#http/operation.ts';
import { ProblemError } from '#http/problem.ts';
import { EVENT } from '#http/views/event.ts';
import type { EventLog, EventQuery, LoggedEvent, Place } from '#store/event-log.ts';

export type EventParts = { readonly events: EventLog; readonly feed: Feed; readonly flushHistory: () => Promise<void> };

const STREAMS = 100;
const STREAM_PAGE = 50;
/** A page looks no further than this many times into the log. */
const LOOKS = 20;

const types = z
  .string()
  .transform((text, context) => {
    const wanted = text.split(',').map((name) => name.trim());
    const unknown = wanted.find((name) => !(name in EVENT_TYPES));
    if (unknown === undefined) return new Set(wanted as EventType[]);
    context.addIssue({ code: 'custom', message: `"${unknown}" is no type of event; there are ${EVENT_TYPE_NAMES.join(', ')}` });
    return z.NEVER;
  })
  .describe('types, separated by commas; all without');
const after = z
  .string()
  .transform((text, context) => {
    const place = placeOf(text);
    if (place !== null) return place;
    context.addIssue({ code: 'custom', message: 'it is the id of an event, or the "next" of a page' });
    return z.NEVER;
  })
  .describe('go on after this event: its id, or the "next" of the page before');

type Filter = { readonly types?: ReadonlySet<EventType> | undefined; readonly message?: string | undefined };

export function eventOperations(parts: () => EventParts): readonly Operation[] {
  const open = { streams: 0 };
  return [
    operation({
      method: 'GET',
      path: '/v1/events',
      id: 'listEvents',
      tag: 'Events',
      summary: 'What happened, oldest first',
      description:
        'Events are kept for `queue.events`. Without `after` and `since` it begins with the oldest. `next` is where to go on, now or later: a page without events is not the end of time.',
      scope: 'events:read',
      query: z.strictObject({ after: after.optional(), since: since.optional(), types: types.optional(), message: messageId.optional().describe('of this message only'), limit }),
      answer: z.object({ events: z.array(EVENT), next: z.string().describe('what to ask for `after` next'), more: z.boolean().describe('there is more already') }),
      example: { query: { types: 'message.bounced,message.expired', since: '24h' } },
      run: async ({ query, identity }) => {
        const { events: log, flushHistory } = parts();
        await flushHistory();
        const from = query.after ?? (query.since === undefined ? log.oldest() : log.before(query.since));
        const found: PublicEvent[] = [];
        let place = from;
        let more = true;
        for (let looks = 0; more && found.length < query.limit && looks < LOOKS; looks++) {
          const page = log.after(place, { ...queryOf(query), limit: query.limit - found.length });
          found.push(...told(page.events, query, identity));
          ({ reached: place, more } = page);
        }
        return { events: found, next: eventId(place), more };
      },
    }),
    operation({
      method: 'GET',
      path: '/v1/events/stream',
      id: 'streamEvents',
      tag: 'Events',
      summary: 'What happens, as it happens',
      description:
        'Server-sent events: `id`, `event` (the type), and an Event as JSON in `data`. A client that connects again with `Last-Event-ID` (or `after`) misses nothing that is still kept; what is no longer there is told by an event `gap`. A comment every 15 seconds tells that the connection lives; whoever stops reading is cut off.',
      scope: 'events:read',
      query: z.strictObject({ after: after.optional(), types: types.optional(), message: messageId.optional() }),
      answer: { media: 'text/event-stream', doc: 'server-sent events; each has an Event as JSON in its data' },
      refusals: [503],
      run: ({ query, identity, context }) => {
        if (open.streams >= STREAMS) throw tooMany();
        const last = placeOf(context.req.header('last-event-id') ?? '');
        open.streams++;
        const source = follow(parts(), { filter: query, identity, from: last ?? query.after ?? null, ended: () => open.streams-- });
        return eventStream(context, source);
      },
    }),
  ];
}

type Following = { readonly filter: Filter; readonly identity: Identity; readonly from: Place | null; readonly ended: () => void };

/** Ends at once when it is told to, also while nothing happens. */
function follow(parts: EventParts, following: Following): AsyncIterable<StreamedEvent> {
  const ending = new AbortController();
  const events = eventsAfter(parts, following, ending.signal);
  return {
    [Symbol.asyncIterator]: () => ({
      next: () => events.next(),
      async return() {
        ending.abort();
        await events.return(undefined);
        return { done: true, value: undefined };
      },
    }),
  };
}

async function* eventsAfter({ events: log, feed }: EventParts, { filter, identity, from, ended }: Following, signal: AbortSignal): AsyncGenerator<StreamedEvent, undefined> {
  const watch = await feed.watch();
  try {
    let place = from ?? log.newest();
    if (log.oldest().seq > place.seq) {
      yield {
        id: eventId(log.oldest()),
        event: 'gap',
        data: { after: eventId(place), cause: 'What happened after this is no longer kept.', fix: 'See GET /v1/messages for what became of each message.' },
      };
      place = log.oldest();
    }
    while (!signal.aborted) {
      const page = log.after(place, { ...queryOf(filter), limit: STREAM_PAGE });
      for (const event of told(page.events, filter, identity)) yield { id: event.id, event: event.type, data: event };
      place = page.reached;
      if (!page.more) await watch.next(signal);
    }
    return undefined;
  } finally {
    watch.end();
    ended();
  }
}

function queryOf({ types: wanted, message }: Filter): Omit<EventQuery, 'limit'> {
  return { ...(wanted === undefined ? {} : { types: changesFor(wanted) }), ...(message === undefined ? {} : { messageId: message }) };
}

function told(events: readonly LoggedEvent[], { types: wanted }: Filter, identity: Identity): PublicEvent[] {
  return events
    .filter(({ envelope }) => sees(identity, envelope.origin.project))
    .map(tellEvent)
    .filter(({ type }) => wanted === undefined || wanted.has(type));
}

function tooMany(): ProblemError {
  return new ProblemError({
    status: 503,
    title: 'Too many streams',
    code: 'too-many-streams',
    cause: `${STREAMS} streams of events are open already.`,
    fix: 'Close some, or ask GET /v1/events now and then.',
    headers: { 'retry-after': '30' },
  });
}
