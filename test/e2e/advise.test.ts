// The advisor as its user has it: against real servers on the real ports, with one of them swallowed; without a terminal and at one; and what it
// hands out, run.
// Needs: root, python3, curl

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:https';
import { join } from 'node:path';
import { before, test } from 'node:test';
import type { Advice } from '#advise/advise.ts';
import { makeAuthority } from '../support/authority.ts';
import { startBlackhole } from '../support/blackhole.ts';
import { examplesIn } from '../support/program.ts';
import { messages, startPostern } from '../support/postern.ts';
import type { Postern } from '../support/postern.ts';
import { atEnd, run, tempDir } from '../support/temp.ts';
import type { Done } from '../support/temp.ts';

const authority = makeAuthority();
/** All four ports; and 465 and 2525 only, with nothing said on 587. */
const [WHOLE, LOCKED] = ['127.0.0.77', '127.0.0.78'];
let whole: Postern;
let locked: Postern;

before(async () => {
  const { certFile, keyFile } = authority.issue([WHOLE, LOCKED]);
  const start = (address: string, ports: Readonly<Record<string, number>>): Promise<Postern> =>
    startPostern({
      profiles: [],
      config: [
        `[tls]\nmode = "files"\ncert = "${certFile}"\nkey = "${keyFile}"`,
        ...Object.entries(ports).map(([profile, port]) => `[[listener]]\nprofile = "${profile}"\naddress = "${address}"\nport = ${port}`),
      ].join('\n\n'),
    });
  whole = await start(WHOLE, { mx: 25, submissions: 465, submission: 587, alternate: 2525 });
  locked = await start(LOCKED, { submissions: 465, alternate: 2525 });
  await startBlackhole(LOCKED, 587);
});

async function ask(postern: Postern, ...args: readonly string[]): Promise<{ readonly code: number | null; readonly advice: Advice }> {
  const done = await postern.cli('--json', 'advise', ...args);
  return { code: done.code, advice: JSON.parse(done.stdout) as Advice };
}

test('the contract: five fields, the short answer, and at once without a terminal', async () => {
  for (const args of [[], ['--scenario', 'app']]) {
    const { code, advice } = await ask(whole, ...args);
    assert.equal(code, 0);
    assert.deepEqual(Object.keys(advice).slice(0, 5), ['port', 'encryption', 'why', 'alternatives', 'snippet']);
    assert.equal(advice.port, 587);
    assert.match(advice.encryption, /starttls.*required/);
  }
  const plain = await whole.cli('advise');
  assert.equal(plain.code, 0);
  assert.match(plain.stdout, /^Port 587, STARTTLS, required/);
});

test('every example of its help, with --json: one document; those that would go out apart', async () => {
  const examples = examplesIn((await whole.cli('advise', '--help')).stdout).filter((example) => !example.includes('--probe'));
  assert.ok(examples.length > 4);
  for (const example of examples) {
    const done = await whole.cli('--json', ...example.filter((word) => word !== '--json'));
    assert.equal(done.code, 0, `${example.join(' ')}\n${done.stderr}`);
    assert.match(done.stdout, /^[^\n]+\n$/);
    JSON.parse(done.stdout);
  }
});

test('all ports there: 587, with what was seen of each; and the configuration delivers', async () => {
  const app = await whole.credential('app', '--domain', 'example.com');
  const { code, advice } = await ask(whole, '--host', WHOLE, '--probe', '--ca-file', authority.caFile, '--user', app.username, '--from', 'app@example.com', '--library', 'python');
  assert.equal(code, 0);
  assert.equal(advice.port, 587);
  assert.deepEqual(
    advice.evidence.map(({ port, standing }) => `${port} ${standing}`),
    ['25 server-only', '465 works', '587 works', '2525 works'],
  );
  assert.match(advice.evidence[2]?.text ?? '', /STARTTLS, TLSv1\.3, certificate verified, login by .*PLAIN/);
  const snippets = [advice, ...advice.alternatives].map(({ snippet }) => snippet ?? '');
  assert.equal(snippets.length, 3);
  for (const [i, snippet] of snippets.entries()) {
    const file = join(tempDir('adv'), 'send.py');
    writeFileSync(file, snippet);
    const done = await run('/usr/bin/python3', [file], { env: { ...process.env, SMTP_PASSWORD: app.password, SSL_CERT_FILE: authority.caFile } });
    assert.equal(done.code, 0, done.stderr);
    await messages(whole, 'captured', i + 1);
  }
});

test('587 swallowed: 2525 in a locked-down cloud, in the time of one port', async () => {
  const { code, advice } = await ask(locked, '--scenario', 'locked-cloud', '--host', LOCKED, '--probe', '--timeout', '1', '--ca-file', authority.caFile);
  assert.equal(code, 0);
  assert.equal(advice.port, 2525);
  assert.deepEqual(
    advice.evidence.map(({ port, standing }) => `${port} ${standing}`),
    ['25 closed', '465 works', '587 silent', '2525 works'],
  );
  assert.match(advice.why, /587 is blocked: no answer/);
});

test('a certificate that does not verify is told, and so is what to do', async () => {
  const { code, advice } = await ask(whole, '--host', WHOLE, '--probe');
  assert.equal(code, 0);
  assert.equal(advice.port, 587);
  assert.match(advice.why, /does not verify.*authority that the client trusts/);
});

test('nothing there: exit 1', async () => {
  const { code, advice } = await ask(whole, '--host', '127.0.0.79', '--probe');
  assert.equal(code, 1);
  assert.match(advice.why, /the server is down/);
});

