// The composition root and the life of the server: open in order, run, drain on a signal, close in reverse. Owns what is opened; the
// pieces know nothing of each other but their seams.

import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '#base/clock.ts';
import { createCounters, openCounters } from '#base/counters.ts';
import { PosternError, errorText } from '#base/failure.ts';
import { liveNetworks } from '#base/ip.ts';
import type { Log } from '#base/log.ts';
import { MAX_AHEAD_MS } from '#http/message-input.ts';
import { linkFor } from '#http/routes/people.ts';
import { Metrics } from '#events/metrics.ts';
import { openTraces } from '#events/traces/service.ts';
import { openWebhooks } from '#events/webhook/service.ts';
import { openFeed } from '#events/feed.ts';
import { createApp, listenForAccounts, listenOnSocket, listenOnTcp } from '#http/server.ts';
import type { HttpServer } from '#http/server.ts';
import { openResolver } from '#dns/resolver.ts';
import { examineSelf } from '#doctor/self/examine.ts';
import { openStore } from '#store/open.ts';
import type { StoreHost } from '#store/open.ts';
import { openWebhookQueue } from '#store/webhook-queue.ts';
import type { PeopleStore } from '#store/people.ts';
import { TICKET_KEY_BYTES } from '#tls/context.ts';
import type { Config } from '#config/config.ts';
import type { BoundListener } from './binding.ts';
import { openCertificates, openMainTls } from './certificates.ts';
import { holdDataDirectory } from './data-directory.ts';
import { collectMetrics, readiness } from './monitoring.ts';
import { openAdvisor } from './advisor.ts';
import { openDoctor } from './doctor.ts';
import { keepDomains } from './domain-keeper.ts';
import { openDomains } from './domains.ts';
import { openOutward } from './outward.ts';
import { openOwnMail } from './own-mail.ts';
import { openOwnPolicy, openPolicyHost } from './policy-host.ts';
import { prepareReadyFile, readyReport, writeReadyFile } from './ready-file.ts';
import type { ReadyReport } from './ready-file.ts';
import { openReloader } from './reload.ts';
import { openSecrets } from './secrets.ts';
import { signatureLifetimeMs } from './signatories.ts';
import { tuneRuntime, warnOfRuntime } from './runtime.ts';
import { awaitEnd } from './signals.ts';
import { openSelfRounds } from './self-rounds.ts';
import { openTlsReports } from './tls-reports.ts';
import { Workers } from './workers.ts';
import { socketPath } from './socket-path.ts';

export type ServeOptions = {
  readonly config: Config;
  /** Nobody configured the listeners: their ports may give way. */
  readonly defaultListeners: boolean;
  readonly dataDir: string;
  /** Of the program. */
  readonly version: string;
  readonly readyFile: string | null;
  /** The key file is lost: begin with a new one, and with new keys for every domain. */
  readonly newSecretKey: boolean;
  readonly log: Log;
  /** Reads the configuration again, for a reload. Rejects with PosternError when it is not valid. */
  readonly loadConfig: () => Promise<Config>;
  /** Whether a key, as a path of property names, may change while running. */
  readonly reloadable: (path: string) => boolean;
  /** Called once everything listens. */
  readonly started: (started: Started) => void;
};

export type Started = {
  readonly report: ReadyReport;
  readonly listeners: readonly BoundListener[];
  readonly httpUrl: string;
  /** Who is to issue the certificate that is not there yet; null when there is nothing to wait for. */
  readonly authority: string | null;
  /** The credential made at this start, with its password; null when there were some already. */
  readonly first: { readonly username: string; readonly password: string } | null;
  /** Lets the first person in, once; null when people can sign in already. */
  readonly signInLink: string | null;
};

/** Running transactions and deliveries get this long to end. */
const DRAIN_MS = 30_000;
/** A part that is broken must not keep the others open. */
const CLOSE_MS = 10_000;
/** For one question of the server about itself. */
const SELF_DNS_MS = 5_000;

/** Runs the server until it is told to end; resolves when everything is closed. Rejects with PosternError when it cannot start or breaks. */
export async function serve(options: ServeOptions): Promise<void> {
  const { log, readyFile } = options;
  if (readyFile !== null) prepareReadyFile(readyFile);
  tuneRuntime();
  warnOfRuntime(options.config, log);
  const data = holdDataDirectory(options.dataDir, log);
  const closing: (() => unknown)[] = [() => data.release()];
  const end = awaitEnd(log, systemClock);
  try {
    const server = await open(options, data.path, closing, end.broken);
    // For commands that want to reach this server without being told where it listens.
    const own = join(data.path, 'server.json');
    writeReadyFile(own, server.started.report);
    closing.push(() => rmSync(own, { force: true }));
    if (readyFile !== null) {
      writeReadyFile(readyFile, server.started.report);
      closing.push(() => rmSync(readyFile, { force: true }));
    }
    log.info('server.started', { ...server.started.report, data: data.path });
    options.started(server.started);
    end.onReload(() => server.reload());
    const cause = await end.reached;
    log.info('server.draining', { signal: cause, withinMs: DRAIN_MS });
    server.drain();
    await server.workers.drain(DRAIN_MS);
  } finally {
    for (const close of closing.toReversed()) await within(CLOSE_MS, close());
    end.close();
  }
  log.info('server.stopped');
}

