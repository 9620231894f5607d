// Bytes to lines and to message content, strictly: only CRLF ends a line, so nobody can smuggle a second message behind a bare CR or LF.
// Chunks go through as slices; what is copied is a few bytes at the seams, and content with so many dots to undo that slices would cost more. RFC 5321 2.3.8, 4.1.1.4, 4.5.2, RFC 3030.

const CR = 13;
const LF = 10;
const DOT = 46;
const EMPTY = Buffer.alloc(0);
const MAX_SLICES = 8;

/** The line end that content by BDAT lacked: put there by us, so no octet of the message's size. */
export const ADDED_LINE_END = Buffer.from('\r\n');

/** A line without its CRLF and the offset behind it; `partial`: no line end yet; `bare`: a CR or LF that stands alone. */
export type LineResult = { readonly line: Buffer; readonly next: number } | 'partial' | 'bare';

/** Finds the line that begins at `from`. */
export function readLine(bytes: Buffer, from: number): LineResult {
  const lf = bytes.indexOf(LF, from);
  const cr = bytes.indexOf(CR, from);
  if (lf === -1) return cr === -1 || cr === bytes.length - 1 ? 'partial' : 'bare';
  return cr === lf - 1 && cr >= from ? { line: bytes.subarray(from, cr), next: lf + 1 } : 'bare';
}

/**
 * What a decoder made of one chunk: `content` to keep, and how it stands. `more`: feed the next chunk; `end`: the content is complete and
 * `rest` follows it; `bare`: a bare CR or LF was found, nothing after it may be used.
 */
export type Decoded = { readonly content: Buffer[]; readonly state: 'more' | 'bare' } | { readonly content: Buffer[]; readonly state: 'end'; readonly rest: Buffer };

export type Decoder = { feed(chunk: Buffer): Decoded };

/** Decodes DATA: ends at CRLF.CRLF, undoes dot-stuffing. */
export function openDataDecoder(): Decoder {
  let carry: Buffer = EMPTY;
  let lineStart = true;
  return {
    feed(chunk) {
      const bytes = carry.length === 0 ? chunk : Buffer.concat([carry, chunk]);
      carry = EMPTY;
      const text = bytes.toString('latin1');
      const content: Buffer[] = [];
      let start = 0;
      let at = 0;
      const keep = (end: number): void => {
        if (end > start) content.push(bytes.subarray(start, end));
      };
      for (;;) {
        if (lineStart && at < bytes.length) {
          if (bytes[at] === DOT) {
            const end = dotLine(bytes, at);
            if (end !== 'stuffed') keep(at);
            if (end === 'bare') return { content: [], state: 'bare' };
            if (end === 'end') return { content: fewer(content), state: 'end', rest: bytes.subarray(at + 3) };
            if (end === 'partial') {
              carry = bytes.subarray(at);
              return { content: fewer(content), state: 'more' };
            }
            keep(at);
            start = ++at;
          }
          lineStart = false;
        }
        const line = nextLine(text, at);
        if (line === 'bare') return { content: [], state: 'bare' };
        if (typeof line === 'string') {
          const end = line === 'half' ? bytes.length - 1 : bytes.length;
          keep(end);
          carry = bytes.subarray(end);
          return { content: fewer(content), state: 'more' };
        }
        at = line;
        lineStart = true;
      }
    },
  };
}

/** A slice for each line that began with a dot is a hundred times the bytes it holds: many are made one. */
function fewer(content: Buffer[]): Buffer[] {
  return content.length <= MAX_SLICES ? content : [Buffer.concat(content)];
}

/** Decodes one BDAT chunk of `sizeBytes`. The state over chunks of one message is in `lines`: pass the same one to each. */
export function openChunkDecoder(sizeBytes: number, last: boolean, lines: { pendingCr: boolean; lineStart: boolean }): Decoder {
  let left = sizeBytes;
  return {
    feed(chunk) {
      const taken = chunk.subarray(0, left);
      left -= taken.length;
      const content = taken.length > 0 ? [taken] : [];
      if (!strictLines(taken, lines)) return { content: [], state: 'bare' };
      if (left > 0) return { content, state: 'more' };
      if (last && lines.pendingCr) return { content: [], state: 'bare' };
      // The next hop may take DATA only, whose content always ends in CRLF: the same message either way.
      if (last && !lines.lineStart) content.push(ADDED_LINE_END);
      return { content, state: 'end', rest: chunk.subarray(taken.length) };
    },
  };
}

/** What a dot at the start of a line is. */
function dotLine(bytes: Buffer, at: number): 'end' | 'stuffed' | 'partial' | 'bare' {
  const second = bytes[at + 1];
  if (second === undefined) return 'partial';
  if (second === LF) return 'bare';
  if (second !== CR) return 'stuffed';
  const third = bytes[at + 2];
  if (third === undefined) return 'partial';
  return third === LF ? 'end' : 'bare';
}

/**
 * The offset of the next line; `none`: no line end in sight; `half`: the bytes end in CR; `bare`: a CR or LF alone. `text` is the bytes as
 * Latin-1: the search in a string stays within the engine, the one in a buffer crosses to native code for each short line, at three times the cost.
 */
function nextLine(text: string, at: number): number | 'none' | 'half' | 'bare' {
  const lf = text.indexOf('\n', at);
  const cr = text.indexOf('\r', at);
  if (lf === -1) return cr === -1 ? 'none' : cr === text.length - 1 ? 'half' : 'bare';
  return cr === lf - 1 && cr >= at ? lf + 1 : 'bare';
}

function strictLines(bytes: Buffer, lines: { pendingCr: boolean; lineStart: boolean }): boolean {
  if (bytes.length === 0) return true;
  const text = bytes.toString('latin1');
  let at = 0;
  if (lines.pendingCr) {
    if (bytes[0] !== LF) return false;
    at = 1;
    lines.pendingCr = false;
    lines.lineStart = true;
  }
  while (at < bytes.length) {
    const next = nextLine(text, at);
    if (next === 'bare') return false;
    if (typeof next === 'string') {
      lines.pendingCr = next === 'half';
      lines.lineStart = false;
      return true;
    }
    at = next;
    lines.lineStart = true;
  }
  return true;
}
