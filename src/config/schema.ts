// Every key of the configuration: one row each with its kind, default, whether a reload takes it over, and what it is for. The reference,
// the JSON schema and the loading all come from these rows.

import { availableParallelism, hostname as systemHostname } from 'node:os';
import type { z } from 'zod';
import * as kind from './values.ts';
import { canonicalDomain } from './values.ts';

export type Row = {
  /** As written in TOML, with dots: `queue.retry.first`. Keys of lists of tables are relative to their table. */
  readonly key: string;
  readonly kind: z.ZodType;
  /** As it would be written; undefined: none, the key may be absent. */
  readonly fallback?: unknown;
  /** What the reference says instead of the default's value. */
  readonly fallbackText?: string;
  readonly doc: string;
  readonly reloadable: boolean;
};

function row<T extends z.ZodType>(
  key: string,
  of: T,
  options: { fallback?: unknown; fallbackText?: string; reloadable?: boolean; doc: string },
): { readonly key: string; readonly kind: T; readonly fallback?: unknown; readonly fallbackText?: string; readonly doc: string; readonly reloadable: boolean } {
  return { key, kind: of, reloadable: false, ...options };
}

const live = { reloadable: true } as const;

export const ROWS = {
  hostname: row('hostname', kind.hostname, {
    fallback: defaultHostname(),
    fallbackText: "the machine's name",
    doc: 'The name of this server: in EHLO, Received, notifications and the self-signed certificate. Should have an address record, and the address a PTR record with this name.',
  }),

  tlsMode: row('tls.mode', kind.choice(['self-signed', 'files', 'acme']), {
    fallback: 'self-signed',
    fallbackText: '`self-signed`; `files` where cert and key are set',
    doc: "Where the certificate of the listeners comes from. `self-signed` makes one in DATA/tls; `acme` has it issued and renewed by an authority such as Let's Encrypt.",
  }),
  tlsCert: row('tls.cert', kind.file, { doc: 'With mode `files`: the certificate and its chain, PEM.' }),
  tlsKey: row('tls.key', kind.file, { doc: 'With mode `files`: the private key, PEM.' }),
  tlsMinVersion: row('tls.min_version', kind.choice(['TLSv1.2', 'TLSv1.3']), { fallback: 'TLSv1.2', doc: 'The oldest TLS version clients may use.' }),

  acmeDirectory: row('tls.acme.directory', kind.httpsUrl, {
    fallback: 'https://acme-v02.api.letsencrypt.org/directory',
    doc: "With mode `acme`: the directory URL of the authority. The default is Let's Encrypt; its staging directory for tests is `https://acme-staging-v02.api.letsencrypt.org/directory`.",
  }),
  acmeAgree: row('tls.acme.agree_terms', kind.boolean, { fallback: false, doc: 'That you agree to the terms of service of the authority; needed with mode `acme`.' }),
  acmeContact: row('tls.acme.contact', kind.list(kind.mailAddress), { fallback: [], doc: 'Mail addresses at which the authority may reach you.' }),
  acmeNames: row('tls.acme.names', kind.list(kind.certificateName), {
    fallback: [],
    doc: 'Names that the certificate has besides `hostname`. A wildcard needs the `dns-01` challenge.',
  }),
  acmeChallenge: row('tls.acme.challenge', kind.choice(['http-01', 'tls-alpn-01', 'dns-01']), {
    fallback: 'http-01',
    doc: 'How the authority sees that the names are yours: by HTTP on port 80, by TLS on port 443, or by a DNS record that a program of yours makes (`hook`).',
  }),
  acmeAddress: row('tls.acme.address', kind.listenAddress, { fallback: '::', doc: 'The address that `http-01` and `tls-alpn-01` challenges are answered on.' }),
  acmePort: row('tls.acme.port', kind.realPort, {
    fallbackText: '80 for `http-01`, 443 for `tls-alpn-01`',
    doc: 'The port, open only while a challenge waits. The authority always comes to 80 or 443: another port needs something that forwards to it. For `tls-alpn-01` it may be that of a `submissions` listener, which then answers.',
  }),
  acmeHook: row('tls.acme.hook', kind.list(kind.text), {
    fallback: [],
    doc: 'For `dns-01`: a program and its first arguments, run without a shell, with `present RECORD VALUE` and later `cleanup RECORD VALUE` behind them. It adds or removes one TXT record and ends with status 0 when that is done.',
  }),
  acmeHookTimeout: row('tls.acme.hook_timeout', kind.duration('1s', '1h'), { fallback: '2m', doc: 'How long the hook may take.' }),
  acmeDnsWait: row('tls.acme.dns_wait', kind.duration('0s', '1h'), {
    fallback: '2m',
    doc: 'For `dns-01`: how long to wait at most until every name server of the zone serves the record; they are asked directly. Where none can be asked, so long.',
  }),
  acmeKeyType: row('tls.acme.key_type', kind.choice(['ecdsa', 'rsa']), {
    fallback: 'ecdsa',
    doc: 'The key of the certificate: `ecdsa` (P-256) or `rsa` (2048 bits, for old clients).',
  }),
  acmeCaFile: row('tls.acme.ca_file', kind.file, { doc: 'More trust anchors for the connection to the authority, PEM; for an authority of your own.' }),
  acmeEabKid: row('tls.acme.eab_kid', kind.text, { doc: 'For authorities that serve their customers only: the key identifier that you were given (external account binding).' }),
  acmeEabKeyFile: row('tls.acme.eab_key_file', kind.file, { doc: 'The file with the HMAC key that belongs to it, in base64url as it was given.' }),

  dnsServers: row('dns.servers', kind.list(kind.dnsServer), { fallback: [], fallbackText: "the system's resolvers", doc: 'Resolvers to ask, in this order.' }),
  dnsDnssec: row('dns.dnssec', kind.choice(['trust-ad', 'off']), {
    fallback: 'trust-ad',
    doc: 'Whether the AD flag of the resolvers counts. Set `off` when the way to them is not safe.',
  }),
  dnsTimeout: row('dns.timeout', kind.duration('100ms', '60s'), { fallback: '10s', doc: 'For one question, all tries together.' }),

  mxPort: row('delivery.mx_port', kind.realPort, { fallback: 25, doc: 'The port that mail hosts are reached on.' }),
  allowPrivate: row('delivery.allow_private_addresses', kind.boolean, {
    fallback: false,
    doc: 'Whether mail hosts and smarthosts may have private or loopback addresses. For inner networks and tests.',
  }),
  caFile: row('delivery.ca_file', kind.file, { doc: 'More trust anchors for outbound TLS, PEM; beside the ones of the system.' }),
  connectTimeout: row('delivery.connect_timeout', kind.duration('100ms', '10m'), { fallback: '30s', doc: 'For a TCP connection to a candidate.' }),
  commandTimeout: row('delivery.command_timeout', kind.duration('100ms', '30m'), { fallback: '5m', doc: 'For the greeting and the answer to a command (RFC 5321 4.5.3.2).' }),
  dataTimeout: row('delivery.data_timeout', kind.duration('100ms', '60m'), { fallback: '10m', doc: 'For progress while content is sent, and for the answer to it.' }),
  perLane: row('delivery.connections_per_lane', kind.integer(1, 1000), {
    fallback: 20,
    ...live,
    doc: 'Connections at once to one site (all domains behind the same mail hosts are one).',
  }),
  connections: row('delivery.connections', kind.integer(1, 10_000), { fallback: 500, ...live, doc: 'Outbound connections of one worker, all lanes together.' }),
  perConnection: row('delivery.messages_per_connection', kind.integer(1, 100_000), {
    fallback: 100,
    ...live,
    doc: 'After so many messages a connection is closed and a new one opened.',
  }),
  idleTimeout: row('delivery.idle_timeout', kind.duration('0s', '10m'), { fallback: '10s', ...live, doc: 'How long a connection is kept for the next message.' }),
  perTransaction: row('delivery.recipients_per_transaction', kind.integer(1, 1000), { fallback: 100, ...live, doc: 'Recipients of one message in one transaction.' }),

  inboundDomains: row('inbound.domains', kind.list(kind.domain), {
    fallback: [],
    ...live,
    doc: 'Domains whose mail is accepted on port 25 and handled by the routes; beside those of `domain add --inbound`.',
  }),
  inboundDmarc: row('inbound.dmarc', kind.choice(['reject', 'quarantine', 'off']), {
    fallback: 'reject',
    ...live,
    doc: 'What becomes of mail on port 25 that fails DMARC. `reject`: what the domain of the author asks for, a refusal (550) or a tag. `quarantine`: at most a tag, the field X-Postern-Quarantine. `off`: judged and told in Authentication-Results only.',
  }),
  inboundDnsTimeout: row('inbound.dns_timeout', kind.duration('500ms', '60s'), {
    fallback: '5s',
    ...live,
    doc: 'For all that is asked of the DNS to judge one message on port 25, together. What has no answer by then counts as a passing error.',
  }),
  trustedSealers: row('inbound.trusted_sealers', kind.list(kind.domain), {
    fallback: [],
    ...live,
    doc: 'Domains of forwarders and mailing lists whose ARC seals are believed: mail that passed DMARC when it reached them is taken though it fails here.',
  }),
  trustedNetworks: row('inbound.trusted_networks', kind.list(kind.network), {
    fallback: [],
    ...live,
    doc: 'Networks whose mail on port 25 is not judged: relays of your own, a filter in front that has judged it.',
  }),

  domainCheck: row('domains.check', kind.optionalDuration('5m', '30d'), {
    fallback: '6h',
    ...live,
    doc: 'How often the DNS records of a domain (`domain add`) are looked at once they are right; "off": only by `domain check`. A domain that waits for records is looked at every five minutes.',
  }),

  forwardingSrs: row('forwarding.srs', kind.boolean, {
    fallback: true,
    ...live,
    doc: 'Whether mail that a `[[forward]]` passes on leaves with its sender rewritten (SRS), so that SPF passes at the next hop and bounces find their way back.',
  }),
  forwardingSrsDomain: row('forwarding.srs_domain', kind.domain, {
    fallbackText: 'the domain that is forwarded',
    ...live,
    doc: 'The domain of rewritten senders. Its mail must come to this server, and its SPF record must name it.',
  }),
  forwardingSeal: row('forwarding.seal', kind.boolean, {
    fallback: true,
    ...live,
    doc: 'Whether mail that came by port 25 and leaves for another site is sealed (ARC) by the domain it was sent to, if that has keys here.',
  }),

  maxAge: row('queue.max_age', kind.duration('1s', '30d'), { fallback: '4d', ...live, doc: 'How long delivery is tried before the message bounces.' }),
  delayWarning: row('queue.delay_warning', kind.optionalDuration('1s', '30d'), { fallback: '4h', ...live, doc: 'When the sender is told of a delay; "off": never.' }),
  retryFirst: row('queue.retry.first', kind.duration('100ms', '1d'), { fallback: '1m', ...live, doc: 'The pause after the first attempt.' }),
  retryFactor: row('queue.retry.factor', kind.real(1, 10), { fallback: 2, ...live, doc: 'Each pause is so much longer than the one before.' }),
  retryMax: row('queue.retry.max', kind.duration('100ms', '7d'), { fallback: '1h', ...live, doc: 'The longest pause.' }),
  retryJitter: row('queue.retry.jitter', kind.real(0, 0.9), { fallback: 0.2, ...live, doc: 'The share by which a pause varies either way, so that retries spread.' }),
  memory: row('queue.memory', kind.size('0', '64GiB'), {
    fallback: '64MB',
    doc: 'Bodies of fresh messages that one worker keeps in memory for immediate delivery; past it they are read back from disk.',
  }),
  minFree: row('queue.min_free', kind.size('0', '1TiB'), { fallback: '100MB', doc: 'With less free disk space than this, mail is refused with 452 until there is more.' }),
  reserve: row('queue.reserve', kind.size('0', '1TiB'), {
    fallback: '16MB',
    doc: 'Disk space kept in a file of the data directory for the mail already accepted: when somebody else fills the disk, it is given up and delivery goes on; no new mail is taken until it can be kept again. "0": none.',
  }),
  history: row('queue.history', kind.duration('1h', '3650d'), { fallback: '30d', doc: 'How long the fate of finished messages is kept.' }),
  historySize: row('queue.history_size', kind.size('10MB', '100TB'), {
    fallback: '20GB',
    doc: 'The most disk space that the history takes; past it the oldest messages are forgotten, some 3 KB each.',
  }),
  events: row('queue.events', kind.duration('1h', '365d'), {
    fallback: '7d',
    doc: 'How long events are kept one by one: what a webhook that fails for longer misses, and how far back they can be replayed.',
  }),
  transcripts: row('queue.transcripts', kind.integer(0, 10_000_000), {
    fallback: 50_000,
    doc: 'Attempts of delivery whose conversation is kept for viewing, the newest ones (some 2 KB each); 0: none is recorded. Under load not every delivery is, and of very many failures at once the first.',
  }),
  capture: row('queue.capture', kind.duration('1m', '3650d'), { fallback: '7d', doc: 'How long captured (sandbox) messages are kept.' }),

  messageSize: row('limits.message_size', kind.size('1KB', '2GB'), { fallback: '50MB', ...live, doc: 'The largest message; told in EHLO as SIZE.' }),
  recipients: row('limits.recipients', kind.integer(1, 50_000), { fallback: 1000, ...live, doc: 'Recipients of one message.' }),
  perAddress: row('limits.connections_per_address', kind.integer(1, 100_000), {
    fallback: 50,
    ...live,
    doc: 'Connections at once from one client address; of an IPv6 one, from its /64.',
  }),
  clients: row('limits.connections', kind.integer(1, 1_000_000), { fallback: 2000, ...live, doc: 'Connections at once from all clients.' }),
  authFailures: row('limits.auth_failures', kind.integer(1, 100), {
    fallback: 5,
    ...live,
    doc: 'Wrong logins per connection before it is closed; the address is slowed after them.',
  }),
  hops: row('limits.hops', kind.integer(1, 1000), { fallback: 100, ...live, doc: 'Received fields a message may have; more are taken for a loop.' }),
  clientCommandTimeout: row('limits.command_timeout', kind.duration('1s', '1h'), { fallback: '5m', ...live, doc: 'How long a client may be silent between commands.' }),
  clientDataTimeout: row('limits.data_timeout', kind.duration('1s', '1h'), { fallback: '5m', ...live, doc: 'How long a client may be silent while it sends content.' }),
  sessionTimeout: row('limits.session_timeout', kind.duration('1s', '7d'), { fallback: '2h', ...live, doc: 'How long a connection may last at all.' }),
  headerSize: row('limits.header_size', kind.size('4KB', '16MB'), {
    fallback: '512KB',
    ...live,
    doc: 'The largest header section of a message; with a smaller message_size, that.',
  }),
  incomingMemory: row('limits.memory', kind.size('1MB', '64GiB'), {
    fallback: '256MB',
    ...live,
    doc: 'What the messages that clients are sending may hold in memory before it is on disk, all those of one worker together; past it content is refused with 452.',
  }),

  stsMode: row('mta_sts.mode', kind.choice(['enforce', 'testing', 'none', 'off']), {
    fallback: 'testing',
    ...live,
    doc: 'The MTA-STS policy of the domains that mail is received for: what senders do when they cannot reach the mail host over verified TLS. `testing`: they deliver and report; `enforce`: they wait; `none`: the way out of a policy; `off`: none is served and no record is shown.',
  }),
  stsMx: row('mta_sts.mx', kind.list(kind.certificateName), {
    fallback: [],
    fallbackText: '`hostname`',
    ...live,
    doc: 'The mail hosts that the policy lists, as names or patterns like `*.example.com`.',
  }),
  stsMaxAge: row('mta_sts.max_age', kind.duration('1d', '365d'), { fallback: '7d', ...live, doc: 'How long senders keep the policy.' }),
  stsAddress: row('mta_sts.address', kind.listenAddress, { fallback: '::', doc: 'Where the policies are served over HTTPS.' }),
  stsPort: row('mta_sts.port', kind.port, {
    fallbackText: 'none: not served over HTTPS',
    doc: 'The port for that; senders come to 443. Without it the policies are served over plain HTTP only (`http.port`), by the name in the request, for a web server in front.',
  }),

  reportsSend: row('tls_reports.send', kind.boolean, {
    fallback: true,
    ...live,
    doc: 'Whether domains that ask for TLS reports (RFC 8460) get one a day about the connections to them. None are sent while `hostname` has no dot.',
  }),
  reportsOrganization: row('tls_reports.organization', kind.text, { fallbackText: '`hostname`', ...live, doc: 'Who reports.' }),
  reportsContact: row('tls_reports.contact', kind.mailAddress, { fallbackText: '`from`', ...live, doc: 'Who answers questions about the reports.' }),
  reportsFrom: row('tls_reports.from', kind.mailAddress, {
    fallbackText: '`postmaster@` and `hostname`',
    ...live,
    doc: 'The sender of reports that go by mail. Use an address of a domain that has keys here: its reports are signed, as the receivers want it.',
  }),
  reportsMaxDelay: row('tls_reports.max_delay', kind.duration('0s', '12h'), {
    fallback: '4h',
    ...live,
    doc: 'Reports go out at a time between midnight (UTC) and this much later, so that not all servers report at once.',
  }),

  doctorEvery: row('doctor.every', kind.optionalDuration('1s', '7d'), {
    fallback: '1h',
    ...live,
    doc: 'How often the running server looks at itself (docs/doctor.md): outbound port 25, its certificates, the records of its domains, the name of its addresses, blocklists. "off": only when it is asked.',
  }),
  doctorReferences: row('doctor.references', kind.list(kind.host), {
    fallback: ['gmail-smtp-in.l.google.com', 'mx01.mail.icloud.com'],
    ...live,
    doc: 'Hosts that take connections from everybody on port 25, to see whether it is blocked here: they are connected to, and left. None of them is asked by a server that sends nothing.',
  }),
  doctorAddresses: row('doctor.addresses', kind.list(kind.listenAddress), {
    fallback: [],
    fallbackText: 'the addresses of `hostname`',
    ...live,
    doc: 'The addresses that others see mail come from.',
  }),
  doctorBlocklists: row('doctor.blocklists', kind.list(kind.domain), {
    fallback: ['zen.spamhaus.org', 'bl.spamcop.net', 'b.barracudacentral.org', 'psbl.surriel.com'],
    ...live,
    doc: 'DNS blocklists that are asked about these addresses, also by `postern doctor DOMAIN`. The ones named answer everybody who asks little; large installations use lists of their own choice. Empty: none.',
  }),

  httpAddress: row('http.address', kind.listenAddress, {
    fallback: '127.0.0.1',
    doc: 'Where the API, health and metrics are served. It speaks plain HTTP: put a web server with TLS in front before it leaves the machine.',
  }),
  httpPort: row('http.port', kind.port, { fallback: 8025, doc: 'Its port; 0 takes a free one.' }),
  httpOrigins: row('http.cors_origins', kind.list(kind.origin), {
    fallback: [],
    ...live,
    doc: 'Origins of web pages that may call the API from a browser, with a token (CORS). None unless told.',
  }),
  httpProxies: row('http.trusted_proxies', kind.list(kind.network), {
    fallback: [],
    ...live,
    doc: 'Networks of the web servers in front, whose X-Forwarded-For is believed: for the limit by address and the audit log.',
  }),
  httpPerToken: row('http.requests_per_token', kind.integer(1, 1_000_000), { fallback: 3000, ...live, doc: 'Requests a second of one token, unless it has a limit of its own.' }),
  httpPerAddress: row('http.requests_per_address', kind.integer(1, 1_000_000), {
    fallback: 3000,
    ...live,
    doc: 'Requests a second from one client address; of an IPv6 one, from its /64.',
  }),

  sendmailSocket: row('sendmail.socket', kind.text, {
    doc: 'A Unix socket on which every account of this machine may hand over mail, and do nothing else, with `postern sendmail`; for example `/run/postern/sendmail.sock`. Without it only those who may open the management socket can.',
  }),
  sendmailCredential: row('sendmail.credential', kind.text, {
    ...live,
    doc: 'The credential under whose rules, limits and mode that mail is sent. Without it: as any sender, live.',
  }),

  telemetryTraces: row('telemetry.traces', kind.endpoint, {
    fallback: '',
    fallbackText: 'none: no traces',
    doc: 'Where a trace of each message is sent to: the URL of an OTLP/HTTP receiver, such as an OpenTelemetry Collector. `/v1/traces` is added.',
  }),
  telemetryHeaders: row('telemetry.headers_file', kind.file, {
    doc: 'A file with more headers of these requests, such as a token, a line each: `Name: value`. Read at each request. Where it has a secret, use https.',
  }),
  telemetrySample: row('telemetry.sample', kind.real(0, 1), { fallback: 1, doc: 'The share of messages that are traced, whole or not at all: `0.1` is one in ten.' }),

  workers: row('workers.count', kind.integer(1, 64), {
    fallback: defaultWorkers(),
    fallbackText: 'half the cores, at least 1',
    doc: 'SMTP worker threads. On a machine of two cores one is best.',
  }),

  logLevel: row('log.level', kind.choice(['debug', 'info', 'warn', 'error']), { fallback: 'info', doc: 'The least that is logged.' }),
  logFormat: row('log.format', kind.choice(['json', 'pretty']), {
    fallback: process.stderr.isTTY ? 'pretty' : 'json',
    fallbackText: '`json`; `pretty` on a terminal',
    doc: 'One line of JSON an event, or a line for people. The log goes to standard error.',
  }),
} as const;

