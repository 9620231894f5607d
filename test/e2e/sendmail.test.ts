// `postern sendmail` as programs call it: PHP's mail(), s-nail, mutt, git, Perl, Python, cron's way; under the classic name; over the socket that is for every
// account; by SMTP to a server elsewhere; and what becomes of it when no server runs.
// Needs: knot, unbound, python3, php-cli, s-nail, mutt, git-email, libemail-sender-perl, root

import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { makeAuthority } from '../support/authority.ts';
import type { Authority } from '../support/authority.ts';
import { startDns } from '../support/dns.ts';
import { ROOT, messages, startPostern } from '../support/postern.ts';
import type { Postern } from '../support/postern.ts';
import { startReceiver } from '../support/receiver.ts';
import type { Received, Receiver } from '../support/receiver.ts';
import { atEnd, run, tempDir, until } from '../support/temp.ts';
import type { Done } from '../support/temp.ts';

let postern: Postern;
let receiver: Receiver;
let authority: Authority;
let dir = '';
let sendmail = '';
let socket = '';

before(async () => {
  receiver = await startReceiver({ address: '127.0.0.73' });
  const dns = await startDns({ 'example.test': '@ MX 10 mx\nmx A 127.0.0.73', 'relay.test': '@ MX 10 mx\nmx A 127.0.0.73' });
  authority = makeAuthority();
  const own = authority.issue(['localhost', 'relay.test', '127.0.0.1']);
  dir = tempDir('sendmail');
  chmodSync(dir, 0o755);
  socket = join(dir, 'run/sendmail.sock');
  postern = await startPostern({
    config: `[tls]\nmode = "files"\ncert = "${own.certFile}"\nkey = "${own.keyFile}"\n[dns]\nservers = ["${dns.server}"]\n[delivery]\nmx_port = ${receiver.port}\nallow_private_addresses = true\n[sendmail]\nsocket = "${socket}"\n[limits]\nmessage_size = "1MB"\n`,
  });
  mkdirSync(join(dir, 'bin'));
  sendmail = join(dir, 'bin/sendmail');
  for (const name of ['sendmail', 'mailq', 'newaliases']) symlinkSync(join(ROOT, 'bin/postern'), join(dir, 'bin', name));
});

/** Under the classic name, with the data directory in the environment. */
function call(args: readonly string[], input: string, env: Record<string, string> = {}): Promise<Done> {
  return run(sendmail, args, { input, env: { ...process.env, POSTERN_DATA: postern.dataDir, ...env } });
}

async function sent(args: readonly string[], input: string): Promise<void> {
  const done = await call(args, input);
  assert.deepEqual([done.code, done.stdout, done.stderr], [0, '', '']);
}

const arrived = (text: string): Promise<Received> => until(`"${text}" arrives`, () => receiver.received.find((one) => one.content.toString('latin1').includes(text)));

test('-t takes recipients from the header, and Bcc out of it; -i lets a dot be; -f is the sender; bare names get a domain', async () => {
  await sent(
    ['-t', '-i', '-f', 'bounces@example.test', '-FCronDaemon', '-oem', '-B8BITMIME', 'extra@example.test'],
    'From: root (Cron Daemon)\nTo: root, "B, C" <b@example.test>\nCc: undisclosed:;\nBcc: hidden@example.test\nSubject: classic 1\n\nbefore\n.\n..behind\n',
  );
  const { from, to, content } = await until('all of it', async () => {
    const all = receiver.received.filter((one) => one.content.includes('classic 1'));
    const seen = all.flatMap((one) => one.to);
    return seen.length === 4 ? { ...(all[0] as Received), to: seen } : null;
  });
  assert.equal(from, 'bounces@example.test');
  assert.deepEqual(to.toSorted(), ['b@example.test', 'extra@example.test', 'hidden@example.test', 'root@relay.test']);
  const text = content.toString();
  assert.match(text, /\r\nFrom: root@relay\.test \(Cron Daemon\)\r\nTo: root@relay\.test, "B, C" <b@example\.test>\r\nCc: undisclosed:;\r\nSubject: classic 1\r\n/);
  assert.ok(text.endsWith('\r\n\r\nbefore\r\n.\r\n..behind\r\n'));
  assert.match(text, /^Received: by relay\.test \(local by root\)/);
  assert.match(text, /\r\nMessage-ID: <.*@relay\.test>\r\n/);
});

