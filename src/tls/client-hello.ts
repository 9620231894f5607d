// The first message of a TLS client, read before anybody answers it: which name it asks for and which protocols it offers. Looks at nothing
// else, and at no secrets. RFC 8446 4.1.2, 5.1; RFC 6066 3; RFC 7301 3.1.

/** `more`: not all of it is there yet. `other`: this is no ClientHello. */
export type Hello = { readonly is: 'hello'; readonly serverName: string | null; readonly protocols: readonly string[] } | { readonly is: 'more' } | { readonly is: 'other' };

const HANDSHAKE_RECORD = 22;
const RECORD_HEAD = 5;
const MESSAGE_HEAD = 4;
const CLIENT_HELLO = 1;
const SERVER_NAME = 0;
const ALPN = 16;
const VERSION_AND_RANDOM = 34;
/** Twice what the largest post-quantum hellos take. */
const MAX_BYTES = 16 * 1024;

export function readClientHello(bytes: Buffer): Hello {
  const message = handshakeBytes(bytes);
  if (message === null) return { is: 'other' };
  if (message.length > 0 && message[0] !== CLIENT_HELLO) return { is: 'other' };
  const whole = message.length < MESSAGE_HEAD ? Infinity : MESSAGE_HEAD + message.readUIntBE(1, 3);
  if (message.length < whole) return bytes.length > MAX_BYTES ? { is: 'other' } : { is: 'more' };
  try {
    return readExtensions(new Cursor(message.subarray(MESSAGE_HEAD, whole)));
  } catch (error) {
    if (error instanceof RangeError) return { is: 'other' };
    throw error;
  }
}

/** What the records so far carry; null when they are no handshake. */
function handshakeBytes(bytes: Buffer): Buffer | null {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    if (bytes[at] !== HANDSHAKE_RECORD) return null;
    if (at + RECORD_HEAD > bytes.length) break;
    const end = at + RECORD_HEAD + bytes.readUInt16BE(at + 3);
    parts.push(bytes.subarray(at + RECORD_HEAD, end));
    at = end;
  }
  return Buffer.concat(parts);
}

function readExtensions(hello: Cursor): Hello {
  hello.take(VERSION_AND_RANDOM);
  // Session id, cipher suites, compression methods.
  hello.block(1);
  hello.block(2);
  hello.block(1);
  let serverName: string | null = null;
  let protocols: string[] = [];
  for (const extensions = hello.left === 0 ? hello : hello.block(2); extensions.left > 0;) {
    const type = extensions.number(2);
    const body = extensions.block(2);
    if (type === SERVER_NAME && body.left > 0) {
      const names = body.block(2);
      if (names.number(1) === 0) serverName = names.block(2).text();
    } else if (type === ALPN) {
      const list = body.block(2);
      for (protocols = []; list.left > 0;) protocols.push(list.block(1).text());
    }
  }
  return { is: 'hello', serverName, protocols };
}

/** Reads forward; RangeError past the end. */
class Cursor {
  readonly #bytes: Buffer;
  #at = 0;
  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }
  get left(): number {
    return this.#bytes.length - this.#at;
  }
  take(length: number): Buffer {
    if (length > this.left) throw new RangeError('past the end');
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
  number(bytes: number): number {
    return this.take(bytes).readUIntBE(0, bytes);
  }
  /** A vector with a length of so many bytes. */
  block(lengthBytes: number): Cursor {
    return new Cursor(this.take(this.number(lengthBytes)));
  }
  text(): string {
    return this.take(this.left).toString('latin1');
  }
}
