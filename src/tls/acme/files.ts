// What ACME keeps in DATA/acme: the account of each directory, the certificates with their keys, how their renewal stands, and the order under
// way, so that a restart goes on with it. Directory 0700, files 0600, replaced whole; private keys sealed. Decides nothing.

import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { PosternError, errorCode, errorText } from '#base/failure.ts';
import type { Vault } from '#base/vault.ts';
import { pem } from '#tls/der.ts';
import { checkKeyPair, replaceFile } from '#tls/files.ts';
import type { KeyPair } from '#tls/files.ts';

const accountSchema = z.object({ directory: z.string(), url: z.string().nullable(), contact: z.array(z.string()), keyPem: z.string() });
const failureSchema = z.object({ atMs: z.number(), code: z.string(), cause: z.string(), fix: z.string() });
const stateSchema = z.object({
  /** Where the certificate is from; null: there was none yet. */
  directory: z.string().nullable(),
  obtainedAtMs: z.number().nullable(),
  renewAtMs: z.number().nullable(),
  window: z.object({ startMs: z.number(), endMs: z.number() }).nullable(),
  windowExplanation: z.string().nullable(),
  windowCheckAtMs: z.number().nullable(),
  failures: z.number().int(),
  /** What of the configuration the last try was made with. */
  settings: z.string(),
  /** Nothing is tried before, after a failure. */
  retryAtMs: z.number().nullable(),
  /** The same, as the authority named it: an operator cannot hasten it. */
  limitedUntilMs: z.number().nullable(),
  lastError: failureSchema.nullable(),
});
const orderSchema = z.object({
  directory: z.string(),
  names: z.array(z.string()),
  url: z.string(),
  keyPem: z.string(),
  /** What was presented and may still be there. */
  presented: z.array(z.object({ name: z.string(), token: z.string(), keyAuthorization: z.string() })),
});

export type SavedAccount = z.infer<typeof accountSchema>;
export type RenewalState = z.infer<typeof stateSchema>;
export type SavedOrder = z.infer<typeof orderSchema>;

export const NEW_STATE: RenewalState = {
  directory: null,
  obtainedAtMs: null,
  renewAtMs: null,
  window: null,
  windowExplanation: null,
  windowCheckAtMs: null,
  failures: 0,
  settings: '',
  retryAtMs: null,
  limitedUntilMs: null,
  lastError: null,
};

const PAIR = '.pem';
const STATE = '.json';
const ORDER = '.order.json';
const ACCOUNT = 'account-';

const PURPOSE = 'acme';
const SEALED = 'POSTERN SEALED KEY';

/** The files of one data directory. A certificate goes by its first name. */
export class AcmeFiles {
  readonly #dir: string;
  readonly #vault: Vault;

  constructor(dataDir: string, vault: Vault) {
    this.#dir = join(dataDir, 'acme');
    this.#vault = vault;
  }