test('without -i a dot ends it; without a header one is made, with the name that -F says; -- and several recipients in one argument', async () => {
  await sent(['-F', 'The "Backup"', '-f', 'backup@example.test', '--', 'x@example.test,y@example.test', '<z@example.test>'], 'The backup is done.\n.\nnot this\n');
  const { content } = await arrived('The backup is done.');
  const text = content.toString();
  assert.match(text, /\r\nFrom: "The \\"Backup\\"" <backup@example\.test>\r\n/);
  assert.ok(text.endsWith('\r\n\r\nThe backup is done.\r\n'), text);
  await until('all three', () => receiver.received.filter((one) => one.content.includes('The backup is done.')).flatMap((one) => one.to).length === 3);
});

test('notifications as -N, -R and -V say; -f <> is the null sender', async () => {
  await sent(['-N', 'success,delay', '-R', 'hdrs', '-V', 'id-7', '-f', 'a@example.test', 'b@example.test'], 'Subject: dsn 1\n\nx\n');
  const { mail } = await arrived('dsn 1');
  assert.match(mail, /RET=HDRS/i);
  assert.match(mail, /ENVID=id-7/);
  assert.ok(receiver.lines.some((line) => /RCPT TO:<b@example\.test>.*NOTIFY=SUCCESS,DELAY/i.test(line)));
  await sent(['-f', '<>', 'b@example.test'], 'From: Robot <robot@example.test>\nSubject: null 1\n\nx\n');
  assert.equal((await arrived('null 1')).from, '');
});

for (const [what, args, input, code, words] of [
  ['no recipient', [], 'x', 64, /Name the recipients, or say -t/],
  ['none in the header', ['-t'], 'Subject: x\n\nx', 65, /names no recipient/],
  ['an address that is none', ['a b@@c'], 'x', 65, /is not a mail address/],
  ['one in the header', ['-t'], 'To: a@b@c\n\nx', 65, /in the header is not a mail address/],
  ['an unknown option', ['-Z'], 'x', 64, /-Z is not an option/],
  ['a value that is not there', ['-f'], 'x', 64, /-f needs a value/],
  ['the daemon', ['-bd'], '', 64, /postern serve/],
  ['the daemon with a queue interval', ['-q30m'], '', 64, /worked on all the time/],
  ['a message over the limit', ['-f', 'a@example.test', 'b@example.test'], `Subject: x\n\n${'x'.repeat(1_100_000)}`, 69, /more than \d+ bytes/],
] as const) {
  test(`${what}: exit code ${code}, and why`, async () => {
    const done = await call(args, input);
    assert.equal(done.code, code, done.stderr);
    assert.match(done.stderr, words);
    assert.match(done.stderr, /^sendmail: /);
  });
}

test('when no server runs it is 75, with words, and the message was not taken', async () => {
  const empty = tempDir('empty');
  const done = await call(['a@example.test'], 'x', { POSTERN_DATA: empty });
  assert.equal(done.code, 75);
  assert.match(done.stderr, /no server answers at .*: it does not run, or runs elsewhere\. The message was not taken; send it again later\./);
});