type Server = { readonly started: Started; readonly workers: Workers; reload(): Promise<unknown>; drain(): void };

/** Opens everything in order; what is open is in `closing`, so that a failure half way closes it again. */
async function open(options: ServeOptions, dataDir: string, closing: (() => unknown)[], broken: (error: PosternError) => void): Promise<Server> {
  const { config, log } = options;
  const startedAtMs = systemClock.nowMs();
  const generation = new SharedArrayBuffer(4);
  const store = await openStore({
    dataDir,
    generation: new Int32Array(generation),
    minFreeBytes: config.queue.minFreeBytes,
    reserveBytes: config.queue.reserveBytes,
    historyMs: config.queue.historyMs,
    historyBytes: config.queue.historyBytes,
    eventsMs: config.queue.eventsMs,
    captureMs: config.queue.captureMs,
    died: (cause) => broken(storeDied(cause, log)),
  });
  closing.push(() => store.close());
  const telemetry = config.telemetry.traces === null ? null : { ...config.telemetry, url: config.telemetry.traces, from: store.events.newest() };
  const secrets = await openSecrets({ dataDir, directory: store.directory, log }, { renew: options.newSecretKey });
  const tls = await openMainTls({ config, dataDir, vault: secrets.vault, log });
  const workers = openWorkers({ config, log, dataDir, generation, store, secretKey: secrets.key });
  closing.push(() => workers.terminate());
  const listeners = await workers.start(config.listeners, { defaults: options.defaultListeners });
  const live = { config };
  const policy = openOwnPolicy({ config: () => live.config, directory: store.directory });
  const { address, port } = config.mtaSts;
  const policyHost = port === null ? null : await openPolicyHost({ address, port, tls, policy, log });
  if (policyHost !== null) closing.push(() => policyHost.close());
  const certificates = openCertificates({
    config,
    version: options.version,
    dataDir,
    vault: secrets.vault,
    tls,
    workers,
    listeners,
    policyHost,
    policyNames: () => policy.names(),
    log,
  });
  closing.push(() => certificates.stop());
  const apply = async (next: Config): Promise<void> => {
    await workers.reload(next);
    live.config = next;
  };
  const outward = openOutward({ config: () => live.config, transport: store.transport, listeners, log });
  closing.push(() => outward.close());
  const ownMail = await openOwnMail({ config: () => live.config, store, generation: new Int32Array(generation), vault: secrets.vault, log });
  const reports = openTlsReports({ ...outward, ...ownMail, config: () => live.config, sessions: store.transport.sessions, clock: systemClock, log });
  closing.push(() => reports.stop());
  const reload = openReloader({ current: config, loadConfig: options.loadConfig, reloadable: options.reloadable, apply, tls, log });
  const state = { draining: false };
  const domains = openDomains({
    directory: store.directory,
    vault: secrets.vault,
    hostname: config.hostname,
    stsId: () => policy.id(),
    dns: config.dns,
    // What is scheduled is signed when it is accepted.
    signatureLifetimeMs: () => signatureLifetimeMs(live.config.queue.maxAgeMs) + MAX_AHEAD_MS,
    checked: () => certificates.look(),
    clock: systemClock,
    log,
  });
  for (const name of secrets.orphans) await domains.add({ name, inbound: false });
  const keeper = keepDomains({ domains, keys: store.directory, everyMs: () => live.config.domains.checkMs, clock: systemClock, log });
  closing.push(() => keeper.stop());
  const doctor = openDoctor({ config: () => live.config, tlsContext: outward.tlsContext, reports: store.directory.reports, log });
  closing.push(() => doctor.close());
  const self = openSelfRounds({
    config: () => live.config,
    directory: store.directory,
    domains,
    certificates: () => tls.describe(),
    tlsContext: outward.tlsContext,
    openResolver: () => openResolver({ ...config.dns, timeoutMs: Math.min(config.dns.timeoutMs, SELF_DNS_MS), clock: systemClock }),
    examine: examineSelf,
    clock: systemClock,
    log,
  });
  closing.push(() => self.stop());
  const reached = { url: '' };
  const counted = new Metrics();
  const feed = openFeed({ tide: store.tide, flush: () => store.flushHistory(), log });
  const webhooks = openWebhooks({
    ...outward,
    webhooks: store.directory.webhooks,
    queue: openWebhookQueue(join(dataDir, 'webhook.db'), Date.now),
    events: store.events,
    feed,
    vault: secrets.vault,
    hostname: config.hostname,
    clock: systemClock,
    log,
  });
  closing.push(() => webhooks.stop());
  const traces =
    telemetry === null
      ? null
      : openTraces({ ...telemetry, tlsContext: outward.tlsContext, events: store.events, feed, version: options.version, hostname: config.hostname, clock: systemClock, log });
  if (traces !== null) closing.push(() => traces.stop());
  const app = createApp({
    log,
    counted,
    version: options.version,
    door: () => live.config.http,
    vault: secrets.vault,
    url: () => reached.url,
    reload,
    server: () => ({ version: options.version, hostname: live.config.hostname, startedAtMs, listeners: readyReport(listeners, '').listeners }),
    certificates,
    tls: { policy: outward.policy, reports },
    self,
    stsPolicy: (host) => policy.textFor(host),
    directory: store.directory,
    domains,
    doctor,
    advise: openAdvisor({ config: () => live.config, tlsContext: outward.tlsContext, listeners }),
    routes: () => live.config.routes,
    admin: store.admin,
    history: store.history,
    transcripts: store.transport.transcripts,
    events: store.events,
    feed,
    webhooks,
    statistics: store.statistics,
    suppressions: store.suppressions,
    sending: {
      submit: (submission) => workers.submit(submission),
      once: (key) => store.once(key),
      directory: store.directory,
      messageSizeBytes: () => live.config.limits.messageSizeBytes,
      localCredential: () => live.config.sendmail.credential,
      log,
    },
    flushHistory: () => store.flushHistory(),
    readiness: () => readiness({ draining: state.draining, workers, store, count: config.workers.count }),
    metrics: () => collectMetrics({ workers, store, certificates, self, counted, measured: traces === null ? [webhooks] : [webhooks, traces] }),
  });
  const management = await listenOnSocket(app, socketPath(dataDir));
  closing.push(() => management.close());
  if (config.sendmail.socket !== null) {
    const local = await listenForAccounts(app, config.sendmail.socket);
    closing.push(() => local.close());
  }
  const http = await listenOnTcp(app, { ...config.http, proxies: liveNetworks(() => live.config.http.trustedProxies) });
  closing.push(() => http.close());
  const httpUrl = urlOf(http);
  reached.url = dashboardUrl(http);
  const signInLink = firstLink(store.directory.people, reached.url);
  const first = await firstCredential(store);
  const authority = certificates.start();
  reports.start();
  self.start();
  webhooks.start();
  traces?.start();
  return { workers, reload, started: { report: readyReport(listeners, httpUrl), listeners, httpUrl, authority, first, signInLink }, drain: () => (state.draining = true) };
}

