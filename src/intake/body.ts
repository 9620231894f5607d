// The bytes of one message on their way in: the header is collected whole (bounded), the rest goes to the queue in chunks of
// 256 KB as it comes, so a message of 50 MB never costs 50 MB. Chunk 0 is kept for the header, which is known in full only at the end
// (a signature goes there). Decides nothing but sizes.

import { isAscii } from 'node:buffer';
import { isPromise } from '#base/promise.ts';
import type { MaybePromise } from '#base/promise.ts';
import type { MessageId } from '#queue/records.ts';
import type { Queue } from '#queue/queue.ts';
import type { Reply } from '#smtp/reply.ts';
import { REPLIES } from '#smtp/reply.ts';

export const CHUNK_BYTES = 256 * 1024;

const BLANK_LINE = Buffer.from('\r\n\r\n');

export type BodyOptions = {
  readonly id: MessageId;
  readonly queue: Pick<Queue, 'write' | 'abandon'>;
  readonly headerBytes: number;
  /** Called once, with the header as it came, as soon as it is complete; a Reply refuses the message. */
  readonly header: (head: Buffer) => Reply | null;
  /** What to answer when the queue would not take a chunk. */
  readonly failed: (error: unknown) => Reply;
};

/** Collects one message. Memory: the header, and less than two chunks of the rest. */
export class IncomingBody {
  readonly #options: BodyOptions;
  #head: Buffer[] = [];
  #headBytes = 0;
  #headDone = false;
  #rest: Buffer[] = [];
  #restBytes = 0;
  #chunks = 0;
  eightBit = false;
  /** Bytes after the header. */
  bodyBytes = 0;

  constructor(options: BodyOptions) {
    this.#options = options;
  }

  /** Takes the next bytes. A promise is back-pressure from the queue; a Reply refuses the message. */
  write(chunk: Buffer): MaybePromise<Reply | void> {
    if (!this.eightBit && !isAscii(chunk)) this.eightBit = true;
    if (!this.#headDone) return this.#collectHead(chunk);
    return this.#collectRest(chunk);
  }

  /** The end of the content: a header that never ended is all there is. Null, or the refusal. */
  end(): Reply | null {
    if (this.#headDone) return null;
    this.#headDone = true;
    return this.#options.header(this.#wholeHead());
  }

  /**
   * The parts to accept, given the header as it is to be kept. A message that was written in chunks stores its header as chunk 0
   * first; a small one is all tail, and costs no write of its own.
   */
  parts(header: readonly Buffer[]): MaybePromise<{ readonly written: number; readonly tail: readonly Buffer[] }> {
    if (this.#chunks === 0) return { written: 0, tail: [...header, ...this.#rest] };
    const stored = this.#options.queue.write(this.#options.id, 0, Buffer.concat(header));
    return stored.then(() => ({ written: this.#chunks + 1, tail: this.#rest }));
  }

  abort(): void {
    this.#head = [];
    this.#rest = [];
    if (this.#chunks > 0) this.#options.queue.abandon(this.#options.id);
  }

  #collectHead(chunk: Buffer): MaybePromise<Reply | void> {
    const before = this.#headBytes;
    this.#head.push(chunk);
    this.#headBytes += chunk.length;
    const whole = this.#wholeHead();
    const end = headerEnd(whole, Math.max(0, before - 3));
    if (end === null) {
      return this.#headBytes > this.#options.headerBytes ? REPLIES.headerTooBig(this.#options.headerBytes) : undefined;
    }
    if (end > this.#options.headerBytes) return REPLIES.headerTooBig(this.#options.headerBytes);
    this.#headDone = true;
    this.#head = [];
    const refusal = this.#options.header(whole.subarray(0, end));
    if (refusal !== null) return refusal;
    if (end < whole.length) return this.#collectRest(whole.subarray(end));
  }

  #collectRest(chunk: Buffer): MaybePromise<Reply | void> {
    this.bodyBytes += chunk.length;
    this.#rest.push(chunk);
    this.#restBytes += chunk.length;
    if (this.#restBytes < CHUNK_BYTES) return;
    const full = this.#rest.length === 1 ? chunk : Buffer.concat(this.#rest, this.#restBytes);
    this.#rest = [];
    this.#restBytes = 0;
    this.#chunks++;
    const stored = this.#options.queue.write(this.#options.id, this.#chunks, full);
    return isPromise(stored) ? stored.catch((error: unknown) => this.#options.failed(error)) : undefined;
  }

  #wholeHead(): Buffer {
    if (this.#head.length > 1) this.#head = [Buffer.concat(this.#head, this.#headBytes)];
    return this.#head[0] ?? Buffer.alloc(0);
  }
}

/** The offset after the blank line that ends the header, or null while it has not come. A message may begin with the blank line. */
function headerEnd(bytes: Buffer, from: number): number | null {
  if (bytes.length >= 2 && bytes[0] === 13 && bytes[1] === 10) return 2;
  const at = bytes.indexOf(BLANK_LINE, from);
  return at === -1 ? null : at + BLANK_LINE.length;
}
