// Server-sent events: what a source yields, with a sign of life while it is silent. Ends with its source, or when nobody listens any more.

import type { Context } from 'hono';

export type StreamedEvent = { readonly id: string; readonly event: string; readonly data: unknown };

/** Proxies cut connections that say nothing for a minute. */
const ALIVE_MS = 15_000;
/** Signs of life that nobody took: whoever listens has stopped reading. */
const MAX_UNREAD = 8;

export function eventStream(context: Context, source: AsyncIterable<StreamedEvent>): Response {
  const events = source[Symbol.asyncIterator]();
  const encoder = new TextEncoder();
  let alive: NodeJS.Timeout | undefined;
  const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      controller.enqueue(encoder.encode('retry: 3000\n\n'));
      alive = setInterval(() => {
        if ((controller.desiredSize ?? 0) > -MAX_UNREAD) return controller.enqueue(encoder.encode(':\n\n'));
        clearInterval(alive);
        controller.error(new Error('nobody reads'));
        void events.return?.();
      }, ALIVE_MS).unref();
    },
    async pull(controller) {
      const { value, done } = await events.next();
      if (done !== true) return controller.enqueue(encoder.encode(`id: ${value.id}\nevent: ${value.event}\ndata: ${JSON.stringify(value.data)}\n\n`));
      clearInterval(alive);
      controller.close();
    },
    async cancel() {
      clearInterval(alive);
      await events.return?.();
    },
  });
  // Nothing on the way may hold events back.
  return context.body(stream, 200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' });
}
