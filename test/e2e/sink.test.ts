// postern sink as a user runs it, with the clients that users have: swaks, curl, smtp-source, a real Postfix, and postern send.
// Needs: root, postfix, swaks, curl

import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startPostfix } from '../support/postfix.ts';
import { ROOT, startPostern } from '../support/postern.ts';
import { accepted, connectTo } from '../support/submit.ts';
import { freePort, run, startProcess, tempDir, until } from '../support/temp.ts';
import type { Done, Running } from '../support/temp.ts';

type Event = Readonly<Record<string, unknown>> & { readonly event: string };
type Sink = { readonly port: number; readonly caFile: string; readonly dir: string; readonly process: Running; events(): Event[]; of(event: string): Event[] };

const passwordFile = join(tempDir(), 'upstream');
writeFileSync(passwordFile, 'upstream secret\n', { mode: 0o600 });
const NODE = ['--disable-warning=ExperimentalWarning', join(ROOT, 'src/cli/run.ts')];
const postern = (...args: readonly string[]): Promise<Done> => run(process.execPath, [...NODE, ...args], { cwd: tempDir() });

async function startSink(...args: readonly string[]): Promise<Sink> {
  const dir = tempDir('sink');
  const ready = join(dir, 'ready.json');
  const caFile = join(dir, 'ca.pem');
  const running = startProcess(process.execPath, [...NODE, '--json', 'sink', '--port', '0', '--ready-file', ready, '--write-ca', caFile, ...args], { cwd: dir });
  await until(`the sink is ready\n${running.output()}`, () => existsSync(ready) || running.child.exitCode !== null);
  const { port } = JSON.parse(readFileSync(ready, 'utf8')) as { port: number };
  const events = (): Event[] =>
    running
      .output()
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as Event);
  return { port, caFile, dir, process: running, events, of: (name) => events().filter(({ event }) => event === name) };
}

const swaks = (sink: Sink, ...args: readonly string[]): Promise<Done> =>
  run('/usr/bin/swaks', ['--server', '127.0.0.1', '--port', String(sink.port), '--from', 'a@sender.test', '--to', 'b@receiver.test', '--timeout', '10', ...args]);

test('swaks: STARTTLS, a login, a message that is kept byte for byte; the sink ends by itself', async () => {
  const sink = await startSink('--auth', '--save', 'mail', '--count', '1', '--transcript');
  const done = await swaks(
    sink,
    '-tls',
    '--tls-verify',
    '--tls-ca-path',
    sink.caFile,
    '-a',
    'PLAIN',
    '-au',
    'me',
    '-ap',
    'very-secret',
    '--data',
    'Subject: Gr=?utf-8?q?=C3=BC?=n\\n\\n.dot\\nend',
  );
  assert.equal(done.code, 0, done.stdout);
  await until('the sink has ended', () => sink.process.child.exitCode !== null);
  assert.equal(sink.process.child.exitCode, 0);
  const [message] = sink.of('message');
  assert.deepEqual([message?.['from'], message?.['to'], message?.['username'], message?.['answered']], ['a@sender.test', ['b@receiver.test'], 'me', true]);
  assert.match(String(message?.['tls']), /^TLSv1\.3 /);
  const names = readdirSync(join(sink.dir, 'mail')).toSorted();
  assert.deepEqual(names, [`${String(message?.['id'])}.eml`, `${String(message?.['id'])}.json`]);
  assert.match(readFileSync(join(sink.dir, 'mail', names[0] ?? ''), 'latin1'), /\r\n\r\n\.dot\r\nend\r\n/);
  assert.equal((JSON.parse(readFileSync(join(sink.dir, 'mail', names[1] ?? ''), 'utf8')) as Event)['from'], 'a@sender.test');
  assert.deepEqual(
    sink
      .events()
      .map(({ event }) => event)
      .filter((event) => event !== 'said'),
    ['listening', 'connected', 'tls', 'login', 'message', 'disconnected', 'summary'],
  );
  assert.doesNotMatch(sink.process.output(), /very-secret|AG1lAHZlcnktc2VjcmV0/);
  assert.ok(!existsSync(join(sink.dir, 'ready.json')), 'the ready file is there only while it is true');
});

