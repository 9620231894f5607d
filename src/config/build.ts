// From single values to the configuration as the program has it, with the rules that join several keys.

import { isIP } from 'node:net';
import type { z } from 'zod';
import { canonicalIp } from '#base/ip.ts';
import type { AcmeConfig, Config, ForwardConfig, ListenerConfig, RouteConfig, TlsPolicyConfig } from './config.ts';
import { CERTIFICATE_ROWS, DEFAULT_PORTS, FORWARD_ROWS, LADDER, LISTENER_ROWS, LMTP_PORT, ROUTE_ROWS, ROWS, TLS_POLICY_ROWS } from './schema.ts';
import type { Row } from './schema.ts';
import type { Mistake } from './unknown.ts';
import { canonicalDomain, certificateName } from './values.ts';

const HTTP_PORT = 80;
const HTTPS_PORT = 443;

type OutputOf<Rows extends Readonly<Record<string, Row>>> = {
  readonly [K in keyof Rows]: Rows[K] extends { readonly fallback: unknown } ? z.output<Rows[K]['kind']> : z.output<Rows[K]['kind']> | null;
};

/** What the rows gave; null for what is absent and has no default. */
export type Values = { readonly [K in keyof typeof ROWS]: z.output<(typeof ROWS)[K]['kind']> } & {
  readonly listener: readonly OutputOf<typeof LISTENER_ROWS>[] | null;
  readonly 'tls.certificate': readonly { readonly [K in keyof typeof CERTIFICATE_ROWS]: string | null }[] | null;
  readonly route: readonly RouteValues[] | null;
  readonly forward: readonly OutputOf<typeof FORWARD_ROWS>[] | null;
  readonly tls_policy: readonly OutputOf<typeof TLS_POLICY_ROWS>[] | null;
};

type RouteValues = { readonly [K in keyof typeof ROUTE_ROWS]: z.output<(typeof ROUTE_ROWS)[K]['kind']> | null };
type Mistakes = Mistake[];

