// What a person reads at the start: every address, the credential once, a command that can be pasted.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BoundListener } from '#server/binding.ts';
import { programName, welcomeText } from '#server/first-start.ts';
import type { Welcome } from '#server/first-start.ts';

const listener = (profile: BoundListener['profile'], address: string, port: number, note: string | null = null): BoundListener => ({
  name: profile,
  profile,
  address,
  port,
  note,
  tls: profile === 'submissions' ? 'implicit' : 'starttls',
  config: { profile, address, port, proxyProtocol: false },
});

const WELCOME: Welcome = {
  version: '0.1.0',
  hostname: 'relay.example.com',
  dataDir: './data',
  httpUrl: 'http://127.0.0.1:8025',
  program: 'bin/postern',
  globalOptions: '',
  authority: null,
  first: { username: 'first', password: 'pw234567' },
  signInLink: 'http://localhost:8025/sign-in#abc',
  listeners: [
    listener('mx', '::', 10_025, 'Port 25 could not be had (this account may not bind it); 10025 is used instead.'),
    listener('submissions', '::', 465),
    listener('submission', '::', 10_587),
  ],
};

test('the first start tells addresses, fallbacks, the credential and a command', () => {
  const text = welcomeText(WELCOME);
  for (const part of [
    '[::]:10025',
    '[::]:465',
    'http://127.0.0.1:8025',
    'Port 25 could not be had',
    'docs/operations.md',
    'username  first',
    'password  pw234567',
    'http://localhost:8025/sign-in#abc',
    '--host 127.0.0.1 --port 10587',
    'bin/postern message list',
  ]) {
    assert.ok(text.includes(part), part);
  }
  assert.match(text, /printf %s 'pw234567' \| bin\/postern send .*--password-file - /);
  assert.ok(
    text
      .split('\n')
      .filter((line) => !line.includes('printf'))
      .every((line) => line.length <= 120),
  );
});

test('a certificate that is still to be issued is told', () => {
  assert.doesNotMatch(welcomeText(WELCOME), /certificate/);
  assert.match(welcomeText({ ...WELCOME, authority: 'https://ca.example/dir' }), /self-signed until https:\/\/ca\.example\/dir has issued one; .*\n {2}bin\/postern tls show\n/);
});

test('a later start tells no password', () => {
  const text = welcomeText({ ...WELCOME, first: null, globalOptions: ' --data /srv/p' });
  assert.doesNotMatch(text, /password|printf/);
  assert.match(text, /bin\/postern --data \/srv\/p message list/);
});

test('with 465 alone the command speaks TLS from the first byte', () => {
  assert.match(welcomeText({ ...WELCOME, listeners: [listener('submissions', '192.0.2.1', 465)] }), /--host 192\.0\.2\.1 --port 465 --tls implicit/);
});

test('the program is called as it can be called from here', () => {
  assert.equal(programName('/srv/postern', '/srv/postern'), 'bin/postern');
  assert.equal(programName('/srv/postern', '/srv'), 'postern/bin/postern');
  assert.equal(programName('/usr/lib/node_modules/postern', '/srv'), 'postern');
});
