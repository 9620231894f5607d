// One message over an open connection: MAIL, RCPT and DATA in one packet where PIPELINING allows, the whole transaction in one packet where
// CHUNKING does, else step by step; one outcome per recipient. RFC 5321 3.3, 2920, 3030, 1870, 3461, 6531, 8689, 2033.

import { formatPath } from './address.ts';
import { FINAL_DOT, Stuffer } from './client-body.ts';
import type { Capabilities, ClientEnvelope, ClientFailure, ClientPhase, RecipientReply, RemoteReply, TransactionResult } from './client-types.ts';
import type { Wire } from './client-wire.ts';
import { encodeUtf8Orcpt, encodeXtext } from './grammar.ts';
import type { Notify } from './policy.ts';

export type TransactionOptions = {
  readonly wire: Wire;
  readonly protocol: 'smtp' | 'lmtp';
  readonly capabilities: Capabilities;
  readonly timeouts: { readonly commandMs: number; readonly dataMs: number };
  /** How safe the connection is: what REQUIRETLS asks of the next hop. `local`: it does not leave this machine. */
  readonly safety: 'verified' | 'encrypted' | 'local' | 'none';
  /** The last transaction ended midway: begin with RSET. */
  readonly reset: boolean;
};

export type Body = Iterable<Buffer> | AsyncIterable<Buffer>;

/** `midway`: the server still holds a transaction, the next one must begin with RSET. */
export type Ended = { readonly result: TransactionResult; readonly midway: boolean };

/** Up to this size a body is sent together with its envelope where CHUNKING is offered: a refusal wastes no more than that. */
const ONE_PACKET_BYTES = 64 * 1024;
const CLOSING = 421;

/** Sends one message; without a body asks about its recipients only. Never rejects: what fails is in the result. */
export async function runTransaction(options: TransactionOptions, envelope: ClientEnvelope, body: Body | null): Promise<Ended> {
  const refused = preflight(options, envelope);
  if (refused !== null) return { result: { failure: refused }, midway: options.reset };
  const transaction = new Transaction(options, envelope);
  return body === null ? transaction.ask() : transaction.run(body);
}

/** What this server cannot take is found before anything is said. */
function preflight(options: TransactionOptions, envelope: ClientEnvelope): ClientFailure | null {
  const { capabilities } = options;
  const offered = (keyword: string): boolean => capabilities.keywords.has(keyword);
  if (envelope.smtpUtf8 && !offered('SMTPUTF8')) return policy('ERR_SMTPUTF8_ADDRESS', 'the next hop does not offer SMTPUTF8, which the addresses or headers of this message need');
  const insecure = envelope.requireTls ? requireTlsProblem(options, envelope) : null;
  if (insecure !== null) return policy('ERR_REQUIRETLS', insecure);
  const { sizeBytes } = capabilities;
  if (sizeBytes !== null && envelope.sizeBytes > sizeBytes) return policy('ERR_SIZE', `the message has ${envelope.sizeBytes} octets, the next hop takes at most ${sizeBytes}`);
  return null;
}

/**
 * Why this hop cannot have a message with REQUIRETLS (RFC 8689 4.2.1), or null. A mail store on this machine is no hop. A report about such
 * a message must not be lost because the way back does not know REQUIRETLS (5).
 */
function requireTlsProblem({ safety, protocol, capabilities }: TransactionOptions, { from }: ClientEnvelope): string | null {
  if (protocol === 'lmtp' && safety === 'local') return null;
  if (from === null) return safety === 'verified' || safety === 'encrypted' ? null : 'the message is a report about one with REQUIRETLS, and this connection has no TLS';
  if (safety !== 'verified') return 'the message requires verified TLS on every hop (REQUIRETLS), and this connection has none';
  return protocol === 'lmtp' || capabilities.keywords.has('REQUIRETLS') ? null : 'the message requires TLS on every hop, and the next hop does not offer REQUIRETLS';
}

class Transaction {
  readonly #options: TransactionOptions;
  readonly #envelope: ClientEnvelope;
  readonly #replies: (RecipientReply | null)[];
  /** The server refused the sender and took recipients all the same. */
  #confused = false;

  constructor(options: TransactionOptions, envelope: ClientEnvelope) {
    this.#options = options;
    this.#envelope = envelope;
    this.#replies = envelope.recipients.map(() => null);
  }

