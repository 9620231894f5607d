// Hands a message over, and tells how it went in the words and numbers of sysexits(3). By HTTP over a socket of a server on this machine, or by SMTP to
// a submission server elsewhere, with TLS that verifies. Waits for an answer that is durable, and never takes the mail into its own keeping.

import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { hostname } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { isImplicitTlsPort } from '#base/ports.ts';
import { errorCode, errorText } from '#base/failure.ts';
import { transact } from '#cli/send/transaction.ts';
import { explainFailure } from '#knowledge/explain.ts';
import type { ReversePath } from '#smtp/address.ts';
import { parseMailbox } from '#smtp/address.ts';
import { connectClient } from '#smtp/client.ts';
import type { ClientFailure, RecipientReply } from '#smtp/client.ts';
import { outboundTls } from '#tls/context.ts';
import type { Place, Relay } from './place.ts';

export const EX = { ok: 0, usage: 64, dataError: 65, unavailable: 69, software: 70, ioError: 74, tempFail: 75, noPermission: 77, config: 78 } as const;

/** What is handed over. */
export type Handed = {
  readonly content: Buffer;
  readonly from: string | null;
  readonly to: readonly string[];
  readonly notify: 'never' | readonly string[] | null;
  readonly ret: 'full' | 'hdrs' | null;
  readonly envid: string | null;
};

export type HandedOver = { readonly code: number; /** For people; '' when all is well. */ readonly text: string };

const TIMEOUT_MS = 120_000;
const AGAIN = 3;
const AGAIN_MS = 1000;
const ANSWER_BYTES = 1024 * 1024;

export async function handOver(place: Place, account: string, handed: Handed): Promise<HandedOver> {
  return 'socket' in place.to ? overSocket(place.to.socket, account, handed) : overSmtp(place.to.relay, handed);
}

async function overSocket(socket: string, account: string, { content, from, to, notify, ret, envid }: Handed): Promise<HandedOver> {
  const envelope = { from, to, ...(notify === null ? {} : { notify }), ...(ret === null ? {} : { ret }), ...(envid === null ? {} : { envid }) };
  const body = JSON.stringify({ raw: content.toString('base64'), envelope });
  let answer: Answered;
  try {
    answer = await askUntilAnswered(socket, { method: 'POST', path: '/v1/messages', account, body, key: randomUUID() });
  } catch (error) {
    return unreached(error, socket);
  }
  if (answer.status === 202) return { code: EX.ok, text: '' };
  const { cause, fix } = problemIn(answer.text);
  const text = `${cause ?? `the server answered with status ${answer.status}.`} ${fix ?? ''}`.trim();
  return { code: codeOf(answer.status), text };
}

/** A connection that breaks may have brought the message over: under the same key it is asked again, and is one message (the server was restarted). */
async function askUntilAnswered(socket: string, asked: Asked): Promise<Answered> {
  for (let again = 0; ; again++) {
    try {
      return await ask(socket, asked);
    } catch (error) {
      const broken = errorCode(error) === 'ECONNRESET' || errorCode(error) === 'EPIPE' || (again > 0 && isAbsent(error));
      if (!broken || again === AGAIN) throw error;
      await setTimeout(AGAIN_MS);
    }
  }
}

function isAbsent(error: unknown): boolean {
  return errorCode(error) === 'ENOENT' || errorCode(error) === 'ECONNREFUSED';
}

function codeOf(status: number): number {
  if (status === 401 || status === 403) return EX.noPermission;
  if (status === 429 || status >= 500) return EX.tempFail;
  return status === 413 ? EX.unavailable : EX.dataError;
}

function unreached(error: unknown, socket: string): HandedOver {
  const code = errorCode(error);
  if (code === 'EACCES' || code === 'EPERM') {
    return {
      code: EX.noPermission,
      text: `this account may not open ${socket}. Give every account a socket of its own with [sendmail] socket in the configuration of the server, and name it in /etc/postern/sendmail.toml.`,
    };
  }
  const text = isAbsent(error)
    ? `no server answers at ${socket}: it does not run, or runs elsewhere. The message was not taken; send it again later.`
    : `the server at ${socket} did not answer: ${errorText(error)}. Whether it has the message is not certain; see "postern message list" before it is sent again.`;
  return { code: EX.tempFail, text };
}

