// SMTP TLS reporting as documents: who wants reports (the TXT record), what a session can fail of, and the report of one day for one domain.
// Pure. RFC 8460 3, 4.3, 4.4.

/** RFC 8460 4.3; all of them, so that labels of metrics are bounded. */
export const RESULT_TYPES = [
  'starttls-not-supported',
  'certificate-host-mismatch',
  'certificate-expired',
  'certificate-not-trusted',
  'validation-failure',
  'tlsa-invalid',
  'dnssec-invalid',
  'dane-required',
  'sts-policy-fetch-error',
  'sts-policy-invalid',
  'sts-webpki-invalid',
] as const;

export type ResultType = (typeof RESULT_TYPES)[number];

/** The policy that a session was held against. */
export type ReportedPolicy = {
  readonly type: 'tlsa' | 'sts' | 'no-policy-found';
  readonly domain: string;
  /** TLSA records, or the lines of the MTA-STS policy. */
  readonly strings: readonly string[];
  /** The mail hosts of an MTA-STS policy. */
  readonly mxHosts: readonly string[];
};

export type ReportedFailure = {
  readonly type: ResultType;
  /** A short word for programs, and a sentence for people; '' where the type says it all. */
  readonly reason: string;
  readonly text: string;
  readonly sendingIp: string;
  readonly mxHost: string;
  readonly mxHelo: string;
  readonly mxIp: string;
};

/** So many sessions to a domain, under this policy, with this result (null: all was well). */
export type SessionCount = { readonly policy: ReportedPolicy; readonly failure: ReportedFailure | null; readonly sessions: number };

export type ReportHead = {
  /** `2026-11-24`, in UTC. */
  readonly day: string;
  readonly id: string;
  readonly organization: string;
  readonly contact: string;
};

/** The document, as it is sent. */
export type TlsReport = {
  readonly 'organization-name': string;
  readonly 'date-range': { readonly 'start-datetime': string; readonly 'end-datetime': string };
  readonly 'contact-info': string;
  readonly 'report-id': string;
  readonly policies: readonly PolicyResult[];
};

type PolicyResult = {
  readonly policy: {
    readonly 'policy-type': ReportedPolicy['type'];
    readonly 'policy-string'?: readonly string[];
    readonly 'policy-domain': string;
    readonly 'mx-host'?: readonly string[];
  };
  readonly summary: { readonly 'total-successful-session-count': number; readonly 'total-failure-session-count': number };
  readonly 'failure-details'?: readonly Readonly<Record<string, string | number>>[];
};

export type ReportTarget = { readonly kind: 'mail'; readonly address: string } | { readonly kind: 'https'; readonly url: string };

const MAX_TARGETS = 5;
const MAX_TARGET_CHARACTERS = 1000;

/** Where the TXT records of `_smtp._tls.DOMAIN` want reports: nowhere without exactly one record of the kind (3). Unknown schemes are passed over. */
export function readReportTargets(records: readonly string[]): ReportTarget[] {
  const own = records.filter((record) => /^v=TLSRPTv1[ \t]*;/.test(record));
  const [record] = own;
  if (record === undefined || own.length > 1) return [];
  const rua = record
    .split(';')
    .map((field) => /^[ \t]*rua[ \t]*=[ \t]*(.*?)[ \t]*$/.exec(field)?.[1])
    .find((value) => value !== undefined);
  const targets = (rua ?? '').split(',').flatMap((uri) => targetOf(uri.trim()) ?? []);
  return targets.slice(0, MAX_TARGETS);
}

function targetOf(uri: string): ReportTarget | null {
  if (uri.length > MAX_TARGET_CHARACTERS || !URL.canParse(uri)) return null;
  const url = new URL(uri);
  if (url.protocol === 'https:' && url.username === '' && url.password === '') return { kind: 'https', url: url.href };
  if (url.protocol !== 'mailto:') return null;
  try {
    return { kind: 'mail', address: decodeURIComponent(url.pathname) };
  } catch {
    return null;
  }
}

/** The report of one day. Counts of one policy stand together, the policies in the order of their first count. */
export function buildTlsReport(head: ReportHead, counts: readonly SessionCount[]): TlsReport {
  const groups = Map.groupBy(counts, ({ policy }) => JSON.stringify(policy));
  return {
    'organization-name': head.organization,
    'date-range': { 'start-datetime': `${head.day}T00:00:00Z`, 'end-datetime': `${head.day}T23:59:59Z` },
    'contact-info': head.contact,
    'report-id': head.id,
    policies: [...groups.values()].map(policyResult),
  };
}

function policyResult(counts: readonly SessionCount[]): PolicyResult {
  const { policy } = counts[0] as SessionCount;
  const sum = (some: readonly SessionCount[]): number => some.reduce((total, one) => total + one.sessions, 0);
  const failed = counts.filter((count) => count.failure !== null);
  return {
    policy: {
      'policy-type': policy.type,
      ...(policy.strings.length === 0 ? {} : { 'policy-string': policy.strings }),
      'policy-domain': policy.domain,
      ...(policy.mxHosts.length === 0 ? {} : { 'mx-host': policy.mxHosts }),
    },
    summary: { 'total-successful-session-count': sum(counts) - sum(failed), 'total-failure-session-count': sum(failed) },
    ...(failed.length === 0 ? {} : { 'failure-details': failed.map(failureDetails) }),
  };
}

function failureDetails({ failure, sessions }: SessionCount): Record<string, string | number> {
  const { type, reason, text, sendingIp, mxHost, mxHelo, mxIp } = failure as ReportedFailure;
  const given = {
    'sending-mta-ip': sendingIp,
    'receiving-mx-hostname': mxHost,
    'receiving-mx-helo': mxHelo,
    'receiving-ip': mxIp,
    'additional-information': text,
    'failure-reason-code': reason,
  };
  const known = Object.entries(given).filter(([, value]) => value !== '');
  return { 'result-type': type, ...Object.fromEntries(known), 'failed-session-count': sessions };
}