  async run(body: Body): Promise<Ended> {
    const { capabilities, protocol, reset } = this.#options;
    const pipelining = capabilities.keywords.has('PIPELINING');
    const chunking = capabilities.keywords.has('CHUNKING') && protocol === 'smtp';
    if (reset) {
      const answer = await this.#lockStep('RSET', 'mail');
      if ('failure' in answer) return this.#failed(answer.failure);
    }
    if (!pipelining) return this.#stepwise(body, chunking);
    if (chunking && Array.isArray(body) && this.#envelope.sizeBytes <= ONE_PACKET_BYTES) return this.#onePacket(body);
    return this.#pipelined(body, chunking);
  }

  /** MAIL and RCPT, one after the other. */
  async ask(): Promise<Ended> {
    if (this.#options.reset) {
      const answer = await this.#lockStep('RSET', 'mail');
      if ('failure' in answer) return this.#failed(answer.failure);
    }
    return (await this.#oneByOne((reply) => ({ accepted: reply.code < 300, phase: 'rcpt', reply }))) ?? this.#done(true);
  }

  /** Envelope, BDAT and body in one write, and one wait for all replies. */
  async #onePacket(chunks: readonly Buffer[]): Promise<Ended> {
    const { wire } = this.#options;
    const commands = `${this.#envelopeLines().join('')}BDAT ${total(chunks)} LAST\r\n`;
    wire.socket.cork();
    wire.write(commands, commands);
    for (const chunk of chunks) wire.write(chunk, null);
    wire.socket.uncork();
    this.#noteBody(total(chunks));
    wire.afterFinalDot = true;
    const failure = await this.#envelopeReplies();
    if (failure !== null) return this.#failed(failure);
    return this.#final(false);
  }

  async #pipelined(body: Body, chunking: boolean): Promise<Ended> {
    const { wire } = this.#options;
    const lines = this.#envelopeLines().join('');
    const commands = chunking ? lines : `${lines}DATA\r\n`;
    wire.write(commands, commands);
    const failure = await this.#envelopeReplies();
    if (failure !== null) return this.#failed(failure);
    return this.#content(body, { chunking, dataSent: !chunking });
  }

  async #stepwise(body: Body, chunking: boolean): Promise<Ended> {
    return (
      (await this.#oneByOne((reply) => (reply.code < 300 ? null : { accepted: false, phase: 'rcpt', reply: readRcpt(reply) }))) ??
      this.#content(body, { chunking, dataSent: false })
    );
  }

