// One worker's relay: everything between its listening sockets and its outbound connections, put together from the configuration. What
// may change while it runs is read from `live` at each use.

import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '#base/clock.ts';
import { openCounters } from '#base/counters.ts';
import { openMessageIds } from '#base/id.ts';
import { liveNetworks } from '#base/ip.ts';
import { openLog } from '#base/log.ts';
import { openVault } from '#base/vault.ts';
import type { Config, ListenerConfig } from '#config/config.ts';
import { openDispatcher } from '#deliver/dispatcher.ts';
import type { DispatcherParts } from '#deliver/dispatcher.ts';
import { openTranscriptLog } from '#deliver/transcript-log.ts';
import { openSessionLog } from '#deliver/session-log.ts';
import { openRoutes } from '#deliver/route.ts';
import type { Route, Routes } from '#deliver/route.ts';
import { openResolver } from '#dns/resolver.ts';
import { Metrics } from '#events/metrics.ts';
import type { MetricsSnapshot } from '#events/metrics.ts';
import { openForwarding } from '#intake/forward.ts';
import { openInspector } from '#intake/inspect.ts';
import { openIntake } from '#intake/intake.ts';
import type { Sender } from '#intake/authenticate.ts';
import type { IntakeLimits } from '#intake/intake.ts';
import { openSubmitter } from '#intake/submission.ts';
import type { Submission, Submitted } from '#intake/submission.ts';
import { openSigning } from '#mail/dkim/signing.ts';
import type { SigningKey } from '#mail/dkim/signer.ts';
import type { Signatory } from '#mail/dkim/signing.ts';
import { openSigningThreads } from '#mail/dkim/signing-threads.ts';
import { openSrs } from '#mail/identity/srs.ts';
import type { Identity, Policy, SessionLimits } from '#smtp/policy.ts';
import { openDirectoryReader } from '#store/directory.ts';
import { connectQueue } from '#store/sqlite/client.ts';
import { openSuppressionReader } from '#store/suppressions.ts';
import { openChallengeTable } from '#tls/acme/tls-alpn-01.ts';
import type { ChallengeCertificate } from '#tls/acme/tls-alpn-01.ts';
import { openTransport } from '#store/transport.ts';
import { openServerTls, outboundTls } from '#tls/context.ts';
import { openListener } from './listener.ts';
import type { Listener } from './listener.ts';
import { openLocalDomains } from './local-domains.ts';
import type { LocalDomains } from './local-domains.ts';
import { intakeObserver, listenerObserver, observedPolicy, observedQueue, openLoopWatch, openUsage, sessionObserver } from './observers.ts';
import { openSelfCheck } from './self.ts';
import { openWorkerReturns } from './return-paths.ts';
import { openSignatories, signatureLifetimeMs } from './signatories.ts';
import type { Signatories } from './signatories.ts';
import { openTlsPolicies } from './tls-policies.ts';
import type { WorkerStart } from './worker-protocol.ts';

export type Relay = {
  /** Rejects with the system's error. */
  listen(listener: ListenerConfig, options: { reusePort: boolean }): Promise<{ address: string; port: number }>;
  reload(config: Config): Promise<void>;
  /** Rejects with PosternError; the old ones stay then. */
  reloadCertificates(): Promise<void>;
  challenge(certificates: readonly ChallengeCertificate[]): void;
  submit(submission: Submission): Promise<Submitted>;
  metrics(): MetricsSnapshot;
  /** Stops listening, lets what runs end within the time, gives back the rest, closes everything. */
  drain(withinMs: number): Promise<void>;
};

/** Commands that do no work before the session is ended (RFC 5321 7.8 leaves the number to us). */
const IDLE_COMMANDS = 100;
/** Messages. */
const SIGNATURES_WAITING = 20_000;

/** When credentials were last used is written down so often. */
const USAGE_MS = 10_000;

