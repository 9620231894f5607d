// The MTA-STS policies of the domains that mail is received for, served: which policy there is, and a small HTTPS server that tells it to senders.
// Answers nothing else, but the challenges of a certificate authority that come to the same port. RFC 8461 3.2, 3.3.

import { createServer as createHttps } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { PosternError, errorCode, errorText } from '#base/failure.ts';
import type { Log } from '#base/log.ts';
import type { Config } from '#config/config.ts';
import type { DirectoryReader } from '#store/directory.ts';
import { openChallengeTable } from '#tls/acme/tls-alpn-01.ts';
import type { ChallengeCertificate } from '#tls/acme/tls-alpn-01.ts';
import type { ServerTls } from '#tls/context.ts';
import { STS_PATH } from '#tls/mta-sts-fetch.ts';
import { formatStsPolicy, stsPolicyId } from '#tls/mta-sts-policy.ts';
import { answerChallenge } from './challenge-door.ts';

export type OwnPolicy = {
  /** The id for the TXT record; null: no policy is served. */
  id(): string | null;
  /** The policy for a Host header; null: there is none for it. */
  textFor(host: string): Promise<string | null>;
  /** The names that it is served under by this server itself: those that the DNS leads here, by the last look at the domain's records. */
  names(): Promise<readonly PolicyName[]>;
};

/** `certain`: the DNS said so; else it did not answer at the last look, and what was before counts. */
export type PolicyName = { readonly name: string; readonly certain: boolean };

const PREFIX = 'mta-sts.';

/** What the configuration says, as it is now. */
export function openOwnPolicy({ config, directory }: { readonly config: () => Config; readonly directory: Pick<DirectoryReader, 'domain' | 'domains'> }): OwnPolicy {
  const policy = (): Parameters<typeof formatStsPolicy>[0] | null => {
    const { mtaSts, hostname } = config();
    if (mtaSts.mode === 'off') return null;
    return { mode: mtaSts.mode, mx: mtaSts.mx.length > 0 ? mtaSts.mx : [hostname], maxAgeSeconds: Math.floor(mtaSts.maxAgeMs / 1000) };
  };
  return {
    id() {
      const current = policy();
      return current === null ? null : stsPolicyId(current);
    },
    async textFor(host) {
      const current = policy();
      const name = host.toLowerCase().replace(/:\d+$/, '').replace(/\.$/, '');
      if (current === null || !name.startsWith(PREFIX)) return null;
      const domain = name.slice(PREFIX.length);
      const received = config().inbound.domains.includes(domain) || (await directory.domain(domain))?.inbound === true;
      return received ? formatStsPolicy(current) : null;
    },
    async names() {
      if (policy() === null || config().mtaSts.port === null) return [];
      const received = (await directory.domains()).filter(({ inbound }) => inbound);
      // An authority that is asked for a name that does not lead here refuses, and counts it.
      return received.flatMap(({ name, statuses }) => {
        const status = statuses[`CNAME ${PREFIX}${name}`];
        return status === 'right' || status === 'unknown' ? [{ name: `${PREFIX}${name}`, certain: status === 'right' }] : [];
      });
    },
  };
}

export type PolicyHost = {
  /** What certificate authorities are to be shown. */
  challenge(certificates: readonly ChallengeCertificate[]): Promise<void>;
  close(): Promise<void>;
};

const HEADER_BYTES = 8 * 1024;
const REQUEST_MS = 10_000;
const IDLE_MS = 5_000;
const CONNECTIONS = 200;

/** Opens the port. Rejects with PosternError (exit code 3) when it cannot be had. */
export async function openPolicyHost(parts: {
  readonly address: string;
  readonly port: number;
  readonly tls: ServerTls;
  readonly policy: OwnPolicy;
  readonly log: Log;
}): Promise<PolicyHost> {
  const { address, port, tls, policy, log } = parts;
  const challenges = openChallengeTable();
  const https = createHttps(
    {
      SNICallback: tls.sni,
      minVersion: 'TLSv1.2',
      maxHeaderSize: HEADER_BYTES,
      headersTimeout: REQUEST_MS,
      requestTimeout: REQUEST_MS,
      keepAliveTimeout: IDLE_MS,
      handshakeTimeout: REQUEST_MS,
      connectionsCheckingInterval: REQUEST_MS / 2,
    },
    (request, response) => void answer(policy, request, response),
  );
  https.on('tlsClientError', (_, socket) => socket.destroy());
  const open = new Set<Socket>();
  // A plain server in front, because an authority's challenge must be told from other clients before TLS begins.
  const server = createServer({ noDelay: true }, (socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', () => {});
    answerChallenge(socket, challenges, () => https.emit('connection', socket));
  });
  server.maxConnections = CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(notListening(error, `${address.includes(':') ? `[${address}]` : address}:${port}`)));
    server.listen({ host: address, port }, resolve);
  });
  log.info('mta-sts.serving', { address, port: (server.address() as AddressInfo).port });
  return {
    challenge(certificates) {
      challenges.set(certificates);
      return Promise.resolve();
    },
    close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of open) socket.destroy();
      return closed;
    },
  };
}

async function answer(policy: OwnPolicy, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const readable = request.method === 'GET' || request.method === 'HEAD';
  const text = readable && request.url === STS_PATH ? await policy.textFor(request.headers.host ?? '').catch(() => null) : null;
  const body = text ?? 'There is no MTA-STS policy here.\r\n';
  response.writeHead(text === null ? 404 : 200, { 'content-type': 'text/plain; charset=us-ascii', 'content-length': Buffer.byteLength(body), 'x-content-type-options': 'nosniff' });
  response.end(request.method === 'HEAD' ? undefined : body);
}

function notListening(error: Error, where: string): PosternError {
  const code = errorCode(error);
  const cause = code === 'EADDRINUSE' ? 'another program has it' : code === 'EACCES' ? 'this account may not bind it' : errorText(error);
  return new PosternError(
    {
      code: 'mta-sts-not-listening',
      cause: `The MTA-STS policies cannot be served on ${where}: ${cause}.`,
      fix: 'Free the port, give the service CAP_NET_BIND_SERVICE (docs/operations.md), set another mta_sts.port, or leave it out and let your web server pass /.well-known/mta-sts.txt on (docs/tls.md).',
    },
    { cause: error },
  );
}
