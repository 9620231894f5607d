// What the API takes and answers: its schemas by name, then its requests, each with what stands in the path, the query, the body and the answer (or
// the media type of one that is no JSON). Made from the OpenAPI document by "npm run docs"; it is changed where the operations are (src/http/).

export type Problem = {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  readonly cause: string;
  readonly fix: string;
};

export type NewMessage = {
  readonly from?: string | { readonly address: string; readonly name?: string };
  readonly sender?: string | { readonly address: string; readonly name?: string };
  readonly to?: string | { readonly address: string; readonly name?: string } | readonly (string | { readonly address: string; readonly name?: string })[];
  readonly cc?: string | { readonly address: string; readonly name?: string } | readonly (string | { readonly address: string; readonly name?: string })[];
  readonly bcc?: string | { readonly address: string; readonly name?: string } | readonly (string | { readonly address: string; readonly name?: string })[];
  readonly replyTo?: string | { readonly address: string; readonly name?: string } | readonly (string | { readonly address: string; readonly name?: string })[];
  readonly subject?: string;
  readonly text?: string;
  readonly html?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly attachments?: readonly {
    readonly filename?: string;
    readonly content: string;
    readonly contentType?: string;
    readonly contentId?: string | null;
    readonly inline?: boolean;
  }[];
  readonly envelope?: {
    readonly from?: string | null;
    readonly to?: readonly string[];
    readonly notify?: 'never' | readonly ('success' | 'failure' | 'delay')[];
    readonly ret?: 'full' | 'hdrs';
    readonly envid?: string;
  };
  readonly raw?: string;
  readonly credential?: string;
  readonly sandbox?: boolean;
  readonly requireTls?: boolean;
  readonly sendAt?: string;
};

export type SentMessage = { readonly id: string };

export type MessageRow = {
  readonly id: string;
  readonly acceptedAt: string;
  readonly from: string;
  readonly to: readonly string[];
  readonly subject: string;
  readonly messageIdHeader: string;
  readonly sizeBytes: number;
  readonly credential: string | null;
  readonly project: string | null;
  readonly profile: string;
  readonly kind: 'mail' | 'dsn';
  readonly mode: 'live' | 'sandbox';
  readonly status: 'queued' | 'delivered' | 'deferred' | 'bounced' | 'expired' | 'captured' | 'cancelled' | 'held' | 'partial';
  readonly updatedAt: string;
};

export type Message = {
  readonly id: string;
  readonly acceptedAt: string;
  readonly from: string;
  readonly to: readonly string[];
  readonly subject: string;
  readonly messageIdHeader: string;
  readonly sizeBytes: number;
  readonly credential: string | null;
  readonly project: string | null;
  readonly profile: string;
  readonly kind: 'mail' | 'dsn';
  readonly mode: 'live' | 'sandbox';
  readonly status: 'queued' | 'delivered' | 'deferred' | 'bounced' | 'expired' | 'captured' | 'cancelled' | 'held' | 'partial';
  readonly updatedAt: string;
  readonly envelope: Envelope;
  readonly recipients: readonly {
    readonly n: number;
    readonly to: string;
    readonly via?: string;
    readonly notify?: { readonly success: boolean; readonly failure: boolean; readonly delay: boolean } | null;
    readonly orcpt?: { readonly type: string; readonly value: string } | null;
    readonly status: 'queued' | 'delivered' | 'deferred' | 'bounced' | 'expired' | 'captured' | 'cancelled' | 'held' | 'partial';
    readonly attempts: number;
    readonly nextAt: string | null;
    readonly lastOutcome: Outcome | null;
  }[];
  readonly events: readonly {
    readonly seq: number;
    readonly at: string;
    readonly type: 'accepted' | 'delivered' | 'deferred' | 'bounced' | 'expired' | 'captured' | 'held' | 'released' | 'cancelled' | 'retried' | 'returned';
    readonly n: number | null;
    readonly outcome: Outcome | null;
    readonly nextAt: string | null;
  }[];
};

export type Envelope = {
  readonly id: string;
  readonly from: Address | null;
  readonly acceptedAt: string;
  readonly expiresAt: string;
  readonly warnAt: string | null;
  readonly sizeBytes: number;
  readonly eightBit: boolean;
  readonly smtpUtf8: boolean;
  readonly utf8Header?: boolean;
  readonly requireTls: boolean;
  readonly tlsOptional?: boolean;
  readonly bounceDomain?: string;
  readonly ret: 'full' | 'hdrs' | null;
  readonly envid: string | null;
  readonly kind: 'mail' | 'dsn';
  readonly mode: 'live' | 'sandbox';
  readonly origin: {
    readonly profile: 'mx' | 'submissions' | 'submission' | 'alternate' | 'api' | 'local';
    readonly clientAddress: string;
    readonly helo: string;
    readonly tls: string | null;
    readonly credential: string | null;
    readonly project?: string;
  };
  readonly authentication?: Authentication;
  readonly subject: string;
  readonly messageIdHeader: string;
};

export type Address = { readonly local: string; readonly domain: string; readonly text: string };

export type Authentication = {
  readonly spf: {
    readonly result: 'none' | 'neutral' | 'pass' | 'fail' | 'softfail' | 'temperror' | 'permerror';
    readonly identity: 'mailfrom' | 'helo';
    readonly domain: string;
    readonly reason: string;
  };
  readonly dkim: readonly {
    readonly result: string;
    readonly domain: string | null;
    readonly selector: string | null;
    readonly algorithm: string | null;
    readonly mark: string | null;
    readonly reason: string;
  }[];
  readonly dmarc: {
    readonly result: 'none' | 'pass' | 'fail' | 'temperror' | 'permerror';
    readonly domain: string | null;
    readonly policyDomain: string | null;
    readonly policy: 'none' | 'quarantine' | 'reject' | null;
    readonly testing: boolean;
    readonly by: 'dkim' | 'spf' | null;
    readonly reason: string;
  };
  readonly arc: { readonly result: 'none' | 'pass' | 'fail'; readonly instance: number; readonly sealer: string | null; readonly reason: string };
  readonly disposition: 'accepted' | 'quarantined' | 'rejected' | 'deferred';
  readonly why: string;
};

export type Outcome = {
  readonly verdict: 'delivered' | 'deferred' | 'bounced' | 'expired' | 'captured';
  readonly scope: 'recipient' | 'message' | 'host' | 'lane' | 'local';
  readonly code: number;
  readonly enhanced: string;
  readonly text: string;
  readonly said?: string;
  readonly class: string;
  readonly cause: string;
  readonly fix: string;
  readonly route: string;
  readonly remoteHost: string | null;
  readonly remoteAddress: string | null;
  readonly remotePort: number | null;
  readonly tls: string | null;
  readonly security?: Security;
  readonly possibleDuplicate: boolean;
  readonly startedAt: string;
  readonly durationMs: number;
};

export type Security = {
  readonly policy: string;
  readonly required: string;
  readonly why: string;
  readonly protocol: string | null;
  readonly cipher: string | null;
  readonly certificate: 'matched' | 'verified' | 'unverified' | 'none';
  readonly verdict: string;
};

export type Transcript = {
  readonly startedAt: string;
  readonly recipients: readonly number[];
  readonly remoteHost: string;
  readonly remoteAddress: string | null;
  readonly remotePort: number | null;
  readonly entries: readonly { readonly atMs: number; readonly direction: '>' | '<' | '*'; readonly text: string }[];
};

export type MessageContent = {
  readonly subject: string;
  readonly from: string;
  readonly to: string;
  readonly cc: string;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  readonly text: string;
  readonly html: boolean;
  readonly remote: number;
  readonly attachments: readonly { readonly n: number; readonly name: string; readonly type: string; readonly sizeBytes: number }[];
};