test('a server that cannot now is 75; one that breaks off is asked again under the same key', async () => {
  const problem = '{"code":"busy","cause":"No room.","fix":"Wait."}';
  const head = (line: string, body: string): string => `HTTP/1.1 ${line}\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  const data = tempDir('busy');
  const keys: string[] = [];
  const server = createServer((one) => {
    one.on('error', () => {});
    one.once('data', (chunk: Buffer) => {
      if (chunk.includes('GET ')) return void one.end(head('404 Not Found', ''));
      keys.push(/idempotency-key: (\S+)/i.exec(chunk.toString())?.[1] ?? '');
      return void (keys.length < 3 ? one.destroy() : one.end(head('503 Service Unavailable', problem)));
    });
  });
  server.listen(join(data, 'postern.sock'));
  atEnd(() => server.close());
  const done = await call(['a@example.test'], 'Subject: x\n\nx\n', { POSTERN_DATA: data });
  assert.equal(done.code, 75, done.stderr);
  assert.match(done.stderr, /No room\. Wait\./);
  assert.deepEqual([keys.length, new Set(keys).size], [3, 1]);
});

test('-bs speaks SMTP, and says 250 only when the server has the message', async () => {
  const input = [
    'EHLO me',
    'MAIL FROM:<a@example.test>',
    'RCPT TO:<b@example.test> NOTIFY=FAILURE',
    'DATA',
    'Subject: by smtp',
    'From: a@example.test',
    '',
    '..dot',
    '.',
    'RSET',
    'QUIT',
    '',
  ];
  const done = await call(['-bs'], input.join('\r\n'));
  assert.equal(done.code, 0, done.stderr);
  assert.match(done.stdout, /^220 .*\r\n250-/);
  assert.match(done.stdout, /\r\n354 .*\r\n250 2\.6\.0 Message handed over to the server\r\n250 2\.0\.0 Ok\r\n221 /);
  assert.ok(!/STARTTLS|AUTH/.test(done.stdout));
  assert.ok((await arrived('by smtp')).content.toString().endsWith('\r\n\r\n.dot\r\n'));
  const nobody = await call(['-bs'], input.join('\r\n'), { POSTERN_DATA: tempDir('nobody') });
  assert.match(nobody.stdout, /\r\n451 4\.3\.0 no server answers/);
});

test('mailq and -bp show what waits, -q tries it, newaliases does nothing', async () => {
  const mailq = (): Promise<Done> => run(join(dir, 'bin/mailq'), [], { env: { ...process.env, POSTERN_DATA: postern.dataDir } });
  assert.match((await mailq()).stdout, /Mail queue is empty/);
  receiver.script = { ...receiver.script, reply: (line) => (line.startsWith('RCPT TO:<wait') ? '450 4.2.1 busy' : undefined) };
  await sent(['-f', 'a@example.test', 'wait@example.test'], 'Subject: waits\n\nx\n');
  const shown = await until('it waits', async () => (await mailq()).stdout.match(/^\w{16} .* deferred .* a@example\.test -> wait@example\.test\n {4}\(450 busy\)/m));
  assert.ok(shown);
  receiver.script = { address: '127.0.0.73' };
  assert.equal((await call(['-q'], '')).code, 0);
  await arrived('Subject: waits');
  const aliases = await run(join(dir, 'bin/newaliases'), [], { env: { ...process.env, POSTERN_DATA: postern.dataDir } });
  assert.deepEqual([aliases.code, aliases.stdout], [0, '']);
});

test('every account may hand mail over by the socket that is for that, and do nothing else there', async () => {
  const settings = join(dir, 'sendmail.toml');
  writeFileSync(settings, `socket = "${socket}"\ndomain = "example.test"\n`);
  chmodSync(settings, 0o644);
  const nobody = { ...process.env, POSTERN_SENDMAIL: settings, POSTERN_DATA: '' };
  const as = (command: string, input = ''): Promise<Done> =>
    run('/usr/sbin/runuser', ['-u', 'nobody', '--preserve-environment', '--', '/bin/sh', '-c', command], { env: nobody, input });
  // The checkout may lie where others cannot go: what the command says is said by a program of that account.
  const done = await run('python3', ['-c', PYTHON_POST, socket], { env: nobody, input: 'From: nobody@example.test\nTo: ann@example.test\nSubject: by nobody\n\nx\n' });
  assert.equal(done.stdout.trim(), '202', done.stderr);
  assert.match((await arrived('by nobody')).content.toString(), /Received: by relay\.test \(local by nobody\)/);
  const refused = await as(`python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); s.connect("${postern.dataDir}/postern.sock")'`);
  assert.match(refused.stderr, /Permission denied/);
  for (const path of ['/v1/queue', '/v1/messages', '/v1/credentials']) {
    const other = await run('/usr/sbin/runuser', ['-u', 'nobody', '--', '/usr/bin/python3', '-c', PYTHON_GET, socket, path], {});
    assert.equal(other.stdout.trim(), '403', other.stderr);
  }
  const own = await run(sendmail, ['-f', 'me', 'ann@example.test'], { env: nobody, input: 'Subject: by settings\n\nx\n' });
  assert.equal(own.code, 0, own.stderr);
  assert.equal((await arrived('by settings')).from, 'me@example.test');
});

