// The key file DATA/secret.key, with which secrets in the databases are sealed: made at the first start, refused when others may read it,
// and never replaced while something depends on it.

import { closeSync, fsyncSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { VAULT_KEY_BYTES } from '#base/vault.ts';
import { PosternError, errorCode, errorText } from '#base/failure.ts';

export const KEY_FILE = 'secret.key';
const MODE = 0o600;

/** The key. `inUse`: secrets are sealed with it already, so that a missing file is a loss, not a first start. Throws PosternError. */
export function readSecretKey(dataDir: string, options: { readonly inUse: boolean }): Buffer {
  const path = join(dataDir, KEY_FILE);
  const text = read(path);
  if (text === null) {
    if (options.inUse) throw lost(path);
    return create(path);
  }
  const key = Buffer.from(text.trim(), 'base64');
  if (key.length === VAULT_KEY_BYTES) return key;
  throw new PosternError({
    code: 'secret-key-malformed',
    cause: `The key file ${path} does not hold a key (${VAULT_KEY_BYTES} bytes in base64).`,
    fix: 'Put back the secret.key that belongs to this data directory, from the same backup.',
  });
}

function read(path: string): string | null {
  try {
    const { mode, uid } = statSync(path);
    if ((mode & 0o077) !== 0) throw open(path, `others may read or change it (mode 0${(mode & 0o777).toString(8)})`, `chmod 600 ${path}`);
    const own = process.getuid?.() ?? uid;
    if (uid !== own && own !== 0) throw open(path, `it belongs to another account (uid ${uid})`, `chown ${own} ${path}`);
    return readFileSync(path, 'latin1');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    if (error instanceof PosternError) throw error;
    throw new PosternError(
      { code: 'secret-key-not-read', cause: `The key file ${path} cannot be read: ${errorText(error)}.`, fix: 'Let the account that Postern runs as read it, and nobody else.' },
      { cause: error },
    );
  }
}

function open(path: string, why: string, command: string): PosternError {
  return new PosternError({
    code: 'secret-key-open',
    cause: `The key file ${path} is not safe: ${why}.`,
    fix: `${command}. If somebody may have read it, also make new keys: "postern domain rotate DOMAIN" for each domain.`,
  });
}

function lost(path: string): PosternError {
  return new PosternError({
    code: 'secret-key-missing',
    cause: `The key file ${path} is missing, and the private keys in directory.db are sealed with it.`,
    fix: 'Put it back from a backup. If it is lost, "postern serve --new-secret-key" makes a new one and new keys for every domain; publish their records then.',
  });
}

/** Written and synced before it is used: a key that only memory knows would be lost with the next crash. */
function create(path: string): Buffer {
  const key = randomBytes(VAULT_KEY_BYTES);
  const file = openSync(path, 'wx', MODE);
  try {
    writeSync(file, `${key.toString('base64')}\n`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  return key;
}
