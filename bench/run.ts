// The benchmark: messages a second accepted and end to end, CPU, latency of the 250, memory; Postern and (where it is installed) Postfix with
// the same load in the same run, as ratios. `bench/run [--messages N] [--connections N] [--size BYTES] [--only NAME] [--json] [--no-postfix]`.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { makeAuthority } from '../test/support/authority.ts';
import { startDns } from '../test/support/dns.ts';
import { startDovecot } from '../test/support/dovecot.ts';
import { startPostern } from '../test/support/postern.ts';
import { startPostfix } from '../test/support/postfix.ts';
import { startSink } from '../test/support/sink.ts';
import type { Sink } from '../test/support/sink.ts';
import { closeAll, freePort, until } from '../test/support/temp.ts';
import type { Load, LoadResult } from './load.ts';
import { cpuSeconds, memoryMb } from './measure.ts';

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '40000' },
    connections: { type: 'string', default: '20' },
    size: { type: 'string', default: '5000' },
    only: { type: 'string' },
    json: { type: 'boolean', default: false },
    postfix: { type: 'boolean', default: true },
  },
  allowNegative: true,
});
const messages = Number(values.messages);
const connections = Number(values.connections);
const sizeBytes = Number(values.size);
/** Messages before those that are counted: a server runs for weeks, and its code is compiled in the first seconds. */
const WARM_UP = 10_000;
/** Postfix is slow enough that fewer say as much. */
const POSTFIX_SHARE = 0.25;

type Scenario = {
  readonly name: string;
  readonly what: string;
  readonly security: Load['security'];
  readonly perConnection: number;
  readonly profile: 'mx' | 'submission' | 'submissions';
  /** By HTTP instead, which Postfix does not have. */
  readonly http?: 'json' | 'raw';
  readonly share: number;
  /** The sender's domain has keys: RSA-2048 and Ed25519 signatures on each message. Postfix would need another program for it. */
  readonly signed?: boolean;
};

const SCENARIOS: readonly Scenario[] = [
  { name: 'mx-reused', what: 'port 25, connections reused', security: 'none', perConnection: Infinity, profile: 'mx', share: 1 },
  { name: 'mx-single', what: 'port 25, one message a connection', security: 'none', perConnection: 1, profile: 'mx', share: 0.5 },
  { name: 'submission', what: 'port 587, STARTTLS and AUTH, connections reused', security: 'starttls', perConnection: Infinity, profile: 'submission', share: 1 },
  { name: 'submissions', what: 'port 465, TLS and AUTH, connections reused', security: 'implicit', perConnection: Infinity, profile: 'submissions', share: 1 },
  { name: 'submission-signed', what: 'the same as submission, each message signed', security: 'starttls', perConnection: Infinity, profile: 'submission', share: 1, signed: true },
  { name: 'http-json', what: 'POST /v1/messages, JSON, connections reused', security: 'none', perConnection: Infinity, profile: 'submission', share: 1, http: 'json' },
  { name: 'http-raw', what: 'POST /v1/messages, message/rfc822, connections reused', security: 'none', perConnection: Infinity, profile: 'submission', share: 1, http: 'raw' },
];

type Row = {
  readonly scenario: string;
  readonly server: 'postern' | 'postfix';
  readonly messages: number;
  readonly acceptedPerSecond: number;
  readonly endToEndPerSecond: number;
  readonly cpuPer1000: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly peakMb: number;
};

type Server = {
  readonly pid: number;
  port(profile: Scenario['profile']): number;
  readonly login: Load['login'];
  readonly http: { readonly port: number; readonly token: string } | null;
};

