// What the server thinks of its own certificates and records: facts played, no network.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Resolver } from '#dns/resolver.ts';
import type { OwnCertificate, OwnRecord, SelfCheck, SelfContext, SelfVerdict } from '#doctor/self/check.ts';
import { ownCertificates, ownDns, ownRecords } from '#doctor/self/standing.ts';

const DAY_MS = 86_400_000;
const NOW_MS = Date.parse('2026-11-24T12:00:00Z');

async function judge(check: SelfCheck, facts: Partial<SelfContext>): Promise<SelfVerdict> {
  const [verdict] = await check.judge({ nowMs: NOW_MS, ...facts } as SelfContext);
  assert.ok(verdict !== undefined);
  return verdict;
}

const certificate = (fromDays: number, toDays: number, renewedBy: OwnCertificate['renewedBy'] = 'operator'): Partial<SelfContext> => ({
  certificates: [{ names: ['relay.test', 'mail.test'], validFromMs: NOW_MS + fromDays * DAY_MS, expiresMs: NOW_MS + toDays * DAY_MS, renewedBy }],
});

test('a certificate: right, near its end, at its end, not begun', async () => {
  assert.equal((await judge(ownCertificates, certificate(-10, 80))).status, 'pass');
  const soon = await judge(ownCertificates, certificate(-87, 3));
  assert.deepEqual([soon.status, soon.title, soon.subject], ['warn', 'certificate expires in 3 days', 'relay.test']);
  assert.match((await judge(ownCertificates, certificate(-89, 1))).title ?? '', /in a day/);
  assert.equal((await judge(ownCertificates, certificate(-91, -1))).status, 'fail');
  assert.equal((await judge(ownCertificates, certificate(1, 90))).status, 'fail');
});

test('one that lives for days only is not near its end all its life, unless somebody has to renew it', async () => {
  assert.equal((await judge(ownCertificates, certificate(-2, 4, 'acme'))).status, 'pass');
  assert.equal((await judge(ownCertificates, certificate(-5, 1, 'acme'))).status, 'warn');
  assert.equal((await judge(ownCertificates, certificate(-2, 4, 'operator'))).status, 'warn');
});

test('the fix is for whoever renews it', async () => {
  assert.match((await judge(ownCertificates, certificate(-89, 1, 'acme'))).fix ?? '', /postern tls renew/);
  assert.match((await judge(ownCertificates, certificate(-89, 1, 'operator'))).fix ?? '', /SIGHUP/);
  assert.match((await judge(ownCertificates, certificate(-89, 1, 'itself'))).fix ?? '', /makes a new one/);
});

const record = (purpose: string, status: OwnRecord['status'], cause: string | null = null): OwnRecord => ({ type: 'TXT', name: `${purpose}.shop.test`, purpose, status, cause });
const records = (...rows: readonly OwnRecord[]): Partial<SelfContext> => ({ domains: [{ name: 'shop.test', records: rows }] });

test('records: right, missing, wrong, not known', async () => {
  assert.equal((await judge(ownRecords, records(record('spf', 'right'), record('dmarc', 'unknown')))).status, 'pass');
  assert.equal((await judge(ownRecords, records(record('spf', 'unchecked'), record('dmarc', 'unchecked')))).status, 'skip');
  const signing = await judge(ownRecords, records(record('dkim-rsa', 'missing'), record('spf', 'wrong', 'it names others')));
  assert.deepEqual([signing.status, signing.title], ['fail', 'records: 1 missing, 1 wrong']);
  assert.match(signing.evidence, /missing: TXT dkim-rsa\.shop\.test \(dkim-rsa\)\nwrong: TXT spf\.shop\.test \(spf\): it names others/);
  assert.equal((await judge(ownRecords, records(record('spf', 'right'), record('tlsrpt', 'missing')))).status, 'warn');
});

test('the resolver: one zone that is broken is not its fault, silence about all is', async () => {
  const failed = { status: 'failed', cause: 'timeout', detail: 'no answer within 5 s' } as const;
  const resolver = (answering: string | null): Resolver =>
    ({ a: async (name: string) => (name === answering ? { status: 'no-domain', authenticated: false, ttlSeconds: 1 } : failed) }) as unknown as Resolver;
  const facts = { hostname: 'relay.test', references: ['mx.example.net', '192.0.2.1'], sendsNothing: null };
  assert.equal((await judge(ownDns, { ...facts, resolver: resolver('mx.example.net') })).status, 'pass');
  const silent = await judge(ownDns, { ...facts, resolver: resolver(null) });
  assert.equal(silent.status, 'fail');
  assert.match(silent.evidence, /relay\.test: no answer within 5 s\nmx\.example\.net: no answer/);
  assert.equal((await judge(ownDns, { ...facts, resolver: resolver(null), sendsNothing: 'nothing' })).status, 'skip');
});
