// One question to one DNS server: UDP from a fresh random port, TCP when the answer is cut. Checks that an answer is ours; knows
// neither cache nor retries. RFC 1035 4.2, RFC 5452 (id, port, question), RFC 6891 (EDNS), RFC 6840 5.7 (AD in a query), RFC 7766.

import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import packet from 'dns-packet';
import type { DecodedPacket, Question, RecordType } from 'dns-packet';
import type { Clock } from '#base/clock.ts';
import { errorCode, errorText } from '#base/failure.ts';

export type DnsServer = { readonly address: string; readonly family: 4 | 6; readonly port: number };

/** An answer to exactly this question, or why there is none. `detail` names the server. */
export type ExchangeResult =
  | { readonly kind: 'answer'; readonly packet: DecodedPacket; readonly rcode: number }
  | { readonly kind: 'failed'; readonly cause: 'timeout' | 'malformed' | 'unreachable'; readonly detail: string };

export type ExchangeOptions = {
  readonly server: DnsServer;
  readonly name: string;
  readonly type: RecordType;
  readonly edns: boolean;
  /** False: what the server itself is responsible for, nothing it would have to ask for. */
  readonly recursion?: boolean;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
};

const HEADER_BYTES = 12;
/** Answers of this size are not fragmented on any usual path (DNS flag day 2020). */
const UDP_PAYLOAD_BYTES = 1232;
/** Datagrams that are no answer to us, before the exchange is given up: someone guesses ids. */
const STRAY_DATAGRAMS = 100;

type Finish = (result: ExchangeResult) => void;
type Ask = { readonly id: number; readonly query: Buffer; readonly options: ExchangeOptions; readonly where: string };

/** Asks once. Never rejects; bounded by `timeoutMs` for UDP and TCP together, and by `signal`. */
export async function exchange(options: ExchangeOptions): Promise<ExchangeResult> {
  const { server, clock, timeoutMs } = options;
  const id = randomInt(0x10000);
  const where = `${server.family === 6 ? `[${server.address}]` : server.address}:${server.port}`;
  const ask: Ask = { id, query: encodeQuery(id, options), options, where };
  const deadlineMs = clock.nowMs() + timeoutMs;
  const answer = await within(ask, timeoutMs, overUdp);
  if (answer.kind === 'failed' || !answer.packet.flag_tc) return answer;
  return within(ask, Math.max(deadlineMs - clock.nowMs(), 1), overTcp);
}

function encodeQuery(id: number, { name, type, edns, recursion }: ExchangeOptions): Buffer {
  // @types/dns-packet wants every OPT field that the encoder fills in by itself.
  const opt = { type: 'OPT', name: '.', udpPayloadSize: UDP_PAYLOAD_BYTES, extendedRcode: 0, ednsVersion: 0, flags: 0, flag_do: false, options: [] } as const;
  return packet.encode({
    type: 'query',
    id,
    flags: (recursion === false ? 0 : packet.RECURSION_DESIRED) | packet.AUTHENTIC_DATA,
    questions: [{ name, type, class: 'IN' }],
    additionals: edns ? [{ ...opt, options: [] }] : [],
  });
}

/** Runs a transport with its deadline; the transport returns how to close it. */
function within(ask: Ask, timeoutMs: number, transport: (ask: Ask, finish: Finish) => () => void): Promise<ExchangeResult> {
  const { clock, signal } = ask.options;
  return new Promise((resolve) => {
    let close: (() => void) | null = null;
    let done = false;
    const finish: Finish = (result) => {
      if (done) return;
      done = true;
      cancel();
      signal.removeEventListener('abort', abort);
      close?.();
      resolve(result);
    };
    const abort = (): void => finish({ kind: 'failed', cause: 'unreachable', detail: 'the resolver is closed' });
    const cancel = clock.after(timeoutMs, () => finish({ kind: 'failed', cause: 'timeout', detail: `no answer from ${ask.where} in ${Math.round(timeoutMs)} ms` }));
    signal.addEventListener('abort', abort);
    if (signal.aborted) return abort();
    close = transport(ask, finish);
    if (done) close();
  });
}

function overUdp(ask: Ask, finish: Finish): () => void {
  const { server } = ask.options;
  const socket = createSocket(server.family === 6 ? 'udp6' : 'udp4');
  let strays = 0;
  socket.on('error', (error) => finish(unreachable(ask, error)));
  socket.on('message', (bytes) => {
    const result = readAnswer(ask, bytes);
    if (result !== null) finish(result);
    else if (++strays > STRAY_DATAGRAMS) finish({ kind: 'failed', cause: 'malformed', detail: `${ask.where} sends answers that are not ours` });
  });
  // Connected: the kernel drops what comes from elsewhere, and tells of a closed port. The port of our end is the kernel's random one.
  socket.connect(server.port, server.address, () => socket.send(ask.query));
  return () => socket.close();
}

function overTcp(ask: Ask, finish: Finish): () => void {
  const { server } = ask.options;
  const socket = connect({ host: server.address, port: server.port });
  const length = Buffer.alloc(2);
  length.writeUInt16BE(ask.query.length);
  let received: Buffer = Buffer.alloc(0);
  socket.on('error', (error) => finish(unreachable(ask, error)));
  socket.on('close', () => finish({ kind: 'failed', cause: 'malformed', detail: `${ask.where} closed the connection without an answer` }));
  socket.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    const wanted = received.length < 2 ? Infinity : 2 + received.readUInt16BE(0);
    if (received.length < wanted) return;
    const result = readAnswer(ask, received.subarray(2, wanted));
    finish(result ?? { kind: 'failed', cause: 'malformed', detail: `${ask.where} answered another question` });
  });
  socket.write(Buffer.concat([length, ask.query]));
  return () => socket.destroy();
}

/** The answer if it is one to our question (RFC 5452 9.1), null if it is not ours. */
function readAnswer(ask: Ask, bytes: Buffer): ExchangeResult | null {
  if (bytes.length < HEADER_BYTES || bytes.readUInt16BE(0) !== ask.id || (bytes.readUInt8(2) & 0x80) === 0) return null;
  const rcode = bytes.readUInt8(3) & 0x0f;
  let decoded: DecodedPacket;
  try {
    decoded = packet.decode(bytes);
  } catch (error) {
    const cut = (bytes.readUInt8(2) & 0x02) !== 0;
    // A cut answer need not be whole: what counts is that TCP must be asked.
    if (cut) return { kind: 'answer', rcode, packet: { flag_tc: true } as DecodedPacket };
    return { kind: 'failed', cause: 'malformed', detail: `${ask.where} sent an answer that cannot be read (${errorText(error)})` };
  }
  const [question] = decoded.questions ?? [];
  // A server that cannot read a query may leave the question out of its FORMERR.
  if (question === undefined) return rcode === 0 ? null : { kind: 'answer', packet: decoded, rcode };
  return isOurs(question, ask.options) && decoded.questions?.length === 1 ? { kind: 'answer', packet: decoded, rcode } : null;
}

function isOurs(question: Question, options: ExchangeOptions): boolean {
  return question.name.toLowerCase() === options.name && question.type === options.type && (question.class ?? 'IN') === 'IN';
}

function unreachable(ask: Ask, error: unknown): ExchangeResult {
  return { kind: 'failed', cause: 'unreachable', detail: `${ask.where} cannot be reached (${errorCode(error) ?? errorText(error)})` };
}
