// Answers DNS-01 challenges by a program of the operator: HOOK present|cleanup RECORD VALUE, started without a shell, bounded in time and
// output. RFC 8555 8.4.

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { sleep } from '#base/clock.ts';
import type { Clock } from '#base/clock.ts';
import { PosternError, errorText } from '#base/failure.ts';
import type { Log } from '#base/log.ts';
import type { ChallengeAnswer, Responder } from './responder.ts';

export type DnsHookOptions = {
  /** Program and first arguments. */
  readonly hook: readonly string[];
  readonly timeoutMs: number;
  /** How long to wait at most, until all name servers have the records. */
  readonly waitMs: number;
  /** The name servers that do not serve all of these yet; null when none could be asked. */
  readonly lacking: (records: readonly TxtRecord[]) => Promise<readonly string[] | null>;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
};

export type TxtRecord = { readonly record: string; readonly value: string };

const OUTPUT_BYTES = 16 * 1024;
const SAID_CHARACTERS = 300;
/** After SIGTERM, before SIGKILL. */
const GRACE_MS = 2_000;
const LOOK_MS = 3_000;

/** The TXT record that answers. */
function txtRecord({ name, keyAuthorization }: ChallengeAnswer): TxtRecord {
  return { record: `_acme-challenge.${name}.`, value: createHash('sha256').update(keyAuthorization).digest('base64url') };
}

export function openDnsResponder(options: DnsHookOptions): Responder {
  const records = new Map<string, TxtRecord>();
  return {
    type: 'dns-01',
    async present(answer) {
      const record = txtRecord(answer);
      await runHook(options, 'present', record);
      records.set(record.value, record);
    },
    ready: () => waitUntilServed(options, [...records.values()]),
    remove(answer) {
      const record = txtRecord(answer);
      records.delete(record.value);
      return removeRecord(options, record);
    },
  };
}

/** The authority asks the name servers of the zone, any of them: it may come when all have the records. After the time it comes anyway. */
async function waitUntilServed({ lacking, waitMs, clock, log, signal }: DnsHookOptions, records: readonly TxtRecord[]): Promise<void> {
  const endMs = clock.nowMs() + waitMs;
  for (;;) {
    const servers = await lacking(records).catch(() => null);
    if (servers?.length === 0 || signal.aborted) return;
    const leftMs = endMs - clock.nowMs();
    if (leftMs <= 0) {
      log.info('acme.record-not-everywhere', { records: records.map(({ record }) => record), servers: servers ?? 'none could be asked' });
      return;
    }
    await sleep(clock, Math.min(LOOK_MS, leftMs), signal);
  }
}

async function removeRecord(options: DnsHookOptions, record: TxtRecord): Promise<void> {
  await runHook(options, 'cleanup', record).catch((error: unknown) => {
    options.log.warn('acme.cleanup-failed', {
      record: record.record,
      failure: {
        code: 'acme-cleanup-failed',
        cause: `The TXT record was not taken away: ${errorText(error)}`,
        fix: `Remove it by hand: ${record.record} TXT "${record.value}". It does no harm.`,
      },
    });
  });
}

/** Rejects with PosternError when the program cannot be started, fails, or takes too long. */
async function runHook(options: DnsHookOptions, verb: 'present' | 'cleanup', { record, value }: TxtRecord): Promise<void> {
  const [program = '', ...first] = options.hook;
  const shown = `${options.hook.join(' ')} ${verb} ${record} ${value}`;
  const result = await run(program, [...first, verb, record, value], options);
  options.log.debug('acme.hook', { command: shown, result: result.what });
  if (result.what === 'done' && result.status === 0) return;
  const told = result.output.trim() === '' ? '' : ` It said: ${lastPart(result.output)}`;
  const failures = {
    'not-started': {
      cause: `The hook "${program}" could not be started (${result.output}).`,
      fix: 'Name an executable file in tls.acme.hook, its arguments as further list elements; no shell is used.',
    },
    late: { cause: `The hook did not end within ${Math.round(options.timeoutMs / 1000)} seconds: ${shown}.${told}`, fix: 'Mend the hook, or raise tls.acme.hook_timeout.' },
    done: { cause: `The hook failed with status ${result.status}: ${shown}.${told}`, fix: 'Run the command by hand and mend what it complains about.' },
  };
  throw new PosternError({ code: 'acme-hook-failed', ...failures[result.what] }, { exitCode: 1 });
}

type Result = { readonly what: 'done' | 'late' | 'not-started'; readonly status: number | string; readonly output: string };

function run(program: string, args: readonly string[], { timeoutMs, clock, signal }: DnsHookOptions): Promise<Result> {
  return new Promise((resolve) => {
    // Its own process group, so that what it started ends with it. The password of a command is none of its business.
    const { POSTERN_PASSWORD: _, ...env } = process.env;
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, env });
    let output = '';
    let late = false;
    const take = (chunk: Buffer): void => {
      if (output.length < OUTPUT_BYTES) output += chunk.toString('utf8');
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    const end = (): void => {
      late = true;
      endGroup(child, clock);
    };
    const cancel = clock.after(timeoutMs, end);
    signal.addEventListener('abort', end, { once: true });
    const finish = (result: Result): void => {
      cancel();
      signal.removeEventListener('abort', end);
      resolve(result);
    };
    child.on('error', (error) => finish({ what: 'not-started', status: '', output: errorText(error) }));
    child.on('close', (code, killed) => finish({ what: late ? 'late' : 'done', status: code ?? killed ?? '', output }));
    // What it left running may hold its pipes open.
    child.on('exit', () =>
      clock.after(GRACE_MS, () => {
        child.stdout.destroy();
        child.stderr.destroy();
      }),
    );
    if (signal.aborted) end();
  });
}

function endGroup(child: ChildProcess, clock: Clock): void {
  const kill = (signal: NodeJS.Signals): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, signal);
    } catch {
      // Gone already.
    }
  };
  kill('SIGTERM');
  clock.after(GRACE_MS, () => {
    if (child.exitCode === null && child.signalCode === null) kill('SIGKILL');
  });
}

function lastPart(output: string): string {
  const text = output.replace(/[\x00-\x1f\x7f-\x9f]+/g, ' ').trim();
  return text.length <= SAID_CHARACTERS ? text : `…${text.slice(-SAID_CHARACTERS)}`;
}
