// The configurations that the advisor hands out, run as they are: each delivers to Postern on its port, and each refuses, without a word of the
// login, a server that takes STARTTLS out, one whose certificate is for another name, and one that no known authority has signed.
// Needs: openssl, curl, msmtp, swaks, python3, python3-aiosmtplib, python3-django, php-cli, libphp-phpmailer, ruby, ruby-mail, libemail-sender-perl, s-nail, golang-go

import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { before, describe, it } from 'node:test';
import { advise } from '#advise/advise.ts';
import { LIBRARIES } from '#knowledge/libraries.ts';
import { makeAuthority } from '../support/authority.ts';
import type { Authority } from '../support/authority.ts';
import { ROOT, messages, startPostern } from '../support/postern.ts';
import type { Credential, Postern } from '../support/postern.ts';
import { startSnoop } from '../support/snoop.ts';
import type { Snoop } from '../support/snoop.ts';
import { run, tempDir } from '../support/temp.ts';
import type { Done } from '../support/temp.ts';

/** How a snippet is run: the command in its directory, after `prepare` has laid out what belongs beside it. `ca` is what it shall trust. */
type Runner = {
  readonly command: (file: string) => readonly [string, ...string[]];
  readonly env?: (ca: string) => Readonly<Record<string, string>>;
  /** Where the snippet itself names the trust anchors of the system, the test names its own. */
  readonly adapt?: (snippet: string, ca: string) => string;
  /** What it reads; default: a whole message. */
  readonly input?: string;
  readonly prepare?: (dir: string, ca: string) => void;
  /** What the program of this system cannot do, so that it is not held against the snippet. */
  readonly lacks?: readonly ('name' | 'authority')[];
};

const MESSAGE = 'From: app@example.com\r\nTo: friend@example.net\r\nSubject: Hello\r\n\r\nIt works.\r\n';
const opensslFile = (ca: string): Record<string, string> => ({ SSL_CERT_FILE: ca });

