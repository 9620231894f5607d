// The parts of ACME that need no authority: DER and requests (against openssl), names of certificates, the schedule, refusals in words, signatures,
// and the first message of TLS clients.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate, createHash, createHmac, createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { connect } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';
import fc from 'fast-check';
import { systemClock } from '#base/clock.ts';
import type { Clock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { certificateId } from '#tls/acme/certificate-id.ts';
import { openDnsResponder } from '#tls/acme/dns-01.ts';
import { retryAfterTime as retryAfter } from '#tls/acme/https.ts';
import { bindExternalAccount, keyAuthorization, newAccountKey, readAccountKey, signJws } from '#tls/acme/jws.ts';
import { challengeRefusal, refusalOf } from '#tls/acme/problem.ts';
import { renewalTime, retryTime, windowTime } from '#tls/acme/schedule.ts';
import { makeChallengeCertificate, makeRequest } from '#tls/certificate.ts';
import { readClientHello } from '#tls/client-hello.ts';
import { derElements } from '#tls/der.ts';
import { makeAuthority } from '../support/authority.ts';
import { tempDir } from '../support/temp.ts';

const OPENSSL = '/usr/bin/openssl';
const skip = existsSync(OPENSSL) ? false : 'openssl is not installed';
const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

function openssl(...args: string[]): string {
  return execFileSync(OPENSSL, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

function file(bytes: Buffer | string): string {
  const path = join(tempDir('der'), 'file');
  writeFileSync(path, bytes);
  return path;
}

describe('what is written in DER, as openssl reads it', { skip }, () => {
  const long = `${'a.'.repeat(60)}example.com`;
  for (const [type, key] of [
    ['ecdsa', generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey],
    ['rsa', generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey],
  ] as const) {
    it(`requests: ${type}`, () => {
      for (const names of [['mail.example.com'], ['mail.example.com', '*.example.com', 'x.example'], [long], Array.from({ length: 100 }, (_, i) => `host${i}.example.com`)]) {
        const path = file(makeRequest(names, key));
        const text = openssl('req', '-inform', 'DER', '-in', path, '-noout', '-text', '-verify');
        assert.match(text, new RegExp(names.map((name) => `DNS:${name.replace('*', '\\*')}`).join(', ')));
        assert.match(text, names[0] === long ? /Subject: *\n/ : new RegExp(`Subject: CN = ${names[0] ?? ''}\n`));
        assert.match(text, type === 'rsa' ? /sha256WithRSAEncryption/ : /ecdsa-with-SHA256/);
      }
    });
  }

  it('the certificate of a TLS-ALPN-01 challenge', () => {
    const digest = createHash('sha256').update('token.thumbprint').digest();
    const made = makeChallengeCertificate('mail.example.com', { fromMs: Date.now() - DAY_MS, untilMs: Date.now() + DAY_MS, digest });
    const text = openssl('x509', '-in', file(made.certPem), '-noout', '-text');
    assert.match(text, /1\.3\.6\.1\.5\.5\.7\.1\.31: critical\n/);
    assert.match(text, /DNS:mail\.example\.com\n/);
    // The extension's value is an OCTET STRING of the digest (RFC 8737 3).
    assert.ok(new X509Certificate(made.certPem).raw.includes(Buffer.concat([Buffer.from([0x04, 34, 0x04, 32]), digest])));
  });

  it('the name of a certificate in renewal information', () => {
    const authority = makeAuthority();
    for (let i = 0; i < 5; i++) {
      const { cert, certFile } = authority.issue([`host${i}.example.com`]);
      const text = openssl('x509', '-in', certFile, '-noout', '-text');
      const keyId = /Authority Key Identifier: \n\s+(?:keyid:)?([0-9A-F:]+)/.exec(text)?.[1] ?? '';
      const serial = openssl('x509', '-in', certFile, '-noout', '-serial').trim().replace('serial=', '');
      // The bytes of the INTEGER: with a zero before a first bit that is set.
      const bytes = Buffer.from(/^[89A-F]/.test(serial) ? `00${serial}` : serial, 'hex');
      const expected = `${Buffer.from(keyId.replaceAll(':', ''), 'hex').toString('base64url')}.${bytes.toString('base64url')}`;
      assert.equal(certificateId(new X509Certificate(cert)), expected);
    }
  });
});

it('DER that is none is nothing, whatever it is', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void derElements(Buffer.from(bytes))),
    { numRuns: 2000 },
  );
  for (const hex of ['30', '3080', '3082', '30820100', '300501', '30850000000001ff']) assert.equal(derElements(Buffer.from(hex, 'hex')), null, hex);
  assert.deepEqual(
    derElements(Buffer.from('02010530020500', 'hex'))?.map(({ tag, content }) => [tag, content.toString('hex')]),
    [
      [2, '05'],
      [0x30, '0500'],
    ],
  );
});

