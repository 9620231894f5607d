// TLS reports in parts: who wants them, what a session counts as, how counts are kept within bounds, and when and how often a report goes out.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Clock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import type { Config } from '#config/config.ts';
import { openSessionLog } from '#deliver/session-log.ts';
import { reportsOfRefusal, reportsOfSession } from '#deliver/session-report.ts';
import type { SessionFacts } from '#deliver/session-report.ts';
import type { Resolver } from '#dns/resolver.ts';
import type { NewMessage } from '#queue/queue.ts';
import { openTlsReports } from '#server/tls-reports.ts';
import type { TlsReports } from '#server/tls-reports.ts';
import { openTransport } from '#store/transport.ts';
import type { Transport } from '#store/transport.ts';
import { decide } from '#tls/policy.ts';
import type { HostEvidence } from '#tls/policy.ts';
import { buildTlsReport, readReportTargets } from '#tls/tlsrpt.ts';
import type { ReportedFailure, ReportedPolicy } from '#tls/tlsrpt.ts';
import { checkCompressed, checkReport } from '../support/tlsrpt.ts';
import { atEnd, tempDir } from '../support/temp.ts';

for (const [what, records, targets] of [
  ['mail', ['v=TLSRPTv1; rua=mailto:tls@example.test'], ['tls@example.test']],
  ['mail, escaped', ['v=TLSRPTv1;rua=mailto:tls%2Breports@example.test;'], ['tls+reports@example.test']],
  ['HTTPS', ['v=TLSRPTv1; rua=https://reports.example.test/v1'], ['https://reports.example.test/v1']],
  ['several', ['v=TLSRPTv1; rua=mailto:a@example.test, https://r.example.test/,mailto:b@example.test'], ['a@example.test', 'https://r.example.test/', 'b@example.test']],
  ['beside other records', ['v=spf1 -all', 'v=TLSRPTv1; rua=mailto:a@example.test'], ['a@example.test']],
  ['two records: none', ['v=TLSRPTv1; rua=mailto:a@example.test', 'v=TLSRPTv1; rua=mailto:b@example.test'], []],
  ['plain HTTP and unknown schemes', ['v=TLSRPTv1; rua=http://r.example.test/,ftp://r.example.test/,x'], []],
  ['a password in the address', ['v=TLSRPTv1; rua=https://u:p@r.example.test/'], []],
  ['no rua', ['v=TLSRPTv1;'], []],
  ['another version', ['v=TLSRPTv2; rua=mailto:a@example.test'], []],
  ['none', [], []],
] as const) {
  test(`who wants reports: ${what}`, () =>
    assert.deepEqual(
      readReportTargets(records).map((target) => ('address' in target ? target.address : target.url)),
      targets,
    ));
}

const STS = {
  status: 'policy',
  id: '1',
  policy: { mode: 'enforce', mx: ['mx.test'], maxAgeSeconds: 60, text: ['version: STSv1', 'mode: enforce'] },
  fetchedAtMs: 0,
  expiresAtMs: 1,
  stale: null,
} as const;
const TLSA = {
  status: 'usable',
  base: 'mx.test',
  name: '_25._tcp.mx.test',
  set: { usable: [{ usage: 3, selector: 1, matchingType: 1, data: Buffer.alloc(32, 1) }], ignored: [] },
} as const;
const NONE = {
  domain: 'domain.test',
  host: 'mx.test',
  mxAuthentic: true,
  dane: { status: 'none', why: 'no' },
  sts: { status: 'none', why: 'no' },
  configured: null,
  demand: 'policy',
} as const;
const SEEN = { localAddress: '192.0.2.1', helo: 'mx.test', judged: null } as const;
const failure = (phase: 'connect' | 'starttls' | 'tls', kind: 'socket' | 'tls' | 'policy' | 'reply', code: string | null) =>
  ({ phase, kind, code, reply: null, text: `it failed (${code})`, possibleDuplicate: false }) as const;
const judged = (code: string | null, usual: string | null = code) => ({
  ...SEEN,
  judged: {
    problem: code === null ? null : { code, text: code },
    usual: usual === null ? null : { code: usual, text: usual },
    certificate: code === null ? ('matched' as const) : ('unverified' as const),
    verdict: '',
    presented: '',
  },
});
const OK: SessionFacts = { address: '192.0.2.2', seen: judged(null), secured: true, failure: null, broken: null };

