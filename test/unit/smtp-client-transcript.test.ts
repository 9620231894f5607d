// What a transcript keeps of a login: which mechanism, what came of it, and nothing that gives the password away, even to who can guess.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectClient } from '#smtp/client.ts';
import { Recorder } from '#smtp/transcript.ts';
import { outboundTls } from '#tls/context.ts';
import { makeAuthority } from '../support/authority.ts';
import { startPostern } from '../support/postern.ts';
import { startReceiver } from '../support/receiver.ts';

const authority = makeAuthority();
const certificate = authority.issue(['receiver.test']);
const context = outboundTls({ caFile: authority.caFile }).secureContext;
const login = { username: 'me@example.test', password: 'correct horse battery' };
const coded = [login.password, `\0${login.username}\0${login.password}`].map((text) => Buffer.from(text).toString('base64'));

for (const [mechanism, answers] of [
  ['PLAIN', ['535 5.7.8 No: ECHO']],
  ['LOGIN', ['334 VXNlcm5hbWU6', '334 UGFzc3dvcmQ6', '535 5.7.8 Wrong: correct horse battery ECHO']],
  ['SCRAM-SHA-256', [`334 ${Buffer.from('r=abc,s=c2FsdA==,i=4096').toString('base64')}`]],
] as const) {
  test(`${mechanism}: no form of the password stays, whoever said it`, async () => {
    const left = [...answers];
    let said = '';
    const receiver = await startReceiver({
      tls: certificate,
      offers: [`AUTH ${mechanism}`],
      reply(line) {
        if (!line.startsWith('AUTH') && left.length === answers.length) return undefined;
        said = line.split(' ').at(-1) ?? '';
        return left.shift()?.replace('ECHO', said) ?? '535 5.7.8 No';
      },
    });
    const recorder = new Recorder();
    const result = await connectClient({
      protocol: 'smtp',
      target: { address: receiver.address, port: receiver.port },
      helo: 'client.test',
      auth: login,
      recorder,
      tls: { wanted: 'starttls-required', serverName: 'receiver.test', verify: true, context },
      timeouts: { connectMs: 3000, greetingMs: 3000, commandMs: 3000, dataMs: 3000 },
    });
    assert.ok('failure' in result);
    const told = JSON.stringify([recorder.entries, result.failure]);
    assert.ok(told.includes(mechanism));
    for (const secret of [login.password, ...coded]) assert.ok(!told.includes(secret), told);
    if (mechanism !== 'SCRAM-SHA-256') assert.match(told, /535 5\.7\.8/);
    else assert.ok(!told.includes('cj1hYmM'), 'the challenge is not kept');
  });
}

test('a login that works leaves neither challenge nor signature', async () => {
  const postern = await startPostern({ profiles: ['submission'] });
  const credential = await postern.credential('app');
  const recorder = new Recorder();
  const result = await connectClient({
    protocol: 'smtp',
    target: { address: '127.0.0.1', port: postern.port('submission') },
    helo: 'client.test',
    auth: credential,
    recorder,
    tls: { wanted: 'starttls-required', serverName: 'relay.test', verify: false, context },
    timeouts: { connectMs: 5000, greetingMs: 5000, commandMs: 5000, dataMs: 5000 },
  });
  assert.ok('client' in result);
  await result.client.quit();
  const lines = recorder.entries.map(({ direction, text }) => `${direction} ${text}`);
  assert.deepEqual(
    lines.filter((line) => /334|proof|AUTH SCRAM/.test(line) && !line.includes('250')),
    ['> AUTH SCRAM-SHA-256 [removed]', '< 334 [challenge removed]', '> [proof removed]', '< 334 [challenge removed]'],
  );
  assert.equal(lines.at(-1), '< 221 2.0.0 Bye');
  await postern.stop();
});
