// The runner: what is looked at for a host or a domain, side by side, and the findings in order. The table of port checks is here; what each
// looks for is in checks/.

import { isMadeAfter } from '#base/ports.ts';
import type { SecureContext } from 'node:tls';
import { isIP } from 'node:net';
import { findAddresses } from '#dns/mx.ts';
import type { Resolver } from '#dns/resolver.ts';
import { authBeforeTls, authMechanisms, login } from './checks/authentication.ts';
import { certificateChain, certificateDates, certificateKey, certificateName } from './checks/certificate.ts';
import type { PortCheck } from './checks/check.ts';
import { downgrade, injection, starttls, tls, versions } from './checks/encryption.ts';
import { ehlo, greeting } from './checks/greeting.ts';
import { latency, openRelay, rate, size } from './checks/policy.ts';
import { judgeTcp, tcp } from './checks/tcp.ts';
import { dane as daneCheck, keepsDane } from './domain/dane.ts';
import { examineDomain } from './domain/examine.ts';
import type { DomainOptions } from './domain/examine.ts';
import { keepsPolicy, mtaSts } from './domain/mta-sts.ts';
import { Conversation } from './probes/conversation.ts';
import type { Place } from './probes/conversation.ts';
import { probePort } from './probes/port.ts';
import type { Login, PortEvidence, Role } from './probes/port.ts';
import { summarize } from './report.ts';
import type { Finding, Report, Verdict } from './report.ts';
import type { Target } from './target.ts';

export type DoctorOptions = DomainOptions & {
  /** Where mail hosts are reached. */
  readonly mxPort: number;
  readonly resolver: Resolver;
  readonly context: SecureContext;
  /** The name said in EHLO. */
  readonly helo: string;
  /** For each step; a port as a whole gets three times as much. */
  readonly timeoutMs: number;
  readonly ports: readonly number[];
  readonly login: Login | null;
  /** Log in although the certificate does not verify. */
  readonly insecure: boolean;
  /** A mailbox elsewhere that open relays are looked for with; default: ones that are nobody's. */
  readonly relayTo?: string;
  /** A host that is known to serve the ports, to tell a blocked network from a dead host; null: none. */
  readonly reference: string | null;
  readonly signal?: AbortSignal;
  /** Called as each finding is there, for live output. */
  readonly found?: (finding: Finding) => void;
  /** Called when a part begins. */
  readonly begun?: (what: string) => void;
};

export const PORTS: readonly number[] = [25, 465, 587, 2525];
/** Nobody takes mail for the first one (RFC 2606), which is why some servers refuse it; the second one's domain does. Nothing is ever sent to them. */
const RELAY_TO = ['postern-relay-test@example.org', 'postern-relay-test@iana.org'] as const;
const PATIENCE = 3;

const PORT_CHECKS: readonly PortCheck[] = [
  tcp,
  greeting,
  ehlo,
  starttls,
  tls,
  versions,
  certificateDates,
  certificateName,
  certificateChain,
  certificateKey,
  authBeforeTls,
  authMechanisms,
  login,
  downgrade,
  injection,
  openRelay,
  size,
  rate,
  latency,
];

/** Examines a target. Never rejects for what it finds; the whole is bounded by the timeout of its steps. */
export async function diagnose(text: string, target: Target, options: DoctorOptions): Promise<Report> {
  const startMs = performance.now();
  const startedAt = new Date().toISOString();
  const findings: Finding[] = [];
  const add: Add = (finding, { told = false } = {}) => {
    findings.push(finding);
    if (!told) options.found?.(finding);
  };
  if (target.kind === 'host') await examineHost(target.host, target.port, options, add);
  else await examineMailDomain(target.domain, options, add);
  return { target: text, kind: target.kind, startedAt, durationMs: Math.round(performance.now() - startMs), checks: findings, summary: summarize(findings) };
}

/** `told`: it was called out already, when it was found. */
type Add = (finding: Finding, how?: { readonly told?: boolean }) => void;