/** Opens all of it but the listeners. Rejects with PosternError when a part cannot be opened. */
export async function openRelay(start: WorkerStart, tell: { readonly used: (credentials: readonly string[]) => void }): Promise<Relay> {
  const live = { config: start.config };
  const output = openLog(start.config.log);
  const log = output.with({ worker: start.number });
  const metrics = new Metrics();
  const loop = openLoopWatch(metrics, `worker-${start.number}`);
  const counters = openCounters(start.counters, start.number);
  const generation = new Int32Array(start.generation);
  const client = connectQueue(start.store, { memoryBytes: start.config.queue.memoryBytes });
  const queue = observedQueue(client, metrics);
  const directory = openDirectoryReader(join(start.dataDir, 'directory.db'), generation);
  const local = await openLocalDomains({ directory, generation, configured: () => live.config.inbound.domains });
  const vault = openVault(Buffer.from(start.secretKey));
  const signatories = await openSignatories({ directory, generation, vault, log });
  const pen = openSigningThreads({ threads: Math.ceil(availableParallelism() / start.config.workers.count), waiting: SIGNATURES_WAITING });
  const signing = openSigning({
    find: (domain) => signatories.find(domain),
    pen,
    lifetimeMs: () => signatureLifetimeMs(live.config.queue.maxAgeMs),
  });
  const tls = await openServerTls({
    ...start.config.tls,
    hostname: start.config.hostname,
    dataDir: start.dataDir,
    vault,
    ticketKeys: Buffer.from(start.ticketKeys),
    clock: systemClock,
    log,
  });
  const usage = openUsage(systemClock, { everyMs: USAGE_MS, tell: tell.used });
  const challenges = openChallengeTable();
  const routes = liveRoutes(live);
  const newId = openMessageIds();
  const { dns, hostname } = start.config;
  const resolver = openResolver({ ...dns, clock: systemClock });
  const delivery = deliverySettings(live);
  const transport = openTransport(join(start.dataDir, 'transport.db'), { nowMs: () => systemClock.nowMs(), transcripts: start.config.queue.transcripts });
  const transcripts = openTranscriptLog({ clock: systemClock, keep: (attempts) => transport.transcripts.add(attempts) });
  const sessionLog = openSessionLog({ clock: systemClock, keep: (rows) => transport.sessions.add(rows), observe: sessionObserver(metrics) });
  const tlsPolicies = openTlsPolicies({ config: () => live.config, resolver, tlsContext: () => delivery.tlsContext, memory: transport.sts, log });
  const self = openSelfCheck({ hostname, mxPort: start.config.delivery.mxPort });
  const back = openWorkerReturns({
    dataDir: start.dataDir,
    maxAgeMs: () => live.config.queue.maxAgeMs,
    hostname,
    vault,
    signatories,
    signing,
    client,
    queue,
    counters,
    newId,
    isForwarder: (domain) => local.has(domain) || domain === live.config.forwarding.srsDomain,
    log,
  });
  const srs = openSrs(vault.derive('srs'));
  const dispatcher = openDispatcher({
    ...delivery,
    returnPath: back.paths.local,
    srs: srs.forward,
    tlsPolicies: { ...tlsPolicies, sessionLog },
    ...(start.config.queue.transcripts === 0 ? {} : { transcripts }),
    queue,
    suppressed: openSuppressionReader(start.sieve, client),
    routes,
    resolver,
    signing,
    hostname,
    counters,
    newId,
    log,
    clock: systemClock,
    isSelf: self.isSelf,
  });
  const trusted = liveNetworks(() => live.config.inbound.trustedNetworks);
  const intake = openIntake({
    hostname,
    queue,
    directory,
    counters,
    newId,
    log,
    clock: systemClock,
    decoySecret: Buffer.from(start.decoySecret),
    limits: () => intakeLimits(live.config),
    isLocal: (domain) => local.has(domain),
    localDomain: () => local.first(),
    laneFor: (domain, mode) => dispatcher.laneFor(domain, mode),
    signing,
    returns: back.intake(dispatcher),
    inspector: openInspector({
      hostname,
      resolver,
      pen,
      clock: systemClock,
      log,
      settings: () => live.config.inbound,
      isTrusted: (address) => trusted.has(address),
    }),
    forwarding: openForwarding({
      table: () => live.config.forwards,
      settings: () => live.config.forwarding,
      isLocal: (domain) => local.has(domain),
      wayOf: (domain) => wayOf(routes.match(domain)),
      srs,
      sealer: (domain) => sealingKey(signatories.find(domain)),
      clock: systemClock,
    }),
    deliver: (leases) => dispatcher.take(leases),
    observe: intakeObserver(metrics, usage.note),
  });
  const policy = preparing(currentDomains(observedPolicy(intake, metrics), [local, signatories]), (domain) => dispatcher.prepare(domain));
  const submitter = openSubmitter({ policy, directory, limits: () => live.config.limits });
  const listeners: Listener[] = [];
  dispatcher.start();
  return {
    async listen({ profile, address, port, proxyProtocol }, { reusePort }) {
      const listener = await openListener({
        profile,
        address,
        port,
        proxyProtocol,
        reusePort,
        policy,
        hostname,
        tls,
        challenges,
        log,
        limits: () => sessionLimits(live.config),
        observe: listenerObserver(metrics),
      });
      listeners.push(listener);
      self.listens(listener);
      return { address: listener.address, port: listener.port };
    },
    async reload(config) {
      await tls.reload();
      live.config = config;
    },
    reloadCertificates: () => tls.reload(),
    challenge: (certificates) => challenges.set(certificates),
    submit: (submission) => submitter.submit(submission),
    metrics() {
      loop.look();
      return metrics.snapshot();
    },
    async drain(withinMs) {
      // Side by side: a slow client must not use up the time of a delivery. What is accepted meanwhile waits in the queue.
      await Promise.all([...listeners.map((listener) => listener.drain(withinMs)), dispatcher.stop(withinMs)]);
      usage.close();
      loop.close();
      resolver.close();
      directory.close();
      back.close();
      sessionLog.close();
      transcripts.close();
      transport.close();
      await client.close();
      await pen.close();
      output.flush();
    },
  };
}