async function measure(scenario: Scenario, server: 'postern' | 'postfix', under: Server, sink: Sink, count: number): Promise<Row> {
  const login = scenario.profile === 'mx' ? null : under.login;
  const load: Load = {
    address: '127.0.0.1',
    port: scenario.http === undefined ? under.port(scenario.profile) : (under.http?.port ?? 0),
    connections,
    messages: count,
    sizeBytes,
    security: scenario.security,
    login,
    perConnection: Number.isFinite(scenario.perConnection) ? scenario.perConnection : 1e9,
    recipient: 'receiver@bench.test',
    http: scenario.http === undefined ? null : { form: scenario.http, token: under.http?.token ?? '' },
  };
  await runLoad({ ...load, messages: Math.min(WARM_UP, Math.ceil(count / 4)) });
  const warm = await settled(sink);
  const cpuBefore = cpuSeconds(under.pid);
  const startMs = performance.now();
  const result = await runLoad(load);
  await until('everything is delivered', () => sink.taken() >= warm + result.accepted, 300_000);
  const seconds = (performance.now() - startMs) / 1000;
  const cpu = cpuSeconds(under.pid) - cpuBefore;
  if (result.refused > 0) process.stderr.write(`${server} ${scenario.name}: ${result.refused} refused\n`);
  return {
    scenario: scenario.name,
    server,
    messages: result.accepted,
    acceptedPerSecond: result.accepted / result.seconds,
    endToEndPerSecond: result.accepted / seconds,
    cpuPer1000: (cpu / result.accepted) * 1000,
    p50Ms: result.p50Ms,
    p99Ms: result.p99Ms,
    peakMb: memoryMb(under.pid, 'VmHWM'),
  };
}

/** The load starts some 100 ms after its process; that time is in the end-to-end figure of both. */
async function runLoad(load: Load): Promise<LoadResult> {
  const child = spawn(process.execPath, [fileURLToPath(new URL('load.ts', import.meta.url)), JSON.stringify(load)], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number];
  if (code !== 0) throw new Error('the load failed');
  return JSON.parse(text) as LoadResult;
}

async function settled(sink: Sink): Promise<number> {
  let last = -1;
  return until(
    'the sink is quiet',
    async () => {
      const now = sink.taken();
      const quiet = now === last && now > 0;
      last = now;
      if (quiet) return now;
      await new Promise((resolve) => setTimeout(resolve, 400));
      return null;
    },
    120_000,
  );
}

/** Both find the sink by MX. Postfix asks the resolver of the system (port 53) and dials port 25: so does everything here. */
const ZONES = { 'bench.test': '@ MX 10 mx\nmx A 127.0.0.5' };
const RESOLVER = '127.0.0.53';

async function startPosternUnder(sink: Sink, signed: boolean): Promise<Server> {
  const dns = await startDns(ZONES);
  const postern = await startPostern({
    profiles: ['mx', 'submission', 'submissions'],
    config: `[dns]\nservers = ["${dns.server}"]\n[delivery]\nmx_port = ${sink.port}\nallow_private_addresses = true\n[inbound]\ndomains = ["bench.test"]\n[limits]\nconnections_per_address = 1000\n`,
    env: { POSTERN_HTTP__REQUESTS_PER_TOKEN: '1000000', POSTERN_HTTP__REQUESTS_PER_ADDRESS: '1000000' },
  });
  const login = await postern.credential('bench', '--live');
  if (signed) await postern.json('domain', 'add', 'sender.test');
  const { token } = await postern.json<{ token: string }>('token', 'add', 'bench', '--scope', 'messages:send');
  return { pid: postern.pid, port: (profile) => postern.port(profile), login, http: { port: Number(new URL(postern.http).port), token } };
}

async function startPostfixUnder(): Promise<Server> {
  const authority = makeAuthority();
  const { certFile, keyFile } = authority.issue(['postfix.test', '127.0.0.1']);
  const dovecot = await startDovecot({ users: { bench: 'bench' } });
  const ports = { mx: await freePort(), submission: await freePort(), submissions: await freePort() };
  await startDns(ZONES, { address: RESOLVER, port: 53 });
  const postfix = await startPostfix({
    resolver: RESOLVER,
    services: [{ port: ports.mx }, { port: ports.submission }, { port: ports.submissions, implicit: true }],
    main: { relay_domains: 'bench.test', relay_recipient_maps: '', smtpd_client_connection_count_limit: '0', smtpd_client_connection_rate_limit: '0', mynetworks: '127.0.0.0/8' },
    tls: { cert: certFile, key: keyFile },
    sasl: dovecot.sasl,
  });
  return { pid: postfix.process.pid, port: (profile) => ports[profile], login: { username: 'bench', password: 'bench' }, http: null };
}

