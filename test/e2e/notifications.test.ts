// What senders are told: bounces, delays, expiry, success; NOTIFY, RET, ENVID and ORCPT honoured; the null sender never answered.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { startDns } from '../support/dns.ts';
import { startPostern } from '../support/postern.ts';
import type { Postern } from '../support/postern.ts';
import { startReceiver } from '../support/receiver.ts';
import type { Received, Receiver } from '../support/receiver.ts';
import { connectTo, message, submit } from '../support/submit.ts';
import type { Mail } from '../support/submit.ts';
import { until } from '../support/temp.ts';
import { parseMailbox } from '#smtp/address.ts';

let postern: Postern;
let receiver: Receiver;

before(async () => {
  receiver = await startReceiver({
    address: '127.0.0.60',
    reply(line) {
      if (line.startsWith('RCPT TO:<gone')) return '550 5.1.1 No such user';
      if (line.startsWith('RCPT TO:<later')) return '450 4.2.1 Mailbox busy';
      return undefined;
    },
  });
  const plain = await startReceiver({ address: '127.0.0.61', port: receiver.port, offers: ['PIPELINING', '8BITMIME'] });
  const dns = await startDns({ 'example.test': '@ MX 10 mx\nmx A 127.0.0.60\nplain MX 10 mxplain\nmxplain A 127.0.0.61' });
  void plain;
  postern = await startPostern({
    config: `[dns]\nservers = ["${dns.server}"]\n[delivery]\nmx_port = ${receiver.port}\nallow_private_addresses = true\n[inbound]\ndomains = ["example.test", "plain.example.test"]\n[queue]\nmax_age = "4s"\ndelay_warning = "1s"\nretry = { first = "300ms", factor = 1.5, max = "1s", jitter = 0.1 }\n`,
  });
});

async function send(mail: Mail): Promise<string> {
  const client = await connectTo(postern.port('mx'));
  const replies = await submit(client, { from: 'sender@example.test', ...mail });
  await client.quit();
  return /queued as (\w+)/.exec(replies[0]?.reply.lines.join(' ') ?? '')?.[1] ?? '';
}

/** Reports (null sender) to the sender that speak of this subject or recipient. */
function reports(about: string): Received[] {
  return receiver.received.filter((received) => received.from === '' && received.content.includes(about));
}

const recipient = (to: string, notify: { success: boolean; failure: boolean; delay: boolean } | null, orcpt: string | null = null) => ({
  address: parseMailbox(to) ?? assert.fail(),
  notify,
  orcpt: orcpt === null ? null : { type: 'rfc822', value: orcpt },
});

test('a bounce tells status, reply, cause and fix, and returns the header', async () => {
  await send({ to: ['gone1@example.test'], content: message('bounce me', 'secret body\r\n') });
  const report = await until('the report', () => reports('gone1@example.test')[0]);
  const text = report.content.toString();
  assert.deepEqual(report.to, ['sender@example.test']);
  assert.match(text, /^Auto-Submitted: auto-replied/m);
  assert.match(text, /^Final-Recipient: rfc822; ?gone1@example\.test/m);
  assert.match(text, /^Action: failed/m);
  assert.match(text, /^Status: 5\.1\.1/m);
  assert.match(text, /^Diagnostic-Code: smtp; ?550 5\.1\.1 No such user/m);
  assert.match(text, /^Remote-MTA: dns; ?mx\.example\.test/m);
  assert.match(text, /Subject: bounce me/);
  assert.match(text, /no such mailbox/i);
  assert.match(text, /spelling/i);
  assert.ok(!text.includes('secret body'));
});

test('RET=FULL returns the body, ENVID and ORCPT come back, NOTIFY=NEVER says nothing', async () => {
  await send({
    to: [],
    content: message('full one', 'the whole body\r\n'),
    envelope: {
      ret: 'full',
      envid: 'env+id 1',
      recipients: [recipient('gone2@example.test', null, 'original@elsewhere.test'), recipient('gone3@example.test', { success: false, failure: false, delay: false })],
    },
  });
  const report = await until('the report', () => reports('gone2@example.test')[0]);
  const text = report.content.toString();
  assert.match(text, /the whole body/);
  assert.match(text, /^Original-Envelope-Id: env\+id 1/m);
  assert.match(text, /^Original-Recipient: rfc822; ?original@elsewhere\.test/m);
  assert.ok(!text.includes('gone3@'));
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.equal(reports('gone3@').length, 0);
});

