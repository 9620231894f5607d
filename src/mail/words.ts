// Encoded words in header text, read (RFC 2047, RFC 2231 5). Never fails: what cannot be decoded stays as it was written.

const WORD = /=\?([^?\s]{1,75})\?([bq])\?([^?]*)\?=/gi;

type Word = { readonly charset: string; readonly bytes: Buffer; readonly raw: string };

/**
 * Text with its encoded words decoded. Adjacent words of one charset are joined before decoding, as many senders split characters
 * between them; the space between words goes (RFC 2047 6.2). Control characters become spaces.
 */
export function decodeWords(value: string): string {
  if (!value.includes('=?')) return value;
  let out = '';
  let run: Word[] = [];
  let from = 0;
  for (const match of value.matchAll(WORD)) {
    const between = value.slice(from, match.index);
    if (run.length > 0 && between.trim() === '') run.push(readWord(match));
    else {
      out += decodeRun(run) + between;
      run = [readWord(match)];
    }
    from = match.index + match[0].length;
  }
  return (out + decodeRun(run) + value.slice(from)).replace(/\p{Cc}/gu, ' ');
}

function readWord(match: RegExpExecArray): Word {
  const [raw, charset = '', encoding = '', text = ''] = match;
  const bytes = encoding.toLowerCase() === 'b' ? Buffer.from(text, 'base64') : decodeQ(text);
  return { charset: charset.replace(/\*.*$/, '').toLowerCase(), bytes, raw };
}

/** The Q encoding (RFC 2047 4.2). Bytes that are not encoded stay, as UTF-8. */
function decodeQ(text: string): Buffer {
  const latin1 = Buffer.from(text, 'utf8').toString('latin1');
  return Buffer.from(
    latin1.replace(/_|=([0-9a-f]{2})/gi, (_, hex: string | undefined) => (hex === undefined ? ' ' : String.fromCharCode(Number.parseInt(hex, 16)))),
    'latin1',
  );
}

function decodeRun(run: readonly Word[]): string {
  let out = '';
  for (let at = 0; at < run.length;) {
    const { charset } = run[at] as Word;
    let end = at + 1;
    while (end < run.length && run[end]?.charset === charset) end++;
    const words = run.slice(at, end);
    out += decodeBytes(Buffer.concat(words.map((word) => word.bytes)), charset) ?? words.map((word) => word.raw).join(' ');
    at = end;
  }
  return out;
}

/** Bytes in a named charset as text, or null when the charset is unknown. */
function decodeBytes(bytes: Buffer, charset: string): string | null {
  if (charset === 'utf-8' || charset === 'utf8' || charset === 'us-ascii') return bytes.toString('utf8');
  try {
    return new TextDecoder(charset).decode(bytes);
  } catch {
    return null;
  }
}
