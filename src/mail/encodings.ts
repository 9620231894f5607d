// Content made fit for seven bits and lines of 76 columns, and back: quoted-printable and base64. Knows no MIME structure. RFC 2045 6.7, 6.8.

const QP_COLUMNS = 76;
const BASE64_LINE_BYTES = 57;

/** Text of CRLF lines as quoted-printable; a line end stays one. Ends in CRLF if the input does. */
export function encodeQuotedPrintable(bytes: Buffer): string {
  return bytes.toString('latin1').split('\r\n').map(encodeLine).join('\r\n');
}

function encodeLine(line: string): string {
  let out = '';
  let column = 0;
  for (let at = 0; at < line.length; at++) {
    const code = line.charCodeAt(at);
    const last = at === line.length - 1;
    const literal = (code > 0x20 && code < 0x7f && code !== 0x3d) || ((code === 0x20 || code === 0x09) && !last);
    const part = literal ? line.charAt(at) : `=${code.toString(16).toUpperCase().padStart(2, '0')}`;
    // The soft break needs a column of its own, unless the line is over.
    if (column + part.length > QP_COLUMNS - (last ? 0 : 1)) {
      out += '=\r\n';
      column = 0;
    }
    out += part;
    column += part.length;
  }
  return out;
}

/** Bytes as base64 in CRLF lines of 76 columns, each with its line end. */
export function encodeBase64Lines(bytes: Buffer): string {
  let out = '';
  for (let at = 0; at < bytes.length; at += BASE64_LINE_BYTES) out += `${bytes.toString('base64', at, Math.min(at + BASE64_LINE_BYTES, bytes.length))}\r\n`;
  return out;
}

/** The bytes of quoted-printable text; what is malformed stays as it is (RFC 2045 6.7). */
export function decodeQuotedPrintable(text: Buffer): Buffer {
  const plain = text
    .toString('latin1')
    .replace(/[ \t]+(?=\r?\n)/g, '')
    .replace(/=\r?\n/g, '')
    .replace(/=([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(plain, 'latin1');
}
