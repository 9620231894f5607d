// Certificates: made, read, refused with reasons, chosen by name, reloaded under running clients; and what we trust as a client.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate, createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { TLSSocket, connect } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';
import { systemClock } from '#base/clock.ts';
import { PosternError } from '#base/failure.ts';
import { silentLog } from '#base/log.ts';
import type { Log } from '#base/log.ts';
import { VAULT_KEY_BYTES, openVault } from '#base/vault.ts';
import { makeSelfSigned } from '#tls/certificate.ts';
import { TICKET_KEY_BYTES, ensureSelfSigned, openServerTls, outboundTls } from '#tls/context.ts';
import type { ServerTls, ServerTlsOptions } from '#tls/context.ts';

const DAY_MS = 86_400_000;
const dir = mkdtempSync(join(tmpdir(), 'postern-tls-'));
const cleanUp: (() => void)[] = [() => rmSync(dir, { recursive: true, force: true })];
after(() => cleanUp.reverse().forEach((close) => close()));

let files = 0;
function write(text: string): string {
  const path = join(dir, `file-${files++}.pem`);
  writeFileSync(path, text);
  return path;
}

function pairFor(names: string[], validity = { fromMs: Date.now() - DAY_MS, untilMs: Date.now() + 100 * DAY_MS }): { cert: string; key: string } {
  const made = makeSelfSigned(names, validity);
  return { cert: write(made.certPem), key: write(made.keyPem) };
}

function options(extra: Partial<ServerTlsOptions> = {}): ServerTlsOptions {
  return {
    mode: 'self-signed',
    cert: null,
    key: null,
    certificates: [],
    minVersion: 'TLSv1.2',
    hostname: 'relay.example.com',
    dataDir: join(dir, `data-${files++}`),
    vault: openVault(Buffer.alloc(VAULT_KEY_BYTES, 7)),
    clock: systemClock,
    log: silentLog,
    ...extra,
  };
}

function recordingLog(): { log: Log; events: string[] } {
  const events: string[] = [];
  const log: Log = { ...silentLog, warn: (event) => events.push(event), info: (event) => events.push(event) };
  return { log, events };
}