describe('the schedule', () => {
  const fromMs = Date.UTC(2026, 0, 1);
  const life = (days: number): { fromMs: number; untilMs: number } => ({ fromMs, untilMs: fromMs + days * DAY_MS });
  const random = fc.double({ min: 0, max: 0.999, noNaN: true });

  it('without a window a third of the life is left, or a little more', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 400 }), random, (days, chance) => {
        const leftMs = life(days).untilMs - renewalTime(life(days), null, chance);
        assert.ok(leftMs >= (days * DAY_MS) / 3 - 1 && leftMs <= days * DAY_MS * (1 / 3 + 1 / 30) + 1);
      }),
    );
  });

  it('within a window, unless it is too late', () => {
    fc.assert(
      fc.property(random, (chance) => {
        const window = { startMs: fromMs + 58 * DAY_MS, endMs: fromMs + 60 * DAY_MS };
        const atMs = renewalTime(life(90), window, chance);
        assert.ok(atMs >= window.startMs && atMs <= window.endMs);
        const late = { startMs: fromMs + 80 * DAY_MS, endMs: fromMs + 100 * DAY_MS };
        assert.ok(renewalTime(life(90), late, chance) <= fromMs + 60 * DAY_MS);
        const past = { startMs: fromMs - 2 * DAY_MS, endMs: fromMs - DAY_MS };
        assert.ok(renewalTime(life(90), past, chance) < fromMs);
      }),
    );
  });

  it('failures: at most five in the first hours, then twice a day', () => {
    const pauses = Array.from({ length: 12 }, (_, i) => retryTime(0, i + 1, 0.5));
    assert.deepEqual(
      pauses.slice(0, 6).map((ms) => ms / 60_000),
      [10, 20, 40, 80, 160, 320],
    );
    assert.ok(pauses.every((ms) => ms <= 12 * HOUR_MS));
    assert.equal(retryTime(0, 1, 0), 8 * 60_000);
    assert.ok(retryTime(0, 1000, 0.999) <= 1.2 * 12 * HOUR_MS);
  });

  it('the window is asked for at the pace of the authority, within reason', () => {
    assert.equal(windowTime(0, null), 6 * HOUR_MS);
    assert.equal(windowTime(0, HOUR_MS), HOUR_MS);
    assert.equal(windowTime(0, 1), 60_000);
    assert.equal(windowTime(0, 30 * DAY_MS), DAY_MS);
  });

  it('Retry-After: seconds, a date, and nonsense', () => {
    const nowMs = Date.UTC(2026, 0, 1);
    assert.equal(retryAfter('120', nowMs), nowMs + 120_000);
    assert.equal(retryAfter('Thu, 01 Jan 2026 00:05:00 GMT', nowMs), nowMs + 300_000);
    assert.equal(retryAfter('Thu, 01 Jan 2015 00:05:00 GMT', nowMs), nowMs);
    assert.equal(retryAfter('999999999', nowMs), nowMs + 7 * DAY_MS);
    assert.equal(retryAfter('soon', nowMs), null);
    assert.equal(retryAfter(undefined, nowMs), null);
  });
});

