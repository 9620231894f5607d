// One listening port: sockets, TLS, the PROXY header, deadlines and draining around smtp/session.ts. Always a plain TCP server: TLS is wrapped
// around the socket, for 465 at once and for STARTTLS when asked, so that a PROXY header can come first.

import { createHash, randomUUID } from 'node:crypto';
import type { X509Certificate } from 'node:crypto';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { errorCode, errorText } from '#base/failure.ts';
import { canonicalIp, openNetworks } from '#base/ip.ts';
import type { Networks } from '#base/ip.ts';
import type { Log } from '#base/log.ts';
import { isPromise } from '#base/promise.ts';
import { commandTable } from '#smtp/commands.ts';
import type { ChannelBinding, Connection, Identity, Policy, Profile, SessionLimits } from '#smtp/policy.ts';
import { parseProxy } from '#smtp/proxy.ts';
import { Session } from '#smtp/session.ts';
import type { SessionIo } from '#smtp/session.ts';
import type { Command } from '#smtp/turn.ts';
import type { ChallengeTable } from '#tls/acme/tls-alpn-01.ts';
import type { ServerTls } from '#tls/context.ts';
import { answerChallenge } from './challenge-door.ts';

export type ListenerOptions<I extends Identity> = {
  readonly profile: Profile;
  readonly address: string;
  readonly port: number;
  /** Networks whose connections begin with a PROXY header, always; false: nobody's do. */
  readonly proxyProtocol: false | readonly string[];
  readonly reusePort: boolean;
  readonly policy: Policy<I>;
  readonly limits: () => SessionLimits;
  readonly hostname: string;
  readonly tls: ServerTls;
  /** Of TLS-ALPN-01: answered on ports that speak TLS from the first byte. */
  readonly challenges: ChallengeTable;
  readonly log: Log;
  /** One-way observer (metrics). */
  readonly observe?: (event: 'opened' | 'closed' | 'tls' | 'tls-failed', profile: Profile) => void;
};

export type Listener = {
  readonly address: string;
  readonly port: number;
  connections(): number;
  /** Stops listening; sessions end at the next transaction's end, or at the deadline. */
  drain(deadlineMs: number): Promise<void>;
  close(): void;
};

const PROXY_DEADLINE_MS = 5000;
const HANDSHAKE_DEADLINE_MS = 30_000;
/** At the end of a drain, for the last 421 to go out. */
const CUT_MS = 500;
/** For an answer that is under way when a session's time is over. */
const LAST_ANSWER_MS = 60_000;
/** How long a closing connection may take to read our last reply, and a refused one to come to where it can be said. */
const LINGER_MS = 5000;
/** Connections over a limit are told so; when even these are too many, more are dropped without a word. */
const REFUSED_AT_ONCE = 1000;

/** Opens the port. Rejects with the system's error (EACCES, EADDRINUSE, EADDRNOTAVAIL). */
export async function openListener<I extends Identity>(options: ListenerOptions<I>): Promise<Listener> {
  const open = new Set<SocketSession<I>>();
  const shared: Shared<I> = { ...options, commands: commandTable<I>(), proxies: options.proxyProtocol === false ? null : openNetworks(options.proxyProtocol), refused: 0 };
  // Half open: a client that has said everything may close its side and still read our answers.
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    const session = new SocketSession<I>(shared, socket, () => open.delete(session));
    open.add(session);
    session.begin();
  });
  await listen(server, options);
  const bound = server.address() as AddressInfo;
  const emptyWithin = async (ms: number): Promise<void> => {
    const until = Date.now() + ms;
    while (open.size > 0 && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 20));
  };
  return {
    address: bound.address,
    port: bound.port,
    connections: () => open.size,
    async drain(deadlineMs) {
      server.close();
      for (const session of open) session.drain();
      await emptyWithin(deadlineMs);
      for (const session of open) session.cut();
      await emptyWithin(CUT_MS);
      for (const session of open) session.destroy();
    },
    close() {
      server.close();
      for (const session of open) session.destroy();
    },
  };
}

function listen(server: Server, options: { address: string; port: number; reusePort: boolean }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: options.address, port: options.port, reusePort: options.reusePort, backlog: 1024 }, () => {
      server.off('error', reject);
      server.on('error', () => {});
      resolve();
    });
  });
}

type Shared<I extends Identity> = ListenerOptions<I> & {
  readonly commands: ReadonlyMap<string, Command<I>>;
  readonly proxies: Networks | null;
  /** Connections here now that the policy refused. */
  refused: number;
};

/** One connection: the raw socket, the TLS socket around it once there is one, and the session. */
class SocketSession<I extends Identity> {
  readonly #shared: Shared<I>;
  readonly #raw: Socket;
  readonly #gone: () => void;
  #socket: Socket;
  #session: Session<I> | null = null;
  #lifetime: NodeJS.Timeout | null = null;
  #deadline: { dueMs: number; readonly firesMs: number; passed: () => void; readonly timer: NodeJS.Timeout } | null = null;
  #proxyBytes: Buffer | null = null;
  #client: { address: string; port: number };
  /** Why the socket is not read: the session has enough to do, or the client does not read what we say. */
  readonly #stopped = { bySession: false, byOutput: false };
  #refused = false;
  #ended = false;

