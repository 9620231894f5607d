// A raw SMTP conversation: bytes out, whole replies in. Knows nothing of SMTP but where a reply ends.

import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { atEnd } from './temp.ts';

export class Raw {
  #socket: Socket;
  #text = '';
  #closed = false;
  #wake: (() => void) | null = null;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#attach(socket);
    atEnd(() => this.#socket.destroy());
  }

  #attach(socket: Socket): void {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#text += chunk.toString('latin1');
      this.#wake?.();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#closed = true;
      this.#wake?.();
    });
  }

  get socket(): Socket {
    return this.#socket;
  }
  get closed(): boolean {
    return this.#closed;
  }

  send(bytes: string | Buffer): void {
    this.#socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  }

  /** The next reply, all its lines; 'closed' when the server ended the connection instead. */
  async reply(withinMs = 10_000): Promise<string> {
    const endMs = Date.now() + withinMs;
    for (;;) {
      const match = /^(?:\d{3}-[^\r\n]*\r\n)*\d{3} [^\r\n]*\r\n/.exec(this.#text);
      if (match !== null) {
        this.#text = this.#text.slice(match[0].length);
        return match[0].slice(0, -2);
      }
      if (this.#closed) return 'closed';
      const leftMs = endMs - Date.now();
      if (leftMs <= 0) throw new Error(`no reply within ${withinMs} ms; so far ${JSON.stringify(this.#text)}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Sends one line and gives the reply to it. */
  async ask(line: string): Promise<string> {
    this.send(`${line}\r\n`);
    return this.reply();
  }

  /** Everything that still comes until the server closes or is silent for a moment. */
  async rest(silentMs = 300): Promise<string[]> {
    const replies: string[] = [];
    for (;;) {
      try {
        const reply = await this.reply(silentMs);
        if (reply === 'closed') return [...replies, 'closed'];
        replies.push(reply);
      } catch {
        return replies;
      }
    }
  }

  /** STARTTLS and the handshake; nothing is said after it. */
  async startTls(): Promise<void> {
    const reply = await this.ask('STARTTLS');
    if (!reply.startsWith('220')) throw new Error(`STARTTLS: ${reply}`);
    await this.secure();
  }

  async secure(servername = 'relay.test'): Promise<void> {
    this.#socket.removeAllListeners('data');
    this.#socket.removeAllListeners('close');
    const secured = connectTls({ socket: this.#socket, rejectUnauthorized: false, servername });
    await once(secured, 'secureConnect');
    this.#attach(secured);
  }
}

/** Connects and takes the greeting, unless told otherwise. */
export async function rawTo(port: number, options: { address?: string; greeting?: boolean; localAddress?: string } = {}): Promise<Raw> {
  const socket = connect({ port, host: options.address ?? '127.0.0.1', noDelay: true, ...(options.localAddress === undefined ? {} : { localAddress: options.localAddress }) });
  await once(socket, 'connect');
  const raw = new Raw(socket);
  if (options.greeting !== false) await raw.reply();
  return raw;
}

/** TLS from the first byte. */
export async function rawTlsTo(port: number, options: { greeting?: boolean; localAddress?: string } = {}): Promise<Raw> {
  const plain = connect({ port, host: '127.0.0.1', noDelay: true, ...(options.localAddress === undefined ? {} : { localAddress: options.localAddress }) });
  const socket = connectTls({ socket: plain, rejectUnauthorized: false, servername: 'relay.test' });
  await once(socket, 'secureConnect');
  const raw = new Raw(socket);
  if (options.greeting !== false) await raw.reply();
  return raw;
}

export function plain(credential: { username: string; password: string }): string {
  return `AUTH PLAIN ${Buffer.from(`\0${credential.username}\0${credential.password}`).toString('base64')}`;
}
