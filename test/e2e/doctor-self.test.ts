// The running server looks at itself: a real DNS, a reference host that takes connections and one port that swallows them, a list that has the
// address, records that go missing and come back. Told in the log, in the metrics, over the socket and by `doctor --self`.
// Needs: root, knot, unbound, python3

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import type { Finding, Report } from '#doctor/report.ts';
import type { SelfView } from '#http/routes/self.ts';
import { openApi } from '#cli/api.ts';
import { recordsZone } from '#cli/domain/records.ts';
import { openPki } from '../support/pki.ts';
import { startBlackhole } from '../support/blackhole.ts';
import { startDns } from '../support/dns.ts';
import type { Dns } from '../support/dns.ts';
import { startPostern } from '../support/postern.ts';
import type { Postern } from '../support/postern.ts';
import { startReceiver } from '../support/receiver.ts';
import { freePort, until } from '../support/temp.ts';

const RESOLVER = '127.39.0.53';
const AUTHORITY = '127.39.0.1';
const [OPEN, BLOCKED] = ['127.39.0.2', '127.39.0.3'];
const HOST = 'relay.own.test';
const HOST_ZONE = 'relay A 192.0.2.7\nopen A 127.39.0.2\nblocked A 127.39.0.3';

let dns: Dns;
let healthy: Postern;
let ill: Postern;
let zone = '';

before(async () => {
  const port = await freePort();
  await startReceiver({ address: OPEN, port });
  await startBlackhole(BLOCKED, port);
  dns = await startDns(
    {
      'own.test': HOST_ZONE,
      'shop.test': '',
      '2.0.192.in-addr.arpa': '7 PTR relay.own.test.\n8 PTR elsewhere.own.test.',
      'lists.test': '8.2.0.192 A 127.0.0.2\n8.2.0.192 TXT "see lists.test/why"',
    },
    { address: RESOLVER, port: 53, authority: AUTHORITY },
  );
  const make = openPki();
  const start = (reference: string, address: string, days: number): Promise<Postern> => {
    const { certFile, keyFile } = make({ names: [HOST], days });
    return startPostern({
      hostname: HOST,
      config: [
        `[dns]\nservers = ["${RESOLVER}"]`,
        `[delivery]\nmx_port = ${port}`,
        `[tls]\nmode = "files"\ncert = "${certFile}"\nkey = "${keyFile}"`,
        `[doctor]\nevery = "1s"\nreferences = ["${reference}.own.test"]\naddresses = ["${address}"]\nblocklists = ["lists.test"]`,
      ].join('\n\n'),
    });
  };
  healthy = await start('open', '192.0.2.7', 90);
  ill = await start('blocked', '192.0.2.8', -1);
});

async function look(postern: Postern): Promise<{ readonly code: number | null; readonly report: Report; find(id: string): Finding | undefined }> {
  const done = await postern.cli('--json', 'doctor', '--self');
  const report = JSON.parse(done.stdout) as Report;
  return { code: done.code, report, find: (id) => report.checks.find((finding) => finding.id.startsWith(`${id}@`)) };
}

const bad = (report: Report): string[] => report.checks.filter(({ status }) => status === 'fail' || status === 'warn').map(({ id, title }) => `${id}: ${title}`);

test('a server that sends nothing asks nobody', async () => {
  const { code, report, find } = await look(healthy);
  assert.equal(code, 0);
  for (const id of ['outbound-25', 'own-name', 'own-ptr', 'own-blocklist']) assert.equal(find(id)?.status, 'skip', id);
  assert.match(find('outbound-25')?.evidence ?? '', /nothing is sent from here/);
  assert.deepEqual(bad(report), []);
});

test('all right: every check passes, nothing is told', async () => {
  await healthy.credential('app', '--live');
  await openApi({ dataDir: healthy.dataDir }).addDomain({ name: 'shop.test', inbound: false });
  const { records } = await openApi({ dataDir: healthy.dataDir }).domain('shop.test');
  zone = recordsZone(records);
  await dns.setZone('shop.test', zone);
  await until('the zone is served', async () => bad((await look(healthy)).report).length === 0, 30_000);
  const { code, find } = await look(healthy);
  assert.equal(code, 0);
  for (const id of ['outbound-25', 'own-certificate', 'own-records', 'own-name', 'own-ptr', 'own-blocklist'])
    assert.equal(find(id)?.status, 'pass', `${id}: ${find(id)?.evidence}`);
  assert.match(find('own-ptr')?.evidence ?? '', /192\.0\.2\.7 -> relay\.own\.test -> 192\.0\.2\.7/);
});

