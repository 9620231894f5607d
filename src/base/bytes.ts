// Bytes that arrive in pieces. Few pieces stay what they are, and nothing is copied; many are copied together, so that what is kept costs its
// bytes and not a buffer for each piece that a client chose to send.

const MAX_PIECES = 16;
const FIRST_BYTES = 4096;

export class Pieces {
  #pieces: Buffer[] = [];
  /** Behind the pieces; grows by doubling. */
  #grown: Buffer = Buffer.alloc(0);
  #grownBytes = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** The piece belongs to this from now on. */
  push(piece: Buffer): void {
    this.#length += piece.length;
    if (this.#pieces.length < MAX_PIECES) {
      this.#pieces.push(piece);
      return;
    }
    const needed = this.#grownBytes + piece.length;
    if (needed > this.#grown.length) {
      const larger = Buffer.allocUnsafe(Math.max(FIRST_BYTES, needed, this.#grown.length * 2));
      this.#grown.copy(larger, 0, 0, this.#grownBytes);
      this.#grown = larger;
    }
    piece.copy(this.#grown, this.#grownBytes);
    this.#grownBytes = needed;
  }

  /** Everything so far, in few buffers; nothing is left. */
  takeAll(): Buffer[] {
    const all = this.#grownBytes === 0 ? this.#pieces : [...this.#pieces, this.#grown.subarray(0, this.#grownBytes)];
    this.#pieces = [];
    this.#grown = Buffer.alloc(0);
    this.#grownBytes = 0;
    this.#length = 0;
    return all;
  }

  /** Everything so far, in one buffer; nothing is left. */
  takeWhole(): Buffer {
    const [first, ...others] = this.takeAll();
    if (first === undefined) return Buffer.alloc(0);
    return others.length === 0 ? first : Buffer.concat([first, ...others]);
  }
}