export type QueueRow = {
  readonly id: string;
  readonly n: number;
  readonly from: string;
  readonly to: string;
  readonly lane: string;
  readonly state: 'ready' | 'leased' | 'deferred' | 'held' | 'captured';
  readonly attempts: number;
  readonly acceptedAt: string;
  readonly nextAt: string | null;
  readonly backOffCause: string | null;
  readonly expiresAt: string;
  readonly sizeBytes: number;
  readonly subject: string;
  readonly credential: string | null;
  readonly lastOutcome: Outcome | null;
};

export type QueuedMessage = {
  readonly id: string;
  readonly from: Address | null;
  readonly acceptedAt: string;
  readonly expiresAt: string;
  readonly warnAt: string | null;
  readonly sizeBytes: number;
  readonly eightBit: boolean;
  readonly smtpUtf8: boolean;
  readonly utf8Header?: boolean;
  readonly requireTls: boolean;
  readonly tlsOptional?: boolean;
  readonly bounceDomain?: string;
  readonly ret: 'full' | 'hdrs' | null;
  readonly envid: string | null;
  readonly kind: 'mail' | 'dsn';
  readonly mode: 'live' | 'sandbox';
  readonly origin: {
    readonly profile: 'mx' | 'submissions' | 'submission' | 'alternate' | 'api' | 'local';
    readonly clientAddress: string;
    readonly helo: string;
    readonly tls: string | null;
    readonly credential: string | null;
    readonly project?: string;
  };
  readonly authentication?: Authentication;
  readonly subject: string;
  readonly messageIdHeader: string;
  readonly recipients: readonly QueueRow[];
};

export type Lane = {
  readonly lane: string;
  readonly ready: number;
  readonly leased: number;
  readonly deferred: number;
  readonly held: number;
  readonly oldestAt: string | null;
  readonly nextAt: string | null;
  readonly backOffUntil: string | null;
  readonly backOffCause: string | null;
  readonly onHold: boolean;
};

export type Credential = {
  readonly name: string;
  readonly username: string;
  readonly domains: readonly string[];
  readonly mode: 'sandbox' | 'live';
  readonly allowIps: readonly string[];
  readonly ratePerHour: number | null;
  readonly project: string | null;
  readonly createdAt: string;
  readonly rotatedAt: string | null;
  readonly revokedAt: string | null;
  readonly lastUsedAt: string | null;
};

export type CredentialSecret = {
  readonly name: string;
  readonly username: string;
  readonly domains: readonly string[];
  readonly mode: 'sandbox' | 'live';
  readonly allowIps: readonly string[];
  readonly ratePerHour: number | null;
  readonly project: string | null;
  readonly createdAt: string;
  readonly rotatedAt: string | null;
  readonly revokedAt: string | null;
  readonly lastUsedAt: string | null;
  readonly password: string;
};

export type Domain = {
  readonly name: string;
  readonly inbound: boolean;
  readonly project: string | null;
  readonly createdAt: string;
  readonly returnPath: string;
  readonly returnPathVerifiedAt: string | null;
  readonly checkedAt: string | null;
  readonly status: string;
};

export type DomainDetail = {
  readonly name: string;
  readonly inbound: boolean;
  readonly project: string | null;
  readonly createdAt: string;
  readonly returnPath: string;
  readonly returnPathVerifiedAt: string | null;
  readonly checkedAt: string | null;
  readonly status: string;
  readonly keys: readonly DomainKey[];
  readonly records: readonly DnsRecord[];
};

export type DomainKey = {
  readonly selector: string;
  readonly algorithm: 'rsa-sha256' | 'ed25519-sha256';
  readonly state: 'next' | 'active' | 'retiring' | 'removed';
  readonly createdAt: string;
  readonly activatedAt: string | null;
  readonly removableAt: string | null;
};

export type DnsRecord = { readonly type: 'TXT' | 'MX' | 'CNAME'; readonly name: string; readonly value: string; readonly purpose: string; readonly status: string };

export type DomainCheck = {
  readonly name: string;
  readonly inbound: boolean;
  readonly project: string | null;
  readonly createdAt: string;
  readonly returnPath: string;
  readonly returnPathVerifiedAt: string | null;
  readonly checkedAt: string | null;
  readonly status: string;
  readonly keys: readonly DomainKey[];
  readonly records: readonly DnsFinding[];
  readonly changes: readonly string[];
};

export type DnsFinding = {
  readonly type: 'TXT' | 'MX' | 'CNAME';
  readonly name: string;
  readonly value: string;
  readonly purpose: string;
  readonly status: string;
  readonly found: readonly string[];
  readonly cause: string | null;
  readonly fix: string | null;
  readonly notes: readonly string[];
};

export type Suppression = {
  readonly address: string;
  readonly sender: string;
  readonly reason: 'bounced' | 'complained' | 'unsubscribed' | 'manual';
  readonly enhanced: string;
  readonly text: string;
  readonly remoteHost: string | null;
  readonly messageId: string | null;
  readonly createdAt: string;
};

export type Webhook = {
  readonly id: string;
  readonly url: string;
  readonly description: string;
  readonly types:
    | readonly (
        | 'message.accepted'
        | 'message.delivered'
        | 'message.deferred'
        | 'message.bounced'
        | 'message.suppressed'
        | 'message.expired'
        | 'message.captured'
        | 'message.returned'
        | 'message.held'
        | 'message.released'
        | 'message.retried'
        | 'message.cancelled'
      )[]
    | null;
  readonly project: string | null;
  readonly concurrency: number;
  readonly createdAt: string;
  readonly createdBy: string;
  readonly disabledAt: string | null;
  readonly disabledCause: string | null;
  readonly state: 'active' | 'failing' | 'disabled';
  readonly pending: number;
  readonly oldestAt: string | null;
  readonly lastSuccessAt: string | null;
  readonly failingSince: string | null;
  readonly missed: number;
  readonly replaying: boolean;
};

export type NewWebhook = {
  readonly id: string;
  readonly url: string;
  readonly description: string;
  readonly types:
    | readonly (
        | 'message.accepted'
        | 'message.delivered'
        | 'message.deferred'
        | 'message.bounced'
        | 'message.suppressed'
        | 'message.expired'
        | 'message.captured'
        | 'message.returned'
        | 'message.held'
        | 'message.released'
        | 'message.retried'
        | 'message.cancelled'
      )[]
    | null;
  readonly project: string | null;
  readonly concurrency: number;
  readonly createdAt: string;
  readonly createdBy: string;
  readonly disabledAt: string | null;
  readonly disabledCause: string | null;
  readonly state: 'active' | 'failing' | 'disabled';
  readonly pending: number;
  readonly oldestAt: string | null;
  readonly lastSuccessAt: string | null;
  readonly failingSince: string | null;
  readonly missed: number;
  readonly replaying: boolean;
  readonly secret: string;
};

export type WebhookTest = {
  readonly taken: boolean;
  readonly status: number | null;
  readonly durationMs: number;
  readonly answer: string;
  readonly cause: string;
  readonly fix: string;
};

export type WebhookDelivery = {
  readonly key: number;
  readonly webhook: string;
  readonly event: string;
  readonly type: string;
  readonly messageId: string | null;
  readonly attempt: number;
  readonly at: string;
  readonly durationMs: number;
  readonly result: 'delivered' | 'failed' | 'given-up';
  readonly status: number | null;
  readonly answer: string;
  readonly cause: string;
  readonly fix: string;
  readonly nextAt: string | null;
};

