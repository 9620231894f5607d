// postern send against hosts of every kind: the ladder, TLS that is required unless "none" is said, logins, what is shown and what never is,
// exit codes, and the JSON document.
// Needs: root

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeAuthority } from '../support/authority.ts';
import { startBlackhole } from '../support/blackhole.ts';
import { ROOT } from '../support/postern.ts';
import { startReceiver } from '../support/receiver.ts';
import type { Receiver, Script } from '../support/receiver.ts';
import { run, tempDir } from '../support/temp.ts';
import type { Done } from '../support/temp.ts';

type Answer = {
  readonly ok: boolean;
  readonly host: string;
  readonly port: number | null;
  readonly tls: string | null;
  readonly replies: readonly {
    readonly to: string;
    readonly accepted: boolean;
    readonly code: number;
    readonly failure: { readonly cause: string; readonly fix: string } | null;
  }[];
  readonly failure: { readonly class: string; readonly cause: string; readonly fix: string } | null;
  readonly attempts: readonly {
    readonly port: number;
    readonly failure: { readonly class: string } | null;
    readonly transcript: readonly { readonly direction: string; readonly text: string }[];
  }[];
};

const authority = makeAuthority();
const work = tempDir('send');
const PASSWORD = 'correct horse battery';
const passwordFile = join(work, 'password');
writeFileSync(passwordFile, `${PASSWORD}\n`, { mode: 0o600 });
let net = 0;

type Host = { readonly address: string; rung(port: 465 | 587 | 2525, script?: Script): Promise<Receiver> };

/** A host of its own, on the real ports. */
function host(): Host {
  const address = `127.0.10.${++net}`;
  const good = authority.issue([address]);
  return { address, rung: (port, script = {}) => startReceiver({ tls: good, ...script, implicit: port === 465, address, port }) };
}

const send = (...args: readonly string[]): Promise<Done> =>
  run(process.execPath, ['--disable-warning=ExperimentalWarning', join(ROOT, 'src/cli/run.ts'), '--data', join(work, 'none'), ...args], { cwd: work });

async function sendJson(at: Host, ...args: readonly string[]): Promise<{ done: Done; answer: Answer }> {
  const done = await send(
    '--json',
    'send',
    '--host',
    at.address,
    '--ca-file',
    authority.caFile,
    '--from',
    'me@sender.test',
    '--to',
    'you@receiver.test',
    '--timeout',
    '5',
    ...args,
  );
  return { done, answer: JSON.parse(Buffer.from(done.stdout, 'latin1').toString()) as Answer };
}

const login = ['--user', 'me', '--password-file', passwordFile] as const;
const auth = (reply = '235 2.7.0 Welcome'): Script => ({ offers: ['AUTH PLAIN', 'PIPELINING'], reply: (line) => (line.startsWith('AUTH') ? reply : undefined) });

test('465 is taken first, with verified TLS; the document says all of it', async () => {
  const at = host();
  const first = await at.rung(465, auth());
  const second = await at.rung(587);
  const { done, answer } = await sendJson(at, ...login);
  assert.equal(done.code, 0, done.stderr);
  assert.deepEqual([answer.ok, answer.host, answer.port, answer.failure], [true, at.address, 465, null]);
  assert.match(answer.tls ?? '', /^TLSv1\.3 \S+, certificate verified$/);
  assert.deepEqual(
    answer.replies.map(({ to, accepted, code }) => [to, accepted, code]),
    [['you@receiver.test', true, 250]],
  );
  assert.equal(first.received.length, 1);
  assert.equal(second.connections, 0);
  const coded = [PASSWORD, `\0me\0${PASSWORD}`].map((text) => Buffer.from(text).toString('base64'));
  for (const secret of [PASSWORD, ...coded]) assert.ok(!`${done.stdout}${done.stderr}`.includes(secret));
  assert.match(done.stderr, /> AUTH PLAIN \[removed\]/);
});