/** Builds the configuration; mistakes of keys together are added to `mistakes`, and then the result must not be used. */
export function buildConfig(values: Values, mistakes: Mistakes): Config {
  checkTogether(values, mistakes);
  const certificates = (values['tls.certificate'] ?? []).flatMap(({ cert, key }, i) => {
    if (cert !== null && key !== null) return [{ cert, key }];
    mistakes.push({ path: `tls.certificate.${i}`, text: 'needs cert and key' });
    return [];
  });
  return {
    hostname: values.hostname,
    listeners: buildListeners(values, mistakes),
    tls: { mode: values.tlsMode, cert: values.tlsCert ?? null, key: values.tlsKey ?? null, certificates, minVersion: values.tlsMinVersion, acme: buildAcme(values, mistakes) },
    dns: { servers: values.dnsServers, dnssec: values.dnsDnssec, timeoutMs: values.dnsTimeout },
    delivery: {
      mxPort: values.mxPort,
      allowPrivateAddresses: values.allowPrivate,
      caFile: values.caFile ?? null,
      connectTimeoutMs: values.connectTimeout,
      commandTimeoutMs: values.commandTimeout,
      dataTimeoutMs: values.dataTimeout,
      concurrencyPerLane: values.perLane,
      concurrency: values.connections,
      messagesPerConnection: values.perConnection,
      idleTimeoutMs: values.idleTimeout,
      recipientsPerTransaction: values.perTransaction,
    },
    routes: buildRoutes(values, mistakes),
    tlsPolicies: buildTlsPolicies(values, mistakes),
    forwards: buildForwards(values, mistakes),
    forwarding: { srs: values.forwardingSrs, srsDomain: values.forwardingSrsDomain ?? null, seal: values.forwardingSeal },
    domains: { checkMs: values.domainCheck },
    inbound: {
      domains: values.inboundDomains,
      dmarc: values.inboundDmarc,
      dnsTimeoutMs: values.inboundDnsTimeout,
      trustedSealers: values.trustedSealers,
      trustedNetworks: values.trustedNetworks,
    },
    queue: {
      maxAgeMs: values.maxAge,
      delayWarningMs: values.delayWarning,
      retry: { firstMs: values.retryFirst, factor: values.retryFactor, maxMs: values.retryMax, jitter: values.retryJitter },
      memoryBytes: values.memory,
      minFreeBytes: values.minFree,
      reserveBytes: values.reserve,
      historyMs: values.history,
      historyBytes: values.historySize,
      eventsMs: values.events,
      captureMs: values.capture,
      transcripts: values.transcripts,
    },
    limits: {
      messageSizeBytes: values.messageSize,
      recipients: values.recipients,
      connectionsPerAddress: values.perAddress,
      connections: values.clients,
      authFailures: values.authFailures,
      hops: values.hops,
      commandTimeoutMs: values.clientCommandTimeout,
      dataTimeoutMs: values.clientDataTimeout,
      sessionTimeoutMs: values.sessionTimeout,
      headerBytes: values.headerSize,
      memoryBytes: values.incomingMemory,
    },
    mtaSts: {
      mode: values.stsMode,
      mx: values.stsMx,
      maxAgeMs: values.stsMaxAge,
      address: values.stsAddress,
      port: values.stsPort ?? null,
    },
    tlsReports: {
      send: values.reportsSend,
      organization: values.reportsOrganization ?? null,
      contact: values.reportsContact ?? null,
      from: values.reportsFrom ?? null,
      maxDelayMs: values.reportsMaxDelay,
    },
    doctor: { everyMs: values.doctorEvery, references: values.doctorReferences, addresses: values.doctorAddresses, blocklists: values.doctorBlocklists },
    http: {
      address: values.httpAddress,
      port: values.httpPort,
      corsOrigins: values.httpOrigins,
      trustedProxies: values.httpProxies,
      requestsPerToken: values.httpPerToken,
      requestsPerAddress: values.httpPerAddress,
    },
    sendmail: { socket: values.sendmailSocket ?? null, credential: values.sendmailCredential ?? null },
    telemetry: { traces: buildEndpoint(values, mistakes), headersFile: values.telemetryHeaders ?? null, sample: values.telemetrySample },
    workers: { count: values.workers },
    log: { level: values.logLevel, format: values.logFormat },
  };
}

/** Without the path that the protocol adds. */
function buildEndpoint({ telemetryTraces: text }: Values, mistakes: Mistakes): string | null {
  if (text === '') return null;
  const url = URL.parse(text);
  const wrong = (what: string): null => {
    mistakes.push({ path: 'telemetry.traces', text: what });
    return null;
  };
  if (url === null || !/^https?:$/.test(url.protocol)) return wrong('must be an http or https URL, like "http://127.0.0.1:4318"');
  // It would stand in logs.
  if ([url.username, url.password, url.search, url.hash].some((part) => part !== '')) return wrong('must not have a login, a query or a fragment; a token goes into headers_file');
  return url.href.replace(/\/+$/, '').replace(/\/v1\/traces$/, '');
}

function checkTogether(values: Values, mistakes: Mistakes): void {
  if (values.retryFirst > values.retryMax) mistakes.push({ path: 'queue.retry.first', text: 'must not be longer than queue.retry.max', beside: 'queue.retry.max' });
  if (values.headerSize * 2 > values.incomingMemory) mistakes.push({ path: 'limits.memory', text: 'must be at least twice limits.header_size', beside: 'limits.header_size' });
  if (values.headerSize > values.messageSize) mistakes.push({ path: 'limits.header_size', text: 'must not be larger than limits.message_size', beside: 'limits.message_size' });
  if (values.tlsMode === 'files' && (values.tlsCert ?? null) === null) mistakes.push({ path: 'tls.cert', text: 'is needed with tls.mode = "files"' });
  if (values.tlsMode === 'files' && (values.tlsKey ?? null) === null) mistakes.push({ path: 'tls.key', text: 'is needed with tls.mode = "files"' });
}