async function examineHost(host: string, port: number | null, options: DoctorOptions, add: Add): Promise<void> {
  options.begun?.(`looking up ${host}`);
  const addresses = await lookUp(host, options, add);
  if (addresses.length === 0) return;
  const ports = port === null ? options.ports : [port];
  const place = (address: string) => (number: number) => ({ host, address, port: number });
  const several = addresses.length > 1;
  options.begun?.(`probing ${ports.map(String).join(', ')} of ${addresses.join(' and ')}`);
  // References are asked at the same time, so that a blocked network costs one timeout, not two.
  const references = referenceProbe(ports, options);
  const first = familiesOf(addresses);
  const others = addresses.filter((address) => !first.includes(address));
  const probing = { findingsOf: (evidence: PortEvidence) => judge(evidence, { named: port !== null, usable: true, several }) };
  const [found, elsewhere] = await Promise.all([
    probeAll(
      first.flatMap((address) => ports.map(place(address))),
      options,
      probing,
    ),
    reachAll(
      others.flatMap((address) => ports.map(place(address))),
      options,
    ),
  ]);
  // The ones that were chosen may be the dead ones: then another is looked at in their place.
  const instead = found.some(connected) ? undefined : elsewhere.find(connected)?.address;
  const all = instead === undefined ? found : [...found, ...(await probeAll(ports.map(place(instead)), options, probing))];
  const usable = all.some((evidence) => evidence.capabilities !== null || evidence.capabilitiesTls !== null);
  const dead = deadAddresses([...found, ...elsewhere]);
  for (const evidence of all) {
    if (dead.some(({ subject }) => subject === subjectOf(evidence, true))) continue;
    for (const finding of judge(evidence, { named: port !== null, usable, several })) add(finding, { told: connected(evidence) });
  }
  for (const one of dead) add(one);
  for (const finding of await outbound(all, references, options)) add(finding);
}

const connected = ({ connect }: Pick<PortEvidence, 'connect'>): boolean => 'value' in connect;

type Probing = {
  readonly role?: Role;
  /** Called as soon as a port is done that could be connected to: what it says does not hang on the others. */ readonly findingsOf: (evidence: PortEvidence) => readonly Finding[];
};

async function probeAll(places: readonly Place[], options: DoctorOptions, { role, findingsOf }: Probing): Promise<readonly PortEvidence[]> {
  return Promise.all(
    places.map(async (place) => {
      const evidence = await probe(place, options, role);
      if (connected(evidence)) for (const finding of findingsOf(evidence)) options.found?.(finding);
      return evidence;
    }),
  );
}

/** Addresses of a host beyond the first of each family, and how many of them are tried: whether they take a connection at all. */
const ADDRESSES = 8;

type Reached = Pick<PortEvidence, keyof Place | 'connect' | 'timeoutMs'>;

async function reachAll(places: readonly Place[], options: DoctorOptions): Promise<readonly Reached[]> {
  const { helo, context, timeoutMs, signal } = options;
  return Promise.all(
    places.slice(0, ADDRESSES * options.ports.length).map(async (place) => {
      const opened = await Conversation.open(place, { helo, context, timeoutMs, ...(signal === undefined ? {} : { signal }) });
      if ('failure' in opened) return { ...place, timeoutMs, connect: opened };
      opened.conversation.close();
      return { ...place, timeoutMs, connect: { value: null, ms: opened.conversation.connectMs } };
    }),
  );
}

/** Where some addresses of a host serve a port, the others of that family have to: clients are given them in turn. */
function deadAddresses(reached: readonly Reached[]): Finding[] {
  return reached.flatMap((one) => {
    const served = reached.some((other) => other.host === one.host && other.port === one.port && other.address.includes(':') === one.address.includes(':') && connected(other));
    if (connected(one) || !served) return [];
    const verdict = judgeTcp(one);
    const cause = `${verdict.cause ?? ''} Other addresses of ${one.host} are served: clients are given all of them in turn, so that some connections fail or wait.`;
    const fix = `Mend the server at ${one.address}, or take the address out of the DNS of ${one.host}.`;
    return [finding(tcp, { ...verdict, title: 'one of several addresses does not answer', cause, fix }, { subject: subjectOf(one, true), host: one.host, port: one.port })];
  });
}

function subjectOf({ host, address, port }: Place, several: boolean): string {
  if (host === address) return address.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  return several ? `${host}[${address}]:${port}` : `${host}:${port}`;
}

/** Hosts of a domain that are probed; the best ones. */
const HOSTS = 4;

