// Message ids: sortable by time of acceptance, unguessable enough to quote in public, short enough to read out.

import { randomFillSync } from 'node:crypto';

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const TIME_CHARACTERS = 9;
const RANDOM_CHARACTERS = 7;
const POOL_BYTES = RANDOM_CHARACTERS * 512;

/** Makes ids of 16 characters of Crockford base 32: 9 of milliseconds (45 bits), 7 random (35 bits). One maker a thread. */
export function openMessageIds(): (nowMs: number) => string {
  const pool = Buffer.allocUnsafe(POOL_BYTES);
  let used = POOL_BYTES;
  let stampMs = -1;
  let stamp = '';
  return (nowMs) => {
    if (nowMs !== stampMs) {
      stampMs = nowMs;
      stamp = encodeTime(nowMs);
    }
    if (used === POOL_BYTES) {
      randomFillSync(pool);
      used = 0;
    }
    let id = stamp;
    for (let i = 0; i < RANDOM_CHARACTERS; i++) id += ALPHABET[(pool[used++] as number) & 31];
    return id;
  };
}

/** When an id was made, in ms since the epoch; null for anything that is not an id. */
export function idTimeMs(id: string): number | null {
  if (!/^[0-9abcdefghjkmnpqrstvwxyz]{16}$/.test(id)) return null;
  let ms = 0;
  for (const character of id.slice(0, TIME_CHARACTERS)) ms = ms * 32 + ALPHABET.indexOf(character);
  return ms;
}

/** Sorts before every id made at this time or later, and after all that were made before. */
export function firstIdAt(ms: number): string {
  return encodeTime(Math.max(0, Math.floor(ms)));
}

function encodeTime(nowMs: number): string {
  let rest = nowMs;
  let text = '';
  for (let i = 0; i < TIME_CHARACTERS; i++) {
    text = ALPHABET[rest % 32] + text;
    rest = Math.floor(rest / 32);
  }
  return text;
}