test('the network alone, at hosts known to serve the ports', async () => {
  const { advice } = await ask(locked, '--probe', '--reference', LOCKED, '--timeout', '1');
  assert.equal(advice.port, 2525);
  const both = await ask(locked, '--probe', '--reference', LOCKED, '--reference', WHOLE, '--timeout', '1');
  assert.equal(both.advice.port, 587);
});

test('this very server by its name: the ports that it listens on', async () => {
  const other = await startPostern({ hostname: 'mail.own.test' });
  const { advice } = await ask(other, '--host', 'mail.own.test');
  assert.equal(advice.port, other.port('submission'));
  assert.match(advice.notes[0] ?? '', /self-signed certificate.*tls\.mode/);
  const others = new Map(advice.alternatives.map(({ port, encryption }) => [port, encryption]));
  assert.equal(others.get(other.port('submissions')), 'implicit-tls');
  assert.equal(others.get(other.port('alternate')), 'starttls-required');
  assert.ok(advice.snippet?.includes(`mail.own.test:${other.port('submission')}`));
});

test('the HTTP API, when every mail port is closed: as it is handed out, over HTTPS only', async () => {
  const { cert, key } = authority.issue([WHOLE]);
  // The web server with TLS in front.
  const target = new URL(whole.http);
  const front = createServer({ cert, key }, (incoming, answer) => {
    const onward = request({ host: target.hostname, port: target.port, method: incoming.method, path: incoming.url, headers: incoming.headers }, (reply) => {
      answer.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.pipe(answer);
    });
    onward.on('error', () => answer.destroy());
    incoming.pipe(onward);
  });
  front.listen(443, WHOLE);
  await once(front, 'listening');
  atEnd(() => front.close());
  const { code, advice } = await ask(whole, '--scenario', 'locked-cloud', '--blocked', '465,587,2525', '--host', WHOLE, '--from', 'app@example.com');
  assert.equal(code, 1);
  assert.deepEqual([advice.port, advice.encryption], [443, 'https']);
  await whole.credential('web', '--domain', 'example.com');
  const { token } = await whole.json<{ token: string }>('token', 'add', 'shop', '--scope', 'messages:send');
  const file = join(tempDir('adv'), 'send.sh');
  writeFileSync(file, advice.snippet ?? '');
  const send = (env: Readonly<Record<string, string>>): Promise<Done> => run('/bin/sh', [file], { env: { ...process.env, POSTERN_TOKEN: token, ...env } });
  const done = await send({ CURL_CA_BUNDLE: authority.caFile });
  assert.equal(done.code, 0, done.stderr);
  assert.match(done.stdout, /"id"/);
  assert.notEqual((await send({})).code, 0, 'a certificate of an unknown authority is taken');
});

test("an own server's configuration is one", async () => {
  const { advice } = await ask(whole, '--scenario', 'own-server', '--host', 'mail.example.org');
  const file = join(tempDir('adv'), 'postern.toml');
  writeFileSync(file, advice.snippet ?? '');
  const done = await whole.cli('--config', file, 'config', 'check');
  assert.equal(done.code, 0, done.stderr);
});

test('what it cannot know, or what cannot stand in a configuration: exit 2', async () => {
  for (const args of [
    ['--library', 'nothing-like-it'],
    ['--provider', 'nothing-like-it'],
    ['--scenario', 'else'],
    ['--host', 'a b'],
    ['--host', '$(id)'],
    ['--ports', '0'],
    ['--user', "a'b"],
    ['--timeout', 'soon'],
  ]) {
    const done = await whole.cli('advise', ...args);
    assert.equal(done.code, 2, args.join(' '));
    assert.match(done.stderr, /fix: {3}\S/, args.join(' '));
    assert.equal(done.stdout, '');
  }
});

const TERMINAL = `
import os, pty, sys
answers = sys.argv[1].encode().decode('unicode_escape').encode().split(b'|')
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
shown = b''
asked = 0
while True:
    try:
        part = os.read(terminal, 4096)
    except OSError:
        break
    if not part:
        break
    shown += part
    while shown.count(b':\\x1b') + shown.count(b': \\x1b') > asked and answers:
        asked += 1
        line = answers.pop(0)
        os.write(terminal, line + (b'' if line == b'\\x04' else b'\\r'))
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

/** At a terminal, with these answers. */
async function talk(...answers: readonly string[]): Promise<Done> {
  const node = [process.execPath, '--disable-warning=ExperimentalWarning', new URL('../../src/cli/run.ts', import.meta.url).pathname, '--config', whole.configFile, 'advise'];
  return run('/usr/bin/python3', ['-c', TERMINAL, answers.join('|'), ...node], { timeoutMs: 30_000, env: { ...process.env, NO_COLOR: '1', TERM: 'xterm' } });
}

test('at a terminal it asks, takes Enter for an answer, and asks again what it does not understand', async () => {
  const enter = await talk('', '', '', '', '');
  assert.equal(enter.code, 0, enter.stdout);
  assert.match(enter.stdout, /Port 587, STARTTLS, required/);
  const told = await talk('9', '1', 'mailer-of-mine', 'nodemailer', '', 'smtp.mine.example', 'n');
  assert.equal(told.code, 0, told.stdout);
  assert.match(told.stdout, /is none of them/);
  assert.match(told.stdout, /knows no library/);
  assert.match(told.stdout, /host: 'smtp\.mine\.example'/);
  const gone = await talk('\\x04');
  assert.equal(gone.code, 2, gone.stdout);
});
