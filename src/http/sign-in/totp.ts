// The second factor: codes that an authenticator app shows, six digits for each half minute. RFC 6238 with SHA-1, the only form that all apps
// know; RFC 4648 base 32 for the secret.

import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

const STEP_MS = 30_000;
const DIGITS = 6;
const SECRET_BYTES = 20;
/** Clocks of telephones are seconds off, and people are slow. */
const DRIFT_STEPS = 1;
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const RECOVERY_CODES = 10;
const RECOVERY_ALPHABET = 'abcdefghijkmnpqrstuvwxyz23456789';

export function newTotpSecret(): Buffer {
  return randomBytes(SECRET_BYTES);
}

/** The code of a step (the number of half minutes since 1970). */
export function totpCode(secret: Uint8Array, step: number): string {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const mac = createHmac('sha1', secret).update(counter).digest();
  const offset = (mac.at(-1) as number) & 0x0f;
  return String((mac.readUInt32BE(offset) & 0x7f_ff_ff_ff) % 10 ** DIGITS).padStart(DIGITS, '0');
}

/** The step whose code this is, now or a moment ago; null: it is none. Spaces do not matter. */
export function totpStepOf(secret: Uint8Array, code: string, nowMs: number): number | null {
  const given = code.replace(/\s/g, '');
  if (!/^\d{6}$/.test(given)) return null;
  const now = Math.floor(nowMs / STEP_MS);
  let found: number | null = null;
  for (let step = now - DRIFT_STEPS; step <= now + DRIFT_STEPS; step++) {
    if (timingSafeEqual(Buffer.from(totpCode(secret, step)), Buffer.from(given))) found = step;
  }
  return found;
}

/** What an app reads from a QR code. */
export function totpUri(secret: Uint8Array, person: string, host: string): string {
  const label = `${encodeURIComponent('Postern')}:${encodeURIComponent(`${person}@${host}`)}`;
  return `otpauth://totp/${label}?secret=${base32(secret)}&issuer=Postern&algorithm=SHA1&digits=${DIGITS}&period=${STEP_MS / 1000}`;
}

export function base32(bytes: Uint8Array): string {
  let text = '';
  let bits = 0;
  let held = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += BASE32[(held >> bits) & 31];
    }
    held &= (1 << bits) - 1;
  }
  return bits > 0 ? text + BASE32[(held << (5 - bits)) & 31] : text;
}

/** Of text that has only letters of base 32. */
export function fromBase32(text: string): Buffer {
  let bits = '';
  for (const letter of text) bits += BASE32.indexOf(letter).toString(2).padStart(5, '0');
  return Buffer.from(bits.match(/.{8}/g)?.map((byte) => Number.parseInt(byte, 2)) ?? []);
}

/** Ten codes of 80 bits, `xxxx-xxxx-xxxx-xxxx`, for the day the telephone is lost. */
export function newRecoveryCodes(): readonly string[] {
  return Array.from({ length: RECOVERY_CODES }, () => {
    const letters = Array.from(randomBytes(16), (byte) => RECOVERY_ALPHABET[byte & 31]).join('');
    return letters.match(/.{4}/g)?.join('-') ?? letters;
  });
}
