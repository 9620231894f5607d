// What main and a worker thread say to each other. Plain data only.

import type { MessagePort } from 'node:worker_threads';
import type { Config, ListenerConfig } from '#config/config.ts';
import type { MetricsSnapshot } from '#events/metrics.ts';
import type { Submission, Submitted } from '#intake/submission.ts';
import type { ChallengeCertificate } from '#tls/acme/tls-alpn-01.ts';

/** What a worker is started with. Everything that is shared is shared memory. */
export type WorkerStart = {
  /** From 1: its number for the store and its column in the counters. */
  readonly number: number;
  readonly config: Config;
  readonly dataDir: string;
  readonly store: MessagePort;
  readonly counters: SharedArrayBuffer;
  /** One Int32: the generation of the directory. */
  readonly generation: SharedArrayBuffer;
  /** What is surely no suppressed address. */
  readonly sieve: SharedArrayBuffer;
  readonly decoySecret: Uint8Array;
  /** The key of the installation, that opens the sealed secrets of the directory. */
  readonly secretKey: Uint8Array;
  /** TLS tickets of one worker resume sessions at the others. */
  readonly ticketKeys: Uint8Array;
};

/** Requests, each with its answer. */
export type Asks = {
  listen: { readonly ask: { readonly listener: ListenerConfig; readonly reusePort: boolean }; readonly answer: { readonly address: string; readonly port: number } };
  reload: { readonly ask: { readonly config: Config }; readonly answer: null };
  /** Read the certificates again. */
  certificates: { readonly ask: null; readonly answer: null };
  /** The challenges of TLS-ALPN-01 that wait for the authority now; none: []. */
  challenges: { readonly ask: { readonly certificates: readonly ChallengeCertificate[] }; readonly answer: null };
  /** Messages that were handed over by HTTP or `sendmail`; their content by transfer. The answers are in the same order. */
  submit: { readonly ask: { readonly submissions: readonly Submission[] }; readonly answer: readonly SubmitAnswer[] };
  metrics: { readonly ask: null; readonly answer: MetricsSnapshot };
  /** Stop accepting; let transactions and deliveries that run come to their end, at most so long. */
  drain: { readonly ask: { readonly withinMs: number }; readonly answer: null };
};

/** `failed`: a fault of the worker. */
export type SubmitAnswer = Submitted | { readonly failed: string };

export type Verb = keyof Asks;

export type ToWorker = { [V in Verb]: { readonly q: number; readonly verb: V; readonly ask: Asks[V]['ask'] } }[Verb];

export type FromWorker =
  | { readonly opened: true }
  /** Names of credentials that were used since the last time. */
  | { readonly used: readonly string[] }
  | { readonly q: number; readonly value: Asks[Verb]['answer'] }
  | { readonly q: number; readonly error: { readonly code: string; readonly text: string } };
