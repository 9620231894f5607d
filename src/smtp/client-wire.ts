// The wire under the client: a socket (later with TLS around it), replies read from it strictly and bounded, one deadline at a time.
// Knows the shape of replies (RFC 5321 4.2) and nothing of commands.

import { connect as connectTcp } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { errorCode, errorText } from '#base/failure.ts';
import type { CertificateProblem, ClientFailure, ClientOptions, ClientPhase, Presented, RemoteReply, TlsSession } from './client-types.ts';
import type { Recorder } from './transcript.ts';

const MAX_LINE_BYTES = 4096;
/** A handshake is no matter of minutes: who is silent for so long has none to offer. */
const HANDSHAKE_MS = 60_000;
const MAX_LINES = 200;
const LINE_TOO_LONG = `the other side sent a line of more than ${MAX_LINE_BYTES} octets`;

/** A reply, or how the connection failed while it was awaited. */
export type Awaited = { readonly reply: RemoteReply } | { readonly failure: ClientFailure };

export class Wire {
  readonly recorder: Recorder | null;
  socket: Socket;
  /** Set once and for all when the connection can no longer be used. */
  broken: ClientFailure | null = null;
  #phase: ClientPhase = 'connect';
  #pending: Buffer | null = null;
  #lines: string[] = [];
  #code = '';
  readonly #replies: RemoteReply[] = [];
  #waiting: ((result: Awaited) => void) | null = null;
  /** When the reply that is awaited is overdue, however busily it trickles in. */
  #overdueMs = Infinity;
  #drained: (() => void) | null = null;
  /** Replies to commands that went out together, and may all come in one packet. */
  expected = 0;
  /** The final dot is out: a loss now may mean a duplicate. */
  afterFinalDot = false;

  constructor(socket: Socket, recorder: Recorder | null) {
    this.socket = socket;
    this.recorder = recorder;
  }