for (const [what, evidence, facts, expected] of [
  ['no policy, TLS', NONE, OK, ['no-policy-found success']],
  ['no policy, no TLS offered', NONE, { ...OK, seen: SEEN, secured: false }, ['no-policy-found starttls-not-supported']],
  ['no policy, TLS broken and done without', NONE, { ...OK, seen: SEEN, secured: false, broken: failure('tls', 'tls', 'ERR_SSL') }, ['no-policy-found validation-failure']],
  ['no policy: the certificate does not matter', NONE, { ...OK, seen: judged('CERT_HAS_EXPIRED') }, ['no-policy-found success']],
  ['no connection is no session', NONE, { ...OK, seen: SEEN, secured: false, failure: failure('connect', 'socket', 'ECONNREFUSED') }, []],
  ['DANE, matched', { ...NONE, dane: TLSA }, OK, ['tlsa success']],
  [
    'DANE, no record matches',
    { ...NONE, dane: TLSA },
    { ...OK, secured: false, seen: judged('ERR_DANE_MISMATCH'), failure: failure('tls', 'tls', 'ERR_DANE_MISMATCH') },
    ['tlsa tlsa-invalid'],
  ],
  [
    'DANE, a name that does not fit',
    { ...NONE, dane: TLSA },
    { ...OK, secured: false, seen: judged('ERR_TLS_CERT_ALTNAME_INVALID'), failure: failure('tls', 'tls', 'x') },
    ['tlsa certificate-host-mismatch'],
  ],
  [
    'DANE, STARTTLS gone',
    { ...NONE, dane: TLSA },
    { ...OK, secured: false, seen: SEEN, failure: failure('starttls', 'policy', 'ERR_NO_STARTTLS') },
    ['tlsa starttls-not-supported'],
  ],
  ['DANE of no usable kind', { ...NONE, dane: { ...TLSA, status: 'unusable' } }, OK, ['tlsa tlsa-invalid']],
  ['MTA-STS, right', { ...NONE, sts: STS }, { ...OK, seen: judged(null) }, ['sts success']],
  [
    'MTA-STS, expired',
    { ...NONE, sts: STS },
    { ...OK, secured: false, seen: judged('CERT_HAS_EXPIRED'), failure: failure('tls', 'tls', 'CERT_HAS_EXPIRED') },
    ['sts certificate-expired'],
  ],
  [
    'MTA-STS, another name',
    { ...NONE, sts: STS },
    { ...OK, secured: false, seen: judged('ERR_TLS_CERT_ALTNAME_INVALID'), failure: failure('tls', 'tls', 'x') },
    ['sts certificate-host-mismatch'],
  ],
  [
    'MTA-STS, unknown authority',
    { ...NONE, sts: STS },
    { ...OK, secured: false, seen: judged('UNABLE_TO_VERIFY_LEAF_SIGNATURE'), failure: failure('tls', 'tls', 'x') },
    ['sts certificate-not-trusted'],
  ],
  [
    'MTA-STS testing, expired, and delivered',
    { ...NONE, sts: { ...STS, policy: { ...STS.policy, mode: 'testing' } } },
    { ...OK, seen: judged('CERT_HAS_EXPIRED') },
    ['sts certificate-expired'],
  ],
  ['MTA-STS testing, host not listed', { ...NONE, host: 'other.test', sts: { ...STS, policy: { ...STS.policy, mode: 'testing' } } }, OK, ['sts validation-failure']],
  ['MTA-STS none', { ...NONE, sts: { ...STS, policy: { ...STS.policy, mode: 'none' } } }, OK, ['no-policy-found success']],
  ['MTA-STS that cannot be had', { ...NONE, sts: { status: 'failed', result: 'sts-webpki-invalid', why: 'self-signed' } }, OK, ['sts sts-webpki-invalid']],
  [
    'both, DANE matched by a certificate that no authority signed',
    { ...NONE, dane: TLSA, sts: STS },
    { ...OK, seen: judged(null, 'DEPTH_ZERO_SELF_SIGNED_CERT') },
    ['tlsa success', 'sts certificate-not-trusted'],
  ],
  ['TLS-Required: No is not held against the receiver', { ...NONE, dane: TLSA, demand: 'tls-optional' }, { ...OK, seen: SEEN, secured: false }, []],
] as const) {
  test(`a session counts as: ${what}`, () => {
    const reports = reportsOfSession(evidence as HostEvidence, facts as SessionFacts);
    assert.deepEqual(
      reports.map(({ policy, failure: failed }) => `${policy.type} ${failed?.type ?? 'success'}`),
      expected,
    );
    checkReport(
      buildTlsReport(
        { day: '2026-11-24', id: 'i@relay.test', organization: 'o', contact: 'c@relay.test' },
        reports.length === 0 ? [count()] : reports.map((one) => ({ ...one, sessions: 2 })),
      ),
    );
  });
}

