// One connection of a sink: the socket, TLS around it (or what is done in its place), the session, and the acts of the rules. A good server's
// connection is src/server/listener.ts; this one may do what that one never does.

import { randomBytes, randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { errorCode, errorText } from '#base/failure.ts';
import { canonicalIp } from '#base/ip.ts';
import { silentLog } from '#base/log.ts';
import type { Log } from '#base/log.ts';
import type { MaybePromise } from '#base/promise.ts';
import type { ChannelBinding, Connection } from '#smtp/policy.ts';
import type { Reply } from '#smtp/reply.ts';
import { formatReply } from '#smtp/reply.ts';
import { Session } from '#smtp/session.ts';
import type { SessionIo } from '#smtp/session.ts';
import { actText } from './act.ts';
import type { Act, Step } from './act.ts';
import { sinkCommands } from './commands.ts';
import { decide } from './decision.ts';
import type { Subject } from './decision.ts';
import type { MessageFacts } from './events.ts';
import { sinkPolicy } from './policy.ts';
import { Voice } from './voice.ts';
import { tally } from './world.ts';
import type { World } from './world.ts';

const LINGER_MS = 5000;
const HANDSHAKE_MS = 30_000;
/** What never ends ends here. */
const ENDLESS_BYTES = 64 * 1024 * 1024;

export class SinkConnection {
  readonly #world: World;
  readonly #raw: Socket;
  readonly #gone: () => void;
  readonly #number: number;
  readonly #startMs: number;
  readonly #voice: Voice;
  readonly #session: Session;
  readonly #connection: Connection;
  #socket: Socket;
  readonly #stopped = { bySession: false, byOutput: false };
  #messages = 0;
  #admitted = false;
  #greeted = false;
  #ended = false;
  readonly #standIns = new Map<string, string>();
  #injection = '';
  /** Who wanted the reply that is said next. */
  #wantedBy: string | null = null;
  #deadline: NodeJS.Timeout | null = null;
  #deadlineMs = 0;

  constructor(world: World, socket: Socket, { number, gone }: { number: number; gone: () => void }) {
    const { settings } = world;
    const { knobs } = settings.behaviour;
    this.#world = world;
    this.#raw = socket;
    this.#socket = socket;
    this.#gone = gone;
    this.#number = number;
    this.#startMs = settings.clock.nowMs();
    this.#voice = new Voice(
      {
        delayMs: knobs.replyDelayMs ?? 0,
        trickleMs: knobs.trickleMs ?? 0,
        lfOnly: knobs.lineEnds === 'lf',
        bareCodes: knobs.without?.includes('ENHANCEDSTATUSCODES') === true,
      },
      (bytes) => this.#put(bytes),
    );
    this.#connection = {
      id: String(number),
      profile: 'mx',
      clientAddress: canonicalIp(socket.remoteAddress ?? ''),
      clientPort: socket.remotePort ?? 0,
      localAddress: canonicalIp(socket.localAddress ?? ''),
      localPort: socket.localPort ?? 0,
      helo: null,
      extended: false,
      tls: null,
      identity: null,
    };
    this.#session = new Session({
      connection: this.#connection,
      policy: sinkPolicy({
        world,
        number,
        perform: (step, subject) => this.#perform(step, subject),
        act: (step, act, from) => this.#act(step, act, from),
        taken: (facts) => this.#taken(facts),
        admitted: () => this.#admit(),
        refused: (step, reply) => this.#refused(step, reply),
        several: (replies) => this.#several(replies),
        closed() {},
      }),
      limits: {
        messageSizeBytes: knobs.sizeBytes ?? settings.sizeBytes,
        recipients: knobs.recipients ?? settings.recipients,
        authFailures: 100,
        idleCommands: 10_000,
        commandTimeoutMs: settings.timeoutMs,
        dataTimeoutMs: settings.timeoutMs,
        sessionTimeoutMs: settings.timeoutMs,
      },
      hostname: settings.hostname,
      commands: sinkCommands({
        settings,
        perform: (step, names) => this.#perform(step, { names: names ?? [] }),
        heard: (line) => this.#said('<', line),
        inject: (text) => (this.#injection = text),
      }),
      log: this.#faults(),
      io: this.#io(),
    });
  }

  /** Of the log of a session only its own faults are of interest here. */
  #faults(): Log {
    const { emit } = this.#world.settings;
    const log: Log = { ...silentLog, error: (_event, fields) => emit({ event: 'fault', connection: this.#number, cause: String(fields?.['cause']) }), with: () => log };
    return log;
  }

  begin(): void {
    const { settings, counts } = this.#world;
    const raw = this.#raw;
    counts.connections++;
    settings.emit({ event: 'connected', connection: this.#number, client: this.#connection.clientAddress, port: this.#connection.clientPort });
    raw.on('error', () => {});
    raw.on('close', () => this.#closed());
    void this.#session.admit();
    if (settings.tls === 'implicit' && settings.behaviour.knobs.handshake !== 'plain') return this.#startTls(() => this.#greet());
    this.#attach(raw);
    this.#greet();
  }

  #greet(): void {
    const { bannerDelayMs = 0 } = this.#world.settings.behaviour.knobs;
    const start = (): void => {
      this.#greeted = true;
      if (!this.#raw.destroyed) this.#session.start();
    };
    if (bannerDelayMs === 0) start();
    else setTimeout(start, bannerDelayMs).unref();
  }

  #io(): SessionIo {
    return {
      write: (text) => this.#say(text),
      startTls: () => this.#voice.after(() => this.#startTls(() => {})),
      pause: () => this.#stop('bySession'),
      resume: () => this.#goOn('bySession'),
      end: () => this.#voice.after(() => this.#end()),
      timeout: (ms) => this.#arm(ms),
    };
  }

  /** The session knows one reply to a message: this one stands for several, which take its place on the wire. */
  #several(replies: readonly Reply[]): Reply {
    const name = `${replies.length} replies ${randomUUID()}`;
    this.#standIns.set(`250 ${name}\r\n`, replies.map(formatReply).join(''));
    return { code: 250, enhanced: '', lines: [name] };
  }

  #say(said: string): void {
    let text = said;
    for (const [standIn, replies] of this.#standIns) {
      if (!text.includes(standIn)) continue;
      this.#standIns.delete(standIn);
      text = text.replace(standIn, () => replies);
    }
    for (const line of text.trimEnd().split('\r\n')) this.#said('>', line.startsWith('334') ? '334 [removed]' : line);
    const injection = this.#injection;
    this.#injection = '';
    this.#voice.say(text + injection);
  }

  #put(bytes: string | Buffer): void {
    if (this.#ended || this.#socket.destroyed || this.#socket.write(bytes)) return;
    // A client that sends and never reads must not fill our memory.
    this.#stop('byOutput');
    this.#socket.once('drain', () => this.#goOn('byOutput'));
  }

  #stop(why: 'bySession' | 'byOutput'): void {
    this.#stopped[why] = true;
    this.#socket.pause();
  }

  #goOn(why: 'bySession' | 'byOutput'): void {
    this.#stopped[why] = false;
    if (!this.#stopped.bySession && !this.#stopped.byOutput) this.#socket.resume();
  }

  #arm(ms: number): void {
    if (this.#ended) return;
    if (this.#deadline !== null && this.#deadlineMs === ms) return void this.#deadline.refresh();
    if (this.#deadline !== null) clearTimeout(this.#deadline);
    this.#deadlineMs = ms;
    this.#deadline = setTimeout(() => this.#session.timedOut(), ms);
    this.#deadline.unref();
  }

  #attach(socket: Socket): void {
    socket.on('data', this.#onData);
    socket.on('end', this.#onEnd);
  }

  readonly #onData = (chunk: Buffer): void => {
    if (!this.#greeted) {
      this.#greeted = true;
      this.#world.settings.emit({ event: 'early-talk', connection: this.#number });
    }
    this.#session.feed(chunk);
  };

  readonly #onEnd = (): void => this.#session.inputEnded();

  #startTls(then: () => void): void {
    const { knobs } = this.#world.settings.behaviour;
    if (knobs.handshake === 'plain') return this.#pretendTls();
    const raw = this.#raw;
    raw.off('data', this.#onData);
    raw.off('end', this.#onEnd);
    if (knobs.handshake === 'stall' || knobs.handshake === 'garbage') {
      this.#acted('starttls', knobs.handshake, `starttls-${knobs.handshake}`);
      if (knobs.handshake === 'garbage') raw.once('data', () => void raw.write(Buffer.concat([Buffer.from('no TLS here\r\n'), randomBytes(64)])));
      raw.on('end', () => this.destroy());
      return void raw.resume();
    }
    if (this.#world.settings.tls !== 'implicit') while (raw.read() !== null);
    const socket = new TLSSocket(raw, { isServer: true, secureContext: this.#world.context });
    this.#socket = socket;
    let done = false;
    const late = setTimeout(() => this.destroy(), HANDSHAKE_MS);
    late.unref();
    const failed = (cause: string): void => {
      clearTimeout(late);
      if (!done) {
        this.#world.counts.tlsFailed++;
        this.#world.settings.emit({ event: 'tls-failed', connection: this.#number, cause });
      }
      done = true;
      this.destroy();
    };
    socket.on('error', (error) => failed(`${errorText(error)}${errorCode(error) === undefined ? '' : ` (${errorCode(error)})`}`));
    const gaveUp = (): void => failed('the client closed the connection during the handshake');
    socket.on('end', gaveUp);
    socket.on('close', () => this.destroy());
    socket.on('secure', () => {
      if (done) return;
      done = true;
      clearTimeout(late);
      socket.off('end', gaveUp);
      this.#attach(socket);
      this.#secured(socket);
      then();
    });
    socket.resume();
  }

  #secured(socket: TLSSocket): void {
    const cipher = socket.getCipher();
    const named: unknown = Reflect.get(socket, 'servername');
    const tls = { protocol: socket.getProtocol() ?? '', cipher: cipher.standardName ?? cipher.name, serverName: typeof named === 'string' && named !== '' ? named : null };
    this.#world.counts.secured++;
    this.#world.settings.emit({ event: 'tls', connection: this.#number, ...tls });
    this.#session.secured(tls, exporterOf(socket));
  }

  /** 220 was said, and nothing came of it. */
  #pretendTls(): void {
    this.#acted('starttls', 'plain', 'starttls-plain');
    this.#session.secured({ protocol: '', cipher: '', serverName: null }, null);
    this.#connection.tls = null;
  }

  /** What the rules want at this step; null: nothing. */
  #perform(step: Step, subject: Partial<Subject> = {}): MaybePromise<Reply | null> {
    const wanted = decide(this.#world, step, { names: [], messages: this.#messages, ...subject });
    return wanted === null ? null : this.#act(step, wanted.act, wanted.from);
  }

  #act(step: Step, act: Act, from: string): MaybePromise<Reply> {
    if (act.do === 'reply') {
      this.#wantedBy = from;
      return act.reply;
    }
    if (act.do === 'any') return this.#act(step, this.#anything(), from);
    this.#acted(step, actText(act), from);
    // What was answered before goes out first.
    setImmediate(() => this.#voice.after(() => this.#misbehave(act)));
    return new Promise<never>(() => {});
  }

  #anything(): Act {
    const chance = this.#world.chance();
    if (chance < 0.2) return { do: 'drop' };
    const permanent = chance < 0.5;
    return { do: 'reply', reply: { code: permanent ? 550 : 451, enhanced: permanent ? '5.3.0' : '4.3.0', lines: [`By chance, ${permanent ? 'no' : 'not now'}`] } };
  }

  #misbehave(act: Act): void {
    switch (act.do) {
      case 'drop':
        return this.#raw.destroySoon();
      case 'reset':
        return void this.#raw.resetAndDestroy();
      case 'raw':
        this.#put(act.text);
        if (act.close) this.#socket.end();
        return;
      case 'endless':
        return this.#forever(Buffer.from(act.text.repeat(Math.ceil(4096 / act.text.length))), 0);
      default:
        return;
    }
  }

  /** As fast as the client reads. */
  #forever(block: Buffer, sent: number): void {
    let bytes = sent;
    while (bytes < ENDLESS_BYTES && !this.#socket.destroyed) {
      bytes += block.length;
      if (!this.#socket.write(block)) return void this.#socket.once('drain', () => this.#forever(block, bytes));
    }
    this.destroy();
  }

  #taken(facts: MessageFacts): void {
    const { counts, settings } = this.#world;
    this.#messages++;
    counts.messages++;
    counts.recipients += facts.to.length;
    counts.bytes += facts.sizeBytes;
    settings.emit({ event: 'message', connection: this.#number, ...facts });
  }

  #admit(): void {
    this.#admitted = true;
    this.#world.admitted++;
  }

  #refused(step: string, { code, enhanced, lines }: Reply): void {
    const personality = this.#wantedBy;
    this.#wantedBy = null;
    tally(this.#world.counts.refused, `${code} to ${step}`);
    // Who is refused at the door is no connection that the next one is counted with.
    if (step === 'connect') this.#leave();
    this.#world.settings.emit({ event: 'refused', connection: this.#number, step, code, enhanced, text: lines.join(' '), personality });
  }

  #acted(step: string, act: string, personality: string): void {
    tally(this.#world.counts.acted, `${personality}: ${act}`);
    this.#world.settings.emit({ event: 'acted', connection: this.#number, step, act, personality });
  }

  #said(direction: '>' | '<', text: string): void {
    if (this.#world.settings.transcript) this.#world.settings.emit({ event: 'said', connection: this.#number, direction, text });
  }

  drain(): void {
    this.#session.drain();
  }

  /** Our last reply is on its way: wait a little for the client to read it. */
  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#socket.removeAllListeners('data');
    this.#socket.resume();
    this.#socket.end();
    setTimeout(() => this.destroy(), LINGER_MS).unref();
  }

  destroy(): void {
    this.#socket.destroy();
    this.#raw.destroy();
  }

  #leave(): void {
    if (this.#admitted) this.#world.admitted--;
    this.#admitted = false;
  }

  #closed(): void {
    this.#ended = true;
    if (this.#deadline !== null) clearTimeout(this.#deadline);
    this.#voice.silence();
    this.#leave();
    this.#session.closed();
    const { clock, emit } = this.#world.settings;
    emit({ event: 'disconnected', connection: this.#number, messages: this.#messages, durationMs: clock.nowMs() - this.#startMs });
    this.#gone();
  }
}

/** For SCRAM with channel binding, by TLS 1.3 (RFC 9266). */
function exporterOf(socket: TLSSocket): ChannelBinding | null {
  if (socket.getProtocol() !== 'TLSv1.3') return null;
  return (type) => (type === 'tls-exporter' ? socket.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0)) : null);
}
