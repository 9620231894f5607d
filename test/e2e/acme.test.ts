// Certificates from a real ACME authority (Debian's pebble, its names in a real DNS): issued and renewed by each challenge, under load without a
// dropped connection, after a kill at every step, and what is said when it goes wrong.
// Needs: openssl, pebble, unbound, knot

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { connect, createServer as createTlsServer } from 'node:tls';
import type { PeerCertificate } from 'node:tls';
import type { CertificatesView } from '#http/routes/certificates.ts';
import { startAcmeProxy } from '../support/acme-proxy.ts';
import type { AcmeProxy } from '../support/acme-proxy.ts';
import { startDns } from '../support/dns.ts';
import type { Dns } from '../support/dns.ts';
import { startPebble } from '../support/pebble.ts';
import type { Pebble } from '../support/pebble.ts';
import { startPostern } from '../support/postern.ts';
import type { Postern } from '../support/postern.ts';
import { plain, rawTlsTo, rawTo } from '../support/raw.ts';
import { freePort, tempDir, until } from '../support/temp.ts';

const HOST = 'mail.acme.test';
const DAY_MS = 86_400_000;

let dns: Dns;
let pebble: Pebble;
let root = '';

before(async () => {
  dns = await startDns({ 'acme.test': 'mail A 127.0.0.1\nsmtp A 127.0.0.1\nother A 127.0.0.1\ndead A 127.0.0.99' });
  // A third of all good nonces is refused: every test here goes through badNonce.
  pebble = await startPebble({ dnsServer: dns.server, nonceReject: 33 });
  root = await pebble.root();
});

function acmeConfig(lines: readonly string[], authority: { readonly directory: string; readonly caFile: string } = pebble): string {
  return [
    '[tls]',
    'mode = "acme"',
    '[tls.acme]',
    `directory = "${authority.directory}"`,
    `ca_file = "${authority.caFile}"`,
    'agree_terms = true',
    'address = "127.0.0.1"',
    ...lines,
  ].join('\n');
}

const byHttp = (): string => `port = ${pebble.httpPort}`;

/** What a client that verifies sees on 465: throws when it would refuse. */
async function visit(port: number, servername = HOST): Promise<PeerCertificate> {
  const socket = connect({ host: '127.0.0.1', port, servername, ca: root });
  await once(socket, 'secureConnect');
  const certificate = socket.getPeerCertificate();
  socket.destroy();
  return certificate;
}

/** Shows a view whatever the exit code is. */
async function shown(postern: Postern): Promise<CertificatesView & { readonly code: number | null }> {
  const { code, stdout } = await postern.cli('--json', 'tls', 'show');
  return { code, ...(JSON.parse(stdout) as CertificatesView) };
}

async function failure(postern: Postern): Promise<{ readonly code: string; readonly cause: string; readonly fix: string }> {
  await postern.logged('acme.failed', 30_000);
  const { code, renewals } = await shown(postern);
  assert.equal(code, 1);
  assert.equal(renewals[0]?.status, 'failing');
  const { lastError } = renewals[0] ?? {};
  assert.ok(lastError !== undefined && lastError !== null);
  return lastError;
}

/** Renews by the command and checks that clients are shown the new one. */
async function renews(postern: Postern): Promise<void> {
  const before = (await visit(postern.port('submissions'))).serialNumber;
  const done = await postern.cli('tls', 'renew');
  assert.equal(done.code, 0, done.stdout + done.stderr);
  assert.notEqual((await visit(postern.port('submissions'))).serialNumber, before);
}

