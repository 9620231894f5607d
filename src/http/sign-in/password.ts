// Passwords of people: Argon2id (RFC 9106), a few at once and a few waiting, so that somebody who tries many fills neither the memory nor the
// threads. The text that is kept carries its parameters, so that they can grow.

import { argon2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { ProblemError } from '#http/problem.ts';

/** What OWASP's cheat sheet of 2026 still names as its first choice for small servers: 19 MiB, two passes. */
const NOW = { memory: 19_456, passes: 2, parallelism: 1 } as const;
const SALT_BYTES = 16;
const TAG_BYTES = 32;
const AT_ONCE = 2;
const WAITING = 20;

export const PASSWORD_CHARACTERS = { min: 12, max: 256 } as const;

type Parameters = { readonly memory: number; readonly passes: number; readonly parallelism: number };

const derive = promisify(argon2);
let running = 0;
const waiting: (() => void)[] = [];

/** `$argon2id$v=19$m=19456,t=2,p=1$SALT$TAG` */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const tag = await tagOf(password, salt, NOW);
  return `$argon2id$v=19$m=${NOW.memory},t=${NOW.passes},p=${NOW.parallelism}$${base64(salt)}$${base64(tag)}`;
}

/** Takes as long when there is no hash: whether a person exists, or has a password, is not told by the time. */
export async function verifyPassword(password: string, kept: string | null): Promise<boolean> {
  const [, memory, passes, parallelism, salt = '', tag = ''] = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([\w+/]+)\$([\w+/]+)$/.exec(kept ?? '') ?? [];
  const known = memory !== undefined;
  const parameters = known ? { memory: Number(memory), passes: Number(passes), parallelism: Number(parallelism) } : NOW;
  const wanted = known ? Buffer.from(tag, 'base64') : Buffer.alloc(TAG_BYTES);
  const found = await tagOf(password, known ? Buffer.from(salt, 'base64') : Buffer.alloc(SALT_BYTES), parameters, wanted.length);
  return timingSafeEqual(found, wanted) && known;
}

async function tagOf(password: string, nonce: Buffer, { memory, passes, parallelism }: Parameters, tagLength = TAG_BYTES): Promise<Buffer> {
  await turn();
  try {
    return await derive('argon2id', { message: password.normalize('NFC'), nonce, parallelism, tagLength, memory, passes });
  } finally {
    running--;
    waiting.shift()?.();
  }
}

async function turn(): Promise<void> {
  if (running >= AT_ONCE) {
    if (waiting.length >= WAITING) throw busy();
    await new Promise<void>((resolve) => waiting.push(resolve));
  }
  running++;
}

function busy(): ProblemError {
  return new ProblemError({
    status: 503,
    title: 'Busy',
    code: 'sign-in-busy',
    cause: 'Many people sign in, or somebody tries many passwords.',
    fix: 'Try again in some seconds.',
    headers: { 'retry-after': '5' },
  });
}

function base64(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '');
}
