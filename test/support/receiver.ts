// A receiver that a test scripts: it keeps every message byte for byte, and answers, stalls, drops or lies as it is told.

import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { TLSSocket, createSecureContext } from 'node:tls';
import type { SecureContext } from 'node:tls';
import { atEnd } from './temp.ts';

export type Received = {
  readonly from: string;
  readonly to: readonly string[];
  readonly content: Buffer;
  readonly tls: string | null;
  /** The name the client asked for (SNI). */
  readonly serverName: string | null;
  readonly connection: number;
  readonly mail: string;
};

export type Script = {
  readonly greeting?: string;
  /** Keywords of the EHLO answer; STARTTLS is added when there is a certificate. */
  readonly offers?: readonly string[];
  readonly tls?: { readonly cert: string; readonly key: string; readonly maxVersion?: 'TLSv1.2' | 'TLSv1.3' };
  /** After STARTTLS it speaks anything but TLS. */
  readonly breakTls?: boolean;
  /** TLS from the first byte. */
  readonly implicit?: boolean;
  /** A reply instead of the usual one; `drop` cuts the connection, `stall` never answers. `line`: the command; for content `.`. */
  readonly reply?: (
    line: string,
    state: { readonly connection: number; readonly message: number; readonly rcpts: number; readonly tls: boolean },
  ) => string | 'drop' | 'stall' | undefined;
  /** Awaited before a command is answered; `.` for content. */
  readonly before?: (line: string) => Promise<void> | undefined;
  /** A greeting for this connection instead of the usual one; it then ends. */
  readonly admit?: () => string | undefined;
  readonly opened?: () => void;
  readonly closed?: () => void;
  readonly address?: string;
  readonly port?: number;
  /** Content is counted, not kept. */
  readonly forget?: boolean;
};

export type Receiver = {
  readonly address: string;
  readonly port: number;
  readonly received: Received[];
  /** All commands, in order, of all connections. */
  readonly lines: string[];
  readonly connections: number;
  readonly count: number;
  script: Script;
  close(): Promise<void>;
};

const DEFAULT_OFFERS = ['PIPELINING', '8BITMIME', 'SMTPUTF8', 'SIZE 100000000', 'DSN', 'ENHANCEDSTATUSCODES'];

/** Starts one; closed with the test file. */
export async function startReceiver(script: Script = {}): Promise<Receiver> {
  const state = { connections: 0, count: 0 };
  const sockets = new Set<Socket>();
  const receiver: Receiver = {
    address: script.address ?? '127.0.0.1',
    port: 0,
    received: [],
    lines: [],
    script,
    get connections() {
      return state.connections;
    },
    get count() {
      return state.count;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
  // Replies in several writes would wait for each other's acknowledgement, 40 ms a message.
  const server: Server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    const refusal = receiver.script.admit?.();
    if (refusal !== undefined) return void socket.end(`${refusal}\r\n`);
    receiver.script.opened?.();
    socket.on('close', () => receiver.script.closed?.());
    new Conversation(receiver, ++state.connections, socket, () => state.count++);
  });
  server.listen(script.port ?? 0, receiver.address);
  await once(server, 'listening');
  (receiver as { port: number }).port = (server.address() as { port: number }).port;
  atEnd(() => receiver.close());
  return receiver;
}

const contexts = new WeakMap<object, SecureContext>();

/** One context a certificate, so that its sessions can be resumed. */
function contextOf(tls: NonNullable<Script['tls']>): SecureContext {
  const known = contexts.get(tls) ?? createSecureContext({ ...tls, sessionIdContext: 'receiver' });
  contexts.set(tls, known);
  return known;
}

class Conversation {
  readonly #receiver: Receiver;
  readonly #number: number;
  readonly #counted: () => void;
  #socket: Socket;
  #buffer: Buffer = Buffer.alloc(0);
  #mode: 'command' | 'data' | 'bdat' | 'stalled' = 'command';
  #bdatLeft = 0;
  #bdatLast = false;
  #mail = '';
  #rcpts: string[] = [];
  #chunks: Buffer[] = [];
  #message = 0;
  #tls: string | null = null;
  #serverName: string | null = null;