const PYTHON_HTTP = `
import sys, http.client, socket, os
class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(sys.argv[1])
c = Unix("localhost")
`;
const PYTHON_POST = `${PYTHON_HTTP}
body = sys.stdin.buffer.read()
os.setuid(65534)
c.request("POST", "/v1/messages", body, {"content-type": "message/rfc822", "postern-account": "nobody"})
print(c.getresponse().status)`;
const PYTHON_GET = `${PYTHON_HTTP}
c.request("GET", sys.argv[2])
print(c.getresponse().status)`;

test('a socket that cannot be opened ends the start with words', async () => {
  await assert.rejects(startPostern({ config: '[sendmail]\nsocket = "/dev/null/x.sock"\n' }), (error: Error) => {
    assert.match(error.message, /The socket \/dev\/null\/x\.sock, on which accounts of this machine hand over mail, cannot be opened/);
    assert.doesNotMatch(error.message, /fault of Postern/);
    return true;
  });
});

test('the rules of a credential, where the operator has said so', async () => {
  const other = await startPostern({ config: `[sendmail]\nsocket = "${dir}/other/sendmail.sock"\ncredential = "cron"\n` });
  const settings = join(dir, 'other.toml');
  writeFileSync(settings, `socket = "${dir}/other/sendmail.sock"\n`);
  const env = { ...process.env, POSTERN_SENDMAIL: settings, POSTERN_DATA: '' };
  const missing = await run(sendmail, ['-f', 'a@example.com', 'b@example.net'], { env, input: 'Subject: x\n\nx\n' });
  assert.deepEqual([missing.code, /There is no credential "cron"/.test(missing.stderr)], [65, true]);
  await other.credential('cron', '--domain', 'example.com');
  const refused = await run(sendmail, ['-f', 'a@example.org', 'b@example.net'], { env, input: 'Subject: x\n\nx\n' });
  assert.deepEqual([refused.code, /may send as: example\.com/.test(refused.stderr)], [77, true]);
  const taken = await run(sendmail, ['-f', 'a@example.com', 'b@example.net'], { env, input: 'Subject: x\n\nx\n' });
  assert.equal(taken.code, 0, taken.stderr);
  assert.equal((await messages(other, 'captured', 1)).length, 1);
  await other.stop();
});

test('by SMTP to a server elsewhere, with TLS that verifies', async () => {
  const credential = await postern.credential('far', '--live');
  const [password, settings] = [join(dir, 'password'), join(dir, 'far.toml')];
  writeFileSync(password, `${credential.password}\n`);
  writeFileSync(settings, `host = "localhost"\nport = ${postern.port('submission')}\nusername = "far"\npassword_file = "${password}"\nca_file = "${authority.caFile}"\n`);
  const env = { ...process.env, POSTERN_SENDMAIL: settings, POSTERN_DATA: '' };
  const done = await run(sendmail, ['-f', 'a@example.test', 'b@example.test'], { env, input: 'Subject: from afar\n\nx\n' });
  assert.equal(done.code, 0, done.stderr);
  await arrived('from afar');
  writeFileSync(settings, `host = "localhost"\nport = ${postern.port('submission')}\n`);
  const unverified = await run(sendmail, ['-f', 'a@example.test', 'b@example.test'], { env, input: 'Subject: x\n\nx\n' });
  assert.equal(unverified.code, 75, unverified.stderr);
  assert.match(unverified.stderr, /certificate/i);
  writeFileSync(settings, 'colour = "red"\n');
  const wrong = await run(sendmail, ['b@example.test'], { env, input: 'x' });
  assert.deepEqual([wrong.code, /far\.toml: .*colour/.test(wrong.stderr)], [78, true]);
});