describe('each challenge issues and renews', () => {
  it('http-01: several names, files for their owner only, told by show and metrics', async () => {
    const postern = await startPostern({ hostname: HOST, config: acmeConfig([byHttp(), 'names = ["smtp.acme.test"]', 'contact = ["hostmaster@acme.test"]']) });
    assert.match(JSON.stringify(await postern.logged('acme.self-signed-until-issued')), /self-signed certificate is shown/);
    await postern.logged('acme.installed', 30_000);
    for (const name of [HOST, 'smtp.acme.test']) assert.equal((await visit(postern.port('submissions'), name)).subjectaltname, `DNS:${HOST}, DNS:smtp.acme.test`);
    const dir = join(postern.dataDir, 'acme');
    assert.equal(statSync(dir).mode & 0o777, 0o700);
    for (const file of readdirSync(dir)) {
      assert.equal(statSync(join(dir, file)).mode & 0o777, 0o600, file);
      assert.doesNotMatch(readFileSync(join(dir, file), 'latin1'), /BEGIN (?:EC |RSA )?PRIVATE KEY/, file);
    }
    const view = await shown(postern);
    assert.equal(view.code, 0);
    const [certificate] = view.certificates;
    assert.equal(view.certificates.length, 1);
    assert.deepEqual(certificate?.names, [HOST, 'smtp.acme.test']);
    assert.equal(certificate.source, 'acme');
    assert.equal(certificate.key, 'ECDSA prime256v1');
    assert.match(certificate.issuer, /Pebble Intermediate CA/);
    const leftMs = Date.parse(certificate.expiresAt) - Date.parse(view.renewals[0]?.nextAt ?? '');
    assert.ok(leftMs >= 30 * DAY_MS && leftMs <= 33.1 * DAY_MS, `${leftMs / DAY_MS} days are left when it is renewed`);
    const metrics = await (await fetch(`${postern.http}/metrics`)).text();
    assert.match(metrics, new RegExp(`postern_certificate_expiry_timestamp_seconds\\{name="${HOST}"\\} ${Date.parse(certificate.expiresAt) / 1000}\n`));
    assert.match(metrics, new RegExp(`postern_certificate_renewal_failures\\{name="${HOST}"\\} 0\n`));
    assert.match((await postern.cli('tls', 'show')).stdout, /names +mail\.acme\.test, smtp\.acme\.test {2}\(default\)\nissuer +CN=Pebble/);
    await renews(postern);
    assert.equal((await postern.cli('tls', 'renew', 'nobody.test')).code, 1);
    // The port was open for the challenges only.
    await assert.rejects(once(connectTcp({ host: '127.0.0.1', port: pebble.httpPort }), 'connect'), /ECONNREFUSED/);
    await postern.stop();
  });

  it('tls-alpn-01 on a port of its own; RSA', async () => {
    const postern = await startPostern({ hostname: HOST, config: acmeConfig([`port = ${pebble.tlsPort}`, 'challenge = "tls-alpn-01"', 'key_type = "rsa"']) });
    await postern.logged('acme.installed', 30_000);
    assert.equal((await visit(postern.port('submissions'))).bits, 2048);
    await renews(postern);
    await assert.rejects(once(connectTcp({ host: '127.0.0.1', port: pebble.tlsPort }), 'connect'), /ECONNREFUSED/);
    await postern.stop();
  });

  it('tls-alpn-01 on the listener for submissions, with two workers, beside clients', async () => {
    const config = acmeConfig([`port = ${pebble.tlsPort}`, 'challenge = "tls-alpn-01"']);
    const listener = `[[listener]]\nprofile = "submissions"\naddress = "127.0.0.1"\nport = ${pebble.tlsPort}\n`;
    const postern = await startPostern({ hostname: HOST, profiles: ['submission'], config: `${listener}\n[workers]\ncount = 2\n\n${config}` });
    // Clients come all the time, also while their first bytes are looked at.
    let errors = 0;
    let visits = 0;
    const state = { over: false };
    const visitor = (async (): Promise<void> => {
      while (!state.over) {
        try {
          const raw = await rawTlsTo(pebble.tlsPort);
          if (!(await raw.ask('EHLO c')).startsWith('250')) errors++;
          raw.socket.destroy();
          visits++;
        } catch {
          errors++;
        }
      }
    })();
    await postern.logged('acme.installed', 30_000);
    await renews(postern);
    state.over = true;
    await visitor;
    assert.equal(errors, 0);
    assert.ok(visits > 10);
    await postern.stop();
  });

  it('dns-01 by a hook, a wildcard among the names', async () => {
    const control = dns.control;
    const hook = join(tempDir('hook'), 'hook');
    const calls = `${hook}.calls`;
    writeFileSync(
      hook,
      `#!/bin/sh
set -e
echo "$@" >> ${calls}
knot() { /usr/sbin/knotc -s ${control} "$@"; }
knot zone-begin acme.test
case "$2" in
  present) knot zone-set acme.test "$3" 0 TXT "\\"$4\\"" ;;
  cleanup) knot zone-unset acme.test "$3" TXT "\\"$4\\"" ;;
esac
knot zone-commit acme.test
`,
      { mode: 0o755 },
    );
    const postern = await startPostern({
      hostname: HOST,
      config: acmeConfig(['challenge = "dns-01"', 'dns_wait = "0s"', `hook = ["${hook}", "zone one"]`, 'names = ["*.acme.test", "acme.test"]']),
    });
    await postern.logged('acme.installed', 30_000).catch((error: unknown) => assert.fail(`${String(error)}\n${postern.process.output()}\n${pebble.process.output().slice(-3000)}`));
    assert.equal((await visit(postern.port('submissions'), 'any.acme.test')).subjectaltname, `DNS:${HOST}, DNS:*.acme.test, DNS:acme.test`);
    await renews(postern);
    const lines = readFileSync(calls, 'utf8').trim().split('\n');
    const count = (some: readonly string[], start: string): number => some.filter((line) => line.startsWith(`zone one ${start}`)).length;
    const first = lines.slice(0, 6);
    assert.deepEqual([count(first, 'present _acme-challenge.'), count(first, 'cleanup _acme-challenge.'), count(first, 'present _acme-challenge.acme.test. ')], [3, 3, 2]);
    // Pebble takes an old authorization once in a hundred times, told not to: the renewal may present fewer.
    assert.equal(count(lines, 'present'), count(lines, 'cleanup'));
    assert.equal(count(lines, 'present') + count(lines, 'cleanup'), lines.length);
    await postern.stop();
  });
});

