// Disk space set aside, so that mail already accepted goes on when somebody else has filled the disk: the file is let go when a lease or an
// outcome finds no room, and made again when there is room. While it is gone, no new mail is taken.

import { closeSync, existsSync, openSync, rmSync, statSync, statfsSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

const BLOCK = Buffer.alloc(1024 * 1024, 0xa5);

export class Reserve {
  readonly #path: string;
  readonly #sizeBytes: number;

  constructor(path: string, sizeBytes: number) {
    this.#path = path;
    this.#sizeBytes = sizeBytes;
  }

  get held(): boolean {
    return this.#sizeBytes === 0 || (existsSync(this.#path) && statSync(this.#path).size >= this.#sizeBytes);
  }

  /** Gives the space to the database. False when there was none to give. */
  release(): boolean {
    if (!existsSync(this.#path)) return false;
    rmSync(this.#path);
    return true;
  }

  /** Takes the space again when so much is free besides; written, not only promised: a sparse file keeps nothing. */
  restore(besidesBytes: number): void {
    if (this.held || freeBytes(dirname(this.#path)) < this.#sizeBytes + besidesBytes) return;
    const file = openSync(this.#path, 'w', 0o600);
    try {
      for (let left = this.#sizeBytes; left > 0;) left -= writeSync(file, BLOCK, 0, Math.min(left, BLOCK.length));
    } catch {
      rmSync(this.#path, { force: true });
    } finally {
      closeSync(file);
    }
  }
}

/** What an account without privileges may still write on the file system of `directory`. */
export function freeBytes(directory: string): number {
  const { bavail, bsize } = statfsSync(directory);
  return bavail * bsize;
}