export type Event = {
  readonly id: string;
  readonly type:
    | 'message.accepted'
    | 'message.delivered'
    | 'message.deferred'
    | 'message.bounced'
    | 'message.suppressed'
    | 'message.expired'
    | 'message.captured'
    | 'message.returned'
    | 'message.held'
    | 'message.released'
    | 'message.retried'
    | 'message.cancelled';
  readonly timestamp: string;
  readonly data: {
    readonly messageId: string;
    readonly recipient: string | null;
    readonly recipients: readonly string[];
    readonly from: string | null;
    readonly subject: string;
    readonly messageIdHeader: string;
    readonly credential: string | null;
    readonly project: string | null;
    readonly mode: 'live' | 'sandbox';
    readonly kind: 'mail' | 'dsn';
    readonly nextAt: string | null;
    readonly outcome: EventOutcome | null;
  };
};

export type EventOutcome = {
  readonly verdict: 'delivered' | 'deferred' | 'bounced' | 'expired' | 'captured';
  readonly code: number;
  readonly enhanced: string;
  readonly text: string;
  readonly class: string;
  readonly cause: string;
  readonly fix: string;
  readonly route: string;
  readonly remoteHost: string | null;
  readonly remoteAddress: string | null;
  readonly remotePort: number | null;
  readonly tls: string | null;
  readonly possibleDuplicate: boolean;
  readonly startedAt: string;
  readonly durationMs: number;
  readonly tlsPolicy: string | null;
};

export type MailStatistics = {
  readonly span: 'minute' | 'hour' | 'day';
  readonly from: string;
  readonly until: string;
  readonly totals: Readonly<Record<string, number>>;
  readonly buckets: readonly { readonly at: string; readonly counts: Readonly<Record<string, number>> }[];
};

export type LatencyStatistics = {
  readonly span: 'minute' | 'hour' | 'day';
  readonly from: string;
  readonly until: string;
  readonly delivery: {
    readonly total: { readonly count: number; readonly p50Ms: number | null; readonly p90Ms: number | null; readonly p99Ms: number | null };
    readonly buckets: readonly { readonly at: string; readonly count: number; readonly p50Ms: number | null; readonly p90Ms: number | null; readonly p99Ms: number | null }[];
  };
  readonly attempts: {
    readonly total: { readonly count: number; readonly p50Ms: number | null; readonly p90Ms: number | null; readonly p99Ms: number | null };
    readonly buckets: readonly { readonly at: string; readonly count: number; readonly p50Ms: number | null; readonly p90Ms: number | null; readonly p99Ms: number | null }[];
  };
};

export type PortStatistics = {
  readonly span: 'minute' | 'hour' | 'day';
  readonly from: string;
  readonly until: string;
  readonly totals: Readonly<Record<string, number>>;
  readonly buckets: readonly { readonly at: string; readonly counts: Readonly<Record<string, number>> }[];
  readonly share: { readonly '25': number | null; readonly '465': number | null; readonly '587': number | null; readonly '2525': number | null };
  readonly baseline: {
    readonly note: string;
    readonly years: readonly { readonly '25': number; readonly '465': number; readonly '587': number; readonly '2525': number; readonly year: number }[];
  };
};

export type EncryptionStatistics = {
  readonly span: 'minute' | 'hour' | 'day';
  readonly from: string;
  readonly until: string;
  readonly inbound: readonly {
    readonly provider: string;
    readonly name: string;
    readonly messages: number;
    readonly encrypted: number;
    readonly verified: number;
    readonly percent: number | null;
  }[];
  readonly outbound: readonly {
    readonly provider: string;
    readonly name: string;
    readonly messages: number;
    readonly encrypted: number;
    readonly verified: number;
    readonly percent: number | null;
  }[];
  readonly baseline: {
    readonly note: string;
    readonly year: number;
    readonly providers: readonly { readonly provider: string | null; readonly name: string; readonly percent: number }[];
  };
};

export type FailureStatistics = {
  readonly span: 'minute' | 'hour' | 'day';
  readonly from: string;
  readonly until: string;
  readonly classes: readonly { readonly verdict: string; readonly class: string; readonly count: number }[];
};

export type QueueStatistics = {
  readonly span: 'minute' | 'hour' | 'day';
  readonly from: string;
  readonly until: string;
  readonly now: {
    readonly ready: number;
    readonly leased: number;
    readonly deferred: number;
    readonly held: number;
    readonly captured: number;
    readonly messages: number;
    readonly bodyBytes: number;
    readonly oldestAt: string | null;
  };
  readonly lanes: readonly Lane[];
  readonly buckets: readonly { readonly at: string; readonly counts: Readonly<Record<string, number>> }[];
};

export type Server = {
  readonly version: string;
  readonly hostname: string;
  readonly startedAt: string;
  readonly listeners: readonly {
    readonly name: string;
    readonly profile: string;
    readonly address: string;
    readonly port: number;
    readonly tls: 'none' | 'starttls' | 'implicit';
  }[];
};

export type Examination = {
  readonly id: string;
  readonly target: string;
  readonly by: string;
  readonly startedAt: string;
  readonly status: 'running' | 'done' | 'failed';
  readonly doing: string | null;
  readonly report: DoctorReport | null;
  readonly failure: { readonly code: string; readonly cause: string; readonly fix: string } | null;
  readonly sharePath: string | null;
};

export type DoctorReport = {
  readonly target: string;
  readonly kind: 'host' | 'domain' | 'self';
  readonly startedAt: string;
  readonly durationMs: number;
  readonly checks: readonly DoctorFinding[];
  readonly summary: {
    readonly status: 'pass' | 'warn' | 'fail';
    readonly pass: number;
    readonly warn: number;
    readonly fail: number;
    readonly skip: number;
    readonly text: string;
  };
};

export type DoctorFinding = {
  readonly id: string;
  readonly title: string;
  readonly status: 'pass' | 'warn' | 'fail' | 'skip';
  readonly evidence: string;
  readonly cause: string;
  readonly fix: string;
  readonly durationMs: number;
  readonly subject: string;
  readonly host: string | null;
  readonly port: number | null;
};

export type ExaminationRow = {
  readonly id: string;
  readonly target: string;
  readonly by: string;
  readonly startedAt: string;
  readonly status: 'running' | 'pass' | 'warn' | 'fail';
  readonly summary: string;
  readonly sharePath: string | null;
};

export type SelfState = { readonly everyMs: number | null; readonly warnings: readonly SelfWarning[]; readonly report: DoctorReport | null };

export type SelfWarning = {
  readonly id: string;
  readonly check: string;
  readonly subject: string;
  readonly status: 'warn' | 'fail';
  readonly title: string;
  readonly cause: string;
  readonly fix: string;
  readonly sinceAt: string;
};

export type Advice = {
  readonly port: number;
  readonly encryption: 'starttls-required' | 'implicit-tls' | 'https';
  readonly why: string;
  readonly alternatives: readonly {
    readonly port: number;
    readonly encryption: 'starttls-required' | 'implicit-tls' | 'https';
    readonly why: string;
    readonly snippet: string | null;
  }[];
  readonly snippet: string | null;
  readonly scenario: 'app' | 'esp' | 'own-server' | 'locked-cloud';
  readonly host: string;
  readonly library: { readonly id: string; readonly name: string; readonly file: string } | null;
  readonly provider: { readonly id: string; readonly name: string } | null;
  readonly listeners: readonly { readonly port: number; readonly direction: 'in' | 'out'; readonly use: string; readonly encryption: string }[];
  readonly notes: readonly string[];
  readonly evidence: readonly {
    readonly port: number;
    readonly standing: 'works' | 'open' | 'unverified' | 'unknown' | 'no-login' | 'wrong-tls' | 'server-only' | 'blocked' | 'silent' | 'closed';
    readonly text: string;
  }[];
  readonly usable: boolean;
};

