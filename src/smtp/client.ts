// The client side of one SMTP (or LMTP) connection: the routes, the doctor and `postern send` all use this one. It speaks, times
// and records; it decides nothing (no DNS, no policy, no retries). RFC 5321 3.1, 3207, 2033, 4954.

import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { authenticate } from './client-auth.ts';
import { runTransaction } from './client-transaction.ts';
import type { Body, TransactionOptions } from './client-transaction.ts';
import type { Capabilities, ClientEnvelope, ClientFailure, ClientOptions, ConnectResult, RemoteReply, SmtpClient, TransactionResult } from './client-types.ts';
import { Wire, openSocket, secureSocket } from './client-wire.ts';

export type * from './client-types.ts';

const QUIT_MS = 2000;
/** What OpenSSL says of bytes that are no TLS. */
const NO_TLS: ReadonlySet<string> = new Set(['ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_SSL_PACKET_LENGTH_TOO_LONG']);

/** Connects, greets, secures and (if asked) authenticates. Never rejects. Bounded by the timeouts of each phase. */
export async function connectClient(options: ClientOptions): Promise<ConnectResult> {
  const { recorder } = options;
  const opening = new Opening(options);
  const begunMs = performance.now();
  const socket = await openSocket(options);
  recorder?.waited('connect', performance.now() - begunMs);
  if ('kind' in socket) {
    recorder?.add('*', socket.text);
    return { failure: socket, transcript: recorder?.entries ?? [], tlsOffered: false, greeting: opening.greeting, localAddress: '' };
  }
  const abort = (): void => void opening.wire?.fail({ kind: 'aborted', reply: null, code: 'ABORT_ERR', text: 'given up' });
  options.signal?.addEventListener('abort', abort, { once: true });
  const failure = await opening.run(socket);
  options.signal?.removeEventListener('abort', abort);
  if (failure === null) return { client: new Client(options, opening) };
  opening.wire?.socket.destroy();
  socket.destroy();
  return { failure, transcript: recorder?.entries ?? [], tlsOffered: opening.tlsOffered, greeting: opening.greeting, localAddress: opening.localAddress };
}

/** The steps from an open socket to a connection ready for MAIL. */
class Opening {
  readonly #options: ClientOptions;
  wire: Wire | null = null;
  greeting: RemoteReply = { code: 0, enhanced: '', lines: [] };
  capabilities: Capabilities = { keywords: new Map(), sizeBytes: null, auth: [] };
  tls: SmtpClient['tls'] = null;
  tlsOffered = false;
  remote = { address: '', port: 0 };
  localAddress = '';

  constructor(options: ClientOptions) {
    this.#options = options;
  }

