// Real clients on every submission port: swaks, curl, msmtp, Python's smtplib, Nodemailer. What each sends arrives at a receiver.
// Needs: swaks, curl, msmtp, python3, libnet-ssleay-perl, libio-socket-ssl-perl, libauthen-sasl-perl, libdigest-hmac-perl

import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { createTransport } from 'nodemailer';
import { startDns } from '../support/dns.ts';
import { startPostern } from '../support/postern.ts';
import type { Credential, Postern } from '../support/postern.ts';
import { startReceiver } from '../support/receiver.ts';
import type { Receiver } from '../support/receiver.ts';
import { run, tempDir, until } from '../support/temp.ts';

const dir = tempDir('cl');
let postern: Postern;
let app: Credential;
let receiver: Receiver;
let ca: string;

before(async () => {
  receiver = await startReceiver({ address: '127.0.0.6' });
  const dns = await startDns({ 'example.test': '@ MX 10 mx\nmx A 127.0.0.6' });
  postern = await startPostern({ hostname: 'localhost', config: `[dns]\nservers = ["${dns.server}"]\n[delivery]\nmx_port = ${receiver.port}\nallow_private_addresses = true\n` });
  app = await postern.credential('app', '--domain', 'sender.test', '--live');
  ca = join(postern.dataDir, 'tls', 'cert.pem');
});

type Case = { readonly profile: 'submissions' | 'submission' | 'alternate'; readonly port: number; readonly implicit: boolean; readonly subject: string; readonly file: string };

/** Each sends the file (or its content) and fails by its exit code; certificates are verified against the server's own. */
const CLIENTS: Readonly<Record<string, (at: Case) => Promise<void>>> = {
  async swaks({ port, implicit, file }) {
    const args = [
      '--server',
      'localhost',
      '--port',
      String(port),
      implicit ? '--tls-on-connect' : '--tls',
      '--tls-verify',
      '--tls-ca-path',
      ca,
      '--auth',
      'PLAIN',
      '--auth-user',
      app.username,
      '--auth-password',
      app.password,
      '--from',
      'me@sender.test',
      '--to',
      'you@example.test',
      '--data',
      `@${file}`,
    ];
    await succeed('swaks', args);
  },
  async curl({ port, implicit, file }) {
    const args = [
      '-sS',
      '--url',
      `${implicit ? 'smtps' : 'smtp'}://localhost:${port}`,
      '--ssl-reqd',
      '--cacert',
      ca,
      '--user',
      `${app.username}:${app.password}`,
      '--mail-from',
      'me@sender.test',
      '--mail-rcpt',
      'you@example.test',
      '--upload-file',
      file,
    ];
    await succeed('curl', args);
  },
  async msmtp({ port, implicit, file, profile }) {
    const config = join(dir, `msmtp-${profile}`);
    writeFileSync(
      config,
      `account default\nhost localhost\nport ${port}\nfrom me@sender.test\nauth scram-sha-256\nuser ${app.username}\npassword ${app.password}\ntls on\ntls_starttls ${implicit ? 'off' : 'on'}\ntls_trust_file ${ca}\n`,
    );
    chmodSync(config, 0o600);
    await succeed('sh', ['-c', `msmtp -C ${config} you@example.test < ${file}`]);
  },
  async smtplib({ port, implicit, file }) {
    const script = `
import smtplib, ssl, sys
port, implicit, user, password, path, ca = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
if implicit == "1":
    client = smtplib.SMTP_SSL("localhost", int(port), context=context)
else:
    client = smtplib.SMTP("localhost", int(port))
    client.starttls(context=context)
client.login(user, password)
client.sendmail("me@sender.test", ["you@example.test"], open(path, "rb").read())
client.quit()
`;
    await succeed('python3', ['-c', script, String(port), implicit ? '1' : '0', app.username, app.password, file, ca]);
  },
  async nodemailer({ port, implicit, subject }) {
    const { readFileSync } = await import('node:fs');
    const transport = createTransport({
      host: 'localhost',
      port,
      secure: implicit,
      requireTLS: !implicit,
      auth: { user: app.username, pass: app.password },
      tls: { ca: readFileSync(ca) },
    });
    const info = await transport.sendMail({ from: 'me@sender.test', to: 'you@example.test', bcc: 'secret@example.test', subject, text: 'Hello from Nodemailer' });
    transport.close();
    assert.deepEqual(info.rejected, []);
  },
};

