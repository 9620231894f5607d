// Real receivers: Postfix as MX and as smarthost with TLS and SASL, smtp-sink, Dovecot's LMTP.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeAuthority } from '../support/authority.ts';
import { startDns } from '../support/dns.ts';
import { startDovecot } from '../support/dovecot.ts';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startPostern } from '../support/postern.ts';
import { startPostfix } from '../support/postfix.ts';
import { startSink } from '../support/sink.ts';
import { accepted, connectTo, message } from '../support/submit.ts';
import { freePort, tempDir, until } from '../support/temp.ts';

type Detail = { status: string; events: { type: string; outcome: { tls: string | null; remotePort: number | null; route: string; text: string } | null }[] };

const authority = makeAuthority();

test('Postfix as MX: TLS by STARTTLS, several recipients, content as it was', async () => {
  const port = await freePort('127.0.0.2');
  const { certFile, keyFile } = authority.issue(['mx.example.test']);
  const postfix = await startPostfix({ services: [{ address: '127.0.0.2', port }], domains: ['example.test'], tls: { cert: certFile, key: keyFile } });
  const dns = await startDns({ 'example.test': '@ MX 10 mx\nmx A 127.0.0.2' });
  const postern = await startPostern({
    config: `[dns]\nservers = ["${dns.server}"]\n[delivery]\nmx_port = ${port}\nallow_private_addresses = true\nca_file = "${authority.caFile}"\n`,
  });
  const client = await connectTo(postern.port('submission'), { credential: await postern.credential('app', '--live') });
  const id = await accepted(client, { to: ['a@example.test', 'b@example.test'], content: message('to postfix', '.\r\nafter a dot\r\n') });
  await client.quit();
  const detail = await until('delivered', async () => {
    const found = await postern.json<Detail>('message', 'show', id);
    return found.status === 'delivered' ? found : null;
  });
  assert.match(detail.events.find((event) => event.type === 'delivered')?.outcome?.tls ?? '', /^TLSv1\.3 \S+ verified$/);
  const box = await until('in the mailbox', () => (postfix.mailbox('box').match(/Subject: to postfix/g)?.length === 2 ? postfix.mailbox('box') : null));
  assert.match(box, /\n\.\nafter a dot\n/);
  await postern.stop();
});

test('Postfix as smarthost: the ladder is climbed, the login made, the working rung remembered', async () => {
  const { certFile, keyFile } = authority.issue(['smart.example.test', '127.0.0.1']);
  const dovecot = await startDovecot({ users: { upstream: 'correct horse' } });
  const [dead, starttls] = [await freePort(), await freePort()];
  const postfix = await startPostfix({
    services: [
      {
        port: starttls,
        options: { smtpd_tls_auth_only: 'yes', smtpd_recipient_restrictions: 'permit_sasl_authenticated,reject', smtpd_relay_restrictions: 'permit_sasl_authenticated,reject' },
      },
    ],
    domains: ['elsewhere.test'],
    tls: { cert: certFile, key: keyFile },
    sasl: dovecot.sasl,
  });
  const dns = await startDns({ 'example.test': 'smart A 127.0.0.1' });
  const passwordFile = join(tempDir('pw'), 'password');
  writeFileSync(passwordFile, 'correct horse\n', { mode: 0o600 });
  const postern = await startPostern({
    config: `[dns]\nservers = ["${dns.server}"]\n[delivery]\nallow_private_addresses = true\nca_file = "${authority.caFile}"\n[[route]]\ntype = "smarthost"\nhost = "smart.example.test"\nports = [${dead}, ${starttls}]\nusername = "upstream"\npassword_file = "${passwordFile}"\n`,
  });
  const client = await connectTo(postern.port('submissions'), { implicit: true, credential: await postern.credential('app', '--live') });
  const ids = [await accepted(client, { to: ['a@elsewhere.test'], content: message('via smarthost') }), await accepted(client, { to: ['b@elsewhere.test'] })];
  await client.quit();
  for (const id of ids) {
    const detail = await until('delivered', async () => {
      const found = await postern.json<Detail>('message', 'show', id);
      return found.status === 'delivered' ? found : null;
    });
    const outcome = detail.events.find((event) => event.type === 'delivered')?.outcome;
    assert.equal(outcome?.remotePort, starttls);
    assert.match(outcome?.tls ?? '', /verified$/);
  }
  const rung = await postern.logged('smarthost.rung');
  assert.equal(rung['port'], starttls);
  assert.match(String(rung['tried']), new RegExp(`port ${dead}`));
  assert.match(postfix.log(), /sasl_username=upstream/);
  await postern.stop();
});

