// /v1/messages: what became of every message. Reading only; a body is there while the queue (or the capture) holds it.

import { Hono } from 'hono';
import { z } from 'zod';
import { errorText } from '#base/failure.ts';
import type { Log } from '#base/log.ts';
import type { QueueAdmin } from '#queue/queue.ts';
import type { HistoryReader, MessageDetail, MessageRow } from '#store/history.ts';
import { credentialName, limit, messageId, since } from '#http/fields.ts';
import { notFound, parseInput } from '#http/problem.ts';
import { toWire } from '#http/wire.ts';
import type { Wire } from '#http/wire.ts';

export type MessageRowView = Wire<MessageRow>;
export type MessageView = Wire<MessageDetail>;

export const STATUSES = ['queued', 'delivered', 'deferred', 'bounced', 'expired', 'captured', 'cancelled', 'held', 'partial'] as const;

const FILTER = z.strictObject({
  to: z.string().min(1).max(320).optional(),
  from: z.string().min(1).max(320).optional(),
  status: z.enum(STATUSES).optional(),
  since: since.optional(),
  credential: credentialName.optional(),
  before: messageId.optional(),
  limit,
});

export type MessageParts = { readonly admin: QueueAdmin; readonly history: HistoryReader; readonly flushHistory: () => Promise<void>; readonly log: Log };

/** Ends the connection in the middle of an answer. */
type Env = { Bindings: { cut(): void } };

export function messageRoutes(parts: MessageParts): Hono<Env> {
  const app = new Hono<Env>();
  app.get('/', async (context) => {
    const { since: sinceMs, ...given } = parseInput(FILTER, context.req.query());
    const filter = Object.fromEntries(Object.entries({ ...given, sinceMs }).filter(([, field]) => field !== undefined));
    await parts.flushHistory();
    const rows = await parts.history.list({ ...filter, limit: given.limit });
    return context.json({ messages: toWire(rows), next: rows.length === given.limit ? (rows.at(-1)?.id ?? null) : null });
  });
  app.get('/:id', async (context) => {
    const id = parseInput(messageId, context.req.param('id'));
    await parts.flushHistory();
    const detail = await parts.history.show(id);
    if (detail === null) throw notFound(`message ${id}`, 'Look for it with: postern message list. History is kept for [queue] history.');
    return context.json(toWire(detail));
  });
  app.get('/:id/body', async (context) => {
    const id = parseInput(messageId, context.req.param('id'));
    const body = await parts.admin.read(id);
    if (body === null) throw notFound(`content of message ${id}`, 'Content is kept while a message waits in the queue or is captured; what was delivered is gone.');
    context.header('content-type', 'message/rfc822');
    context.header('x-content-type-options', 'nosniff');
    return context.body(ReadableStream.from(wholeOrCut(body, { cut: context.env.cut, log: parts.log, id })));
  });
  return app;
}

/** The content; where it cannot be read to its end the connection is cut, as half a message must not look like a whole one. */
async function* wholeOrCut(body: AsyncIterable<Buffer>, on: { cut: () => void; log: Log; id: string }): AsyncIterable<Uint8Array<ArrayBuffer>> {
  try {
    yield* body as AsyncIterable<Uint8Array<ArrayBuffer>>;
  } catch (error) {
    on.log.warn('http.broken-off', { id: on.id, cause: errorText(error) });
    on.cut();
  }
}