describe('renewal under load', () => {
  it('no connection is lost, no transaction fails, new connections get the new certificate', async () => {
    const postern = await startPostern({ hostname: HOST, config: acmeConfig([byHttp()]) });
    await postern.logged('acme.installed', 30_000);
    const credential = await postern.credential('app');
    const first = (await visit(postern.port('submissions'))).serialNumber;
    // Clients in the middle: one in the content, one after the envelope, one that has not logged in yet; on 465 and by STARTTLS.
    const middle = await Promise.all(
      (['submissions', 'submission'] as const).flatMap((profile) =>
        (['content', 'envelope', 'greeted'] as const).map(async (stage) => {
          const raw = profile === 'submissions' ? await rawTlsTo(postern.port(profile)) : await rawTo(postern.port(profile));
          if (profile === 'submission') {
            await raw.ask('EHLO c');
            await raw.startTls();
          }
          await raw.ask('EHLO c');
          if (stage === 'greeted') return { raw, stage };
          assert.match(await raw.ask(plain(credential)), /^235/);
          await raw.ask('MAIL FROM:<a@example.com>');
          await raw.ask('RCPT TO:<b@example.net>');
          if (stage === 'content') {
            assert.match(await raw.ask('DATA'), /^354/);
            raw.send('From: <a@example.com>\r\nSubject: half\r\n\r\nfirst half\r\n');
          }
          return { raw, stage };
        }),
      ),
    );
    const finish = async (raw: Awaited<ReturnType<typeof rawTo>>, stage: string): Promise<string> => {
      if (stage === 'greeted') {
        assert.match(await raw.ask(plain(credential)), /^235/);
        await raw.ask('MAIL FROM:<a@example.com>');
        await raw.ask('RCPT TO:<b@example.net>');
      }
      if (stage !== 'content') {
        assert.match(await raw.ask('DATA'), /^354/);
        raw.send('From: <a@example.com>\r\nSubject: whole\r\n\r\n');
      }
      return raw.ask('second half\r\n.');
    };
    // Load: four clients that connect, submit and go, again and again.
    const serials = new Set<string>();
    let sent = 0;
    const state = { over: false };
    const errors: string[] = [];
    const client = async (): Promise<void> => {
      while (!state.over) {
        try {
          const raw = await rawTlsTo(postern.port('submissions'));
          serials.add((raw.socket as unknown as { getPeerCertificate(): PeerCertificate }).getPeerCertificate().serialNumber);
          await raw.ask('EHLO c');
          const reply = await finish(raw, 'greeted');
          if (reply.startsWith('250')) sent++;
          else errors.push(reply);
          await raw.ask('QUIT');
        } catch (error) {
          errors.push(String(error));
        }
      }
    };
    const load = [client(), client(), client(), client()];
    for (let i = 0; i < 3; i++) await renews(postern);
    const last = (await visit(postern.port('submissions'))).serialNumber;
    const sentAtLast = sent;
    await until('load after the last renewal', () => sent >= sentAtLast + 20);
    state.over = true;
    await Promise.all(load);
    assert.deepEqual(errors, []);
    assert.ok(serials.size >= 2 && serials.has(last), `${serials.size} certificates seen over ${sent} messages`);
    assert.notEqual(first, last);
    for (const { raw, stage } of middle) assert.match(await finish(raw, stage), /^250/, stage);
    await postern.stop();
  });
});