  /** MAIL and each RCPT with its answer. What this gives ends the transaction. */
  async #oneByOne(read: (reply: RemoteReply) => RecipientReply | null): Promise<Ended | null> {
    const mail = await this.#lockStep(this.#mailLine().trimEnd(), 'mail');
    if ('failure' in mail) return this.#failed(mail.failure);
    if (mail.reply.code !== 250) {
      this.#refuseAll('mail', mail.reply);
      return this.#done(false);
    }
    for (let i = 0; i < this.#replies.length; i++) {
      const answer = await this.#lockStep(this.#rcptLine(i).trimEnd(), 'rcpt');
      if ('failure' in answer) return this.#failed(answer.failure);
      this.#replies[i] = read(answer.reply);
    }
    return null;
  }

  /** The envelope is answered; the content goes out if anyone wants it. */
  async #content(body: Body, how: { chunking: boolean; dataSent: boolean }): Promise<Ended> {
    const wanted = this.#replies.includes(null);
    if (!how.dataSent && !wanted) return this.#done(true);
    if (how.chunking) return this.#chunked(body);
    const answer = how.dataSent ? await this.#options.wire.next('data', this.#options.timeouts.commandMs) : await this.#lockStep('DATA', 'data');
    if ('failure' in answer) return this.#failed(answer.failure);
    if (answer.reply.code !== 354) {
      this.#refuseAll('data', answer.reply);
      return this.#done(true);
    }
    if (!wanted) return this.#nobodyWants();
    const failure = await this.#dotted(body);
    return failure === null ? this.#final(this.#options.protocol === 'lmtp') : this.#failed(failure);
  }

  /** Pipelined DATA was taken although every recipient was refused: an empty message ends it (RFC 2920 3.1). */
  async #nobodyWants(): Promise<Ended> {
    // Who knows whom it would give an empty message to: the connection is of no use any more.
    if (this.#confused) {
      this.#options.wire.fail({ kind: 'protocol', reply: null, code: null, text: 'the server refused the sender, and took recipients and content all the same' });
      return this.#done(true);
    }
    this.#options.wire.write(FINAL_DOT, '.');
    const answer = await this.#options.wire.next('final', this.#options.timeouts.dataMs);
    return 'failure' in answer ? this.#failed(answer.failure) : this.#done(true);
  }

  async #dotted(body: Body): Promise<ClientFailure | null> {
    const { wire } = this.#options;
    const stuffer = new Stuffer();
    let bytes = 0;
    const put = (chunk: Buffer): void => {
      bytes += chunk.length;
      for (const piece of stuffer.pieces(chunk)) wire.write(piece, null);
    };
    if (Symbol.iterator in body) {
      // In memory already: all of it and the final dot in one gathered write.
      wire.socket.cork();
      for (const chunk of body) put(chunk);
      for (const piece of stuffer.end()) wire.write(piece, null);
      wire.afterFinalDot = true;
      wire.socket.uncork();
    } else {
      const failure = await this.#stream(body, put);
      if (failure !== null) return failure;
      wire.afterFinalDot = true;
      for (const piece of stuffer.end()) wire.write(piece, null);
    }
    this.#noteBody(bytes);
    return null;
  }

  async #stream(body: AsyncIterable<Buffer>, put: (chunk: Buffer) => void): Promise<ClientFailure | null> {
    const { wire, timeouts } = this.#options;
    try {
      for await (const chunk of body) {
        put(chunk);
        await wire.drain('body', timeouts.dataMs);
        if (wire.broken !== null) return wire.broken;
      }
      return null;
    } catch (error) {
      // Our own store failed: the half message must not look like a whole one.
      return wire.fail({ kind: 'aborted', reply: null, code: 'ERR_BODY', text: `the body could not be read: ${error instanceof Error ? error.message : 'unknown'}` });
    }
  }

  /** Chunk by chunk, each answered before the next; the last one says so, and there is no empty one behind it (RFC 3030 2). */
  async #chunked(body: Body): Promise<Ended> {
    const { wire, timeouts } = this.#options;
    let bytes = 0;
    let next: Buffer | null = null;
    try {
      for await (const chunk of body) {
        if (next !== null) {
          this.#writeChunk(next, '');
          const answer = await wire.next('body', timeouts.dataMs);
          if ('failure' in answer) return this.#failed(answer.failure);
          if (answer.reply.code !== 250) {
            this.#refuseAll('data', answer.reply);
            return this.#done(true);
          }
        }
        bytes += chunk.length;
        next = chunk;
      }
    } catch (error) {
      return this.#failed(wire.fail({ kind: 'aborted', reply: null, code: 'ERR_BODY', text: `the body could not be read: ${error instanceof Error ? error.message : 'unknown'}` }));
    }
    this.#noteBody(bytes);
    wire.afterFinalDot = true;
    this.#writeChunk(next ?? Buffer.alloc(0), ' LAST');
    return this.#final(false);
  }

  #writeChunk(chunk: Buffer, last: '' | ' LAST'): void {
    const { wire } = this.#options;
    const command = `BDAT ${chunk.length}${last}`;
    wire.socket.cork();
    wire.write(`${command}\r\n`, command);
    wire.write(chunk, null);
    wire.socket.uncork();
  }

  /** Replies to MAIL and each RCPT that went out together. */
  async #envelopeReplies(): Promise<ClientFailure | null> {
    const { wire, timeouts } = this.#options;
    const mail = await wire.next('mail', timeouts.commandMs);
    if ('failure' in mail) return mail.failure;
    if (mail.reply.code === CLOSING) return this.#closing(mail.reply);
    for (let i = 0; i < this.#replies.length; i++) {
      const answer = await wire.next('rcpt', timeouts.commandMs);
      if ('failure' in answer) return answer.failure;
      if (answer.reply.code === CLOSING) return this.#closing(answer.reply);
      if (mail.reply.code === 250 && answer.reply.code >= 300) this.#replies[i] = { accepted: false, phase: 'rcpt', reply: readRcpt(answer.reply) };
      if (mail.reply.code !== 250 && answer.reply.code < 300) this.#confused = true;
    }
    if (mail.reply.code !== 250) this.#refuseAll('mail', mail.reply);
    return null;
  }

  /** 421 in the envelope: nothing else will be answered, and nothing was taken, even where the content went out with it (RFC 5321 3.8). */
  #closing(reply: RemoteReply): ClientFailure {
    const { wire } = this.#options;
    wire.afterFinalDot = false;
    return wire.fail({ kind: 'reply', reply, code: null, text: `the server closes the connection: ${reply.code} ${reply.lines.join(' ')}` });
  }

  /** The reply to the message: one for all, or one for each accepted recipient (LMTP). */
  async #final(each: boolean): Promise<Ended> {
    const { wire, timeouts } = this.#options;
    let reply: RemoteReply | null = null;
    for (let i = 0; i < this.#replies.length; i++) {
      if (this.#replies[i] !== null) continue;
      if (reply === null || each) {
        const answer = await wire.next('final', timeouts.dataMs);
        if ('failure' in answer) return this.#failed(answer.failure);
        ({ reply } = answer);
      }
      this.#replies[i] = { accepted: reply.code < 300, phase: 'final', reply };
    }
    // A body that nobody wanted (one packet) is answered all the same.
    if (reply === null) {
      const answer = await wire.next('final', timeouts.dataMs);
      if ('failure' in answer) return this.#failed(answer.failure);
      return this.#done(true);
    }
    return this.#done(reply.code >= 300);
  }

  async #lockStep(line: string, phase: ClientPhase): Promise<{ reply: RemoteReply } | { failure: ClientFailure }> {
    const { wire, timeouts } = this.#options;
    wire.write(`${line}\r\n`, line);
    return wire.next(phase, timeouts.commandMs);
  }

  #refuseAll(phase: 'mail' | 'data', reply: RemoteReply): void {
    this.#replies.forEach((known, i) => {
      this.#replies[i] = known ?? { accepted: false, phase, reply };
    });
  }

  #done(midway: boolean): Ended {
    this.#options.wire.rest();
    return { result: { replies: this.#replies.filter((reply) => reply !== null) }, midway };
  }

  #failed(failure: ClientFailure): Ended {
    return { result: { failure }, midway: true };
  }

  #noteBody(bytes: number): void {
    this.#options.wire.recorder?.add('>', `[${bytes} octets of message]`);
  }

  #envelopeLines(): string[] {
    this.#options.wire.expected = this.#replies.length;
    return [this.#mailLine(), ...this.#replies.map((_, i) => this.#rcptLine(i))];
  }

  #mailLine(): string {
    const { from, sizeBytes, eightBit, smtpUtf8, requireTls, ret, envid } = this.#envelope;
    const { keywords } = this.#options.capabilities;
    let line = `MAIL FROM:${formatPath(from)}`;
    if (keywords.has('SIZE')) line += ` SIZE=${sizeBytes}`;
    if (eightBit && keywords.has('8BITMIME')) line += ' BODY=8BITMIME';
    if (smtpUtf8) line += ' SMTPUTF8';
    if (requireTls && keywords.has('REQUIRETLS')) line += ' REQUIRETLS';
    if (keywords.has('DSN')) {
      if (ret !== null) line += ` RET=${ret.toUpperCase()}`;
      if (envid !== null) line += ` ENVID=${encodeXtext(envid)}`;
    }
    return `${line}\r\n`;
  }

  #rcptLine(i: number): string {
    const recipient = this.#envelope.recipients[i];
    if (recipient === undefined) return '';
    let line = `RCPT TO:${formatPath(recipient.address)}`;
    if (this.#options.capabilities.keywords.has('DSN')) {
      if (recipient.notify !== null) line += ` NOTIFY=${formatNotify(recipient.notify)}`;
      const { orcpt } = recipient;
      if (orcpt !== null) line += ` ORCPT=${orcpt.type};${orcpt.type === 'utf-8' ? encodeUtf8Orcpt(orcpt.value) : encodeXtext(orcpt.value)}`;
    }
    return `${line}\r\n`;
  }
}

/** 552 to RCPT is meant as 452, too many recipients, unless it says something else (RFC 5321 4.5.3.1.10). */
function readRcpt(reply: RemoteReply): RemoteReply {
  const other = /^5\.(?!5\.3|0\.0)/.test(reply.enhanced) || /quota|mailbox|space|size|storage|full/i.test(reply.lines.join(' '));
  return reply.code === 552 && !other ? { code: 452, enhanced: reply.enhanced.replace(/^5/, '4'), lines: reply.lines } : reply;
}

function formatNotify(notify: Notify): string {
  const words = [notify.success ? 'SUCCESS' : '', notify.failure ? 'FAILURE' : '', notify.delay ? 'DELAY' : ''].filter((word) => word !== '');
  return words.length === 0 ? 'NEVER' : words.join(',');
}

function total(chunks: readonly Buffer[]): number {
  let bytes = 0;
  for (const chunk of chunks) bytes += chunk.length;
  return bytes;
}

function policy(code: string, text: string): ClientFailure {
  return { phase: 'mail', kind: 'policy', reply: null, code, text, possibleDuplicate: false };
}
