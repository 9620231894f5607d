// The HTTP side: one app, served on the management socket (whoever may open it may do everything) and on TCP (health and metrics). Owns
// limits and listening; what the routes do is in routes/.

import { chmod, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import { Hono } from 'hono';
import { PosternError, errorCode, errorText } from '#base/failure.ts';
import type { Log } from '#base/log.ts';
import type { Suppressions } from '#queue/suppression.ts';
import type { Directory } from '#store/directory.ts';
import { ProblemError, answerProblem } from './problem.ts';
import { certificateRoutes } from './routes/certificates.ts';
import type { CertificateParts } from './routes/certificates.ts';
import { credentialRoutes } from './routes/credentials.ts';
import { domainRoutes } from './routes/domains.ts';
import type { DomainService } from './routes/domains.ts';
import { healthRoutes } from './routes/health.ts';
import type { HealthParts } from './routes/health.ts';
import { messageRoutes } from './routes/messages.ts';
import type { MessageParts } from './routes/messages.ts';
import { mtaStsRoutes } from './routes/mta-sts.ts';
import type { MtaStsParts } from './routes/mta-sts.ts';
import { laneRoutes, queueRoutes } from './routes/queue.ts';
import { reloadRoutes } from './routes/reload.ts';
import type { ReloadReport } from './routes/reload.ts';
import { suppressionRoutes } from './routes/suppressions.ts';
import { tlsRoutes } from './routes/tls.ts';
import type { TlsParts } from './routes/tls.ts';

const HEADER_BYTES = 16 * 1024;
const REQUEST_MS = 30_000;
const IDLE_MS = 5_000;
const CONNECTIONS = 200;

export type AppParts = HealthParts &
  MessageParts &
  MtaStsParts & {
    readonly directory: Directory;
    readonly domains: DomainService;
    readonly certificates: CertificateParts;
    readonly suppressions: Suppressions;
    readonly tls: TlsParts;
    readonly reload: () => Promise<ReloadReport>;
    readonly log: Log;
  };

/** How a request came in: through the socket's file permission, or over TCP. */
export type Access = 'socket' | 'tcp';
type Env = { Bindings: { access: Access; cut(): void } };

/** The app: routes, limits, and the one place where an unexpected error becomes an answer. */
export function createApp(parts: AppParts): Hono<Env> {
  const app = new Hono<Env>();
  app.onError((error, context) => {
    if (error instanceof ProblemError) return answerProblem(context, error.problem);
    parts.log.error('http.failed', { method: context.req.method, path: context.req.path, cause: errorText(error) });
    return answerProblem(context, {
      status: 500,
      title: 'Internal error',
      code: 'internal-error',
      cause: 'The server could not carry this out.',
      fix: 'See the server log (event http.failed).',
    });
  });
  app.notFound((context) =>
    answerProblem(context, {
      status: 404,
      title: 'Not found',
      code: 'no-such-resource',
      cause: `There is nothing at ${context.req.method} ${context.req.path}.`,
      fix: 'See docs/api.md for what there is.',
    }),
  );
  app.use('/v1/*', async (context, next) => {
    if (context.env.access === 'socket') return next();
    return answerProblem(context, {
      status: 401,
      title: 'Not authorized',
      code: 'not-authorized',
      cause: 'Management is not open over TCP.',
      fix: 'Use the postern command on the server, or the socket postern.sock in the data directory.',
    });
  });
  app.route('/', healthRoutes(parts));
  app.route('/.well-known', mtaStsRoutes(parts));
  app.route('/v1/credentials', credentialRoutes(parts.directory));
  app.route('/v1/certificates', certificateRoutes(parts.certificates));
  app.route('/v1/domains', domainRoutes(parts.domains));
  app.route('/v1/queue', queueRoutes(parts.admin));
  app.route('/v1/lanes', laneRoutes(parts.admin));
  app.route('/v1/messages', messageRoutes(parts));
  app.route('/v1/suppressions', suppressionRoutes(parts.suppressions));
  app.route('/v1/tls', tlsRoutes(parts.tls));
  app.route('/v1/reload', reloadRoutes(parts.reload));
  return app;
}

export type HttpServer = { readonly address: string; readonly port: number; close(): Promise<void> };

/** Serves the app on a Unix socket of mode 0600. The caller holds the lock of the data directory: a file in the way is a dead one. */
export async function listenOnSocket(app: Hono<Env>, path: string): Promise<HttpServer> {
  await rm(path, { force: true });
  const server = createHttpServer(app, 'socket');
  const mask = process.umask(0o177);
  const listening = listen(server, { path }, path);
  process.umask(mask);
  await listening;
  await chmod(path, 0o600);
  return { address: path, port: 0, close: () => close(server) };
}

/** Serves the app on TCP. Rejects with PosternError when the address cannot be had. */
export async function listenOnTcp(app: Hono<Env>, options: { address: string; port: number }): Promise<HttpServer> {
  const server = createHttpServer(app, 'tcp');
  await listen(server, { host: options.address, port: options.port }, `${options.address}:${options.port}`);
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new TypeError('a TCP server without an address');
  return { address: bound.address, port: bound.port, close: () => close(server) };
}

function createHttpServer(app: Hono<Env>, access: Access): Server {
  const listener = getRequestListener((request, { outgoing }) => app.fetch(request, { access, cut: () => void outgoing.destroy() }), { overrideGlobalObjects: false });
  const server = createServer(
    { maxHeaderSize: HEADER_BYTES, headersTimeout: REQUEST_MS, requestTimeout: REQUEST_MS, keepAliveTimeout: IDLE_MS, connectionsCheckingInterval: 5_000 },
    (request, response) => void listener(request, response),
  );
  server.maxConnections = CONNECTIONS;
  return server;
}

function listen(server: Server, where: { path: string } | { host: string; port: number }, shown: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(cannotListen(error, shown)));
    server.listen(where, () => resolve());
  });
}

function cannotListen(error: Error, shown: string): PosternError {
  const code = errorCode(error);
  if (code === 'EADDRINUSE') {
    return new PosternError(
      {
        code: 'address-in-use',
        cause: `Another program listens on ${shown} already, so the HTTP side cannot.`,
        fix: 'Stop that program, or set another [http] port (POSTERN_HTTP__PORT).',
      },
      { cause: error },
    );
  }
  return new PosternError(
    {
      code: 'http-not-listening',
      cause: `The HTTP side cannot listen on ${shown}: ${error.message}.`,
      fix: 'Check [http] address and port, and that the path of the data directory is short enough for a socket (100 bytes).',
    },
    { cause: error },
  );
}

/** Requests that run get a moment to end; then connections are cut. */
async function close(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const cut = setTimeout(() => server.closeAllConnections(), 2_000);
  await closed;
  clearTimeout(cut);
}
