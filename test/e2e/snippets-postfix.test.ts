// The configuration that the advisor hands out for Postfix as a client, in a real Postfix: relays to Postern on each port, and keeps mail, without a
// word of the login, from a server that takes STARTTLS out or whose certificate is not the right one.
// Needs: openssl

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { LIBRARIES, fillSnippet } from '#knowledge/libraries.ts';
import { makeAuthority } from '../support/authority.ts';
import type { Authority } from '../support/authority.ts';
import { messages, startPostern } from '../support/postern.ts';
import type { Credential, Postern } from '../support/postern.ts';
import { startPostfix } from '../support/postfix.ts';
import type { Postfix } from '../support/postfix.ts';
import { rawTo } from '../support/raw.ts';
import { startSnoop } from '../support/snoop.ts';
import { freePort, tempDir, until } from '../support/temp.ts';

let authority: Authority;
let postern: Postern;
let credential: Credential;

before(async () => {
  authority = makeAuthority();
  const own = authority.issue(['localhost', '127.0.0.1']);
  postern = await startPostern({ config: `[tls]\nmode = "files"\ncert = "${own.certFile}"\nkey = "${own.keyFile}"` });
  credential = await postern.credential('app', '--domain', 'example.com');
});

/** A Postfix with the snippet, which has taken one message. */
async function relay(tls: 'starttls' | 'implicit', to: { port: number; username: string; password: string }): Promise<Postfix> {
  const library = LIBRARIES.find(({ id }) => id === 'postfix');
  assert.ok(library !== undefined);
  const snippet = fillSnippet(library, tls, { host: 'localhost', port: to.port, username: to.username, from: 'app@example.com', to: 'friend@example.net' }) ?? '';
  const [main = '', secrets = ''] = snippet.split('# /etc/postfix/sasl_passwd');
  const dir = tempDir('sasl');
  execFileSync('/bin/chmod', ['755', dir]);
  writeFileSync(join(dir, 'sasl_passwd'), `${/^# (\[.*)$/m.exec(secrets)?.[1]?.replace('PASSWORD', to.password) ?? ''}\n`);
  execFileSync('/usr/sbin/postmap', [join(dir, 'sasl_passwd')]);
  const settings = Object.fromEntries([...main.matchAll(/^(\w+) = (.*)$/gm)].map(([, key = '', value = '']) => [key, value]));
  const port = await freePort();
  const postfix = await startPostfix({
    services: [{ port }],
    main: { ...settings, smtp_sasl_password_maps: `hash:${join(dir, 'sasl_passwd')}`, smtp_tls_CAfile: authority.caFile, smtp_host_lookup: 'native' },
  });
  const raw = await rawTo(port);
  for (const line of ['EHLO c', 'MAIL FROM:<app@example.com>', 'RCPT TO:<friend@example.net>']) assert.match(await raw.ask(line), /^250/);
  assert.match(await raw.ask('DATA'), /^354/);
  assert.match(await raw.ask('From: app@example.com\r\nSubject: Hello\r\n\r\nIt works.\r\n.'), /^250/);
  return postfix;
}

describe('Postfix as a client', () => {
  let sent = 0;
  for (const [tls, profile] of [
    ['starttls', 'submission'],
    ['starttls', 'alternate'],
    ['implicit', 'submissions'],
  ] as const) {
    it(`${profile}: relays`, async () => {
      const postfix = await relay(tls, { port: postern.port(profile), ...credential });
      sent++;
      await messages(postern, 'captured', sent).catch((error: unknown) => assert.fail(`${String(error)}\n${postfix.log()}`));
      await postfix.process.end();
    });
  }

  for (const tls of ['starttls', 'implicit'] as const) {
    for (const wrong of ['stripped', 'name', 'authority'] as const) {
      it(`${tls}, ${wrong}: the mail stays, the login is not said`, async () => {
        const pair = wrong === 'stripped' ? null : wrong === 'name' ? authority.issue(['elsewhere.test']) : makeAuthority().issue(['localhost']);
        const snoop = await startSnoop({ starttls: tls === 'starttls' && pair !== null, implicit: tls === 'implicit' && pair !== null, pair });
        const postfix = await relay(tls, { port: snoop.port, username: 'app', password: 'never-to-be-said' });
        await until('the mail is deferred', () => /status=deferred/.test(postfix.log()), 30_000);
        assert.doesNotMatch(snoop.heard.join('\n'), /^(?:AUTH|MAIL)/im);
        await postfix.process.end();
      });
    }
  }
});
