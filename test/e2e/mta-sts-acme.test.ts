// A domain is added, its records are published as printed, and everything else comes by itself: certificates from an authority (Debian's pebble) for the
// mail host and for the host of the MTA-STS policy, the policy over HTTPS, and a sender that holds us to it.
// Needs: root, pebble, knot, unbound

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { createSecureContext } from 'node:tls';
import { systemClock } from '#base/clock.ts';
import type { CertificatesView } from '#http/routes/certificates.ts';
import { openResolver } from '#dns/resolver.ts';
import { fetchStsPolicy } from '#tls/mta-sts-fetch.ts';
import { startDns } from '../support/dns.ts';
import type { Dns } from '../support/dns.ts';
import { startPebble } from '../support/pebble.ts';
import { startPostern } from '../support/postern.ts';
import type { Postern } from '../support/postern.ts';
import { accepted, connectTo } from '../support/submit.ts';
import { freePort, tempDir, until } from '../support/temp.ts';

type Detail = { status: string; events: { outcome: { verdict: string; security?: Record<string, string | null> } | null }[] };

const HOST = 'relay.host.test';
const DOMAIN = 'received.test';
const net = `127.${randomInt(39, 255)}.${randomInt(1, 255)}`;
const MAIL = `${net}.1`;
const RESOLVER = `${net}.53`;

let dns: Dns;
let receiver: Postern;
let root: string;
let port: number;

before(async () => {
  dns = await startDns({ 'host.test': `relay A ${MAIL}`, [DOMAIN]: '', test: '' }, { address: RESOLVER, port: 53, authority: `${net}.2` });
  const pebble = await startPebble({ dnsServer: dns.server });
  root = await pebble.root();
  port = await freePort(MAIL);
  receiver = await startPostern({
    address: MAIL,
    hostname: HOST,
    profiles: ['mx'],
    env: { POSTERN_LISTENER__0__PORT: String(port) },
    config: [
      `[dns]\nservers = ["${RESOLVER}"]`,
      '[[route]]\ntype = "capture"',
      `[mta_sts]\nmode = "enforce"\naddress = "${MAIL}"\nport = 443`,
      `[tls]\nmode = "acme"\n[tls.acme]\ndirectory = "${pebble.directory}"\nca_file = "${pebble.caFile}"\nagree_terms = true\naddress = "${MAIL}"\nport = ${pebble.httpPort}`,
    ].join('\n'),
  });
  await receiver.logged('acme.installed', 30_000);
});

const certificates = async (): Promise<string[]> =>
  (JSON.parse((await receiver.cli('--json', 'tls', 'show')).stdout) as CertificatesView).certificates.map(({ names }) => names.join());

test('the policy host gets its certificate once its record is right, not before', async () => {
  const added = await receiver.cli('domain', 'add', DOMAIN, '--inbound', '--zone');
  assert.equal(added.code, 0, added.stderr);
  await receiver.cli('domain', 'check', DOMAIN);
  assert.deepEqual(await certificates(), [HOST]);
  await dns.setZone(DOMAIN, added.stdout);
  // The resolver still knows for a while that these names are not there; nothing is ordered before it has forgotten.
  const checked = async (): Promise<boolean> => (await receiver.cli('domain', 'check', DOMAIN)).code === 0;
  await until('the certificate is shown', async () => (await checked()) && (await certificates()).includes(`mta-sts.${DOMAIN}`), 60_000);
  assert.deepEqual(
    receiver.log().filter(({ event }) => event === 'acme.failed'),
    [],
  );
});

test('the policy is fetched over HTTPS, verified, by the name that the authority certified', async () => {
  const resolver = openResolver({ servers: [RESOLVER], dnssec: 'off', timeoutMs: 2000, clock: systemClock });
  const secureContext = createSecureContext({ ca: root });
  const fetched = await fetchStsPolicy({ resolver, tlsContext: () => secureContext, isRefused: () => false }, DOMAIN);
  resolver.close();
  assert.ok('policy' in fetched, JSON.stringify(fetched));
  assert.deepEqual([fetched.policy.mode, fetched.policy.mx], ['enforce', [HOST]]);
});

test('and a sender delivers under it', async () => {
  const caFile = join(tempDir('root'), 'root.pem');
  writeFileSync(caFile, root);
  const sender = await startPostern({
    config: `[dns]\nservers = ["${RESOLVER}"]\n[delivery]\nmx_port = ${port}\nallow_private_addresses = true\nca_file = "${caFile}"\n`,
  });
  const client = await connectTo(sender.port('submission'), { credential: await sender.credential('app', '--live') });
  const id = await accepted(client, { to: [`someone@${DOMAIN}`] });
  await client.quit();
  const outcome = await until('an outcome', async () => (await sender.json<Detail>('message', 'show', id)).events.find((event) => event.outcome !== null)?.outcome ?? null);
  assert.deepEqual([outcome.verdict, outcome.security?.['policy'], outcome.security?.['certificate']], ['delivered', 'mta-sts', 'verified'], JSON.stringify(outcome));
});

test('a DNS that falls silent takes no certificate away', async () => {
  await Promise.all([dns.knot.end(), dns.unbound.end()]);
  const { stdout } = await receiver.cli('--json', 'domain', 'check', DOMAIN);
  const rows = JSON.parse(stdout) as { type: string; status: string }[];
  assert.equal(rows.find(({ type }) => type === 'CNAME')?.status, 'unknown', stdout);
  const looks = (): number => receiver.log().filter(({ event }) => event === 'acme.failed' || event === 'acme.installed').length;
  const before = looks();
  await receiver.cli('tls', 'renew', HOST);
  await until('the keeper has been at work', () => looks() > before, 30_000);
  assert.deepEqual(
    receiver.log().filter(({ event }) => event === 'acme.retired'),
    [],
  );
  assert.ok((await certificates()).includes(`mta-sts.${DOMAIN}`));
});
