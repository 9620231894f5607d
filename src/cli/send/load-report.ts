// What a load showed: live on the way, and at its end the rate, how long answers took, and every kind of answer with its number.

import { sizeText } from '#cli/format.ts';
import type { Cli } from '#cli/main.ts';
import type { Dialling, Reached } from './ladder.ts';
import type { Measured } from './load.ts';

const LIVE_MS = 500;
const LINE_MS = 5000;

/** A line that is written over on a terminal; elsewhere one every five seconds. On standard error. */
export function openProgress(measured: Measured, quiet: boolean): { end(): void } {
  if (quiet) return { end() {} };
  const terminal = process.stderr.isTTY;
  const startMs = performance.now();
  let last = { sent: 0, atMs: startMs };
  const tell = (): void => {
    const nowMs = performance.now();
    const { sent, asked, refused, failed } = measured;
    const rate = ((sent - last.sent) * 1000) / (nowMs - last.atMs);
    last = { sent, atMs: nowMs };
    const text = `${sent} of ${asked}, ${rate.toFixed(0)}/s, ${refused} refused, ${failed} failed, ${((nowMs - startMs) / 1000).toFixed(0)} s`;
    process.stderr.write(terminal ? `\r\x1b[2K${text}` : `${text}\n`);
  };
  const timer = setInterval(tell, terminal ? LIVE_MS : LINE_MS);
  return {
    end() {
      clearInterval(timer);
      if (terminal) process.stderr.write('\r\x1b[2K');
    },
  };
}

type Spread = { readonly min: number; readonly mean: number; readonly p50: number; readonly p90: number; readonly p95: number; readonly p99: number; readonly max: number };

/** null: nothing was measured. */
export function spreadOf(values: ArrayLike<number>): Spread | null {
  if (values.length === 0) return null;
  const sorted = Float64Array.from(values).sort();
  const at = (share: number): number => tenth(sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? 0);
  return {
    min: tenth(sorted[0] ?? 0),
    mean: tenth(sorted.reduce((sum, value) => sum + value, 0) / sorted.length),
    p50: at(0.5),
    p90: at(0.9),
    p95: at(0.95),
    p99: at(0.99),
    max: at(1),
  };
}

function tenth(ms: number): number {
  return Math.round(ms * 10) / 10;
}

export function report(cli: Cli, of: { measured: Measured; seconds: number; dialling: Dialling; reached: Reached }): void {
  const { measured, seconds, dialling, reached } = of;
  const { asked, sent, accepted, refused, failed, bytes, stopped } = measured;
  const ok = accepted === asked;
  if (!ok) process.exitCode = 1;
  const latency = spreadOf(measured.latencies.subarray(0, sent));
  const connect = spreadOf(measured.connects);
  const perSecond = tenth(accepted / seconds);
  const replies = [...measured.replies].map(([reply, { count, example }]) => ({ reply, count, example })).toSorted((a, b) => b.count - a.count);
  const failures = [...measured.failures].map(([what, { count, cause, fix }]) => ({ what, count, cause, fix })).toSorted((a, b) => b.count - a.count);
  if (cli.json) {
    const { tls } = reached.client;
    return cli.out.json({
      ok,
      host: dialling.target.host,
      port: dialling.target.socket === null ? reached.rung.port : null,
      tls: tls === null ? null : `${tls.protocol} ${tls.cipher}, ${tls.problem ?? 'certificate verified'}`,
      load: {
        asked,
        sent,
        accepted,
        refused,
        failed,
        connections: { asked: dialling.options.connections, opened: measured.connects.length },
        seconds,
        perSecond,
        bytesPerSecond: Math.round(bytes / seconds),
        stopped,
      },
      latencyMs: latency,
      connectMs: connect,
      replies,
      failures,
    });
  }
  cli.out.text(
    `${sent} of ${asked} messages in ${seconds.toFixed(2)} s: ${perSecond} accepted a second, ${sizeText(bytes / seconds)}/s, ${measured.connects.length} connections opened`,
  );
  if (stopped !== null) cli.out.text(`stopped   ${stopped === 'signal' ? 'by a signal' : 'as no connection could be opened any more'}`);
  cli.out.text(`accepted  ${accepted}\nrefused   ${refused}\nfailed    ${failed}`);
  if (latency !== null) cli.out.text(`message   ${spreadText(latency)}`);
  if (connect !== null) cli.out.text(`connect   ${spreadText(connect)}`);
  for (const { reply, count, example } of replies) cli.out.text(`reply     ${count} x ${reply} ${example}`);
  for (const { what, count, cause, fix } of failures) cli.out.text(`failure   ${count} x ${what}\n          ${cause} ${fix}`);
}

function spreadText({ p50, p90, p95, p99, max }: Spread): string {
  return `p50 ${p50} ms, p90 ${p90} ms, p95 ${p95} ms, p99 ${p99} ms, max ${max} ms`;
}
