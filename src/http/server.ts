// The HTTP side: one app, served on the management socket (whoever may open it may do everything) and on TCP (tokens). Owns limits and
// listening, and the order of the operations; what they do is in routes/.

import { chmod, lstat, mkdir, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import type { Server } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import { Hono } from 'hono';
import type { Context } from 'hono';
import { systemClock } from '#base/clock.ts';
import { PosternError, errorCode, errorText } from '#base/failure.ts';
import { canonicalIp, limitKey, liveNetworks } from '#base/ip.ts';
import type { Networks } from '#base/ip.ts';
import type { Log } from '#base/log.ts';
import type { Vault } from '#base/vault.ts';
import type { Suppressions } from '#queue/suppression.ts';
import type { Metrics } from '#events/metrics.ts';
import type { Directory } from '#store/directory.ts';
import { byToken, door } from './access.ts';
import type { DoorSettings } from './access.ts';
import { mount } from './call.ts';
import { openMemory } from './memory.ts';
import type { SendingParts } from './sending.ts';
import type { Access, Env } from './identity.ts';
import { describeApi } from './openapi.ts';
import type { OpenApi } from './openapi.ts';
import type { Operation } from './operation.ts';
import { dashboardFiles } from './dashboard.ts';
import { ProblemError, answerProblem } from './problem.ts';
import { openRates } from './rates.ts';
import { referenceRoutes } from './reference.ts';
import { adviseOperations } from './routes/advise.ts';
import { auditOperations } from './routes/audit.ts';
import { certificateOperations } from './routes/certificates.ts';
import type { CertificateParts } from './routes/certificates.ts';
import { contentOperations } from './routes/content.ts';
import { credentialOperations } from './routes/credentials.ts';
import { doctorOperations } from './routes/doctor.ts';
import { domainOperations } from './routes/domains.ts';
import type { AdviceService } from './views/advice.ts';
import type { DoctorService } from './views/doctor.ts';
import type { DomainService } from './views/domain.ts';
import { eventOperations } from './routes/events.ts';
import type { EventParts } from './routes/events.ts';
import { healthOperations } from './routes/health.ts';
import type { HealthParts } from './routes/health.ts';
import { messageOperations } from './routes/messages.ts';
import type { MessageParts } from './routes/messages.ts';
import { mtaStsRoutes } from './routes/mta-sts.ts';
import type { MtaStsParts } from './routes/mta-sts.ts';
import { meOperations } from './routes/me.ts';
import { peopleOperations } from './routes/people.ts';
import { queueOperations } from './routes/queue.ts';
import { reloadOperations } from './routes/reload.ts';
import { selfOperations } from './routes/self.ts';
import type { SelfService } from './routes/self.ts';
import type { ReloadReport } from './routes/reload.ts';
import { routeOperations } from './routes/routes.ts';
import type { RouteParts } from './routes/routes.ts';
import { sendingOperations } from './routes/sending.ts';
import { serverOperations } from './routes/server.ts';
import { sessionOperations } from './routes/session.ts';
import type { ServerInfo } from './routes/server.ts';
import { statisticsOperations } from './routes/statistics.ts';
import type { StatisticsParts } from './routes/statistics.ts';
import { suppressionOperations } from './routes/suppressions.ts';
import { tlsOperations } from './routes/tls.ts';
import type { TlsParts } from './routes/tls.ts';
import { webhookOperations } from './routes/webhooks.ts';
import type { WebhookService } from '#events/webhook/service.ts';
import { tokenOperations } from './routes/tokens.ts';
import { bySession } from './sign-in/cookie.ts';
import { openChallenges } from './sign-in/passkeys.ts';

/** Bodies of large requests that are in work at once; each is several times as much while a message is made of it. */
const LARGE_BYTES = 96 * 1024 * 1024;
const HEADER_BYTES = 16 * 1024;
const REQUEST_HEAD_MS = 30_000;
/** A message of the greatest size over a slow line. */
const REQUEST_MS = 300_000;
const IDLE_MS = 5_000;
const CONNECTIONS = 200;
const CONNECTIONS_PER_ADDRESS = 50;

export type AppParts = HealthParts &
  MessageParts &
  EventParts &
  MtaStsParts & {
    readonly directory: Directory;
    readonly webhooks: WebhookService;
    readonly statistics: StatisticsParts['statistics'];
    readonly domains: DomainService;
    readonly doctor: DoctorService;
    readonly advise: AdviceService;
    readonly routes: RouteParts['routes'];
    readonly certificates: CertificateParts;
    readonly suppressions: Suppressions;
    readonly sending: SendingParts;
    readonly tls: TlsParts;
    readonly self: SelfService;
    readonly reload: () => Promise<ReloadReport>;
    readonly server: () => ServerInfo;
    readonly door: () => DoorSettings;
    /** Seals what the second factor needs. */
    readonly vault: Vault;
    /** Where people find the dashboard. */
    readonly url: () => string;
    /** Of the program. */
    readonly version: string;
    /** Where requests are counted. */
    readonly counted: Metrics;
    readonly log: Log;
  };

/** All operations, in the order of the reference. */
export function operationsOf(parts: AppParts, rates = openRates(systemClock)): readonly Operation[] {
  const { directory } = parts;
  const signIn = {
    people: () => directory.people,
    vault: () => parts.vault,
    rates,
    challenges: openChallenges(() => systemClock.nowMs()),
    proxies: liveNetworks(() => parts.door().trustedProxies),
  };
  const projectOf = async (name: string): Promise<string | null> => (await directory.credentials()).find((credential) => credential.name === name)?.project ?? null;
  const credentialsOf = async (project: string | null): Promise<readonly string[]> =>
    (await directory.credentials()).filter((credential) => project === null || credential.project === project).map(({ name }) => name);
  return [
    ...sendingOperations(() => parts.sending),
    ...messageOperations(parts),
    ...contentOperations(parts),
    ...queueOperations({ admin: () => parts.admin, projectOf }),
    ...credentialOperations(directory),
    ...domainOperations(() => parts.domains),
    ...suppressionOperations(parts.suppressions, directory),
    ...webhookOperations(() => parts.webhooks),
    ...eventOperations(() => parts),
    ...statisticsOperations(() => ({ statistics: parts.statistics, admin: parts.admin, flushHistory: parts.flushHistory, credentialsOf })),
    ...serverOperations(() => parts.server()),
    ...doctorOperations(() => parts.doctor),
    ...selfOperations(() => parts.self),
    ...adviseOperations(() => parts.advise),
    ...routeOperations({ routes: () => parts.routes(), policy: (domain, demand) => parts.tls.policy(domain, demand) }),
    ...certificateOperations(() => parts.certificates),
    ...tlsOperations(() => parts.tls),
    ...reloadOperations(() => parts.reload()),
    ...tokenOperations(() => directory.tokens),
    ...sessionOperations(signIn),
    ...meOperations(signIn),
    ...peopleOperations({ people: () => directory.people, url: () => parts.url() }),
    ...auditOperations(() => directory.audit),
    ...healthOperations(parts),
  ];
}

/** The app: the door, the operations, and the one place where an unexpected error becomes an answer. */
export function createApp(parts: AppParts): Hono<Env> {
  const app = new Hono<Env>();
  const rates = openRates(systemClock);
  const operations = operationsOf(parts, rates);
  let document: OpenApi | undefined;
  app.onError((error, context) => answerError(error, context, parts.log));
  app.notFound((context) => answerNothing(context, operations));
  app.use(door({ settings: parts.door, rates }));
  app.route(
    '/',
    referenceRoutes(() => (document ??= describeApi(operations, { version: parts.version }))),
  );
  mount(app, operations, {
    identify: [
      byToken(() => parts.directory.tokens, rates),
      bySession(
        () => parts.directory.people,
        liveNetworks(() => parts.door().trustedProxies),
      ),
    ],
    audit: { write: (entry) => parts.directory.audit.write(entry) },
    rates,
    memory: openMemory(LARGE_BYTES),
    perSecond: () => parts.door().requestsPerToken,
    observe(operation, status, durationMs) {
      parts.counted.add('postern_http_requests_total', [operation, `${Math.floor(status / 100)}xx`]);
      parts.counted.observe('postern_http_request_seconds', durationMs);
    },
    log: parts.log,
  });
  app.route('/.well-known', mtaStsRoutes(parts));
  app.all('/v1/*', (context) => answerNothing(context, operations));
  app.use('/*', dashboardFiles());
  return app;
}

function answerError(error: unknown, context: Context<Env>, log: Log): Response {
  if (error instanceof ProblemError) return answerProblem(context, error.problem);
  log.error('http.failed', { method: context.req.method, path: context.req.path, cause: errorText(error) });
  return answerProblem(context, {
    status: 500,
    title: 'Internal error',
    code: 'internal-error',
    cause: 'The server could not carry this out.',
    fix: 'See the server log (event http.failed).',
  });
}

/** Nothing there, or not by this method. */
function answerNothing(context: Context<Env>, operations: readonly Operation[]): Response {
  const { method, path } = context.req;
  const methods = operations.filter((one) => new RegExp(`^${one.path.replaceAll('.', '\\.').replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(path)).map((one) => one.method);
  if (methods.length > 0) {
    return answerProblem(context, {
      status: 405,
      title: 'Method not allowed',
      code: 'method-not-allowed',
      cause: `${path} does not take ${method}.`,
      fix: `It takes ${methods.join(', ')}; see /docs.`,
      headers: { allow: methods.join(', ') },
    });
  }
  return answerProblem(context, {
    status: 404,
    title: 'Not found',
    code: 'no-such-resource',
    cause: `There is nothing at ${method} ${path}.`,
    fix: 'See /docs for what there is.',
  });
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

/** Serves the sending of mail to every account of this machine. The directory is made if it is not there; what else lies there stays. */
export async function listenForAccounts(app: Hono<Env>, path: string): Promise<HttpServer> {
  const server = createHttpServer(app, 'local');
  try {
    // Every account has to come through; the server's own files are for nobody else.
    if ((await mkdir(dirname(path), { recursive: true })) !== undefined) await chmod(dirname(path), 0o755);
    // What a server that is gone has left behind; of one that is there it would be taken away.
    if ((await lstat(path).catch(() => null))?.isSocket() === true && !(await answers(path))) await rm(path, { force: true });
    await listen(server, { path }, path);
    await chmod(path, 0o666);
  } catch (error) {
    throw new PosternError(
      {
        code: 'sendmail-socket',
        cause: `The socket ${path}, on which accounts of this machine hand over mail, cannot be opened: ${errorText(error)}`,
        fix: 'Let the account of the server write to its directory (RuntimeDirectory=postern in a systemd unit makes /run/postern), or set another [sendmail] socket.',
      },
      { cause: error },
    );
  }
  return { address: path, port: 0, close: () => close(server) };
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

/** Serves the app on TCP. Rejects with PosternError when the address cannot be had. */
export async function listenOnTcp(app: Hono<Env>, options: { address: string; port: number; proxies?: Networks }): Promise<HttpServer> {
  const server = createHttpServer(app, 'tcp');
  boundAddresses(server, options.proxies ?? null);
  await listen(server, { host: options.address, port: options.port }, `${options.address}:${options.port}`);
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new TypeError('a TCP server without an address');
  return { address: bound.address, port: bound.port, close: () => close(server) };
}

function createHttpServer(app: Hono<Env>, access: Access): Server {
  const listener = getRequestListener(
    (request, { incoming, outgoing }) => app.fetch(request, { access, address: incoming.socket.remoteAddress ?? '', incoming, cut: () => void outgoing.destroy() }),
    { overrideGlobalObjects: false },
  );
  const server = createServer(
    { maxHeaderSize: HEADER_BYTES, headersTimeout: REQUEST_HEAD_MS, requestTimeout: REQUEST_MS, keepAliveTimeout: IDLE_MS, connectionsCheckingInterval: 5_000 },
    (request, response) => void listener(request, response),
  );
  server.maxConnections = CONNECTIONS;
  return server;
}

/** One address leaves room for others, however slowly it sends; of a proxy that is trusted all connections come from one. */
function boundAddresses(server: Server, proxies: Networks | null): void {
  const open = new Map<string, number>();
  server.on('connection', (socket) => {
    const address = canonicalIp(socket.remoteAddress ?? '');
    if (proxies?.has(address) === true) return;
    const key = limitKey(address);
    const own = (open.get(key) ?? 0) + 1;
    if (own > CONNECTIONS_PER_ADDRESS) return void socket.destroy();
    open.set(key, own);
    socket.once('close', () => {
      const left = (open.get(key) ?? 1) - 1;
      if (left === 0) open.delete(key);
      else open.set(key, left);
    });
  });
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