describe('refusals', () => {
  const urn = (type: string): string => `urn:ietf:params:acme:error:${type}`;

  it('have cause and fix, and quote the authority without its control characters', () => {
    const refusal = refusalOf({ type: urn('rateLimited'), detail: `too \x1b[31mmany\n${'x'.repeat(1000)}` }, { status: 429, untilMs: Date.UTC(2026, 0, 1) });
    assert.equal(refusal.failure.code, 'acme-rate-limited');
    assert.ok(refusal.failure.cause.length < 700);
    assert.doesNotMatch(refusal.failure.cause, /[\x00-\x1f]/);
    assert.match(refusal.failure.cause, /2026-01-01T00:00:00\.000Z/);
    assert.equal(refusal.untilMs, Date.UTC(2026, 0, 1));
  });

  it('tell subproblems by their name', () => {
    const subproblems = [{ type: urn('caa'), detail: 'CAA forbids', identifier: { type: 'dns', value: 'a.example' } }];
    assert.match(refusalOf({ type: urn('compound'), detail: 'several', subproblems }, { status: 403, untilMs: null }).failure.cause, /\(several; a\.example: CAA forbids\)\./);
  });

  it('unknown types and statuses', () => {
    assert.equal(refusalOf({ type: urn('<b>evil</b>'), detail: '' }, { status: 400, untilMs: null }).failure.code, 'acme-unknown');
    assert.equal(refusalOf({ type: 'about:blank', detail: '' }, { status: 503, untilMs: null }).failure.code, 'acme-server-internal');
    assert.equal(refusalOf({ type: 'about:blank', detail: '' }, { status: 429, untilMs: null }).failure.code, 'acme-rate-limited');
  });

  it('of a challenge name the host and what to open', () => {
    for (const type of ['http-01', 'tls-alpn-01', 'dns-01'] as const) {
      for (const problem of ['connection', 'unauthorized', 'dns', 'caa', 'tls', 'rateLimited', 'strange']) {
        const { failure } = challengeRefusal({ type: urn(problem), detail: 'd' }, { type, name: 'mail.example.com' });
        assert.doesNotMatch(failure.cause + failure.fix, /[{}]/);
        assert.match(failure.cause, /\(d\)\.$/);
        if (problem !== 'rateLimited') assert.match(failure.cause, /mail\.example\.com/);
      }
    }
    assert.match(challengeRefusal({ type: urn('connection'), detail: '' }, { type: 'tls-alpn-01', name: 'm.example' }).failure.fix, /port 443/);
  });
});

describe('signatures', () => {
  const pem = newAccountKey();
  const key = readAccountKey(pem);

  it('are ES256 over header and payload', () => {
    const jws = signJws(key, { nonce: 'n', url: 'https://a.example/x', kid: 'https://a.example/acct/1' }, '');
    assert.deepEqual(JSON.parse(Buffer.from(jws.protected, 'base64url').toString()), { alg: 'ES256', nonce: 'n', url: 'https://a.example/x', kid: 'https://a.example/acct/1' });
    assert.equal(jws.payload, '');
    const signature = Buffer.from(jws.signature, 'base64url');
    assert.equal(signature.length, 64);
    assert.ok(verify('sha256', Buffer.from(`${jws.protected}.`), { key: createPublicKey(pem), dsaEncoding: 'ieee-p1363' }, signature));
  });

  it('the external account signs our key with its own', () => {
    const hmacKey = Buffer.from('secret');
    const jws = bindExternalAccount(key, 'https://a.example/new', { kid: 'k', hmacKey });
    assert.deepEqual(JSON.parse(Buffer.from(jws.payload, 'base64url').toString()), key.jwk);
    assert.equal(jws.signature, createHmac('sha256', hmacKey).update(`${jws.protected}.${jws.payload}`).digest('base64url'));
  });

  it('the key authorization is the token and the thumbprint of RFC 7638', () => {
    const { x, y } = createPublicKey(pem).export({ format: 'jwk' });
    const thumbprint = createHash('sha256')
      .update(`{"crv":"P-256","kty":"EC","x":"${x ?? ''}","y":"${y ?? ''}"}`)
      .digest('base64url');
    assert.equal(keyAuthorization(key, 'token'), `token.${thumbprint}`);
  });

  it('another kind of key is no account key', () => {
    assert.throws(() => readAccountKey(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()), TypeError);
  });
});

