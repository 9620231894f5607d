// /v1/messages: what became of every message. Reading only; a body is there while the queue (or the capture) holds it.

import { z } from 'zod';
import { errorText } from '#base/failure.ts';
import type { Log } from '#base/log.ts';
import type { QueueAdmin } from '#queue/queue.ts';
import type { HistoryReader, MessageDetail, MessageRow } from '#store/history.ts';
import type { AttemptTranscript, Transcripts } from '#store/transcripts.ts';
import { credentialName, limit, messageId, since } from '#http/fields.ts';
import { sees } from '#http/identity.ts';
import type { Identity } from '#http/identity.ts';
import { operation } from '#http/operation.ts';
import type { Frozen, Operation } from '#http/operation.ts';
import { notFound } from '#http/problem.ts';
import { MESSAGE, MESSAGE_ROW, STATUSES, TRANSCRIPT } from '#http/views/message.ts';
import { toWire, withoutUndefined } from '#http/wire.ts';
import type { Wire } from '#http/wire.ts';

export type MessageRowView = Wire<MessageRow>;
export type MessageView = Wire<MessageDetail>;
export type TranscriptView = z.output<typeof TRANSCRIPT>;

const FILTER = z.strictObject({
  to: z.string().min(1).max(320).optional().describe('an address, or a domain'),
  from: z.string().min(1).max(320).optional().describe('an address, or a domain'),
  status: z.enum(STATUSES).optional(),
  since: since.optional(),
  credential: credentialName.optional(),
  text: z.string().min(1).max(500).optional().describe('words of the subject and the addresses, the last one may be a beginning; or an address, `@domain`, a Message-ID, an id'),
  before: messageId.optional().describe('the value of "next"'),
  limit,
});
const BY_ID = z.object({ id: messageId });

export type MessageParts = {
  readonly admin: QueueAdmin;
  readonly history: HistoryReader;
  readonly flushHistory: () => Promise<void>;
  readonly transcripts: Pick<Transcripts, 'of'>;
  readonly log: Log;
};

export function messageOperations(parts: MessageParts): readonly Operation[] {
  return [
    operation({
      method: 'GET',
      path: '/v1/messages',
      id: 'listMessages',
      tag: 'Messages',
      summary: 'Search messages, newest first',
      scope: 'messages:read',
      query: FILTER,
      answer: z.object({ messages: z.array(MESSAGE_ROW), next: z.string().nullable() }),
      example: { query: { to: 'example.com', since: '24h' } },
      run: async ({ query: { since: sinceMs, ...given }, identity }) => {
        const filter = withoutUndefined({ ...given, sinceMs, project: identity.project ?? undefined });
        await soon(parts.flushHistory());
        const { rows, next } = await parts.history.list({ ...filter, limit: given.limit });
        return { messages: toWire(rows), next };
      },
    }),
    operation({
      method: 'GET',
      path: '/v1/messages/{id}',
      id: 'getMessage',
      tag: 'Messages',
      summary: 'What became of one message: its envelope, recipients and every event',
      scope: 'messages:read',
      params: BY_ID,
      answer: MESSAGE,
      refusals: [404],
      run: async ({ params: { id }, identity }) => toWire(await detailOf(parts, id, identity)),
    }),
    operation({
      method: 'GET',
      path: '/v1/messages/{id}/transcripts',
      id: 'getMessageTranscripts',
      tag: 'Messages',
      summary: 'What was said at each attempt to deliver a message, oldest first',
      description:
        'The newest attempts of the server are kept (`queue.transcripts`); under load not every delivery is, and of very many failures at once the first. One is there about a second after it ended.',
      scope: 'messages:read',
      params: BY_ID,
      answer: z.object({ transcripts: z.array(TRANSCRIPT) }),
      refusals: [404],
      run: async ({ params: { id }, identity }) => {
        await detailOf(parts, id, identity);
        return { transcripts: parts.transcripts.of(id).map(transcriptView) };
      },
    }),
    operation({
      method: 'GET',
      path: '/v1/messages/{id}/body',
      id: 'getMessageBody',
      tag: 'Messages',
      summary: 'The content as it is sent, while the queue or the capture holds it',
      scope: 'messages:read',
      params: BY_ID,
      answer: { media: 'message/rfc822', doc: 'header and body; an answer that breaks off is not the whole message' },
      refusals: [404],
      run: async ({ params: { id }, identity, context }) => {
        if (identity.project !== null) await detailOf(parts, id, identity);
        const body = await parts.admin.read(id);
        if (body === null) throw notFound(`content of message ${id}`, 'Content is kept while a message waits in the queue or is captured; what was delivered is gone.');
        context.header('content-type', 'message/rfc822');
        context.header('content-disposition', `attachment; filename="${id}.eml"`);
        return context.body(ReadableStream.from(wholeOrCut(body, { cut: context.env.cut, log: parts.log, id })));
      },
    }),
  ];
}

/** `atMs` of an entry is a span, no point in time. */
function transcriptView({ messageId: _messageId, startedAtMs, ...attempt }: AttemptTranscript): Frozen<TranscriptView> {
  return { startedAt: new Date(startedAtMs).toISOString(), ...attempt };
}

/** A list need not wait for all that happens while it is asked for. */
const FLUSH_MS = 80;

async function soon(flushed: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([flushed, new Promise<void>((resolve) => (timer = setTimeout(resolve, FLUSH_MS)))]);
  clearTimeout(timer);
}

async function detailOf(parts: MessageParts, id: string, identity: Identity): Promise<MessageDetail> {
  await soon(parts.flushHistory());
  let detail = await parts.history.show(id);
  if (detail === null) {
    await parts.flushHistory();
    detail = await parts.history.show(id);
  }
  if (detail === null || !sees(identity, detail.project)) throw notFound(`message ${id}`, 'Look for it with: postern message list. History is kept for [queue] history.');
  return detail;
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