/** Programs as they are, each told in its own way which sendmail to call. */
const PROGRAMS: Readonly<Record<string, (subject: string) => { readonly command: string; readonly args: readonly string[]; readonly input?: string; readonly cwd?: string }>> = {
  'PHP mail()': (subject) => ({
    command: '/usr/bin/php',
    args: [
      '-d',
      `sendmail_path=${sendmail} -t -i`,
      '-r',
      `exit(mail("ann@example.test", "${subject}", "Line\\n.\\nlast\\n", "From: php@example.test\\r\\nBcc: bcc@example.test", "-fphp@example.test") ? 0 : 1);`,
    ],
  }),
  's-nail': (subject) => ({
    command: '/usr/bin/s-nail',
    args: ['-:/', '-S', `mta=${sendmail}`, '-S', 'v15-compat', '-r', 'nail@example.test', '-s', subject, 'ann@example.test'],
    input: 'Line\n',
  }),
  mutt: (subject) => ({
    command: '/usr/bin/mutt',
    args: [
      '-n',
      '-F',
      '/dev/null',
      '-e',
      `set sendmail="${sendmail} -oem -oi"`,
      '-e',
      'set from=mutt@example.test use_envelope_from=yes record=""',
      '-s',
      subject,
      '--',
      'ann@example.test',
    ],
    input: 'Line\n',
  }),
  'git send-email': (subject) => {
    const patch = join(dir, 'one.patch');
    writeFileSync(
      patch,
      `From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\nFrom: Git <git@example.test>\nDate: Tue, 24 Nov 2026 08:00:00 +0000\nSubject: ${subject}\n\nLine\n---\n 1 file\n`,
    );
    return {
      command: '/usr/bin/git',
      args: [
        '-c',
        'user.name=Git',
        '-c',
        'user.email=git@example.test',
        'send-email',
        `--sendmail-cmd=${sendmail}`,
        '--confirm=never',
        '--suppress-cc=all',
        '--envelope-sender=git@example.test',
        '--to=ann@example.test',
        patch,
      ],
      cwd: dir,
    };
  },
  'Perl Email::Sender': (subject) => ({
    command: '/usr/bin/perl',
    args: [
      '-MEmail::Sender::Simple=sendmail',
      '-MEmail::Sender::Transport::Sendmail',
      '-e',
      'sendmail(join("", <STDIN>), { from => "perl\\@example.test", to => "ann\\@example.test", transport => Email::Sender::Transport::Sendmail->new({ sendmail => $ARGV[0] }) });',
      sendmail,
    ],
    input: `From: perl@example.test\nTo: ann@example.test\nSubject: ${subject}\n\nLine\n`,
  }),
  'Python subprocess': (subject) => ({
    command: '/usr/bin/python3',
    args: [
      '-c',
      `import subprocess, sys
from email.message import EmailMessage
m = EmailMessage(); m["From"] = "Pythön <py@example.test>"; m["To"] = "ann@example.test"; m["Subject"] = sys.argv[2]; m.set_content("Líne\\n")
subprocess.run([sys.argv[1], "-t", "-oi"], input=m.as_bytes(), check=True)`,
      sendmail,
      subject,
    ],
  }),
  'cron, by the shell': (subject) => ({
    command: '/bin/sh',
    args: [
      '-c',
      `printf 'From: root (Cron Daemon)\\nTo: ann@example.test\\nSubject: ${subject}\\nContent-Type: text/plain; charset=UTF-8\\n\\nLine\\n' | ${sendmail} -i -FCronDaemon -B8BITMIME -oem ann@example.test`,
    ],
  }),
};

for (const [name, program] of Object.entries(PROGRAMS)) {
  test(`${name} sends by it`, async () => {
    const subject = `by ${name.replaceAll(/\W+/g, ' ').trim()}`;
    const { command, args, input = '', cwd } = program(subject);
    const home = tempDir('home');
    const done = await run(command, args, {
      input,
      ...(cwd === undefined ? {} : { cwd }),
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: home, LANG: 'C.UTF-8', POSTERN_DATA: postern.dataDir },
    });
    assert.equal(done.code, 0, done.stdout + done.stderr);
    const { to, content } = await arrived(`Subject: ${subject}`);
    assert.ok(to.includes('ann@example.test'));
    assert.match(content.toString(), /\r\n(Line|L=C3=ADne|Líne)\r\n/);
    assert.ok(!/^Bcc:/m.test(content.toString()));
  });
}