function buildAcme(values: Values, mistakes: Mistakes): AcmeConfig {
  const kid = values.acmeEabKid ?? null;
  const keyFile = values.acmeEabKeyFile ?? null;
  if (values.tlsMode === 'acme') {
    const mistake = (key: string, text: string): unknown => mistakes.push({ path: key, text });
    if (!values.acmeAgree) mistake('tls.acme.agree_terms', 'must be true with tls.mode = "acme": you agree to the terms of service of the authority');
    if (!certificateName.safeParse(values.hostname).success)
      mistake('hostname', `${JSON.stringify(values.hostname)} must be a host name with a dot (and without an underscore) for tls.mode = "acme"`);
    if (values.acmeChallenge === 'dns-01' && values.acmeHook.length === 0) mistake('tls.acme.hook', 'is needed with tls.acme.challenge = "dns-01"');
    if (values.acmeChallenge !== 'dns-01' && values.acmeNames.some((name) => name.startsWith('*')))
      mistake('tls.acme.names', 'has a wildcard, which needs tls.acme.challenge = "dns-01"');
    if ((kid === null) !== (keyFile === null))
      mistake(kid === null ? 'tls.acme.eab_kid' : 'tls.acme.eab_key_file', 'is needed: an external account has both eab_kid and eab_key_file');
  }
  return {
    directory: values.acmeDirectory,
    contact: values.acmeContact,
    names: values.acmeNames,
    challenge: values.acmeChallenge,
    address: values.acmeAddress,
    port: values.acmePort ?? (values.acmeChallenge === 'tls-alpn-01' ? HTTPS_PORT : HTTP_PORT),
    hook: values.acmeHook,
    hookTimeoutMs: values.acmeHookTimeout,
    dnsWaitMs: values.acmeDnsWait,
    keyType: values.acmeKeyType,
    caFile: values.acmeCaFile ?? null,
    external: kid === null || keyFile === null ? null : { kid, keyFile },
  };
}

/** Of rows that match domains the first one counts: one that an earlier row covers whole would never be asked. */
function checkReached(list: string, matches: readonly string[], mistakes: Mistakes): void {
  const covers = (wide: string, narrow: string): boolean => wide === '*' || wide === narrow || (wide.startsWith('*.') && narrow.endsWith(wide.slice(1)));
  matches.forEach((match, i) => {
    const before = matches.findIndex((earlier, n) => n < i && covers(earlier, match));
    if (before !== -1) mistakes.push({ path: `${list}.${i}.match`, text: `"${match}" is never reached: ${list}.${before} matches "${matches[before]}" before it` });
  });
}

function buildListeners(values: Values, mistakes: Mistakes): ListenerConfig[] {
  if (values.listener === null) {
    return (Object.keys(DEFAULT_PORTS) as (keyof typeof DEFAULT_PORTS)[]).map((profile) => ({ profile, address: '::', port: DEFAULT_PORTS[profile], proxyProtocol: false }));
  }
  const taken: Place[] = [{ address: values.httpAddress, port: values.httpPort, owner: 'http.port' }];
  return values.listener.flatMap(({ profile, address, port, proxyProtocol }, i) => {
    if (profile === null) {
      mistakes.push({ path: `listener.${i}.profile`, text: 'is needed: "mx", "submissions", "submission" or "alternate"' });
      return [];
    }
    const listener = { profile, address: address ?? '::', port: port ?? DEFAULT_PORTS[profile], proxyProtocol: proxyProtocol ?? false };
    const other = taken.find((place) => overlaps(place, listener));
    if (other !== undefined) mistakes.push({ path: `listener.${i}.port`, text: `${listener.port} on ${listener.address} is taken by ${other.owner} (${other.address})` });
    taken.push({ ...listener, owner: `listener.${i}` });
    return [listener];
  });
}

type Place = { readonly address: string; readonly port: number; readonly owner: string };