  constructor(receiver: Receiver, number: number, socket: Socket, counted: () => void) {
    this.#receiver = receiver;
    this.#number = number;
    this.#socket = socket;
    this.#counted = counted;
    if (receiver.script.implicit === true) this.#secure();
    else this.#listen();
    this.#say('220 receiver.test ESMTP', '(greeting)');
  }

  #listen(): void {
    this.#socket.on('data', (chunk: Buffer) => {
      this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk]);
      this.#consume();
    });
    this.#socket.on('error', () => {});
  }

  #secure(): void {
    const { tls } = this.#receiver.script;
    if (tls === undefined) throw new Error('no certificate');
    const secured = new TLSSocket(this.#socket, { isServer: true, secureContext: contextOf(tls) });
    secured.on('secure', () => {
      this.#tls = secured.getProtocol();
      const name: unknown = Reflect.get(secured, 'servername');
      this.#serverName = typeof name === 'string' ? name : null;
    });
    secured.on('error', () => this.#socket.destroy());
    this.#socket = secured;
    this.#buffer = Buffer.alloc(0);
    this.#listen();
  }

  #consume(): void {
    for (;;) {
      if (this.#mode === 'stalled') return;
      if (this.#mode === 'bdat') {
        if (!this.#takeBdat()) return;
        continue;
      }
      if (this.#mode === 'data') {
        if (!this.#takeData()) return;
        continue;
      }
      const end = this.#buffer.indexOf('\r\n');
      if (end === -1) return;
      const line = this.#buffer.toString('utf8', 0, end);
      this.#buffer = this.#buffer.subarray(end + 2);
      this.#receiver.lines.push(line);
      const waits = this.#receiver.script.before?.(line);
      if (waits !== undefined) {
        const mode = this.#mode;
        this.#mode = 'stalled';
        void waits.then(() => {
          this.#mode = mode;
          this.#command(line);
          this.#consume();
        });
        return;
      }
      this.#command(line);
    }
  }

  /** Content as it comes: what cannot hold the end any more is put aside, so that big messages are looked at once. */
  #takeData(): boolean {
    const atStart = this.#chunks.length === 0 && this.#buffer.subarray(0, 3).equals(Buffer.from('.\r\n'));
    const end = atStart ? 0 : this.#buffer.indexOf('\r\n.\r\n');
    if (end === -1) {
      const keep = Math.min(this.#buffer.length, 4);
      if (this.#buffer.length > 65_536) {
        this.#chunks.push(this.#buffer.subarray(0, this.#buffer.length - keep));
        this.#buffer = Buffer.from(this.#buffer.subarray(this.#buffer.length - keep));
      }
      return false;
    }
    const content = Buffer.concat([...this.#chunks, atStart ? Buffer.alloc(0) : this.#buffer.subarray(0, end + 2)]);
    this.#chunks = [];
    this.#buffer = this.#buffer.subarray(atStart ? 3 : end + 5);
    this.#mode = 'command';
    return this.#finishLater(this.#receiver.script.forget === true ? Buffer.alloc(0) : unstuff(content));
  }

  #takeBdat(): boolean {
    if (this.#buffer.length < this.#bdatLeft) return false;
    this.#chunks.push(this.#buffer.subarray(0, this.#bdatLeft));
    this.#buffer = this.#buffer.subarray(this.#bdatLeft);
    this.#mode = 'command';
    if (this.#bdatLast) return this.#finishLater(Buffer.concat(this.#chunks));
    else this.#say('250 2.0.0 Chunk taken', 'BDAT');
    return true;
  }

  #command(line: string): void {
    const verb = line.split(' ')[0]?.toUpperCase() ?? '';
    const { script } = this.#receiver;
    switch (verb) {
      case 'EHLO':
      case 'LHLO': {
        const offers = [...(script.offers ?? DEFAULT_OFFERS), ...(script.tls !== undefined && script.implicit !== true && this.#tls === null ? ['STARTTLS'] : [])];
        return this.#say(['receiver.test', ...offers].map((text, i, all) => `250${i === all.length - 1 ? ' ' : '-'}${text}`).join('\r\n'), line);
      }
      case 'MAIL':
        this.#mail = '';
        this.#rcpts = [];
        this.#chunks = [];
        return this.#say('250 2.1.0 Ok', line, (reply) => {
          if (reply.startsWith('2')) this.#mail = line;
        });
      case 'RCPT':
        return this.#say(this.#mail === '' ? '503 5.5.1 MAIL first' : '250 2.1.5 Ok', line, (reply) => {
          if (reply.startsWith('2')) this.#rcpts.push(line.slice('RCPT TO:'.length));
        });
      case 'DATA':
        return this.#say(this.#rcpts.length === 0 ? '554 5.5.1 No valid recipients' : '354 Go on', line, (reply) => {
          if (reply.startsWith('3')) this.#mode = 'data';
        });
      case 'BDAT': {
        const [, size = '0', last] = line.split(' ');
        this.#bdatLeft = Number(size);
        this.#bdatLast = last !== undefined;
        this.#mode = 'bdat';
        return;
      }
      case 'STARTTLS':
        // Some ask for it though it was not offered.
        if (script.tls === undefined && script.breakTls !== true) return this.#say('502 5.5.1 No TLS here', line);
        return this.#say('220 2.0.0 Ready', line, (reply) => {
          if (!reply.startsWith('220')) return;
          if (script.breakTls === true) this.#socket.end('this is no TLS\r\n');
          else this.#secure();
        });
      case 'QUIT':
        this.#say('221 2.0.0 Bye', line);
        this.#socket.end();
        return;
      default:
        this.#say(['RSET', 'NOOP', 'HELO', 'AUTH'].includes(verb) ? '250 2.0.0 Ok' : '500 5.5.2 What?', line);
    }
  }

  /** False: the answer is awaited first. */
  #finishLater(content: Buffer): boolean {
    const waits = this.#receiver.script.before?.('.');
    if (waits === undefined) {
      this.#finish(content);
      return true;
    }
    this.#mode = 'stalled';
    void waits.then(() => {
      this.#mode = 'command';
      this.#finish(content);
      this.#consume();
    });
    return false;
  }

  #finish(content: Buffer): void {
    if (this.#rcpts.length === 0) return this.#say('554 5.5.1 No valid recipients', '.');
    const received = {
      from: pathOf(this.#mail),
      to: this.#rcpts.map(pathOf),
      content: Buffer.from(content),
      tls: this.#tls,
      serverName: this.#serverName,
      connection: this.#number,
      mail: this.#mail,
    };
    this.#say('250 2.0.0 Taken', '.', (reply) => {
      if (!reply.startsWith('2')) return;
      this.#counted();
      if (this.#receiver.script.forget !== true) this.#receiver.received.push(received);
    });
    this.#message++;
  }

  #say(usual: string, line: string, then?: (reply: string) => void): void {
    const { script } = this.#receiver;
    const told =
      line === '(greeting)' ? script.greeting : script.reply?.(line, { connection: this.#number, message: this.#message, rcpts: this.#rcpts.length, tls: this.#tls !== null });
    const reply = told ?? usual;
    if (reply === 'drop') return void this.#socket.destroy();
    if (reply === 'stall') {
      this.#mode = 'stalled';
      return;
    }
    this.#socket.write(`${reply}\r\n`);
    then?.(reply);
    if (reply.startsWith('421')) this.#socket.end();
  }
}

function unstuff(content: Buffer): Buffer {
  const text = content.toString('latin1');
  return Buffer.from(text.replace(/(^|\r\n)\./g, '$1'), 'latin1');
}

function pathOf(line: string): string {
  return /<([^>]*)>/.exec(line)?.[1] ?? '';
}
