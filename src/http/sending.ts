// From a request to a message in the queue: as whom it is sent, its envelope, its content, and what the intake's answer is over HTTP. Decides
// nothing about mail; the worker that takes the message does (src/intake/submission.ts).

import { createHash } from 'node:crypto';
import { errorCode, errorText } from '#base/failure.ts';
import type { Log } from '#base/log.ts';
import type { Submission, SubmissionSender, Submitted } from '#intake/submission.ts';
import { composeMessage } from '#mail/compose.ts';
import { distinct, envelopeOf } from '#mail/envelope.ts';
import type { OnceUsed } from '#queue/queue.ts';
import { isAsciiAddress } from '#smtp/address.ts';
import type { Address, ReversePath } from '#smtp/address.ts';
import type { MailCommand, Notify, RcptCommand } from '#smtp/policy.ts';
import type { Reply } from '#smtp/reply.ts';
import type { Directory } from '#store/directory.ts';
import type { Identity } from './identity.ts';
import { MAX_AHEAD_MS, draftOf } from './message-input.ts';
import type { MessageInput } from './message-input.ts';
import { ProblemError } from './problem.ts';
import type { Problem } from './problem.ts';

export type SendingParts = {
  readonly submit: (submission: Submission) => Promise<Submitted>;
  readonly once: (key: string) => Promise<OnceUsed | null>;
  readonly directory: Pick<Directory, 'credential' | 'domains'>;
  readonly messageSizeBytes: () => number;
  /** Whose rules hold for accounts of this machine; null: any sender, live. */
  readonly localCredential: () => string | null;
  readonly log: Log;
};

/** Who asks, from where, and under which key. */
export type Asking = { readonly identity: Identity; readonly client: string; readonly key: string | null };

export type Sent = { readonly id: string; /** It was sent before, under the same key. */ readonly again: boolean };

/** A message before it is looked at by the intake. `content` is made when it is needed. */
type Order = {
  readonly how: Pick<MessageInput, 'credential' | 'sandbox' | 'requireTls' | 'sendAt'>;
  readonly envelope: Omit<MessageInput['envelope'], 'from' | 'to'> & { readonly from: ReversePath; readonly to: readonly Address[] };
  /** What is the same when the request is repeated. */
  readonly same: string | Buffer;
  readonly content: () => Buffer;
};

/** Sends what a JSON document asks for. Throws ProblemError. */
export function sendInput(parts: SendingParts, asking: Asking, input: MessageInput): Promise<Sent> {
  const same = asking.key === null ? '' : JSON.stringify(input);
  if (input.raw !== undefined) return send(parts, asking, rawOrder(Buffer.from(input.raw, 'base64'), { how: input, asked: input.envelope, same }));
  const { from } = input;
  if (from === undefined) throw new TypeError('a message without an author passed its schema');
  const named = [...input.to, ...input.cc, ...input.bcc].map((one) => one.address);
  const sender = input.envelope.from === undefined ? (input.sender ?? from).address : input.envelope.from;
  return send(parts, asking, {
    how: input,
    envelope: { ...input.envelope, from: sender, to: distinct(input.envelope.to ?? named) },
    same,
    content: () => composeMessage(draftOf(input, from)),
  });
}

/** Sends a message as it is. */
export function sendRaw(
  parts: SendingParts,
  asking: Asking,
  raw: { readonly content: Buffer; readonly how: Omit<Order['how'], 'requireTls'>; readonly from: ReversePath | undefined; readonly to: readonly Address[] },
): Promise<Sent> {
  const { content, how, from, to } = raw;
  const asked = { ...(from === undefined ? {} : { from }), ...(to.length === 0 ? {} : { to: [...to] }) };
  const same = asking.key === null ? '' : Buffer.concat([Buffer.from(JSON.stringify({ how, asked })), content]);
  return send(parts, asking, rawOrder(content, { how: { ...how, requireTls: false }, asked, same }));
}