export type Library = { readonly id: string; readonly name: string; readonly language: string; readonly aliases: readonly string[] };

export type Provider = {
  readonly id: string;
  readonly name: string;
  readonly host: string;
  readonly ports: readonly { readonly port: number; readonly tls: 'starttls' | 'implicit' }[];
  readonly aliases: readonly string[];
};

export type Route = {
  readonly match: string;
  readonly type: 'mx' | 'smarthost' | 'lmtp' | 'webhook' | 'capture';
  readonly name: string;
  readonly to: string | null;
  readonly ports: readonly number[];
  readonly login: boolean;
};

export type Certificate = {
  readonly subject: string;
  readonly issuer: string;
  readonly names: readonly string[];
  readonly source: 'self-signed' | 'files' | 'acme';
  readonly key: string;
  readonly serialNumber: string;
  readonly validFromAt: string;
  readonly expiresAt: string;
  readonly fingerprint256: string;
  readonly selfSigned: boolean;
  readonly path: string;
};

export type Renewal = {
  readonly names: readonly string[];
  readonly status: 'ordering' | 'waiting' | 'failing';
  readonly directory: string;
  readonly challenge: 'http-01' | 'tls-alpn-01' | 'dns-01';
  readonly obtainedAt: string | null;
  readonly nextAt: string | null;
  readonly window: { readonly startAt: string; readonly endAt: string; readonly explanation: string | null } | null;
  readonly failures: number;
  readonly lastError: { readonly code: string; readonly cause: string; readonly fix: string; readonly at: string } | null;
};

export type TlsPolicy = {
  readonly domain: string;
  readonly demand: string;
  readonly route: { readonly type: string; readonly name: string };
  readonly refusal: { readonly class: string; readonly cause: string; readonly fix: string } | null;
  readonly mx: { readonly dnssec: boolean; readonly lane: string } | null;
  readonly mtaSts: MtaSts;
  readonly configured: { readonly match: string; readonly require: 'off' | 'opportunistic' | 'encrypted' | 'verified' | 'dane'; readonly names: readonly string[] } | null;
  readonly hosts: readonly TlsHost[];
};

export type MtaSts =
  | {
      readonly status: 'policy';
      readonly id: string;
      readonly policy: { readonly mode: 'enforce' | 'testing' | 'none'; readonly mx: readonly string[]; readonly maxAgeSeconds: number; readonly text: readonly string[] };
      readonly fetchedAt: string;
      readonly expiresAt: string;
      readonly stale: string | null;
    }
  | { readonly status: 'failed'; readonly result: string; readonly why: string }
  | { readonly status: 'none'; readonly why: string };

export type TlsHost = {
  readonly host: string;
  readonly preference: number;
  readonly policy: string;
  readonly why: string;
  readonly required: string | null;
  readonly names: readonly string[];
  readonly tlsa: {
    readonly name: string | null;
    readonly status: string;
    readonly records: readonly string[];
    readonly ignored: readonly { readonly record: string; readonly why: string }[];
  };
  readonly refused: { readonly class: string; readonly cause: string; readonly fix: string } | null;
};

export type TlsReportRow = {
  readonly id: string;
  readonly day: string;
  readonly domain: string;
  readonly target: string;
  readonly state: 'waiting' | 'sent' | 'failed';
  readonly messageId: string | null;
  readonly attempts: number;
  readonly nextAt: string | null;
  readonly createdAt: string;
  readonly detail: string;
};

export type TlsReport = {
  readonly 'organization-name': string;
  readonly 'date-range': { readonly 'start-datetime': string; readonly 'end-datetime': string };
  readonly 'contact-info': string;
  readonly 'report-id': string;
  readonly policies: readonly {
    readonly policy: {
      readonly 'policy-type': 'tlsa' | 'sts' | 'no-policy-found';
      readonly 'policy-string'?: readonly string[];
      readonly 'policy-domain': string;
      readonly 'mx-host'?: readonly string[];
    };
    readonly summary: { readonly 'total-successful-session-count': number; readonly 'total-failure-session-count': number };
    readonly 'failure-details'?: readonly Readonly<Record<string, string | number>>[];
  }[];
};

export type ReloadReport = { readonly changed: readonly string[]; readonly needRestart: readonly string[]; readonly certificates: boolean };

export type Identity = {
  readonly kind: 'socket' | 'local' | 'token' | 'session';
  readonly name: string;
  readonly scopes: readonly (
    | 'messages:send'
    | 'messages:read'
    | 'queue:read'
    | 'queue:write'
    | 'credentials:read'
    | 'credentials:write'
    | 'domains:read'
    | 'domains:write'
    | 'suppressions:read'
    | 'suppressions:write'
    | 'webhooks:read'
    | 'webhooks:write'
    | 'events:read'
    | 'statistics:read'
    | 'doctor:run'
    | 'server:read'
    | 'server:write'
    | 'tokens:read'
    | 'tokens:write'
    | 'people:read'
    | 'people:write'
    | 'audit:read'
    | 'admin'
  )[];
  readonly project: string | null;
};

export type Token = {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly (
    | 'messages:send'
    | 'messages:read'
    | 'queue:read'
    | 'queue:write'
    | 'credentials:read'
    | 'credentials:write'
    | 'domains:read'
    | 'domains:write'
    | 'suppressions:read'
    | 'suppressions:write'
    | 'webhooks:read'
    | 'webhooks:write'
    | 'events:read'
    | 'statistics:read'
    | 'doctor:run'
    | 'server:read'
    | 'server:write'
    | 'tokens:read'
    | 'tokens:write'
    | 'people:read'
    | 'people:write'
    | 'audit:read'
    | 'admin'
  )[];
  readonly project: string | null;
  readonly ratePerMinute: number | null;
  readonly createdAt: string;
  readonly createdBy: string;
  readonly expiresAt: string | null;
  readonly revokedAt: string | null;
  readonly lastUsedAt: string | null;
};

export type NewToken = {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly (
    | 'messages:send'
    | 'messages:read'
    | 'queue:read'
    | 'queue:write'
    | 'credentials:read'
    | 'credentials:write'
    | 'domains:read'
    | 'domains:write'
    | 'suppressions:read'
    | 'suppressions:write'
    | 'webhooks:read'
    | 'webhooks:write'
    | 'events:read'
    | 'statistics:read'
    | 'doctor:run'
    | 'server:read'
    | 'server:write'
    | 'tokens:read'
    | 'tokens:write'
    | 'people:read'
    | 'people:write'
    | 'audit:read'
    | 'admin'
  )[];
  readonly project: string | null;
  readonly ratePerMinute: number | null;
  readonly createdAt: string;
  readonly createdBy: string;
  readonly expiresAt: string | null;
  readonly revokedAt: string | null;
  readonly lastUsedAt: string | null;
  readonly token: string;
};

export type SignedIn = { readonly person: Person; readonly session: Session };

export type Person = {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly (
    | 'messages:send'
    | 'messages:read'
    | 'queue:read'
    | 'queue:write'
    | 'credentials:read'
    | 'credentials:write'
    | 'domains:read'
    | 'domains:write'
    | 'suppressions:read'
    | 'suppressions:write'
    | 'webhooks:read'
    | 'webhooks:write'
    | 'events:read'
    | 'statistics:read'
    | 'doctor:run'
    | 'server:read'
    | 'server:write'
    | 'tokens:read'
    | 'tokens:write'
    | 'people:read'
    | 'people:write'
    | 'audit:read'
    | 'admin'
  )[];
  readonly password: boolean;
  readonly totp: boolean;
  readonly recoveryCodes: number;
  readonly passkeys: number;
  readonly createdAt: string;
  readonly createdBy: string;
  readonly signedInAt: string | null;
};

