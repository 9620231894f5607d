// POST /v1/messages: a message in parts, as it is, or many at once. 202 means what 250 means in SMTP: it is on disk.

import type { Context } from 'hono';
import { z } from 'zod';
import { readBody } from '#http/body.ts';
import type { Env } from '#http/identity.ts';
import { MAX_BATCH, MESSAGE, RAW_QUERY, address } from '#http/message-input.ts';
import { operation } from '#http/operation.ts';
import type { Operation } from '#http/operation.ts';
import { PROBLEM, ProblemError, parseInput, problemBody } from '#http/problem.ts';
import { sendInput, sendRaw } from '#http/sending.ts';
import type { Asking, SendingParts, Sent } from '#http/sending.ts';

const SENT = z.object({ id: z.string().describe('of the message: /v1/messages/ID tells what becomes of it') }).meta({ id: 'SentMessage' });

const RESULT = z.union([SENT, z.object({ error: PROBLEM })]);
const BATCH = z.strictObject({ messages: z.array(MESSAGE).min(1).max(MAX_BATCH) });

/** Messages of a batch that are with the workers at once. */
const AT_ONCE = 32;
/** Base64 of a message of the greatest size, and what stands around it. */
const OVERHEAD = 1.4;
const SLACK_BYTES = 256 * 1024;

const HEADERS = [
  {
    name: 'Idempotency-Key',
    doc: 'Any text of up to 255 printable characters. A request that is repeated with the same key and body within 24 hours is not carried out again: its answer is that of the first one, with `Idempotent-Replayed: true`. The same key with another body is refused with 422.',
  },
] as const;

const EXAMPLE = {
  from: 'Shop <orders@example.com>',
  to: ['Ann <ann@example.net>'],
  subject: 'Your order',
  text: 'It is on its way.',
  html: '<p>It is on its way. <img src="cid:logo"></p>',
  attachments: [{ filename: 'logo.png', contentType: 'image/png', contentId: 'logo', content: 'iVBORw0KGgo=' }],
};

export function sendingOperations(parts: () => SendingParts): readonly Operation[] {
  const bodyBytes = (): number => Math.ceil(parts().messageSizeBytes() * OVERHEAD) + SLACK_BYTES;
  return [
    operation({
      method: 'POST',
      path: '/v1/messages',
      id: 'sendMessage',
      tag: 'Messages',
      summary: 'Send a message',
      description:
        'In parts as JSON, or as it is (`message/rfc822`, also as `raw`). 202 means that it is on disk, like the 250 of SMTP: it is delivered even if the server is killed now. It passes the rules of a submission by SMTP: sender domains, limits, DKIM, suppressions. A token of a project sends as the domains of the project.',
      scope: 'messages:send',
      query: RAW_QUERY,
      headers: HEADERS,
      body: MESSAGE,
      bodyBytes,
      heavy: true,
      other: [
        {
          media: 'message/rfc822',
          doc: 'The message as it is; the envelope as `from` and `to` in the query, else from its header, of which Bcc is taken out.',
          async run({ query, context, identity }) {
            const content = await readBody(context, parts().messageSizeBytes());
            const to = (context.req.queries('to') ?? []).map((text) => parseInput(address, text));
            const { from, credential, sandbox, sendAt } = query;
            const how = { sandbox, ...(credential === undefined ? {} : { credential }), ...(sendAt === undefined ? {} : { sendAt }) };
            return answer(context, await sendRaw(parts(), asking(context, identity), { content, how, from, to }));
          },
        },
      ],
      answer: SENT,
      status: 202,
      refusals: [503],
      example: { body: EXAMPLE },
      audit: false,
      run({ body, context, identity }) {
        if (context.req.url.includes('?')) throw misplaced();
        return sendInput(parts(), asking(context, identity), body).then((sent) => answer(context, sent));
      },
    }),
    operation({
      method: 'POST',
      path: '/v1/messages/batch',
      id: 'sendMessages',
      tag: 'Messages',
      summary: 'Send many messages',
      description: `Up to ${MAX_BATCH} messages, each for itself: \`messages\` of the answer has in the same order an id, or why that one was refused. With an Idempotency-Key a repeated request sends what was not sent before.`,
      scope: 'messages:send',
      headers: HEADERS,
      body: BATCH,
      bodyBytes,
      heavy: true,
      answer: z.object({ accepted: z.int(), refused: z.int(), messages: z.array(RESULT) }),
      status: 202,
      refusals: [503],
      example: { body: { messages: [EXAMPLE] } },
      audit: false,
      async run({ body: { messages }, context, identity }) {
        const base = asking(context, identity);
        const results: z.output<typeof RESULT>[] = [];
        for (let at = 0; at < messages.length; at += AT_ONCE) {
          const stretch = messages.slice(at, at + AT_ONCE).map((message, i) => sendInput(parts(), { ...base, key: base.key === null ? null : `${base.key}\n${at + i}` }, message));
          for (const settled of await Promise.allSettled(stretch)) {
            if (settled.status === 'fulfilled') results.push({ id: settled.value.id });
            else if (settled.reason instanceof ProblemError) results.push({ error: problemBody(settled.reason.problem) });
            else throw settled.reason;
          }
        }
        const accepted = results.filter((one) => 'id' in one).length;
        return { accepted, refused: results.length - accepted, messages: results };
      },
    }),
  ];
}

function misplaced(): ProblemError {
  return new ProblemError({
    status: 422,
    title: 'Invalid request',
    code: 'invalid-request',
    cause: 'The query is for messages that are sent as they are (message/rfc822).',
    fix: 'Put what it says into the JSON document.',
  });
}

function answer(context: Context<Env>, { id, again }: Sent): { readonly id: string } {
  context.header('location', `/v1/messages/${id}`);
  if (again) context.header('idempotent-replayed', 'true');
  return { id };
}

function asking(context: Context<Env>, identity: Asking['identity']): Asking {
  const key = context.req.header('idempotency-key') ?? null;
  if (key !== null && !/^[\x20-\x7e]{1,255}$/.test(key)) {
    throw new ProblemError({
      status: 400,
      title: 'Bad key',
      code: 'idempotency-key-invalid',
      cause: 'The Idempotency-Key is not 1 to 255 printable ASCII characters.',
      fix: 'Use a UUID, made once for each message.',
    });
  }
  return { identity, client: context.get('client'), key };
}
