// Delivery reports read by another program, field by field: every kind, what of the original comes back, whose words are told, and mail with
// other than ASCII addresses. RFC 3461 6, RFC 3464, RFC 6522, RFC 6533.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { parseMailbox } from '#smtp/address.ts';
import { startDns } from '../support/dns.ts';
import { startPostern } from '../support/postern.ts';
import type { Postern } from '../support/postern.ts';
import { startReceiver } from '../support/receiver.ts';
import type { Received, Receiver } from '../support/receiver.ts';
import { readReport } from '../support/report.ts';
import type { Report } from '../support/report.ts';
import { connectTo, message, submit } from '../support/submit.ts';
import type { Mail } from '../support/submit.ts';
import { until } from '../support/temp.ts';

let postern: Postern;
let home: Receiver;
let old: Receiver;

before(async () => {
  home = await startReceiver({
    address: '127.0.7.1',
    reply(line) {
      if (line.startsWith('RCPT TO:<gone')) return '550-5.1.1 No such user\r\n550 5.1.1 here, or anywhere';
      if (line.startsWith('RCPT TO:<plain')) return '550 We do not know that one';
      if (line.startsWith('RCPT TO:<busy')) return '450 4.2.1 Mailbox busy';
      return undefined;
    },
  });
  old = await startReceiver({ address: '127.0.7.2', port: home.port, offers: ['PIPELINING', '8BITMIME'] });
  const dns = await startDns({
    'example.test': '@ MX 10 mx\nmx A 127.0.7.1\nold MX 10 mxold\nmxold A 127.0.7.2\nnull MX 0 .\nliteral MX 10 mx\nxn--bcher-kva MX 10 mxold\nlooped MX 10 relay.test.',
  });
  postern = await startPostern({
    config: `[dns]\nservers = ["${dns.server}"]\n[delivery]\nmx_port = ${home.port}\nallow_private_addresses = true\n[inbound]\ndomains = ["example.test", "old.example.test", "null.example.test", "missing.example.test", "looped.example.test", "xn--bcher-kva.example.test"]\n[queue]\nmax_age = "4s"\ndelay_warning = "1s"\nretry = { first = "300ms", factor = 1.5, max = "1s", jitter = 0.1 }\n`,
  });
});

const ALL = { success: true, failure: true, delay: true };
const recipient = (to: string, notify: typeof ALL | null = null, orcpt: { type: string; value: string } | null = null) => ({
  address: parseMailbox(to) ?? assert.fail(to),
  notify,
  orcpt,
});

async function send(mail: Mail): Promise<string> {
  const client = await connectTo(postern.port('mx'));
  const replies = await submit(client, { from: 'sender@example.test', ...mail });
  await client.quit();
  return /queued as (\w+)/.exec(replies[0]?.reply.lines.join(' ') ?? '')?.[1] ?? assert.fail(JSON.stringify(replies));
}

/** The report that says this, as it was received and as it is read. */
async function reportOn(
  text: string,
  action: string,
  at: Receiver = home,
): Promise<{ received: Received; report: Report; status: Readonly<Record<string, string>>; whole: Readonly<Record<string, string>> }> {
  const received = await until(
    `a report on ${text}`,
    () => at.received.find((one) => one.from === '' && one.content.includes(text) && new RegExp(`^Action: ${action}`, 'm').test(one.content.toString())),
    20_000,
  );
  const report = await readReport(received.content);
  assert.deepEqual(report.defects, [], received.content.toString());
  assert.equal(report.type, 'multipart/report');
  assert.match(report.header['from'] ?? '', /MAILER-DAEMON@relay\.test/);
  assert.equal(report.header['auto-submitted'], 'auto-replied');
  assert.ok(Math.abs(report.date * 1000 - Date.now()) < 60_000);
  assert.equal(report.parts.length, 3);
  const [whole, status] = report.parts[1]?.fields ?? [];
  assert.ok(whole !== undefined && status !== undefined);
  assert.equal(whole['reporting-mta'], 'dns; relay.test');
  assert.ok(Math.abs(Date.parse(whole['arrival-date'] ?? '') - Date.now()) < 60_000);
  assert.equal(status['action'], action);
  return { received, report, status, whole };
}