test('success is told where it was asked for: by the next hop if it can, else as relayed', async () => {
  const wish = { success: true, failure: true, delay: false };
  await send({ to: [], content: message('success'), envelope: { recipients: [recipient('fine@example.test', wish), recipient('fine@plain.example.test', wish)] } });
  const report = await until('the report', () => reports('fine@plain.example.test')[0]);
  assert.match(report.content.toString(), /^Action: relayed/m);
  const passed = receiver.lines.find((line) => line.startsWith('RCPT TO:<fine@example.test>'));
  assert.match(passed ?? '', /NOTIFY=SUCCESS,FAILURE/);
  assert.equal(reports('fine@example.test').length, 0);
});

test('a delay is told once, then the message expires with what was said last', async () => {
  await send({ to: ['later1@example.test'], content: message('late') });
  const delayed = await until('the warning', () => reports('later1@example.test').find((report) => /^Action: delayed/m.test(report.content.toString())), 15_000);
  assert.match(delayed.content.toString(), /^Will-Retry-Until: /m);
  const failed = await until('the bounce', () => reports('later1@example.test').find((report) => /^Action: failed/m.test(report.content.toString())), 20_000);
  assert.match(failed.content.toString(), /^Status: 4\.4\.7/m);
  assert.match(failed.content.toString(), /Mailbox busy/);
  assert.equal(reports('later1@example.test').length, 2);
});

test('the null sender is never told, so nothing goes round', async () => {
  const id = await send({ from: null, to: ['gone9@example.test'], content: message('from nobody') });
  await until('bounced', async () => (await postern.json<{ status: string }>('message', 'show', id)).status === 'bounced');
  await postern.logged('dsn.suppressed');
  assert.equal(reports('gone9@').length, 0);
});

test('a report that cannot be delivered ends there', async () => {
  await send({ from: 'gone-sender@example.test', to: ['gone10@example.test'], content: message('double') });
  await until('the report itself bounced', async () => {
    const list = await postern.json<{ from: string; to: string[]; status: string }[]>('message', 'list', '--limit', '1000');
    return list.some((row) => row.from === '' && row.to[0] === 'gone-sender@example.test' && row.status === 'bounced');
  });
});

test('a message that has gone round too often is refused', async () => {
  const received = 'Received: from a by b; Tue, 24 Nov 2026 08:00:00 +0000\r\n'.repeat(101);
  const client = await connectTo(postern.port('mx'));
  const replies = await submit(client, { from: 'sender@example.test', to: ['fine@example.test'], content: received + message('loop') });
  assert.equal(replies[0]?.reply.code, 554);
  assert.equal(replies[0]?.reply.enhanced, '5.4.6');
});

test('8-bit content is converted for a hop without 8BITMIME; SMTPUTF8 without the extension bounces', async () => {
  const old = await startReceiver({ address: '127.0.0.62', port: receiver.port, offers: ['PIPELINING'] });
  const dns = await startDns({ 'old.test': '@ MX 10 mx\nmx A 127.0.0.62', 'example.test': '@ MX 10 mx\nmx A 127.0.0.60' });
  const other = await startPostern({
    config: `[dns]\nservers = ["${dns.server}"]\n[delivery]\nmx_port = ${receiver.port}\nallow_private_addresses = true\n[inbound]\ndomains = ["old.test"]\n`,
  });
  const client = await connectTo(other.port('mx'));
  const utf8 = Buffer.from('Grüße aus Köln\r\n');
  await submit(client, {
    from: 'sender@example.test',
    to: ['a@old.test'],
    content: Buffer.concat([Buffer.from('Subject: eight\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n'), utf8]),
    envelope: { eightBit: true },
  });
  const got = await until('it arrives', () => old.received[0]);
  assert.match(got.content.toString('latin1'), /Content-Transfer-Encoding: quoted-printable/);
  assert.match(got.content.toString('latin1'), /Gr=C3=BC=C3=9Fe/);
  await submit(client, { from: 'sender@example.test', to: [], content: message('utf8'), envelope: { smtpUtf8: true, recipients: [recipient('jürgen@old.test', null)] } });
  await client.quit();
  const report = await until('the bounce', () => receiver.received.find((one) => one.from === '' && one.content.includes('5.6.7')));
  assert.match(report.content.toString(), /^Status: 5\.6\.7/m);
  await other.stop();
});
