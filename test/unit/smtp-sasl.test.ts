// AUTH on both sides: the vector of RFC 7677 to the letter, and our client against our server for any login, any wrong one, and any nonsense.

import assert from 'node:assert/strict';
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { authenticate } from '#smtp/client-auth.ts';
import { Wire } from '#smtp/client-wire.ts';
import type { Identity, ScramKeys } from '#smtp/policy.ts';
import { REPLIES } from '#smtp/reply.ts';
import { MECHANISMS, decodeBase64, openMechanism } from '#smtp/sasl.ts';
import type { Mechanism, SaslHost, SaslStep } from '#smtp/sasl.ts';

type Vector = Readonly<Record<'username' | 'password' | 'clientNonce' | 'serverNonce' | 'salt' | 'clientFirst' | 'serverFirst' | 'clientFinal' | 'serverFinal', string>> & {
  readonly iterations: number;
};

const vector = JSON.parse(readFileSync(new URL('../vectors/sasl/scram-sha-256.json', import.meta.url), 'utf8')) as Vector;

function keysOf(password: string, salt: Buffer, iterations: number): ScramKeys {
  const salted = pbkdf2Sync(password.normalize('NFKC'), salt, iterations, 32, 'sha256');
  const key = (label: string): Buffer => createHmac('sha256', salted).update(label).digest();
  return { salt, iterations, storedKey: createHash('sha256').update(key('Client Key')).digest(), serverKey: key('Server Key') };
}

/** A server that knows one login. */
function hostOf(login: { username: string; password: string }, options: { salt?: Buffer; iterations?: number; nonce?: () => string } = {}): SaslHost<Identity> {
  const identity = { credential: 'app', username: login.username };
  return {
    verify: (username, password) =>
      username === login.username.normalize('NFKC') && password === login.password.normalize('NFKC') ? { identity } : { refusal: REPLIES.authFailed },
    keys: () => keysOf(login.password, options.salt ?? Buffer.from('salt'), options.iterations ?? 1),
    proven: (username) => (username === login.username.normalize('NFKC') ? { identity } : { refusal: REPLIES.authFailed }),
    binding: (type) => Buffer.from(type),
    ...(options.nonce === undefined ? {} : { nonce: options.nonce }),
  };
}

function challengeOf(step: SaslStep<Identity>): string {
  assert.ok('challenge' in step, JSON.stringify(step));
  return String(step.challenge);
}

/** A socket whose other end is `answer`: lines in, a reply out. */
function wireTo(answer: (line: string) => Promise<string>): { wire: Wire; lines: string[] } {
  const lines: string[] = [];
  const socket = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      const line = String(chunk).replace(/\r\n$/, '');
      lines.push(line);
      answer(line).then(
        (reply) => socket.push(`${reply}\r\n`),
        (error: Error) => socket.destroy(error),
      );
      done();
    },
  });
  const wire = new Wire(Object.assign(socket, { setTimeout: () => socket }) as unknown as Socket, null);
  wire.attach();
  return { wire, lines };
}

/** Our server's side of AUTH behind a wire, as the session plays it. */
function serverOf(host: SaslHost<Identity>): (line: string) => Promise<string> {
  let machine: ReturnType<typeof openMechanism<Identity>>['machine'] | null = null;
  return async (line) => {
    let answer: Buffer | null;
    if (machine === null) {
      const [, name = '', initial] = line.split(' ');
      const opened = openMechanism<Identity>(name as Mechanism, host);
      machine = opened.machine;
      if (initial === undefined) return `334 ${opened.first.toString('base64')}`;
      answer = decodeBase64(initial);
    } else answer = line === '' ? Buffer.alloc(0) : decodeBase64(line);
    assert.ok(answer !== null, line);
    const step = await machine.step(answer);
    if ('challenge' in step) return `334 ${step.challenge.toString('base64')}`;
    return 'result' in step && 'identity' in step.result ? '235 2.7.0 Authentication successful' : '535 5.7.8 No';
  };
}