/** Both cannot be had: `::` takes the port for all addresses of both families, 0.0.0.0 for all of IPv4. Port 0 is another one each time. */
function overlaps(one: Place, other: Omit<Place, 'owner'>): boolean {
  if (one.port !== other.port || one.port === 0) return false;
  const [a, b] = [canonicalIp(one.address), canonicalIp(other.address)];
  const covers = (wide: string, narrow: string): boolean => wide === '::' || (wide === '0.0.0.0' && isIP(narrow) === 4);
  return a === b || covers(a, b) || covers(b, a);
}

function buildRoutes(values: Values, mistakes: Mistakes): RouteConfig[] {
  const names = new Set<string>();
  const named = (wanted: string): string => {
    let name = wanted;
    for (let n = 2; names.has(name); n++) name = `${wanted}-${n}`;
    names.add(name);
    return name;
  };
  const routes = values.route ?? [];
  checkReached(
    'route',
    routes.map((route) => route.match ?? '*'),
    mistakes,
  );
  return routes.flatMap((route, i) => {
    const mistake = (key: string, text: string): [] => {
      mistakes.push({ path: `route.${i}.${key}`, text });
      return [];
    };
    const only = onlyFor(route, mistake);
    if (only !== null) return only;
    const match = route.match ?? '*';
    switch (route.type) {
      case null:
        return mistake('type', 'is needed: "mx", "smarthost", "lmtp", "webhook" or "capture"');
      case 'mx':
        return [{ match, name: named(route.name ?? route.type), type: 'mx', srs: route.srs ?? false }];
      case 'capture':
        return [{ match, name: named(route.name ?? route.type), type: 'capture' }];
      case 'smarthost':
        return smarthost(route, { match, named, mistake });
      case 'lmtp':
        return lmtp(route, { match, named, mistake });
      case 'webhook':
        return webhook(route, { match, named, mistake });
    }
  });
}

function buildForwards(values: Values, mistakes: Mistakes): ForwardConfig[] {
  const seen = new Map<string, number>();
  return (values.forward ?? []).flatMap(({ match, to }, i) => {
    if (match === null) mistakes.push({ path: `forward.${i}.match`, text: 'is needed: an address, or "@" and a domain' });
    if (to === null || to.length === 0) mistakes.push({ path: `forward.${i}.to`, text: 'is needed: at least one address' });
    if (match === null || to === null) return [];
    const before = seen.get(match);
    if (before !== undefined) mistakes.push({ path: `forward.${i}.match`, text: `is that of forward.${before} already; write all addresses there` });
    seen.set(match, i);
    return [{ match, to }];
  });
}

function buildTlsPolicies(values: Values, mistakes: Mistakes): TlsPolicyConfig[] {
  const policies = values.tls_policy ?? [];
  checkReached(
    'tls_policy',
    policies.map(({ match }) => match ?? '*'),
    mistakes,
  );
  return policies.flatMap(({ match, require, names }, i) => {
    if (require === null) {
      mistakes.push({ path: `tls_policy.${i}.require`, text: 'is needed: "off", "opportunistic", "encrypted", "verified" or "dane"' });
      return [];
    }
    const given = names ?? [];
    if (given.length > 0 && require !== 'verified') mistakes.push({ path: `tls_policy.${i}.names`, text: 'means something with require = "verified" only' });
    return [{ match: match ?? '*', require, names: given }];
  });
}

type Building = { readonly match: string; readonly named: (wanted: string) => string; readonly mistake: (key: string, text: string) => [] };

function smarthost(route: RouteValues, { match, named, mistake }: Building): RouteConfig[] {
  if (route.host === null) return mistake('host', 'is needed for a smarthost');
  const host = isIP(route.host) === 0 ? canonicalDomain(route.host) : route.host;
  if (host === null) return mistake('host', `${JSON.stringify(route.host)} must be a host name or IP address; ports stand in ports`);
  if (route.port !== null && route.ports !== null) return mistake('port', 'says the same as ports; leave one out');
  const ports = route.ports ?? (route.port === null ? LADDER : [route.port]);
  if (ports.length === 0) return mistake('ports', 'must have at least one port');
  if ((route.username === null) !== (route.passwordFile === null))
    return mistake(route.username === null ? 'username' : 'password_file', 'is needed: a login has both username and password_file');
  return [{ match, name: named(route.name ?? host), type: 'smarthost', host, ports, username: route.username, passwordFile: route.passwordFile, srs: route.srs ?? false }];
}

