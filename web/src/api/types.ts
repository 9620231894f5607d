// What the server answers, as far as pages look at it.

/** Where this server listens, and what it is. */
export type ServerView = {
  readonly version: string;
  readonly hostname: string;
  readonly startedAt: string;
  readonly listeners: readonly { readonly name: string; readonly profile: string; readonly address: string; readonly port: number; readonly tls: string }[];
};

export type MessageRow = {
  readonly id: string;
  readonly acceptedAt: string;
  readonly from: string;
  readonly to: readonly string[];
  readonly subject: string;
  readonly messageIdHeader: string;
  readonly sizeBytes: number;
  readonly credential: string | null;
  readonly profile: string;
  readonly kind: 'mail' | 'dsn';
  readonly mode: 'live' | 'sandbox';
  readonly status: string;
  readonly updatedAt: string;
};

export type Security = {
  readonly policy: string;
  readonly required: string;
  readonly why: string;
  readonly protocol: string | null;
  readonly cipher: string | null;
  readonly certificate: string;
  readonly verdict: string;
};

export type Outcome = {
  readonly verdict: string;
  readonly scope: string;
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

export type MessageEvent = {
  readonly seq: number;
  readonly at: string;
  readonly type: string;
  readonly n: number | null;
  readonly outcome: Outcome | null;
  readonly nextAt: string | null;
};

export type MessageDetail = MessageRow & {
  readonly envelope: {
    readonly expiresAt: string;
    readonly requireTls: boolean;
    readonly eightBit: boolean;
    readonly smtpUtf8: boolean;
    readonly origin: { readonly profile: string; readonly clientAddress: string; readonly helo: string; readonly tls: string | null; readonly credential: string | null };
  };
  readonly recipients: readonly {
    readonly n: number;
    readonly to: string;
    readonly via?: string;
    readonly status: string;
    readonly attempts: number;
    readonly nextAt: string | null;
    readonly lastOutcome: Outcome | null;
  }[];
  readonly events: readonly MessageEvent[];
};

export type QueueRow = {
  readonly id: string;
  readonly n: number;
  readonly from: string;
  readonly to: string;
  readonly lane: string;
  readonly state: string;
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

export type Verb = 'retry' | 'hold' | 'release' | 'cancel';
export type Selection =
  | { readonly by: 'message'; readonly id: string }
  | { readonly by: 'lane'; readonly lane: string }
  | { readonly by: 'domain'; readonly domain: string }
  | { readonly by: 'credential'; readonly credential: string }
  | { readonly by: 'all' };

export type Credential = {
  readonly name: string;
  readonly username: string;
  readonly domains: readonly string[];
  readonly mode: 'sandbox' | 'live';
  readonly allowIps: readonly string[];
  readonly ratePerHour: number | null;
  readonly createdAt: string;
  readonly lastUsedAt: string | null;
};
export type CredentialSecret = Credential & { readonly password: string };

export type DnsRecord = {
  readonly type: string;
  readonly name: string;
  readonly value: string;
  readonly purpose: string;
  readonly status: string;
  /** After a check. */
  readonly found?: readonly string[];
  readonly cause?: string | null;
  readonly fix?: string | null;
  readonly notes?: readonly string[];
};

export type DomainRow = {
  readonly name: string;
  readonly inbound: boolean;
  readonly status: string;
  readonly createdAt: string;
  readonly checkedAt: string | null;
};
export type DomainDetail = DomainRow & {
  readonly records: readonly DnsRecord[];
  readonly keys: readonly { readonly selector: string; readonly algorithm: string; readonly state: string; readonly createdAt: string }[];
  readonly changes?: readonly string[];
};

/** A message taken apart, while its content is here. */
export type MessageContent = {
  readonly subject: string;
  readonly from: string;
  readonly to: string;
  readonly cc: string;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  readonly text: string;
  readonly html: boolean;
  /** References to things elsewhere that its look would load. */
  readonly remote: number;
  readonly attachments: readonly { readonly n: number; readonly name: string; readonly type: string; readonly sizeBytes: number }[];
};

export type Suppression = {
  readonly address: string;
  readonly sender: string;
  readonly reason: string;
  readonly enhanced: string;
  readonly text: string;
  readonly remoteHost: string | null;
  readonly messageId: string | null;
  readonly createdAt: string;
};

export type Token = {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly string[];
  readonly project: string | null;
  readonly ratePerMinute: number | null;
  readonly createdAt: string;
  readonly createdBy: string;
  readonly expiresAt: string | null;
  readonly revokedAt: string | null;
  readonly lastUsedAt: string | null;
};

export type AuditEntry = {
  readonly id: number;
  readonly at: string;
  readonly kind: string;
  readonly name: string;
  readonly address: string | null;
  readonly action: string;
  readonly target: string;
  readonly status: number;
};

export type Transcript = {
  readonly startedAt: string;
  readonly recipients: readonly number[];
  readonly entries: readonly { readonly atMs: number; readonly direction: '>' | '<' | '*'; readonly text: string }[];
};

export type Finding = {
  readonly id: string;
  readonly title: string;
  readonly status: 'pass' | 'warn' | 'fail' | 'skip';
  readonly evidence: string;
  readonly cause: string;
  readonly fix: string;
  readonly durationMs: number;
  readonly subject: string;
};
export type DoctorReport = {
  readonly target: string;
  readonly kind: 'host' | 'domain';
  readonly startedAt: string;
  readonly durationMs: number;
  readonly checks: readonly Finding[];
  readonly summary: {
    readonly status: 'pass' | 'warn' | 'fail';
    readonly pass: number;
    readonly warn: number;
    readonly fail: number;
    readonly skip: number;
    readonly text: string;
  };
};
export type Examination = {
  readonly id: string;
  readonly target: string;
  readonly by: string;
  readonly startedAt: string;
  readonly status: 'running' | 'done' | 'failed';
  readonly doing: string | null;
  readonly report: DoctorReport | null;
  readonly failure: { readonly cause: string; readonly fix: string } | null;
  readonly sharePath: string | null;
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

export type Scenario = 'app' | 'esp' | 'own-server' | 'locked-cloud';
type Choice = { readonly port: number; readonly encryption: 'starttls-required' | 'implicit-tls' | 'https'; readonly why: string; readonly snippet: string | null };
export type Advice = Choice & {
  readonly alternatives: readonly Choice[];
  readonly scenario: Scenario;
  readonly host: string;
  readonly library: { readonly id: string; readonly name: string; readonly file: string } | null;
  readonly provider: { readonly id: string; readonly name: string } | null;
  readonly listeners: readonly { readonly port: number; readonly direction: 'in' | 'out'; readonly use: string; readonly encryption: string }[];
  readonly notes: readonly string[];
  readonly evidence: readonly { readonly port: number; readonly standing: string; readonly text: string }[];
  readonly usable: boolean;
};
