// What happens on the server, as it happens: a stream of events that makes what was asked before ask again. At most once a second, however much happens;
// the browser connects again by itself.

import { useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import { refresh } from './verbs.ts';

const TYPES = ['accepted', 'delivered', 'deferred', 'bounced', 'suppressed', 'expired', 'captured', 'returned', 'held', 'released', 'retried', 'cancelled'] as const;
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
      for (const type of TYPES) source.addEventListener(`message.${type}`, happened);
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