/** A server as the listener makes it: TLS wrapped round an accepted socket. */
async function serve(tls: ServerTls): Promise<number> {
  const server = createServer((raw) => {
    const socket = new TLSSocket(raw, { isServer: true, secureContext: tls.secureContext(), SNICallback: tls.sni });
    socket.on('error', () => raw.destroy());
    socket.on('secure', () => socket.end('hello'));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanUp.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

type Seen = { fingerprint: string; authorized: boolean; problem: string; protocol: string; reused: boolean; session: Buffer | null };

function visit(port: number, extra: ConnectionOptions = {}): Promise<Seen> {
  return new Promise((resolve, reject) => {
    let session: Buffer | null = null;
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...extra });
    socket.on('session', (ticket) => (session = ticket));
    socket.on('error', reject);
    socket.resume();
    let seen: Omit<Seen, 'session'>;
    socket.on('secureConnect', () => {
      seen = {
        fingerprint: socket.getPeerX509Certificate()?.fingerprint256 ?? '',
        authorized: socket.authorized,
        problem: String(socket.authorizationError ?? ''),
        protocol: socket.getProtocol() ?? '',
        reused: socket.isSessionReused(),
      };
    });
    socket.on('close', () => resolve({ ...seen, session }));
  });
}

describe('makeSelfSigned', () => {
  const made = makeSelfSigned(['mail.example.com', 'localhost', '127.0.0.1', '2001:db8::1'], { fromMs: Date.UTC(2026, 0, 1), untilMs: Date.UTC(2051, 5, 1, 12) });
  const leaf = new X509Certificate(made.certPem);

  it('is what it says', () => {
    assert.equal(leaf.subject, 'CN=mail.example.com');
    assert.equal(leaf.subjectAltName, 'DNS:mail.example.com, DNS:localhost, IP Address:127.0.0.1, IP Address:2001:DB8:0:0:0:0:0:1');
    assert.equal(Date.parse(leaf.validFrom), Date.UTC(2026, 0, 1));
    assert.equal(Date.parse(leaf.validTo), Date.UTC(2051, 5, 1, 12));
    assert.ok(leaf.verify(leaf.publicKey) && leaf.issuer === leaf.subject && !leaf.ca);
    assert.ok(leaf.checkPrivateKey(createPrivateKey(made.keyPem)));
    assert.equal(leaf.checkHost('MAIL.example.com'), 'mail.example.com');
    assert.equal(leaf.checkIP('2001:db8::1'), '2001:db8::1');
    assert.notEqual(leaf.serialNumber, new X509Certificate(makeSelfSigned(['a'], { fromMs: 0, untilMs: 1 }).certPem).serialNumber);
  });

  it('passes the strict check of openssl', (t) => {
    const path = write(made.certPem);
    try {
      assert.match(execFileSync('openssl', ['verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', path, path], { encoding: 'utf8', stdio: 'pipe' }), /OK/);
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return t.skip('openssl is not installed');
      throw error;
    }
  });

  it('long names and odd lengths are encoded right', () => {
    for (const length of [1, 60, 64, 100, 127, 128, 200]) {
      const name = 'a.'.repeat(200).slice(0, length - 1) + 'b';
      const cert = new X509Certificate(makeSelfSigned([name, 'x.example'], { fromMs: 0, untilMs: DAY_MS }).certPem);
      assert.equal(cert.subjectAltName, `DNS:${name}, DNS:x.example`);
      assert.ok(cert.verify(cert.publicKey));
    }
  });
});

describe('the self-signed pair', () => {
  it('is made once, kept private, and verified by a client that trusts it', async () => {
    const own = options();
    const tls = await openServerTls(own);
    const again = await openServerTls(own);
    assert.deepEqual(again.describe(), tls.describe());
    const key = statSync(join(own.dataDir, 'tls', 'key.pem'));
    assert.equal(key.mode & 0o777, 0o600);
    assert.equal(statSync(join(own.dataDir, 'tls')).mode & 0o777, 0o700);
    const [description] = tls.describe();
    assert.ok(description?.selfSigned);
    assert.deepEqual(description.names, ['relay.example.com', 'localhost']);
    const ca = readFileSync(join(own.dataDir, 'tls', 'cert.pem'));
    const port = await serve(tls);
    for (const servername of ['relay.example.com', 'localhost']) assert.equal((await visit(port, { ca, servername })).problem, '');
    assert.match((await visit(port, { ca, servername: 'other.example' })).problem, /ALTNAME/);
    assert.equal((await visit(port, { servername: 'localhost' })).authorized, false);
  });

  it('is renewed 30 days before its end, for a new host name, and when broken', async () => {
    let nowMs = Date.now();
    const own = options({ clock: { ...systemClock, nowMs: () => nowMs } });
    const paths = await ensureSelfSigned(own);
    const print = (): string => new X509Certificate(readFileSync(paths.cert)).fingerprint256;
    const first = print();
    nowMs += 790 * DAY_MS;
    await ensureSelfSigned(own);
    assert.equal(print(), first);
    nowMs += 10 * DAY_MS;
    await ensureSelfSigned(own);
    const second = print();
    assert.notEqual(second, first);
    await ensureSelfSigned({ ...own, hostname: 'new.example.com' });
    const third = print();
    assert.notEqual(third, second);
    writeFileSync(paths.key, 'broken');
    await openServerTls({ ...own, hostname: 'new.example.com' });
    assert.notEqual(print(), third);
  });
});

describe('certificate files', () => {
  const good = pairFor(['relay.example.com']);
  const other = pairFor(['other.example.com']);
  const encrypted = write(
    generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      privateKeyEncoding: { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' },
      publicKeyEncoding: { type: 'spki', format: 'pem' },
    }).privateKey,
  );
  const refused: [string, Partial<ServerTlsOptions>][] = [
    ['tls-not-configured', { cert: null, key: good.key }],
    ['tls-file-missing', { cert: join(dir, 'none.pem'), key: good.key }],
    ['tls-file-missing', { cert: good.cert, key: join(dir, 'none.pem') }],
    ['tls-file-unreadable', { cert: dir, key: good.key }],
    ['tls-bad-certificate', { cert: write('nothing'), key: good.key }],
    ['tls-bad-certificate', { cert: good.key, key: good.key }],
    ['tls-bad-key', { cert: good.cert, key: good.cert }],
    ['tls-key-encrypted', { cert: good.cert, key: encrypted }],
    ['tls-key-mismatch', { cert: good.cert, key: other.key }],
    ['tls-key-mismatch', { ...good, certificates: [{ cert: good.cert, key: other.key }] }],
  ];
  for (const [code, extra] of refused) {
    it(`${code}: ${Object.keys(extra).join(' ')}`, async () => {
      await assert.rejects(openServerTls(options({ mode: 'files', ...extra })), (error) => {
        assert.ok(error instanceof PosternError);
        assert.equal(error.failure.code, code);
        assert.equal(error.exitCode, 2);
        assert.match(error.failure.cause, /\.$/);
        return true;
      });
    });
  }

  it('chooses by name, exact before wildcard before default', async () => {
    const wild = pairFor(['*.example.com', 'example.net']);
    const exact = pairFor(['smtp.example.com']);
    const tls = await openServerTls(options({ mode: 'files', ...good, certificates: [wild, exact] }));
    const port = await serve(tls);
    const print = ({ cert }: { cert: string }): string => new X509Certificate(readFileSync(cert)).fingerprint256;
    const cases: [string | null, { cert: string }][] = [
      ['relay.example.com', good],
      ['SMTP.example.com', exact],
      ['any.example.com', wild],
      ['a.b.example.com', good],
      ['example.com', good],
      ['example.net', wild],
      ['elsewhere.test', good],
      [null, good],
    ];
    for (const [name, expected] of cases) {
      const seen = await visit(port, name === null ? {} : { servername: name });
      assert.equal(seen.fingerprint, print(expected), String(name));
    }
    assert.equal(tls.describe().length, 3);
  });

  it('reload shows the new ones, and keeps the old ones when the new are bad', async () => {
    const paths = pairFor(['relay.example.com']);
    const tls = await openServerTls(options({ mode: 'files', ...paths }));
    const port = await serve(tls);
    const before = (await visit(port)).fingerprint;
    writeFileSync(paths.cert, 'half a fi');
    await assert.rejects(tls.reload(), PosternError);
    assert.equal((await visit(port)).fingerprint, before);
    const next = makeSelfSigned(['relay.example.com'], { fromMs: Date.now() - DAY_MS, untilMs: Date.now() + DAY_MS });
    writeFileSync(paths.cert, next.certPem);
    writeFileSync(paths.key, next.keyPem);
    await tls.reload();
    assert.equal((await visit(port)).fingerprint, new X509Certificate(next.certPem).fingerprint256);
  });

  it('warns of certificates that are expired, about to expire, not yet valid', async () => {
    const { log, events } = recordingLog();
    const nowMs = Date.now();
    const certificates = [
      pairFor(['a'], { fromMs: nowMs - 9 * DAY_MS, untilMs: nowMs - DAY_MS }),
      pairFor(['b'], { fromMs: nowMs - 80 * DAY_MS, untilMs: nowMs + 10 * DAY_MS }),
      // Nobody renews this one but whoever put it there.
      pairFor(['d'], { fromMs: nowMs - 3 * DAY_MS, untilMs: nowMs + 3 * DAY_MS }),
      pairFor(['c'], { fromMs: nowMs + DAY_MS, untilMs: nowMs + 99 * DAY_MS }),
    ];
    await openServerTls(options({ mode: 'files', ...good, certificates, log }));
    assert.deepEqual(events, ['tls.expired', 'tls.expires-soon', 'tls.expires-soon', 'tls.not-yet-valid']);
  });
});

