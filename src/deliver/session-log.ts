// Sessions counted for TLS reports: gathered in memory, handed on every few seconds. Bounded: equal ones are one row. Knows neither where they
// are kept nor who is told.

import type { Clock } from '#base/clock.ts';
import type { SessionRow } from '#store/tls-sessions.ts';
import type { SessionReport } from './session-report.ts';

export type SessionLog = {
  note(domain: string, reports: readonly SessionReport[]): void;
  /** Hands on what is there, and stops. */
  close(): void;
};

const FLUSH_MS = 5_000;
/** A transaction of so many rows stops the thread for some milliseconds. */
const MAX_ROWS = 500;

/** `keep` must not throw. */
export function openSessionLog(parts: {
  readonly clock: Clock;
  readonly keep: (rows: readonly SessionRow[]) => void;
  /** One-way observer (metrics). */
  readonly observe: (report: SessionReport) => void;
}): SessionLog {
  const { clock } = parts;
  let rows = new Map<string, SessionRow & { sessions: number }>();
  let cancel: (() => void) | null = null;
  const flush = (): void => {
    cancel?.();
    cancel = null;
    if (rows.size === 0) return;
    const gathered = [...rows.values()];
    rows = new Map();
    parts.keep(gathered);
  };
  return {
    note(domain, reports) {
      const day = new Date(clock.nowMs()).toISOString().slice(0, 10);
      for (const report of reports) {
        parts.observe(report);
        const policy = report.policy.domain === '' ? { ...report.policy, domain } : report.policy;
        const key = JSON.stringify([day, domain, policy, report.failure]);
        const known = rows.get(key);
        if (known === undefined) rows.set(key, { day, domain, policy, failure: report.failure, sessions: 1 });
        else known.sessions++;
      }
      if (rows.size > MAX_ROWS) return flush();
      if (rows.size > 0) cancel ??= clock.after(FLUSH_MS, flush);
    },
    close: flush,
  };
}