async function succeed(command: string, args: readonly string[]): Promise<void> {
  const done = await run(command, args);
  assert.equal(done.code, 0, `${command}: ${done.stdout}\n${done.stderr}`);
}

for (const profile of ['submissions', 'submission', 'alternate'] as const) {
  for (const [name, send] of Object.entries(CLIENTS)) {
    test(`${name} on ${profile}`, async () => {
      const subject = `${name} on ${profile}`;
      const file = join(dir, `${name}-${profile}.eml`);
      writeFileSync(file, `From: me@sender.test\r\nTo: you@example.test\r\nSubject: ${subject}\r\n\r\nHello\r\n`);
      await send({ profile, port: postern.port(profile), implicit: profile === 'submissions', subject, file });
      const got = await until('it arrived', () => receiver.received.find((received) => received.content.includes(`Subject: ${subject}\r\n`)));
      const text = got.content.toString();
      assert.match(text, /^Received: from /);
      assert.match(text, /^Date: /m);
      assert.match(text, /^Message-I[dD]: </m);
      assert.doesNotMatch(text, /^Bcc:/im);
      assert.equal(got.from, 'me@sender.test');
    });
  }
}

test('postern send climbs the ladder to its own server and delivers; wrong passwords end it with 1', async () => {
  const password = join(dir, 'password');
  writeFileSync(password, app.password);
  const sent = await postern.cli(
    'send',
    '--user',
    app.username,
    '--password-file',
    password,
    '--from',
    'me@sender.test',
    '--to',
    'you@example.test',
    '--subject',
    'by postern send',
  );
  assert.equal(sent.code, 0, sent.stderr);
  assert.match(sent.stdout, /^accepted {2}you@example\.test {2}250 2\.6\.0 Message queued as [0-9a-z]{16}$/m);
  assert.ok(!`${sent.stdout}${sent.stderr}`.includes(app.password));
  await until('it arrived', () => receiver.received.find((received) => received.content.includes('Subject: by postern send')));
  writeFileSync(password, 'wrong');
  const refused = await postern.cli('--json', 'send', '--user', app.username, '--password-file', password, '--from', 'me@sender.test', '--to', 'you@example.test');
  assert.equal(refused.code, 1, refused.stdout);
  const answer = JSON.parse(refused.stdout) as { ok: boolean; failure: { class: string; fix: string }; attempts: unknown[] };
  assert.equal(answer.ok, false);
  assert.equal(answer.failure.class, 'auth-failed');
  assert.equal(answer.attempts.length, 1);
});

test('postern send: no server is 3, bad usage is 2, TLS is not given up', async () => {
  const nobody = await postern.cli('send', '--host', '127.0.0.1', '--port', '1', '--to', 'a@example.test', '--from', 'b@example.test');
  assert.equal(nobody.code, 3);
  assert.match(nobody.stdout, /nothing listens on port 1/);
  assert.equal((await postern.cli('send', '--to', 'not-an-address')).code, 2);
  assert.equal((await postern.cli('send')).code, 2);
  const plain = await postern.cli('send', '--host', receiver.address, '--port', String(receiver.port), '--to', 'a@example.test', '--from', 'b@example.test');
  assert.equal(plain.code, 1);
  assert.match(plain.stdout, /does not offer STARTTLS/);
  assert.equal(
    (await postern.cli('send', '--host', receiver.address, '--port', String(receiver.port), '--tls', 'none', '--to', 'a@example.test', '--from', 'b@example.test')).code,
    0,
  );
});
