// Mail that is handed over whole, without SMTP: the HTTP API and the command `sendmail`. It passes the same policy as a submission by port 587, step
// for step, in the worker that will deliver it; here is the order of these steps, and what a session would otherwise see to.

import { randomUUID } from 'node:crypto';
import { errorCode } from '#base/failure.ts';
import type { OnceKey, OnceUsed } from '#queue/queue.ts';
import type { MessageId } from '#queue/records.ts';
import type { Connection, Entrance, MailCommand, Policy, RcptCommand, Transaction } from '#smtp/policy.ts';
import type { Reply } from '#smtp/reply.ts';
import { REPLIES } from '#smtp/reply.ts';
import type { Credential, DirectoryReader } from '#store/directory.ts';
import type { Sender } from './authenticate.ts';

/** Plain data: it travels from the main thread to a worker, the content by transfer. */
export type Submission = {
  readonly entrance: Extract<Entrance, 'api' | 'local'>;
  readonly sender: SubmissionSender;
  /** The token, or the account of this machine. */
  readonly by: string;
  /** '' where it came through the socket. */
  readonly clientAddress: string;
  readonly mail: MailCommand;
  readonly recipients: readonly RcptCommand[];
  readonly once: OnceKey | null;
  /** Lines end in CRLF, all of them. */
  readonly content: Uint8Array;
};

/** A credential of the directory, or somebody the management side vouches for, who may send as these domains (none: any). */
export type SubmissionSender =
  | { readonly credential: string; readonly sandbox: boolean }
  | { readonly vouched: string; readonly domains: readonly string[]; readonly mode: 'live' | 'sandbox'; readonly project: string | null };

export type Submitted =
  | { readonly id: MessageId }
  /** Nothing was taken. `recipient`: whom the refusal is about. */
  | { readonly refused: Reply; readonly recipient: string | null }
  | { readonly used: OnceUsed }
  | { readonly unknownCredential: string };

export type Submitter = { submit(submission: Submission): Promise<Submitted> };

type SubmitterParts = {
  readonly policy: Policy<Sender>;
  readonly directory: Pick<DirectoryReader, 'credential'>;
  readonly limits: () => { readonly messageSizeBytes: number; readonly recipients: number };
};

/** So much is written to the sink at a time, so that a big message waits for the store as one by SMTP does. */
const CHUNK_BYTES = 256 * 1024;

export function openSubmitter(parts: SubmitterParts): Submitter {
  return {
    async submit(submission) {
      const identity = await identityOf(parts, submission.sender);
      if (identity === null) return { unknownCredential: 'credential' in submission.sender ? submission.sender.credential : '' };
      const connection = connectionOf(submission, identity);
      try {
        return await transact(parts, connection, submission);
      } catch (error) {
        if (errorCode(error) === 'once-used' && typeof error === 'object' && error !== null && 'used' in error) return { used: error.used as OnceUsed };
        throw error;
      }
    },
  };
}

async function transact({ policy, limits }: SubmitterParts, connection: Connection<Sender>, submission: Submission): Promise<Submitted> {
  const { mail, recipients, once, content } = submission;
  const { messageSizeBytes, recipients: most } = limits();
  const refuse = (step: string, refused: Reply, recipient: string | null = null): Submitted => {
    policy.refused(connection, { step, reply: refused, again: false });
    return { refused, recipient };
  };
  if (content.length > messageSizeBytes) return refuse('DATA', REPLIES.tooBig(messageSizeBytes));
  if (recipients.length > most) return refuse('RCPT', REPLIES.tooManyRecipients(most));
  const sender = await policy.mail(connection, mail);
  if (sender !== null) return refuse('MAIL', sender);
  const transaction: Transaction = { mail, recipients: [], ...(once === null ? {} : { once }) };
  for (const rcpt of recipients) {
    const refusal = await policy.rcpt(connection, transaction, rcpt);
    if (refusal !== null) return refuse('RCPT', refusal, rcpt.to.text);
    transaction.recipients.push(rcpt);
  }
  const sink = await policy.data(connection, transaction);
  if ('code' in sink) return refuse('DATA', sink);
  const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
    const refusal = await sink.write(bytes.subarray(at, at + CHUNK_BYTES));
    if (refusal === undefined) continue;
    sink.abort();
    return refuse('DATA', refusal);
  }
  const reply = await sink.finish();
  return reply.messageId === undefined ? refuse('DATA', reply) : { id: reply.messageId };
}

async function identityOf({ directory }: SubmitterParts, sender: SubmissionSender): Promise<Sender | null> {
  if ('vouched' in sender) return { credential: sender.vouched, username: sender.vouched, record: recordOf(sender), vouched: true };
  const record = await directory.credential(sender.credential);
  if (record === null) return null;
  return { credential: record.name, username: record.username, record: sender.sandbox ? { ...record, mode: 'sandbox' } : record };
}

/** As a credential would be kept, but no password opens it. */
function recordOf({ vouched, domains, mode, project }: Extract<SubmissionSender, { vouched: string }>): Credential {
  const never = Buffer.alloc(0);
  return {
    name: vouched,
    username: vouched,
    domains,
    mode,
    allowIps: [],
    ratePerHour: null,
    project,
    createdAtMs: 0,
    rotatedAtMs: null,
    revokedAtMs: null,
    lastUsedAtMs: null,
    secretHash: never,
    scram: { salt: never, iterations: 0, storedKey: never, serverKey: never },
  };
}

function connectionOf({ entrance, clientAddress, by }: Submission, identity: Sender): Connection<Sender> {
  return {
    id: randomUUID().slice(0, 8),
    profile: entrance,
    clientAddress,
    clientPort: 0,
    localAddress: '',
    localPort: 0,
    helo: by,
    extended: true,
    tls: null,
    identity,
  };
}
