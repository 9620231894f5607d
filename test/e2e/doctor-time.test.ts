// How long the doctor takes, by its own count: less than 3 seconds for a healthy host, the timeout and a second for one that swallows everything, all
// ports and both hosts of a kind side by side. The best of a few looks counts: a busy machine may spoil one, a doctor that waits in turn spoils all.
// Needs: root, python3, iproute2, nftables

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { before, test } from 'node:test';
import type { Report } from '#doctor/report.ts';
import { makeAuthority } from '../support/authority.ts';
import { startBlackhole } from '../support/blackhole.ts';
import { startDistance } from '../support/distance.ts';
import { ROOT, startPostern } from '../support/postern.ts';
import type { Postern } from '../support/postern.ts';
import { atEnd, run } from '../support/temp.ts';

const HEALTHY = '127.0.0.81';
const SWALLOWING = '127.0.0.82';
const FAR = '127.0.0.84';
const PORTS = { mx: 25, submissions: 465, submission: 587, alternate: 2525 } as const;
const LOOKS = 5;
const authority = makeAuthority();
let postern: Postern;

before(async () => {
  const { certFile, keyFile } = authority.issue([HEALTHY, FAR]);
  const listeners = Object.entries(PORTS).map(([profile, port]) => `[[listener]]\nprofile = "${profile}"\naddress = "${HEALTHY}"\nport = ${port}`);
  postern = await startPostern({ profiles: [], config: [`[tls]\nmode = "files"\ncert = "${certFile}"\nkey = "${keyFile}"`, ...listeners].join('\n\n') });
});

/** The first look that is in time, else the last. */
async function look(limitMs: number, examine: () => Promise<string>): Promise<Report> {
  for (let n = 1; ; n++) {
    const report = JSON.parse(await examine()) as Report;
    if (report.durationMs <= limitMs || n === LOOKS) return report;
  }
}

const doctor = async (...args: readonly string[]): Promise<string> => (await postern.cli('--json', 'doctor', ...args)).stdout;
const found = (report: Report, id: string, status: string): number => report.checks.filter((finding) => finding.id.startsWith(`${id}@`) && finding.status === status).length;

test('a healthy host, all four ports with every check: under 3 seconds', async () => {
  const report = await look(3000, () => doctor(HEALTHY, '--ca-file', authority.caFile));
  assert.ok(report.durationMs < 3000, `${report.durationMs} ms`);
  assert.equal(found(report, 'tcp', 'pass'), 4);
  assert.equal(found(report, 'certificate-chain', 'pass'), 4);
  assert.equal(found(report, 'open-relay', 'pass'), 4);
  assert.equal(report.summary.status, 'pass', report.summary.text);
});

test('a healthy host a tenth of a second away: under 3 seconds too', async () => {
  for (const port of Object.values(PORTS)) await startDistance({ address: FAR, port }, { address: HEALTHY, port }, 100);
  const report = await look(3000, () => doctor(FAR, '--ca-file', authority.caFile));
  assert.ok(report.durationMs < 3000, `${report.durationMs} ms`);
  assert.equal(report.summary.status, 'pass', report.summary.text);
});

for (const [what, ports] of [
  ['its four ports', [25, 465, 587, 2525]],
  ['ports of no known use', [26, 1025, 2526, 8025, 10_465]],
] as const) {
  test(`a host that swallows everything, ${what}: the timeout, and no more than a second`, async () => {
    const timeoutMs = 2000;
    for (const port of ports) await startBlackhole(SWALLOWING, port);
    const report = await look(timeoutMs + 1000, () => doctor(SWALLOWING, '--from-port-list', ports.join(','), '--timeout', '2'));
    assert.equal(found(report, 'tcp', 'fail'), ports.length, report.summary.text);
    for (const finding of report.checks.filter(({ id }) => id.startsWith('tcp@'))) assert.match(finding.title, /timed out/);
    // It did wait, for each of them, and for all at once.
    assert.ok(report.durationMs >= timeoutMs, `${report.durationMs} ms`);
    assert.ok(report.durationMs <= timeoutMs + 1000, `${report.durationMs} ms`);
  });
}

/** A network of its own, whose firewall drops what goes to the address: TCP's own patience and the kernel's answers are the real ones. */
function network(rule: string): string {
  const name = `pt${process.pid}`;
  const ip = (...args: readonly string[]): void => void execFileSync('/usr/sbin/ip', args, { stdio: 'pipe' });
  ip('netns', 'add', name);
  atEnd(() => ip('netns', 'delete', name));
  ip('-n', name, 'link', 'set', 'lo', 'up');
  ip('-n', name, 'address', 'add', '192.0.2.1/32', 'dev', 'lo');
  execFileSync('/usr/sbin/ip', ['netns', 'exec', name, '/usr/sbin/nft', '-f', '-'], {
    input: `table inet fw { chain in { type filter hook input priority 0; ${rule}\n }\n }\n`,
    stdio: 'pipe',
  });
  return name;
}

test('a network that drops (nftables), with a reference host that is dropped as well: the timeout and a second, and whose fault it is', async () => {
  const name = network('ip daddr 192.0.2.1 drop');
  const timeoutMs = 2000;
  const command = ['netns', 'exec', name, process.execPath, '--disable-warning=ExperimentalWarning', `${ROOT}/src/cli/run.ts`, '--config', postern.configFile, '--json'];
  const report = await look(timeoutMs + 1000, async () => (await run('/usr/sbin/ip', [...command, 'doctor', '192.0.2.1', '--reference', '127.0.0.83', '--timeout', '2'])).stdout);
  assert.equal(found(report, 'tcp', 'fail'), 4);
  assert.ok(report.durationMs >= timeoutMs && report.durationMs <= timeoutMs + 1000, `${report.durationMs} ms`);
  // The reference refuses, so packets get out: the host drops them.
  assert.equal(found(report, 'outbound', 'pass'), 4);
  const both = await look(timeoutMs + 1000, async () => (await run('/usr/sbin/ip', [...command, 'doctor', '192.0.2.1', '--reference', '192.0.2.1', '--timeout', '2'])).stdout);
  assert.equal(found(both, 'outbound', 'fail'), 4);
  assert.ok(both.durationMs <= timeoutMs + 1000, `${both.durationMs} ms`);
});