const RUNNERS: Readonly<Record<string, Runner>> = {
  nodemailer: {
    command: (file) => [process.execPath, file],
    env: (ca) => ({ NODE_EXTRA_CA_CERTS: ca }),
    prepare: (dir) => symlinkSync(join(ROOT, 'node_modules'), join(dir, 'node_modules')),
  },
  smtplib: { command: (file) => ['/usr/bin/python3', file], env: opensslFile },
  aiosmtplib: { command: (file) => ['/usr/bin/python3', file], env: opensslFile },
  django: {
    command: () => [
      '/usr/bin/python3',
      '-c',
      'import django; django.setup(); from django.core.mail import send_mail; send_mail("Hello", "It works.", None, ["friend@example.net"])',
    ],
    env: (ca) => ({ SSL_CERT_FILE: ca, DJANGO_SETTINGS_MODULE: 'settings', PYTHONPATH: '.' }),
    // The one of Debian 12 is 3.2.
    lacks: ['name', 'authority'],
  },
  rails: {
    // Action Mailer hands these settings to the mail gem as they are.
    command: (file) => ['/usr/bin/ruby', join(dirname(file), '../../run.rb'), file],
    env: opensslFile,
    prepare: (dir) =>
      writeFileSync(
        join(dir, 'run.rb'),
        [
          'require "mail"',
          'mailer = Struct.new(:delivery_method, :smtp_settings).new',
          'config = Struct.new(:action_mailer).new(mailer)',
          'config.instance_eval(File.read(ARGV[0]).gsub(/^config\\./, "self."))',
          'settings = mailer.smtp_settings',
          // What Debian 12 has is older than enable_starttls: the word it knows for the same.
          'settings[:enable_starttls_auto] = false unless settings[:enable_starttls].nil?',
          'mail = Mail.new { from "app@example.com"; to "friend@example.net"; subject "Hello"; body "It works." }',
          'mail.delivery_method(:smtp, settings)',
          'mail.deliver!',
        ].join('\n'),
      ),
  },
  'net-smtp': { command: (file) => ['/usr/bin/ruby', file], env: opensslFile },
  phpmailer: {
    command: (file) => ['/usr/bin/php', '-d', `openssl.cafile=${join(dirname(file), 'ca.pem')}`, file],
    prepare(dir, ca) {
      mkdirSync(join(dir, 'vendor'));
      writeFileSync(join(dir, 'vendor/autoload.php'), '<?php require "/usr/share/php/libphp-phpmailer/autoload.php";');
      symlinkSync(ca, join(dir, 'ca.pem'));
    },
  },
  wordpress: {
    // wp_mail hands its PHPMailer to this hook before it sends.
    command: (file) => ['/usr/bin/php', '-d', `openssl.cafile=${join(dirname(file), 'ca.pem')}`, join(dirname(file), 'run.php'), file],
    prepare(dir, ca) {
      const place = join(dir, 'wp-content/mu-plugins');
      mkdirSync(place, { recursive: true });
      symlinkSync(ca, join(place, 'ca.pem'));
      writeFileSync(
        join(place, 'run.php'),
        `<?php
require '/usr/share/php/libphp-phpmailer/autoload.php';
$hooks = [];
function add_action($name, $hook) { global $hooks; $hooks[$name] = $hook; }
function add_filter($name, $hook) { global $hooks; $hooks[$name] = $hook; }
require $argv[1];
$mail = new PHPMailer\\PHPMailer\\PHPMailer(true);
$mail->setFrom($hooks['wp_mail_from']());
$mail->addAddress('friend@example.net');
$mail->Subject = 'Hello';
$mail->Body = 'It works.';
$hooks['phpmailer_init']($mail);
$mail->send();
`,
      );
    },
  },
  'go-net-smtp': {
    command: (file) => ['/usr/bin/go', 'run', file],
    env: (ca) => ({ SSL_CERT_FILE: ca, GOFLAGS: '-mod=mod', GO111MODULE: 'off', GOTOOLCHAIN: 'local', GOCACHE: goCache() }),
  },
  curl: { command: (file) => ['/bin/sh', file], env: (ca) => ({ CURL_CA_BUNDLE: ca }), prepare: (dir) => writeFileSync(join(dir, 'message.eml'), MESSAGE) },
  msmtp: {
    command: (file) => ['/usr/bin/msmtp', '-C', file, 'friend@example.net'],
    adapt: (snippet, ca) => snippet.replace('tls_trust_file system', `tls_trust_file ${ca}`),
  },
  swaks: {
    command: (file) => ['/bin/sh', file],
    adapt: (snippet, ca) => snippet.replace('/etc/ssl/certs', ca),
    // It looks at the chain only, and says so.
    lacks: ['name'],
  },
  'email-sender': { command: (file) => ['/usr/bin/perl', file], env: opensslFile },
  's-nail': {
    command: () => ['/usr/bin/s-nail', '-s', 'Hello', 'friend@example.net'],
    input: 'It works.\n',
    env: (ca) => ({ SSL_CERT_FILE: ca, MAILRC: './.mailrc' }),
  },
};

let cache = '';
function goCache(): string {
  cache ||= tempDir('go');
  return cache;
}

const PASSWORD_IN_VAIN = 'never-to-be-said';
let authority: Authority;
let postern: Postern;
let credential: Credential;
/** By what is wrong with it: for the way with STARTTLS, and for TLS from the first byte. */
let snoops: Readonly<Record<'starttls' | 'implicit', Readonly<Record<'stripped' | 'name' | 'authority', Snoop>>>>;

