// The server side of one SMTP connection, sans I/O: bytes in by `feed`, bytes out by `io.write`. Runs the command table, the content of
// messages and AUTH exchanges, one at a time, in order; answers of a pipeline go out in one write. Knows no sockets and no policy. RFC 5321, 2920.

import { errorText } from '#base/failure.ts';
import type { Log } from '#base/log.ts';
import { guarded, isPromise } from '#base/promise.ts';
import type { MaybePromise } from '#base/promise.ts';
import { abandon, isSubmission } from './commands.ts';
import { readLine } from './framing.ts';
import type { Decoder } from './framing.ts';
import { parseLine } from './grammar.ts';
import { dropIncoming, keepContent } from './incoming.ts';
import type { Incoming } from './incoming.ts';
import type { ChannelBinding, Connection, Identity, Policy, SessionLimits, TlsInfo } from './policy.ts';
import type { Reply } from './reply.ts';
import { REPLIES, formatReply } from './reply.ts';
import { decodeBase64 } from './sasl.ts';
import type { SaslMachine, SaslStep } from './sasl.ts';
import type { Command, Step, Turn } from './turn.ts';

/**
 * What the session needs of its socket. `timeout` arms (and re-arms) the one deadline, which bytes alone do not move; `startTls` begins
 * the handshake after what was written.
 */
export type SessionIo = {
  write(text: string): void;
  startTls(): void;
  pause(): void;
  resume(): void;
  end(): void;
  timeout(ms: number): void;
};

export type SessionOptions<I extends Identity> = {
  readonly connection: Connection<I>;
  readonly policy: Policy<I>;
  readonly limits: SessionLimits;
  readonly hostname: string;
  readonly commands: ReadonlyMap<string, Command<I>>;
  readonly io: SessionIo;
  readonly log: Log;
};

/** What comes next on the line. */
type Content = { readonly is: 'content'; readonly decoder: Decoder; readonly incoming: Incoming; readonly finish: boolean };
type Mode<I extends Identity> =
  | { readonly is: 'command' }
  | Content
  | { readonly is: 'auth'; readonly machine: SaslMachine<I> }
  | { readonly is: 'tls' }
  | { readonly is: 'ended' };

/** A line longer than any may be (the longest is an answer of AUTH, RFC 4954 4) is not collected. */
const LONGEST_LINE = 12_288;
/** Input kept while a command waits for the policy: past this the socket is not read. */
const MAX_PENDING_BYTES = 64 * 1024;
/** The first byte of a TLS handshake: a client that takes this port for 465 waits for an answer to it. */
const TLS_HANDSHAKE = 0x16;
/** A web page can make a browser send commands here, as lines of a request. */
const HTTP_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'CONNECT']);
const EMPTY = Buffer.alloc(0);

export class Session<I extends Identity = Identity> {
  readonly #options: SessionOptions<I>;
  readonly #turn: Mutable<Turn<I>>;
  #mode: Mode<I> = { is: 'command' };
  #input: Buffer = EMPTY;
  #output = '';
  #busy = true;
  #paused = false;
  #draining = false;
  #overdue = false;
  /** The client has closed its side: what it sent is still answered. */
  #lastWords = false;
  /** What the client is at, and how it was last refused: for the log. */
  #at = 'connect';
  #refusedWith: string | undefined;
  #admission: MaybePromise<Reply | null> = null;
  #idleCommands = 0;
  /** The rest of an overlong line is being thrown away. */
  #skippingLine = false;

  constructor(options: SessionOptions<I>) {
    this.#options = options;
    const { connection, policy, limits, hostname } = options;
    this.#turn = { connection, policy, limits, hostname, binding: null, fault: (error) => this.#fault(error), transaction: null, bdat: null, authFailures: 0 };
  }

  /** Asks the policy whether this connection may be. Called once, before a byte is read; the answer is the policy's refusal or null. */
  admit(): MaybePromise<Reply | null> {
    const { policy, connection } = this.#options;
    const admission = guarded(() => policy.connect(connection));
    // It is awaited in `start`; a connection that is gone before that must not leave a rejection that nobody looks at.
    if (isPromise(admission)) admission.catch(() => {});
    this.#admission = admission;
    return admission;
  }

  /** Greets, or says the refusal. With implicit TLS, call `secured` before. */
  start(): void {
    const { hostname, limits, io } = this.#options;
    io.timeout(limits.commandTimeoutMs);
    this.#wait(this.#admission, (refusal) => this.#say(refusal ?? REPLIES.greeting(hostname)));
    this.#run();
  }

