// The bytes of one message on their way in: the header is collected whole (bounded), the rest goes to the queue in chunks of
// 256 KB as it comes, so a message of 50 MB never costs 50 MB. Chunk 0 is kept for the header, which is known in full only at the end
// (a signature goes there). Decides nothing but sizes.

import { isAscii } from 'node:buffer';
import { Pieces } from '#base/bytes.ts';
import type { MaybePromise } from '#base/promise.ts';
import { beginsWithHeader } from '#mail/headers.ts';
import type { MessageId } from '#queue/records.ts';
import type { Queue } from '#queue/queue.ts';
import type { Reply } from '#smtp/reply.ts';
import { REPLIES } from '#smtp/reply.ts';

export const CHUNK_BYTES = 256 * 1024;

const EMPTY = Buffer.alloc(0);
const BLANK_LINE = Buffer.from('\r\n\r\n');

/** What all messages that are coming in hold in memory together, and how much that may be. */
export type Memory = { readonly held: { bytes: number }; readonly limitBytes: number };

export type BodyOptions = {
  readonly id: MessageId;
  readonly queue: Pick<Queue, 'write' | 'abandon'>;
  readonly headerBytes: number;
  readonly memory: Memory;
  /** Called once, with the header as it came, as soon as it is complete; empty when there is none. A Reply refuses the message. */
  readonly header: (head: Buffer) => Reply | null;
  /** Called with each piece of what follows the header, as it comes. */
  readonly body?: (chunk: Buffer) => void;
  /** What to answer when the queue would not take a chunk. */
  readonly failed: (error: unknown) => Reply;
};

/** Collects one message. Memory: the header, and less than two chunks of the rest. */
export class IncomingBody {
  readonly #options: BodyOptions;
  readonly #head = new Pieces();
  /** The last bytes of the header so far: the blank line may lie across two pieces. */
  #seam: Buffer = EMPTY;
  #headDone = false;
  readonly #rest = new Pieces();
  #chunks = 0;
  /** This message's part of the memory held. */
  #held = 0;
  eightBit = false;
  /** Bytes after the header. */
  bodyBytes = 0;

  constructor(options: BodyOptions) {
    this.#options = options;
  }

  /** Takes the next bytes. A promise is back-pressure from the queue; a Reply refuses the message. */
  write(chunk: Buffer): MaybePromise<Reply | void> {
    const { held, limitBytes } = this.#options.memory;
    if (held.bytes + chunk.length > limitBytes) {
      // What was held is given up at once: the client may take its time to come to the end.
      this.abort();
      return REPLIES.storeFull;
    }
    held.bytes += chunk.length;
    this.#held += chunk.length;
    if (!this.eightBit && !isAscii(chunk)) this.eightBit = true;
    if (!this.#headDone) return this.#collectHead(chunk);
    return this.#collectRest(chunk);
  }

  /** The end of the content: a header that never ended is all there is. Null, or the refusal. */
  end(): Reply | null {
    return this.#headDone ? null : this.#headEnds(this.#head.takeWhole());
  }

  /**
   * The parts to accept, given the header as it is to be kept. A message that was written in chunks stores its header as chunk 0
   * first; a small one is all tail, and costs no write of its own.
   */
  parts(header: readonly Buffer[]): MaybePromise<{ readonly written: number; readonly tail: readonly Buffer[] }> {
    if (this.#chunks === 0) return { written: 0, tail: [...header, ...this.#rest.takeAll()] };
    const stored = this.#options.queue.write(this.#options.id, 0, Buffer.concat(header));
    return stored.then(() => ({ written: this.#chunks + 1, tail: this.#rest.takeAll() }));
  }

  abort(): void {
    this.release();
    this.#head.takeAll();
    this.#rest.takeAll();
    if (this.#chunks > 0) this.#options.queue.abandon(this.#options.id);
    this.#chunks = 0;
  }

  /** The bytes are held no longer, or by somebody else. */
  release(bytes = this.#held): void {
    const given = Math.min(bytes, this.#held);
    this.#held -= given;
    this.#options.memory.held.bytes -= given;
  }

  #collectHead(chunk: Buffer): MaybePromise<Reply | void> {
    const end = this.#headerEnd(chunk);
    const { headerBytes } = this.#options;
    this.#head.push(end === null ? chunk : chunk.subarray(0, end));
    const tooBig = this.#head.length > headerBytes;
    if (end === null && !tooBig) {
      this.#seam = lastBytes(this.#seam, chunk);
      return;
    }
    const whole = this.#head.takeWhole();
    if (tooBig && beginsWithHeader(whole)) return REPLIES.headerTooBig(headerBytes);
    const refusal = this.#headEnds(whole);
    if (refusal !== null) return refusal;
    return this.#collectRest(end === null ? EMPTY : chunk.subarray(end));
  }

  /** Text that does not begin as a header does is all body: what is put above it must not take its first line for a part of itself. */
  #headEnds(whole: Buffer): Reply | null {
    this.#headDone = true;
    const headless = !beginsWithHeader(whole);
    const refusal = this.#options.header(headless ? EMPTY : whole);
    if (refusal === null && headless) this.#keep(whole);
    return refusal;
  }

  /** Where in this chunk the header ends, after its blank line; null when it goes on. A message may begin with the blank line. */
  #headerEnd(chunk: Buffer): number | null {
    if (this.#head.length <= 1) {
      const start = Buffer.concat([this.#seam, chunk.subarray(0, 2)]);
      if (start.length >= 2 && start[0] === 13 && start[1] === 10) return 2 - this.#seam.length;
    }
    if (this.#seam.length > 0) {
      const across = Buffer.concat([this.#seam, chunk.subarray(0, BLANK_LINE.length - 1)]).indexOf(BLANK_LINE);
      if (across !== -1) return across + BLANK_LINE.length - this.#seam.length;
    }
    const at = chunk.indexOf(BLANK_LINE);
    return at === -1 ? null : at + BLANK_LINE.length;
  }

  #collectRest(chunk: Buffer): MaybePromise<Reply | void> {
    this.#keep(chunk);
    if (this.#rest.length < CHUNK_BYTES) return;
    this.#chunks++;
    const whole = this.#rest.takeWhole();
    return this.#options.queue.write(this.#options.id, this.#chunks, whole).then(
      () => this.release(whole.length),
      (error: unknown) => this.#options.failed(error),
    );
  }

  #keep(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#options.body?.(chunk);
    this.bodyBytes += chunk.length;
    this.#rest.push(chunk);
  }
}

function lastBytes(before: Buffer, chunk: Buffer): Buffer {
  const wanted = BLANK_LINE.length - 1;
  return chunk.length >= wanted ? chunk.subarray(chunk.length - wanted) : Buffer.concat([before, chunk]).subarray(-wanted);
}
