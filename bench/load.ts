// The load: N connections that submit messages and measure how long each 250 takes. Lean on purpose, so that the server under test gets the
// machine: bytes are prepared once, replies are only counted. Runs as a process of its own: `load.ts {json}`, answers with JSON.

import { connect } from 'node:net';
import type { Socket } from 'node:net';
import process from 'node:process';
import { connect as connectTls } from 'node:tls';

export type Load = {
  readonly address: string;
  readonly port: number;
  readonly connections: number;
  readonly messages: number;
  readonly sizeBytes: number;
  readonly security: 'none' | 'starttls' | 'implicit';
  readonly login: { readonly username: string; readonly password: string } | null;
  /** Messages of one connection; then it is closed and another opened. */
  readonly perConnection: number;
  readonly recipient: string;
  /** By HTTP instead: as JSON, or as it is. */
  readonly http: { readonly form: 'json' | 'raw'; readonly token: string } | null;
};

export type LoadResult = {
  readonly seconds: number;
  readonly accepted: number;
  readonly refused: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly cpuSeconds: number;
};

async function runLoad(load: Load): Promise<LoadResult> {
  const state = { started: 0, accepted: 0, refused: 0, latencies: new Float64Array(load.messages) };
  const startMs = performance.now();
  await Promise.all(Array.from({ length: load.connections }, () => oneAfterAnother(load, state)));
  const seconds = (performance.now() - startMs) / 1000;
  const sorted = state.latencies.subarray(0, state.accepted).toSorted();
  const { user, system } = process.cpuUsage();
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { seconds, accepted: state.accepted, refused: state.refused, p50Ms: at(0.5), p99Ms: at(0.99), cpuSeconds: (user + system) / 1e6 };
}

type State = { started: number; accepted: number; refused: number; latencies: Float64Array };

async function oneAfterAnother(load: Load, state: State): Promise<void> {
  while (state.started < load.messages) await (load.http === null ? new Connection(load, state).run() : runHttp(load, state, load.http));
}

/** Waits for replies by the number of final lines, without reading them otherwise. */
class Connection {
  readonly #load: Load;
  readonly #state: State;
  #socket!: Socket;
  #text = '';
  #wanted = 0;
  #codes: string[] = [];
  #done: ((codes: string[]) => void) | null = null;
  #fail: ((error: Error) => void) | null = null;

  constructor(load: Load, state: State) {
    this.#load = load;
    this.#state = state;
  }