test('a record that goes missing is told once, and so is its return', async () => {
  const spf = /^shop\.test\. .*spf1.*\n?/m;
  assert.match(zone, spf);
  await dns.setZone('shop.test', zone.replace(spf, ''));
  await until('the record is missed', async () => (await look(healthy)).find('own-records')?.status === 'fail', 90_000);
  const told = (): readonly Record<string, unknown>[] => healthy.log().filter((line) => line['event'] === 'self.warning' && line['check'] === 'own-records');
  await until('it is told', () => told().length > 0);
  const count = told().length;
  const { find } = await look(healthy);
  assert.match(find('own-records')?.evidence ?? '', /missing: TXT shop\.test \(spf\): .*no SPF record/);
  assert.equal(told().length, count);
  assert.match(JSON.stringify(told().at(-1)), /postern domain check shop\.test/);
  await dns.setZone('shop.test', zone);
  await until('it is back', async () => (await look(healthy)).find('own-records')?.status === 'pass', 90_000);
  await healthy.logged('self.resolved');
});

test('port 25 blocked, certificate at its end, no way back from the PTR, listed: told without being asked', async () => {
  await ill.credential('app', '--live');
  for (const check of ['outbound-25', 'own-certificate', 'own-ptr', 'own-blocklist'])
    await until(`a warning of ${check}`, () => ill.log().find((line) => line['event'] === 'self.warning' && line['check'] === check), 60_000);
  const of = (check: string): Record<string, unknown>[] => ill.log().filter((line) => line['event'] === 'self.warning' && line['check'] === check);
  assert.match(JSON.stringify(of('outbound-25')[0]), /blocked\.own\.test \[127\.39\.0\.3\].*timed out/);
  assert.match(JSON.stringify(of('own-certificate')[0]), /has expired/);
  assert.match(JSON.stringify(of('own-ptr')[0]), /does not lead back/);
  assert.match(JSON.stringify(of('own-blocklist')[0]), /lists\.test: 127\.0\.0\.2 see lists\.test\/why/);

  const { warnings, report, everyMs } = (await openApi({ dataDir: ill.dataDir }).self()) as SelfView;
  assert.equal(everyMs, 1000);
  assert.deepEqual(warnings.map(({ check }) => check).toSorted(), ['outbound-25', 'own-blocklist', 'own-certificate', 'own-ptr']);
  assert.equal(report?.kind, 'self');
  const metrics = await (await fetch(`${ill.http}/metrics`)).text();
  for (const [check, count] of Object.entries({ 'outbound-25': 1, 'own-certificate': 1, 'own-records': 0, 'own-name': 0, 'own-ptr': 1, 'own-blocklist': 1 }))
    assert.ok(metrics.includes(`postern_self_warnings{check="${check}"} ${count}\n`), check);
  assert.match(metrics, /^postern_self_checked_timestamp_seconds \d{10}$/m);

  const shown = await ill.cli('doctor', '--self');
  assert.equal(shown.code, 1);
  assert.match(shown.stdout, / outbound port \d+ is blocked/);
  // As long as it lasts it is told once.
  for (const check of ['outbound-25', 'own-certificate', 'own-ptr', 'own-blocklist']) assert.equal(of(check).length, 1, check);
});

test('a target and --self together, or neither: exit 2; no server: exit 3', async () => {
  for (const args of [['doctor'], ['doctor', 'example.com', '--self']]) {
    const done = await healthy.cli(...args);
    assert.equal(done.code, 2);
    assert.match(done.stderr, /fix: {3}/);
  }
  const done = await healthy.cli('--data', '/no/such/directory', 'doctor', '--self');
  assert.equal(done.code, 3);
});
