// One connection to a mail host as TLS reporting sees it: which policies it was held against, and how it fared under each. Pure. A
// conversation that did not come as far as TLS is no session. RFC 8460 4.3.

import type { ClientFailure } from '#smtp/client.ts';
import { allowsHost } from '#tls/mta-sts-policy.ts';
import type { Decision, HostEvidence } from '#tls/policy.ts';
import { formatTlsa } from '#tls/tlsa.ts';
import type { TlsaSet } from '#tls/tlsa.ts';
import type { ReportedFailure, ReportedPolicy, ResultType } from '#tls/tlsrpt.ts';
import type { Seen } from './connector.ts';

/** `policy.domain` '' stands for the recipient's domain: the connection is one that several share. */
export type SessionReport = { readonly policy: ReportedPolicy; readonly failure: ReportedFailure | null };

/** How a connection went. `broken`: TLS was tried, failed, and was done without. */
export type SessionFacts = {
  readonly address: string;
  readonly seen: Seen;
  readonly secured: boolean;
  readonly failure: ClientFailure | null;
  readonly broken: ClientFailure | null;
};

type Problem = { readonly type: ResultType; readonly reason: string; readonly text: string };

const MAX_TEXT = 200;
const MAX_STRINGS = 50;

/** The reports for a host that was not used at all. */
export function reportsOfRefusal(evidence: HostEvidence, decision: Extract<Decision, { refused: unknown }>): SessionReport[] {
  const { host, domain, dane, sts, demand } = evidence;
  if (demand === 'tls-optional') return [];
  const report = (policy: ReportedPolicy, problem: Problem): SessionReport[] => [{ policy, failure: failureOf(problem, { host, address: '', localAddress: '', helo: '' }) }];
  switch (decision.refused) {
    case 'dane-lookup-failed':
      return report(tlsaPolicy(baseOf(evidence), null), { type: 'dnssec-invalid', reason: 'tlsa-lookup-failed', text: dane.status === 'failed' ? dane.why : '' });
    case 'dane-required':
      return report(tlsaPolicy(host, null), { type: 'dane-required', reason: '', text: '' });
    case 'mta-sts-mx-mismatch':
      return sts.status === 'policy' ? report(stsPolicy(domain, sts), mxMismatch(host)) : [];
    case 'requiretls-mx-unverified':
      return [];
  }
}

/** The reports for a host that was connected to. */
export function reportsOfSession(evidence: HostEvidence, facts: SessionFacts): SessionReport[] {
  const { host, domain, dane, sts, demand } = evidence;
  if (demand === 'tls-optional' || !reachedTls(facts)) return [];
  const { seen, address } = facts;
  const report = (policy: ReportedPolicy, problem: Problem | null): SessionReport => ({
    policy,
    failure: problem === null ? null : failureOf(problem, { host, address, localAddress: seen.localAddress, helo: seen.helo }),
  });
  const reports: SessionReport[] = [];
  if (dane.status === 'usable') reports.push(report(tlsaPolicy(dane.base, dane.set), transportProblem(facts) ?? daneProblem(facts)));
  if (dane.status === 'unusable') reports.push(report(tlsaPolicy(dane.base, dane.set), transportProblem(facts) ?? { type: 'tlsa-invalid', reason: 'no-usable-record', text: '' }));
  if (sts.status === 'policy' && sts.policy.mode !== 'none') {
    const problem = allowsHost(sts.policy, host) ? (transportProblem(facts) ?? certificateProblem(facts)) : mxMismatch(host);
    reports.push(report(stsPolicy(domain, sts), problem));
  }
  if (sts.status === 'failed') reports.push(report({ type: 'sts', domain, strings: [], mxHosts: [] }, { type: sts.result, reason: '', text: sts.why }));
  if (reports.length === 0) reports.push(report({ type: 'no-policy-found', domain, strings: [], mxHosts: [] }, transportProblem(facts)));
  return reports;
}

function reachedTls({ failure, secured, broken }: SessionFacts): boolean {
  if (secured || broken !== null || failure === null) return true;
  return failure.code === 'ERR_NO_STARTTLS' || failure.kind === 'tls' || failure.phase === 'tls' || failure.phase === 'starttls';
}

/** No TLS at all, whatever the policy. */
function transportProblem({ secured, failure, broken, seen }: SessionFacts): Problem | null {
  if (secured || seen.judged !== null) return null;
  const cause = broken ?? failure;
  if (cause === null || cause.code === 'ERR_NO_STARTTLS') return { type: 'starttls-not-supported', reason: '', text: '' };
  if (cause.reply !== null) return { type: 'starttls-not-supported', reason: String(cause.reply.code), text: cause.text };
  return { type: 'validation-failure', reason: cause.code ?? '', text: cause.text };
}

function daneProblem({ seen }: SessionFacts): Problem | null {
  const problem = seen.judged?.problem ?? null;
  if (problem === null) return null;
  if (problem.code === 'ERR_DANE_MISMATCH') return { type: 'tlsa-invalid', reason: 'no-record-matches', text: problem.text };
  return certificateResult(problem);
}

/** What the usual check says, also where only DANE was required. */
function certificateProblem({ seen }: SessionFacts): Problem | null {
  const problem = seen.judged?.certificate === 'matched' ? seen.judged.usual : (seen.judged?.problem ?? seen.judged?.usual ?? null);
  return problem === null ? null : certificateResult(problem);
}

function certificateResult({ code, text }: { readonly code: string; readonly text: string }): Problem {
  if (code === 'CERT_HAS_EXPIRED') return { type: 'certificate-expired', reason: code, text };
  return { type: code === 'ERR_TLS_CERT_ALTNAME_INVALID' ? 'certificate-host-mismatch' : 'certificate-not-trusted', reason: code, text };
}

function mxMismatch(host: string): Problem {
  return { type: 'validation-failure', reason: 'mx-not-in-policy', text: `the MTA-STS policy does not list ${host}` };
}

function failureOf({ type, reason, text }: Problem, at: { host: string; address: string; localAddress: string; helo: string }): ReportedFailure {
  return { type, reason, text: text.replace(/\p{Cc}/gu, ' ').slice(0, MAX_TEXT), sendingIp: at.localAddress, mxHost: at.host, mxHelo: at.helo, mxIp: at.address };
}

function tlsaPolicy(domain: string, set: TlsaSet | null): ReportedPolicy {
  const records = set === null ? [] : [...set.usable, ...set.ignored.map(({ record }) => record)];
  return { type: 'tlsa', domain, strings: records.slice(0, MAX_STRINGS).map(formatTlsa), mxHosts: [] };
}

function stsPolicy(domain: string, { policy }: Extract<HostEvidence['sts'], { status: 'policy' }>): ReportedPolicy {
  return { type: 'sts', domain, strings: policy.text.slice(0, MAX_STRINGS), mxHosts: policy.mx.slice(0, MAX_STRINGS) };
}

/** The TLSA base domain where the records themselves are not known. */
function baseOf({ dane, host }: HostEvidence): string {
  return dane.status === 'failed' ? dane.name.replace(/^_\d+\._tcp\./, '') : host;
}
