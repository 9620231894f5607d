// postern send as a full test client: against Postfix, smtp-sink, Dovecot, Postern itself and its sink. What it composes is read by Python, not
// by ourselves.
// Needs: root, postfix, dovecot-core, dovecot-lmtpd, python3

import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { startDovecot } from '../support/dovecot.ts';
import { makeAuthority } from '../support/authority.ts';
import { startPostfix } from '../support/postfix.ts';
import { ROOT, messages, startPostern } from '../support/postern.ts';
import { startSink as startSmtpSink } from '../support/sink.ts';
import { freePort, run, startProcess, tempDir, until } from '../support/temp.ts';
import type { Done, Running } from '../support/temp.ts';

type Answer = {
  readonly ok: boolean;
  readonly tlsDetails: {
    readonly protocol: string;
    readonly verified: boolean;
    readonly serverName: string;
    readonly chain: readonly { readonly names: readonly string[] }[];
  } | null;
  readonly message: { readonly id: string; readonly sizeBytes: number };
  readonly envelope: { readonly from: string; readonly to: readonly string[] };
  readonly replies: readonly { readonly to: string; readonly accepted: boolean; readonly code: number }[];
  readonly failure: { readonly class: string } | null;
  readonly steps: readonly { readonly step: string; readonly ms: number }[];
  readonly attempts: readonly { readonly chain: readonly { readonly selfSigned: boolean; readonly validUntil?: string }[]; readonly steps: readonly { readonly step: string }[] }[];
  readonly transcript: readonly { readonly direction: string; readonly text: string }[];
};
type Load = {
  readonly ok: boolean;
  readonly load: {
    readonly asked: number;
    readonly sent: number;
    readonly accepted: number;
    readonly refused: number;
    readonly failed: number;
    readonly connections: { readonly opened: number };
  };
  readonly latencyMs: { readonly p50: number; readonly p99: number };
  readonly replies: readonly { readonly reply: string; readonly count: number }[];
};

const NODE = ['--disable-warning=ExperimentalWarning', join(ROOT, 'src/cli/run.ts')];
const work = tempDir('client');
const passwordFile = join(work, 'password');
const PASSWORD = 'correct horse battery';
writeFileSync(passwordFile, `${PASSWORD}\n`);

const text = (latin1: string): string => Buffer.from(latin1, 'latin1').toString();
const send = (...args: readonly string[]): Promise<Done> => run(process.execPath, [...NODE, '--data', join(work, 'none'), ...args], { cwd: work });
async function sendJson<T = Answer>(...args: readonly string[]): Promise<{ code: number | null; answer: T; shown: string }> {
  const done = await send('--json', 'send', ...args);
  assert.notEqual(done.stdout, '', done.stderr);
  return { code: done.code, answer: JSON.parse(text(done.stdout)) as T, shown: text(done.stdout + done.stderr) };
}

type OwnSink = { readonly port: number; readonly caFile: string; readonly mail: string; readonly to: readonly string[]; readonly process: Running };

/** Postern's sink; `to`: the arguments that lead there. */
async function startSink(...args: readonly string[]): Promise<OwnSink> {
  const dir = tempDir('sink');
  const [ready, caFile, mail] = [join(dir, 'ready.json'), join(dir, 'ca.pem'), join(dir, 'mail')];
  const running = startProcess(process.execPath, [...NODE, '--json', 'sink', '--port', '0', '--ready-file', ready, '--write-ca', caFile, '--save', mail, ...args], { cwd: dir });
  await until(`the sink is ready\n${running.output()}`, () => existsSync(ready));
  const { port } = JSON.parse(readFileSync(ready, 'utf8')) as { port: number };
  return { port, caFile, mail, to: ['--host', '127.0.0.1', '--port', String(port), '--ca-file', caFile, '--from', 'me@sender.test'], process: running };
}