describe('DNS records are waited for', () => {
  // Waiting costs nothing, and the time passes.
  const playClock = (): Clock & { readonly passedMs: () => number } => {
    let nowMs = 0;
    return {
      nowMs: () => nowMs,
      passedMs: () => nowMs,
      after(delayMs, fn) {
        const timer = setImmediate(() => {
          nowMs += delayMs;
          fn();
        });
        return () => clearImmediate(timer);
      },
    };
  };
  const answers = [
    { name: 'example.com', token: 't1', keyAuthorization: 't1.x' },
    { name: 'example.com', token: 't2', keyAuthorization: 't2.x' },
  ];

  async function wait(sequence: readonly (readonly string[] | null)[], waitMs: number): Promise<{ passedMs: number; looks: number; events: string[]; records: number }> {
    const clock = playClock();
    const events: string[] = [];
    let looks = 0;
    let records = 0;
    const responder = openDnsResponder({
      hook: ['/bin/true'],
      timeoutMs: 10_000,
      waitMs,
      lacking: (asked) => {
        records = asked.length;
        return Promise.resolve(sequence[Math.min(looks++, sequence.length - 1)] ?? null);
      },
      // The hook's own deadlines are real.
      clock: { ...systemClock, nowMs: clock.nowMs, after: (ms, fn) => (ms === 10_000 || ms === 2000 ? systemClock.after(ms, fn) : clock.after(ms, fn)) },
      log: { ...silentLog, info: (event) => events.push(event) },
      signal: new AbortController().signal,
    });
    for (const answer of answers) await responder.present(answer);
    await responder.ready();
    for (const answer of answers) await responder.remove(answer);
    return { passedMs: clock.passedMs(), looks, events, records };
  }

  it('until every name server has all of them', async () => {
    assert.deepEqual(await wait([['192.0.2.1', '192.0.2.2'], ['192.0.2.2'], []], 120_000), { passedMs: 6000, looks: 3, events: [], records: 2 });
    assert.deepEqual(await wait([[]], 120_000), { passedMs: 0, looks: 1, events: [], records: 2 });
  });

  it('but not longer than is configured, and it is told', async () => {
    const late = await wait([['192.0.2.2']], 7000);
    assert.deepEqual([late.passedMs, late.events], [7000, ['acme.record-not-everywhere']]);
    const unknown = await wait([null], 7000);
    assert.deepEqual([unknown.passedMs, unknown.events], [7000, ['acme.record-not-everywhere']]);
    assert.equal((await wait([null], 0)).passedMs, 0);
  });
});

describe('the first message of a TLS client', () => {
  async function helloOf(options: ConnectionOptions): Promise<Buffer> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const first = new Promise<Buffer>((resolve) => server.once('connection', (socket) => socket.once('data', (bytes: Buffer) => (resolve(bytes), socket.destroy()))));
    const client = connect({ host: '127.0.0.1', port: (server.address() as AddressInfo).port, ...options });
    client.on('error', () => {});
    const bytes = await first;
    client.destroy();
    server.close();
    return bytes;
  }

  const cases: readonly [ConnectionOptions, string | null, readonly string[]][] = [
    [{ servername: 'mail.example.com', ALPNProtocols: ['acme-tls/1'] }, 'mail.example.com', ['acme-tls/1']],
    [{ servername: 'mail.example.com', ALPNProtocols: ['smtp', 'h2'], maxVersion: 'TLSv1.2' }, 'mail.example.com', ['smtp', 'h2']],
    [{}, null, []],
  ];
  for (const [options, serverName, protocols] of cases) {
    it(JSON.stringify(options), async () => {
      const bytes = await helloOf(options);
      assert.deepEqual(readClientHello(bytes), { is: 'hello', serverName, protocols });
      for (let length = 0; length < bytes.length; length++) assert.equal(readClientHello(bytes.subarray(0, length)).is, 'more', `${length} bytes`);
      // The same in records of a few bytes each.
      const message = bytes.subarray(5);
      const records = Array.from({ length: Math.ceil(message.length / 7) }, (_, i) => message.subarray(i * 7, i * 7 + 7)).map((part) =>
        Buffer.concat([Buffer.from([22, 3, 1, 0, part.length]), part]),
      );
      assert.deepEqual(readClientHello(Buffer.concat(records)), { is: 'hello', serverName, protocols });
      // Whatever is changed on the way: an answer, never a fault.
      fc.assert(
        fc.property(fc.integer({ min: 0, max: bytes.length - 1 }), fc.integer({ min: 0, max: 255 }), (at, value) => {
          const changed = Buffer.from(bytes);
          changed[at] = value;
          return ['hello', 'more', 'other'].includes(readClientHello(changed).is);
        }),
        { numRuns: 1000 },
      );
    });
  }

  it('what is none', () => {
    assert.equal(readClientHello(Buffer.from('EHLO client\r\n')).is, 'other');
    assert.equal(readClientHello(Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0])).is, 'other');
    // One that never ends is not waited for.
    const endless = Buffer.concat([Buffer.from([22, 3, 1, 0xff, 0xff, 1, 0xff, 0xff, 0xff]), Buffer.alloc(20_000)]);
    assert.equal(readClientHello(endless).is, 'other');
  });
});