  constructor(shared: Shared<I>, socket: Socket, gone: () => void) {
    this.#shared = shared;
    this.#raw = socket;
    this.#socket = socket;
    this.#gone = gone;
    this.#client = { address: canonicalIp(socket.remoteAddress ?? ''), port: socket.remotePort ?? 0 };
  }

  begin(): void {
    this.#raw.on('error', () => {});
    this.#raw.on('close', () => this.#closed());
    const { proxies } = this.#shared;
    if (proxies === null || !proxies.has(this.#client.address)) return this.#clientKnown(Buffer.alloc(0));
    this.#proxyBytes = Buffer.alloc(0);
    // A client of SMTP waits for the greeting: behind a proxy that says nothing of it, both would wait for ever.
    this.#arm(PROXY_DEADLINE_MS, () => this.#proxyRefused(`no PROXY header came within ${PROXY_DEADLINE_MS / 1000} seconds`));
    this.#raw.on('data', this.#onProxyData);
    this.#raw.on('end', () => this.destroy());
  }

  readonly #onProxyData = (chunk: Buffer): void => {
    const bytes = Buffer.concat([this.#proxyBytes ?? Buffer.alloc(0), chunk]);
    const result = parseProxy(bytes);
    if (result.is === 'more') {
      this.#proxyBytes = bytes;
      return;
    }
    this.#proxyBytes = null;
    this.#disarm();
    this.#raw.off('data', this.#onProxyData);
    this.#raw.removeAllListeners('end');
    if (result.is === 'malformed') return this.#proxyRefused(result.why);
    this.#raw.pause();
    if (result.client !== null) this.#client = { ...result.client, address: canonicalIp(result.client.address) };
    this.#clientKnown(bytes.subarray(result.length));
  };

  /** The answer under way may still go out; what never comes to its end is cut off. */
  #expire(session: Session<I>): void {
    session.expired();
    if (this.#session === null) return;
    this.#lifetime = setTimeout(() => this.destroy(), LAST_ANSWER_MS);
    this.#lifetime.unref();
  }

  #proxyRefused(cause: string): void {
    this.#shared.log.warn('proxy.refused', { client: this.#client.address, cause, fix: 'Let the proxy send the PROXY protocol, or take it off proxy_protocol.' });
    this.destroy();
  }

  /** The client's address is known: from here on the connection counts. `early` are bytes that came with the PROXY header. */
  #clientKnown(early: Buffer): void {
    const { profile, policy, hostname, log, commands, observe } = this.#shared;
    observe?.('opened', profile);
    const limits = this.#shared.limits();
    const connection: Connection<I> = {
      id: newSessionId(),
      profile,
      clientAddress: this.#client.address,
      clientPort: this.#client.port,
      localAddress: canonicalIp(this.#raw.localAddress ?? ''),
      localPort: this.#raw.localPort ?? 0,
      helo: null,
      extended: false,
      tls: null,
      identity: null,
    };
    const session = new Session<I>({ connection, policy, limits, hostname, commands, log, io: this.#io() });
    this.#session = session;
    log.debug('session.opened', { session: connection.id, profile, client: connection.clientAddress, port: connection.clientPort });
    this.#lifetime = setTimeout(() => this.#expire(session), limits.sessionTimeoutMs);
    this.#lifetime.unref();
    const refusal = session.admit();
    if (!isPromise(refusal) && refusal !== null) {
      this.#refused = true;
      this.#shared.refused++;
      if (this.#shared.refused > REFUSED_AT_ONCE) return this.destroy();
    }
    if (early.length > 0) this.#raw.unshift(early);
    if (profile === 'submissions') {
      const start = (): void =>
        this.#startTls(() => {
          observe?.('tls', profile);
          session.start();
        });
      return answerChallenge(this.#raw, this.#shared.challenges, start);
    }
    this.#attach(this.#raw);
    this.#raw.resume();
    session.start();
  }

  #io(): SessionIo {
    const { profile, observe } = this.#shared;
    const timedOut = (): void => this.#session?.timedOut();
    return {
      write: (text) => this.#write(text),
      startTls: () => this.#startTls(() => observe?.('tls', profile)),
      pause: () => this.#stop('bySession'),
      resume: () => this.#goOn('bySession'),
      end: () => this.#end(),
      timeout: (ms) => this.#arm(ms, timedOut),
    };
  }

  /**
   * One deadline at a time. It is not moved by bytes that come or go: a client that trickles is no better than a silent one. Moved later, as
   * each command does, it costs no timer: the one that runs looks again when it fires.
   */
  #arm(ms: number, passed: () => void): void {
    if (this.#ended) return;
    const dueMs = performance.now() + ms;
    const running = this.#deadline;
    if (running !== null && running.firesMs <= dueMs) {
      running.dueMs = dueMs;
      running.passed = passed;
      return;
    }
    this.#disarm();
    const deadline = { dueMs, firesMs: dueMs, passed, timer: setTimeout(() => this.#fire(), ms) };
    deadline.timer.unref();
    this.#deadline = deadline;
  }

  #fire(): void {
    const deadline = this.#deadline;
    if (deadline === null) return;
    this.#deadline = null;
    const leftMs = deadline.dueMs - performance.now();
    // Timers may be a little early.
    if (leftMs > 1) this.#arm(leftMs, deadline.passed);
    else deadline.passed();
  }

  #disarm(): void {
    if (this.#deadline !== null) clearTimeout(this.#deadline.timer);
    this.#deadline = null;
  }

  #attach(socket: Socket): void {
    socket.on('data', this.#onData);
    socket.on('end', () => this.#session?.inputEnded());
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#session?.feed(chunk);
  };

  #write(text: string): void {
    if (this.#socket.write(text)) return;
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

  #startTls(then: () => void): void {
    const { tls, log, profile, observe } = this.#shared;
    const raw = this.#raw;
    raw.off('data', this.#onData);
    raw.removeAllListeners('end');
    // Plain bytes already read by the stream belong to the time before the handshake: they are dropped on 587, and are the handshake on 465.
    if (profile !== 'submissions') while (raw.read() !== null);
    const socket = new TLSSocket(raw, { isServer: true, secureContext: tls.secureContext(), SNICallback: tls.sni });
    this.#socket = socket;
    let done = false;
    this.#disarm();
    this.#arm(this.#refused ? LINGER_MS : HANDSHAKE_DEADLINE_MS, () => this.destroy());
    socket.on('error', (error) => {
      if (!done) {
        observe?.('tls-failed', profile);
        log.info('tls.failed', { client: this.#client.address, profile, code: errorCode(error), cause: errorText(error) });
      }
      this.destroy();
    });
    const gaveUp = (): void => this.destroy();
    socket.on('end', gaveUp);
    socket.on('secure', () => {
      if (done) return;
      done = true;
      this.#disarm();
      socket.off('end', gaveUp);
      this.#attach(socket);
      const cipher = socket.getCipher();
      this.#session?.secured({ protocol: socket.getProtocol() ?? '', cipher: cipher.standardName ?? cipher.name, serverName: serverName(socket) }, channelBinding(socket));
      then();
    });
    socket.on('close', () => this.destroy());
    socket.resume();
  }

  drain(): void {
    if (this.#session === null) this.destroy();
    else this.#session.drain();
  }

  /** The drain has lasted its whole time. */
  cut(): void {
    this.#session?.cut();
  }

  /** Our last reply is on its way: wait a little for the client to read it. */
  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#disarm();
    this.#socket.removeAllListeners('data');
    this.#socket.removeAllListeners('drain');
    this.#socket.resume();
    this.#socket.end();
    const timer = setTimeout(() => this.destroy(), LINGER_MS);
    timer.unref();
  }

  destroy(): void {
    this.#socket.destroy();
    this.#raw.destroy();
  }

  #closed(): void {
    if (this.#lifetime !== null) clearTimeout(this.#lifetime);
    this.#lifetime = null;
    this.#disarm();
    if (this.#refused) this.#shared.refused--;
    this.#refused = false;
    const session = this.#session;
    this.#session = null;
    if (session !== null) {
      session.closed();
      this.#shared.observe?.('closed', this.#shared.profile);
    }
    this.#gone();
  }
}

/** 48 random bits. A UUID comes from a pool and costs a tenth of as many bytes asked for alone. */
function newSessionId(): string {
  const uuid = randomUUID();
  return uuid.slice(0, 8) + uuid.slice(9, 13);
}

function serverName(socket: TLSSocket): string | null {
  const name: unknown = Reflect.get(socket, 'servername');
  return typeof name === 'string' && name !== '' ? name : null;
}

/** Channel-binding data of this connection (RFC 9266; RFC 5929 for the older types). */
function channelBinding(socket: TLSSocket): ChannelBinding {
  return (type) => {
    const protocol = socket.getProtocol();
    if (type === 'tls-exporter') return protocol === 'TLSv1.3' ? socket.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0)) : null;
    // The first Finished message: the client's, or the server's where a session is resumed (RFC 5929 3.1).
    if (type === 'tls-unique') return protocol === 'TLSv1.2' ? ((socket.isSessionReused() ? socket.getFinished() : socket.getPeerFinished()) ?? null) : null;
    // The certificate of this very connection: a reload may have put another one in its place.
    const leaf = socket.getX509Certificate();
    return leaf === undefined ? null : createHash(bindingHash(leaf)).update(leaf.raw).digest();
  };
}

/** The hash of the certificate's signature; SHA-256 for MD5 and SHA-1 (RFC 5929 4.1). */
function bindingHash(leaf: X509Certificate): string {
  const algorithm = leaf.signatureAlgorithm?.toLowerCase() ?? '';
  return algorithm.includes('sha384') ? 'sha384' : algorithm.includes('sha512') ? 'sha512' : 'sha256';
}
