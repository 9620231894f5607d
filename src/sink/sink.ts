// A receiver for tests and staging: takes mail for anybody and delivers none of it, or behaves as badly as it is asked to. One port; ends when it
// is told to, or after so many messages.

import { createServer } from 'node:net';
import type { SinkTls } from './certificates.ts';
import { SinkConnection } from './connection.ts';
import { World } from './world.ts';
import type { Counts, Settings } from './world.ts';

export type Sink = {
  /** An address and a port, or the path of a Unix socket and null. */
  readonly address: string;
  readonly port: number | null;
  readonly counts: Readonly<Counts>;
  /** No new connections; those that are open may come to an end, for so long. */
  close(): Promise<void>;
};

/** For clients to say QUIT, and for transactions to end. */
const GRACE_MS = 1000;
const CUT_MS = 500;

export type Where = { readonly address: string; readonly port: number } | { readonly socket: string };

/** Opens the port. Rejects with the system's error (EACCES, EADDRINUSE, EADDRNOTAVAIL). */
export async function openSink(settings: Settings, tls: SinkTls, where: Where): Promise<Sink> {
  const world = new World(settings, tls.context);
  const open = new Set<SinkConnection>();
  let number = 0;
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    const connection: SinkConnection = new SinkConnection(world, socket, { number: ++number, gone: () => open.delete(connection) });
    open.add(connection);
    connection.begin();
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ ...('socket' in where ? { path: where.socket } : { host: where.address, port: where.port }), backlog: 1024 }, () => {
      server.off('error', reject);
      server.on('error', () => {});
      resolve();
    });
  });
  const bound = server.address();
  const at = bound === null || typeof bound === 'string' ? { address: bound ?? '', port: null } : { address: bound.address, port: bound.port };
  const emptyWithin = async (ms: number): Promise<void> => {
    const untilMs = performance.now() + ms;
    while (open.size > 0 && performance.now() < untilMs) await new Promise((resolve) => setTimeout(resolve, 10));
  };
  let closing: Promise<void> | null = null;
  const close = async (): Promise<void> => {
    server.close();
    await emptyWithin(GRACE_MS);
    for (const connection of open) connection.drain();
    await emptyWithin(CUT_MS);
    for (const connection of open) connection.destroy();
    await emptyWithin(CUT_MS);
  };
  return { ...at, counts: world.counts, close: () => (closing ??= close()) };
}