function rawOrder(given: Buffer, { how, asked, same }: { how: Order['how']; asked: MessageInput['envelope']; same: Order['same'] }): Order {
  const content = withCrlf(given);
  const header = envelopeOf(content);
  const from = asked.from === undefined ? header.from : asked.from;
  const to = asked.to ?? header.to;
  if ((asked.to === undefined || asked.from === undefined) && header.unreadable !== null)
    throw invalid(`"${header.unreadable.slice(0, 100)}" in the header of the message is not a mail address`, 'Mend it, or give the envelope besides the message.');
  if (asked.from === undefined && from === null)
    throw invalid('The message has no From field that says who sends it', 'Add one, or give the sender of the envelope besides the message.');
  if (to.length === 0) throw invalid('The message names nobody who is to get it', 'Add a To, Cc or Bcc field, or give the recipients besides the message.');
  return { how, envelope: { ...asked, from, to: distinct(to) }, same, content: () => content };
}

async function send(parts: SendingParts, asking: Asking, order: Order): Promise<Sent> {
  const once = asking.key === null ? null : { key: keyOf(asking.identity, asking.key), hash: createHash('sha256').update(order.same).digest('base64url') };
  const before = once === null ? null : await parts.once(once.key);
  if (once !== null && before !== null) return repeated(before, once.hash);
  const sender = await senderOf(parts, asking.identity, order.how);
  const content = order.content();
  const limitBytes = parts.messageSizeBytes();
  if (content.length > limitBytes) throw tooBig(limitBytes);
  const submission: Submission = {
    entrance: isLocal(asking.identity) ? 'local' : 'api',
    sender,
    by: asking.identity.name,
    clientAddress: asking.client,
    mail: mailOf(order),
    recipients: recipientsOf(order),
    once,
    content,
  };
  const submitted = await parts.submit(submission).catch((error: unknown) => {
    parts.log.error('http.not-submitted', { cause: errorText(error), code: errorCode(error) });
    throw notNow();
  });
  if ('id' in submitted) return { id: submitted.id, again: false };
  if ('used' in submitted && once !== null) return repeated(submitted.used, once.hash);
  if ('unknownCredential' in submitted) throw noCredential(submitted.unknownCredential);
  throw 'refused' in submitted ? new ProblemError(problemOf(submitted.refused, submitted.recipient)) : notNow();
}

/** Two clients may choose the same key. */
function keyOf({ kind, id, name }: Identity, key: string): string {
  return `${kind} ${id ?? name} ${key}`;
}

function repeated(before: OnceUsed, hash: string): Sent {
  if (before.hash === hash) return { id: before.id, again: true };
  throw new ProblemError({
    status: 422,
    title: 'Key used before',
    code: 'idempotency-key-reused',
    cause: `Another message was sent under this Idempotency-Key within the last 24 hours (${before.id}).`,
    fix: 'Choose a new key for each message, and repeat a request unchanged.',
  });
}

function isLocal({ kind }: Identity): boolean {
  return kind === 'socket' || kind === 'local';
}

/** A credential that was named; else who asks: a project as its domains, everybody else as any. */
async function senderOf({ directory, localCredential }: SendingParts, identity: Identity, { credential: wanted, sandbox }: Order['how']): Promise<SubmissionSender> {
  const { project } = identity;
  // On the socket that is open to every account, the operator has said whose rules hold.
  const credential = identity.kind === 'local' ? (localCredential() ?? undefined) : wanted;
  if (credential !== undefined) {
    const found = await directory.credential(credential);
    if (found === null || (project !== null && found.project !== project)) throw noCredential(credential);
    return { credential, sandbox };
  }
  const mode = sandbox ? 'sandbox' : 'live';
  // Never the name of a credential: those have no colon, and at a socket the name is the account's own word.
  const vouched = `${isLocal(identity) ? 'account' : identity.kind}:${identity.name}`;
  if (project === null) return { vouched, domains: [], mode, project };
  const domains = (await directory.domains()).filter((domain) => domain.project === project).map((domain) => domain.name);
  if (domains.length > 0) return { vouched, domains, mode, project };
  throw new ProblemError({
    status: 403,
    title: 'Not allowed',
    code: 'outside-project',
    cause: `The project "${project}" has no domain that it could send from.`,
    fix: 'Have the operator give the project a domain, or name one of its credentials.',
  });
}