const saved = ({ mail }: OwnSink, end: '.eml' | '.json'): string[] =>
  readdirSync(mail)
    .filter((name) => name.endsWith(end))
    .toSorted()
    .map((name) => readFileSync(join(mail, name), 'utf8'));

let sink: OwnSink;
before(async () => {
  sink = await startSink();
});

/** Reads a message as Python does: header fields decoded, and each part with its type, file name and content. */
async function readByPython(message: string): Promise<{ headers: Record<string, string>; parts: [type: string, name: string | null, content: string][] }> {
  const script = `
import sys, json, email, email.policy
m = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
parts = [[p.get_content_type(), p.get_filename(), p.get_payload(decode=True).decode('utf-8')] for p in m.walk() if not p.is_multipart()]
print(json.dumps({'headers': {k: str(v) for k, v in m.items()}, 'parts': parts, 'defects': [str(d) for p in m.walk() for d in p.defects]}))
`;
  const done = await run('/usr/bin/python3', ['-c', script], { input: Buffer.from(message) });
  assert.equal(done.code, 0, done.stderr);
  const { defects, ...read } = JSON.parse(text(done.stdout)) as { defects: string[]; headers: Record<string, string>; parts: [string, string | null, string][] };
  assert.deepEqual(defects, []);
  return read;
}

test('text, HTML, attachments with names of any script, several recipients: as another program reads it', async () => {
  const csv = join(work, 'Übersicht 2026.csv');
  writeFileSync(csv, 'a;b\n1;ä\n');
  writeFileSync(join(work, 'data.bin'), 'x'.repeat(5000));
  const { code, answer, shown } = await sendJson(
    ...sink.to,
    '--from',
    'Jörg Müller <me@sender.test>',
    '--to',
    '"Ann, B." <ann@receiver.test>, two@receiver.test',
    '--cc',
    'cc@receiver.test',
    '--bcc',
    'secret@receiver.test',
    '--subject',
    'Grüße aus 東京',
    '--body',
    'Hällo',
    '--html',
    '<p>Hällo</p>',
    '--attach',
    csv,
    '--attach',
    'data.bin;type=text/x-test;name=報告.txt',
    '--header',
    'X-Test: später',
    '--header',
    'Reply-To: other@sender.test',
    '--header',
    'Message-ID: <fixed@sender.test>',
  );
  assert.equal(code, 0, shown);
  assert.deepEqual(answer.envelope.to, ['ann@receiver.test', 'two@receiver.test', 'cc@receiver.test', 'secret@receiver.test']);
  assert.equal(answer.message.id, '<fixed@sender.test>');
  const message = saved(sink, '.eml').at(-1) ?? '';
  assert.equal(Buffer.byteLength(message), answer.message.sizeBytes);
  assert.doesNotMatch(message, /[^\x00-\x7f]|secret@/);
  const { headers, parts } = await readByPython(message);
  assert.deepEqual(
    [headers['From'], headers['To'], headers['Cc'], headers['Subject'], headers['X-Test'], headers['Reply-To']],
    ['Jörg Müller <me@sender.test>', '"Ann, B." <ann@receiver.test>, two@receiver.test', 'cc@receiver.test', 'Grüße aus 東京', 'später', 'other@sender.test'],
  );
  assert.ok(headers['Date'] !== undefined && !Number.isNaN(Date.parse(headers['Date'])));
  assert.deepEqual(
    parts.map(([type, name, content]) => [type, name, content.trim().slice(0, 12)]),
    [
      ['text/plain', null, 'Hällo'],
      ['text/html', null, '<p>Hällo</p>'],
      ['text/csv', 'Übersicht 2026.csv', 'a;b\n1;ä'],
      ['text/x-test', '報告.txt', 'xxxxxxxxxxxx'],
    ],
  );
});

