// One connection to a webhook: messages as signed HTTP requests over it, and what the answers mean for the recipients. The content is read twice,
// once for the signature, which stands before it, and once to be sent; it is never held. RFC 9110, Standard Webhooks 1.0.

import { Agent, request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { Duplex } from 'node:stream';
import type { Cancel, Clock } from '#base/clock.ts';
import { errorCode, errorText } from '#base/failure.ts';
import { openWebhookSigner, retryAfterMs } from '#base/webhook.ts';
import type { Content, Delivery, Hop, HopReply, HopResult, Refusal } from '#deliver/connector.ts';
import type { Route } from '#deliver/route.ts';
import type { ClientFailure } from '#smtp/client.ts';
import type { Explanation } from '#knowledge/explain.ts';
import { formatPath } from '#smtp/address.ts';

export type WebhookRoute = Extract<Route, { type: 'webhook' }>;

export type PostParts = {
  readonly route: WebhookRoute;
  readonly socket: TLSSocket;
  /** Read anew for each message, so that a changed one counts at once; or why there are none. */
  readonly secrets: () => Promise<readonly Buffer[] | Refusal>;
  readonly hostname: string;
  readonly clock: Clock;
  /** For progress while content is sent. */
  readonly stallMs: number;
};

/** Of an answer's body no more is read than what a person looks at. */
const MAX_ANSWER_BYTES = 16 * 1024;
const MAX_TEXT = 300;
/** Content is not converted for a webhook. */
const KEYWORDS = new Map([
  ['8BITMIME', ''],
  ['SMTPUTF8', ''],
]);

/** Makes the hop of an open connection. */
export function openWebhookHop(parts: PostParts): Hop {
  const { socket } = parts;
  const agent = new OneSocket(socket);
  const state = { usable: true };
  socket.on('close', () => (state.usable = false));
  socket.on('error', () => (state.usable = false));
  const destroy = (): void => {
    state.usable = false;
    agent.destroy();
    socket.destroy();
  };
  return {
    capabilities: { keywords: KEYWORDS, sizeBytes: null, auth: [] },
    get usable() {
      return state.usable && !socket.destroyed && socket.writable;
    },
    async transact(_envelope, _body, delivery) {
      const secrets = await parts.secrets();
      if ('verdict' in secrets) return { replies: delivery.recipients.map(() => refusedHere(secrets)) };
      const result = await post(parts, { agent, secrets, delivery });
      if ('failure' in result) {
        destroy();
        return result;
      }
      if (!result.reusable) destroy();
      const { reply } = result;
      return { replies: delivery.recipients.map(() => reply) };
    },
    // A request is content from its first byte on.
    giveUp() {},
    async quit() {
      destroy();
    },
    destroy,
  };
}

/** Hands out the one connection that was made, to an address that was looked at; there is no other. */
class OneSocket extends Agent {
  #socket: TLSSocket | null;

  constructor(socket: TLSSocket) {
    super({ keepAlive: true, maxSockets: 1, maxFreeSockets: 1 });
    this.#socket = socket;
  }

  override createConnection(): Duplex {
    const socket = this.#socket;
    this.#socket = null;
    if (socket === null) throw Object.assign(new Error('the connection is closed'), { code: 'ECONNRESET' });
    return socket;
  }
}

type Failed = Extract<HopResult, { failure: unknown }>;
type Posted = { readonly reply: HopReply; readonly reusable: boolean };

async function post(parts: PostParts, of: { agent: Agent; secrets: readonly Buffer[]; delivery: Delivery }): Promise<Posted | Failed> {
  const { route, clock } = parts;
  const { agent, secrets, delivery } = of;
  const nowMs = clock.nowMs();
  const id = `${delivery.envelope.id}-${Math.min(...delivery.recipients.map((recipient) => recipient.n))}`;
  const seconds = Math.floor(nowMs / 1000);
  const signer = openWebhookSigner(secrets, { id, seconds });
  let sizeBytes = 0;
  try {
    for await (const chunk of payload(delivery, { format: route.format, nowMs })) {
      signer.update(chunk);
      sizeBytes += chunk.length;
    }
  } catch (error) {
    return { failure: failureOf('protocol', 'ERR_BODY', `the content could not be read: ${errorText(error)}`, false) };
  }
  const headers = {
    host: new URL(route.url).host,
    'user-agent': `Postern (${parts.hostname})`,
    'content-type': route.format === 'raw' ? 'message/rfc822' : 'application/json',
    'content-length': sizeBytes,
    'webhook-id': id,
    'webhook-timestamp': String(seconds),
    'webhook-signature': signer.finish(),
  };
  return new Call(parts, agent, headers).run(payload(delivery, { format: route.format, nowMs }));
}

/** One request and its answer, with its deadlines. */
class Call {
  readonly #parts: PostParts;
  readonly #agent: Agent;
  readonly #headers: Readonly<Record<string, string | number>>;
  #sent = false;

  constructor(parts: PostParts, agent: Agent, headers: Readonly<Record<string, string | number>>) {
    this.#parts = parts;
    this.#agent = agent;
    this.#headers = headers;
  }

  run(content: AsyncIterable<Buffer>): Promise<Posted | Failed> {
    const { route, clock, stallMs } = this.#parts;
    const { pathname, search } = new URL(route.url);
    return new Promise((resolve) => {
      let cancel: Cancel = () => {};
      let done = false;
      const call = request({ method: 'POST', path: `${pathname}${search}`, headers: this.#headers, agent: this.#agent, setHost: false });
      const finish = (result: Posted | Failed): void => {
        done = true;
        cancel();
        resolve(result);
      };
      const fail = (failure: ClientFailure): void => {
        finish({ failure });
        call.destroy();
      };
      const arm = (ms: number): void => {
        cancel();
        if (done) return;
        cancel = clock.after(ms, () =>
          fail(failureOf('timeout', 'ETIMEDOUT', this.#sent ? `no answer within ${Math.round(ms / 1000)} s` : 'the content was not taken in time', this.#sent)),
        );
      };
      call.on('error', (error) => fail(failureOf('socket', errorCode(error) ?? 'ECONNRESET', errorText(error), this.#sent)));
      call.on('response', (response) => {
        // It may answer before it has read everything: then the rest is of no use, and the connection of none either.
        const reusable = this.#sent && response.headers.connection?.toLowerCase() !== 'close';
        void readAnswer(response).then(({ text, whole }) => {
          finish({ reply: replyOf(response, text, clock.nowMs()), reusable: reusable && whole });
          if (!reusable || !whole) call.destroy();
        });
      });
      arm(stallMs);
      this.#send(call, content, () => arm(stallMs)).then(
        () => {
          this.#sent = true;
          arm(route.timeoutMs);
        },
        (error: unknown) => fail(failureOf('protocol', 'ERR_BODY', `the content could not be read: ${errorText(error)}`, false)),
      );
    });
  }

  /** Writes as fast as it is taken. A request that has ended meanwhile needs no more. */
  async #send(call: ReturnType<typeof request>, content: AsyncIterable<Buffer>, progress: () => void): Promise<void> {
    for await (const chunk of content) {
      if (call.destroyed) return;
      if (call.write(chunk)) continue;
      await oneOfEvents(call, ['drain', 'close']);
      progress();
    }
    if (call.destroyed) return;
    const written = oneOfEvents(call, ['finish', 'close']);
    call.end();
    await written;
  }
}

function oneOfEvents(call: ReturnType<typeof request>, events: readonly string[]): Promise<void> {
  return new Promise((resolve) => {
    const seen = (): void => {
      for (const event of events) call.off(event, seen);
      resolve();
    };
    for (const event of events) call.on(event, seen);
  });
}

async function readAnswer(response: IncomingMessage): Promise<{ readonly text: string; readonly whole: boolean }> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > MAX_ANSWER_BYTES) return { text: printable(Buffer.concat(chunks)), whole: false };
    }
    return { text: printable(Buffer.concat(chunks)), whole: true };
  } catch {
    return { text: printable(Buffer.concat(chunks)), whole: false };
  }
}

function printable(bytes: Buffer): string {
  return bytes
    .toString('utf8')
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029\s]+/gu, ' ')
    .trim()
    .slice(0, MAX_TEXT);
}