test('curl: refuses each bad certificate, and a STARTTLS that is taken away, before it says who it is', async () => {
  const body = join(tempDir(), 'm.eml');
  writeFileSync(body, 'Subject: x\r\n\r\nx\r\n');
  const codes: Record<string, number | null> = {};
  for (const personality of [
    'accept',
    'cert-expired',
    'cert-wrong-name',
    'cert-unknown-authority',
    'cert-self-signed',
    'no-starttls',
    'starttls-refused',
    'starttls-plain',
    'starttls-drop',
  ]) {
    const sink = await startSink('--auth', '--personality', personality, '--transcript');
    const url = `smtp://127.0.0.1:${sink.port}/client.test`;
    const args = [
      '-s',
      '--max-time',
      '10',
      '--ssl-reqd',
      '--cacert',
      sink.caFile,
      '--user',
      'me:secret',
      '--mail-from',
      'a@sender.test',
      '--mail-rcpt',
      'b@receiver.test',
      '-T',
      body,
      url,
    ];
    codes[personality] = (await run('/usr/bin/curl', args)).code;
    if (personality !== 'accept') assert.ok(!sink.of('said').some(({ text }) => /^(AUTH|MAIL)/.test(String(text))), personality);
    assert.equal(await sink.process.end('SIGTERM'), 0);
  }
  assert.deepEqual(codes, {
    accept: 0,
    'cert-expired': 60,
    'cert-wrong-name': 60,
    'cert-unknown-authority': 60,
    'cert-self-signed': 60,
    'no-starttls': 64,
    'starttls-refused': 64,
    'starttls-plain': 35,
    'starttls-drop': 56,
  });
});

test('the mechanisms of other servers: CRAM-MD5 as swaks speaks it, bearer tokens as curl does', async () => {
  const dir = tempDir();
  writeFileSync(join(dir, 'password'), 'very-secret');
  writeFileSync(join(dir, 'm.eml'), 'Subject: x\r\n\r\nx\r\n');
  const sink = await startSink('--auth', '--user', 'me', '--password-file', join(dir, 'password'), '--transcript');
  for (const [password, code] of [
    ['very-secret', 0],
    ['wrong', 28],
  ] as const) {
    assert.equal((await swaks(sink, '-tls', '-a', 'CRAM-MD5', '-au', 'me', '-ap', password)).code, code);
    for (const mechanism of ['XOAUTH2', 'OAUTHBEARER', 'PLAIN']) {
      const secret = mechanism === 'PLAIN' ? ['--user', `me:${password}`] : ['--user', 'me', '--oauth2-bearer', password];
      const rest = ['--cacert', sink.caFile, '--ssl-reqd', '--mail-from', 'a@sender.test', '--mail-rcpt', 'b@receiver.test', '-T', join(dir, 'm.eml')];
      const done = await run('/usr/bin/curl', ['-s', '--max-time', '10', '--login-options', `AUTH=${mechanism}`, ...secret, ...rest, `smtp://127.0.0.1:${sink.port}/client.test`]);
      assert.equal(done.code, password === 'wrong' ? 67 : 0, `${mechanism} ${password}`);
    }
  }
  assert.deepEqual(
    sink.of('login').map(({ username, accepted }) => `${String(username)} ${String(accepted)}`),
    ['me true', 'me true', 'me true', 'me true', 'me false', 'me false', 'me false', 'me false'],
  );
  assert.doesNotMatch(sink.process.output(), /very-secret/);
});

