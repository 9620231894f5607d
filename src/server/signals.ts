// What the outside world tells the process: end, end now, reload; and what breaks inside. Owns the process's handlers while a server runs.

import type { Clock } from '#base/clock.ts';
import { PosternError, errorText } from '#base/failure.ts';
import type { Log } from '#base/log.ts';

export type EndWatch = {
  /** Resolves with the signal that asks for the end; rejects when the server broke. */
  readonly reached: Promise<string>;
  /** Reports that the server cannot go on. */
  broken(error: PosternError): void;
  /** What SIGHUP does. */
  onReload(reload: () => Promise<unknown>): void;
  close(): void;
};

const SIGNAL_NUMBERS: Readonly<Record<string, number>> = { SIGINT: 2, SIGTERM: 15 };

/**
 * One request to end may come as two signals: a supervisor signals the whole group (systemd, `timeout`, a shell), and bin/postern, which is
 * in it, passes on its own. Whoever means it twice takes longer than this.
 */
const SAME_REQUEST_MS = 1000;

/** Installs the handlers. The first SIGTERM or SIGINT asks for the end; a second request ends the process at once. */
export function awaitEnd(log: Log, clock: Clock): EndWatch {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  // Nobody may be waiting yet when something breaks during the start.
  promise.catch(() => {});
  let askedAtMs: number | null = null;
  let reload: (() => Promise<unknown>) | null = null;
  const end = (signal: NodeJS.Signals): void => {
    const nowMs = clock.nowMs();
    if (askedAtMs !== null) {
      if (nowMs - askedAtMs < SAME_REQUEST_MS) return;
      log.warn('server.ended-at-once', { signal });
      process.exit(128 + (SIGNAL_NUMBERS[signal] ?? 0));
    }
    askedAtMs = nowMs;
    resolve(signal);
  };
  const hangUp = (): void => {
    // The reloader logs what became of it.
    reload?.().catch(() => {});
  };
  const uncaught = (error: unknown): void => {
    log.error('server.broken', { cause: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    reject(
      new PosternError(
        { code: 'server-broken', cause: `An unexpected error: ${errorText(error)}.`, fix: 'Nothing accepted is lost. Report it with the log (event server.broken); start again.' },
        { cause: error },
      ),
    );
  };
  process.on('SIGTERM', end);
  process.on('SIGINT', end);
  process.on('SIGHUP', hangUp);
  process.on('uncaughtException', uncaught);
  return {
    reached: promise,
    broken: reject,
    onReload: (given) => (reload = given),
    close() {
      process.off('SIGTERM', end);
      process.off('SIGINT', end);
      process.off('SIGHUP', hangUp);
      process.off('uncaughtException', uncaught);
    },
  };
}