async function main(): Promise<void> {
  const rows: Row[] = [];
  const chosen = SCENARIOS.filter((scenario) => values.only === undefined || values.only.split(',').includes(scenario.name));
  const withPostfix = values.postfix && existsSync('/usr/sbin/postfix') && process.getuid?.() === 0;
  for (const scenario of chosen) {
    for (const server of withPostfix && scenario.signed !== true && scenario.http === undefined ? (['postern', 'postfix'] as const) : (['postern'] as const)) {
      const sink = await startSink({ address: '127.0.0.5', port: 25, count: true });
      const under = server === 'postern' ? await startPosternUnder(sink, scenario.signed === true) : await startPostfixUnder();
      const count = Math.ceil(messages * scenario.share * (server === 'postfix' ? POSTFIX_SHARE : 1));
      process.stderr.write(`${server}: ${scenario.what}, ${count} messages of ${sizeBytes} bytes over ${connections} connections\n`);
      rows.push(await measure(scenario, server, under, sink, count));
      await closeAll();
    }
  }
  if (values.json) process.stdout.write(`${JSON.stringify(rows)}\n`);
  else report(rows);
}

function report(rows: readonly Row[]): void {
  const head = ['scenario', 'server', 'accepted/s', 'end to end/s', 'CPU s/1000', 'p50 ms', 'p99 ms', 'peak MB'];
  const table = rows.map((row) => [
    row.scenario,
    row.server,
    row.acceptedPerSecond.toFixed(0),
    row.endToEndPerSecond.toFixed(0),
    row.cpuPer1000.toFixed(3),
    row.p50Ms.toFixed(1),
    row.p99Ms.toFixed(1),
    row.peakMb.toFixed(0),
  ]);
  for (const { name } of SCENARIOS) {
    const [ours, theirs] = (['postern', 'postfix'] as const).map((server) => rows.find((row) => row.scenario === name && row.server === server));
    if (ours === undefined || theirs === undefined) continue;
    const ratio = (a: number, b: number): string => `${(a / b).toFixed(2)}x`;
    table.push([
      name,
      'ratio',
      ratio(ours.acceptedPerSecond, theirs.acceptedPerSecond),
      ratio(ours.endToEndPerSecond, theirs.endToEndPerSecond),
      ratio(ours.cpuPer1000, theirs.cpuPer1000),
      ratio(ours.p50Ms, theirs.p50Ms),
      ratio(ours.p99Ms, theirs.p99Ms),
      ratio(ours.peakMb, theirs.peakMb),
    ]);
  }
  const [plain, signed] = ['submission', 'submission-signed'].map((name) => rows.find((row) => row.scenario === name && row.server === 'postern'));
  const widths = head.map((title, i) => Math.max(title.length, ...table.map((row) => row[i]?.length ?? 0)));
  for (const row of [head, ...table]) process.stdout.write(`${row.map((cell, i) => (i < 2 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  ')}\n`);
  for (const name of ['http-json', 'http-raw']) {
    const http = rows.find((row) => row.scenario === name);
    if (plain !== undefined && http !== undefined)
      process.stdout.write(`${name}: ${((http.endToEndPerSecond / plain.endToEndPerSecond) * 100).toFixed(0)}% of submission by port 587\n`);
  }
  if (plain === undefined || signed === undefined) return;
  const { rsa, ed25519 } = opensslRates();
  const percent = (rate: number): string => `${((signed.endToEndPerSecond / rate) * 100).toFixed(0)}%`;
  // An unsigned message and its signatures, one after the other on the same cores: the bound if the unsigned load uses them to the full.
  const bound = 1 / (1 / plain.endToEndPerSecond + 1 / rsa + 1 / ed25519);
  process.stdout.write(
    `signing: openssl speed says ${rsa.toFixed(0)} RSA-2048 signatures/s on all cores (Ed25519: ${ed25519.toFixed(0)}); signed mail goes at ${percent(Math.min(plain.endToEndPerSecond, rsa))} of the smaller of that and the unsigned rate\n` +
      `         where generator, server and receiver share the cores, signatures of that speed leave ${bound.toFixed(0)} messages/s; signed mail goes at ${percent(bound)} of that\n`,
  );
}

/** Signatures a second on all cores, as OpenSSL itself counts them. */
function opensslRates(): { readonly rsa: number; readonly ed25519: number } {
  const { stdout } = spawnSync('/usr/bin/openssl', ['speed', '-seconds', '3', '-multi', String(availableParallelism()), 'rsa2048', 'ed25519'], { encoding: 'utf8' });
  const rate = (line: RegExp): number => Number(line.exec(stdout)?.[1] ?? Number.NaN);
  return { rsa: rate(/rsa\s+2048 bits\s+\S+\s+\S+\s+([\d.]+)/), ed25519: rate(/\(Ed25519\)\s+\S+\s+\S+\s+([\d.]+)/) };
}

try {
  await main();
} finally {
  await closeAll();
}
process.exit();
