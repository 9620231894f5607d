// Where a sink puts messages: a directory with a file a message, byte for byte, and one beside it with the envelope. A message is there whole
// or not at all: it is written under another name until it is taken.

import { createWriteStream, mkdirSync } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { MessageFacts } from './events.ts';

export type Parcel = {
  write(chunk: Buffer): Promise<void> | undefined;
  /** The path of the message. */
  keep(facts: Omit<MessageFacts, 'file'>): Promise<string>;
  drop(): void;
};

export type Mailbag = { open(id: string): Parcel };

/** Opens the directory, made if it is not there. Throws the system's error. */
export function openMailbag(directory: string): Mailbag {
  mkdirSync(directory, { recursive: true });
  return {
    open(id) {
      const base = join(directory, id);
      const draft = `${base}.part`;
      const stream = createWriteStream(draft, { flags: 'wx' });
      let failed: Error | null = null;
      stream.on('error', (error) => (failed = error));
      const settled = (begin: (done: (error?: Error | null) => void) => void): Promise<void> =>
        new Promise((resolve, reject) => {
          const wrong = (error: Error): void => reject(error);
          stream.once('error', wrong);
          begin((error) => {
            stream.off('error', wrong);
            if (error) reject(error);
            else resolve();
          });
        });
      return {
        write(chunk) {
          if (failed !== null) throw failed;
          return stream.write(chunk) ? undefined : settled((done) => stream.once('drain', () => done()));
        },
        async keep(facts) {
          if (failed !== null) throw failed;
          await settled((done) => stream.end(done));
          const file = `${base}.eml`;
          await writeFile(`${base}.json`, `${JSON.stringify({ ...facts, file }, null, 2)}\n`);
          await rename(draft, file);
          return file;
        },
        drop() {
          stream.destroy();
          rm(draft, { force: true }).catch(() => {});
        },
      };
    },
  };
}
