// One-way observers around the policy, the queue and the listeners of a worker: they count, and change nothing.

import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Cancel, Clock } from '#base/clock.ts';
import type { SessionReport } from '#deliver/session-report.ts';
import type { Metrics } from '#events/metrics.ts';
import type { IntakeObserver } from '#intake/intake.ts';
import type { Queue, Settled } from '#queue/queue.ts';
import type { Identity, Policy, Profile } from '#smtp/policy.ts';

/** Counts what intake accepts and refuses; `used` is told of credentials in use. */
export function intakeObserver(metrics: Metrics, used: (credential: string) => void): IntakeObserver {
  return {
    used,
    accepted(profile, sizeBytes, waitedMs) {
      metrics.add('postern_accepted_messages_total', [profile]);
      metrics.add('postern_accepted_bytes_total', [profile], sizeBytes);
      metrics.observe('postern_accept_seconds', waitedMs);
    },
    refused(profile, reply) {
      metrics.add('postern_refusals_total', [profile, reply.enhanced || String(reply.code)]);
    },
    judged({ spf, dkim, dmarc, arc, disposition }) {
      metrics.add('postern_authentication_total', ['spf', spf.result]);
      metrics.add('postern_authentication_total', ['dkim', bestOf(dkim.map((one) => one.result))]);
      metrics.add('postern_authentication_total', ['dmarc', dmarc.result]);
      metrics.add('postern_authentication_total', ['arc', arc.result]);
      metrics.add('postern_dispositions_total', [disposition]);
    },
  };
}

export type Usage = { note(credential: string): void; /** Tells what has not been told yet. */ close(): void };

/** Collects the credentials in use and tells them in batches, at most `everyMs` late: it is written to disk for people to read. */
export function openUsage(clock: Clock, options: { readonly everyMs: number; readonly tell: (names: readonly string[]) => void }): Usage {
  const names = new Set<string>();
  let cancel: Cancel | null = null;
  const tell = (): void => {
    cancel?.();
    cancel = null;
    if (names.size > 0) options.tell([...names]);
    names.clear();
  };
  return {
    note(credential) {
      names.add(credential);
      cancel ??= clock.after(options.everyMs, tell);
    },
    close: tell,
  };
}

/** One word for all signatures of a message: that one passes is what counts. */
function bestOf(results: readonly string[]): string {
  return ['pass', 'temperror', 'fail', 'policy', 'permerror', 'neutral'].find((result) => results.includes(result)) ?? 'none';
}

/** Counts connections at their end, when their TLS is known, and failed authentications. */
export function observedPolicy<I extends Identity>(policy: Policy<I>, metrics: Metrics): Policy<I> {
  return {
    ...policy,
    authFailed(connection) {
      metrics.add('postern_auth_failures_total', [connection.profile]);
      return policy.authFailed(connection);
    },
    closed(connection) {
      metrics.add('postern_connections_total', [connection.profile, connection.tls?.protocol ?? 'none']);
      policy.closed(connection);
    },
  };
}

export function listenerObserver(metrics: Metrics): (event: 'opened' | 'closed' | 'tls' | 'tls-failed', profile: Profile) => void {
  return (event, profile) => {
    if (event === 'opened') metrics.add('postern_connections_open', [profile]);
    else if (event === 'closed') metrics.add('postern_connections_open', [profile], -1);
    else if (event === 'tls-failed') metrics.add('postern_tls_failures_total', [profile]);
  };
}

/** Counts outcomes where they become final: at `settle`. */
export function observedQueue<Q extends Queue>(queue: Q, metrics: Metrics): Queue {
  return {
    write: (id, n, chunk) => queue.write(id, n, chunk),
    abandon: (id) => queue.abandon(id),
    accept: (message, options) => queue.accept(message, options),
    lease: (request) => queue.lease(request),
    leaseOverdue: (request) => queue.leaseOverdue(request),
    body: (lease) => queue.body(lease),
    note: (id, events) => queue.note(id, events),
    giveBack: (leases, options) => queue.giveBack(leases, options),
    backOff: (lane, untilMs, cause) => queue.backOff(lane, untilMs, cause),
    isHeld: (of) => queue.isHeld(of),
    isRecalled: (lease) => queue.isRecalled(lease),
    onHeld: (listener) => queue.onHeld(listener),
    onReady: (listener) => queue.onReady(listener),
    settle(settled) {
      countOutcomes(settled, metrics);
      return queue.settle(settled);
    },
  };
}

/** Counts outbound sessions by policy and result, as TLS reports do. */
export function sessionObserver(metrics: Metrics): (report: SessionReport) => void {
  return ({ policy, failure }) => metrics.add('postern_tls_sessions_total', [policy.type, failure?.type ?? 'success']);
}

function countOutcomes({ lease, settlements }: Settled, metrics: Metrics): void {
  for (const { outcome } of settlements) {
    const tls = outcome.tls === null || outcome.tls.startsWith('none') ? 'no' : 'yes';
    metrics.add('postern_outcomes_total', [outcome.route, outcome.verdict, tls]);
    if (outcome.security !== undefined) metrics.add('postern_attempts_secured_total', [outcome.security.policy, outcome.security.certificate, outcome.verdict]);
    if (outcome.remoteHost !== null) metrics.observe('postern_attempt_seconds', outcome.durationMs);
    if (outcome.verdict === 'delivered') metrics.observe('postern_delivery_seconds', outcome.startedAtMs + outcome.durationMs - lease.envelope.acceptedAtMs);
  }
}

/** Notes this thread's event loop delay since the last look. */
export function openLoopWatch(metrics: Metrics, thread: string): { look(): void; close(): void } {
  const histogram = monitorEventLoopDelay({ resolution: 20 });
  histogram.enable();
  return {
    look() {
      // An untouched histogram tells NaN.
      const p99 = histogram.count === 0 ? 0 : histogram.percentile(99) / 1e9;
      metrics.set('postern_event_loop_delay_seconds', [thread], p99);
      histogram.reset();
    },
    close: () => histogram.disable(),
  };
}