type Asked = { readonly method: string; readonly path: string; readonly account: string; readonly body?: string; readonly key?: string };
type Answered = { readonly status: number; readonly text: string };

/** One request over a socket of the server. Rejects with the system's error. */
export function ask(socketPath: string, asked: Asked): Promise<Answered> {
  const { method, path, account, body, key } = asked;
  return new Promise((resolve, reject) => {
    const headers = {
      'postern-account': account,
      ...(key === undefined ? {} : { 'idempotency-key': key }),
      ...(body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
    };
    const outgoing = request({ socketPath, method, path, timeout: TIMEOUT_MS, headers });
    outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} seconds`)));
    // The server may refuse before it has read all: then its answer counts.
    outgoing.on('error', reject);
    outgoing.on('response', (answer: IncomingMessage) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      answer.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes <= ANSWER_BYTES) chunks.push(chunk);
      });
      answer.on('error', reject);
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }));
    });
    outgoing.end(body);
  });
}

function problemIn(text: string): { readonly cause?: string; readonly fix?: string } {
  try {
    return JSON.parse(text) as { cause?: string; fix?: string };
  } catch {
    return {};
  }
}

async function overSmtp(relay: Relay, { content, from, to, notify, ret, envid }: Handed): Promise<HandedOver> {
  let password = '';
  try {
    if (relay.passwordFile !== null) password = readFileSync(relay.passwordFile, 'utf8').trim();
  } catch (error) {
    return { code: EX.config, text: `the password file ${relay.passwordFile} cannot be read: ${errorText(error)}.` };
  }
  const place = { host: relay.host, port: relay.port };
  const told = (failure: ClientFailure): HandedOver => {
    const { cause, fix } = explainFailure(failure, place);
    return { code: failure.reply !== null && failure.reply.code >= 500 ? EX.unavailable : EX.tempFail, text: `${cause} ${fix}` };
  };
  const connected = await connectClient({
    protocol: 'smtp',
    target: { address: relay.host, port: relay.port },
    helo: hostname(),
    recorder: null,
    tls: {
      wanted: isImplicitTlsPort(relay.port) ? 'implicit' : 'starttls-required',
      serverName: relay.host,
      verify: true,
      context: outboundTls({ caFile: relay.caFile }).secureContext,
    },
    ...(relay.username === null ? {} : { auth: { username: relay.username, password } }),
    timeouts: { connectMs: 30_000, greetingMs: 60_000, commandMs: 60_000, dataMs: TIMEOUT_MS },
  });
  if ('failure' in connected) return told(connected.failure);
  const { client } = connected;
  const whole = Buffer.from(content.toString('latin1').replace(/\r\n|\r|\n/g, '\r\n'), 'latin1');
  const wishes = notify === null ? null : { success: notify.includes('success'), failure: notify.includes('failure'), delay: notify.includes('delay') };
  const message = {
    from: (from === null ? null : parseMailbox(from)) satisfies ReversePath,
    recipients: to.flatMap((text) => parseMailbox(text) ?? []).map((address) => ({ address, notify: wishes, orcpt: null })),
    ret,
    envid,
    requireTls: false,
    content: [whole],
  };
  const said = await transact(client, message, { note: () => {}, askOnly: false });
  await client.quit();
  if ('phase' in said) return told(said);
  const refused = said.filter((one): one is RecipientReply => 'accepted' in one && !one.accepted);
  const failed = said.find((one): one is ClientFailure => 'phase' in one && !('accepted' in one));
  if (failed !== undefined) return told(failed);
  if (refused.length === 0) return { code: EX.ok, text: '' };
  const text = refused.map(({ reply }) => `${relay.host} said ${reply.code} ${reply.lines.join(' ')}.`).join(' ');
  return { code: refused.every(({ reply }) => reply.code >= 500) ? EX.unavailable : EX.tempFail, text };
}