export type Session = {
  readonly id: string;
  readonly method: 'password' | 'passkey' | 'link';
  readonly address: string;
  readonly agent: string;
  readonly createdAt: string;
  readonly seenAt: string;
  readonly current: boolean;
};

export type Passkey = { readonly id: string; readonly name: string; readonly createdAt: string; readonly usedAt: string | null };

export type PasskeyOptions = {
  readonly challenge: string;
  readonly rp: { readonly id: string; readonly name: string };
  readonly user: { readonly id: string; readonly name: string; readonly displayName: string };
  readonly pubKeyCredParams: readonly { readonly type: 'public-key'; readonly alg: number }[];
  readonly excludeCredentials: readonly { readonly type: 'public-key'; readonly id: string }[];
  readonly authenticatorSelection: { readonly residentKey: 'required'; readonly userVerification: 'required' };
  readonly attestation: 'none';
  readonly timeout: number;
};

export type NewPerson = {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly (
    | 'messages:send'
    | 'messages:read'
    | 'queue:read'
    | 'queue:write'
    | 'credentials:read'
    | 'credentials:write'
    | 'domains:read'
    | 'domains:write'
    | 'suppressions:read'
    | 'suppressions:write'
    | 'webhooks:read'
    | 'webhooks:write'
    | 'events:read'
    | 'statistics:read'
    | 'doctor:run'
    | 'server:read'
    | 'server:write'
    | 'tokens:read'
    | 'tokens:write'
    | 'people:read'
    | 'people:write'
    | 'audit:read'
    | 'admin'
  )[];
  readonly password: boolean;
  readonly totp: boolean;
  readonly recoveryCodes: number;
  readonly passkeys: number;
  readonly createdAt: string;
  readonly createdBy: string;
  readonly signedInAt: string | null;
  readonly link: string;
  readonly until: string;
};

export type AuditEntry = {
  readonly id: number;
  readonly at: string;
  readonly kind: 'socket' | 'local' | 'token' | 'session' | 'nobody';
  readonly name: string;
  readonly actorId: string | null;
  readonly project: string | null;
  readonly address: string | null;
  readonly action: string;
  readonly target: string;
  readonly status: number;
};

export type Readiness = { readonly ready: boolean; readonly checks: Readonly<Record<string, { readonly ok: boolean; readonly detail: string }>> };