  /** Takes bytes as they come, in any portions. */
  feed(bytes: Buffer): void {
    if (this.#mode.is === 'ended' || this.#mode.is === 'tls') return;
    this.#input = this.#input.length === 0 ? bytes : Buffer.concat([this.#input, bytes]);
    if (this.#busy) {
      if (this.#input.length > MAX_PENDING_BYTES) this.#pause();
      return;
    }
    this.#run();
  }

  /** The handshake is done: everything said before is forgotten (RFC 3207 4.2). */
  secured(tls: TlsInfo, binding: ChannelBinding | null): void {
    const { connection } = this.#turn;
    connection.tls = tls;
    connection.helo = null;
    this.#turn.binding = binding;
    this.#input = EMPTY;
    if (this.#mode.is === 'tls') {
      this.#mode = { is: 'command' };
      this.#busy = false;
      this.#options.io.timeout(this.#turn.limits.commandTimeoutMs);
    }
  }

  /** The client will send no more. What it sent before is still run and answered; then the connection ends. */
  inputEnded(): void {
    this.#lastWords = true;
    if (!this.#busy) this.#endQuietly();
  }

  /** The deadline armed by `io.timeout` has passed. While we are the ones who are waited for, the client has missed nothing. */
  timedOut(): void {
    if (this.#busy) this.#options.io.timeout(this.#turn.limits.commandTimeoutMs);
    else this.#endWith(REPLIES.timeout);
  }

  /** The session has lasted its whole time: it ends, after the answer that is under way. */
  expired(): void {
    this.#overdue = true;
    if (!this.#busy || this.#mode.is === 'tls') this.#endWith(REPLIES.sessionTooLong);
  }

  /** No new transaction: ends at once when none is under way, else right after it. */
  drain(): void {
    this.#draining = true;
    if (!this.#busy) this.#endIfDrained();
  }

  /** The drain's time is over. */
  cut(): void {
    this.#endWith(REPLIES.shuttingDown);
  }

  /** The connection is gone. */
  closed(): void {
    this.#leave();
    this.#input = EMPTY;
    this.#options.policy.closed(this.#turn.connection);
  }

  #run(): void {
    if (this.#busy) return;
    let at = 0;
    const input = this.#input;
    while (!this.#busy && at < input.length) {
      const next = this.#take(input, at);
      if (next === null) break;
      at = next;
    }
    if (this.#mode.is === 'ended' || this.#mode.is === 'tls') this.#input = EMPTY;
    else if (at > 0) this.#input = at === input.length ? EMPTY : input.subarray(at);
    this.#flush();
    if (this.#busy) return;
    if (this.#overdue) return this.#endWith(REPLIES.sessionTooLong);
    if (this.#lastWords) return this.#endQuietly();
    this.#resume();
    this.#endIfDrained();
  }

  /** A transaction may come to its end; half a line or half a login may begin again elsewhere. */
  #endIfDrained(): void {
    if (this.#draining && this.#mode.is !== 'content' && this.#mode.is !== 'tls' && this.#turn.transaction === null) this.#endWith(REPLIES.shuttingDown);
  }

  /** Consumes one unit (line or content) of the input at `at`; returns where it ends, or null when it is not whole yet. */
  #take(input: Buffer, at: number): number | null {
    const mode = this.#mode;
    switch (mode.is) {
      case 'content':
        return this.#takeContent(mode, at === 0 ? input : input.subarray(at), input.length);
      case 'command':
      case 'auth':
        return this.#takeLine(mode, input, at);
      case 'tls':
      case 'ended':
        return input.length;
    }
  }

  #takeLine(mode: Extract<Mode<I>, { is: 'command' | 'auth' }>, input: Buffer, at: number): number | null {
    if (input[at] === TLS_HANDSHAKE && mode.is === 'command' && this.#turn.connection.tls === null) {
      this.#at = 'line';
      this.#endWith(REPLIES.tlsTooSoon);
      return input.length;
    }
    const result = readLine(input, at);
    if (result === 'bare') {
      this.#at = 'line';
      this.#endWith(REPLIES.bareLineEnd);
      return input.length;
    }
    if (result === 'partial') return this.#partialLine(input, at);
    this.#options.io.timeout(this.#turn.limits.commandTimeoutMs);
    if (this.#skippingLine || result.line.length > LONGEST_LINE) {
      this.#skippingLine = false;
      // An exchange of AUTH ends with it (RFC 4954 4): the next line is a command again.
      this.#mode = { is: 'command' };
      this.#counted(mode.is === 'auth' ? REPLIES.authLineTooLong : REPLIES.lineTooLong);
    } else if (mode.is === 'auth') this.#answer(mode.machine, result.line);
    else this.#command(result.line);
    return result.next;
  }

  /** What came of an overlong line is thrown away until its end; a CR at the end of the input waits for what follows it. */
  #partialLine(input: Buffer, at: number): number | null {
    const end = input.at(-1) === 13 ? input.length - 1 : input.length;
    if (!this.#skippingLine && end - at <= LONGEST_LINE) return null;
    this.#skippingLine = true;
    return end > at ? end : null;
  }

  #command(line: Buffer): void {
    const { commands } = this.#options;
    const parsed = parseLine(line);
    this.#at = 'unknown';
    if (parsed === null) return this.#counted(REPLIES.notText);
    const { verb, args } = parsed;
    const command = commands.get(verb);
    this.#at = command === undefined ? 'unknown' : verb;
    if (command === undefined) return this.#counted(HTTP_METHODS.has(verb) ? REPLIES.notHttp : REPLIES.unknownCommand);
    if (line.length + 2 > command.lineOctets) return this.#counted(REPLIES.lineTooLong);
    if (!command.beforeTls && this.#turn.connection.tls === null && isSubmission(this.#turn)) return this.#counted(REPLIES.startTlsFirst);
    if (this.#draining && verb === 'MAIL') return this.#endWith(REPLIES.shuttingDown);
    this.#wait(
      guarded(() => command.run(this.#turn, args)),
      (step) => this.#do(step),
    );
  }

  #do(step: Step<I>): void {
    switch (step.do) {
      case 'reply':
        return step.work ? this.#worked(step.reply) : this.#counted(step.reply);
      case 'content':
        if (step.reply !== null) this.#say(step.reply);
        this.#options.io.timeout(this.#turn.limits.dataTimeoutMs);
        this.#mode = { is: 'content', decoder: step.decoder, incoming: step.incoming, finish: step.finish };
        // A chunk of no octets is complete already.
        if (step.reply === null) this.#takeContent(this.#mode, EMPTY, 0);
        return;
      case 'auth':
        if (step.answer !== null) return this.#step(step.machine, step.answer);
        this.#mode = { is: 'auth', machine: step.machine };
        return this.#say(REPLIES.challenge(step.challenge.toString('base64')));
      case 'tls':
        // What the client sent behind STARTTLS came in the clear: it is dropped, never run (RFC 3207 5).
        this.#say(REPLIES.startTls);
        this.#flush();
        this.#input = EMPTY;
        this.#busy = true;
        this.#mode = { is: 'tls' };
        this.#options.io.startTls();
    }
  }

  /** Feeds content to its sink. Returns where in the input it stopped (`total` is the input's length). */
  #takeContent(mode: Content, bytes: Buffer, total: number): number {
    const { incoming } = mode;
    const { limits, fault } = this.#turn;
    const decoded = mode.decoder.feed(bytes);
    if (decoded.state === 'bare') {
      this.#endWith(REPLIES.bareLineEnd);
      return total;
    }
    this.#wait(keepContent(incoming, decoded.content, { limitBytes: limits.messageSizeBytes, fault }), (kept) => {
      if (!kept) this.#endWith(REPLIES.tooBigClosed(limits.messageSizeBytes));
      else if (decoded.state === 'end') this.#contentEnds(mode);
      else this.#options.io.timeout(limits.dataTimeoutMs);
    });
    return decoded.state === 'end' ? total - decoded.rest.length : total;
  }

  #contentEnds({ incoming, finish }: Content): void {
    this.#mode = { is: 'command' };
    this.#options.io.timeout(this.#turn.limits.commandTimeoutMs);
    const { sink } = incoming;
    if (incoming.refusal !== null || sink === null) {
      this.#turn.bdat = null;
      this.#turn.transaction = null;
      return this.#counted(incoming.refusal ?? REPLIES.noRecipients);
    }
    if (!finish) return this.#worked(REPLIES.chunk(incoming.sizeBytes));
    this.#turn.transaction = null;
    this.#wait(
      guarded(() => sink.finish()),
      (reply) => this.#worked(reply),
      (error) => {
        sink.abort();
        this.#worked(this.#fault(error));
      },
    );
  }

  #answer(machine: SaslMachine<I>, line: Buffer): void {
    this.#mode = { is: 'command' };
    const text = line.toString('latin1');
    if (text === '*') return this.#counted(REPLIES.authCancelled);
    const answer = text === '' ? EMPTY : decodeBase64(text);
    if (answer === null) return this.#counted(REPLIES.badBase64);
    this.#step(machine, answer);
  }

  #step(machine: SaslMachine<I>, answer: Buffer): void {
    this.#wait(
      guarded(() => machine.step(answer)),
      (step) => this.#authStep(machine, step),
    );
  }

  #authStep(machine: SaslMachine<I>, step: SaslStep<I>): void {
    if ('challenge' in step) {
      this.#mode = { is: 'auth', machine };
      return this.#say(REPLIES.challenge(step.challenge.toString('base64')));
    }
    if ('result' in step && 'identity' in step.result) {
      this.#turn.connection.identity = step.result.identity;
      return this.#worked(REPLIES.authenticated);
    }
    const refusal = 'result' in step && 'refusal' in step.result ? step.result.refusal : REPLIES.authFailed;
    const { policy, connection, log } = this.#options;
    log.warn('auth.failed', { session: connection.id, client: connection.clientAddress, profile: connection.profile, why: 'failed' in step ? step.failed : refusal.lines[0] });
    this.#wait(
      guarded(() => policy.authFailed(connection)),
      () => {
        this.#turn.authFailures++;
        if (this.#turn.authFailures >= this.#turn.limits.authFailures) this.#endWith(REPLIES.authClosed);
        else this.#counted(refusal);
      },
    );
  }