test('what the sink itself cannot do is a fault that it tells', async () => {
  const sink = await startSink('--save', 'mail');
  assert.equal((await swaks(sink)).code, 0);
  rmSync(join(sink.dir, 'mail'), { recursive: true });
  assert.notEqual((await swaks(sink)).code, 0);
  assert.match(String(sink.of('fault')[0]?.['cause']), /ENOENT/);
  assert.equal((await swaks(sink)).code !== 0 && sink.process.child.exitCode === null, true, 'it goes on');
});

test('smtp-source: many messages on several connections', async () => {
  const sink = await startSink('--count', '200');
  const done = await run('/usr/sbin/smtp-source', ['-s', '5', '-m', '200', '-l', '3000', '-f', 'a@sender.test', '-t', 'b@receiver.test', `inet:127.0.0.1:${sink.port}`]);
  assert.equal(done.code, 0, done.stderr);
  await until('the sink has ended', () => sink.process.child.exitCode !== null);
  const [summary] = sink.of('summary');
  assert.deepEqual([summary?.['messages'], summary?.['recipients'], summary?.['why'], sink.process.child.exitCode], [200, 200, 'count', 0]);
});

test('Postfix as client: greylisted mail arrives in the end, one bad recipient keeps it from no other, a lost reply doubles it', async () => {
  const grey = await startSink('--personality', 'greylist=2s', '--reply', 'gone@*=550 5.1.1 No such user');
  const lossy = await startSink('--personality', 'lost-reply');
  const port = await freePort();
  const transport = (sink: Sink): string => `smtp:[127.0.0.1]:${sink.port}`;
  const postfix = await startPostfix({
    services: [{ port }],
    main: {
      transport_maps: `inline:{ grey.test=${transport(grey)}, lossy.test=${transport(lossy)} }`,
      smtp_tls_security_level: 'may',
      minimal_backoff_time: '2s',
      maximal_backoff_time: '2s',
      queue_run_delay: '2s',
    },
  });
  const send = (...to: readonly string[]): Promise<Done> =>
    run('/usr/bin/swaks', ['--server', '127.0.0.1', '--port', String(port), '--from', 'a@sender.test', '--to', to.join(','), '--header', 'Subject: by Postfix']);
  assert.equal((await send('b@grey.test', 'gone@grey.test')).code, 0);
  assert.equal((await send('c@lossy.test')).code, 0);
  const [message] = await until('the greylisted message', () => (grey.of('message').length > 0 ? grey.of('message') : null), 40_000).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${postfix.log()}`);
  });
  assert.deepEqual([message?.['to'], message?.['subject']], [['b@grey.test'], 'by Postfix']);
  assert.match(String(message?.['tls']), /^TLSv1/);
  assert.deepEqual(
    [
      ...new Set(
        grey
          .of('refused')
          .filter(({ personality }) => personality !== null)
          .map(({ code, personality }) => `${String(code)} ${String(personality)}`),
      ),
    ].toSorted(),
    ['451 greylist', '550 --reply'],
  );
  await until('the message whose reply was lost comes again', () => lossy.of('message').length >= 2, 40_000);
  const ids = lossy.of('message').map((one) => one['messageId']);
  assert.equal(new Set(ids).size, 1, 'it is the same message');
});

test('Postern as client: through a sink that greylists, closes after each message and is slow, everything arrives once', async () => {
  const sink = await startSink('--personality', 'greylist=1s,close-after=1,latency=5ms', '--auth', '--user', 'up', '--password-file', passwordFile);
  const server = await startPostern({
    config: `[delivery]
allow_private_addresses = true
ca_file = "${sink.caFile}"

[queue]
retry = { first = "1s", factor = 1, max = "1s", jitter = 0 }

[[route]]
type = "smarthost"
host = "127.0.0.1"
ports = [${sink.port}]
username = "up"
password_file = "${passwordFile}"
`,
  });
  const credential = await server.credential('app', '--live');
  const client = await connectTo(server.port('submission'), { credential });
  for (const name of ['one', 'two', 'three']) await accepted(client, { to: [`${name}@receiver.test`] });
  await client.quit();
  await until('all three are there', () => sink.of('message').length >= 3, 40_000).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${sink.process.output()}\n${server.process.output()}`);
  });
  assert.deepEqual(
    sink
      .of('message')
      .flatMap(({ to }) => to as string[])
      .toSorted(),
    ['one@receiver.test', 'three@receiver.test', 'two@receiver.test'],
  );
  assert.ok(sink.of('message').every(({ tls, username }) => String(tls).startsWith('TLSv1.3') && username === 'up'));
  assert.ok(sink.of('refused').some(({ personality }) => personality === 'greylist'));
});

