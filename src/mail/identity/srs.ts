// The Sender Rewriting Scheme: mail that is passed on leaves in the name of the domain it was sent to, so that SPF passes at the next hop, and a
// bounce finds its way back to whoever sent it. Nobody else can make up such an address: each carries a proof and, when it is of the
// first hop, its day. Keeps nothing. The forms are those of libsrs2 and Mail::SRS, so that other forwarders shorten ours and we theirs.

import { createHmac, timingSafeEqual } from 'node:crypto';
import { parseMailbox } from '#smtp/address.ts';
import type { Address } from '#smtp/address.ts';

export type Srs = {
  /** The sender in the name of `domain`, the same for the whole day of `atMs`; null when it cannot be written within 64 octets. */
  forward(sender: Address, domain: string, atMs: number): Address | null;
  /** Whether a local part is written as one of these addresses, by whomever. */
  isRewritten(local: string): boolean;
  /** Whom mail to such an address of ours goes back to; null when it is none of ours, or too old. */
  reverse(local: string, nowMs: number): Address | null;
};

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';
/** 50 bits; letters may come back in either case. */
const PROOF_CHARACTERS = 10;
const DAY_MS = 86_400_000;
/** Two characters of base 32. */
const DAYS = 1024;
/** As long as the slowest queues keep a message, and the report on it. */
const VALID_DAYS = 21;
const MAX_LOCAL_OCTETS = 64;
/** Shortening keeps the first forwarder and the last: `SRS1=PROOF=first.example==REST`, where REST is what followed SRS0 there. */
const SHORTENED = /^SRS1[=+-]([^=]*)=([^=]+)=([=+-].*)$/i;
const FIRST = /^SRS0([=+-].*)$/i;
const OWN_FIRST = /^SRS0[=+-]([a-z2-7]+)=([a-z2-7]{2})=([^=]+)=(.+)$/i;

/** `key` is of this installation, and for this purpose alone. */
export function openSrs(key: Buffer): Srs {
  const proof = (...parts: readonly string[]): string => {
    const mac = createHmac('sha256', key).update(parts.join('\0').toLowerCase()).digest();
    return Array.from(mac.subarray(0, PROOF_CHARACTERS), (byte) => ALPHABET[byte & 31]).join('');
  };
  const proved = (given: string, ...parts: readonly string[]): boolean => {
    const [right, wrong] = [Buffer.from(proof(...parts)), Buffer.from(given.toLowerCase())];
    return right.length === wrong.length && timingSafeEqual(right, wrong);
  };
  const shortened = (first: string, rest: string): string => `SRS1=${proof('srs1', first, rest)}=${first}=${rest}`;
  return {
    forward(sender, domain, atMs) {
      const again = SHORTENED.exec(sender.local);
      const once = FIRST.exec(sender.local);
      const day = dayText(Math.floor(atMs / DAY_MS));
      const local =
        again !== null
          ? shortened(again[2] ?? '', again[3] ?? '')
          : once !== null
            ? shortened(sender.domain, once[1] ?? '')
            : `SRS0=${proof('srs0', day, sender.domain, sender.local)}=${day}=${sender.domain}=${sender.local}`;
      // What would have to be quoted, or is too long, is better not written this way.
      return Buffer.byteLength(local) > MAX_LOCAL_OCTETS ? null : parseMailbox(`${local}@${domain}`);
    },
    isRewritten: (local) => /^SRS[01][=+-]/i.test(local),
    reverse(local, nowMs) {
      const again = SHORTENED.exec(local);
      if (again !== null) {
        const [, given = '', first = '', rest = ''] = again;
        return proved(given, 'srs1', first, rest) ? parseMailbox(`SRS0${rest}@${first}`) : null;
      }
      const [, given = '', day = '', domain = '', user = ''] = OWN_FIRST.exec(local) ?? [];
      if (given === '' || !proved(given, 'srs0', day, domain, user)) return null;
      const age = (Math.floor(nowMs / DAY_MS) - dayOf(day) + DAYS * 2) % DAYS;
      // Tomorrow's may come from a clock that is a little ahead.
      return age <= VALID_DAYS || age === DAYS - 1 ? parseMailbox(`${user}@${domain}`) : null;
    },
  };
}

function dayText(day: number): string {
  const within = day % DAYS;
  return `${ALPHABET[within >> 5]}${ALPHABET[within & 31]}`;
}

function dayOf(text: string): number {
  const [high = '', low = ''] = text.toLowerCase();
  return ALPHABET.indexOf(high) * 32 + ALPHABET.indexOf(low);
}
