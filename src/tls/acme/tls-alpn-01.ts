// Answers TLS-ALPN-01 challenges: a TLS server that says nothing but "acme-tls/1", open only while one waits; or, where a listener of this
// server has the port, the certificates that it is to show. RFC 8737.

import { createHash } from 'node:crypto';
import { createSecureContext, createServer } from 'node:tls';
import type { SecureContext, Server } from 'node:tls';
import { makeChallengeCertificate } from '#tls/certificate.ts';
import type { Clock } from '#base/clock.ts';
import { close, listen } from './responder.ts';
import type { Place, Responder } from './responder.ts';

export const ALPN_PROTOCOL = 'acme-tls/1';
const DAY_MS = 86_400_000;
const HANDSHAKE_MS = 10_000;
const CONNECTIONS = 100;

/** The certificate that answers for a name; plain data, for the worker threads. */
export type ChallengeCertificate = { readonly name: string; readonly certPem: string; readonly keyPem: string };

export type TlsAlpnOptions = {
  readonly clock: Clock;
  /** A port of one's own; or whoever has the port already: told of every change, with all that are to be answered. */
  readonly where: Place | ((certificates: readonly ChallengeCertificate[]) => Promise<void>);
};

export function openTlsAlpnResponder({ clock, where }: TlsAlpnOptions): Responder {
  const certificates = new Map<string, ChallengeCertificate>();
  const tell = typeof where === 'function' ? (): Promise<void> => where([...certificates.values()]) : ownPort(where, certificates);
  return {
    type: 'tls-alpn-01',
    async present({ name, keyAuthorization }) {
      const digest = createHash('sha256').update(keyAuthorization).digest();
      const made = makeChallengeCertificate(name, { fromMs: clock.nowMs() - DAY_MS, untilMs: clock.nowMs() + DAY_MS, digest });
      certificates.set(name, { name, ...made });
      await tell();
    },
    ready: () => Promise.resolve(),
    async remove({ name }) {
      certificates.delete(name);
      // Who cannot be told any more has nothing to take away.
      await tell().catch(() => {});
    },
  };
}

/** Opens the port with the first certificate and closes it with the last. */
function ownPort(place: Place, certificates: ReadonlyMap<string, ChallengeCertificate>): () => Promise<void> {
  let server: Promise<Server> | null = null;
  return async () => {
    if (certificates.size > 0) {
      server ??= start(place, certificates);
      await server.catch((error: unknown) => {
        server = null;
        throw error;
      });
    } else if (server !== null) {
      const running = await server.catch(() => null);
      server = null;
      if (running !== null) await close(running);
    }
  };
}

async function start(place: Place, certificates: ReadonlyMap<string, ChallengeCertificate>): Promise<Server> {
  const server = createServer({
    ALPNProtocols: [ALPN_PROTOCOL],
    handshakeTimeout: HANDSHAKE_MS,
    SNICallback(name, cb) {
      const certificate = certificates.get(name.toLowerCase());
      cb(null, certificate === undefined ? undefined : challengeContext(certificate));
    },
  });
  server.maxConnections = CONNECTIONS;
  server.on('tlsClientError', (_, socket) => socket.destroy());
  // The handshake was the answer (RFC 8737 3).
  server.on('secureConnection', (socket) => {
    socket.on('error', () => {});
    socket.end();
    socket.setTimeout(HANDSHAKE_MS, () => socket.destroy());
    socket.resume();
  });
  await listen(server, place, 'tls-alpn-01');
  return server;
}

function challengeContext({ certPem, keyPem }: ChallengeCertificate): SecureContext {
  return createSecureContext({ cert: certPem, key: keyPem, minVersion: 'TLSv1.2' });
}

/** The certificates that a listener is to show while challenges wait; by name. */
export type ChallengeTable = {
  readonly size: number;
  set(certificates: readonly ChallengeCertificate[]): void;
  /** The context that answers for this name; null when nothing is asked about it. */
  contextFor(serverName: string | null): SecureContext | null;
};

export function openChallengeTable(): ChallengeTable {
  let contexts = new Map<string, SecureContext>();
  return {
    get size() {
      return contexts.size;
    },
    set: (certificates) => (contexts = new Map(certificates.map((certificate) => [certificate.name, challengeContext(certificate)]))),
    contextFor: (serverName) => contexts.get((serverName ?? '').toLowerCase()) ?? null,
  };
}
