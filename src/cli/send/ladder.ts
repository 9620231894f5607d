// The climb of `postern send`: each rung at each address, with its transcript, times, certificates and reason, until one is ready for MAIL.

import { styleText } from 'node:util';
import { safe } from '#cli/output.ts';
import type { Cli } from '#cli/main.ts';
import { certificateFacts } from '#doctor/probes/certificates.ts';
import type { CertificateFacts } from '#doctor/probes/certificates.ts';
import { explainFailure } from '#knowledge/explain.ts';
import type { Explanation } from '#knowledge/explain.ts';
import { readCertificate } from '#tls/chain.ts';
import { connectClient } from '#smtp/client.ts';
import type { ClientOptions, Presented, SmtpClient } from '#smtp/client.ts';
import { Recorder } from '#smtp/transcript.ts';
import type { StepTime, TranscriptEntry } from '#smtp/transcript.ts';
import type { Options } from './options.ts';
import type { Rung, Target } from './plan.ts';
import { proxyHeader } from './proxy.ts';

export type Attempt = {
  readonly address: string;
  readonly port: number | null;
  readonly encryption: string;
  readonly transcript: readonly TranscriptEntry[];
  /** Where the time went until it was ready for MAIL, or was not. */
  readonly steps: readonly StepTime[];
  /** Leaf first, up to the anchor where it is known here. */
  readonly chain: readonly CertificateFacts[];
  readonly failure: (Explanation & { readonly text: string }) | null;
};

export type Login = NonNullable<ClientOptions['auth']>;

/** What connecting needs, whoever connects: the climb, and each connection of a load. */
export type Dialling = {
  readonly target: Target;
  readonly options: Options;
  readonly helo: string;
  readonly auth: Login | null;
  readonly context: ClientOptions['tls']['context'];
};

export type Reached = { readonly client: SmtpClient; readonly rung: Rung; readonly address: string; readonly recorder: Recorder };

const ENCRYPTION = { implicit: 'TLS from the first byte', 'starttls-required': 'STARTTLS required', 'starttls-opportunistic': 'STARTTLS', none: 'no TLS' } as const;

/** The first rung that works, or null; `attempts` gets what was tried. */
export async function climb(cli: Cli, dialling: Dialling, attempts: Attempt[]): Promise<Reached | null> {
  const { target } = dialling;
  for (const rung of target.rungs) {
    for (const address of target.addresses) {
      const result = await tryOne(cli, dialling, { rung, address });
      attempts.push(result.attempt);
      if ('reached' in result) return result.reached;
      // A wrong password is wrong on every rung; that there is no login today, or a password would go in the clear, is not.
      if (result.stop) return null;
    }
  }
  return null;
}

type Place = { readonly rung: Rung; readonly address: string };

async function tryOne(cli: Cli, dialling: Dialling, { rung, address }: Place): Promise<{ attempt: Attempt; reached: Reached } | { attempt: Attempt; stop: boolean }> {
  const { target, options } = dialling;
  const port = target.socket === null ? rung.port : null;
  const encryption = ENCRYPTION[rung.wanted];
  const show = options.quiet !== true;
  if (show) cli.out.note(`${target.host} [${address}]${port === null ? '' : ` port ${port}`}, ${encryption}`);
  const recorder = new Recorder(show ? printEntry : null);
  const chain: CertificateFacts[] = [];
  const result = await connectClient({ ...clientOptions(dialling, { rung, address }), recorder, ...judging(dialling, rung, chain) });
  const common = { address, port, encryption, steps: recorder.steps, chain };
  if ('client' in result) return { attempt: { ...common, transcript: recorder.entries, failure: null }, reached: { client: result.client, rung, address, recorder } };
  const { failure } = result;
  const explained = { ...byHand(explainFailure(failure, { host: target.host, port })), text: failure.text };
  if (show) cli.out.note(`  ${explained.cause}`);
  return { attempt: { ...common, transcript: recorder.entries, failure: explained }, stop: failure.phase === 'auth' && (failure.reply?.code ?? 0) >= 500 };
}

/** What a queue does by itself is done by hand here. */
export function byHand(explanation: Explanation): Explanation {
  return { ...explanation, fix: explanation.fix.replace(/^It is tried again (?:later|by itself)/, 'Send it again later') };
}

/** For connectClient; without a recorder. */
export function clientOptions({ target, options, helo, auth, context }: Dialling, { rung, address }: Place): ClientOptions {
  const timeoutMs = options.timeout * 1000;
  return {
    protocol: target.protocol,
    target: target.socket === null ? { address, port: rung.port } : { socket: target.socket },
    ...(options.localAddress === undefined ? {} : { localAddress: options.localAddress }),
    ...(options.proxySource === undefined ? {} : { preface: proxyHeader(options.proxySource, target.socket === null ? { address, port: rung.port } : null) }),
    without: options.without,
    helo,
    ...(auth === null ? {} : { auth }),
    recorder: null,
    tls: { wanted: rung.wanted, serverName: options.tlsServerName ?? target.host, verify: options.insecure !== true, context },
    timeouts: { connectMs: Math.min(timeoutMs, 10_000), greetingMs: timeoutMs, commandMs: timeoutMs, dataMs: timeoutMs * 2 },
  };
}

/** Looks at the certificates in passing: the verdict is the usual one. */
function judging({ target, options, context }: Dialling, { wanted }: Rung, chain: CertificateFacts[]): Pick<ClientOptions, 'tls'> {
  const judge = (presented: Presented): Presented['problem'] => {
    const { leaf, issuers } = presented.chain();
    for (const der of [leaf, ...issuers]) {
      const certificate = readCertificate(der);
      if (certificate !== null) chain.push(certificateFacts(certificate));
    }
    return presented.problem;
  };
  return { tls: { wanted, serverName: options.tlsServerName ?? target.host, verify: options.insecure !== true, context, judge } };
}

/** Where the time went, from the look-up of the name on. */
export function stepsOf({ dnsMs }: Target, recorder: Recorder): StepTime[] {
  return [...(dnsMs > 0 ? [{ step: 'dns', ms: Math.round(dnsMs * 10) / 10, waits: 1 }] : []), ...recorder.steps];
}

const STYLES = { '>': 'cyan', '<': 'green', '*': 'dim' } as const;

function printEntry({ direction, text }: TranscriptEntry): void {
  const line = `  ${direction} ${safe(text.trimEnd().replaceAll('\r\n', `\n  ${direction} `))}`;
  process.stderr.write(`${process.stderr.isTTY ? styleText(STYLES[direction], line) : line}\n`);
}