  /** Goes on at once, or stops reading until the promise is there. A policy that throws costs the command, not the session. */
  #wait<T>(value: MaybePromise<T>, then: (value: T) => void, failed = (error: unknown): void => this.#broken(error)): void {
    if (!isPromise(value)) {
      if (this.#busy && this.#mode.is !== 'tls') this.#busy = false;
      return then(value);
    }
    this.#busy = true;
    value.then(
      (result) => this.#woken(() => then(result)),
      (error: unknown) => this.#woken(() => failed(error)),
    );
  }

  #woken(then: () => void): void {
    if (this.#mode.is === 'ended') return;
    this.#busy = false;
    then();
    this.#run();
  }

  #broken(error: unknown): void {
    this.#mode = { is: 'command' };
    abandon(this.#turn);
    this.#counted(this.#fault(error));
  }

  /** What the client is told of a fault; the log has the rest. */
  #fault(error: unknown): Reply {
    const { log, connection } = this.#options;
    log.error('session.fault', { session: connection.id, cause: errorText(error), stack: error instanceof Error ? error.stack : undefined });
    return REPLIES.localError(connection.id);
  }

  #worked(reply: Reply): void {
    this.#idleCommands = 0;
    this.#say(reply);
  }

  #counted(reply: Reply): void {
    this.#idleCommands++;
    if (this.#idleCommands > this.#turn.limits.idleCommands && reply.close !== true) return this.#endWith(REPLIES.tooManyErrors);
    this.#say(reply);
  }

  #say(reply: Reply): void {
    this.#put(reply);
    if (reply.close === true) this.#end();
  }

  #endWith(reply: Reply): void {
    if (this.#mode.is === 'ended') return;
    this.#put(reply);
    this.#end();
  }

  #put(reply: Reply): void {
    this.#output += formatReply(reply);
    if (reply.code < 400) return;
    const [text] = reply.lines;
    this.#options.policy.refused(this.#turn.connection, { step: this.#at, reply, again: text === this.#refusedWith });
    this.#refusedWith = text;
  }

  #endQuietly(): void {
    if (this.#mode.is === 'ended') return;
    this.#leave();
    this.#flush();
    this.#options.io.end();
  }

  #end(): void {
    this.#abandon();
    this.#mode = { is: 'ended' };
    this.#flush();
    this.#options.io.end();
  }

  /** The client is gone. In the middle of a message somebody will look for it. */
  #leave(): void {
    const mode = this.#mode;
    if (mode.is === 'content') {
      const { id, clientAddress, profile } = this.#turn.connection;
      this.#options.log.info('message.broken-off', { session: id, client: clientAddress, profile, sizeBytes: mode.incoming.sizeBytes });
    }
    this.#abandon();
    this.#mode = { is: 'ended' };
  }

  /** The message under way is dropped, once, and its transaction with it. */
  #abandon(): void {
    if (this.#mode.is === 'content') dropIncoming(this.#mode.incoming);
    abandon(this.#turn);
  }

  #flush(): void {
    if (this.#output === '') return;
    const output = this.#output;
    this.#output = '';
    this.#options.io.write(output);
  }

  #pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.#options.io.pause();
  }

  #resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#options.io.resume();
  }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
