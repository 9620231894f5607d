// What lies beneath the server: how V8 is set for it, and what the system lacks for what the configuration asks of it, told at the start,
// while somebody looks.

import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import type { Log } from '#base/log.ts';
import type { Config } from '#config/config.ts';

/** Databases, sockets and pipes of the server itself. */
const OWN_FILES = 200;

/** Settings of the V8 of exactly this Node: others may not know them. */
const TUNED_NODE = 26;
/** What is called often is compiled after a few hundred messages, not after many thousands (decision 0023). */
const TUNING = ['--invocation-count-for-maglev=50', '--invocation-count-for-turbofan=200'];

/** For this process and all threads it will start. */
export function tuneRuntime(): void {
  if (Number(process.versions.node.split('.')[0]) === TUNED_NODE) for (const flag of TUNING) setFlagsFromString(flag);
}

export function warnOfRuntime(config: Config, log: Log): void {
  warnOfOldRuntime(log);
  const allowed = openFilesAllowed();
  const wanted = filesWanted(config);
  if (allowed === null || allowed >= wanted) return;
  log.warn('runtime.few-files', {
    allowed,
    wanted,
    failure: {
      code: 'runtime-few-files',
      cause: `The system allows this process ${allowed} open files; the connections that are configured may take ${wanted}. Past the limit clients are cut off without a reply.`,
      fix: 'Raise it (LimitNOFILE in the systemd unit, ulimit -n in a shell), or lower limits.connections and delivery.connections.',
    },
  });
}

function filesWanted({ limits, delivery, workers }: Config): number {
  return limits.connections + delivery.concurrency * workers.count + OWN_FILES;
}

/** The soft limit, which Node raises to the hard one when it starts; null where the system does not tell. */
function openFilesAllowed(): number | null {
  try {
    const found = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'));
    return found === null ? null : Number(found[1]);
  } catch {
    return null;
  }
}

/** Security fixes of October 2026 are in 26.12.1. */
function warnOfOldRuntime(log: Log): void {
  const [major = 0, minor = 0, patch = 0] = process.versions.node.split('.').map(Number);
  if (major > 26 || (major === 26 && (minor > 12 || (minor === 12 && patch >= 1)))) return;
  log.warn('runtime.outdated', {
    node: process.versions.node,
    failure: {
      code: 'runtime-outdated',
      cause: `Node ${process.versions.node} lacks the security fixes of 26.12.1.`,
      fix: 'For production install Node 26.13 or newer; bin/postern then uses it.',
    },
  });
}
