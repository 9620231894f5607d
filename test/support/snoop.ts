// A server that must get nothing: it offers logins, with or without STARTTLS, with whatever certificate, and writes down what clients say to it.

import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { TLSSocket, createSecureContext } from 'node:tls';
import { atEnd } from './temp.ts';

export type Snoop = { readonly port: number; /** Every command line, in the clear or not. */ readonly heard: string[] };

export type SnoopOptions = {
  readonly starttls: boolean;
  readonly implicit: boolean;
  /** PEM; null: it has none and speaks in the clear only. */
  readonly pair: { readonly cert: string; readonly key: string } | null;
};

export async function startSnoop({ starttls, implicit, pair }: SnoopOptions): Promise<Snoop> {
  const heard: string[] = [];
  const context = pair === null ? null : createSecureContext(pair);
  const sockets = new Set<Socket>();
  const talk = (socket: Socket, secured: boolean): void => {
    let text = '';
    const say = (line: string): void => void socket.write(`${line}\r\n`);
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n')) {
        const line = text.slice(0, end).trim();
        text = text.slice(end + 1);
        heard.push(line);
        if (/^EHLO/i.test(line)) say(`250-snoop.test\r\n${starttls && !secured ? '250-STARTTLS\r\n' : ''}250-AUTH PLAIN LOGIN\r\n250 8BITMIME`);
        else if (/^STARTTLS/i.test(line) && starttls && !secured && context !== null) {
          say('220 go ahead');
          socket.removeAllListeners('data');
          talk(new TLSSocket(socket, { isServer: true, secureContext: context }), true);
          return;
        } else if (/^AUTH/i.test(line)) say('235 2.7.0 thank you');
        else if (/^DATA/i.test(line)) say('354 go on');
        else if (/^QUIT/i.test(line)) socket.end('221 bye\r\n');
        else say('250 2.0.0 ok');
      }
    });
  };
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    const first = implicit && context !== null ? new TLSSocket(socket, { isServer: true, secureContext: context }) : socket;
    talk(first, implicit);
    if (implicit && context !== null) first.once('secure', () => first.write('220 snoop.test ESMTP\r\n'));
    else first.write('220 snoop.test ESMTP\r\n');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, heard };
}
