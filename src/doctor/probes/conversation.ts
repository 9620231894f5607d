// One connection of the doctor: like the client's, but it goes on where a client would stop, times every step, and keeps what was said.

import type { Socket } from 'node:net';
import type { SecureContext, TLSSocket } from 'node:tls';
import type { ClientFailure, ClientOptions, ClientPhase, RemoteReply } from '#smtp/client.ts';
import { Wire, openSocket, secureSocket } from '#smtp/client-wire.ts';
import { Recorder } from '#smtp/transcript.ts';
import type { Transcript } from '#smtp/transcript.ts';
import { tlsFacts } from './certificates.ts';
import type { TlsFacts } from './certificates.ts';

/** What every probe is given. */
export type ProbeOptions = {
  readonly helo: string;
  readonly context: SecureContext;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
};

/** Where a probe goes: `host` is the name that was asked for, `address` the one connected to. */
export type Place = { readonly host: string; readonly address: string; readonly port: number };

export type Timed<T> = { readonly value: T; readonly ms: number };
export type Step<T> = Timed<T> | { readonly failure: ClientFailure; readonly ms: number };

export class Conversation {
  readonly #options: ClientOptions;
  readonly #recorder: Recorder;
  readonly #host: string;
  readonly wire: Wire;
  readonly connectMs: number;
  #pipelining = false;

  private constructor(options: ClientOptions, of: { recorder: Recorder; host: string; socket: Socket; connectMs: number }) {
    this.#options = options;
    this.#recorder = of.recorder;
    this.#host = of.host;
    this.connectMs = of.connectMs;
    this.wire = new Wire(of.socket, of.recorder);
  }

  /** Connects; nothing is read before `attach` or `secure`. */
  static async open(place: Place, { helo, context, timeoutMs, signal }: ProbeOptions): Promise<{ conversation: Conversation } | { failure: ClientFailure; ms: number }> {
    const recorder = new Recorder();
    const options: ClientOptions = {
      protocol: 'smtp',
      target: { address: place.address, port: place.port },
      helo,
      tls: { wanted: 'starttls-required', serverName: place.host, verify: false, context },
      timeouts: { connectMs: timeoutMs, greetingMs: timeoutMs, commandMs: timeoutMs, dataMs: timeoutMs },
      recorder,
      ...(signal === undefined ? {} : { signal }),
    };
    const startMs = performance.now();
    const socket = await openSocket(options);
    const ms = performance.now() - startMs;
    if ('kind' in socket) return { failure: socket, ms };
    const conversation = new Conversation(options, { recorder, host: place.host, socket, connectMs: ms });
    signal?.addEventListener('abort', () => conversation.close(), { once: true });
    return { conversation };
  }

  get transcript(): Transcript {
    return this.#recorder.entries;
  }

  /** Everything that was said, as text. */
  get text(): string {
    return this.transcript.map(({ direction, text }) => `${direction} ${text}`).join('\n');
  }

  greeting(): Promise<Step<RemoteReply>> {
    return this.#await('greeting');
  }

  say(line: string, phase: ClientPhase): Promise<Step<RemoteReply>> {
    this.wire.write(`${line}\r\n`, line);
    return this.#await(phase);
  }

  /** Says hello, and remembers whether lines may go together. */
  async ehlo(helo: string): Promise<Step<RemoteReply>> {
    const step = await this.say(`EHLO ${helo}`, 'ehlo');
    this.#pipelining = 'value' in step && step.value.lines.some((line) => /^PIPELINING\b/i.test(line));
    return step;
  }

  /** Several lines and the answer to each: in one packet where the server takes that (RFC 2920), else one by one. */
  async sayAll(lines: readonly { readonly line: string; readonly phase: ClientPhase }[]): Promise<readonly Step<RemoteReply>[]> {
    const steps: Step<RemoteReply>[] = [];
    if (this.#pipelining) {
      const text = lines.map(({ line }) => `${line}\r\n`).join('');
      this.wire.write(text, text);
    }
    for (const { line, phase } of lines) {
      const step = this.#pipelining ? await this.#await(phase) : await this.say(line, phase);
      steps.push(step);
      if ('failure' in step) break;
    }
    return steps;
  }

  /** The next reply, without saying anything. */
  next(phase: ClientPhase): Promise<Step<RemoteReply>> {
    return this.#await(phase);
  }

  /** Shakes hands; what was sent before it in the clear is dropped. */
  async secure(): Promise<Step<TlsFacts>> {
    const startMs = performance.now();
    const secured = await secureSocket(this.wire.socket, this.#options);
    const ms = performance.now() - startMs;
    if ('kind' in secured) {
      this.#recorder.add('*', secured.text);
      return { failure: secured, ms };
    }
    const facts = tlsFacts(secured.socket as TLSSocket, this.#host, ms);
    this.#recorder.add('*', `TLS: ${facts.protocol} ${facts.cipher}, ${facts.problem ?? 'certificate verified'}`);
    this.wire.socket = secured.socket;
    this.wire.attach();
    return { value: facts, ms };
  }

  close(): void {
    const { socket } = this.wire;
    socket.removeAllListeners('data');
    socket.on('error', () => {});
    socket.destroy();
  }

  /** Says goodbye without waiting for the answer. */
  quit(): void {
    if (this.wire.broken === null) this.wire.write('QUIT\r\n', null);
    const { socket } = this.wire;
    socket.on('error', () => {});
    socket.end();
    setTimeout(() => socket.destroy(), 500).unref();
  }

  async #await(phase: ClientPhase): Promise<Step<RemoteReply>> {
    const startMs = performance.now();
    const answer = await this.wire.next(phase, this.#options.timeouts.commandMs);
    const ms = performance.now() - startMs;
    return 'reply' in answer ? { value: answer.reply, ms } : { failure: answer.failure, ms };
  }
}

/** A reply as it was sent, on one line. */
export function replyText(reply: RemoteReply): string {
  return `${reply.code} ${reply.enhanced} ${reply.lines.join(' / ')}`.replace(/ +/g, ' ').trim();
}