describe('what goes wrong is told with cause and fix', () => {
  it('http-01: nobody comes through to the port', async () => {
    const postern = await startPostern({ hostname: 'dead.acme.test', config: acmeConfig([byHttp()]) });
    const { code, cause, fix } = await failure(postern);
    assert.match(code, /^acme-challenge-(connection|malformed|unauthorized)$/);
    assert.match(cause, /dead\.acme\.test/);
    assert.match(fix, /port 80|\.well-known/);
    // Nothing is hammered: the next try is minutes away; but an operator who has mended it need not wait.
    const { renewals, certificates } = await shown(postern);
    assert.ok(Date.parse(renewals[0]?.nextAt ?? '') - Date.now() > 5 * 60_000);
    assert.equal(certificates[0]?.source, 'self-signed');
    assert.equal((await postern.cli('tls', 'renew')).code, 1);
    assert.equal((await shown(postern)).renewals[0]?.failures, 2);
    await postern.stop();
  });

  it('http-01: another web server answers', async () => {
    const server = createServer((_, response) => response.writeHead(200).end('hello'));
    await new Promise<void>((resolve) => server.listen(pebble.httpPort, '127.0.0.1', resolve));
    try {
      const postern = await startPostern({ hostname: HOST, config: acmeConfig([`port = ${await freePort()}`]) });
      const { code, fix } = await failure(postern);
      assert.match(code, /^acme-challenge-(unauthorized|incorrect-response)$/);
      assert.match(fix, /\.well-known\/acme-challenge/);
      await postern.stop();
    } finally {
      server.close();
    }
  });

  it('http-01: the port is taken', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(pebble.httpPort, '127.0.0.1', resolve));
    const postern = await startPostern({ hostname: HOST, config: acmeConfig([byHttp()]) });
    const { code, cause } = await failure(postern);
    assert.equal(code, 'acme-port-not-bound');
    assert.match(cause, new RegExp(`Another program listens on 127\\.0\\.0\\.1:${pebble.httpPort}`));
    // Mended: the same order is taken up again.
    await new Promise((resolve) => server.close(resolve));
    assert.equal((await postern.cli('tls', 'renew')).code, 0);
    assert.ok(postern.log().some(({ event }) => event === 'acme.order-resumed'));
    await postern.stop();
  });

  it('tls-alpn-01: another TLS server answers', async () => {
    const postern = await startPostern({ hostname: HOST, config: acmeConfig([`port = ${await freePort()}`, 'challenge = "tls-alpn-01"']) });
    const server = createTlsServer({ cert: readFileSync(join(postern.dataDir, 'tls/cert.pem')), key: readFileSync(join(postern.dataDir, 'tls/key.pem')) });
    await failure(postern);
    await new Promise<void>((resolve) => server.listen(pebble.tlsPort, '127.0.0.1', resolve));
    try {
      await postern.cli('tls', 'renew');
      const [renewal] = (await shown(postern)).renewals;
      assert.match(renewal?.lastError?.code ?? '', /^acme-challenge-(tls|unauthorized|incorrect-response|connection)$/);
      assert.match(renewal?.lastError?.fix ?? '', /tls\.acme\.port/);
    } finally {
      server.close();
    }
    await postern.stop();
  });

  const hooks: readonly [string, string, RegExp][] = [
    ['fails', '#!/bin/sh\necho "no such zone" >&2\nexit 7\n', /failed with status 7: .*present _acme-challenge\.mail\.acme\.test\. .* It said: no such zone$/],
    ['never ends', '#!/bin/sh\nsleep 600 &\nwait\n', /did not end within 1 seconds/],
    ['does nothing', '#!/bin/sh\n', /did not find the right TXT record at _acme-challenge\.mail\.acme\.test|could not look up/],
    ['is no program', '', /could not be started/],
  ];
  for (const [what, text, cause] of hooks) {
    it(`dns-01: the hook ${what}`, async () => {
      const hook = join(tempDir('hook'), 'hook');
      if (text !== '') writeFileSync(hook, text, { mode: 0o755 });
      const postern = await startPostern({ hostname: HOST, config: acmeConfig(['challenge = "dns-01"', 'dns_wait = "0s"', `hook = ["${hook}"]`, 'hook_timeout = "1s"']) });
      assert.match((await failure(postern)).cause, cause);
      await postern.stop();
    });
  }

  it('the directory: not there, not trusted, no ACME', async () => {
    for (const [directory, caFile, code] of [
      [`https://127.0.0.1:${await freePort()}/dir`, pebble.caFile, 'acme-not-reached'],
      [pebble.directory, null, 'acme-untrusted'],
      [pebble.directory.replace('/dir', '/nothing'), pebble.caFile, 'acme-unknown'],
    ] as const) {
      const config = acmeConfig([byHttp()], { directory, caFile: caFile ?? '' });
      const postern = await startPostern({ hostname: HOST, config: caFile === null ? config.replace(/ca_file.*\n/, '') : config });
      assert.equal((await failure(postern)).code, code);
      await postern.stop();
    }
  });

  it('mode "files" and "self-signed" have nothing to renew', async () => {
    const postern = await startPostern();
    assert.deepEqual(
      (await shown(postern)).certificates.map(({ source, selfSigned }) => ({ source, selfSigned })),
      [{ source: 'self-signed', selfSigned: true }],
    );
    const done = await postern.cli('tls', 'renew');
    assert.equal(done.code, 2);
    assert.match(done.stderr, /tls\.mode is "self-signed"/);
    await postern.stop();
  });
});