test('failed: the other side’s exact words, the header back, who is meant', async () => {
  await send({
    to: [],
    content: message('a failure', 'not to come back\r\n'),
    envelope: { envid: 'order 77+1', recipients: [recipient('gone1@example.test', null, { type: 'rfc822', value: 'first+tag@elsewhere.test' })] },
  });
  const { report, status, whole, received } = await reportOn('gone1@example.test', 'failed');
  assert.equal(report.report, 'delivery-status');
  assert.deepEqual(
    report.parts.map(({ type }) => type),
    ['text/plain', 'message/delivery-status', 'text/rfc822-headers'],
  );
  assert.equal(whole['original-envelope-id'], 'order 77+1');
  assert.equal(status['original-recipient'], 'rfc822; first+tag@elsewhere.test');
  assert.equal(status['final-recipient'], 'rfc822; gone1@example.test');
  assert.equal(status['status'], '5.1.1');
  assert.equal(status['remote-mta'], 'dns; mx.example.test');
  assert.equal(status['diagnostic-code'], 'smtp; 550 5.1.1 No such user here, or anywhere');
  assert.ok(Date.parse(status['last-attempt-date'] ?? '') > 0);
  assert.match(report.parts[2]?.text ?? '', /^Subject: a failure/m);
  assert.ok(!received.content.includes('not to come back'));
  assert.equal(report.header['in-reply-to'], '<afailure@sender.test>');
  assert.equal(report.header['to'], 'sender@example.test');
  assert.match(received.mail, /^MAIL FROM:<> /);
  const rcpt = home.lines[home.lines.lastIndexOf(received.mail) + 1];
  assert.equal(rcpt, 'RCPT TO:<sender@example.test> NOTIFY=NEVER');
});

test('failed without a status: none is invented in the words', async () => {
  await send({ to: ['plain1@example.test'] });
  const { status } = await reportOn('plain1@example.test', 'failed');
  assert.equal(status['status'], '5.0.0');
  assert.equal(status['diagnostic-code'], 'smtp; 550 We do not know that one');
});

for (const [to, status] of [
  ['a@null.example.test', '5.1.10'],
  ['a@missing.example.test', '5.1.2'],
  ['a@looped.example.test', '5.4.6'],
] as const) {
  test(`failed by what the DNS says (${status}): told as our own words, of no other host`, async () => {
    await send({ to: [to] });
    const found = await reportOn(to, 'failed');
    assert.equal(found.status['status'], status);
    assert.match(found.status['diagnostic-code'] ?? '', /^x-postern; /);
    assert.equal(found.status['remote-mta'], undefined);
    assert.ok(!/The server.*said/.test(found.report.parts[0]?.text ?? ''));
  });
}

test('RET=FULL: the whole comes back as a message, 8-bit as it was, and is declared so', async () => {
  const content = Buffer.from(
    'From: a@sender.test\r\nSubject: whole\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße, ganz\r\n',
  );
  await send({ to: ['gone2@example.test'], content, envelope: { ret: 'full', eightBit: true } });
  const { report, received } = await reportOn('gone2@example.test', 'failed');
  assert.equal(report.parts[2]?.type, 'message/rfc822');
  assert.ok(received.content.includes(Buffer.from('Grüße, ganz')));
  assert.match(received.mail, /BODY=8BITMIME/);
});

test('RET=FULL to a sender behind an old server: the report is converted, and still reads well', async () => {
  const plain = await startReceiver({ address: '127.0.7.3', port: home.port, offers: [] });
  const dns = await startDns({ 'example.test': '@ MX 10 mx\nmx A 127.0.7.1', 'seven.test': '@ MX 10 mx\nmx A 127.0.7.3' });
  const other = await startPostern({
    config: `[dns]\nservers = ["${dns.server}"]\n[delivery]\nmx_port = ${home.port}\nallow_private_addresses = true\n[inbound]\ndomains = ["example.test"]\n`,
  });
  const client = await connectTo(other.port('mx'));
  const content = Buffer.from(
    'From: a@seven.test\r\nSubject: whole\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße, ganz\r\n',
  );
  await submit(client, { from: 'a@seven.test', to: ['gone3@example.test'], content, envelope: { ret: 'full', eightBit: true } });
  await client.quit();
  const received = await until('the report', () => plain.received[0]);
  assert.ok(received.content.every((byte) => byte < 128));
  const report = await readReport(received.content);
  assert.deepEqual(report.defects, []);
  assert.equal(report.parts[2]?.type, 'message/rfc822');
  assert.match(report.parts[2]?.text ?? '', /Gr=C3=BC=C3=9Fe/);
  await other.stop();
});

test('delayed, then expired: until when it is tried, and what was said last', async () => {
  await send({ to: [], content: message('late one'), envelope: { recipients: [recipient('busy1@example.test', ALL)] } });
  const delayed = await reportOn('busy1@example.test', 'delayed');
  assert.equal(delayed.status['status'], '4.2.1');
  assert.equal(delayed.status['diagnostic-code'], 'smtp; 450 4.2.1 Mailbox busy');
  assert.ok(Date.parse(delayed.status['will-retry-until'] ?? '') > 0);
  assert.equal(delayed.report.parts[2]?.type, 'text/rfc822-headers');
  const failed = await reportOn('busy1@example.test', 'failed');
  assert.equal(failed.status['status'], '4.4.7');
  assert.equal(failed.status['diagnostic-code'], 'smtp; 450 4.2.1 Mailbox busy');
  assert.equal(failed.status['will-retry-until'], undefined);
  assert.match(delayed.report.parts[0]?.text ?? '', /tried again by itself/);
  assert.doesNotMatch(failed.report.parts[0]?.text ?? '', /tried again by itself/);
});

