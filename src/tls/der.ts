// ASN.1 in DER: written for the few structures that this server makes (certificates, requests), and read one element at a time. Knows
// nothing of what the structures mean. X.690 8, 10.

/** Universal tags and the context-specific ones in use. */
export const TAG = { boolean: 0x01, integer: 0x02, bitString: 0x03, octetString: 0x04, objectId: 0x06, utf8: 0x0c, sequence: 0x30, set: 0x31 } as const;

export function der(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const head = length < 0x80 ? [tag, length] : length < 0x100 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(head), content]);
}

export function sequence(...parts: Buffer[]): Buffer {
  return der(TAG.sequence, Buffer.concat(parts));
}

export function set(...parts: Buffer[]): Buffer {
  return der(TAG.set, Buffer.concat(parts));
}

/** `bytes` are the two's complement, as short as it can be. */
export function integer(bytes: Buffer): Buffer {
  return der(TAG.integer, bytes);
}

/** A string of whole bytes. */
export function bitString(bytes: Buffer): Buffer {
  return der(TAG.bitString, Buffer.concat([Buffer.from([0]), bytes]));
}

export function octetString(bytes: Buffer): Buffer {
  return der(TAG.octetString, bytes);
}

export function objectId(arcs: readonly number[]): Buffer {
  const [first = 0, second = 0, ...rest] = arcs;
  const bytes = [first * 40 + second];
  for (const arc of rest) {
    const groups = [arc & 0x7f];
    for (let left = arc >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return der(TAG.objectId, Buffer.from(bytes));
}

/** UTCTime through 2049, GeneralizedTime from 2050 on (RFC 5280 4.1.2.5). */
export function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/[-:T]/g, '').slice(0, 14);
  return digits < '2050' ? der(0x17, Buffer.from(`${digits.slice(2)}Z`)) : der(0x18, Buffer.from(`${digits}Z`));
}

export type DerElement = { readonly tag: number; readonly content: Buffer; readonly whole: Buffer };

/** The elements that lie one after the other in `bytes`; null when they are not DER of short tags. */
export function derElements(bytes: Buffer): DerElement[] | null {
  const found: DerElement[] = [];
  for (let at = 0; at < bytes.length;) {
    const tag = bytes[at] ?? 0;
    const first = bytes[at + 1] ?? 0x80;
    const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
    const start = at + 2 + lengthBytes;
    // Indefinite lengths are not DER; four bytes of length are more than any certificate has.
    if (first === 0x80 || lengthBytes > 4 || start > bytes.length) return null;
    const end = start + (lengthBytes === 0 ? first : bytes.readUIntBE(at + 2, lengthBytes));
    if (end > bytes.length) return null;
    found.push({ tag, content: bytes.subarray(start, end), whole: bytes.subarray(at, end) });
    at = end;
  }
  return found;
}

export function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