export type Requests = {
  /** Send a message. */
  readonly 'POST /v1/messages': {
    readonly query: { readonly from?: string; readonly to?: string; readonly credential?: string; readonly sandbox?: string; readonly sendAt?: string };
    readonly body: NewMessage;
    readonly answer: SentMessage;
  };
  /** Search messages, newest first. */
  readonly 'GET /v1/messages': {
    readonly query: {
      readonly to?: string;
      readonly from?: string;
      readonly status?: 'queued' | 'delivered' | 'deferred' | 'bounced' | 'expired' | 'captured' | 'cancelled' | 'held' | 'partial';
      readonly since?: string;
      readonly credential?: string;
      readonly text?: string;
      readonly before?: string;
      readonly limit?: number;
    };
    readonly answer: { readonly messages: readonly MessageRow[]; readonly next: string | null };
  };
  /** Send many messages. */
  readonly 'POST /v1/messages/batch': {
    readonly body: { readonly messages: readonly NewMessage[] };
    readonly answer: { readonly accepted: number; readonly refused: number; readonly messages: readonly (SentMessage | { readonly error: Problem })[] };
  };
  /** What became of one message: its envelope, recipients and every event. */
  readonly 'GET /v1/messages/{id}': { readonly path: { readonly id: string }; readonly answer: Message };
  /** What was said at each attempt to deliver a message, oldest first. */
  readonly 'GET /v1/messages/{id}/transcripts': { readonly path: { readonly id: string }; readonly answer: { readonly transcripts: readonly Transcript[] } };
  /** The content as it is sent, while the queue or the capture holds it. */
  readonly 'GET /v1/messages/{id}/body': { readonly path: { readonly id: string }; readonly media: 'message/rfc822' };
  /** What is in a message: its header, its text, its attachments. */
  readonly 'GET /v1/messages/{id}/content': { readonly path: { readonly id: string }; readonly answer: MessageContent };
  /** How a message looks, as a document that can do nothing. */
  readonly 'GET /v1/messages/{id}/rendered': { readonly path: { readonly id: string }; readonly media: 'text/html' };
  /** One attachment of a message. */
  readonly 'GET /v1/messages/{id}/attachments/{n}': { readonly path: { readonly id: string; readonly n: number }; readonly media: 'application/octet-stream' };
  /** What waits, by recipient. */
  readonly 'GET /v1/queue': {
    readonly query: {
      readonly id?: string;
      readonly lane?: string;
      readonly domain?: string;
      readonly credential?: string;
      readonly state?: 'ready' | 'leased' | 'deferred' | 'held' | 'captured' | 'waiting';
      readonly after?: string;
      readonly limit?: number;
    };
    readonly answer: { readonly recipients: readonly QueueRow[]; readonly next: string | null };
  };
  /** One message of the queue. */
  readonly 'GET /v1/queue/{id}': { readonly path: { readonly id: string }; readonly answer: QueuedMessage };
  /** Try again now. */
  readonly 'POST /v1/queue/retry': {
    readonly body:
      | { readonly by: 'message'; readonly id: string }
      | { readonly by: 'lane'; readonly lane: string }
      | { readonly by: 'domain'; readonly domain: string }
      | { readonly by: 'credential'; readonly credential: string }
      | { readonly by: 'all' };
    readonly answer: {
      readonly verb: 'retry' | 'hold' | 'release' | 'cancel';
      readonly selection: Readonly<Record<string, string>>;
      readonly recipients: number;
      readonly underWay: number;
    };
  };
  /** Hold. */
  readonly 'POST /v1/queue/hold': {
    readonly body:
      | { readonly by: 'message'; readonly id: string }
      | { readonly by: 'lane'; readonly lane: string }
      | { readonly by: 'domain'; readonly domain: string }
      | { readonly by: 'credential'; readonly credential: string }
      | { readonly by: 'all' };
    readonly answer: {
      readonly verb: 'retry' | 'hold' | 'release' | 'cancel';
      readonly selection: Readonly<Record<string, string>>;
      readonly recipients: number;
      readonly underWay: number;
    };
  };
  /** Release. */
  readonly 'POST /v1/queue/release': {
    readonly body:
      | { readonly by: 'message'; readonly id: string }
      | { readonly by: 'lane'; readonly lane: string }
      | { readonly by: 'domain'; readonly domain: string }
      | { readonly by: 'credential'; readonly credential: string }
      | { readonly by: 'all' };
    readonly answer: {
      readonly verb: 'retry' | 'hold' | 'release' | 'cancel';
      readonly selection: Readonly<Record<string, string>>;
      readonly recipients: number;
      readonly underWay: number;
    };
  };
  /** Cancel. */
  readonly 'POST /v1/queue/cancel': {
    readonly body:
      | { readonly by: 'message'; readonly id: string }
      | { readonly by: 'lane'; readonly lane: string }
      | { readonly by: 'domain'; readonly domain: string }
      | { readonly by: 'credential'; readonly credential: string }
      | { readonly by: 'all' };
    readonly answer: {
      readonly verb: 'retry' | 'hold' | 'release' | 'cancel';
      readonly selection: Readonly<Record<string, string>>;
      readonly recipients: number;
      readonly underWay: number;
    };
  };
  /** What waits, by destination. */
  readonly 'GET /v1/lanes': { readonly answer: { readonly lanes: readonly Lane[] } };
  /** The credentials, without their passwords. */
  readonly 'GET /v1/credentials': { readonly answer: { readonly credentials: readonly Credential[] } };
  /** Make a credential. */
  readonly 'POST /v1/credentials': {
    readonly body: {
      readonly name: string;
      readonly domains?: readonly string[];
      readonly mode?: 'sandbox' | 'live';
      readonly allowIps?: readonly string[];
      readonly ratePerHour?: number | null;
      readonly project?: string | null;
    };
    readonly answer: CredentialSecret;
  };
  /** Give a credential a new password; the old one stops at once. */
  readonly 'POST /v1/credentials/{name}/rotate': { readonly path: { readonly name: string }; readonly answer: CredentialSecret };
  /** Revoke a credential; it stops at once, its waiting mail stays. */
  readonly 'DELETE /v1/credentials/{name}': { readonly path: { readonly name: string }; readonly answer: { readonly name: string; readonly revoked: true } };
  /** The domains, and how their records stand. */
  readonly 'GET /v1/domains': { readonly answer: { readonly domains: readonly Domain[] } };
  /** Add a domain: its keys are made, and the records to publish told. */
  readonly 'POST /v1/domains': {
    readonly body: { readonly name: string; readonly inbound?: boolean; readonly returnPath?: string; readonly project?: string | null };
    readonly answer: DomainDetail;
  };
  /** One domain with its keys and the records to publish. */
  readonly 'GET /v1/domains/{name}': { readonly path: { readonly name: string }; readonly answer: DomainDetail };
  /** Remove a domain; its keys go with it. */
  readonly 'DELETE /v1/domains/{name}': { readonly path: { readonly name: string }; readonly answer: { readonly name: string; readonly removed: true } };
  /** Look at the live DNS: which records are right, what is wrong with the others, and how it is mended. */
  readonly 'POST /v1/domains/{name}/check': { readonly path: { readonly name: string }; readonly answer: DomainCheck };
  /** Change the signing keys, a step at a time. */
  readonly 'POST /v1/domains/{name}/rotate': {
    readonly path: { readonly name: string };
    readonly body?: { readonly step?: 'start' | 'confirm' | 'cancel' };
    readonly answer: DomainDetail;
  };
  /** The addresses that get no mail, newest first. */
  readonly 'GET /v1/suppressions': {
    readonly query: {
      readonly to?: string;
      readonly sender?: string;
      readonly reason?: 'bounced' | 'complained' | 'unsubscribed' | 'manual';
      readonly before?: number;
      readonly limit?: number;
    };
    readonly answer: { readonly suppressions: readonly Suppression[]; readonly next: string | null };
  };
  /** Send no more mail to an address. */
  readonly 'POST /v1/suppressions': {
    readonly body: {
      readonly address: string;
      readonly sender?: string;
      readonly reason?: 'bounced' | 'complained' | 'unsubscribed' | 'manual';
      readonly note?: string;
      readonly createdAt?: string;
    };
    readonly answer: Suppression;
  };
  /** Take over a list. */
  readonly 'POST /v1/suppressions/import': {
    readonly body: {
      readonly entries: readonly {
        readonly address: string;
        readonly sender?: string;
        readonly reason?: 'bounced' | 'complained' | 'unsubscribed' | 'manual';
        readonly note?: string;
        readonly createdAt?: string;
      }[];
    };
    readonly answer: { readonly entries: number; readonly added: number };
  };
  /** Why an address gets no mail, and of whom. */
  readonly 'GET /v1/suppressions/{address}': {
    readonly path: { readonly address: string };
    readonly answer: { readonly address: string; readonly suppressions: readonly Suppression[] };
  };
  /** Send mail to an address again. */
  readonly 'DELETE /v1/suppressions/{address}': {
    readonly path: { readonly address: string };
    readonly query: { readonly sender?: string };
    readonly answer: { readonly address: string; readonly removed: number };
  };
  /** The webhooks, and how they stand. */
  readonly 'GET /v1/webhooks': { readonly answer: { readonly webhooks: readonly Webhook[] } };
  /** Have events told to a URL. */
  readonly 'POST /v1/webhooks': {
    readonly body: {
      readonly url: string;
      readonly description?: string;
      readonly types?:
        | readonly (
            | 'message.accepted'
            | 'message.delivered'
            | 'message.deferred'
            | 'message.bounced'
            | 'message.suppressed'
            | 'message.expired'
            | 'message.captured'
            | 'message.returned'
            | 'message.held'
            | 'message.released'
            | 'message.retried'
            | 'message.cancelled'
          )[]
        | null;
      readonly project?: string | null;
      readonly concurrency?: number;
    };
    readonly answer: NewWebhook;
  };
  /** One webhook. */
  readonly 'GET /v1/webhooks/{id}': { readonly path: { readonly id: string }; readonly answer: Webhook };
  /** Change where, what, and how many at once. */
  readonly 'PATCH /v1/webhooks/{id}': {
    readonly path: { readonly id: string };
    readonly body?: {
      readonly url?: string;
      readonly description?: string;
      readonly types?:
        | readonly (
            | 'message.accepted'
            | 'message.delivered'
            | 'message.deferred'
            | 'message.bounced'
            | 'message.suppressed'
            | 'message.expired'
            | 'message.captured'
            | 'message.returned'
            | 'message.held'
            | 'message.released'
            | 'message.retried'
            | 'message.cancelled'
          )[]
        | null;
      readonly concurrency?: number;
    };
    readonly answer: Webhook;
  };
  /** Remove a webhook, with what waits for it. */
  readonly 'DELETE /v1/webhooks/{id}': { readonly path: { readonly id: string }; readonly answer: { readonly id: string; readonly removed: true } };
  /** Send a test event now, once, and see what it says. */
  readonly 'POST /v1/webhooks/{id}/test': { readonly path: { readonly id: string }; readonly answer: WebhookTest };
  /** A new secret; the old one signs too, for a while. */
  readonly 'POST /v1/webhooks/{id}/rotate': { readonly path: { readonly id: string }; readonly body?: { readonly overlapHours?: number }; readonly answer: NewWebhook };
  /** Tell it again of what happens, from where it stopped. */
  readonly 'POST /v1/webhooks/{id}/enable': { readonly path: { readonly id: string }; readonly body?: { readonly skip?: boolean }; readonly answer: Webhook };
  /** Tell it nothing until it is enabled. */
  readonly 'POST /v1/webhooks/{id}/disable': { readonly path: { readonly id: string }; readonly answer: Webhook };
  /** Tell events again: those with these ids, or of a time. */
  readonly 'POST /v1/webhooks/{id}/replay': {
    readonly path: { readonly id: string };
    readonly body: {
      readonly events?: readonly string[];
      readonly since?: string;
      readonly until?: string;
      readonly types?: readonly (
        | 'message.accepted'
        | 'message.delivered'
        | 'message.deferred'
        | 'message.bounced'
        | 'message.suppressed'
        | 'message.expired'
        | 'message.captured'
        | 'message.returned'
        | 'message.held'
        | 'message.released'
        | 'message.retried'
        | 'message.cancelled'
      )[];
    };
    readonly answer: { readonly id: string; readonly events: number | null };
  };
  /** The last attempts, newest first: what was told, what came back. */
  readonly 'GET /v1/webhooks/{id}/deliveries': {
    readonly path: { readonly id: string };
    readonly query: { readonly before?: number; readonly limit?: number };
    readonly answer: { readonly deliveries: readonly WebhookDelivery[]; readonly next: number | null };
  };
  /** What happened, oldest first. */
  readonly 'GET /v1/events': {
    readonly query: { readonly after?: string; readonly since?: string; readonly types?: string; readonly message?: string; readonly limit?: number };
    readonly answer: { readonly events: readonly Event[]; readonly next: string; readonly more: boolean };
  };
  /** What happens, as it happens. */
  readonly 'GET /v1/events/stream': { readonly query: { readonly after?: string; readonly types?: string; readonly message?: string }; readonly media: 'text/event-stream' };
  /** Recipients by what became of them. */
  readonly 'GET /v1/statistics/mail': {
    readonly query: { readonly span?: 'minute' | 'hour' | 'day'; readonly since?: string; readonly until?: string; readonly credential?: string };
    readonly answer: MailStatistics;
  };
  /** How long mail takes: from acceptance to the receiver's 250, and one attempt. */
  readonly 'GET /v1/statistics/latency': {
    readonly query: { readonly span?: 'minute' | 'hour' | 'day'; readonly since?: string; readonly until?: string };
    readonly answer: LatencyStatistics;
  };
  /** Messages by the port they came in by, beside the years of the industry. */
  readonly 'GET /v1/statistics/ports': {
    readonly query: { readonly span?: 'minute' | 'hour' | 'day'; readonly since?: string; readonly until?: string };
    readonly answer: PortStatistics;
  };
  /** How much of the mail is encrypted, in and out, by provider, beside what providers see. */
  readonly 'GET /v1/statistics/encryption': {
    readonly query: { readonly span?: 'minute' | 'hour' | 'day'; readonly since?: string; readonly until?: string };
    readonly answer: EncryptionStatistics;
  };
  /** Failed attempts by class. */
  readonly 'GET /v1/statistics/failures': {
    readonly query: { readonly span?: 'minute' | 'hour' | 'day'; readonly since?: string; readonly until?: string };
    readonly answer: FailureStatistics;
  };
  /** How full the queue is, now and over time, and the lanes where most waits. */
  readonly 'GET /v1/statistics/queue': {
    readonly query: { readonly span?: 'minute' | 'hour' | 'day'; readonly since?: string; readonly until?: string };
    readonly answer: QueueStatistics;
  };
  /** What this server is, and where it listens. */
  readonly 'GET /v1/server': { readonly answer: Server };
  /** Examine a host, a domain or the domain of a mail address. */
  readonly 'POST /v1/doctor': {
    readonly body: {
      readonly target: string;
      readonly as?: 'host' | 'domain' | null;
      readonly ports?: readonly number[];
      readonly login?: { readonly username: string; readonly password: string } | null;
      readonly insecure?: boolean;
      readonly reference?: string | null;
      readonly timeoutMs?: number;
      readonly selectors?: readonly string[];
      readonly sendingAddresses?: readonly string[];
      readonly blocklists?: readonly string[] | null;
    };
    readonly answer: Examination;
  };
  /** Examinations: those that run, then the reports that are kept, newest first. */
  readonly 'GET /v1/doctor': { readonly query: { readonly limit?: number }; readonly answer: { readonly examinations: readonly ExaminationRow[] } };
  /** One examination with its report. */
  readonly 'GET /v1/doctor/{id}': { readonly path: { readonly id: string }; readonly answer: Examination };
  /** Forget a report. */
  readonly 'DELETE /v1/doctor/{id}': { readonly path: { readonly id: string }; readonly answer: { readonly id: string; readonly removed: true } };
  /** How an examination goes, as it goes. */
  readonly 'GET /v1/doctor/{id}/events': { readonly path: { readonly id: string }; readonly media: 'text/event-stream' };
  /** Make a link to a report: whoever has it reads the report, and nothing else. */
  readonly 'POST /v1/doctor/{id}/share': { readonly path: { readonly id: string }; readonly answer: { readonly id: string; readonly sharePath: string } };
  /** Make the link to a report worth nothing. */
  readonly 'DELETE /v1/doctor/{id}/share': { readonly path: { readonly id: string }; readonly answer: { readonly id: string; readonly shared: false } };
  /** A report that was shared, as a page. */
  readonly 'GET /reports/{key}': { readonly path: { readonly key: string }; readonly media: 'text/html' };
  /** What the server finds wrong with itself. */
  readonly 'GET /v1/self': { readonly answer: SelfState };
  /** Have the server look at itself now. */
  readonly 'POST /v1/self': { readonly answer: SelfState };
  /** Which port and encryption to use, and a configuration for a library that requires it. */
  readonly 'POST /v1/advise': {
    readonly body?: {
      readonly scenario?: 'app' | 'esp' | 'own-server' | 'locked-cloud' | null;
      readonly library?: string | null;
      readonly provider?: string | null;
      readonly host?: string | null;
      readonly ports?: readonly number[] | null;
      readonly blocked?: readonly number[];
      readonly username?: string | null;
      readonly from?: string;
      readonly to?: string;
      readonly probe?: boolean;
    };
    readonly answer: Advice;
  };
  /** The libraries and programs that the advisor has configurations for. */
  readonly 'GET /v1/advise/libraries': { readonly answer: { readonly libraries: readonly Library[] } };
  /** The mail services that the advisor knows, with their hosts and ports. */
  readonly 'GET /v1/advise/providers': { readonly answer: { readonly providers: readonly Provider[] } };
  /** The routes of the configuration; the first that matches is taken, and without a match mail goes to the MX hosts. */
  readonly 'GET /v1/routes': { readonly answer: { readonly routes: readonly Route[] } };
  /** Where a recipient would go. */
  readonly 'POST /v1/routes/test': {
    readonly body: { readonly to: string; readonly mode?: 'live' | 'sandbox' };
    readonly answer: {
      readonly to: string;
      readonly domain: string;
      readonly route: Route;
      readonly lane: string;
      readonly captured: boolean;
      readonly hosts: readonly { readonly host: string; readonly preference: number; readonly required: string | null; readonly refused: string | null }[];
      readonly refusal: { readonly class: string; readonly cause: string; readonly fix: string } | null;
    };
  };
  /** The certificates that clients are shown, the default one first, and how their renewal stands. */
  readonly 'GET /v1/certificates': {
    readonly answer: { readonly mode: 'self-signed' | 'files' | 'acme'; readonly certificates: readonly Certificate[]; readonly renewals: readonly Renewal[] };
  };
  /** Order certificates now. */
  readonly 'POST /v1/certificates/renew': { readonly body?: { readonly name?: string | null }; readonly answer: { readonly ordered: readonly (readonly string[])[] } };
  /** What delivery to a domain requires of each of its mail hosts, with the evidence. */
  readonly 'GET /v1/tls/policy/{domain}': {
    readonly path: { readonly domain: string };
    readonly query: { readonly demand?: 'policy' | 'requiretls' | 'tls-optional' };
    readonly answer: TlsPolicy;
  };
  /** A day's connections to other servers by domain, and what became of the reports. */
  readonly 'GET /v1/tls/reports': {
    readonly query: { readonly day?: string };
    readonly answer: {
      readonly day: string;
      readonly sending: boolean;
      readonly more: boolean;
      readonly domains: readonly { readonly domain: string; readonly successful: number; readonly failed: number; readonly reports: readonly TlsReportRow[] }[];
    };
  };
  /** The report about a domain, as RFC 8460 has it. */
  readonly 'GET /v1/tls/reports/{domain}': { readonly path: { readonly domain: string }; readonly query: { readonly day?: string }; readonly answer: TlsReport };
  /** Send what was not sent yet of a day, now. */
  readonly 'POST /v1/tls/reports/send': {
    readonly body?: { readonly day?: string; readonly domain?: string };
    readonly answer: { readonly day: string; readonly reports: readonly TlsReportRow[] };
  };
  /** Read the configuration and the certificates again, as SIGHUP does. */
  readonly 'POST /v1/reload': { readonly answer: ReloadReport };
  /** Who is asking. */
  readonly 'GET /v1/identity': { readonly answer: Identity };
  /** The tokens, without their secrets. */
  readonly 'GET /v1/tokens': { readonly answer: { readonly tokens: readonly Token[] } };
  /** Make a token. */
  readonly 'POST /v1/tokens': {
    readonly body: {
      readonly name: string;
      readonly scopes: readonly (
        | 'messages:send'
        | 'messages:read'
        | 'queue:read'
        | 'queue:write'
        | 'credentials:read'
        | 'credentials:write'
        | 'domains:read'
        | 'domains:write'
        | 'suppressions:read'
        | 'suppressions:write'
        | 'webhooks:read'
        | 'webhooks:write'
        | 'events:read'
        | 'statistics:read'
        | 'doctor:run'
        | 'server:read'
        | 'server:write'
        | 'tokens:read'
        | 'tokens:write'
        | 'people:read'
        | 'people:write'
        | 'audit:read'
        | 'admin'
      )[];
      readonly project?: string | null;
      readonly expiresInDays?: number | null;
      readonly ratePerMinute?: number | null;
    };
    readonly answer: NewToken;
  };
  /** Revoke a token; it stops at once. */
  readonly 'DELETE /v1/tokens/{name}': { readonly path: { readonly name: string }; readonly answer: { readonly name: string; readonly revoked: true } };
  /** Sign a person in. */
  readonly 'POST /v1/session': {
    readonly body:
      | { readonly name: string; readonly password: string; readonly code?: string }
      | { readonly link: string }
      | { readonly passkey: { readonly id: string; readonly clientData: string; readonly authenticatorData: string; readonly signature: string } };
    readonly answer: SignedIn;
  };
  /** Who is signed in. */
  readonly 'GET /v1/session': { readonly answer: SignedIn };
  /** Sign out. */
  readonly 'DELETE /v1/session': { readonly answer: { readonly signedOut: true } };
  /** What to hand to navigator.credentials.get to sign in by a passkey. */
  readonly 'POST /v1/session/passkey': { readonly answer: { readonly challenge: string; readonly rpId: string; readonly userVerification: 'required'; readonly timeout: number } };
  /** Set your password; your other sessions end. */
  readonly 'PUT /v1/me/password': { readonly body: { readonly password: string; readonly current?: string }; readonly answer: Person };
  /** A secret for your authenticator app; it counts once a code of it was shown. */
  readonly 'POST /v1/me/totp': { readonly body?: { readonly current?: string }; readonly answer: { readonly secret: string; readonly uri: string } };
  /** Ask for codes of the app from now on; the answer has the recovery codes, told this once. */
  readonly 'PUT /v1/me/totp': {
    readonly body: { readonly secret: string; readonly code: string; readonly current?: string };
    readonly answer: { readonly recoveryCodes: readonly string[] };
  };
  /** Ask for no codes any more. */
  readonly 'DELETE /v1/me/totp': { readonly body?: { readonly current?: string }; readonly answer: Person };
  /** Your passkeys. */
  readonly 'GET /v1/me/passkeys': { readonly answer: { readonly passkeys: readonly Passkey[] } };
  /** Keep the passkey that was made. */
  readonly 'POST /v1/me/passkeys': {
    readonly body: {
      readonly name: string;
      readonly passkey: { readonly id: string; readonly clientData: string; readonly authenticatorData: string; readonly publicKey: string };
    };
    readonly answer: Passkey;
  };
  /** What to hand to navigator.credentials.create. */
  readonly 'POST /v1/me/passkeys/options': { readonly body?: { readonly current?: string }; readonly answer: PasskeyOptions };
  /** Forget a passkey. */
  readonly 'DELETE /v1/me/passkeys/{id}': {
    readonly path: { readonly id: string };
    readonly body?: { readonly current?: string };
    readonly answer: { readonly id: string; readonly removed: true };
  };
  /** Where you are signed in. */
  readonly 'GET /v1/me/sessions': { readonly answer: { readonly sessions: readonly Session[] } };
  /** Sign out somewhere else. */
  readonly 'DELETE /v1/me/sessions/{id}': { readonly path: { readonly id: string }; readonly answer: { readonly id: string; readonly ended: true } };
  /** Who may sign in. */
  readonly 'GET /v1/people': { readonly answer: { readonly people: readonly Person[] } };
  /** Let somebody in: the answer has a link that signs them in once. */
  readonly 'POST /v1/people': {
    readonly body: {
      readonly name: string;
      readonly scopes: readonly (
        | 'messages:send'
        | 'messages:read'
        | 'queue:read'
        | 'queue:write'
        | 'credentials:read'
        | 'credentials:write'
        | 'domains:read'
        | 'domains:write'
        | 'suppressions:read'
        | 'suppressions:write'
        | 'webhooks:read'
        | 'webhooks:write'
        | 'events:read'
        | 'statistics:read'
        | 'doctor:run'
        | 'server:read'
        | 'server:write'
        | 'tokens:read'
        | 'tokens:write'
        | 'people:read'
        | 'people:write'
        | 'audit:read'
        | 'admin'
      )[];
    };
    readonly answer: NewPerson;
  };
  /** Change what somebody may do; it holds at once. */
  readonly 'PATCH /v1/people/{name}': {
    readonly path: { readonly name: string };
    readonly body: {
      readonly scopes: readonly (
        | 'messages:send'
        | 'messages:read'
        | 'queue:read'
        | 'queue:write'
        | 'credentials:read'
        | 'credentials:write'
        | 'domains:read'
        | 'domains:write'
        | 'suppressions:read'
        | 'suppressions:write'
        | 'webhooks:read'
        | 'webhooks:write'
        | 'events:read'
        | 'statistics:read'
        | 'doctor:run'
        | 'server:read'
        | 'server:write'
        | 'tokens:read'
        | 'tokens:write'
        | 'people:read'
        | 'people:write'
        | 'audit:read'
        | 'admin'
      )[];
    };
    readonly answer: Person;
  };
  /** Let somebody in no more; their sessions end. */
  readonly 'DELETE /v1/people/{name}': { readonly path: { readonly name: string }; readonly answer: { readonly name: string; readonly removed: true } };
  /** A link that lets somebody in once, without password and code; a link of theirs from before stops working. */
  readonly 'POST /v1/people/{name}/link': { readonly path: { readonly name: string }; readonly answer: { readonly link: string; readonly until: string } };
  /** Who changed what, newest first. */
  readonly 'GET /v1/audit': {
    readonly query: { readonly action?: string; readonly name?: string; readonly since?: string; readonly before?: number; readonly limit?: number };
    readonly answer: { readonly entries: readonly AuditEntry[]; readonly next: number | null };
  };
  /** Whether the process answers. */
  readonly 'GET /health/live': { readonly answer: { readonly live: true } };
  /** Whether mail is taken and delivered. */
  readonly 'GET /health/ready': { readonly answer: Readiness };
  /** Counters and gauges for Prometheus. */
  readonly 'GET /metrics': { readonly media: 'text/plain' };
};
