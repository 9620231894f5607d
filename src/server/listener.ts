// One listening port: sockets, TLS, the PROXY header, deadlines and draining around smtp/session.ts. Always a plain TCP server: TLS is wrapped
// around the socket, for 465 at once and for STARTTLS when asked, so that a PROXY header can come first.

import { createHash, X509Certificate, randomBytes } from 'node:crypto';
import { BlockList, createServer, isIP } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { errorCode, errorText } from '#base/failure.ts';
import type { Log } from '#base/log.ts';
import { commandTable } from '#smtp/commands.ts';
import type { ChannelBinding, Connection, Identity, Policy, Profile, SessionLimits } from '#smtp/policy.ts';
import { parseProxy } from '#smtp/proxy.ts';
import { Session } from '#smtp/session.ts';
import type { Command } from '#smtp/turn.ts';
import type { ServerTls } from '#tls/context.ts';

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
/** How long a closing connection may take to read our last reply. */
const LINGER_MS = 5000;

/** Opens the port. Rejects with the system's error (EACCES, EADDRINUSE, EADDRNOTAVAIL). */
export async function openListener<I extends Identity>(options: ListenerOptions<I>): Promise<Listener> {
  const open = new Set<SocketSession<I>>();
  const proxies = options.proxyProtocol === false ? null : blockList(options.proxyProtocol);
  const commands = commandTable<I>();
  const server = createServer({ noDelay: true, allowHalfOpen: false }, (socket) => {
    const session = new SocketSession<I>({ ...options, commands, proxies }, socket, () => open.delete(session));
    open.add(session);
    session.begin();
  });
  await listen(server, options);
  const bound = server.address() as AddressInfo;
  return {
    address: bound.address,
    port: bound.port,
    connections: () => open.size,
    async drain(deadlineMs) {
      server.close();
      for (const session of open) session.drain();
      const until = Date.now() + deadlineMs;
      while (open.size > 0 && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 20));
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

type SocketOptions<I extends Identity> = ListenerOptions<I> & { readonly commands: ReadonlyMap<string, Command<I>>; readonly proxies: BlockList | null };

/** One connection: the raw socket, the TLS socket around it once there is one, and the session. */
class SocketSession<I extends Identity> {
  readonly #options: SocketOptions<I>;
  readonly #raw: Socket;
  readonly #gone: () => void;
  #socket: Socket;
  #session: Session<I> | null = null;
  #lifetime: NodeJS.Timeout | null = null;
  #proxyBytes: Buffer | null = null;
  #client: { address: string; port: number };
  #ended = false;

  constructor(options: SocketOptions<I>, socket: Socket, gone: () => void) {
    this.#options = options;
    this.#raw = socket;
    this.#socket = socket;
    this.#gone = gone;
    this.#client = { address: plainAddress(socket.remoteAddress ?? ''), port: socket.remotePort ?? 0 };
  }

  begin(): void {
    this.#raw.on('error', () => {});
    this.#raw.on('close', () => this.#closed());
    const { proxies } = this.#options;
    if (proxies === null || !inList(proxies, this.#client.address)) return this.#clientKnown(Buffer.alloc(0));
    this.#proxyBytes = Buffer.alloc(0);
    this.#raw.setTimeout(PROXY_DEADLINE_MS, () => this.destroy());
    this.#raw.on('data', this.#onProxyData);
  }

  readonly #onProxyData = (chunk: Buffer): void => {
    const bytes = Buffer.concat([this.#proxyBytes ?? Buffer.alloc(0), chunk]);
    const result = parseProxy(bytes);
    if (result.is === 'more') {
      this.#proxyBytes = bytes;
      return;
    }
    this.#raw.off('data', this.#onProxyData);
    if (result.is === 'malformed') {
      this.#options.log.warn('proxy.refused', { client: this.#client.address, cause: result.why, fix: 'Let the proxy send the PROXY protocol, or take it off proxy_protocol.' });
      return this.destroy();
    }
    this.#raw.pause();
    if (result.client !== null) this.#client = { ...result.client, address: plainAddress(result.client.address) };
    this.#clientKnown(bytes.subarray(result.length));
  };

  /** The client's address is known; `early` are bytes that came with the PROXY header. */
  #clientKnown(early: Buffer): void {
    const { profile, policy, hostname, log, commands, limits, observe } = this.#options;
    observe?.('opened', profile);
    const connection: Connection<I> = {
      id: randomBytes(6).toString('hex'),
      profile,
      clientAddress: this.#client.address,
      clientPort: this.#client.port,
      localAddress: plainAddress(this.#raw.localAddress ?? ''),
      localPort: this.#raw.localPort ?? 0,
      helo: null,
      extended: false,
      tls: null,
      identity: null,
    };
    const session = new Session<I>({
      connection,
      policy,
      limits: limits(),
      hostname,
      commands,
      log,
      io: {
        write: (text) => this.#write(text),
        startTls: () => this.#startTls(() => this.#options.observe?.('tls', profile)),
        pause: () => this.#socket.pause(),
        resume: () => this.#socket.resume(),
        end: () => this.#end(),
        timeout: (ms) => this.#socket.setTimeout(ms),
      },
    });
    this.#session = session;
    log.debug('session.opened', { session: connection.id, profile, client: connection.clientAddress, port: connection.clientPort });
    this.#lifetime = setTimeout(() => session.expired(), limits().sessionTimeoutMs);
    this.#lifetime.unref();
    if (early.length > 0) this.#raw.unshift(early);
    if (profile === 'submissions') {
      this.#startTls(() => {
        observe?.('tls', profile);
        session.start();
      });
      return;
    }
    this.#attach(this.#raw);
    this.#raw.resume();
    session.start();
  }

  #attach(socket: Socket): void {
    socket.on('data', this.#onData);
    socket.on('timeout', () => this.#session?.timedOut());
    socket.on('end', () => this.#end());
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#session?.feed(chunk);
  };

  #write(text: string): void {
    if (this.#socket.write(text)) return;
    // A client that sends and never reads must not fill our memory.
    this.#socket.pause();
    this.#socket.once('drain', () => this.#socket.resume());
  }

  #startTls(then: () => void): void {
    const { tls, log, profile, observe } = this.#options;
    const raw = this.#raw;
    raw.off('data', this.#onData);
    raw.removeAllListeners('end');
    raw.removeAllListeners('timeout');
    raw.setTimeout(0);
    // Plain bytes already read by the stream belong to the time before the handshake: they are dropped on 587, and are the handshake on 465.
    if (profile !== 'submissions') while (raw.read() !== null);
    const socket = new TLSSocket(raw, { isServer: true, secureContext: tls.secureContext(), SNICallback: tls.sni });
    this.#socket = socket;
    let done = false;
    socket.setTimeout(HANDSHAKE_DEADLINE_MS, () => done || this.destroy());
    socket.on('error', (error) => {
      if (!done) {
        observe?.('tls-failed', profile);
        log.info('tls.failed', { client: this.#client.address, profile, code: errorCode(error), cause: errorText(error) });
      }
      this.destroy();
    });
    socket.on('secure', () => {
      if (done) return;
      done = true;
      socket.setTimeout(0);
      socket.removeAllListeners('timeout');
      this.#attach(socket);
      const cipher = socket.getCipher();
      this.#session?.secured({ protocol: socket.getProtocol() ?? '', cipher: cipher.standardName ?? cipher.name, serverName: serverName(socket) }, channelBinding(socket, tls));
      then();
    });
    socket.on('close', () => this.destroy());
    socket.resume();
  }

  drain(): void {
    if (this.#session === null) this.destroy();
    else this.#session.drain();
  }

  /** Our last reply is on its way: wait a little for the client to read it. */
  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#socket.removeAllListeners('data');
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
    const session = this.#session;
    this.#session = null;
    if (session !== null) {
      session.closed();
      this.#options.observe?.('closed', this.#options.profile);
    }
    this.#gone();
  }
}

function serverName(socket: TLSSocket): string | null {
  const name: unknown = Reflect.get(socket, 'servername');
  return typeof name === 'string' && name !== '' ? name : null;
}

/** Channel-binding data of this connection (RFC 9266; RFC 5929 for the older types). */
function channelBinding(socket: TLSSocket, tls: ServerTls): ChannelBinding {
  return (type) => {
    const protocol = socket.getProtocol();
    if (type === 'tls-exporter') return protocol === 'TLSv1.3' ? socket.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0)) : null;
    if (type === 'tls-unique') return protocol === 'TLSv1.2' ? (socket.getPeerFinished() ?? null) : null;
    const leaf = tls.leaf(serverName(socket));
    return createHash(bindingHash(leaf)).update(leaf).digest();
  };
}

/** The hash of the certificate's signature; SHA-256 for MD5 and SHA-1 (RFC 5929 4.1). */
function bindingHash(leaf: Buffer): string {
  const algorithm = new X509Certificate(leaf).signatureAlgorithm?.toLowerCase() ?? '';
  return algorithm.includes('sha384') ? 'sha384' : algorithm.includes('sha512') ? 'sha512' : 'sha256';
}

function blockList(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [ip = '', bits] = network.split('/');
    const family = isIP(ip) === 6 ? 'ipv6' : 'ipv4';
    list.addSubnet(ip, bits === undefined ? (family === 'ipv6' ? 128 : 32) : Number(bits), family);
  }
  return list;
}

function inList(list: BlockList, address: string): boolean {
  return list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}

/** `::ffff:192.0.2.1` is 192.0.2.1 to everyone who reads logs or writes rules. */
function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
}