describe('SCRAM-SHA-256, the vector of RFC 7677', () => {
  const salt = Buffer.from(vector.salt, 'base64');

  it('as server', async () => {
    const { machine } = openMechanism<Identity>('SCRAM-SHA-256', hostOf(vector, { salt, iterations: vector.iterations, nonce: () => vector.serverNonce }));
    assert.equal(challengeOf(await machine.step(Buffer.from(vector.clientFirst))), vector.serverFirst);
    assert.equal(challengeOf(await machine.step(Buffer.from(vector.clientFinal))), vector.serverFinal);
    assert.deepEqual(await machine.step(Buffer.alloc(0)), { result: { identity: { credential: 'app', username: 'user' } } });
  });

  it('as client', async () => {
    const said: string[] = [];
    const answers = [vector.serverFirst, vector.serverFinal];
    const { wire } = wireTo(async (line) => {
      said.push(Buffer.from(line.replace(/^AUTH SCRAM-SHA-256 /, ''), 'base64').toString());
      const next = answers.shift();
      return next === undefined ? '235 2.7.0 ok' : `334 ${Buffer.from(next).toString('base64')}`;
    });
    assert.equal(await authenticate(wire, vector, { offered: MECHANISMS, timeoutMs: 1000, nonce: () => vector.clientNonce }), null);
    assert.deepEqual(said, [vector.clientFirst, vector.clientFinal, '']);
  });

  it('a server that cannot sign is not believed, though it says 235', async () => {
    const forged = `v=${Buffer.alloc(32).toString('base64')}`;
    for (const last of [`334 ${Buffer.from(forged).toString('base64')}`, `235 ${Buffer.from(forged).toString('base64')}`, '235 2.7.0 come in', '334 ', '334 bm9uc2Vuc2U=']) {
      const answers = [`334 ${Buffer.from(vector.serverFirst).toString('base64')}`, last, '235 2.7.0 come in'];
      const { wire } = wireTo(async () => answers.shift() ?? '500 x');
      const failure = await authenticate(wire, vector, { offered: ['SCRAM-SHA-256'], timeoutMs: 1000, nonce: () => vector.clientNonce });
      assert.equal(failure?.kind, 'protocol', last);
      assert.match(failure.text, /did not prove that it knows the password/);
    }
  });

  it('a challenge that repeats, shortens or replaces the nonce, or asks for a year of work, is refused', async () => {
    const rest = `s=${vector.salt},i=4096`;
    for (const first of [
      `r=${vector.clientNonce},${rest}`,
      `r=${vector.clientNonce.slice(1)}x,${rest}`,
      `r=other,${rest}`,
      `r=${vector.clientNonce}x,s=${vector.salt},i=99999999`,
      `r=${vector.clientNonce}x,s=${vector.salt},i=0`,
      'x',
      '',
    ]) {
      const { wire, lines } = wireTo(async () => `334 ${Buffer.from(first).toString('base64')}`);
      const failure = await authenticate(wire, vector, { offered: ['SCRAM-SHA-256'], timeoutMs: 1000, nonce: () => vector.clientNonce });
      assert.equal(failure?.kind, 'protocol', first);
      assert.equal(lines.length, 1, 'no proof was given');
    }
  });
});

/** What a person may type: any text without NUL. */
const word = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter((text) => !text.includes('\0') && text.normalize('NFKC') !== '');

describe('our client and our server', () => {
  for (const mechanism of ['SCRAM-SHA-256', 'PLAIN', 'LOGIN'] as const) {
    it(`${mechanism}: any login gets in`, async () => {
      await fc.assert(
        fc.asyncProperty(word, word, async (username, password) => {
          const { wire } = wireTo(serverOf(hostOf({ username, password })));
          assert.equal(await authenticate(wire, { username, password }, { offered: [mechanism], timeoutMs: 1000 }), null);
        }),
        { numRuns: 150 },
      );
    });

    it(`${mechanism}: a wrong password or name does not`, async () => {
      await fc.assert(
        fc.asyncProperty(word, word, word, fc.boolean(), async (username, password, other, wrongName) => {
          fc.pre(other.normalize('NFKC') !== (wrongName ? username : password).normalize('NFKC'));
          const { wire } = wireTo(serverOf(hostOf({ username, password })));
          const failure = await authenticate(wire, wrongName ? { username: other, password } : { username, password: other }, { offered: [mechanism], timeoutMs: 1000 });
          assert.equal(failure?.phase, 'auth');
        }),
        { numRuns: 100 },
      );
    });
  }

  it('no password is ever in the clear in what SCRAM says', async () => {
    await fc.assert(
      fc.asyncProperty(fc.stringMatching(/^[a-z0-9]{12,20}$/), async (password) => {
        const { wire, lines } = wireTo(serverOf(hostOf({ username: 'app', password })));
        await authenticate(wire, { username: 'app', password }, { offered: MECHANISMS, timeoutMs: 1000 });
        assert.doesNotMatch(lines.map((line) => Buffer.from(line.split(' ').at(-1) ?? '', 'base64').toString('latin1')).join('\n'), new RegExp(password));
      }),
      { numRuns: 50 },
    );
  });
});

describe('any answer', () => {
  for (const mechanism of MECHANISMS) {
    it(`${mechanism}: never throws, never lets in`, async () => {
      const pieces = fc.array(fc.constantFrom('n,,', 'y,,', 'p=tls-exporter,,', 'n=app', ',', 'r=', 'x', 'c=biws', 'p=', '=', '\0', 'a=', 'app', '=2C', 'é', 'AAAA'), {
        maxLength: 12,
      });
      const answer = fc.oneof(
        pieces.map((parts) => Buffer.from(parts.join(''))),
        fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
      );
      await fc.assert(
        fc.asyncProperty(fc.array(answer, { minLength: 1, maxLength: 4 }), async (answers) => {
          const { machine } = openMechanism<Identity>(mechanism, hostOf({ username: 'app', password: 'the password that nobody guesses' }));
          for (const one of answers) {
            const step = await machine.step(one);
            assert.ok(!('result' in step && 'identity' in step.result));
            if (!('challenge' in step)) break;
          }
        }),
        { numRuns: 500 },
      );
    });
  }

  it('base64 is strict', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 50 }), (bytes) => {
        const text = Buffer.from(bytes).toString('base64');
        assert.deepEqual(decodeBase64(text), Buffer.from(bytes));
        if (text !== '') for (const wrong of [`${text}=`, `${text} `, `${text}\n`, text.slice(1), `-${text.slice(1)}`]) assert.equal(decodeBase64(wrong), null, wrong);
      }),
    );
  });
});
