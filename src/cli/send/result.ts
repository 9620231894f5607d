// What became of it, for people and as the JSON document of `postern send`: answers with cause and fix, TLS with its certificates, the time of
// each step.

import type { Cli } from '#cli/main.ts';
import type { CertificateFacts } from '#doctor/probes/certificates.ts';
import { explainFailure, explainReply } from '#knowledge/explain.ts';
import type { Explanation } from '#knowledge/explain.ts';
import type { ClientFailure, RecipientReply, SmtpClient } from '#smtp/client.ts';
import type { StepTime } from '#smtp/transcript.ts';
import { byHand, stepsOf } from './ladder.ts';
import type { Attempt, Reached } from './ladder.ts';
import type { Target } from './plan.ts';
import type { Request } from './request.ts';
import type { Said } from './transaction.ts';

type Replied = { readonly to: string; readonly accepted: boolean; readonly code: number; readonly enhanced: string; readonly text: string; readonly failure: Explanation | null };

/** A connection came about. `said` null: nothing was to be said on it. */
export function finish(cli: Cli, of: { target: Target; reached: Reached; attempts: readonly Attempt[]; said: Said | null; request: Request }): void {
  const { target, reached, attempts, said, request } = of;
  const { client, rung } = reached;
  const place = { host: target.host, port: target.socket === null ? rung.port : null };
  const failure = said !== null && 'kind' in said ? { ...byHand(explainFailure(said, place)), text: said.text, possibleDuplicate: said.possibleDuplicate } : null;
  const replied: Replied[] =
    said === null || 'kind' in said
      ? []
      : said.map((one, i) => ({ to: request.recipients[i]?.address.text ?? '', ...('kind' in one ? unasked(one, byHand(explainFailure(one, place))) : told(one, target.host)) }));
  const ok = failure === null && replied.every((one) => one.accepted);
  if (!ok) process.exitCode = 1;
  const steps = stepsOf(target, reached.recorder);
  const chain = attempts.at(-1)?.chain ?? [];
  if (cli.json)
    return cli.out.json({
      ok,
      ...place,
      ...tlsOf(client, chain),
      ...messageOf(request),
      capabilities: capabilitiesOf(client),
      replies: replied,
      failure,
      steps,
      ...recordOf(attempts),
    });
  for (const one of replied) {
    cli.out.text(`${one.accepted ? 'accepted' : 'refused '}  ${one.to}  ${[one.code, one.enhanced, one.text].filter((part) => part !== '' && part !== 0).join(' ')}`);
    if (one.failure !== null) cli.out.text(`cause     ${one.failure.cause}\nfix       ${one.failure.fix}`);
  }
  if (said === null) cli.out.text(`reached   ${target.host}${place.port === null ? '' : ` port ${place.port}`}: ${capabilitiesOf(client).join(', ') || 'no extensions'}`);
  if (failure !== null) cli.out.text(`failed    ${failure.text}\ncause     ${failure.cause}\nfix       ${failure.fix}`);
  if (failure?.possibleDuplicate === true)
    cli.out.text('perhaps   the whole message was sent and no answer came: it may have been taken all the same, and would be there twice if sent again');
  showTls(cli, client, chain);
  showTimes(cli, steps);
}

function told({ accepted, reply }: RecipientReply, host: string): Omit<Replied, 'to'> {
  return { accepted, code: reply.code, enhanced: reply.enhanced, text: reply.lines.join(' '), failure: accepted ? null : byHand(explainReply(reply, host)) };
}

/** A recipient this server cannot have. */
function unasked({ text }: ClientFailure, failure: Explanation): Omit<Replied, 'to'> {
  return { accepted: false, code: 0, enhanced: '', text, failure };
}

/** No rung worked. */
export function failedAll(cli: Cli, { target, attempts, request }: { target: Target; attempts: readonly Attempt[]; request: Request }): void {
  const refused = attempts.some((attempt) => attempt.failure !== null && attempt.transcript.some((entry) => entry.direction === '<'));
  process.exitCode = refused ? 1 : 3;
  const failure = attempts.at(-1)?.failure ?? null;
  if (cli.json)
    return cli.out.json({
      ok: false,
      host: target.host,
      port: null,
      tls: null,
      tlsDetails: null,
      ...messageOf(request),
      capabilities: [],
      replies: [],
      failure,
      steps: [],
      ...recordOf(attempts),
    });
  cli.out.text('not sent');
  for (const { address, port, failure: why, chain } of attempts) {
    if (why === null) continue;
    cli.out.text(`  [${address}]${port === null ? '' : ` port ${port}`}: ${why.text}\n    cause  ${why.cause}\n    fix    ${why.fix}`);
    showChain(cli, chain, '    ');
  }
}

function messageOf(request: Request): Record<string, unknown> {
  const { from, recipients, content, subject, messageId } = request;
  return {
    envelope: { from: from?.text ?? '', to: recipients.map(({ address }) => address.text) },
    message: { id: messageId, subject, sizeBytes: content.length },
  };
}

function recordOf(attempts: readonly Attempt[]): Record<string, unknown> {
  return { transcript: attempts.at(-1)?.transcript ?? [], attempts: attempts.map((attempt) => ({ ...attempt, chain: attempt.chain.map(certificateJson) })) };
}

function tlsOf({ tls }: SmtpClient, chain: readonly CertificateFacts[]): Record<string, unknown> {
  if (tls === null) return { tls: null, tlsDetails: null };
  const { protocol, cipher, serverName, verified, problem } = tls;
  return { tls: `${protocol} ${cipher}, ${problem ?? 'certificate verified'}`, tlsDetails: { protocol, cipher, serverName, verified, problem, chain: chain.map(certificateJson) } };
}

function certificateJson({ notBeforeMs, notAfterMs, ...facts }: CertificateFacts): Record<string, unknown> {
  return { ...facts, validFrom: new Date(notBeforeMs).toISOString(), validUntil: new Date(notAfterMs).toISOString() };
}

function capabilitiesOf({ capabilities }: SmtpClient): string[] {
  return [...capabilities.keywords].map(([keyword, value]) => `${keyword} ${value}`.trim());
}

function showTls(cli: Cli, { tls }: SmtpClient, chain: readonly CertificateFacts[]): void {
  if (tls === null) return;
  cli.out.text(`tls       ${tls.protocol} ${tls.cipher}, ${tls.problem ?? 'certificate verified'}`);
  if (!tls.verified) cli.out.text('          NOT VERIFIED (--insecure): whoever sits in between can read and change all of it, the password too');
  showChain(cli, chain, '          ');
}

function showChain(cli: Cli, chain: readonly CertificateFacts[], indent: string): void {
  for (const [i, { subject, names, issuer, notAfterMs, key, selfSigned }] of chain.entries()) {
    const who = names.length === 0 ? subject : `${subject} (${names.slice(0, 5).join(', ')}${names.length > 5 ? ', ...' : ''})`;
    cli.out.text(`${indent}${i} ${who}, ${key}, until ${new Date(notAfterMs).toISOString().slice(0, 10)}, ${selfSigned ? 'signed by itself' : `by ${issuer}`}`);
  }
}

function showTimes(cli: Cli, steps: readonly StepTime[]): void {
  const total = steps.reduce((sum, { ms }) => sum + ms, 0);
  cli.out.text(`took      ${total.toFixed(1)} ms: ${steps.map(({ step, ms, waits }) => `${step} ${ms.toFixed(1)}${waits > 1 ? ` (${waits})` : ''}`).join(', ')}`);
}