async function examineMailDomain(domain: string, options: DoctorOptions, add: Add): Promise<void> {
  options.begun?.(`reading the records of ${domain}`);
  const { findings, hosts, sts, dane } = await examineDomain(domain, options.resolver, options);
  // Several findings of one check for one subject: numbered, so that ids stay unique.
  const seen = new Map<string, number>();
  for (const { check, verdict, durationMs } of findings) {
    const subject = verdict.subject ?? domain;
    const key = `${check.id}@${subject}`;
    const n = (seen.get(key) ?? 0) + 1;
    seen.set(key, n);
    add(finding({ id: n === 1 ? check.id : `${check.id}-${n}`, title: check.title }, { durationMs, ...verdict }, { subject, host: null, port: null }));
  }
  const best = hosts.slice(0, HOSTS);
  const place = (host: string) => (address: string) => ({ host, address, port: options.mxPort });
  const places = best.flatMap(({ host, addresses }) => familiesOf(addresses).map(place(host)));
  if (places.length === 0) return;
  options.begun?.(`probing port ${options.mxPort} of ${hosts.map(({ host }) => host).join(', ')}`);
  const references = referenceProbe([options.mxPort], options);
  const others = best.flatMap(({ host, addresses }) => addresses.filter((address) => !familiesOf(addresses).includes(address)).map(place(host)));
  const findingsOf = (usable: boolean) => (evidence: PortEvidence) => {
    const kept = keepsDane(dane, domain, evidence);
    const policy = keepsPolicy(sts, evidence);
    const of = { subject: `${evidence.host}[${evidence.address}]:${evidence.port}`, host: evidence.host, port: evidence.port };
    return [
      // The MX record names the port: a host that does not take mail there is at fault, whatever the others do.
      ...judge(evidence, { named: true, usable, several: true }).map((one) => (kept?.vouched === true ? vouched(one) : one)),
      ...(kept === null ? [] : [finding(daneCheck, kept.verdict, of)]),
      ...(policy === null ? [] : [finding(mtaSts, policy, of)]),
      ...greetingNames([evidence]),
    ];
  };
  const [all, elsewhere, submission] = await Promise.all([
    probeAll(places, { ...options, login: null }, { role: 'mx', findingsOf: findingsOf(true) }),
    reachAll(others, options),
    probeSubmission(best, options),
  ]);
  const usable = all.some((evidence) => evidence.capabilities !== null);
  for (const evidence of all) for (const one of findingsOf(usable)(evidence)) add(one, { told: connected(evidence) });
  for (const one of deadAddresses([...all, ...elsewhere]).filter(({ subject }) => elsewhere.some((other) => subjectOf(other, true) === subject))) add(one);
  for (const one of submission) add(one, { told: one.status !== 'skip' });
  for (const one of await outbound(all, references, options)) add(one);
}

/** Most mail hosts of big providers drop what comes to these ports: that is not waited for as long as for what should be there. */
const SUBMISSION_MS = 2500;

/** The ports for programs at the mail hosts of a domain. They need not be there; where they are, they have to be as safe as anywhere. */
async function probeSubmission(hosts: readonly { readonly host: string; readonly addresses: readonly string[] }[], options: DoctorOptions): Promise<readonly Finding[]> {
  const ports = options.ports.filter((port) => port !== options.mxPort && roleOf(port) !== 'mx');
  const places = hosts.flatMap(({ host, addresses }) => familiesOf(addresses).flatMap((address) => ports.map((port) => ({ host, address, port }))));
  const findingsOf = (evidence: PortEvidence): Finding[] => {
    const findings = judge(evidence, { named: false, usable: true, several: true });
    if (connected(evidence)) return findings;
    return findings.map((one) => ({ ...one, status: 'skip' as const, title: 'no submission at this mail host', cause: '', fix: '' }));
  };
  const patient = { ...options, login: null, timeoutMs: Math.min(options.timeoutMs, SUBMISSION_MS) };
  return (await probeAll(places, patient, { findingsOf })).flatMap(findingsOf);
}