function lmtp(route: RouteValues, { match, named, mistake }: Building): RouteConfig[] {
  if (route.host === null) return mistake('host', 'is needed for lmtp: a host, host:port or unix:/path');
  if (route.ports !== null && route.ports.length !== 1) return mistake('ports', 'lmtp has one port; write port = 24');
  if (route.port !== null && route.ports !== null) return mistake('port', 'says the same as ports; leave one out');
  const socket = route.host.replace(/^unix:/, '');
  if (socket.startsWith('/')) {
    if (route.port !== null || route.ports !== null) return mistake(route.port === null ? 'ports' : 'port', 'means nothing with a socket for host');
    return [{ match, name: named(route.name ?? route.host), type: 'lmtp', host: 'localhost', port: null, socket }];
  }
  const found = isIP(route.host) === 0 ? /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(route.host) : null;
  const name = found?.[1] ?? found?.[2] ?? route.host;
  const host = isIP(name) === 0 ? canonicalDomain(name) : name;
  const written = found?.[3] === undefined ? null : Number(found[3]);
  if (host === null || (written !== null && (written < 1 || written > 65_535))) return mistake('host', `${JSON.stringify(route.host)} must be a host, host:port or unix:/path`);
  if (written !== null && (route.port ?? route.ports) !== null) return mistake(route.port === null ? 'ports' : 'port', 'is said in host already; leave one out');
  const port = written ?? route.port ?? route.ports?.[0] ?? LMTP_PORT;
  return [{ match, name: named(route.name ?? `${host}:${port}`), type: 'lmtp', host, port, socket: null }];
}

const WEBHOOK_TIMEOUT_MS = 30_000;

function webhook(route: RouteValues, { match, named, mistake }: Building): RouteConfig[] {
  if (route.url === null) return mistake('url', 'is needed for a webhook: an https URL');
  if (route.secretFile === null) return mistake('secret_file', 'is needed for a webhook: every request is signed');
  const url = URL.canParse(route.url) ? new URL(route.url) : null;
  if (url === null || url.protocol !== 'https:') return mistake('url', 'must be an https URL, like "https://app.example.com/mail"');
  // It would stand in logs and process lists.
  if (url.username !== '' || url.password !== '') return mistake('url', 'must not have a login in it; requests are signed with secret_file');
  url.hash = '';
  const { secretFile, format, timeout } = route;
  return [{ match, name: named(route.name ?? url.host), type: 'webhook', url: url.href, secretFile, format: format ?? 'json', timeoutMs: timeout ?? WEBHOOK_TIMEOUT_MS }];
}

const OWN_KEYS = {
  mx: ['srs'],
  capture: [],
  smarthost: ['host', 'port', 'ports', 'username', 'passwordFile', 'srs'],
  lmtp: ['host', 'port', 'ports'],
  webhook: ['url', 'secretFile', 'format', 'timeout'],
} as const satisfies Record<RouteConfig['type'], readonly (keyof RouteValues)[]>;

/** Keys that say nothing for this type of route are told, not passed over. */
function onlyFor(route: RouteValues, mistake: Building['mistake']): [] | null {
  if (route.type === null) return null;
  const own: readonly string[] = OWN_KEYS[route.type];
  const wrong = (Object.values(OWN_KEYS).flat() as (keyof RouteValues)[]).find((key) => route[key] !== null && !own.includes(key));
  return wrong === undefined ? null : mistake(ROUTE_ROWS[wrong].key, `means nothing for a route of type "${route.type}"`);
}