for (const [what, evidence, expected] of [
  ['a look-up that fails', { ...NONE, dane: { status: 'failed', name: '_25._tcp.mx.test', why: 'SERVFAIL' } }, ['tlsa mx.test dnssec-invalid']],
  ['a host that the policy does not list', { ...NONE, host: 'other.test', sts: STS }, ['sts domain.test validation-failure']],
  ['DANE that is required and not there', { ...NONE, configured: { match: '*', require: 'dane', names: [] } }, ['tlsa mx.test dane-required']],
] as const) {
  test(`a host that is not used counts as: ${what}`, () => {
    const decision = decide(evidence as HostEvidence);
    assert.ok('refused' in decision);
    assert.deepEqual(
      reportsOfRefusal(evidence as HostEvidence, decision).map(({ policy, failure: failed }) => `${policy.type} ${policy.domain} ${failed?.type}`),
      expected,
    );
  });
}

const POLICY: ReportedPolicy = { type: 'no-policy-found', domain: 'a.test', strings: [], mxHosts: [] };
const FAILURE: ReportedFailure = { type: 'certificate-expired', reason: 'x', text: 'y', sendingIp: '192.0.2.1', mxHost: 'mx.test', mxHelo: 'mx', mxIp: '192.0.2.2' };
const DAY = '2026-11-23';

function count(sessions = 1): { policy: ReportedPolicy; failure: null; sessions: number } {
  return { policy: POLICY, failure: null, sessions };
}

function open(nowMs = () => Date.now()): Transport {
  const transport = openTransport(join(tempDir('tr'), 'transport.db'), { nowMs });
  atEnd(() => transport.close());
  return transport;
}

test('equal sessions are one row, and survive in the database; shared ones are told by the domain that waited', () => {
  const { sessions } = open();
  const clock: Clock = { nowMs: () => Date.parse(`${DAY}T23:59:59Z`), after: () => () => {} };
  const observed: string[] = [];
  const log = openSessionLog({ clock, keep: (rows) => sessions.add(rows), observe: ({ policy }) => void observed.push(policy.type) });
  const shared = { policy: { ...POLICY, domain: '' }, failure: null };
  for (let i = 0; i < 3; i++) log.note('a.test', [shared, { policy: POLICY, failure: FAILURE }]);
  log.note('b.test', [shared]);
  log.close();
  assert.equal(observed.length, 7);
  assert.deepEqual(
    sessions.summaries(DAY, { after: '', limit: 10 }).map((one) => ({ ...one })),
    [
      { domain: 'a.test', successful: 3, failed: 3 },
      { domain: 'b.test', successful: 1, failed: 0 },
    ],
  );
  assert.deepEqual(sessions.counts(DAY, 'b.test'), [{ policy: { ...POLICY, domain: 'b.test' }, failure: null, sessions: 1 }]);
  sessions.trim('2026-11-24');
  assert.deepEqual(sessions.summaries(DAY, { after: '', limit: 10 }), []);
});

test('many different failures of one domain stay within their bound, and none is lost', () => {
  const { sessions } = open();
  const rows = Array.from({ length: 1000 }, (_, i) => ({
    day: DAY,
    domain: 'a.test',
    policy: POLICY,
    failure: { ...FAILURE, mxIp: `192.0.2.${i % 250}`, text: `reason ${i}` },
    sessions: 1,
  }));
  sessions.add(rows);
  sessions.add([{ day: DAY, domain: 'a.test', ...count(5) }]);
  const kept = sessions.counts(DAY, 'a.test');
  assert.ok(kept.length <= 202, String(kept.length));
  const [summary] = sessions.summaries(DAY, { after: '', limit: 1 });
  assert.deepEqual({ ...summary }, { domain: 'a.test', successful: 5, failed: 1000 });
});