export const LISTENER_ROWS = {
  profile: row('profile', kind.choice(['mx', 'submissions', 'submission', 'alternate']), {
    doc: '`mx`: mail from servers (25). `submissions`: TLS from the first byte (465). `submission` (587) and `alternate` (2525): STARTTLS required.',
  }),
  address: row('address', kind.listenAddress, { fallback: '::', fallbackText: '`::`, all addresses', doc: 'The address to listen on.' }),
  port: row('port', kind.port, { fallbackText: "the profile's", doc: 'The port; 0 takes a free one.' }),
  proxyProtocol: row('proxy_protocol', kind.proxyProtocol, {
    fallback: false,
    doc: 'Networks of the proxies whose connections begin with a PROXY header (version 1 or 2), always; `true`: loopback and private networks.',
  }),
} as const;

export const CERTIFICATE_ROWS = {
  cert: row('cert', kind.file, { doc: 'Certificate and chain, PEM. Served to clients that name one of its names (SNI).' }),
  key: row('key', kind.file, { doc: 'Its private key, PEM.' }),
} as const;

export const ROUTE_ROWS = {
  match: row('match', kind.match, {
    fallback: '*',
    ...live,
    doc: 'Recipient domains: one, all below one (`*.example.com`, which is not `example.com` itself), or `*`. The first route that matches is taken.',
  }),
  type: row('type', kind.choice(['mx', 'smarthost', 'lmtp', 'webhook', 'capture']), {
    ...live,
    doc: '`mx`: the mail hosts of the domain. `smarthost`: an upstream relay. `lmtp`: a local mail store. `webhook`: an application, by signed HTTPS requests. `capture`: kept for viewing, never sent.',
  }),
  name: row('name', kind.text, { fallbackText: 'the host', ...live, doc: 'The name of its lane.' }),
  host: row('host', kind.text, { ...live, doc: 'smarthost: a host name or address. lmtp: `host`, `host:port` or `unix:/path`.' }),
  port: row('port', kind.realPort, { ...live, doc: 'lmtp: the port (default 24). smarthost: the only port.' }),
  ports: row('ports', kind.list(kind.realPort), {
    fallbackText: '[465, 587, 2525]',
    ...live,
    doc: 'smarthost: the ladder, tried in this order. TLS from the first byte on 465 and on ports below 32768 that end in it (2465, 10465), STARTTLS required on all others; verified on each.',
  }),
  username: row('username', kind.text, { ...live, doc: 'smarthost: the login. Without it none is made.' }),
  url: row('url', kind.text, { ...live, doc: 'webhook: the https URL that messages are posted to.' }),
  secretFile: row('secret_file', kind.file, {
    ...live,
    doc: 'webhook: the file with the secret that requests are signed with, as Standard Webhooks writes it (`whsec_` and base64 of 24 to 64 bytes); up to three, one a line, while it is changed. Read at each message.',
  }),
  format: row('format', kind.choice(['json', 'raw']), {
    ...live,
    fallbackText: '`json`',
    doc: 'webhook: `json` has envelope, verdicts and the content in base64; `raw` is the message (message/rfc822) with the envelope on top.',
  }),
  timeout: row('timeout', kind.duration('1s', '10m'), { ...live, fallbackText: '`30s`', doc: 'webhook: how long the answer may take once all is sent.' }),
  srs: row('srs', kind.boolean, {
    ...live,
    fallbackText: '`false`',
    doc: 'mx, smarthost: whether mail that came by port 25 leaves with its sender rewritten (SRS), as forwarded mail does. For a next hop that is not your own.',
  }),
  passwordFile: row('password_file', kind.file, { ...live, doc: 'smarthost: the file with the password; read at each connection.' }),
} as const;