  /** Begins to read from the current socket. */
  attach(): void {
    const { socket } = this;
    socket.on('data', this.#onData);
    socket.on('timeout', this.#onTimeout);
    socket.on('error', this.#onError);
    socket.on('close', this.#onClose);
  }

  /** Stops reading from the current socket, so that TLS can be put around it. Returns false when something was said already. */
  detach(): boolean {
    const { socket } = this;
    const clean = this.#pending === null && this.#replies.length === 0 && this.#lines.length === 0;
    socket.off('data', this.#onData).off('timeout', this.#onTimeout).off('close', this.#onClose);
    socket.setTimeout(0);
    return clean && socket.readableLength === 0;
  }

  /** Awaits the next reply. */
  next(phase: ClientPhase, timeoutMs: number): Promise<Awaited> {
    this.#phase = phase;
    const ready = this.#replies.shift();
    if (ready !== undefined) return Promise.resolve({ reply: ready });
    if (this.broken !== null) return Promise.resolve({ failure: this.broken });
    this.socket.setTimeout(timeoutMs);
    const { recorder } = this;
    const begunMs = performance.now();
    this.#overdueMs = begunMs + timeoutMs;
    return new Promise((resolve) => {
      this.#waiting =
        recorder === null
          ? resolve
          : (result) => {
              recorder.waited(phase, performance.now() - begunMs);
              resolve(result);
            };
    });
  }

  /** Writes; the text of `shown` goes to the transcript. True when the socket wants to drain first. */
  write(bytes: string | Buffer, shown: string | null): boolean {
    if (shown !== null && this.recorder !== null) for (const line of shown.trimEnd().split('\r\n')) this.recorder.add('>', line);
    return this.broken === null && !this.socket.write(bytes);
  }

  /** Resolves when the socket has drained or broken; each stretch has `timeoutMs`. */
  drain(phase: ClientPhase, timeoutMs: number): Promise<void> {
    if (this.broken !== null || !this.socket.writableNeedDrain) return Promise.resolve();
    this.#phase = phase;
    this.socket.setTimeout(timeoutMs);
    return new Promise((resolve) => {
      this.#drained = resolve;
      this.socket.once('drain', () => {
        this.#drained = null;
        resolve();
      });
    });
  }

  /** Between transactions nothing is awaited and nothing may be said. */
  rest(): void {
    this.afterFinalDot = false;
    this.expected = 0;
    this.socket.setTimeout(0);
  }

  /** The goodbye is said: that the connection ends now is nothing to tell. */
  over(): void {
    this.socket.off('close', this.#onClose).off('timeout', this.#onTimeout);
  }

  fail(failure: Omit<ClientFailure, 'phase' | 'possibleDuplicate'> & { phase?: ClientPhase }): ClientFailure {
    this.broken ??= { phase: this.#phase, possibleDuplicate: this.afterFinalDot, ...failure };
    this.recorder?.add('*', failure.text);
    this.socket.destroy();
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.({ failure: this.broken });
    this.#drained?.();
    this.#drained = null;
    return this.broken;
  }

  readonly #onTimeout = (): void => {
    if (this.#waiting === null && this.#drained === null) return;
    this.fail({ kind: 'timeout', reply: null, code: 'ETIMEDOUT', text: `timed out waiting in the ${this.#phase} phase` });
  };

  readonly #onError = (error: Error): void => {
    this.fail({ kind: 'socket', reply: null, code: errorCode(error) ?? null, text: errorText(error) });
  };

  readonly #onClose = (): void => {
    this.fail({ kind: 'socket', reply: null, code: 'ECONNRESET', text: 'the other side closed the connection' });
  };

  readonly #onData = (chunk: Buffer): void => {
    if (this.broken !== null) return;
    const bytes = this.#pending === null ? chunk : Buffer.concat([this.#pending, chunk]);
    this.#pending = null;
    let at = 0;
    for (;;) {
      const lf = bytes.indexOf(10, at);
      if (lf === -1) break;
      const problem = lf - at > MAX_LINE_BYTES ? LINE_TOO_LONG : this.#line(bytes.toString('utf8', at, bytes[lf - 1] === 13 && lf > at ? lf - 1 : lf));
      if (problem !== null) return void this.fail({ kind: 'protocol', reply: null, code: null, text: problem });
      at = lf + 1;
    }
    if (bytes.length - at > MAX_LINE_BYTES) return void this.fail({ kind: 'protocol', reply: null, code: null, text: LINE_TOO_LONG });
    if (at < bytes.length) this.#pending = bytes.subarray(at);
    if (this.#waiting !== null && performance.now() > this.#overdueMs) return this.#onTimeout();
  };

  /** Takes one line of a reply; returns what is wrong with it. */
  #line(line: string): string | null {
    this.recorder?.add('<', this.#phase === 'auth' ? withoutChallenge(line) : line);
    const code = line.slice(0, 3);
    const separator = line[3] ?? ' ';
    if (!/^[2-5]\d\d$/.test(code) || (separator !== ' ' && separator !== '-')) return `the other side sent no SMTP reply: ${line.slice(0, 80)}`;
    if (this.#lines.length > 0 && code !== this.#code) return 'the other side sent a reply with two codes';
    this.#code = code;
    this.#lines.push(line.slice(4));
    if (this.#lines.length > MAX_LINES) return 'the other side sent a reply without end';
    if (separator === '-') return null;
    const reply = makeReply(code, this.#lines);
    this.#lines = [];
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting === null) this.#replies.push(reply);
    else waiting({ reply });
    // Said without being asked: a goodbye, or a peer that lost count. Either way this connection is no longer to be trusted.
    return this.#replies.length > MAX_LINES + this.expected ? 'the other side sent replies nobody asked for' : null;
  }

  /** Content is on its way, or its answer awaited. */
  get sending(): boolean {
    return this.afterFinalDot || this.#phase === 'body' || this.#phase === 'final';
  }

  /** True when replies lie there that nobody awaits. */
  get unasked(): boolean {
    return this.#replies.length > 0;
  }
}

/** Challenges and signatures of a login give its password to who guesses long enough; that LOGIN asks for a name or a password gives nothing. */
function withoutChallenge(line: string): string {
  const challenge = /^334[ -](.+)$/.exec(line)?.[1];
  if (challenge === undefined || /^(user ?name|password)\W*$/i.test(Buffer.from(challenge, 'base64').toString('latin1'))) return line;
  return `${line.slice(0, 4)}[challenge removed]`;
}

function makeReply(code: string, lines: readonly string[]): RemoteReply {
  const match = /^([245]\.\d{1,3}\.\d{1,3})(?:[ \t]|$)/.exec(lines[0] ?? '');
  const enhanced = match?.[1] ?? '';
  const clean = enhanced === '' ? [...lines] : lines.map((line) => (line.startsWith(enhanced) ? line.slice(enhanced.length).trimStart() : line));
  return { code: Number(code), enhanced, lines: clean };
}

/** Opens the TCP (or Unix) connection. */
export function openSocket(options: ClientOptions): Promise<Socket | ClientFailure> {
  const { target, timeouts, signal } = options;
  return new Promise((resolve) => {
    const socket =
      'socket' in target
        ? connectTcp({ path: target.socket })
        : connectTcp({ host: target.address, port: target.port, noDelay: true, ...(options.localAddress === undefined ? {} : { localAddress: options.localAddress }) });
    const done = (result: Socket | ClientFailure): void => {
      socket.off('connect', connected).off('error', failed).off('timeout', late);
      signal?.removeEventListener('abort', aborted);
      if (result !== socket) {
        socket.on('error', () => {});
        socket.destroy();
      }
      resolve(result);
    };
    const failure = (kind: ClientFailure['kind'], code: string, text: string): ClientFailure => ({ phase: 'connect', kind, reply: null, code, text, possibleDuplicate: false });
    const connected = (): void => done(socket);
    const failed = (error: Error): void => done(failure('socket', errorCode(error) ?? 'EIO', errorText(error)));
    const late = (): void => done(failure('timeout', 'ETIMEDOUT', 'the connection timed out'));
    const aborted = (): void => done(failure('aborted', 'ABORT_ERR', 'given up'));
    socket.setTimeout(timeouts.connectMs);
    socket.once('connect', connected).once('error', failed).once('timeout', late);
    if (signal?.aborted === true) aborted();
    else signal?.addEventListener('abort', aborted, { once: true });
  });
}

/** What the handshake showed. `problem`: why the certificate does not verify. */
export type Secured = { readonly socket: TLSSocket; readonly problem: string | null };

/** Puts TLS around an open socket, with its own deadline. */
export function secureSocket(raw: Socket, options: ClientOptions): Promise<Secured | ClientFailure> {
  const { tls, timeouts, signal } = options;
  return new Promise((resolve) => {
    const isName = !/^[\d.]+$|:/.test(tls.serverName);
    const offered = usableSession(tls);
    const socket = connectTls({
      socket: raw,
      secureContext: tls.context,
      host: tls.serverName,
      ...(isName ? { servername: tls.serverName } : {}),
      rejectUnauthorized: false,
      ...(offered === null ? {} : { session: offered.ticket }),
    });
    const tickets: Buffer[] = [];
    const keepTicket = (ticket: Buffer): void => void tickets.push(ticket);
    socket.on('session', keepTicket);
    const done = (result: Secured | ClientFailure): void => {
      socket.off('secureConnect', secure).off('error', failed).off('timeout', late).off('close', closed).off('session', keepTicket);
      signal?.removeEventListener('abort', aborted);
      if ('kind' in result) {
        socket.on('error', () => {});
        socket.destroy();
        raw.destroy();
      }
      resolve(result);
    };
    const failure = (code: string, text: string): ClientFailure => ({ phase: 'tls', kind: 'tls', reply: null, code, text, possibleDuplicate: false });
    const secure = (): void => {
      // A resumed session shows no certificate, and Node calls its peer authorized whatever its name was: it is as good as it was at first.
      const problem = socket.isSessionReused() && offered !== null ? offered.problem : certificateProblem(socket, options);
      if (problem !== null && tls.verify) return done(failure(problem.code, problem.text));
      done({ socket, problem: problem?.text ?? null });
      const keep = (ticket: Buffer): void => tls.onSession?.({ ticket, problem });
      tickets.forEach(keep);
      socket.on('session', keep);
    };
    const failed = (error: Error): void => done(failure(errorCode(error) ?? 'ERR_TLS', handshakeText(error)));
    const late = (): void => done({ ...failure('ETIMEDOUT', 'the TLS handshake timed out'), kind: 'timeout' });
    const closed = (): void => done(failure('ECONNRESET', 'the other side closed the connection during the TLS handshake'));
    const aborted = (): void => done({ ...failure('ABORT_ERR', 'given up'), kind: 'aborted' });
    signal?.addEventListener('abort', aborted, { once: true });
    socket.setTimeout(Math.min(timeouts.commandMs, HANDSHAKE_MS));
    socket.once('secureConnect', secure).once('error', failed).once('timeout', late).once('close', closed);
  });
}

/** OpenSSL's reason without the line of its source that it came from. */
function handshakeText(error: Error): string {
  const reason: unknown = Reflect.get(error, 'reason');
  return typeof reason === 'string' && reason !== '' ? `the TLS handshake failed: ${reason}` : errorText(error).trim();
}

/** None where the certificate itself is wanted, because the one of that session did not verify. */
function usableSession({ session, verify }: ClientOptions['tls']): TlsSession | null {
  return session === undefined || (verify && session.problem !== null) ? null : session;
}

function certificateProblem(socket: TLSSocket, options: ClientOptions): CertificateProblem | null {
  const { judge, serverName } = options.tls;
  const usual = usualProblem(socket, serverName);
  return judge === undefined ? usual : judge({ chain: () => presentedBy(socket), problem: usual });
}

/** What Node's check of chain and name says. */
function usualProblem(socket: TLSSocket, serverName: string): CertificateProblem | null {
  if (socket.authorized) return null;
  const error: unknown = socket.authorizationError;
  const code = typeof error === 'string' ? error : (errorCode(error) ?? 'ERR_TLS_CERT');
  const words = PROBLEMS[code];
  return { code, text: `the certificate does not verify for ${serverName}: ${words === undefined ? (error instanceof Error ? error.message : code) : `${words} (${code})`}` };
}

const PROBLEMS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'it has expired',
  CERT_NOT_YET_VALID: 'it is not valid yet',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'it is signed by itself',
  SELF_SIGNED_CERT_IN_CHAIN: 'its authority is not trusted here',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its issuer is neither known here nor was it sent',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its issuer is neither known here nor was it sent',
};

const MAX_CHAIN = 10;

function presentedBy(socket: TLSSocket): ReturnType<Presented['chain']> {
  const chain: Buffer[] = [];
  let certificate = socket.getPeerCertificate(true);
  while (certificate.raw !== undefined && chain.length < MAX_CHAIN && !chain.some((der) => der.equals(certificate.raw))) {
    chain.push(certificate.raw);
    certificate = certificate.issuerCertificate ?? {};
  }
  const [leaf = Buffer.alloc(0), ...issuers] = chain;
  return { leaf, issuers };
}