function openWorkers(parts: { config: Config; log: Log; dataDir: string; generation: SharedArrayBuffer; store: StoreHost; secretKey: Buffer }): Workers {
  const { config, log, dataDir, generation, store, secretKey } = parts;
  const { count } = config.workers;
  const memory = createCounters({ threads: count + 1 });
  const counters = openCounters(memory, 0);
  const decoySecret = store.directory.secret('scram-decoy');
  const ticketKeys = randomBytes(TICKET_KEY_BYTES);
  return new Workers({
    // The published package carries JavaScript.
    entry: new URL(`./worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url),
    count,
    log,
    clock: systemClock,
    config,
    startOf: (number, current) => ({
      number,
      config: current,
      dataDir,
      store: store.connect(number),
      counters: memory,
      generation,
      sieve: store.sieve,
      decoySecret,
      secretKey,
      ticketKeys,
    }),
    async gone(number) {
      counters.forget(number);
      const returned = await store.workerGone(number);
      log.info('worker.leases-returned', { worker: number, leases: returned });
    },
    used: (names) => void store.directory.used(names, systemClock.nowMs()).catch((error: unknown) => log.warn('directory.not-written', { cause: errorText(error) })),
  });
}

/** A fresh installation gets one sandbox credential, so that the first message can be sent at once. */
async function firstCredential(store: StoreHost): Promise<Started['first']> {
  if ((await store.directory.credentials()).length > 0) return null;
  const { credential, password } = await store.directory.addCredential({ name: 'first', domains: [], mode: 'sandbox', allowIps: [], ratePerHour: null });
  return { username: credential.username, password };
}

/** Until somebody has a way of their own to sign in, each start makes a link for the first administrator. */
function firstLink(people: PeopleStore, url: string): string | null {
  const there = people.list();
  if (there.some((person) => person.passwordHash !== null || people.passkeys(person.id).length > 0)) return null;
  const first = there.find((person) => person.scopes.includes('admin')) ?? people.add({ name: 'admin', scopes: ['admin'], createdBy: 'first start' });
  return linkFor(people, first, url).link;
}

function storeDied(cause: string, log: Log): PosternError {
  log.error('store.died', { cause });
  return new PosternError({ code: 'store-died', cause: `The store thread ended: ${cause}.`, fix: 'Nothing accepted is lost. Check the disk (space, errors) and start again.' });
}

/** By name where it can be: a passkey belongs to a name. */
function dashboardUrl(http: HttpServer): string {
  const here = ['127.0.0.1', '0.0.0.0', '::1', '::'].includes(http.address);
  return here ? `http://localhost:${http.port}` : urlOf(http);
}

function urlOf(http: HttpServer): string {
  return `http://${http.address.includes(':') ? `[${http.address}]` : http.address}:${http.port}`;
}

async function within(limitMs: number, work: unknown): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([Promise.resolve(work).catch(() => {}), new Promise<void>((resolve) => (timer = setTimeout(resolve, limitMs)))]);
  clearTimeout(timer);
}