test('LMTP: Postfix hands over, and postern send by a Unix socket', async () => {
  const sink = await startSink('--lmtp', '--reply', 'message:full@*=552 5.2.2 Over quota');
  const port = await freePort();
  const postfix = await startPostfix({ services: [{ port }], main: { transport_maps: `inline:{ store.test=lmtp:[127.0.0.1]:${sink.port} }` } });
  const args = ['--server', '127.0.0.1', '--port', String(port), '--from', 'a@sender.test', '--to', 'b@store.test,full@store.test'];
  assert.equal((await run('/usr/bin/swaks', args)).code, 0);
  const [message] = await until('the message', () => (sink.of('message').length > 0 ? sink.of('message') : null), 30_000).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${postfix.log()}`);
  });
  assert.deepEqual(message?.['to'], ['b@store.test']);
  await until(
    'Postfix has both answers',
    () => /to=<full@store\.test>.*status=bounced.*552 5\.2\.2 Over quota/.test(postfix.log()) && /to=<b@store\.test>.*status=sent/.test(postfix.log()),
  );
  const path = join(tempDir(), 's');
  const local = startProcess(process.execPath, [...NODE, '--json', 'sink', '--lmtp', '--socket', path, '--count', '1']);
  await until('the socket is there', () => existsSync(path));
  const done = await postern('send', '--lmtp', '--socket', path, '--from', 'a@sender.test', '--to', 'b@store.test');
  assert.equal(done.code, 0, done.stderr);
  await until('the sink has ended', () => local.child.exitCode === 0);
});

test('postern send: what the sink does wrong, the client names', async () => {
  for (const [personality, failureClass] of [
    ['cert-expired', 'certificate-expired'],
    ['no-starttls', 'starttls-missing'],
    ['busy', null],
    ['no-such-user', null],
  ] as const) {
    const sink = await startSink('--personality', personality);
    const args = ['send', '--host', '127.0.0.1', '--port', String(sink.port), '--ca-file', sink.caFile, '--from', 'a@sender.test', '--to', 'b@receiver.test'];
    const done = await postern('--json', ...args);
    assert.equal(done.code, 1, `${personality}: ${done.stderr}`);
    const answer = JSON.parse(done.stdout) as { failure: { class: string } | null };
    if (failureClass !== null) assert.equal(answer.failure?.class, failureClass);
  }
});

test('usage: 2 with what there is, 3 where it cannot listen, 1 when too little came in time', async () => {
  for (const [args, code, words] of [
    [['--personality', 'nosuch'], 2, /no personality "nosuch"/],
    [['--within', '5'], 2, /--count/],
    [['--cert', '/no/such.pem'], 2, /needs its key/],
    [['--auth', '--tls', 'none'], 2, /over TLS only/],
    [['--port', '70000'], 2, /not a port/],
    [['--address', '192.0.2.1', '--port', '0'], 3, /Nothing can listen/],
    [['--port', '0', '--count', '1', '--within', '1'], 1, /0 of 1 messages/],
  ] as const) {
    const done = await postern('sink', ...args);
    assert.equal(done.code, code, `${args.join(' ')}: ${done.stderr}`);
    assert.match(done.stderr, words);
  }
  const list = await postern('--json', 'sink', '--list');
  assert.ok((JSON.parse(list.stdout) as unknown[]).length > 60);
  assert.match((await postern('sink', '--list')).stdout, /greylist=5s [^>]*> The client tries again later/);
});