describe('an authority with its own mind', () => {
  let proxy: AcmeProxy;
  before(async () => {
    proxy = await startAcmeProxy(pebble);
  });
  const usual = (): void => {
    proxy.treat = () => 'pass';
    proxy.renewalInfo = null;
  };

  it('rate limits: nothing is tried before the time it named, not even by an operator', async () => {
    usual();
    proxy.treat = (path) =>
      path === '/order-plz'
        ? { status: 429, headers: { 'retry-after': '7200' }, body: { type: 'urn:ietf:params:acme:error:rateLimited', detail: 'too many \u0007orders' } }
        : 'pass';
    const postern = await startPostern({ hostname: HOST, config: acmeConfig([byHttp()], proxy) });
    const { code, cause } = await failure(postern);
    assert.equal(code, 'acme-rate-limited');
    assert.match(cause, /\(too many {2}?orders\)\. It may be asked again from 20/);
    assert.ok(Date.parse((await shown(postern)).renewals[0]?.nextAt ?? '') - Date.now() > 7_100_000);
    const asked = proxy.seen.length;
    const done = await postern.cli('tls', 'renew');
    assert.equal(done.code, 1);
    assert.match(done.stderr, /takes no more requests before/);
    // Nor by a restart.
    await postern.stop();
    usual();
    const again = await startPostern({ hostname: HOST, dataDir: postern.dataDir, config: acmeConfig([byHttp()], proxy) });
    assert.equal((await shown(again)).renewals[0]?.failures, 1);
    assert.equal(proxy.seen.length, asked);
    await again.stop();
  });

  it('renewal windows: kept, shown; one in the past renews at once and names the predecessor', async () => {
    usual();
    const ids: string[] = [];
    const replaced: unknown[] = [];
    const window = { start: new Date(Date.now() + 20 * DAY_MS), end: new Date(Date.now() + 21 * DAY_MS) };
    let revoked: string | null = null;
    proxy.renewalInfo = (id) => {
      ids.push(id);
      return id === revoked ? { start: new Date(Date.now() - 2 * DAY_MS), end: new Date(Date.now() - DAY_MS) } : window;
    };
    proxy.treat = (path, body) => {
      // Seen again where the one-time number was refused.
      const replaces = (body as { replaces?: string } | null)?.replaces ?? null;
      if (path === '/order-plz' && (replaced.length === 0 || replaced.at(-1) !== replaces)) replaced.push(replaces);
      return 'pass';
    };
    const postern = await startPostern({ hostname: HOST, config: acmeConfig([byHttp()], proxy) });
    await postern.logged('acme.renewal-window', 30_000);
    const [renewal] = (await shown(postern)).renewals;
    assert.equal(renewal?.window?.startAt, window.start.toISOString());
    const nextMs = Date.parse(renewal.nextAt ?? '');
    assert.ok(nextMs >= window.start.getTime() && nextMs <= window.end.getTime());
    const { serialNumber } = await visit(postern.port('submissions'));
    await postern.stop();
    // The same window again: the chosen time stays. Then the certificate is revoked, say, and the time to ask has come.
    revoked = ids[0] ?? '';
    const stateFile = join(postern.dataDir, 'acme', `${HOST}.json`);
    const state = JSON.parse(readFileSync(stateFile, 'utf8')) as Record<string, unknown>;
    assert.equal(state['renewAtMs'], nextMs);
    writeFileSync(stateFile, JSON.stringify({ ...state, windowCheckAtMs: 0 }));
    const again = await startPostern({ hostname: HOST, dataDir: postern.dataDir, config: acmeConfig([byHttp()], proxy) });
    await again.logged('acme.installed', 30_000);
    assert.notEqual((await visit(again.port('submissions'))).serialNumber, serialNumber);
    assert.deepEqual(replaced, [null, revoked]);
    assert.match(revoked, /^[\w-]+\.[\w-]+$/);
    await again.stop();
  });

  it('a predecessor that it does not want to hear of is left out', async () => {
    usual();
    proxy.renewalInfo = () => ({ start: new Date(Date.now() + 20 * DAY_MS), end: new Date(Date.now() + 21 * DAY_MS) });
    const postern = await startPostern({ hostname: HOST, config: acmeConfig([byHttp()], proxy) });
    await postern.logged('acme.renewal-window', 30_000);
    proxy.treat = (path, body) =>
      path === '/order-plz' && (body as { replaces?: string }).replaces !== undefined
        ? { status: 409, body: { type: 'urn:ietf:params:acme:error:alreadyReplaced', detail: 'x' } }
        : 'pass';
    await renews(postern);
    await postern.stop();
  });

  it('a server that fails for a moment is asked again', async () => {
    usual();
    let failures = 2;
    proxy.treat = (path) => (path === '/dir' && failures-- > 0 ? { status: 503, body: { type: 'about:blank', detail: 'busy' } } : 'pass');
    const postern = await startPostern({ hostname: HOST, config: acmeConfig([byHttp()], proxy) });
    await postern.logged('acme.installed', 30_000);
    assert.ok(failures < 0);
    await postern.stop();
  });

  it('customers only: without the key it says so, with it it issues', async () => {
    const key = Buffer.from('a-key-of-32-bytes-for-a-customer').toString('base64url');
    const strict = await startPebble({ dnsServer: dns.server, externalKeys: { 'kid-1': key }, httpPort: pebble.httpPort });
    const refused = await startPostern({ hostname: HOST, config: acmeConfig([byHttp()], strict) });
    const { code, fix } = await failure(refused);
    assert.equal(code, 'acme-external-account-required');
    assert.match(fix, /eab_kid/);
    await refused.stop();
    const keyFile = join(tempDir('eab'), 'key');
    writeFileSync(keyFile, `${key}\n`);
    const postern = await startPostern({ hostname: HOST, dataDir: refused.dataDir, config: acmeConfig([byHttp(), 'eab_kid = "kid-1"', `eab_key_file = "${keyFile}"`], strict) });
    // The configuration has changed: the pause after the failure does not count.
    await postern.logged('acme.installed', 30_000);
    await postern.stop();
  });
});