before(async () => {
  authority = makeAuthority();
  const own = authority.issue(['localhost', 'relay.test', '127.0.0.1']);
  postern = await startPostern({ config: `[tls]\nmode = "files"\ncert = "${own.certFile}"\nkey = "${own.keyFile}"` });
  credential = await postern.credential('app', '--domain', 'example.com');
  const otherName = authority.issue(['elsewhere.test']);
  const otherAuthority = makeAuthority().issue(['localhost', '127.0.0.1']);
  const [stripped, starttlsName, starttlsAuthority, implicitName, implicitAuthority] = await Promise.all([
    startSnoop({ starttls: false, implicit: false, pair: null }),
    startSnoop({ starttls: true, implicit: false, pair: otherName }),
    startSnoop({ starttls: true, implicit: false, pair: otherAuthority }),
    startSnoop({ starttls: false, implicit: true, pair: otherName }),
    startSnoop({ starttls: false, implicit: true, pair: otherAuthority }),
  ]);
  snoops = { starttls: { stripped, name: starttlsName, authority: starttlsAuthority }, implicit: { stripped, name: implicitName, authority: implicitAuthority } };
});

async function send(id: string, tls: 'starttls' | 'implicit', to: { readonly port: number; readonly username: string; readonly password: string }): Promise<Done> {
  const library = LIBRARIES.find((one) => one.id === id);
  const runner = RUNNERS[id];
  assert.ok(library !== undefined && runner !== undefined);
  const dir = tempDir('snip');
  const { snippet: filled, ...advice } = advise({
    scenario: 'app',
    library,
    provider: null,
    host: 'localhost',
    served: [{ port: to.port, tls }],
    blocked: [],
    survey: null,
    username: to.username,
    from: 'app@example.com',
    to: 'friend@example.net',
  });
  assert.ok(filled !== null);
  assert.deepEqual([advice.port, advice.encryption, advice.library?.id], [to.port, tls === 'implicit' ? 'implicit-tls' : 'starttls-required', id]);
  runner.prepare?.(dir, authority.caFile);
  const file = join(dir, library.file.replace(/^\//, ''));
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, runner.adapt?.(filled, authority.caFile) ?? filled);
  chmodSync(file, 0o600);
  const [command, ...args] = runner.command(file);
  return run(command, args, {
    cwd: dir,
    input: runner.input ?? MESSAGE,
    env: { ...process.env, HOME: dir, SMTP_PASSWORD: to.password, ...runner.env?.(authority.caFile) },
    timeoutMs: 60_000,
  });
}

let sent = 0;

for (const id of Object.keys(RUNNERS)) {
  describe(LIBRARIES.find((one) => one.id === id)?.name ?? id, () => {
    const ports = [
      ['starttls', 'submission'],
      ['starttls', 'alternate'],
      ['implicit', 'submissions'],
    ] as const;
    for (const [tls, profile] of ports) {
      it(`${profile}: delivers`, async () => {
        const done = await send(id, tls, { port: postern.port(profile), ...credential });
        assert.equal(done.code, 0, `${done.stdout}\n${done.stderr}`);
        sent++;
        await messages(postern, 'captured', sent);
      });
    }
    const wrongs = [
      ['stripped', 'STARTTLS taken out'],
      ['name', 'a certificate for another name'],
      ['authority', 'a certificate of an unknown authority'],
    ] as const;
    for (const tls of ['starttls', 'implicit'] as const) {
      for (const [wrong, what] of wrongs) {
        // No test rather than a skipped one: nothing that could be installed would let it run. The trap is recorded with the library.
        if (wrong !== 'stripped' && RUNNERS[id]?.lacks?.includes(wrong) === true) continue;
        it(`${tls}: ${what} is refused before the login`, async () => {
          const snoop = snoops[tls][wrong];
          const before = snoop.heard.length;
          const done = await send(id, tls, { port: snoop.port, username: 'app', password: PASSWORD_IN_VAIN });
          const heard = snoop.heard.slice(before).join('\n');
          assert.doesNotMatch(heard, /^(?:AUTH|MAIL)/im);
          assert.ok(!heard.includes(PASSWORD_IN_VAIN) && !heard.includes(Buffer.from(PASSWORD_IN_VAIN).toString('base64').slice(0, 12)));
          assert.notEqual(done.code, 0, `it says that it has sent it:\n${done.stdout}\n${done.stderr}`);
        });
      }
    }
  });
}
