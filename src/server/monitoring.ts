// What health and metrics tell: gathered from the workers, the store and the process at the moment somebody asks.

import { Metrics } from '#events/metrics.ts';
import { SELF_CHECKS } from '#doctor/self/examine.ts';
import type { Readiness } from '#http/routes/health.ts';
import type { SelfService } from '#http/routes/self.ts';
import type { StoreHost } from '#store/open.ts';
import type { Certificates } from './certificates.ts';
import type { Workers } from './workers.ts';

const STORE_MS = 2_000;

/** Ready: every worker is there, the store answers, and no drain is under way. */
export async function readiness(parts: { draining: boolean; workers: Workers; store: StoreHost; count: number }): Promise<Readiness> {
  const { draining, workers, store, count } = parts;
  const answered = await withinTime(
    store.admin.counts().then(
      () => true,
      () => false,
    ),
    false,
  );
  const checks = {
    running: { ok: !draining, detail: draining ? 'the server is draining' : 'the server runs' },
    workers: { ok: workers.alive === count, detail: `${workers.alive} of ${count} workers` },
    store: { ok: answered, detail: answered ? 'the store answers' : `the store did not answer within ${STORE_MS} ms` },
  };
  return { ready: Object.values(checks).every((check) => check.ok), checks };
}

/** The Prometheus text of the whole process. */
export async function collectMetrics(parts: {
  workers: Workers;
  store: StoreHost;
  certificates: Certificates;
  self: SelfService;
  counted: Metrics;
  /** Those that tell their own state. */
  measured: readonly { measure(metrics: Metrics): void }[];
}): Promise<string> {
  const { workers, store, certificates, self, counted } = parts;
  const metrics = new Metrics();
  metrics.merge(counted.snapshot());
  const [counts] = await Promise.all([
    withinTime(
      store.admin.counts().catch(() => null),
      null,
    ),
    workers.collect(metrics),
  ]);
  if (counts !== null) {
    for (const state of ['ready', 'leased', 'deferred', 'held', 'captured'] as const) metrics.set('postern_queue_recipients', [state], counts[state]);
    metrics.set('postern_queue_messages', [], counts.messages);
    metrics.set('postern_queue_bytes', [], counts.bodyBytes);
    metrics.set('postern_queue_oldest_seconds', [], counts.oldestAtMs === null ? 0 : Math.max(0, (Date.now() - counts.oldestAtMs) / 1000));
  }
  for (const one of parts.measured) one.measure(metrics);
  for (const certificate of certificates.certificates())
    metrics.set('postern_certificate_expiry_timestamp_seconds', [certificate.names[0] ?? certificate.subject], certificate.expiresAtMs / 1000);
  for (const { names, nextAtMs, failures } of certificates.renewals()) {
    if (nextAtMs !== null) metrics.set('postern_certificate_renewal_timestamp_seconds', [names[0] ?? ''], nextAtMs / 1000);
    metrics.set('postern_certificate_renewal_failures', [names[0] ?? ''], failures);
  }
  const { warnings, report } = self.last();
  if (report !== null) {
    for (const check of SELF_CHECKS) metrics.set('postern_self_warnings', [check], warnings.filter((warning) => warning.check === check).length);
    metrics.set('postern_self_checked_timestamp_seconds', [], Math.round(Date.parse(report.startedAt) / 1000));
  }
  metrics.set('postern_resident_memory_bytes', [], process.memoryUsage.rss());
  metrics.set('postern_start_timestamp_seconds', [], Math.round(performance.timeOrigin / 1000));
  return metrics.render();
}

function withinTime<T>(answer: Promise<T>, otherwise: T): Promise<T> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(otherwise), STORE_MS);
    void answer.then((value) => {
      clearTimeout(timer);
      resolve(value);
    });
  });
}