test('body from standard input and from a file; a header put into a file; what cannot go together', async () => {
  writeFileSync(join(work, 'body.txt'), 'from a file\n.dot\n');
  const piped = await run(process.execPath, [...NODE, 'send', ...sink.to, '--to', 'a@receiver.test', '--body', '-'], { cwd: work, input: 'piped in\n' });
  assert.equal(piped.code, 0, piped.stderr);
  assert.match(saved(sink, '.eml').at(-1) ?? '', /\r\n\r\npiped in\r\n$/);
  assert.equal((await sendJson(...sink.to, '--to', 'a@receiver.test', '--body', '@body.txt')).code, 0);
  assert.match(saved(sink, '.eml').at(-1) ?? '', /\r\n\r\nfrom a file\r\n\.dot\r\n$/);
  writeFileSync(join(work, 'message.eml'), 'From: a@b.test\nSubject: one\nSubject: two\nX-Keep: yes\n\nbody\n');
  assert.equal((await sendJson(...sink.to, '--to', 'a@receiver.test', '--file', 'message.eml', '--header', 'Subject: three')).code, 0);
  assert.equal(saved(sink, '.eml').at(-1), 'From: a@b.test\r\nX-Keep: yes\r\nSubject: three\r\n\r\nbody\r\n');
  for (const args of [
    ['--to', 'a@b.test', '--body', '-', '--file', '-'],
    ['--to', 'a@b.test', '--file', 'message.eml', '--attach', 'body.txt'],
    ['--to', 'a@b.test', '--header', 'no field'],
    ['--to', 'a@b.test', '--header', 'X: a\r\nBcc: b'],
    ['--to', 'a@b.test', '--attach', 'nosuch'],
    ['--to', 'a@b.test', '--attach', 'body.txt;type=nonsense'],
    ['--to', 'a@b.test', '--notify', 'sometimes'],
    ['--to', 'a@b.test', '--orcpt', 'x@y.test', '--orcpt', 'z@y.test'],
    ['--to', 'a@b.test', '--connections', '3'],
    ['--to', 'a@b.test', '--auth', 'PLAIN'],
    ['--to', 'a@b.test', '--ipv4', '--ipv6'],
    ['--to', 'a@b.test', '--socket', '/x', '--host', 'h.test'],
    ['--to', 'a@b.test', '--quit-after', 'auth'],
    ['--to', 'a@b.test', '--helo', 'two words'],
    ['--cc', 'nobody'],
  ]) {
    const { code, answer } = await sendJson<{ error: { fix: string } }>(...args);
    assert.equal(code, 2, args.join(' '));
    assert.ok(answer.error.fix.length > 5);
  }
});

test('international mail: raw UTF-8 headers and addresses where SMTPUTF8 is offered, refused with the reason where it is not', async () => {
  const args = ['--utf8', '--from', 'Jörg <jörg@sender.test>', '--to', 'grüße@bücher.test', '--subject', 'Grüße'];
  const { code, shown } = await sendJson(...sink.to, ...args);
  assert.equal(code, 0, shown);
  const envelope = JSON.parse(saved(sink, '.json').at(-1) ?? '') as { from: string; to: string[]; parameters: string[] };
  assert.deepEqual([envelope.from, envelope.to], ['jörg@sender.test', ['grüße@bücher.test']]);
  assert.match(envelope.parameters[0] ?? '', /SMTPUTF8/);
  assert.match(saved(sink, '.eml').at(-1) ?? '', /From: "Jörg" <jörg@sender\.test>\r\nTo: grüße@bücher\.test\r\nSubject: Grüße\r\n/);
  const old = await startSink('--personality', 'no-smtputf8');
  const refused = await sendJson(...old.to, ...args);
  assert.deepEqual([refused.code, refused.answer.failure?.class], [1, 'smtputf8-missing']);
});