test('relayed: to a hop that does not report; nothing when it was not asked for', async () => {
  await send({ to: [], content: message('passed on'), envelope: { ret: 'full', recipients: [recipient('fine1@old.example.test', ALL), recipient('fine2@old.example.test')] } });
  const { status, report, received } = await reportOn('fine1@old.example.test', 'relayed');
  assert.match(status['status'] ?? '', /^2\./);
  assert.equal(status['remote-mta'], 'dns; mxold.example.test');
  assert.equal(report.parts[1]?.fields?.length, 2);
  assert.ok(!received.content.includes('fine2@'));
  // RFC 3461 4.3: FULL speaks of failures only.
  assert.equal(report.parts[2]?.type, 'text/rfc822-headers');
  assert.ok(!old.lines.some((line) => /NOTIFY|ORCPT|RET=|ENVID/.test(line)));
});

test('each recipient has its own fields, in one report', async () => {
  await send({ to: ['gone4@example.test', 'plain4@example.test', 'fine4@example.test'] });
  const { report } = await reportOn('gone4@example.test', 'failed');
  const recipients = (report.parts[1]?.fields ?? []).slice(1);
  assert.deepEqual(recipients.map((fields) => `${fields['final-recipient']} ${fields['status']}`).toSorted(), [
    'rfc822; gone4@example.test 5.1.1',
    'rfc822; plain4@example.test 5.0.0',
  ]);
});

test('a hop without SMTPUTF8 gets the recipients it can have, and the sender is told of the others', async () => {
  const [ascii, idn, local] = ['fine5@old.example.test', 'fine5@bücher.example.test', 'jürgen5@old.example.test'] as const;
  await send({ to: [], content: message('for several'), envelope: { smtpUtf8: true, recipients: [ascii, idn, local].map((to) => recipient(to)) } });
  await until('two arrive', () => old.received.filter((one) => one.content.includes('for several')).flatMap((one) => one.to).length === 2);
  assert.deepEqual(
    old.received
      .filter((one) => one.content.includes('for several'))
      .flatMap((one) => one.to)
      .toSorted(),
    [ascii, 'fine5@xn--bcher-kva.example.test'].toSorted(),
  );
  assert.ok(!old.lines.some((line) => line.startsWith('MAIL') && line.includes('SMTPUTF8')));
  const { status, report } = await reportOn('rgen5@old', 'failed');
  assert.equal(report.report, 'delivery-status');
  assert.equal(status['final-recipient'], 'utf-8; j\\x{FC}rgen5@old.example.test');
  assert.equal(status['status'], '5.6.7');
  assert.match(status['diagnostic-code'] ?? '', /^x-postern; /);
});

test('headers in UTF-8 are for hops with SMTPUTF8 only, whoever the recipient is', async () => {
  await send({ to: ['fine6@old.example.test'], content: 'From: a@sender.test\r\nSubject: Grüße sechs\r\n\r\nx\r\n', envelope: { smtpUtf8: true } });
  const { status } = await reportOn('fine6@old.example.test', 'failed');
  assert.equal(status['status'], '5.6.9');
});

test('a sender with a UTF-8 address gets the report in UTF-8; one with only such a domain gets it in ASCII', async () => {
  await send({ from: 'absender-ä@example.test', to: [], content: message('utf8 sender'), envelope: { smtpUtf8: true, recipients: [recipient('gone7@example.test')] } });
  const international = await reportOn('gone7@example.test', 'failed');
  assert.equal(international.report.report, 'global-delivery-status');
  assert.equal(international.report.parts[1]?.type, 'message/global-delivery-status');
  assert.match(international.received.mail, /SMTPUTF8/);
  await send({ from: 'absender@bücher.example.test', to: [], content: message('idn sender'), envelope: { smtpUtf8: true, recipients: [recipient('gone8@example.test')] } });
  const ascii = await reportOn('gone8@example.test', 'failed', old);
  assert.equal(ascii.report.report, 'delivery-status');
  assert.deepEqual(ascii.received.to, ['absender@xn--bcher-kva.example.test']);
  assert.equal(ascii.report.header['to'], 'absender@xn--bcher-kva.example.test');
});