/** A day's reports with everything around them played. */
function play(options: { readonly records?: Readonly<Record<string, readonly string[] | 'fails'>>; readonly delayMs?: number; readonly send?: boolean } = {}): {
  transport: Transport;
  accepted: NewMessage[];
  clock: { ms: number; tick(): Promise<void> };
  reports: () => TlsReports;
  stop(): void;
} {
  const clock = { ms: Date.parse('2026-11-24T00:00:30Z'), timers: [] as (() => void)[] };
  const transport = open(() => clock.ms);
  const accepted: NewMessage[] = [];
  const records = options.records ?? { 'a.test': ['v=TLSRPTv1; rua=mailto:tls@a.test'] };
  const resolver = {
    txt: (name: string) => {
      const found = records[name.replace('_smtp._tls.', '')];
      if (found === 'fails') return Promise.resolve({ status: 'failed', cause: 'servfail', detail: 'SERVFAIL' });
      return Promise.resolve(
        found === undefined ? { status: 'no-domain', authenticated: false, ttlSeconds: 1 } : { status: 'found', records: found, authenticated: false, ttlSeconds: 1, owner: name },
      );
    },
    a: () => Promise.resolve({ status: 'failed', cause: 'timeout', detail: 'no answer' }),
    aaaa: () => Promise.resolve({ status: 'failed', cause: 'timeout', detail: 'no answer' }),
  } as unknown as Resolver;
  const config = {
    hostname: 'relay.test',
    tlsReports: { send: options.send ?? true, organization: 'Relay & Co', contact: null, from: null, maxDelayMs: options.delayMs ?? 0 },
  } as unknown as Config;
  let ids = 0;
  const reports = (): TlsReports => {
    const made = openTlsReports({
      config: () => config,
      sessions: transport.sessions,
      resolver,
      tlsContext: () => assert.fail('no connection is made'),
      isRefused: () => false,
      clock: { nowMs: () => clock.ms, after: (_, run) => (clock.timers.push(run), () => {}) },
      log: silentLog,
      newId: () => `id${++ids}`,
      accept: (message) => (accepted.push(message), Promise.resolve()),
      isKnown: (id) => Promise.resolve(accepted.some(({ envelope }) => envelope.id === id)),
      sign: (chunks) => Promise.resolve(chunks),
      laneFor: (domain) => `mx:${domain}`,
    });
    made.start();
    return made;
  };
  return {
    transport,
    accepted,
    reports,
    stop: () => clock.timers.splice(0),
    clock: {
      get ms() {
        return clock.ms;
      },
      set ms(value) {
        clock.ms = value;
      },
      async tick() {
        const [run] = clock.timers.splice(0);
        run?.();
        while (clock.timers.length === 0) await new Promise((resolve) => setImmediate(resolve));
      },
    },
  };
}