  async run(): Promise<void> {
    const { address, port, security, login, perConnection, messages } = this.#load;
    this.#attach(security === 'implicit' ? connectTls({ host: address, port, rejectUnauthorized: false }) : connect({ host: address, port, noDelay: true }));
    await this.#expect(1);
    await this.#say('EHLO load.test\r\n', 1);
    if (security === 'starttls') {
      await this.#say('STARTTLS\r\n', 1);
      this.#socket.removeAllListeners();
      this.#attach(connectTls({ socket: this.#socket, rejectUnauthorized: false }));
      await this.#say('EHLO load.test\r\n', 1);
    }
    if (login !== null) {
      const [code] = await this.#say(`AUTH PLAIN ${Buffer.from(`\0${login.username}\0${login.password}`).toString('base64')}\r\n`, 1);
      if (code !== '235') throw new Error(`login refused: ${code}`);
    }
    const envelope = `MAIL FROM:<load@sender.test>\r\nRCPT TO:<${this.#load.recipient}>\r\nDATA\r\n`;
    const content = contentOf(this.#load.sizeBytes);
    for (let sent = 0; sent < perConnection && this.#state.started < messages; sent++) {
      this.#state.started++;
      const startMs = performance.now();
      const codes = await this.#say(envelope, 3);
      if (codes[2] !== '354') throw new Error(`DATA refused: ${codes.join(' ')}`);
      const [code] = await this.#say(content, 1);
      if (code === '250') this.#state.latencies[this.#state.accepted++] = performance.now() - startMs;
      else this.#state.refused++;
    }
    this.#socket.end('QUIT\r\n');
  }

  #attach(socket: Socket): void {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#take(chunk.toString('latin1')));
    socket.on('error', (error) => this.#fail?.(error));
    socket.on('close', () => this.#fail?.(new Error('closed')));
  }

  #take(chunk: string): void {
    this.#text += chunk;
    let from = 0;
    for (let end = this.#text.indexOf('\r\n'); end !== -1; end = this.#text.indexOf('\r\n', from)) {
      if (this.#text[from + 3] !== '-') this.#codes.push(this.#text.slice(from, from + 3));
      from = end + 2;
    }
    this.#text = this.#text.slice(from);
    if (this.#codes.length < this.#wanted) return;
    const done = this.#done;
    this.#done = null;
    done?.(this.#codes);
  }

  #say(text: string | Buffer, replies: number): Promise<string[]> {
    const expected = this.#expect(replies);
    this.#socket.write(text);
    return expected;
  }

  #expect(replies: number): Promise<string[]> {
    this.#codes = [];
    this.#wanted = replies;
    return new Promise((resolve, reject) => {
      this.#done = resolve;
      this.#fail = reject;
    });
  }
}

/** One connection that is kept: a request that was prepared once, and its answer read as far as its length. */
async function runHttp(load: Load, state: State, http: NonNullable<Load['http']>): Promise<void> {
  const socket = connect({ host: load.address, port: load.port, noDelay: true });
  const request = requestOf(load, http);
  let text = '';
  let answered: ((status: string) => void) | null = null;
  let failed: ((error: Error) => void) | null = null;
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
    const end = text.indexOf('\r\n\r\n');
    if (end === -1) return;
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(text)?.[1] ?? 0);
    if (text.length < end + 4 + length) return;
    const status = text.slice(9, 12);
    text = text.slice(end + 4 + length);
    answered?.(status);
  });
  socket.on('error', (error) => failed?.(error));
  socket.on('close', () => failed?.(new Error('closed')));
  while (state.started < load.messages) {
    state.started++;
    const startMs = performance.now();
    const status = await new Promise<string>((resolve, reject) => {
      answered = resolve;
      failed = reject;
      socket.write(request);
    });
    if (status === '202') state.latencies[state.accepted++] = performance.now() - startMs;
    else state.refused++;
  }
  failed = null;
  socket.destroy();
}

function requestOf({ sizeBytes, recipient }: Load, { form, token }: NonNullable<Load['http']>): Buffer {
  const content = contentOf(sizeBytes).subarray(0, -3);
  const text = content.subarray(content.indexOf('\r\n\r\n') + 4).toString();
  const body = form === 'raw' ? content : Buffer.from(JSON.stringify({ from: 'Load <load@sender.test>', to: recipient, subject: 'A message of the benchmark', text }));
  const type = form === 'raw' ? 'message/rfc822' : 'application/json';
  return Buffer.concat([
    Buffer.from(`POST /v1/messages HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer ${token}\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n`),
    body,
  ]);
}

const contents = new Map<number, Buffer>();

/** A plausible message of this size. */
function contentOf(sizeBytes: number): Buffer {
  let content = contents.get(sizeBytes);
  if (content === undefined) {
    const head =
      'From: Load <load@sender.test>\r\nTo: Receiver <receiver@bench.test>\r\nSubject: A message of the benchmark\r\nDate: Tue, 24 Nov 2026 08:00:00 +0000\r\nMessage-ID: <load@sender.test>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n';
    const line = `${'All work and no play makes mail a dull toy. '.repeat(2).slice(0, 76)}\r\n`;
    const body = line.repeat(Math.max(1, Math.floor((sizeBytes - head.length) / line.length)));
    content = Buffer.from(`${head}${body}.\r\n`);
    contents.set(sizeBytes, content);
  }
  return content;
}

process.stdout.write(`${JSON.stringify(await runLoad(JSON.parse(process.argv[2] ?? '{}') as Load))}\n`);
