// SQLite as the queue: the suite that every engine passes, against the real store thread in a directory of its own.

import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Queue } from '#queue/queue.ts';
import { openStore } from '#store/open.ts';
import { connectQueue } from '#store/sqlite/client.ts';
import type { QueueClient } from '#store/sqlite/client.ts';
import { queueConformance } from '../conformance/queue.ts';
import type { Engine } from '../conformance/queue.ts';
import { atEnd, tempDir } from '../support/temp.ts';

const DAY_MS = 86_400_000;
const MEMORY_BYTES = 1_000_000;

async function openEngine(dataDir: string, options: { readonly reserveBytes: number; readonly minFreeBytes: number }): Promise<Engine> {
  const store = await openStore({
    dataDir,
    ...options,
    historyMs: DAY_MS,
    historyBytes: 1e9,
    eventsMs: DAY_MS,
    captureMs: DAY_MS,
    generation: new Int32Array(new SharedArrayBuffer(4)),
    died: (cause) => cause,
  });
  const clients = new Map<number, QueueClient>();
  const worker = (n: number): Queue => {
    const known = clients.get(n) ?? connectQueue(store.connect(n), { memoryBytes: MEMORY_BYTES });
    clients.set(n, known);
    return known;
  };
  const close = async (): Promise<void> => {
    for (const client of clients.values()) await client.close();
    await store.close();
  };
  return {
    worker,
    admin: store.admin,
    suppressions: store.suppressions,
    close,
    async events(id) {
      await store.flushHistory();
      return (await store.history.show(id))?.events ?? [];
    },
    async workerGone(n) {
      const returned = await store.workerGone(n);
      clients.delete(n);
      return returned;
    },
    async restart() {
      await close();
      return openEngine(dataDir, options);
    },
  };
}

queueConformance('sqlite', {
  open: () => openEngine(join(tempDir('queue'), 'd'), { reserveBytes: 0, minFreeBytes: 0 }),
  async openSmall() {
    if (process.getuid?.() !== 0) return { skip: 'only root can mount a small file system' };
    const mount = join(tempDir('small'), 'm');
    mkdirSync(mount);
    execFileSync('/bin/mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', mount], { stdio: 'pipe' });
    atEnd(() => execFileSync('/bin/umount', ['-l', mount]));
    const filler = join(mount, 'filler');
    const engine = await openEngine(join(mount, 'd'), { reserveBytes: 4_000_000, minFreeBytes: 0 });
    return {
      engine,
      /** All but a little, so that the space runs out in the middle of work. */
      fill() {
        const { bavail, bsize } = statfsSync(mount);
        writeFileSync(filler, Buffer.alloc(Math.max(0, bavail * bsize - 2_000_000)));
      },
      free: () => rmSync(filler, { force: true }),
    };
  },
});
