// One address of a mail host, dialled under what the policy requires of it: without TLS never where it is required, with the certificate
// judged as the policy says. Where nothing is required, TLS is tried first and done without when it is broken. RFC 3207, 7435, 7672, 8461.

import { X509Certificate, createHash } from 'node:crypto';
import { sleep } from '#base/clock.ts';
import type { Recorder } from '#smtp/transcript.ts';
import type { CertificateProblem, ClientFailure, Presented } from '#smtp/client.ts';
import { describeCertificate } from '#tls/chain.ts';
import type { Decision, Required } from '#tls/policy.ts';
import { formatTlsa, matchTlsa } from '#tls/tlsa.ts';
import { dial, recorderFor, securityOf } from './connector.ts';
import type { Connected, DialParts, DialTarget, Dialled, Judged, Tried } from './connector.ts';
import { explainSecurity } from './security-text.ts';
import type { SessionFacts } from './session-report.ts';

export type SecureParts = DialParts & {
  /** Hosts whose TLS is broken, how, and until when it is not tried there. */
  readonly broken: Map<string, { readonly untilMs: number; readonly failure: ClientFailure }>;
};

export type MxTarget = { readonly host: string; readonly address: string; readonly port: number };

/** A decision that lets the host be used. */
export type Allowed = Extract<Decision, { required: Required }>;

/** `facts` are for reports; null where TLS was not wanted. */
export type Secured = { readonly result: Connected | Tried; readonly facts: SessionFacts | null };

const BROKEN_MS = 10 * 60_000;
const MAX_BROKEN = 10_000;

/** Dials. The result says what was required and what there is. */
export async function dialUnder(parts: SecureParts, decision: Allowed, to: MxTarget, signal: AbortSignal): Promise<Secured> {
  const { required } = decision;
  if (required.level === 'off') return { ...(await plainly(parts, { decision, to, why: 'as configured', broken: null, recorder: recorderFor(parts) }, signal)), facts: null };
  if (required.level === 'opportunistic') return opportunistically(parts, decision, to, signal);
  const dialled = await dial(parts, targetOf(parts, required, to), signal);
  return { result: resultOf(dialled, decision, to), facts: factsOf(dialled, to, null) };
}

/** STARTTLS when it is offered; a handshake that fails is followed by a connection without, and that is said. */
async function opportunistically(parts: SecureParts, decision: Allowed, to: MxTarget, signal: AbortSignal): Promise<Secured> {
  const key = `${to.host} ${to.address}`;
  const nowMs = parts.clock.nowMs();
  const lately = parts.broken.get(key);
  if (lately !== undefined && lately.untilMs > nowMs)
    return plainly(parts, { decision, to, why: 'STARTTLS failed a short while ago', broken: lately.failure, recorder: recorderFor(parts) }, signal);
  const recorder = recorderFor(parts);
  const dialled = await dial(parts, targetOf(parts, decision.required, to), signal, recorder);
  if (!('failure' in dialled) || !handshakeFailed(dialled.failure)) return { result: resultOf(dialled, decision, to), facts: factsOf(dialled, to, null) };
  const { failure } = dialled;
  if (parts.broken.size > MAX_BROKEN) parts.broken.clear();
  parts.broken.set(key, { untilMs: nowMs + BROKEN_MS, failure });
  parts.log.warn('delivery.tls-fallback', {
    host: to.host,
    address: to.address,
    cause: failure.text,
    fix: 'The receiver should mend its TLS; mail to it goes unencrypted for ten minutes, then STARTTLS is tried again.',
  });
  await sleep(parts.clock, 0);
  return plainly(parts, { decision, to, why: `STARTTLS failed: ${failure.text}`, broken: failure, recorder }, signal);
}

type Plainly = { readonly decision: Allowed; readonly to: MxTarget; readonly why: string; readonly broken: ClientFailure | null; readonly recorder: Recorder | null };

async function plainly(parts: SecureParts, { decision, to, why, broken, recorder }: Plainly, signal: AbortSignal): Promise<Secured> {
  const dialled = await dial(parts, { protocol: 'smtp', host: to.host, target: to, wanted: 'none', verify: false }, signal, recorder);
  const result = resultOf(dialled, decision, to);
  return { result: 'client' in result ? { ...result, tls: `none (${why})` } : result, facts: factsOf(dialled, to, broken) };
}

function factsOf(dialled: Dialled, { address }: MxTarget, broken: ClientFailure | null): SessionFacts {
  const client = 'client' in dialled ? dialled.client : null;
  return { address, seen: dialled.seen, secured: client !== null && client.tls !== null, failure: 'failure' in dialled ? dialled.failure : null, broken };
}