describe('a kill -9 in the middle of an order', () => {
  let proxy: AcmeProxy;
  before(async () => {
    proxy = await startAcmeProxy(pebble);
  });
  // Path, whether the server saw the request, and whether the order goes on after the restart (null: the authority may have looked in vain
  // while nobody was there to answer).
  const steps: readonly [string, 'hold' | 'hold-answer', boolean | null][] = [
    ['/sign-me-up', 'hold-answer', false],
    ['/order-plz', 'hold-answer', false],
    ['/authZ/', 'hold', true],
    ['/chalZ/', 'hold-answer', null],
    ['/finalize-order/', 'hold', true],
    ['/finalize-order/', 'hold-answer', true],
    ['/certZ/', 'hold', true],
    ['/certZ/', 'hold-answer', true],
  ];
  for (const [step, how, resumed] of steps) {
    it(`${how === 'hold' ? 'before' : 'after'} ${step}: the restart ${resumed === false ? 'begins anew' : 'goes on'}`, async () => {
      let held = false;
      proxy.treat = (path) => {
        if (!path.startsWith(step)) return 'pass';
        held = true;
        return how;
      };
      const options = { hostname: HOST, profiles: ['submissions'] as const, config: acmeConfig([byHttp()], proxy) };
      const postern = await startPostern(options);
      await until(`the request to ${step}`, () => held);
      await postern.kill();
      proxy.treat = () => 'pass';
      const again = await startPostern({ ...options, dataDir: postern.dataDir });
      await again.logged('acme.installed', 30_000);
      const tookUp = again.log().some(({ event }) => event === 'acme.order-resumed');
      if (resumed !== null) assert.equal(tookUp, resumed);
      await visit(again.port('submissions'));
      // The note of it is written after the certificate is in use.
      await until('nothing left over', () => readdirSync(join(again.dataDir, 'acme')).every((name) => !name.endsWith('.order.json') && !name.endsWith('.new')));
      await again.stop();
    });
  }

  it('between the certificate and the note of it: the certificate is taken, nothing is ordered', async () => {
    proxy.treat = () => 'pass';
    const options = { hostname: HOST, profiles: ['submissions'] as const, config: acmeConfig([byHttp()], proxy) };
    const postern = await startPostern(options);
    await postern.logged('acme.installed', 30_000);
    const { serialNumber } = await visit(postern.port('submissions'));
    await postern.stop();
    // As it lies there when the program ends in between: the pair is new, the state is not, the order still there.
    const dir = join(postern.dataDir, 'acme');
    const [keyPem = ''] = readFileSync(join(dir, `${HOST}.pem`), 'latin1').split('-----BEGIN CERTIFICATE-----');
    writeFileSync(
      join(dir, `${HOST}.order.json`),
      JSON.stringify({ directory: proxy.directory, names: [HOST], url: new URL('/my-order/gone', proxy.directory).href, keyPem, presented: [] }),
    );
    writeFileSync(join(dir, `${HOST}.json`), '{"half');
    const asked = proxy.seen.filter((line) => line.includes('/order-plz')).length;
    const again = await startPostern({ ...options, dataDir: postern.dataDir });
    await until('the order is put away', () => !existsSync(join(dir, `${HOST}.order.json`)));
    assert.equal((await visit(again.port('submissions'))).serialNumber, serialNumber);
    assert.equal((await shown(again)).renewals[0]?.status, 'waiting');
    assert.equal(proxy.seen.filter((line) => line.includes('/order-plz')).length, asked);
    await again.stop();
  });

  it('while a hook runs: the record is made again and taken away', async () => {
    proxy.treat = () => 'pass';
    const dir = tempDir('hook');
    const [hook, go, calls] = [join(dir, 'hook'), join(dir, 'go'), join(dir, 'calls')];
    writeFileSync(hook, `#!/bin/sh\necho "$@" >> ${calls}\n[ "$1" = cleanup ] || while [ ! -e ${go} ]; do sleep 0.1; done\nexit 3\n`, { mode: 0o755 });
    const options = { hostname: HOST, profiles: ['submissions'] as const, config: acmeConfig(['challenge = "dns-01"', 'dns_wait = "0s"', `hook = ["${hook}"]`], proxy) };
    const postern = await startPostern(options);
    await until('the hook runs', () => existsSync(calls));
    await postern.kill();
    writeFileSync(go, '');
    const again = await startPostern({ ...options, dataDir: postern.dataDir });
    await again.logged('acme.failed', 30_000);
    const lines = readFileSync(calls, 'utf8').trim().split('\n');
    assert.deepEqual(
      lines.map((line) => line.split(' ')[0]),
      ['present', 'present', 'cleanup'],
    );
    assert.equal(new Set(lines.map((line) => line.replace(/^\w+ /, ''))).size, 1);
    await again.stop();
  });
});