/** 2xx is taken; 408, 425, 429 and 5xx may be taken later; 3xx is a mistake of ours, and waits for it to be mended; other 4xx say no for good. */
function replyOf(response: IncomingMessage, text: string, nowMs: number): HopReply {
  const status = response.statusCode ?? 0;
  const line = `HTTP ${status} ${response.statusMessage ?? ''}`.trim();
  const lines = [text === '' || (status >= 200 && status < 300) ? line : `${line}: ${text}`];
  if (status >= 200 && status < 300) return { accepted: true, phase: 'final', reply: { code: 250, enhanced: '2.0.0', lines } };
  const row = ANSWERS.find((one) => one.when(status)) ?? UNEXPECTED;
  const { code, enhanced, explained } = row;
  return { accepted: false, phase: 'final', reply: { code, enhanced, lines }, explained, retryAfterMs: retryAfterMs(response.headers['retry-after'] ?? null, nowMs) };
}

function refusedHere({ code, enhanced, text, class: name, cause, fix }: Refusal): HopReply {
  return { accepted: false, phase: 'final', reply: { code, enhanced, lines: [text] }, explained: { class: name, cause, fix } };
}

type Answer = { readonly when: (status: number) => boolean; readonly code: number; readonly enhanced: string; readonly explained: Explanation };

