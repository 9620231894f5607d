// A load: so many messages on so many connections at once, as fast as the server takes them or at a rate, measured. Every worker waits for each
// answer before its next message; what is refused is counted, never sent again.

import { setTimeout as pause } from 'node:timers/promises';
import type { Cli } from '#cli/main.ts';
import { explainFailure } from '#knowledge/explain.ts';
import { connectClient } from '#smtp/client.ts';
import type { ClientFailure, SmtpClient } from '#smtp/client.ts';
import { clientOptions } from './ladder.ts';
import type { Dialling, Reached } from './ladder.ts';
import { openProgress, report } from './load-report.ts';
import type { Request } from './request.ts';
import { transact } from './transaction.ts';
import type { Said } from './transaction.ts';

/** What was measured so far. Times in milliseconds, one a message or connection. */
export type Measured = {
  readonly asked: number;
  readonly latencies: Float64Array;
  readonly connects: number[];
  sent: number;
  accepted: number;
  refused: number;
  failed: number;
  bytes: number;
  /** Answers at the end of a message or to what was refused before, by their codes. */
  readonly replies: Map<string, { count: number; readonly example: string }>;
  readonly failures: Map<string, { count: number; readonly cause: string; readonly fix: string }>;
  stopped: 'signal' | 'connections' | null;
};

/** So many connections in a row that could not be opened end the load. */
const DEAD_IN_A_ROW = 20;
const BACK_OFF_MS = 200;

export async function runLoad(cli: Cli, of: { dialling: Dialling; reached: Reached; request: Request }): Promise<void> {
  const { dialling, reached, request } = of;
  const { count, connections, quiet } = dialling.options;
  // The connection of the climb has shown that it works; those that are measured keep no transcript.
  await reached.client.quit();
  const measured: Measured = {
    asked: count,
    latencies: new Float64Array(count),
    connects: [],
    sent: 0,
    accepted: 0,
    refused: 0,
    failed: 0,
    bytes: 0,
    replies: new Map(),
    failures: new Map(),
    stopped: null,
  };
  const stop = (): void => void (measured.stopped ??= 'signal');
  process.once('SIGINT', stop).once('SIGTERM', stop);
  const progress = openProgress(measured, quiet === true);
  const startMs = performance.now();
  const run = new Run({ dialling, reached, request, measured, startMs });
  await Promise.all(Array.from({ length: Math.min(connections, count) }, () => run.work()));
  const seconds = (performance.now() - startMs) / 1000;
  progress.end();
  process.off('SIGINT', stop).off('SIGTERM', stop);
  report(cli, { measured, seconds, dialling, reached });
}

type Parts = { readonly dialling: Dialling; readonly reached: Reached; readonly request: Request; readonly measured: Measured; readonly startMs: number };

class Run {
  readonly #parts: Parts;
  #next = 0;
  #dead = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** One connection after the other, one message after the other. */
  async work(): Promise<void> {
    const { measured, dialling } = this.#parts;
    const { perConnection = Infinity } = dialling.options;
    let client: SmtpClient | null = null;
    while (measured.stopped === null && this.#next < measured.asked) {
      if (client === null || !client.usable || client.transactions >= perConnection) {
        await client?.quit();
        client = await this.#open();
        continue;
      }
      const number = this.#next++;
      await this.#due(number);
      if (measured.stopped !== null) break;
      await this.#send(client, number);
    }
    await client?.quit();
  }

  async #open(): Promise<SmtpClient | null> {
    const { dialling, reached, measured } = this.#parts;
    const begunMs = performance.now();
    const result = await connectClient(clientOptions(dialling, reached));
    if ('client' in result) {
      this.#dead = 0;
      measured.connects.push(performance.now() - begunMs);
      return result.client;
    }
    this.#failed(result.failure);
    if (++this.#dead >= DEAD_IN_A_ROW) measured.stopped ??= 'connections';
    await pause(BACK_OFF_MS);
    return null;
  }

  /** With --rate the n-th message has its time. */
  async #due(number: number): Promise<void> {
    const { dialling, startMs } = this.#parts;
    const { rate } = dialling.options;
    const waitMs = rate === undefined ? 0 : startMs + (number * 1000) / rate - performance.now();
    if (waitMs > 0) await pause(waitMs);
  }

  async #send(client: SmtpClient, number: number): Promise<void> {
    const { request, measured } = this.#parts;
    const content = request.copy(number);
    const begunMs = performance.now();
    const said = await transact(client, { ...request, content }, { note() {}, askOnly: false });
    measured.latencies[measured.sent++] = performance.now() - begunMs;
    measured.bytes += content.reduce((sum, chunk) => sum + chunk.length, 0);
    this.#count(said);
  }

  #count(said: Said): void {
    const { measured } = this.#parts;
    if ('kind' in said) {
      measured.failed++;
      return this.#failed(said);
    }
    let all = true;
    for (const one of said) {
      if ('kind' in one) this.#failed(one);
      else {
        const { code, enhanced, lines } = one.reply;
        const key = `${code} ${enhanced}`.trim();
        const known = measured.replies.get(key);
        if (known === undefined) measured.replies.set(key, { count: 1, example: lines.join(' ') });
        else known.count++;
      }
      if ('kind' in one || !one.accepted) all = false;
    }
    if (all) measured.accepted++;
    else measured.refused++;
  }

  #failed(failure: ClientFailure): void {
    const { measured, dialling, reached } = this.#parts;
    const explained = explainFailure(failure, { host: dialling.target.host, port: reached.rung.port });
    const key = failure.reply === null ? explained.class : `${failure.reply.code} ${failure.reply.enhanced} (${explained.class})`.replace('  ', ' ');
    const known = measured.failures.get(key);
    if (known === undefined) measured.failures.set(key, { count: 1, cause: explained.cause, fix: explained.fix });
    else known.count++;
  }
}