describe('what is wanted changes', () => {
  it('other names are ordered, another host name retires the old certificate, a broken file or another key file has it issued again', async () => {
    const options = { hostname: HOST, profiles: ['submissions'] as const };
    const first = await startPostern({ ...options, config: acmeConfig([byHttp()]) });
    await first.logged('acme.installed', 30_000);
    await first.stop();
    const second = await startPostern({ ...options, dataDir: first.dataDir, config: acmeConfig([byHttp(), 'names = ["smtp.acme.test"]']) });
    await second.logged('acme.installed', 30_000);
    assert.match((await visit(second.port('submissions'))).subjectaltname ?? '', /smtp\.acme\.test/);
    await second.stop();
    const third = await startPostern({ ...options, hostname: 'other.acme.test', dataDir: first.dataDir, config: acmeConfig([byHttp()]) });
    await third.logged('acme.retired', 30_000);
    assert.equal((await visit(third.port('submissions'), 'other.acme.test')).subjectaltname, 'DNS:other.acme.test');
    await third.stop();
    writeFileSync(join(first.dataDir, 'acme/other.acme.test.pem'), 'nothing');
    const fourth = await startPostern({ ...options, hostname: 'other.acme.test', dataDir: first.dataDir, config: acmeConfig([byHttp()]) });
    await fourth.logged('acme.installed', 30_000);
    await visit(fourth.port('submissions'), 'other.acme.test');
    await fourth.stop();
    // With another key file neither the account's key nor that of the certificate opens: both are had anew.
    rmSync(join(first.dataDir, 'secret.key'));
    const fifth = await startPostern({ ...options, hostname: 'other.acme.test', dataDir: first.dataDir, config: acmeConfig([byHttp()]) });
    await fifth.logged('tls.certificate-broken');
    await fifth.logged('acme.registered', 30_000);
    await fifth.logged('acme.installed', 30_000);
    await visit(fifth.port('submissions'), 'other.acme.test');
    await fifth.stop();
  });
});
