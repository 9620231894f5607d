// The return path of one message: an address that tells, when a bounce comes back to it, which message it is about, and that nobody else can make
// up. VERP as of old, with a proof: HMAC-SHA-256 over domain, message and recipient, 80 bits of it.

import { createHmac, timingSafeEqual } from 'node:crypto';

/** `n` is the recipient when the transaction had one only. */
export type ReturnToken = { readonly id: string; readonly n: number | null };

export type ReturnPaths = {
  /** The local part for a bounce domain. */
  local(domain: string, token: ReturnToken): string;
  /** The token, or null when it is none of ours. Letters may come back in either case. */
  read(domain: string, local: string): ReturnToken | null;
};

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const PROOF_CHARACTERS = 16;
const LOCAL = /^bounce\+([0-9a-hjkmnp-tv-z]{16})(?:-(\d{1,5}))?-([0-9a-hjkmnp-tv-z]{16})$/;

/** `key` is of this installation, and for this purpose alone. */
export function openReturnPaths(key: Buffer): ReturnPaths {
  const proof = (domain: string, { id, n }: ReturnToken): string => {
    const mac = createHmac('sha256', key)
      .update(`${domain}\0${id}\0${n ?? ''}`)
      .digest();
    return Array.from(mac.subarray(0, PROOF_CHARACTERS), (byte) => ALPHABET[byte & 31]).join('');
  };
  return {
    local: (domain, token) => `bounce+${token.id}${token.n === null ? '' : `-${token.n}`}-${proof(domain, token)}`,
    read(domain, local) {
      const [, id, n, given] = LOCAL.exec(local.toLowerCase()) ?? [];
      if (id === undefined || given === undefined) return null;
      const token = { id, n: n === undefined ? null : Number(n) };
      return timingSafeEqual(Buffer.from(proof(domain, token)), Buffer.from(given)) ? token : null;
    },
  };
}