/** A certificate that a TLSA record stands for needs no authority, no name and no dates (RFC 7672 3.1.1). */
function vouched(finding: Finding): Finding {
  if (finding.status !== 'warn' || !/^certificate-(?:chain|name|expiry)@/.test(finding.id)) return finding;
  return { ...finding, status: 'pass', evidence: `${finding.title}, but a TLSA record stands for it: ${finding.evidence}`, cause: '', fix: '' };
}

/** The name a server greets with should be its own: receivers of its mail look at it. */
function greetingNames(all: readonly PortEvidence[]): Finding[] {
  return all.flatMap((evidence) => {
    const { greeting: step, host, address, port } = evidence;
    if (step === null || !('value' in step) || step.value.code !== 220) return [];
    const [name = ''] = (step.value.lines[0] ?? '').split(' ');
    const good = /^[a-z0-9-]+(?:\.[a-z0-9-]+)+$/i.test(name) && !/\.(?:local|localdomain|lan|internal)$/i.test(name);
    const of = { subject: `${host}[${address}]:${port}`, host, port };
    const verdict: Verdict = good
      ? { status: 'pass', evidence: `it greets as ${name}` }
      : {
          status: 'warn',
          title: 'the server does not greet with a full host name',
          evidence: `220 ${step.value.lines[0] ?? ''}`,
          cause: 'If it says the same name in EHLO when it sends, receivers refuse it.',
          fix: 'Set the host name of the mail server to its full public name (Postfix: myhostname).',
        };
    return [finding({ id: 'helo-name', title: 'name of the server' }, verdict, of)];
  });
}

function familiesOf(addresses: readonly string[]): string[] {
  return [addresses.find((address) => !address.includes(':')), addresses.find((address) => address.includes(':'))].filter((address) => address !== undefined);
}

/** A and AAAA, with the time they took. */
async function lookUp(host: string, { resolver }: DoctorOptions, add: Add): Promise<string[]> {
  if (isIP(host) !== 0) return [host];
  if (host === 'localhost') return ['127.0.0.1'];
  const startMs = performance.now();
  const [a, aaaa] = await Promise.all([resolver.a(host), resolver.aaaa(host)]);
  const durationMs = performance.now() - startMs;
  const v4 = a.status === 'found' ? a.records : [];
  const v6 = aaaa.status === 'found' ? aaaa.records : [];
  const verdict = dnsVerdict(host, [a, aaaa], [...v4, ...v6]);
  add(finding({ id: 'dns', title: 'address records' }, { ...verdict, durationMs }, { subject: host, host, port: null }));
  return [...v4, ...v6];
}

function dnsVerdict(host: string, answers: readonly Awaited<ReturnType<Resolver['a']>>[], addresses: readonly string[]): Verdict {
  if (addresses.length > 0) return { status: 'pass', evidence: addresses.join(', ') };
  const failed = answers.find((answer) => answer.status === 'failed');
  if (failed?.status === 'failed')
    return {
      status: 'fail',
      title: 'DNS does not answer',
      evidence: failed.detail,
      cause: `The resolver gives no answer for ${host}: it is not reached, or the zone is broken (DNSSEC, dead name servers).`,
      fix: 'Check the resolver of this machine, then the name servers of the domain.',
    };
  const none = answers.some((answer) => answer.status === 'no-domain');
  return {
    status: 'fail',
    title: none ? 'the name does not exist' : 'the name has no address',
    evidence: none ? `NXDOMAIN for ${host}` : `neither A nor AAAA for ${host}`,
    cause: none ? 'The host name is mistyped, or its domain has expired.' : 'The name exists but has no address record.',
    fix: 'Check the spelling of the host name; add an A record for it.',
  };
}

function roleOf(port: number): Role {
  // 10025 and 10587 are what those who may not bind the real ones take.
  if (isMadeAfter(port, 25)) return 'mx';
  if (isMadeAfter(port, 465)) return 'submissions';
  return isMadeAfter(port, 587) || port === 2525 ? 'submission' : 'unknown';
}

async function probe(place: Place, options: DoctorOptions, role: Role = roleOf(place.port)): Promise<PortEvidence> {
  const { helo, context, timeoutMs, login: credentials, insecure } = options;
  const patience = AbortSignal.timeout(timeoutMs * PATIENCE);
  const signal = options.signal === undefined ? patience : AbortSignal.any([patience, options.signal]);
  return probePort(place, role, { helo, context, timeoutMs, signal, login: credentials, insecure, relayTo: options.relayTo === undefined ? RELAY_TO : [options.relayTo] });
}