test('dead, swallowed and plain rungs are left, each with its reason, for the one that works', async () => {
  const at = host();
  await startBlackhole(at.address, 465);
  const middle = await at.rung(587, { tls: undefined as never });
  const last = await at.rung(2525, auth());
  const { done, answer } = await sendJson(at, ...login, '--timeout', '1');
  assert.equal(done.code, 0, done.stderr);
  assert.deepEqual(
    answer.attempts.map(({ port, failure }) => [port, failure?.class ?? null]),
    [
      [465, 'connection-timeout'],
      [587, 'starttls-missing'],
      [2525, null],
    ],
  );
  assert.ok(!middle.lines.some((line) => /^(AUTH|MAIL)/.test(line)), 'nothing was said in the clear');
  assert.equal(last.received.length, 1);
});

test('a certificate for another name is refused on every rung: exit 1, no password, no mail', async () => {
  const at = host();
  const wrong = authority.issue(['other.test']);
  const all = await Promise.all(([465, 587, 2525] as const).map((port) => at.rung(port, { tls: wrong, ...auth() })));
  const { done, answer } = await sendJson(at, ...login);
  assert.equal(done.code, 1);
  assert.deepEqual([answer.ok, answer.port, answer.failure?.class], [false, null, 'certificate-name']);
  assert.ok(all.every((receiver) => !receiver.lines.some((line) => /^(AUTH|MAIL)/.test(line))));
  const insecure = await sendJson(at, ...login, '--insecure');
  assert.equal(insecure.done.code, 0);
  assert.match(insecure.answer.tls ?? '', /other|not for|match|name/i);
});

test('a wrong password ends the climb: exit 1, with cause and fix', async () => {
  const at = host();
  await at.rung(465, auth('535 5.7.8 No'));
  const spare = await at.rung(587, auth());
  const { done, answer } = await sendJson(at, ...login);
  assert.equal(done.code, 1);
  assert.equal(answer.failure?.class, 'auth-failed');
  assert.ok((answer.failure?.cause.length ?? 0) > 10 && (answer.failure?.fix.length ?? 0) > 10);
  assert.equal(spare.connections, 0);
});

test('a login that is not there today is tried on the next rung', async () => {
  const at = host();
  await at.rung(465, auth('454 4.7.0 Try again later'));
  const spare = await at.rung(587, auth());
  assert.equal((await sendJson(at, ...login)).done.code, 0);
  assert.equal(spare.received.length, 1);
});

test('nothing answers: exit 3', async () => {
  const { done, answer } = await sendJson(host());
  assert.equal(done.code, 3);
  assert.deepEqual(
    answer.attempts.map(({ port, failure }) => [port, failure?.class]),
    [465, 587, 2525].map((port) => [port, 'connection-refused']),
  );
});

test('in the clear only when "none" is said, never with a password, and not where TLS comes first', async () => {
  const at = host();
  const tlsFirst = await at.rung(465);
  const plain = await at.rung(587, { tls: undefined as never });
  assert.equal((await sendJson(at, '--port', '587')).done.code, 1);
  assert.equal(plain.received.length, 0);
  const { done, answer } = await sendJson(at, '--tls', 'none');
  assert.equal(done.code, 0, done.stderr);
  assert.deepEqual([answer.port, answer.tls], [587, null]);
  assert.equal(tlsFirst.connections, 0);
  assert.notEqual((await sendJson(at, '--tls', 'none', ...login)).done.code, 0);
  assert.ok(!plain.lines.some((line) => line.startsWith('AUTH')));
});

test('--tls implicit speaks TLS first on any port', async () => {
  const at = host();
  await startReceiver({ tls: authority.issue([at.address]), implicit: true, address: at.address, port: 2525 });
  assert.equal((await sendJson(at, '--tls', 'implicit', '--port', '2525')).done.code, 0);
});

test('some recipients are refused: exit 1, each with its answer', async () => {
  const at = host();
  await at.rung(465, { reply: (line) => (line.includes('gone') ? '550 5.1.1 No such user' : undefined) });
  const { done, answer } = await sendJson(at, '--to', 'gone@receiver.test');
  assert.equal(done.code, 1);
  assert.deepEqual(
    answer.replies.map(({ to, accepted, code }) => [to, accepted, code]),
    [
      ['you@receiver.test', true, 250],
      ['gone@receiver.test', false, 550],
    ],
  );
  assert.ok((answer.replies[1]?.failure?.fix.length ?? 0) > 5);
  const people = await send('send', '--host', at.address, '--ca-file', authority.caFile, '--from', 'me@sender.test', '--to', 'gone@receiver.test');
  assert.equal(people.code, 1);
  assert.match(people.stdout, /refused {3}gone@receiver\.test {2}550 5\.1\.1 No such user\ncause .+\nfix /);
});