function mailOf({ how, envelope: { from, to, ret, envid } }: Order): MailCommand {
  const { sendAt, requireTls } = how;
  const smtpUtf8 = !to.every(isAsciiAddress) || (from !== null && !isAsciiAddress(from));
  return {
    from,
    sizeBytes: null,
    body: null,
    smtpUtf8,
    requireTls,
    ret: ret ?? null,
    envid: envid ?? null,
    ...(sendAt === undefined || sendAt <= Date.now() ? {} : { holdUntilMs: Math.min(sendAt, Date.now() + MAX_AHEAD_MS) }),
  };
}

function recipientsOf({ envelope: { to, notify } }: Order): RcptCommand[] {
  const wanted: Notify | null = notify === undefined ? null : { success: notify.includes('success'), failure: notify.includes('failure'), delay: notify.includes('delay') };
  return to.map((address) => ({ to: address, notify: wanted, orcpt: null }));
}

/** Line ends of any kind become CRLF: what comes by HTTP was no SMTP, and a bare one would be refused by others. */
function withCrlf(content: Buffer): Buffer {
  const text = content.toString('latin1');
  return /\r(?!\n)|(?<!\r)\n/.test(text) ? Buffer.from(text.replace(/\r\n|\r|\n/g, '\r\n'), 'latin1') : content;
}

const BUSY_SECONDS = '10';

/** What a reply of SMTP is in HTTP; its text is the cause, and says how to mend it. */
function problemOf(reply: Reply, recipient: string | null): Problem {
  const text = reply.lines.join(' ');
  const cause = recipient === null ? `${text}.` : `${recipient}: ${text}.`;
  const [status, title, code] = kindOf(reply);
  const later = status === 429 || status === 503;
  const fix = later
    ? 'Send the request again later (Retry-After).'
    : `Mend what it says and send the request again; in SMTP it is ${reply.code} ${reply.enhanced} (docs/replies.md).`;
  return { status, title, code, cause, fix, ...(later ? { headers: { 'retry-after': status === 429 ? '60' : BUSY_SECONDS } } : {}) };
}

function kindOf({ code, enhanced }: Reply): [Problem['status'], string, string] {
  if (code === 450 && enhanced === '4.7.1') return [429, 'Too many messages', 'rate-exceeded'];
  if (enhanced === '4.5.3') return [422, 'Too many recipients', 'too-many-recipients'];
  if (code === 452) return [503, 'Out of space', 'store-full'];
  if (code < 500) return [503, 'Not now', 'not-now'];
  if (code === 530) return [403, 'Not allowed', 'credential-withdrawn'];
  if (enhanced === '5.3.4') return [413, 'Too large', 'message-too-big'];
  if (enhanced === '5.7.1') return [403, 'Not allowed', 'sender-not-allowed'];
  return [422, 'Message refused', 'message-refused'];
}

function noCredential(name: string): ProblemError {
  return new ProblemError({
    status: 422,
    title: 'No such credential',
    code: 'no-such-credential',
    cause: `There is no credential "${name}" that could send.`,
    fix: 'List the ones there are with: postern credential list',
  });
}

function tooBig(limitBytes: number): ProblemError {
  return new ProblemError({
    status: 413,
    title: 'Too large',
    code: 'message-too-big',
    cause: `The message has more than ${limitBytes} bytes, with its attachments in base64.`,
    fix: 'Send less at once, or raise [limits] message_size.',
  });
}

function invalid(cause: string, fix: string): ProblemError {
  return new ProblemError({ status: 422, title: 'Invalid request', code: 'invalid-request', cause: `${cause}.`, fix });
}

function notNow(): ProblemError {
  return new ProblemError({
    status: 503,
    title: 'Not now',
    code: 'not-now',
    cause: 'The server could not take the message just now; whether it did is not certain.',
    fix: 'Send the request again with the same Idempotency-Key: then it is sent once.',
    headers: { 'retry-after': BUSY_SECONDS },
  });
}