test('a day is reported once, by mail, compressed, in the form that readers expect', async () => {
  const { transport, accepted, clock, reports } = play();
  transport.sessions.add([
    { day: DAY, domain: 'a.test', ...count(7) },
    { day: DAY, domain: 'a.test', policy: POLICY, failure: FAILURE, sessions: 2 },
    { day: DAY, domain: 'unasked.test', ...count(3) },
    { day: '2026-11-24', domain: 'a.test', ...count(100) },
  ]);
  reports();
  await clock.tick();
  await clock.tick();
  assert.equal(accepted.length, 1);
  const [message] = accepted;
  const text = Buffer.concat(message?.tail ?? []).toString();
  assert.deepEqual([message?.envelope.from, message?.envelope.tlsOptional, message?.recipients[0]?.address.text], [null, true, 'tls@a.test']);
  assert.ok((message?.envelope.expiresAtMs ?? 0) - clock.ms <= 86_400_000);
  for (const line of ['TLS-Report-Domain: a.test', 'TLS-Report-Submitter: relay.test', 'From: <postmaster@relay.test>', 'TLS-Required: No'])
    assert.ok(text.includes(`${line}\r\n`), line);
  assert.match(text, /^Content-Type: multipart\/report; report-type="tlsrpt";\r\n[\t ]boundary="/m);
  assert.match(text.replace(/\r\n[\t ]/g, ' '), /^Subject: Report Domain: a\.test Submitter: relay\.test Report-ID: <2026-11-23\.[0-9a-f]+@relay\.test>\r$/m);
  assert.match(text, /filename="relay\.test!a\.test!1795392000!1795478399\.json\.gz"/);
  const encoded = /application\/tlsrpt\+gzip[\s\S]*?\r\n\r\n([\s\S]*?)\r\n\r\n--/.exec(text)?.[1] ?? '';
  const report = checkCompressed(Buffer.from(encoded, 'base64'));
  assert.deepEqual(report['date-range'], { 'start-datetime': '2026-11-23T00:00:00Z', 'end-datetime': '2026-11-23T23:59:59Z' });
  assert.deepEqual([report['organization-name'], report['contact-info']], ['Relay & Co', 'postmaster@relay.test']);
  assert.deepEqual(report.policies[0]?.summary, { 'total-successful-session-count': 7, 'total-failure-session-count': 2 });
});

test('a restart between handing over and writing it down does not send twice', async () => {
  const { transport, accepted, clock, reports, stop } = play();
  transport.sessions.add([{ day: DAY, domain: 'a.test', ...count() }]);
  reports();
  await clock.tick();
  const [sent] = transport.sessions.reports(DAY);
  assert.equal(sent?.state, 'sent');
  // As it was before the last line was written.
  transport.sessions.update(sent?.id ?? '', { state: 'waiting', messageId: sent?.messageId ?? null, attempts: 0, nextAtMs: 0, detail: '' });
  stop();
  reports();
  await clock.tick();
  assert.equal(accepted.length, 1);
  assert.equal(transport.sessions.reports(DAY)[0]?.state, 'sent');
});

test('look-ups that fail are tried again until noon; then the day is closed', async () => {
  const records: Record<string, readonly string[] | 'fails'> = { 'a.test': 'fails' };
  const { transport, accepted, clock, reports } = play({ records });
  transport.sessions.add([{ day: DAY, domain: 'a.test', ...count() }]);
  reports();
  await clock.tick();
  assert.deepEqual([transport.sessions.prepared(DAY), accepted.length], [false, 0]);
  records['a.test'] = ['v=TLSRPTv1; rua=mailto:tls@a.test'];
  await clock.tick();
  assert.equal(accepted.length, 0, 'not within half an hour');
  clock.ms += 31 * 60_000;
  await clock.tick();
  assert.deepEqual([transport.sessions.prepared(DAY), accepted.length], [true, 1]);
});

test('reports wait for their time after midnight', async () => {
  const { transport, accepted, clock, reports } = play({ delayMs: 4 * 3_600_000 });
  transport.sessions.add([{ day: DAY, domain: 'a.test', ...count() }]);
  reports();
  await clock.tick();
  assert.equal(accepted.length, 0);
  clock.ms += 4 * 3_600_000;
  await clock.tick();
  assert.equal(accepted.length, 1);
});

test('a server that cannot be reached is tried again with growing pauses, and given up after a day', async () => {
  const { transport, clock, reports } = play({ records: { 'a.test': ['v=TLSRPTv1; rua=https://reports.a.test/'] } });
  transport.sessions.add([{ day: DAY, domain: 'a.test', ...count() }]);
  reports();
  await clock.tick();
  const first = transport.sessions.reports(DAY)[0];
  assert.deepEqual([first?.state, first?.attempts], ['waiting', 1]);
  assert.match(first?.detail ?? '', /reports\.a\.test cannot be resolved/);
  await clock.tick();
  assert.equal(transport.sessions.reports(DAY)[0]?.attempts, 1);
  for (let i = 0; i < 30; i++) {
    clock.ms += 3_600_000;
    await clock.tick();
  }
  const last = transport.sessions.reports(DAY)[0];
  assert.equal(last?.state, 'failed');
  assert.ok((last?.attempts ?? 0) > 5 && (last?.attempts ?? 0) < 20, String(last?.attempts));
});

test('without sending nothing goes out, and old days are forgotten all the same', async () => {
  const { transport, accepted, clock, reports } = play({ send: false });
  for (const day of ['2026-11-20', DAY]) transport.sessions.add([{ day, domain: 'a.test', ...count() }]);
  const made = reports();
  await clock.tick();
  assert.equal(accepted.length, 0);
  assert.deepEqual([made.day('2026-11-20').domains.length, made.day(DAY).domains.length, made.day(DAY).sending], [0, 1, false]);
});