test('smtp-sink takes everything, over few connections', async () => {
  const sink = await startSink({ address: '127.0.0.4', dump: true });
  const dns = await startDns({ 'example.test': '@ MX 10 mx\nmx A 127.0.0.4' });
  const postern = await startPostern({ config: `[dns]\nservers = ["${dns.server}"]\n[delivery]\nmx_port = ${sink.port}\nallow_private_addresses = true\n` });
  const client = await connectTo(postern.port('alternate'), { credential: await postern.credential('app', '--live') });
  for (let i = 0; i < 50; i++) await accepted(client, { to: ['a@example.test'], content: message(`sink ${i}`) });
  await client.quit();
  await until('all delivered', () => postern.log().filter((line) => line['event'] === 'delivery.delivered').length === 50);
  const dumps = sink.dumps();
  assert.equal(dumps.length, 50);
  for (let i = 0; i < 50; i++)
    assert.ok(
      dumps.some((dump) => dump.includes(`Subject: sink ${i}\n`)),
      `message ${i} is missing`,
    );
  await postern.stop();
});

test('Dovecot over LMTP, by TCP and by socket: each recipient has its own answer', async () => {
  const dovecot = await startDovecot({ users: { known: 'x' } });
  const dns = await startDns({ 'example.test': 'x A 127.0.0.1' });
  const postern = await startPostern({
    config: `[dns]\nservers = ["${dns.server}"]\n[queue]\nretry = { first = "200ms", max = "1s", factor = 2, jitter = 0 }\n[[route]]\nmatch = "tcp.test"\ntype = "lmtp"\nhost = "127.0.0.1:${dovecot.port}"\n[[route]]\nmatch = "socket.test"\ntype = "lmtp"\nhost = "unix:${dovecot.socket}"\n[[route]]\nmatch = "*"\ntype = "capture"\n`,
  });
  const ca = readFileSync(join(postern.dataDir, 'tls/cert.pem'), 'utf8');
  const client = await connectTo(postern.port('submission'), { credential: await postern.credential('app', '--live'), ca });
  // A mail store on this machine is no hop, and so may have what REQUIRETLS protects.
  const requireTls = { envelope: { requireTls: true } };
  const ids = [
    await accepted(client, { to: ['known@tcp.test', 'nobody@tcp.test'], content: message('lmtp tcp') }),
    await accepted(client, { to: ['known@socket.test'], content: message('lmtp socket') }),
    await accepted(client, { to: ['known@tcp.test'], content: message('lmtp tcp, REQUIRETLS'), ...requireTls }),
    await accepted(client, { to: ['known@socket.test'], content: message('lmtp socket, REQUIRETLS'), ...requireTls }),
  ];
  await client.quit();
  await until('in the mailbox', () => dovecot.mails('known').length === 4);
  const detail = await until('both settled', async () => {
    const found = await postern.json<{ recipients: { to: string; status: string }[] }>('message', 'show', ids[0] ?? '');
    return found.recipients.every((recipient) => recipient.status !== 'queued') ? found : null;
  });
  assert.deepEqual(
    detail.recipients.map((recipient) => recipient.status),
    ['delivered', 'bounced'],
  );
  await postern.stop();
});
