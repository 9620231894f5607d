// What happens on the server, as it happens: a stream of events that makes what was asked before ask again. At most once a second, however much happens;
// the browser connects again by itself.

import { useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import type { Event } from './schema.ts';
import { refresh } from './verbs.ts';

/** The compiler sees that none is missing. */
const TOLD: Readonly<Record<Event['type'], true>> = {
  'message.accepted': true,
  'message.delivered': true,
  'message.deferred': true,
  'message.bounced': true,
  'message.suppressed': true,
  'message.expired': true,
  'message.captured': true,
  'message.returned': true,
  'message.held': true,
  'message.released': true,
  'message.retried': true,
  'message.cancelled': true,
};
export const EVENT_TYPES = Object.keys(TOLD) as readonly Event['type'][];

/** What an event may have changed. */
const STALE = ['/v1/messages', '/v1/queue', '/v1/lanes', '/v1/statistics', '/v1/suppressions', '/v1/webhooks'];
const EVERY_MS = 1_000;

/** For as long as the page is there and seen. */
export function useLive(): void {
  const queries = useQueryClient();
  useEffect(() => {
    let source: EventSource | null = null;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const happened = (): void => {
      timer ??= setTimeout(() => {
        timer = undefined;
        void refresh(queries, STALE);
      }, EVERY_MS);
    };
    const follow = (): void => {
      if (document.hidden) {
        source?.close();
        source = null;
        return;
      }
      if (source !== null) return;
      source = new EventSource('/v1/events/stream');
      for (const type of EVENT_TYPES) source.addEventListener(type, happened);
      // More than the server still keeps was missed.
      source.addEventListener('gap', happened);
      // What was missed while nobody looked.
      happened();
    };
    follow();
    document.addEventListener('visibilitychange', follow);
    return () => {
      document.removeEventListener('visibilitychange', follow);
      clearTimeout(timer);
      source?.close();
    };
  }, [queries]);
}