  /** Makes the directory; the only writer calls it before all else. */
  async prepare(): Promise<void> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
  }

  /** The names that there are certificates for. */
  async names(): Promise<string[]> {
    const found = await readdir(this.#dir).catch(nothingThere);
    return (found ?? [])
      .filter((name) => name.endsWith(PAIR))
      .map((name) => name.slice(0, -PAIR.length))
      .toSorted();
  }

  /** Certificate and key lie in one file, so that whoever reads sees two that belong together. Throws PosternError for a broken one. */
  async pair(name: string): Promise<KeyPair | null> {
    const path = this.#path(name, PAIR);
    const text = await readFile(path, 'latin1').catch(nothingThere);
    if (text === null) return null;
    const start = text.indexOf('-----BEGIN CERTIFICATE-----');
    const [keyText, certPem] = start === -1 ? [text, ''] : [text.slice(0, start), text.slice(start)];
    return checkKeyPair({ cert: path, key: path }, { keyPem: this.#open(name, keyText), certPem });
  }

  /** Throws PosternError when the two do not belong together; then nothing is written. */
  async savePair(name: string, pair: { readonly keyPem: string; readonly certPem: string }): Promise<KeyPair> {
    const path = this.#path(name, PAIR);
    const checked = checkKeyPair({ cert: path, key: path }, pair);
    await replaceFile(path, `${this.#seal(name, pair.keyPem)}${pair.certPem.trim()}\n`, 0o600);
    return checked;
  }

  async state(name: string): Promise<RenewalState> {
    return (await this.#json(this.#path(name, STATE), stateSchema)) ?? NEW_STATE;
  }

  async saveState(name: string, state: RenewalState): Promise<void> {
    await replaceFile(this.#path(name, STATE), JSON.stringify(state), 0o600);
  }

  async order(name: string): Promise<SavedOrder | null> {
    return this.#withKey(name, await this.#json(this.#path(name, ORDER), orderSchema));
  }

  async saveOrder(name: string, order: SavedOrder): Promise<void> {
    await replaceFile(this.#path(name, ORDER), JSON.stringify({ ...order, keyPem: this.#seal(name, order.keyPem) }), 0o600);
  }

  async removeOrder(name: string): Promise<void> {
    await rm(this.#path(name, ORDER), { force: true });
  }

  async account(directory: string): Promise<SavedAccount | null> {
    return this.#withKey(directory, await this.#json(this.#accountPath(directory), accountSchema));
  }

  async saveAccount(account: SavedAccount): Promise<void> {
    await replaceFile(this.#accountPath(account.directory), JSON.stringify({ ...account, keyPem: this.#seal(account.directory, account.keyPem) }), 0o600);
  }

  /** Everything of a certificate that nobody wants any more. */
  async remove(name: string): Promise<void> {
    await Promise.all([PAIR, STATE, ORDER].map((end) => rm(this.#path(name, end), { force: true })));
  }

  #seal(place: string, keyPem: string): string {
    return pem(SEALED, this.#vault.seal(PURPOSE, place, Buffer.from(keyPem)));
  }

  /** A key that was put there unsealed, from elsewhere, is taken as it is. Throws PosternError for one that was sealed with another key file. */
  #open(place: string, text: string): string {
    const sealed = new RegExp(`-----BEGIN ${SEALED}-----([^-]+)-----END`).exec(text)?.[1];
    return sealed === undefined ? text : this.#vault.open(PURPOSE, place, Buffer.from(sealed, 'base64')).toString();
  }

  /** Null where the key cannot be opened: then it is made anew. */
  #withKey<T extends { readonly keyPem: string }>(place: string, saved: T | null): T | null {
    try {
      return saved === null ? null : { ...saved, keyPem: this.#open(place, saved.keyPem) };
    } catch {
      return null;
    }
  }

  #path(name: string, end: string): string {
    // Names are host names; a wildcard's star and whatever else is no part of a file name.
    return join(this.#dir, `${name.replace(/^\*/, '_').replace(/[^a-z0-9._-]/g, '-')}${end}`);
  }

  #accountPath(directory: string): string {
    return join(this.#dir, `${ACCOUNT}${createHash('sha256').update(directory).digest('hex').slice(0, 16)}.json`);
  }

  /** Null for a file that is not there, or that is not what it was: then it is made anew. */
  async #json<T>(path: string, schema: z.ZodType<T>): Promise<T | null> {
    const text = await readFile(path, 'utf8').catch(nothingThere);
    if (text === null) return null;
    try {
      return schema.safeParse(JSON.parse(text)).data ?? null;
    } catch {
      return null;
    }
  }
}

function nothingThere(error: unknown): null {
  if (errorCode(error) === 'ENOENT') return null;
  throw new PosternError(
    { code: 'acme-files-unreadable', cause: `The files of ACME cannot be read (${errorText(error)}).`, fix: 'Let the account that runs Postern read DATA/acme.' },
    { cause: error },
  );
}