describe('sessions', () => {
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    it(`${maxVersion}: a worker with the same ticket keys resumes the other's, one without does not`, async () => {
      const pair = pairFor(['relay.example.com']);
      const ticketKeys = Buffer.alloc(TICKET_KEY_BYTES, 3);
      const [one, two, stranger] = await Promise.all(
        [{ ticketKeys }, { ticketKeys }, {}].map(async (keys) => serve(await openServerTls(options({ mode: 'files', ...pair, ...keys })))),
      );
      const { session, reused } = await visit(one as number, { maxVersion });
      assert.ok(session !== null && !reused);
      assert.equal((await visit(two as number, { maxVersion, session })).reused, true);
      assert.equal((await visit(stranger as number, { maxVersion, session })).reused, false);
    });
  }

  it('nothing below TLS 1.2, nor below 1.3 when so configured', async () => {
    const port = await serve(await openServerTls(options()));
    await assert.rejects(visit(port, { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }));
    const strict = await serve(await openServerTls(options({ minVersion: 'TLSv1.3' })));
    await assert.rejects(visit(strict, { maxVersion: 'TLSv1.2' }));
    assert.equal((await visit(strict)).protocol, 'TLSv1.3');
  });
});

describe('outboundTls', () => {
  it('trusts the certificates of caFile besides the roots', async () => {
    const pair = pairFor(['mx.example.com']);
    const extra = pairFor(['unrelated.example']);
    const port = await serve(await openServerTls(options({ mode: 'files', ...pair })));
    const caFile = write(readFileSync(extra.cert, 'utf8') + readFileSync(pair.cert, 'utf8'));
    const { secureContext } = outboundTls({ caFile });
    assert.equal((await visit(port, { secureContext, servername: 'mx.example.com' })).authorized, true);
    assert.equal((await visit(port, { secureContext: outboundTls({ caFile: null }).secureContext, servername: 'mx.example.com' })).authorized, false);
  });

  for (const text of [null, 'no pem', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n']) {
    it(`refuses a caFile of ${JSON.stringify(text)}`, () => {
      const caFile = text === null ? join(dir, 'none') : write(text);
      assert.throws(
        () => outboundTls({ caFile }),
        (error) => error instanceof PosternError && error.failure.code === 'ca-file-unusable',
      );
    });
  }
});