type Live = { config: Config };

/** The routes of the configuration as it is now. */
function liveRoutes(live: Live): Routes {
  let built = { from: live.config.routes, routes: openRoutes(live.config.routes) };
  const current = (): Routes => {
    if (built.from !== live.config.routes) built = { from: live.config.routes, routes: openRoutes(live.config.routes) };
    return built.routes;
  };
  return { match: (domain) => current().match(domain), laneFor: (domain, mode) => current().laneFor(domain, mode) };
}

/** To MX hosts and upstream relays mail leaves; everywhere else it has arrived. */
function wayOf(route: Route): { readonly leaves: boolean; readonly srs: boolean } {
  return route.type === 'mx' || route.type === 'smarthost' ? { leaves: true, srs: route.srs === true } : { leaves: false, srs: false };
}

/** RSA: verifiers of ARC that know Ed25519 are rare. */
function sealingKey(signatory: Signatory | null): SigningKey | null {
  return signatory?.keys.find((key) => key.algorithm === 'rsa-sha256') ?? null;
}

/** What the directory says of domains is looked at when a connection or a transaction begins, so that it is up to date at RCPT and at the content. */
function currentDomains<I extends Identity>(policy: Policy<I>, sets: readonly Pick<LocalDomains | Signatories, 'refresh'>[]): Policy<I> {
  return {
    ...policy,
    connect(connection) {
      for (const set of sets) set.refresh();
      return policy.connect(connection);
    },
    mail(connection, mail) {
      for (const set of sets) set.refresh();
      return policy.mail(connection, mail);
    },
  };
}

/** The way of a recipient is looked up while its message is still on the way. */
function preparing(policy: Policy<Sender>, prepare: (domain: string) => void): Policy<Sender> {
  return {
    ...policy,
    rcpt(connection, transaction, rcpt) {
      const refused = policy.rcpt(connection, transaction, rcpt);
      if (refused === null && connection.identity?.record.mode !== 'sandbox') prepare(rcpt.to.domain);
      return refused;
    },
  };
}

/** What of the configuration concerns delivery; what may be reloaded is read at each use. */
function deliverySettings(live: Live): Pick<DispatcherParts, 'mxPort' | 'allowPrivate' | 'tlsContext' | 'timeouts' | 'schedule' | 'limits'> {
  const { mxPort, allowPrivateAddresses, caFile, connectTimeoutMs, commandTimeoutMs, dataTimeoutMs } = live.config.delivery;
  return {
    mxPort,
    allowPrivate: allowPrivateAddresses,
    tlsContext: outboundTls({ caFile }).secureContext,
    timeouts: { connectMs: connectTimeoutMs, greetingMs: commandTimeoutMs, commandMs: commandTimeoutMs, dataMs: dataTimeoutMs },
    schedule: () => ({ maxAgeMs: live.config.queue.maxAgeMs, delayWarningMs: live.config.queue.delayWarningMs, ...live.config.queue.retry }),
    limits: () => live.config.delivery,
  };
}

function intakeLimits({ limits, queue }: Config): IntakeLimits {
  const { connections, connectionsPerAddress, authFailures, hops, headerBytes, memoryBytes } = limits;
  return { connections, connectionsPerAddress, authFailures, hops, headerBytes, memoryBytes, maxAgeMs: queue.maxAgeMs, delayWarningMs: queue.delayWarningMs };
}

function sessionLimits({ limits }: Config): SessionLimits {
  const { messageSizeBytes, recipients, authFailures, commandTimeoutMs, dataTimeoutMs, sessionTimeoutMs } = limits;
  return { messageSizeBytes, recipients, authFailures, commandTimeoutMs, dataTimeoutMs, sessionTimeoutMs, idleCommands: IDLE_COMMANDS };
}