type Frame = { readonly named: boolean; readonly usable: boolean; readonly several: boolean };

/** The findings of one port. A port that nobody named and that is simply not served is no fault where another one works. */
function judge(evidence: PortEvidence, { named, usable, several }: Frame): Finding[] {
  const { host, port } = evidence;
  const subject = subjectOf(evidence, several);
  const findings = PORT_CHECKS.flatMap((check) => {
    const verdict = check.judge(evidence);
    return verdict === null ? [] : [finding(check, verdict, { subject, host, port })];
  });
  const [first, ...rest] = findings;
  const { connect } = evidence;
  if (first === undefined || first.status !== 'fail' || !usable || !('failure' in connect)) return findings;
  // Nothing is known of the host where this machine has no IPv6 itself.
  if (evidence.address.includes(':') && (connect.failure.code === 'ENETUNREACH' || connect.failure.code === 'EADDRNOTAVAIL'))
    return [{ ...first, status: 'skip', title: 'this machine has no IPv6', cause: '', fix: '' }, ...rest];
  if (named) return findings;
  return [{ ...first, status: connect.failure.kind === 'timeout' ? 'warn' : 'skip' }, ...rest];
}

function finding(check: { readonly id: string; readonly title: string }, verdict: Verdict, of: { subject: string; host: string | null; port: number | null }): Finding {
  const { status, evidence, cause = '', fix = '', title = check.title, durationMs = 0 } = verdict;
  return { id: `${check.id}@${of.subject}`, title, status, evidence, cause, fix, durationMs: Math.round(durationMs), ...of };
}

type References = ReadonlyMap<number, Promise<boolean | null>>;

/** Whether the reference host takes a connection on each port; null: it could not be looked up. */
function referenceProbe(ports: readonly number[], options: DoctorOptions): References {
  const { reference, resolver, timeoutMs } = options;
  if (reference === null) return new Map();
  const address =
    isIP(reference) !== 0 ? Promise.resolve(reference) : findAddresses(resolver, reference).then((answer) => ('addresses' in answer ? (answer.addresses[0] ?? null) : null));
  return new Map(
    ports.map((port) => [
      port,
      address.then(async (found) => {
        if (found === null) return null;
        const opened = await Conversation.open({ host: reference, address: found, port }, { helo: options.helo, context: options.context, timeoutMs });
        if ('failure' in opened) return opened.failure.code === 'ECONNREFUSED';
        opened.conversation.close();
        return true;
      }),
    ]),
  );
}

/** For ports that timed out: is it this network, or the host? */
async function outbound(all: readonly PortEvidence[], references: References, { reference }: DoctorOptions): Promise<Finding[]> {
  const silent = [...new Set(all.filter(({ connect }) => 'failure' in connect && connect.failure.kind === 'timeout').map(({ port }) => port))];
  const findings: Finding[] = [];
  for (const port of silent) {
    const reached = await references.get(port);
    const of = { subject: `outbound port ${port}`, host: reference, port };
    if (reached === undefined || reached === null) {
      const evidence = reference === null ? 'no reference host was asked (--reference HOST names one)' : `the reference host ${reference} could not be looked up`;
      findings.push(finding({ id: 'outbound', title: `is port ${port} blocked here?` }, { status: 'skip', evidence }, of));
    } else if (reached)
      findings.push(
        finding(
          { id: 'outbound', title: `port ${port} is open from here` },
          { status: 'pass', evidence: `${reference} answers on port ${port}: this network lets it out, so the host that was asked drops it or is down` },
          of,
        ),
      );
    else
      findings.push(
        finding(
          { id: 'outbound', title: `this network blocks port ${port}` },
          {
            status: 'fail',
            evidence: `neither the host that was asked nor ${reference} answers on port ${port}`,
            cause: `Outbound port ${port} is blocked by the provider, the cloud or a firewall of this network.`,
            fix:
              port === 25
                ? 'Hand mail to a relay on 465, 587 or 2525, or ask the provider to open port 25.'
                : 'Use 2525 or 465, ask the provider to unblock it, or use an HTTP API.',
          },
          of,
        ),
      );
  }
  return findings;
}