test('a file goes out as it is, with line ends that SMTP can carry', async () => {
  const at = host();
  const receiver = await at.rung(465);
  const file = join(work, 'message.eml');
  writeFileSync(file, 'From: a@b.test\nSubject: file\n\n.dot\n..two\r\nlast without end');
  assert.equal((await sendJson(at, '--file', file)).done.code, 0);
  assert.equal(receiver.received[0]?.content.toString(), 'From: a@b.test\r\nSubject: file\r\n\r\n.dot\r\n..two\r\nlast without end\r\n');
  assert.equal(readFileSync(file, 'latin1').includes('\r\n.dot'), false);
});

test('a server without 8BITMIME gets the message converted, and that is told', async () => {
  const at = host();
  const file = join(work, 'eight.eml');
  writeFileSync(file, 'From: <me@sender.test>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n');
  const old = await at.rung(465, { offers: [] });
  const { done, answer } = await sendJson(at, '--file', file);
  assert.equal(done.code, 0, done.stderr);
  assert.equal(answer.ok, true);
  assert.match(done.stderr, /no 8BITMIME/);
  assert.match(old.received[0]?.content.toString() ?? '', /quoted-printable[^]*Gr=C3=BC=C3=9Fe/);
  old.script = { ...old.script, offers: ['8BITMIME'] };
  assert.equal((await sendJson(at, '--file', file)).done.code, 0);
  assert.match(old.received[1]?.content.toString() ?? '', /\r\n\r\nGrüße\r\n$/);
  // What is sealed as a whole is not touched.
  const sealed = join(work, 'sealed.eml');
  writeFileSync(sealed, 'From: <me@sender.test>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\nGrüße\r\n--b--\r\n');
  old.script = { ...old.script, offers: [] };
  const refused = await sendJson(at, '--file', sealed);
  assert.deepEqual([refused.done.code, refused.answer.failure?.class, old.received.length], [1, 'conversion-failed', 2]);
});

test('a server without SMTPUTF8 gets the recipients it can have, by A-labels where those are enough', async () => {
  const at = host();
  const file = join(work, 'ascii.eml');
  writeFileSync(file, 'From: <me@sender.test>\r\nSubject: hello\r\n\r\nhello\r\n');
  const old = await at.rung(465, { offers: ['PIPELINING'] });
  const { done, answer } = await sendJson(at, '--file', file, '--to', 'you@bücher.test', '--to', 'grüße@bücher.test');
  assert.equal(done.code, 1);
  assert.deepEqual(
    answer.replies.map(({ to, accepted, code }) => [to, accepted, code]),
    [
      ['you@receiver.test', true, 250],
      ['you@bücher.test', true, 250],
      ['grüße@bücher.test', false, 0],
    ],
  );
  assert.match(answer.replies[2]?.failure?.cause ?? '', /SMTPUTF8|international/i);
  assert.deepEqual(old.received[0]?.to, ['you@receiver.test', 'you@xn--bcher-kva.test']);
  // The test message says it that way too.
  assert.equal((await sendJson(at, '--to', 'you@bücher.test')).done.code, 0);
  assert.match(old.received[1]?.content.toString() ?? '', /^To: you@receiver\.test,\s+you@xn--bcher-kva\.test\r\n/m);
  const none = await sendJson(at, '--to', 'grüße@bücher.test');
  assert.deepEqual([none.done.code, none.answer.replies, none.answer.failure?.class], [1, [], 'smtputf8-missing']);
});

test('what a server says cannot steer the terminal', async () => {
  const at = host();
  await at.rung(465, { reply: (line) => (line.startsWith('RCPT') ? '550 5.1.1 \x1b]0;title\x07\x9b2J\u202eno' : undefined) });
  const done = await send('send', '--host', at.address, '--ca-file', authority.caFile, '--from', 'me@sender.test', '--to', 'you@receiver.test');
  assert.equal(done.code, 1);
  const shown = Buffer.from(`${done.stdout}${done.stderr}`, 'latin1').toString();
  assert.match(shown, /550 5\.1\.1/);
  assert.doesNotMatch(shown, /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]/);
});
