// A port that answers nothing, as behind a firewall that drops: a socket that listens, with its line full and nobody to take from it.
// Needs: python3

import { connect } from 'node:net';
import { startProcess, until } from './temp.ts';
import type { Running } from './temp.ts';

const LISTEN = `
import socket, sys
listening = socket.socket()
listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listening.bind((sys.argv[1], int(sys.argv[2])))
listening.listen(0)
full = [socket.create_connection((sys.argv[1], int(sys.argv[2])))]
for _ in range(3):
    one = socket.socket()
    one.setblocking(False)
    one.connect_ex((sys.argv[1], int(sys.argv[2])))
    full.append(one)
print('full', flush=True)
sys.stdin.read()
`;

/** Swallows connections until it is ended. */
export async function startBlackhole(address: string, port: number): Promise<Running> {
  const process = startProcess('/usr/bin/python3', ['-c', LISTEN, address, String(port)], { stdio: ['pipe', 'pipe', 'pipe'] });
  await until('the port swallows connections', () => process.output().includes('full'));
  const silent = await new Promise<boolean>((resolve) => {
    const socket = connect({ host: address, port, timeout: 300 });
    socket
      .on('connect', () => resolve(false))
      .on('error', () => resolve(false))
      .on('timeout', () => resolve(true));
    socket.on('timeout', () => socket.destroy());
  });
  if (!silent) throw new Error(`${address} port ${port} answers: ${process.output()}`);
  return process;
}
