// The configuration as the program sees it: durations in milliseconds, sizes in bytes, every default filled in. The schema
// (schema.ts) produces exactly this type.

export type ListenerConfig = {
  readonly profile: 'mx' | 'submissions' | 'submission' | 'alternate';
  readonly address: string;
  readonly port: number;
  /** Trusted networks (CIDR) that must speak the PROXY protocol; false: not expected. `true` in TOML means loopback and private networks. */
  readonly proxyProtocol: false | readonly string[];
};

export type RouteConfig = { readonly match: string; readonly name: string } & (
  | { readonly type: 'mx'; /** Senders are rewritten. */ readonly srs: boolean }
  | {
      readonly type: 'smarthost';
      readonly host: string;
      readonly ports: readonly number[];
      readonly username: string | null;
      readonly passwordFile: string | null;
      readonly srs: boolean;
    }
  | { readonly type: 'lmtp'; /** host:port or unix:/path */ readonly host: string; readonly port: number | null; readonly socket: string | null }
  | { readonly type: 'webhook'; readonly url: string; readonly secretFile: string; readonly format: 'raw' | 'json'; /** For the answer. */ readonly timeoutMs: number }
  | { readonly type: 'capture' }
);

/** `match` is an address or `@domain`, canonical; `to` are addresses. */
export type ForwardConfig = { readonly match: string; readonly to: readonly string[] };

export type AcmeConfig = {
  readonly directory: string;
  readonly contact: readonly string[];
  /** Besides the host name. */
  readonly names: readonly string[];
  readonly challenge: 'http-01' | 'tls-alpn-01' | 'dns-01';
  readonly address: string;
  readonly port: number;
  readonly hook: readonly string[];
  readonly hookTimeoutMs: number;
  readonly dnsWaitMs: number;
  readonly keyType: 'ecdsa' | 'rsa';
  readonly caFile: string | null;
  readonly external: { readonly kid: string; readonly keyFile: string } | null;
};

export type TlsPolicyConfig = {
  /** A domain, `*.domain` or `*`. */
  readonly match: string;
  readonly require: 'off' | 'opportunistic' | 'encrypted' | 'verified' | 'dane';
  readonly names: readonly string[];
};

export type Config = {
  readonly hostname: string;
  readonly listeners: readonly ListenerConfig[];
  readonly tls: {
    readonly mode: 'self-signed' | 'files' | 'acme';
    readonly cert: string | null;
    readonly key: string | null;
    /** More certificates, chosen by SNI from the names in them. */
    readonly certificates: readonly { readonly cert: string; readonly key: string }[];
    readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
    /** Counts with mode `acme`. */
    readonly acme: AcmeConfig;
  };
  readonly dns: { readonly servers: readonly string[]; readonly dnssec: 'trust-ad' | 'off'; readonly timeoutMs: number };
  readonly delivery: {
    readonly mxPort: number;
    readonly allowPrivateAddresses: boolean;
    readonly caFile: string | null;
    readonly connectTimeoutMs: number;
    readonly commandTimeoutMs: number;
    readonly dataTimeoutMs: number;
    /** Connections at once to one site. */
    readonly concurrencyPerLane: number;
    /** All outbound connections of one worker. */
    readonly concurrency: number;
    readonly messagesPerConnection: number;
    readonly idleTimeoutMs: number;
    readonly recipientsPerTransaction: number;
  };
  readonly routes: readonly RouteConfig[];
  readonly tlsPolicies: readonly TlsPolicyConfig[];
  readonly forwards: readonly ForwardConfig[];
  readonly forwarding: { readonly srs: boolean; /** Null: the domain that is forwarded. */ readonly srsDomain: string | null; readonly seal: boolean };
  /** Null: domains are not looked at by themselves. */
  readonly domains: { readonly checkMs: number | null };
  readonly inbound: {
    readonly domains: readonly string[];
    readonly dmarc: 'reject' | 'quarantine' | 'off';
    /** For all questions about one message together. */
    readonly dnsTimeoutMs: number;
    /** Domains whose ARC seals are believed. */
    readonly trustedSealers: readonly string[];
    /** Networks (CIDR) whose mail is not judged. */
    readonly trustedNetworks: readonly string[];
  };
  readonly queue: {
    readonly maxAgeMs: number;
    readonly delayWarningMs: number | null;
    readonly retry: { readonly firstMs: number; readonly factor: number; readonly maxMs: number; readonly jitter: number };
    /** Bytes of fresh bodies one worker keeps in memory for immediate delivery. */
    readonly memoryBytes: number;
    /** Free disk space below which mail is refused with 452. */
    readonly minFreeBytes: number;
    readonly reserveBytes: number;
    /** How long history (delivered messages, attempts) is kept. */
    readonly historyMs: number;
    readonly historyBytes: number;
    /** How long events are kept one by one. */
    readonly eventsMs: number;
    /** How long captured (sandbox) messages are kept. */
    readonly captureMs: number;
    readonly transcripts: number;
  };
  readonly limits: {
    readonly messageSizeBytes: number;
    readonly recipients: number;
    readonly connectionsPerAddress: number;
    readonly connections: number;
    readonly authFailures: number;
    readonly hops: number;
    readonly commandTimeoutMs: number;
    readonly dataTimeoutMs: number;
    readonly sessionTimeoutMs: number;
    readonly headerBytes: number;
    /** Content of messages coming in that is not on disk yet, of one worker. */
    readonly memoryBytes: number;
  };
  /** The policy that is served for the domains that mail is received for. */
  readonly mtaSts: {
    readonly mode: 'enforce' | 'testing' | 'none' | 'off';
    /** Empty: the host name. */
    readonly mx: readonly string[];
    readonly maxAgeMs: number;
    readonly address: string;
    /** null: not over HTTPS. */
    readonly port: number | null;
  };
  readonly tlsReports: {
    readonly send: boolean;
    readonly organization: string | null;
    readonly contact: string | null;
    readonly from: string | null;
    readonly maxDelayMs: number;
  };
  /** The server's look at itself. */
  readonly doctor: {
    /** null: only when it is asked. */
    readonly everyMs: number | null;
    readonly references: readonly string[];
    /** Empty: those of the host name. */
    readonly addresses: readonly string[];
    readonly blocklists: readonly string[];
  };
  readonly http: {
    readonly address: string;
    readonly port: number;
    readonly corsOrigins: readonly string[];
    readonly trustedProxies: readonly string[];
    readonly requestsPerToken: number;
    readonly requestsPerAddress: number;
  };
  readonly sendmail: { readonly socket: string | null; readonly credential: string | null };
  readonly telemetry: {
    /** null: none are made. */
    readonly traces: string | null;
    readonly headersFile: string | null;
    /** The share of messages, 0 to 1. */
    readonly sample: number;
  };
  readonly workers: { readonly count: number };
  readonly log: { readonly level: 'debug' | 'info' | 'warn' | 'error'; readonly format: 'json' | 'pretty' };
};