test('DSN options reach the server as they are meant; without DSN that is told', async () => {
  const dsn = ['--notify', 'success,delay', '--ret', 'full', '--envid', 'a+b=c d', '--orcpt', 'rfc822;first+1@old.test', '--orcpt', 'münchen@old.test'];
  const { code, answer } = await sendJson(...sink.to, '--to', 'a@receiver.test', '--to', 'b@receiver.test', ...dsn, '--mail-from', 'bounce@sender.test');
  assert.equal(code, 0);
  assert.ok(answer.transcript.some(({ text: line }) => line.includes('ENVID=a+2Bb+3Dc+20d')));
  const envelope = JSON.parse(saved(sink, '.json').at(-1) ?? '') as { from: string; parameters: string[] };
  assert.equal(envelope.from, 'bounce@sender.test');
  assert.match(envelope.parameters[0] ?? '', /RET=FULL ENVID=a\+b=c d$/);
  assert.deepEqual(envelope.parameters.slice(1), [
    'RCPT <a@receiver.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;first+1@old.test',
    'RCPT <b@receiver.test> NOTIFY=SUCCESS,DELAY ORCPT=utf-8;münchen@old.test',
  ]);
  const plain = await startSink('--personality', 'no-dsn');
  const { code: taken, shown } = await sendJson(...plain.to, '--to', 'a@receiver.test', '--notify', 'never');
  assert.equal(taken, 0);
  assert.match(shown, /does not offer DSN/);
});

test('TLS: protocol, cipher, chain and verdict; another name to verify; --insecure is said loudly; a bad certificate is shown', async () => {
  const { answer } = await sendJson(...sink.to, '--to', 'a@receiver.test');
  assert.deepEqual([answer.tlsDetails?.verified, answer.tlsDetails?.protocol, answer.tlsDetails?.serverName], [true, 'TLSv1.3', '127.0.0.1']);
  assert.ok((answer.tlsDetails?.chain.length ?? 0) >= 2 && answer.tlsDetails?.chain[0]?.names.includes('localhost') === true);
  assert.deepEqual(new Set(answer.steps.map(({ step }) => step)), new Set(['connect', 'greeting', 'ehlo', 'starttls', 'tls', 'mail', 'final', 'quit']));
  assert.equal((await sendJson(...sink.to, '--to', 'a@receiver.test', '--tls-server-name', 'localhost')).code, 0);
  const other = await sendJson(...sink.to, '--to', 'a@receiver.test', '--tls-server-name', 'other.test');
  assert.deepEqual([other.code, other.answer.failure?.class], [1, 'certificate-name']);
  const [refused] = other.answer.attempts;
  assert.ok(refused !== undefined && refused.chain.length >= 2 && refused.chain[0]?.validUntil !== undefined, 'the certificate that was refused is shown');
  assert.deepEqual(
    refused.steps.map(({ step }) => step),
    ['connect', 'greeting', 'ehlo', 'starttls', 'tls'],
  );
  const insecure = await send('send', ...sink.to, '--to', 'a@receiver.test', '--tls-server-name', 'other.test', '--insecure');
  assert.equal(insecure.code, 0);
  assert.match(insecure.stderr, /--insecure: certificates are not verified/);
  assert.match(insecure.stdout, /NOT VERIFIED \(--insecure\)/);
  assert.match(insecure.stdout, /^took {6}[\d.]+ ms: connect /m);
});

