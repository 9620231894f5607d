// A server as it looks from far away: a port that passes everything on, each way later by half of the distance.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { atEnd } from './temp.ts';

/** Listens on `at`; a word and its answer take `roundTripMs` longer. */
export async function startDistance(
  at: { readonly address: string; readonly port: number },
  to: { readonly address: string; readonly port: number },
  roundTripMs: number,
): Promise<void> {
  const sockets = new Set<Socket>();
  const pass = (from: Socket, into: Socket): void => {
    sockets.add(from);
    from.setNoDelay(true);
    // Timers of one length end in the order they began.
    from
      .on('data', (chunk) => setTimeout(() => into.destroyed || into.write(chunk), roundTripMs / 2))
      .on('end', () => setTimeout(() => into.end(), roundTripMs / 2))
      .on('error', () => into.destroy())
      .on('close', () => sockets.delete(from));
  };
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const far = connect({ host: to.address, port: to.port, allowHalfOpen: true });
    pass(near, far);
    pass(far, near);
  });
  server.listen(at.port, at.address);
  await once(server, 'listening');
  atEnd(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
}