function resultOf(dialled: Dialled, decision: Allowed, to: MxTarget): Connected | Tried {
  const { policy, why, required } = decision;
  const place = { host: to.host, address: to.address, port: to.port };
  const asked = { policy, why, required: required.level };
  const { judged } = dialled.seen;
  if ('client' in dialled) return { ...place, client: dialled.client, tls: dialled.tls, security: securityOf(asked, dialled.client, judged) };
  const explained = explainSecurity(decision, { host: to.host, port: to.port, failure: dialled.failure, judged });
  return { ...place, failure: dialled.failure, said: dialled.said, security: securityOf(asked, null, judged), ...(explained === null ? {} : { explained }) };
}

function targetOf({ clock }: SecureParts, required: Required, to: MxTarget): DialTarget {
  const base = { protocol: 'smtp', host: to.host, target: { address: to.address, port: to.port } } as const;
  switch (required.level) {
    case 'off':
    case 'opportunistic':
      return { ...base, wanted: 'starttls-opportunistic', verify: false, judge: usualJudge };
    case 'encrypted':
      return { ...base, wanted: 'starttls-required', verify: false, judge: usualJudge };
    case 'verified':
      return { ...base, wanted: 'starttls-required', verify: true, judge: (presented) => judgeNames(presented, required.names), terms: `verified ${required.names.join(' ')}` };
    case 'dane': {
      const records = required.set.usable.map(formatTlsa).toSorted();
      const terms = `dane ${createHash('sha256')
        .update([...required.names, ...records].join('\n'))
        .digest('base64')}`;
      return { ...base, serverName: required.base, wanted: 'starttls-required', verify: true, judge: (presented) => judgeDane(presented, required, clock.nowMs()), terms };
    }
  }
}

/** Recorded only: nobody is refused, so nobody needs to be described. */
function usualJudge({ problem }: Presented): Judged {
  return { usual: problem, presented: '', problem, certificate: problem === null ? 'verified' : 'unverified', verdict: problem?.text ?? 'chain and name verify' };
}

/** A chain to a trusted authority, and one of the names among the alternative names: a common name does not count (RFC 8461 4.1). */
function judgeNames(presented: Presented, names: readonly string[]): Judged {
  const usual = presented.problem;
  const { leaf } = presented.chain();
  if (usual !== null && usual.code !== NAME_MISMATCH) return refused(usual, usual, leaf);
  const certificate = new X509Certificate(leaf);
  const name = names.find((one) => certificate.checkHost(one, { subject: 'never', partialWildcards: false }) !== undefined);
  if (name !== undefined) return { usual, presented: '', problem: null, certificate: 'verified', verdict: `chain verifies, for ${name}` };
  return refused({ code: NAME_MISMATCH, text: `the certificate is not for ${names.join(' or ')}` }, usual, leaf);
}

function judgeDane(presented: Presented, required: Extract<Required, { level: 'dane' }>, nowMs: number): Judged {
  const chain = presented.chain();
  const match = matchTlsa(required.set.usable, chain, { names: required.names, nowMs });
  if ('record' in match) return { usual: presented.problem, presented: '', problem: null, certificate: 'matched', verdict: `TLSA record ${shortTlsa(formatTlsa(match.record))}` };
  const { kind, text } = match.problem;
  return refused({ code: DANE_CODES[kind], text }, presented.problem, chain.leaf);
}

function refused(problem: CertificateProblem, usual: CertificateProblem | null, leaf: Buffer): Judged {
  return { usual, presented: describeCertificate(leaf), problem, certificate: 'unverified', verdict: problem.text };
}

const NAME_MISMATCH = 'ERR_TLS_CERT_ALTNAME_INVALID';
const DANE_CODES = { mismatch: 'ERR_DANE_MISMATCH', name: NAME_MISMATCH, expired: 'CERT_HAS_EXPIRED', 'not-yet-valid': 'CERT_NOT_YET_VALID', chain: 'ERR_DANE_CHAIN' } as const;

/** Whole values are long. */
function shortTlsa(text: string): string {
  return text.length <= 140 ? text : `${text.slice(0, 137)}...`;
}

function handshakeFailed({ kind, phase, code }: Tried['failure']): boolean {
  if (kind === 'aborted') return false;
  // Bytes injected in the clear are an attack, not a broken handshake: nothing is sent to that host.
  if (code === 'ERR_INJECTION') return false;
  return kind === 'tls' || phase === 'tls' || phase === 'starttls';
}
