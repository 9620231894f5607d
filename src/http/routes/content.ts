// /v1/messages/ID/content and its parts: a message taken apart, for looking at it, while the queue or the capture holds it. Its look is somebody
// else's HTML: it goes out under a policy that forbids it scripts, requests, forms, and this server's own origin.

import { z } from 'zod';
import { takeApart, disarm } from '#mail/content.ts';
import type { Content } from '#mail/content.ts';
import type { QueueAdmin } from '#queue/queue.ts';
import type { HistoryReader } from '#store/history.ts';
import { messageId } from '#http/fields.ts';
import { sees } from '#http/identity.ts';
import type { Identity } from '#http/identity.ts';
import { operation } from '#http/operation.ts';
import type { Operation } from '#http/operation.ts';
import { ProblemError, notFound } from '#http/problem.ts';

/** Parsing happens on the thread that answers requests; 25 MB take it about a fifth of a second. */
const MOST_BYTES = 25 * 1024 * 1024;

/** `sandbox` without a word gives the document an origin of its own and no right; images may only be those that it brings along. */
const MAIL_POLICY = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'";

const CONTENT = z
  .object({
    subject: z.string(),
    from: z.string(),
    to: z.string(),
    cc: z.string(),
    headers: z.array(z.object({ name: z.string(), value: z.string() })),
    text: z.string(),
    html: z.boolean().describe('whether it has a look of its own: see `rendered`'),
    remote: z.int().describe('references to places elsewhere that its look would fetch, and may not'),
    attachments: z.array(z.object({ n: z.int(), name: z.string(), type: z.string(), sizeBytes: z.int() })),
  })
  .meta({ id: 'MessageContent' });

export type ContentParts = {
  readonly admin: Pick<QueueAdmin, 'read'>;
  readonly history: Pick<HistoryReader, 'show'>;
  readonly flushHistory: () => Promise<void>;
};

const NAMED = z.object({ id: messageId });
const EXAMPLE = { params: { id: '06fq3z5kq0v7m2xe' } };

export function contentOperations(parts: ContentParts): readonly Operation[] {
  const open = async (id: string, identity: Identity): Promise<Content> => {
    const visible = identity.project === null || sees(identity, await projectOf(id, parts));
    return takeApart(await whole(id, visible ? await parts.admin.read(id) : null));
  };
  return [
    operation({
      method: 'GET',
      path: '/v1/messages/{id}/content',
      id: 'getMessageContent',
      tag: 'Messages',
      summary: 'What is in a message: its header, its text, its attachments',
      description: 'While the queue or the capture holds it, and up to 25 MB.',
      scope: 'messages:read',
      params: NAMED,
      answer: CONTENT,
      refusals: [404],
      example: EXAMPLE,
      run: async ({ params: { id }, identity }) => {
        const { html, attachments, ...content } = await open(id, identity);
        return { ...content, html: html !== null, attachments: attachments.map(({ bytes, ...part }) => ({ ...part, sizeBytes: bytes.length })) };
      },
    }),
    operation({
      method: 'GET',
      path: '/v1/messages/{id}/rendered',
      id: 'getMessageRendered',
      tag: 'Messages',
      summary: 'How a message looks, as a document that can do nothing',
      description: 'For a frame with `sandbox`. The policy it comes with forbids scripts, requests to anywhere, forms and navigation; images of the message itself are in it.',
      scope: 'messages:read',
      params: NAMED,
      answer: { media: 'text/html', doc: 'the HTML of the message, disarmed' },
      refusals: [404],
      example: EXAMPLE,
      run: async ({ params: { id }, identity, context }) => {
        const { html } = await open(id, identity);
        if (html === null) throw notFound(`HTML in message ${id}`, 'It is plain text: see its content.');
        return context.body(disarm(html), 200, { ...SAFE, 'content-type': 'text/html; charset=utf-8' });
      },
    }),
    operation({
      method: 'GET',
      path: '/v1/messages/{id}/attachments/{n}',
      id: 'getMessageAttachment',
      tag: 'Messages',
      summary: 'One attachment of a message',
      scope: 'messages:read',
      params: NAMED.extend({ n: z.coerce.number().int().min(0).max(10_000) }),
      answer: { media: 'application/octet-stream', doc: 'its bytes, decoded, to be saved' },
      refusals: [404],
      example: { params: { ...EXAMPLE.params, n: '0' } },
      run: async ({ params: { id, n }, identity, context }) => {
        const part = (await open(id, identity)).attachments[n];
        if (part === undefined) throw notFound(`attachment ${n} of message ${id}`, 'Its content names the ones there are.');
        const name = `attachment; filename*=UTF-8''${encodeURIComponent(part.name)}`;
        return context.body(part.bytes, 200, { ...SAFE, 'content-type': 'application/octet-stream', 'content-disposition': name });
      },
    }),
  ];
}

const SAFE = { 'content-security-policy': MAIL_POLICY, 'x-content-type-options': 'nosniff', 'x-dns-prefetch-control': 'off', 'referrer-policy': 'no-referrer' };

async function projectOf(id: string, { history, flushHistory }: ContentParts): Promise<string | null> {
  await flushHistory();
  return (await history.show(id))?.project ?? null;
}

async function whole(id: string, body: AsyncIterable<Buffer> | null): Promise<Buffer> {
  if (body === null) throw notFound(`content of message ${id}`, 'Content is kept while a message waits in the queue or is captured; what was delivered is gone.');
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > MOST_BYTES) {
      throw new ProblemError({
        status: 413,
        title: 'Too large',
        code: 'message-too-large',
        cause: `Message ${id} is over ${MOST_BYTES} bytes, which is more than is taken apart here.`,
        fix: `Fetch it as it is: GET /v1/messages/${id}/body.`,
      });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
