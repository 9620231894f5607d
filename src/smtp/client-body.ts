// A message body on its way out: dot-stuffing by native search (most chunks go out as they are), the final CRLF where it is missing. Chunks are
// never changed. RFC 5321 4.5.2.

const DOT = 46;
const CR = 13;
const LF = 10;
const STUFFED_LINE = Buffer.from('\r\n.');
const EXTRA_DOT = Buffer.from('.');
const CRLF = Buffer.from('\r\n');
export const FINAL_DOT = Buffer.from('.\r\n');

/** Stuffs chunks one after the other; the state between them is where the line stands. */
export class Stuffer {
  /** Two bytes before the next chunk: content begins at the start of a line. */
  #previous = CR;
  #last = LF;

  /** The pieces to write for this chunk. */
  pieces(chunk: Buffer): Buffer[] {
    if (chunk.length === 0) return [];
    const pieces: Buffer[] = [];
    let start = 0;
    if (chunk[0] === DOT && this.#previous === CR && this.#last === LF) pieces.push(EXTRA_DOT);
    // A CRLF that is split over two chunks, with the dot right behind it.
    else if (chunk[0] === LF && this.#last === CR && chunk[1] === DOT) {
      pieces.push(chunk.subarray(0, 1), EXTRA_DOT);
      start = 1;
    }
    for (let at = chunk.indexOf(STUFFED_LINE, start); at !== -1; at = chunk.indexOf(STUFFED_LINE, start)) {
      pieces.push(chunk.subarray(start, at + 2), EXTRA_DOT);
      start = at + 2;
    }
    pieces.push(start === 0 ? chunk : chunk.subarray(start));
    this.#previous = chunk.length > 1 ? (chunk.at(-2) as number) : this.#last;
    this.#last = chunk.at(-1) as number;
    return pieces;
  }

  /** What ends the content: a CRLF if there was none, and the dot. */
  end(): Buffer[] {
    return this.#previous === CR && this.#last === LF ? [FINAL_DOT] : [CRLF, FINAL_DOT];
  }
}