test('a login by each mechanism, and no password in anything that is shown', async () => {
  const own = await startSink('--auth', '--user', 'me', '--password-file', passwordFile, '--transcript');
  const coded = [PASSWORD, `\0me\0${PASSWORD}`, `user=me\x01auth=Bearer ${PASSWORD}\x01\x01`].map((secret) => Buffer.from(secret).toString('base64'));
  for (const mechanism of ['PLAIN', 'LOGIN', 'SCRAM-SHA-256', 'SCRAM-SHA-256-PLUS', 'scram-sha-256-plus', 'XOAUTH2', 'OAUTHBEARER', 'CRAM-MD5']) {
    const { code, shown } = await sendJson(...own.to, '--to', 'a@receiver.test', '--user', 'me', '--password-file', passwordFile, '--auth', mechanism);
    assert.equal(code, 0, shown);
    assert.match(shown, new RegExp(`AUTH ${mechanism}( |")`, 'i'));
    for (const secret of [PASSWORD, ...coded]) assert.ok(!shown.includes(secret) && !own.process.output().includes(secret));
  }
  const login = ['--user', 'me', '--password-file', passwordFile] as const;
  const tried = await sendJson(...own.to, ...login, '--quit-after', 'auth');
  assert.deepEqual([tried.code, tried.answer.replies], [0, []]);
  assert.ok(!tried.answer.transcript.some(({ text: line }) => line.startsWith('MAIL')));
  writeFileSync(join(work, 'wrong'), 'not-the-token');
  for (const mechanism of ['XOAUTH2', 'OAUTHBEARER', 'CRAM-MD5', 'SCRAM-SHA-256-PLUS']) {
    const wrong = await sendJson(...own.to, '--to', 'a@receiver.test', '--user', 'me', '--password-file', join(work, 'wrong'), '--auth', mechanism);
    assert.deepEqual([wrong.code, wrong.answer.failure?.class], [1, 'auth-failed'], mechanism);
    if (mechanism.includes('AUTH')) assert.match(wrong.shown, /the server says of the token: \{\\?"status/);
  }
  const plainOnly = await startSink('--personality', 'auth-plain-only');
  const refused = await sendJson(...plainOnly.to, '--to', 'a@receiver.test', ...login, '--auth', 'LOGIN');
  assert.equal(refused.code, 1);
  assert.match(refused.shown, /LOGIN is wanted, the server offers PLAIN/);
});

test('nothing is sent: after EHLO, after the recipients, and not even a connection', async () => {
  const count = saved(sink, '.eml').length;
  const ehlo = await sendJson(...sink.to, '--quit-after', 'ehlo');
  assert.deepEqual([ehlo.code, ehlo.answer.replies], [0, []]);
  const picky = await startSink('--personality', 'no-such-user=gone@*');
  const asked = await sendJson(...picky.to, '--to', 'here@receiver.test', '--to', 'gone@receiver.test', '--quit-after', 'rcpt');
  assert.equal(asked.code, 1);
  assert.deepEqual(
    asked.answer.replies.map(({ to, accepted, code }) => [to, accepted, code]),
    [
      ['here@receiver.test', true, 250],
      ['gone@receiver.test', false, 550],
    ],
  );
  assert.ok(!asked.answer.transcript.some(({ text: line }) => /^(DATA|BDAT)/.test(line)));
  const dry = await send('send', '--host', 'nosuch.invalid', '--to', 'a@receiver.test', '--subject', 'dry', '--dry-run');
  assert.equal(dry.code, 0);
  assert.match(dry.stdout, /^From: .*\r\nTo: a@receiver\.test\r\nSubject: dry\r\n/);
  assert.equal(saved(sink, '.eml').length, count);
});

test('Postfix: TLS, a login, and the DSN that was asked for comes back', async () => {
  const authority = makeAuthority();
  const pair = authority.issue(['127.0.0.1']);
  const dovecot = await startDovecot({ users: { me: PASSWORD } });
  const port = await freePort();
  const postfix = await startPostfix({
    services: [{ port, options: { smtpd_tls_security_level: 'encrypt', smtpd_client_restrictions: 'permit_sasl_authenticated,reject' } }],
    tls: { cert: pair.certFile, key: pair.keyFile },
    sasl: dovecot.sasl,
    domains: ['here.test'],
  });
  const to = ['--host', '127.0.0.1', '--port', String(port), '--ca-file', authority.caFile, '--from', 'me@here.test', '--to', 'you@here.test'];
  const without = await sendJson(...to);
  assert.equal(without.code, 1);
  const { code, shown } = await sendJson(
    ...to,
    '--user',
    'me',
    '--password-file',
    passwordFile,
    '--notify',
    'success',
    '--envid',
    'order-17',
    '--ret',
    'hdrs',
    '--subject',
    'through Postfix',
  );
  assert.equal(code, 0, `${shown}\n${postfix.log()}`);
  await until(
    'the message and the report are delivered',
    () => /Original-Envelope-Id: order-17/.test(postfix.mailbox('box')) && postfix.mailbox('box').includes('Subject: through Postfix'),
  ).catch((error: unknown) => assert.fail(`${String(error)}\n${postfix.log()}`));
});

test('LMTP to Dovecot, by port and by socket: an answer for each recipient', async () => {
  const dovecot = await startDovecot({ users: { one: 'x', two: 'x' } });
  for (const [i, where] of [
    ['--host', '127.0.0.1', '--port', String(dovecot.port), '--tls', 'none'],
    ['--socket', dovecot.socket],
  ].entries()) {
    const { code, answer, shown } = await sendJson(
      '--lmtp',
      ...where,
      '--from',
      'me@here.test',
      '--to',
      'one@here.test',
      '--to',
      'nobody@here.test',
      '--to',
      'two@here.test',
      '--subject',
      `by ${i}`,
    );
    assert.equal(code, 1, shown);
    assert.deepEqual(
      answer.replies.map(({ accepted }) => accepted),
      [true, false, true],
    );
    assert.match(shown, /LHLO/);
    await until('both have it', () => ['one', 'two'].every((user) => dovecot.mails(user).some((mail) => mail.includes(`Subject: by ${i}`))));
  }
});

test('a load on Postern itself and on smtp-sink: every message counted, each with an id of its own', async () => {
  const postern = await startPostern();
  const { username, password } = await postern.credential('load');
  writeFileSync(join(work, 'load-password'), password);
  const ca = join(postern.dataDir, 'tls', 'cert.pem');
  const own = ['--host', 'localhost', '--port', String(postern.port('submission')), '--ca-file', ca, '--user', username, '--password-file', join(work, 'load-password')];
  const first = await sendJson<Load>(...own, '--from', 'me@sender.test', '--to', 'a@receiver.test', '--count', '60', '--connections', '4', '--per-connection', '10');
  assert.equal(first.code, 0, first.shown);
  assert.deepEqual([first.answer.load.accepted, first.answer.load.refused, first.answer.load.failed], [60, 0, 0]);
  assert.ok(first.answer.load.connections.opened >= 6 && first.answer.latencyMs.p99 >= first.answer.latencyMs.p50);
  assert.ok(!first.shown.includes(password));
  assert.equal((await messages(postern, 'captured', 60)).length, 60);
  const smtpSink = await startSmtpSink({ dump: true });
  const second = await sendJson<Load>(
    '--host',
    smtpSink.address,
    '--port',
    String(smtpSink.port),
    '--tls',
    'none',
    '--to',
    'a@receiver.test',
    '--count',
    '50',
    '--connections',
    '5',
    '--quiet',
  );
  assert.equal(second.code, 0, second.shown);
  const ids = smtpSink.dumps().flatMap((dump) => [...dump.matchAll(/^Message-ID: (\S+)/gim)].map((match) => match[1]));
  assert.deepEqual([ids.length, new Set(ids).size], [50, 50]);
});

test('a load tells what is refused, and goes on over connections that break', async () => {
  const picky = await startSink('--personality', 'flaky=30', '--seed', '7');
  const { code, answer } = await sendJson<Load>(...picky.to, '--to', 'a@receiver.test', '--count', '40', '--connections', '2');
  assert.equal(code, 1);
  assert.equal(answer.load.accepted + answer.load.refused, 40);
  assert.ok(answer.load.refused > 0 && answer.load.accepted > 0);
  assert.deepEqual(answer.replies.map(({ reply }) => reply).toSorted(), ['250 2.0.0', '451 4.3.0']);
  const closing = await startSink('--personality', 'close-after=5');
  const broken = await sendJson<Load>(...closing.to, '--to', 'a@receiver.test', '--count', '20', '--per-connection', '5');
  assert.deepEqual([broken.code, broken.answer.load.accepted], [0, 20]);
});

test('a load on a server of somebody else is refused before anything is connected to', async () => {
  const load = ['--host', '192.0.2.7', '--port', '25', '--to', 'a@receiver.test', '--count', '5'];
  const { code, answer } = await sendJson<{ error: { cause: string; fix: string } }>(...load);
  assert.equal(code, 2);
  assert.match(`${answer.error.cause} ${answer.error.fix}`, /neither this machine nor in a private network.*--load-host 192\.0\.2\.7/);
  assert.equal((await sendJson(...load, '--load-host', 'other.test')).code, 2);
  const much = await sendJson<{ error: { cause: string } }>(...load.slice(0, -1), '5000', '--load-host', '192.0.2.7');
  assert.equal(much.code, 2);
  assert.match(much.answer.error.cause, /at most 1000 messages on 10 connections/);
});

test('extensions that are left unused, and a client that is named in a PROXY header', async () => {
  const { code, answer } = await sendJson(...sink.to, '--to', 'a@receiver.test', '--without', 'pipelining,chunking', '--without', 'SIZE');
  assert.equal(code, 0);
  const lines = answer.transcript.filter(({ direction }) => direction === '>').map(({ text: line }) => line);
  assert.deepEqual(lines.slice(-5), ['MAIL FROM:<me@sender.test>', 'RCPT TO:<a@receiver.test>', 'DATA', lines.at(-2) ?? '', 'QUIT']);
  const postern = await startPostern({ listener: 'proxy_protocol = ["127.0.0.0/8"]', profiles: ['mx', 'submissions'], config: '[inbound]\ndomains = ["here.test"]\n' });
  for (const [profile, source] of [
    ['mx', '192.0.2.44:1234'],
    ['submissions', '2001:db8::7'],
  ] as const) {
    const to = ['--host', 'localhost', '--ipv4', '--port', String(postern.port(profile)), '--ca-file', join(postern.dataDir, 'tls', 'cert.pem')];
    const tls = profile === 'submissions' ? ['--tls', 'implicit', '--quit-after', 'ehlo'] : ['--from', 'a@sender.test', '--to', 'b@elsewhere.test'];
    const done = await sendJson(...to, ...tls, '--proxy-source', source);
    assert.equal(done.code, profile === 'mx' ? 1 : 0, done.shown);
    assert.match(done.shown, /PROXY TCP[46] /);
  }
  await until('the client is the one that the header names', () => postern.log().some((line) => line['client'] === '192.0.2.44'));
  assert.equal((await sendJson(...sink.to, '--to', 'a@receiver.test', '--proxy-source', 'somewhere')).code, 2);
});

test('a certificate of its own, for a server that asks for one', async () => {
  const authority = makeAuthority();
  const [server, client] = [authority.issue(['127.0.0.1']), authority.issue(['client.test'], { use: 'clientAuth' })];
  const port = await freePort();
  await startPostfix({
    services: [{ port, options: { smtpd_tls_security_level: 'encrypt', smtpd_tls_req_ccert: 'yes', smtpd_tls_CAfile: authority.caFile } }],
    tls: { cert: server.certFile, key: server.keyFile },
    domains: ['here.test'],
  });
  const to = ['--host', '127.0.0.1', '--port', String(port), '--ca-file', authority.caFile, '--from', 'me@here.test', '--to', 'you@here.test'];
  assert.equal((await sendJson(...to)).code, 1);
  const done = await sendJson(...to, '--tls-cert', client.certFile, '--tls-key', client.keyFile);
  assert.equal(done.code, 0, done.shown);
  assert.equal((await sendJson(...to, '--tls-cert', client.certFile)).code, 2);
  assert.equal((await sendJson(...to, '--tls-cert', client.certFile, '--tls-key', server.keyFile)).code, 2);
});
