// Secrets at rest: sealed with a key for each purpose, derived from the one key of the installation, and bound to the place where they lie,
// so that a row copied to another place does not open. AES-256-GCM, HKDF-SHA-256 (RFC 5869). Knows no files.

import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { PosternError } from './failure.ts';

export type Vault = {
  /** `place` names what the secret belongs to; it must be the same when it is opened. */
  seal(purpose: string, place: string, plain: Buffer): Buffer;
  /** Throws PosternError `secret-not-opened`: another key, another place, or changed bytes. */
  open(purpose: string, place: string, sealed: Buffer): Buffer;
  /** 32 bytes of their own for one purpose, the same at every start. */
  derive(purpose: string): Buffer;
};

export const VAULT_KEY_BYTES = 32;

const VERSION = 1;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEAD_BYTES = 1 + NONCE_BYTES + TAG_BYTES;

export function openVault(key: Buffer): Vault {
  if (key.length !== VAULT_KEY_BYTES) throw new RangeError(`a vault key has ${VAULT_KEY_BYTES} bytes, not ${key.length}`);
  const derive = (purpose: string): Buffer => Buffer.from(hkdfSync('sha256', key, '', `postern/${purpose}`, VAULT_KEY_BYTES));
  return {
    derive,
    seal(purpose, place, plain) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', derive(purpose), nonce).setAAD(Buffer.from(place));
      const body = Buffer.concat([cipher.update(plain), cipher.final()]);
      return Buffer.concat([Buffer.of(VERSION), nonce, cipher.getAuthTag(), body]);
    },
    open(purpose, place, sealed) {
      try {
        if (sealed.length < HEAD_BYTES || sealed[0] !== VERSION) throw new Error('it is not of a form that is known');
        const decipher = createDecipheriv('aes-256-gcm', derive(purpose), sealed.subarray(1, 1 + NONCE_BYTES), { authTagLength: TAG_BYTES });
        decipher.setAAD(Buffer.from(place)).setAuthTag(sealed.subarray(1 + NONCE_BYTES, HEAD_BYTES));
        return Buffer.concat([decipher.update(sealed.subarray(HEAD_BYTES)), decipher.final()]);
      } catch (error) {
        throw new PosternError(
          {
            code: 'secret-not-opened',
            cause: `The secret of ${place} cannot be opened with the key file that is there.`,
            fix: 'Put back the secret.key that belongs to this data directory, from the same backup.',
          },
          { cause: error },
        );
      }
    },
  };
}
