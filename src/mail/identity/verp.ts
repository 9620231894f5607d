// The return path of one message: an address that tells, when a bounce comes back to it, which message it is about, and that nobody else can make
// up. VERP as of old, with a proof: HMAC-SHA-256 over domain and message, 80 bits of it. The same for all recipients and all attempts: whoever
// greylists by sender sees one that comes again.

import { createHmac, timingSafeEqual } from 'node:crypto';

export type ReturnPaths = {
  /** The local part for a bounce domain. */
  local(domain: string, id: string): string;
  /** The id of the message, or null when the address is none of ours. Letters may come back in either case. */
  read(domain: string, local: string): string | null;
};

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const PROOF_CHARACTERS = 16;
const LOCAL = /^bounce\+([0-9a-hjkmnp-tv-z]{16})-([0-9a-hjkmnp-tv-z]{16})$/;

/** `key` is of this installation, and for this purpose alone. */
export function openReturnPaths(key: Buffer): ReturnPaths {
  const proof = (domain: string, id: string): string => {
    const mac = createHmac('sha256', key).update(`${domain}\0${id}`).digest();
    return Array.from(mac.subarray(0, PROOF_CHARACTERS), (byte) => ALPHABET[byte & 31]).join('');
  };
  return {
    local: (domain, id) => `bounce+${id}-${proof(domain, id)}`,
    read(domain, local) {
      const [, id, given] = LOCAL.exec(local.toLowerCase()) ?? [];
      if (id === undefined || given === undefined) return null;
      return timingSafeEqual(Buffer.from(proof(domain, id)), Buffer.from(given)) ? id : null;
    },
  };
}
