// A reload: the configuration read again, what may change while running changed, what may not named; certificates read again. Nothing
// changes when the new configuration is not valid.

import { PosternError, errorText } from '#base/failure.ts';
import type { Log } from '#base/log.ts';
import type { Config } from '#config/config.ts';
import type { ReloadReport } from '#http/routes/reload.ts';
import type { ServerTls } from '#tls/context.ts';

export type ReloadParts = {
  /** The configuration the server runs with. */
  readonly current: Config;
  readonly loadConfig: () => Promise<Config>;
  /** Whether a key, as a path of property names (`limits.recipients`), may change while running. */
  readonly reloadable: (path: string) => boolean;
  readonly apply: (config: Config) => Promise<void>;
  readonly tls: Pick<ServerTls, 'reload'>;
  readonly log: Log;
};

/**
 * Makes the reload of one server. It rejects with PosternError when the configuration or a certificate is not valid; the old ones stay. One runs
 * at a time; all that are asked for meanwhile are one more after it, since what they are asked for may have come too late for the first.
 */
export function openReloader(parts: ReloadParts): () => Promise<ReloadReport> {
  const reload = openReload(parts);
  let running: Promise<ReloadReport> | null = null;
  let next: Promise<ReloadReport> | null = null;
  const start = (): Promise<ReloadReport> => {
    next = null;
    const run = reload().finally(() => {
      if (running === run) running = null;
    });
    return (running = run);
  };
  return () => {
    if (running === null) return start();
    next ??= running.then(start, start);
    return next;
  };
}

function openReload(parts: ReloadParts): () => Promise<ReloadReport> {
  let current = parts.current;
  return async () => {
    const { log } = parts;
    try {
      const next = await parts.loadConfig();
      const different = differences(current, next);
      const changed = different.filter(parts.reloadable);
      const needRestart = different.filter((path) => !changed.includes(path));
      const merged = changed.reduce((config, path) => replaced(config, next, path.split('.')) as Config, current);
      await parts.tls.reload();
      await parts.apply(merged);
      current = merged;
      log.info('server.reloaded', { changed, needRestart, ...(needRestart.length === 0 ? {} : { fix: `Restart the server for ${needRestart.join(', ')} to take effect.` }) });
      return { changed, needRestart, certificates: true };
    } catch (error) {
      const known = error instanceof PosternError;
      log.error('server.not-reloaded', { cause: errorText(error), ...(known ? { failure: error.failure } : {}) });
      if (known) throw error;
      throw new PosternError(
        { code: 'not-reloaded', cause: `The reload failed: ${errorText(error)}.`, fix: 'The server goes on with what it had. See its log.' },
        { cause: error },
      );
    }
  };
}

/** Paths whose values differ: tables are looked into, lists are compared whole. */
export function differences(a: unknown, b: unknown, path = ''): string[] {
  if (!isTable(a) || !isTable(b)) return JSON.stringify(a) === JSON.stringify(b) ? [] : [path];
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...keys].flatMap((key) => differences(a[key], b[key], path === '' ? key : `${path}.${key}`));
}

function replaced(into: unknown, from: unknown, path: readonly string[]): unknown {
  const [key, ...rest] = path;
  if (key === undefined || !isTable(into) || !isTable(from)) return from;
  return { ...into, [key]: replaced(into[key], from[key], rest) };
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