export const TLS_POLICY_ROWS = {
  match: row('match', kind.match, { fallback: '*', ...live, doc: 'Recipient domains: one, all below one (`*.example.com`), or `*`. The first row that matches counts.' }),
  require: row('require', kind.choice(['off', 'opportunistic', 'encrypted', 'verified', 'dane']), {
    ...live,
    doc: 'The least that mail for these domains needs; what the domain publishes (DANE, MTA-STS) may ask for more. `encrypted`: TLS, whatever the certificate. `verified`: a certificate for the mail host from a trusted authority (or one that DANE vouches for). `dane`: TLSA records must be there and match. `opportunistic`: TLS where it works, whatever the domain publishes, for a receiver whose policy is broken. `off`: no TLS at all.',
  }),
  names: row('names', kind.list(kind.domain), {
    fallback: [],
    fallbackText: 'the name of the mail host',
    ...live,
    doc: 'With `verified`: names that the certificate may have instead. Set them where the MX records of the domain are not signed: the DNS then cannot redirect its mail.',
  }),
} as const;

export const FORWARD_ROWS = {
  match: row('match', kind.forwarded, { ...live, doc: 'An address of a domain that is received for, or `@` and the domain for all its addresses without a row of their own.' }),
  to: row('to', kind.list(kind.mailAddress), { ...live, doc: 'Where its mail goes instead. To keep it as well, name the address itself among them.' }),
} as const;

/** Tables that may come several times: `[[listener]]`. */
export const LISTS = { listener: LISTENER_ROWS, 'tls.certificate': CERTIFICATE_ROWS, route: ROUTE_ROWS, tls_policy: TLS_POLICY_ROWS, forward: FORWARD_ROWS } as const;

export const DEFAULT_PORTS = { mx: 25, submissions: 465, submission: 587, alternate: 2525 } as const;
export const LADDER = [465, 587, 2525] as const;
export const LMTP_PORT = 24;

function defaultHostname(): string {
  return canonicalDomain(systemHostname()) ?? 'localhost';
}

/** The store thread, main and the kernel want their share. */
function defaultWorkers(): number {
  return Math.min(16, Math.max(1, Math.floor(availableParallelism() / 2)));
}