  async run(socket: Socket): Promise<ClientFailure | null> {
    const { tls, recorder, timeouts, auth } = this.#options;
    this.remote = { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 };
    this.localAddress = socket.localAddress ?? '';
    recorder?.add('*', 'socket' in this.#options.target ? `connected to ${this.#options.target.socket}` : `connected to ${this.remote.address} port ${this.remote.port}`);
    const wire = new Wire(socket, recorder);
    this.wire = wire;
    if (this.#options.preface !== undefined) {
      socket.write(this.#options.preface);
      recorder?.add('>', this.#options.preface.trimEnd());
    }
    if (tls.wanted === 'implicit') {
      const failure = await this.#secure(wire, socket);
      if (failure !== null) return failure;
    } else wire.attach();
    const greeting = await wire.next('greeting', timeouts.greetingMs);
    if ('failure' in greeting) return greeting.failure;
    this.greeting = greeting.reply;
    if (greeting.reply.code !== 220) return wire.fail({ phase: 'greeting', kind: 'reply', reply: greeting.reply, code: null, text: `greeting refused: ${say(greeting.reply)}` });
    const failure = (await this.#ehlo(wire)) ?? (await this.#startTls(wire));
    if (failure !== null) return failure;
    if (auth === undefined) return null;
    if (this.tls === null) return wire.fail({ phase: 'auth', kind: 'policy', reply: null, code: 'ERR_NO_TLS', text: 'no TLS, so no password is sent' });
    const refused = await authenticate(wire, auth, { offered: this.capabilities.auth, timeoutMs: timeouts.commandMs, binding: exporterOf(wire.socket) });
    return refused === null ? null : (wire.broken ?? wire.fail(refused));
  }

  async #ehlo(wire: Wire): Promise<ClientFailure | null> {
    const { helo, protocol, timeouts } = this.#options;
    const verb = protocol === 'lmtp' ? 'LHLO' : 'EHLO';
    wire.write(`${verb} ${helo}\r\n`, `${verb} ${helo}`);
    let answer = await wire.next('ehlo', timeouts.commandMs);
    if ('failure' in answer) return answer.failure;
    if (answer.reply.code >= 500 && protocol === 'smtp') {
      wire.write(`HELO ${helo}\r\n`, `HELO ${helo}`);
      answer = await wire.next('ehlo', timeouts.commandMs);
      if ('failure' in answer) return answer.failure;
      this.capabilities = { keywords: new Map(), sizeBytes: null, auth: [] };
    } else this.capabilities = capabilitiesOf(answer.reply, this.#options.without);
    if (answer.reply.code === 250) return null;
    return wire.fail({ phase: 'ehlo', kind: 'reply', reply: answer.reply, code: null, text: `${verb} refused: ${say(answer.reply)}` });
  }

  async #startTls(wire: Wire): Promise<ClientFailure | null> {
    const { tls, timeouts } = this.#options;
    if (tls.wanted === 'implicit' || tls.wanted === 'none') return null;
    this.tlsOffered = this.capabilities.keywords.has('STARTTLS');
    if (!this.tlsOffered) {
      if (tls.wanted === 'starttls-opportunistic') return null;
      return wire.fail({ phase: 'starttls', kind: 'policy', reply: null, code: 'ERR_NO_STARTTLS', text: 'STARTTLS is not offered, and TLS is required: nothing was sent' });
    }
    wire.write('STARTTLS\r\n', 'STARTTLS');
    const answer = await wire.next('starttls', timeouts.commandMs);
    if ('failure' in answer) return answer.failure;
    if (answer.reply.code !== 220) return wire.fail({ phase: 'starttls', kind: 'tls', reply: answer.reply, code: null, text: `STARTTLS refused: ${say(answer.reply)}` });
    // Anything said in the clear behind that 220 would be taken for an answer given under TLS (the injection of RFC 3207 5).
    if (!wire.detach())
      return wire.fail({ phase: 'starttls', kind: 'protocol', reply: null, code: 'ERR_INJECTION', text: 'the other side sent bytes in the clear after its answer to STARTTLS' });
    const failure = await this.#secure(wire, wire.socket);
    if (failure === null) return this.#ehlo(wire);
    // On a port that begins in the clear this means something else than on one that should begin with TLS.
    return NO_TLS.has(failure.code ?? '') ? { ...failure, code: 'ERR_STARTTLS_NO_TLS', text: 'the other side granted STARTTLS, and then spoke something that is no TLS' } : failure;
  }

  async #secure(wire: Wire, raw: Socket): Promise<ClientFailure | null> {
    const begunMs = performance.now();
    const secured = await secureSocket(raw, this.#options);
    wire.recorder?.waited('tls', performance.now() - begunMs);
    if ('kind' in secured) {
      this.tlsOffered = true;
      wire.recorder?.add('*', secured.text);
      return secured;
    }
    const { socket, problem } = secured;
    const cipher = socket.getCipher();
    this.tls = {
      protocol: socket.getProtocol() ?? '',
      cipher: cipher.standardName ?? cipher.name,
      serverName: this.#options.tls.serverName,
      verified: problem === null,
      problem,
      resumed: socket.isSessionReused(),
    };
    wire.recorder?.add('*', `TLS: ${this.tls.protocol} ${this.tls.cipher}, ${problem ?? 'certificate verified'}`);
    wire.socket = socket;
    wire.attach();
    return null;
  }
}

class Client implements SmtpClient {
  readonly #options: ClientOptions;
  readonly #opening: Opening;
  readonly #wire: Wire;
  #reset = false;
  #closing = false;
  transactions = 0;

  constructor(options: ClientOptions, opening: Opening) {
    this.#options = options;
    this.#opening = opening;
    this.#wire = opening.wire as Wire;
    this.#wire.rest();
    options.signal?.addEventListener('abort', this.#abort, { once: true });
  }

  readonly #abort = (): void => {
    this.#wire.fail({ kind: 'aborted', reply: null, code: 'ABORT_ERR', text: 'given up' });
  };

  get capabilities(): Capabilities {
    return this.#opening.capabilities;
  }
  get greeting(): RemoteReply {
    return this.#opening.greeting;
  }
  get tls(): SmtpClient['tls'] {
    return this.#opening.tls;
  }
  get remote(): { address: string; port: number } {
    return this.#opening.remote;
  }
  get localAddress(): string {
    return this.#opening.localAddress;
  }
  get usable(): boolean {
    return !this.#closing && this.#wire.broken === null && !this.#wire.unasked;
  }
  get transcript(): SmtpClient['transcript'] {
    return this.#options.recorder?.entries ?? [];
  }
  beginTranscript(): void {
    this.#options.recorder?.begin();
  }

  get #safety(): TransactionOptions['safety'] {
    if (this.tls !== null) return this.tls.verified ? 'verified' : 'encrypted';
    return 'socket' in this.#options.target || /^(127\.|::1$)/.test(this.remote.address) ? 'local' : 'none';
  }

  async transact(envelope: ClientEnvelope, body: Body): Promise<TransactionResult> {
    return this.#transaction(envelope, body);
  }

  async #transaction(envelope: ClientEnvelope, body: Body | null): Promise<TransactionResult> {
    const { protocol, timeouts } = this.#options;
    const ended = await runTransaction({ wire: this.#wire, protocol, capabilities: this.capabilities, timeouts, safety: this.#safety, reset: this.#reset }, envelope, body);
    this.#reset = ended.midway;
    this.transactions++;
    if ('replies' in ended.result && ended.result.replies.some(({ reply }) => reply.code === 421)) this.#closing = true;
    return ended.result;
  }

  async ask(envelope: ClientEnvelope): Promise<TransactionResult> {
    return this.#transaction(envelope, null);
  }

  giveUp(): void {
    if (!this.#wire.sending) this.#abort();
  }

  async quit(): Promise<void> {
    this.#options.signal?.removeEventListener('abort', this.#abort);
    if (this.#wire.broken === null) {
      this.#closing = true;
      this.#wire.write('QUIT\r\n', 'QUIT');
      await this.#wire.next('quit', QUIT_MS);
      this.#wire.over();
    }
    this.destroy();
  }

  destroy(): void {
    this.#closing = true;
    this.#options.signal?.removeEventListener('abort', this.#abort);
    const { socket } = this.#wire;
    socket.removeAllListeners('data');
    socket.on('error', () => {});
    if (socket instanceof TLSSocket) socket.destroySoon();
    else socket.destroy();
    setTimeout(() => socket.destroy(), QUIT_MS).unref();
  }
}

/** Channel-binding data of this connection (RFC 9266); null where there is none to be had. */
function exporterOf(socket: Socket): (() => Buffer) | null {
  return socket instanceof TLSSocket && socket.getProtocol() === 'TLSv1.3' ? () => socket.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0)) : null;
}

/** What an EHLO reply offers. */
export function capabilitiesOf(reply: RemoteReply, without: readonly string[] = []): Capabilities {
  const keywords = new Map<string, string>();
  for (const line of reply.lines.slice(1)) {
    // Some old servers write AUTH=LOGIN.
    const [keyword = '', rest] = line.trim().split(/[ =](.*)/s, 2);
    if (/^[A-Za-z0-9-]+$/.test(keyword))
      keywords.set(keyword.toUpperCase(), [keywords.get(keyword.toUpperCase()), rest].filter((part) => part !== undefined && part !== '').join(' '));
  }
  for (const keyword of without) keywords.delete(keyword);
  const size = Number(keywords.get('SIZE') ?? 0);
  return {
    keywords,
    sizeBytes: Number.isSafeInteger(size) && size > 0 ? size : null,
    auth: (keywords.get('AUTH') ?? '')
      .toUpperCase()
      .split(' ')
      .filter((word) => word !== ''),
  };
}

function say(reply: RemoteReply): string {
  return `${reply.code} ${reply.enhanced} ${reply.lines.join(' ')}`.replace(/ +/g, ' ').trim();
}
