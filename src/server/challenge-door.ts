// Who comes to a port with TLS from the first byte while a TLS-ALPN-01 challenge waits: the authority, which is shown the answer and sent away, or
// a client like any other. Without a challenge nobody is looked at. RFC 8737 3.

import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { SecureContext } from 'node:tls';
import { ALPN_PROTOCOL } from '#tls/acme/tls-alpn-01.ts';
import type { ChallengeTable } from '#tls/acme/tls-alpn-01.ts';
import { readClientHello } from '#tls/client-hello.ts';

/** For the first message, and for the authority's visit; bytes that trickle do not move it. */
const DEADLINE_MS = 10_000;

/** Answers the authority, or calls `client` with the socket as it was. */
export function answerChallenge(raw: Socket, challenges: ChallengeTable, client: () => void): void {
  if (challenges.size === 0) return client();
  let bytes: Buffer = Buffer.alloc(0);
  const gaveUp = (): void => void raw.destroy();
  const deadline = setTimeout(gaveUp, DEADLINE_MS).unref();
  const onData = (chunk: Buffer): void => {
    bytes = Buffer.concat([bytes, chunk]);
    const hello = readClientHello(bytes);
    if (hello.is === 'more') return;
    raw.off('data', onData);
    raw.off('end', gaveUp);
    raw.off('close', settled);
    settled();
    raw.pause();
    raw.unshift(bytes);
    const context = hello.is === 'hello' && hello.protocols.includes(ALPN_PROTOCOL) ? challenges.contextFor(hello.serverName) : null;
    if (context === null) client();
    else show(raw, context);
  };
  const settled = (): void => clearTimeout(deadline);
  raw.on('end', gaveUp);
  raw.on('close', settled);
  raw.on('data', onData);
}

/** The handshake is the answer; nothing follows it. */
function show(raw: Socket, context: SecureContext): void {
  const socket = new TLSSocket(raw, { isServer: true, secureContext: context, ALPNProtocols: [ALPN_PROTOCOL] });
  const deadline = setTimeout(() => raw.destroy(), DEADLINE_MS).unref();
  socket.on('error', () => raw.destroy());
  socket.on('secure', () => socket.end());
  socket.on('close', () => {
    clearTimeout(deadline);
    raw.destroy();
  });
  socket.resume();
}