const oneOf =
  (...statuses: number[]) =>
  (status: number): boolean =>
    statuses.includes(status);

const UNEXPECTED: Answer = {
  when: () => true,
  code: 451,
  enhanced: '4.3.0',
  explained: {
    class: 'protocol-error',
    cause: 'The webhook gave an answer that does not belong here.',
    fix: 'Check that the URL belongs to an HTTP server that takes POST requests.',
  },
};

const ANSWERS: readonly Answer[] = [
  {
    when: (status) => status >= 300 && status < 400,
    code: 451,
    enhanced: '4.3.5',
    explained: {
      class: 'webhook-redirect',
      cause: 'The webhook answers with a redirect, and mail is posted to the configured URL only.',
      fix: 'Put the URL it redirects to into the route.',
    },
  },
  {
    when: oneOf(401, 403),
    code: 554,
    enhanced: '5.7.1',
    explained: { class: 'webhook-refused', cause: 'The webhook does not accept the request.', fix: 'Check that both sides have the same secret, and that their clocks are right.' },
  },
  {
    when: oneOf(413),
    code: 552,
    enhanced: '5.3.4',
    explained: { class: 'message-too-big', cause: 'The message is larger than the webhook takes.', fix: 'Raise the limit of the application, or lower limits.message_size here.' },
  },
  {
    when: oneOf(408, 425),
    code: 451,
    enhanced: '4.4.2',
    explained: {
      class: 'timeout',
      cause: 'The webhook did not get through with the request in its time.',
      fix: 'It is tried again by itself; see whether the application is slow.',
    },
  },
  {
    when: oneOf(429),
    code: 451,
    enhanced: '4.7.1',
    explained: {
      class: 'rate-limited',
      cause: 'The webhook takes only so many requests in a given time.',
      fix: 'It is tried again by itself, not before the time that the answer names.',
    },
  },
  {
    when: (status) => status >= 400 && status < 500,
    code: 554,
    enhanced: '5.3.0',
    explained: {
      class: 'webhook-refused',
      cause: 'The webhook says that it will not take the message.',
      fix: 'Read what it says. An application that wants the message again later answers with 429 or 503.',
    },
  },
  {
    when: (status) => status >= 500,
    code: 451,
    enhanced: '4.3.0',
    explained: { class: 'webhook-failing', cause: 'The application behind the webhook has a fault.', fix: 'It is tried again by itself; look into the log of the application.' },
  },
];

function failureOf(kind: ClientFailure['kind'], code: string, text: string, possibleDuplicate: boolean): ClientFailure {
  return { phase: possibleDuplicate ? 'final' : 'body', kind, reply: null, code, text, possibleDuplicate };
}

/** What is posted, from its beginning; the same bytes each time for the same `nowMs`. */
async function* payload(delivery: Delivery, of: { readonly format: 'raw' | 'json'; readonly nowMs: number }): AsyncGenerator<Buffer> {
  const { envelope, recipients, content } = delivery;
  if (of.format === 'raw') {
    const to = recipients.map((recipient) => `X-Envelope-To: <${recipient.address.text}>\r\n`).join('');
    yield Buffer.from(`Return-Path: ${formatPath(envelope.from)}\r\n${to}`);
    yield* content();
    return;
  }
  const { origin, authentication } = envelope;
  const data = {
    id: envelope.id,
    acceptedAt: new Date(envelope.acceptedAtMs).toISOString(),
    from: envelope.from?.text ?? null,
    to: recipients.map((recipient) => recipient.address.text),
    subject: envelope.subject,
    messageId: envelope.messageIdHeader,
    sizeBytes: envelope.sizeBytes,
    client: { address: origin.clientAddress, helo: origin.helo, tls: origin.tls },
    authentication: authentication ?? null,
  };
  const head = JSON.stringify({ type: 'message.received', timestamp: new Date(of.nowMs).toISOString(), data });
  yield Buffer.from(`${head.slice(0, -2)},"content":"`);
  yield* base64(content());
  yield Buffer.from('"}}');
}

/** Whole groups of three bytes only, so that the pieces join. */
async function* base64(content: Content): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of content) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const whole = bytes.length - (bytes.length % 3);
    if (whole > 0) yield Buffer.from(bytes.toString('base64', 0, whole), 'latin1');
    rest = Buffer.from(bytes.subarray(whole));
  }
  if (rest.length > 0) yield Buffer.from(rest.toString('base64'), 'latin1');
}
