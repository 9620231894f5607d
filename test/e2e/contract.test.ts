// The contract's table, row by row, over raw sockets against the real server.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { startPostern } from '../support/postern.ts';
import type { Credential, Postern } from '../support/postern.ts';
import { plain, rawTlsTo, rawTo } from '../support/raw.ts';
import type { Raw } from '../support/raw.ts';
import { until } from '../support/temp.ts';

const MESSAGE = 'From: a@example.com\r\nTo: b@example.net\r\nSubject: s\r\n\r\nbody\r\n';

let postern: Postern;
let app: Credential;

before(async () => {
  postern = await startPostern({ config: '[inbound]\ndomains = ["local.test"]\n[limits]\nmessage_size = "100KB"\nheader_size = "20KB"\nauth_failures = 3\nrecipients = 5\n' });
  app = await postern.credential('app', '--domain', 'example.com');
});

async function submission(profile: 'submission' | 'alternate' = 'submission'): Promise<Raw> {
  const raw = await rawTo(postern.port(profile));
  await raw.ask('EHLO client.test');
  await raw.startTls();
  await raw.ask('EHLO client.test');
  assert.match(await raw.ask(plain(app)), /^235 2\.7\.0/);
  return raw;
}

async function mx(): Promise<Raw> {
  const raw = await rawTo(postern.port('mx'));
  await raw.ask('EHLO client.test');
  return raw;
}

for (const profile of ['submission', 'alternate'] as const) {
  test(`${profile}, before TLS: EHLO offers STARTTLS and not AUTH; MAIL and AUTH are refused`, async () => {
    const raw = await rawTo(postern.port(profile));
    const ehlo = await raw.ask('EHLO client.test');
    assert.match(ehlo, /250[ -]STARTTLS/);
    assert.doesNotMatch(ehlo, /AUTH/);
    assert.equal(await raw.ask('MAIL FROM:<a@example.com>'), '530 5.7.0 Must issue a STARTTLS command first');
    assert.match(await raw.ask(plain(app)), /^538 5\.7\.11 Encryption required/);
    assert.match(await raw.ask('RCPT TO:<a@example.com>'), /^530 5\.7\.0/);
    assert.match(await raw.ask('DATA'), /^530 5\.7\.0/);
  });

  test(`${profile}, after STARTTLS: everything is offered, and MAIL needs authentication`, async () => {
    const raw = await rawTo(postern.port(profile));
    await raw.ask('EHLO client.test');
    await raw.startTls();
    checkOffers(await raw.ask('EHLO client.test'));
    assert.match(await raw.ask('MAIL FROM:<a@example.com>'), /^530 5\.7\.0 Authentication required/);
  });
}

function checkOffers(ehlo: string): void {
  assert.match(ehlo, /250[ -]AUTH PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS\r?$/m);
  for (const keyword of ['PIPELINING', 'SIZE 100000', '8BITMIME', 'SMTPUTF8', 'CHUNKING', 'DSN', 'ENHANCEDSTATUSCODES', 'REQUIRETLS'])
    assert.match(ehlo, new RegExp(`250[ -]${keyword}\\r?$`, 'm'));
  assert.doesNotMatch(ehlo, /STARTTLS/);
}

test('465: TLS from the first byte, everything offered', async () => {
  const raw = await rawTlsTo(postern.port('submissions'));
  checkOffers(await raw.ask('EHLO client.test'));
  assert.match(await raw.ask('MAIL FROM:<a@example.com>'), /^530 5\.7\.0 Authentication required/);
  assert.match(await raw.ask('STARTTLS'), /^50[23]/);
});

test('wrong credentials: 535 5.7.8, for a known user as for an unknown one; then 421 4.7.0 and the end', async () => {
  const raw = await rawTo(postern.port('submission'));
  await raw.ask('EHLO client.test');
  await raw.startTls();
  await raw.ask('EHLO client.test');
  assert.match(await raw.ask(plain({ ...app, password: 'wrong' })), /^535 5\.7\.8/);
  assert.match(await raw.ask(plain({ username: 'nobody', password: 'wrong' })), /^535 5\.7\.8/);
  assert.match(await raw.ask(plain({ ...app, password: 'wrong' })), /^421 4\.7\.0/);
  assert.equal(await raw.reply(), 'closed');
});

test("a sender that is not the credential's: 550 5.7.1, in MAIL and in the From header", async () => {
  const raw = await submission();
  assert.match(await raw.ask('MAIL FROM:<a@other.example>'), /^550 5\.7\.1/);
  assert.match(await raw.ask('MAIL FROM:<a@example.com>'), /^250/);
  assert.match(await raw.ask('RCPT TO:<b@example.net>'), /^250/);
  assert.match(await raw.ask('DATA'), /^354/);
  assert.match(await raw.ask('From: Boss <boss@other.example>\r\nSubject: s\r\n\r\nhi\r\n.'), /^550 5\.7\.1/);
});

test('the From header cannot be hidden: two fields, two addresses, comments, groups, encoded words', async () => {
  const raw = await submission();
  for (const header of [
    'From: a@example.com\r\nFrom: b@other.example',
    'From: a@example.com, b@other.example',
    'From: "a@example.com" <b@other.example>',
    'From: (a@example.com) b@other.example',
    'From: g: a@example.com, b@other.example;',
    'fRoM : b@other.example',
  ]) {
    await raw.ask('MAIL FROM:<a@example.com>');
    await raw.ask('RCPT TO:<b@example.net>');
    await raw.ask('DATA');
    assert.match(await raw.ask(`${header}\r\nSubject: s\r\n\r\nhi\r\n.`), /^55\d 5\./, header);
  }
});

test('25: AUTH is never offered, relaying never done; local domains are taken', async () => {
  const raw = await rawTo(postern.port('mx'));
  const before = await raw.ask('EHLO client.test');
  assert.doesNotMatch(before, /AUTH/);
  assert.match(before, /STARTTLS/);
  assert.match(await raw.ask(plain(app)), /^538 5\.7\.11/);
  await raw.startTls();
  const after = await raw.ask('EHLO client.test');
  assert.doesNotMatch(after, /AUTH/);
  assert.match(await raw.ask(plain(app)), /^5\d\d/);
  assert.match(await raw.ask('MAIL FROM:<x@elsewhere.example>'), /^250/);
  const refusal = await raw.ask('RCPT TO:<y@elsewhere.example>');
  assert.match(refusal, /^550 5\.7\.1 Relay not permitted/);
  assert.match(refusal, /587/);
  assert.match(refusal, /465/);
  assert.match(refusal, /authentication/);
  for (const trick of [
    '<y%elsewhere.example@local.test>',
    '<@local.test:y@elsewhere.example>',
    '<"y@elsewhere.example">',
    '<y@elsewhere.example@local.test>',
    '<elsewhere.example!y>',
  ]) {
    const reply = await raw.ask(`RCPT TO:${trick}`);
    if (!reply.startsWith('5')) assert.equal(trick, '<y%elsewhere.example@local.test>', `${trick}: ${reply}`);
  }
  assert.match(await raw.ask('RCPT TO:<y@local.test>'), /^250/);
});

test('SIZE over the limit: 552 5.3.4, at MAIL when it is announced, else after the content', async () => {
  const raw = await mx();
  assert.match(await raw.ask('MAIL FROM:<x@e.example> SIZE=100001'), /^552 5\.3\.4/);
  assert.match(await raw.ask('MAIL FROM:<x@e.example> SIZE=100000'), /^250/);
  await raw.ask('RCPT TO:<y@local.test>');
  await raw.ask('DATA');
  raw.send(`Subject: s\r\n\r\n${`${'x'.repeat(70)}\r\n`.repeat(1500)}`);
  assert.match(await raw.ask('.'), /^552 5\.3\.4/);
  assert.match(await raw.ask('MAIL FROM:<x@e.example>'), /^250/);
  await raw.ask('RCPT TO:<y@local.test>');
  raw.send(`BDAT 100100\r\n${'x'.repeat(100_100)}`);
  assert.match(await raw.reply(), /^552 5\.3\.4/);
});

test('too many recipients: 452 4.5.3 for those past the limit, the others are served', async () => {
  const raw = await mx();
  await raw.ask('MAIL FROM:<x@e.example>');
  for (let i = 0; i < 5; i++) assert.match(await raw.ask(`RCPT TO:<r${i}@local.test>`), /^250/);
  assert.match(await raw.ask('RCPT TO:<r6@local.test>'), /^452 4\.5\.3/);
  await raw.ask('DATA');
  assert.match(await raw.ask(`${MESSAGE}.`), /^250 2\.6\.0/);
});

test('too many connections: 421 4.7.0, and the ones that are there go on', async () => {
  const small = await startPostern({ profiles: ['mx'], config: '[limits]\nconnections_per_address = 3\nconnections = 5\n' });
  const open = [await rawTo(small.port('mx')), await rawTo(small.port('mx')), await rawTo(small.port('mx'))];
  const fourth = await rawTo(small.port('mx'), { greeting: false });
  assert.match(await fourth.reply(), /^421 4\.7\.0 Too many connections/);
  assert.equal(await fourth.reply(), 'closed');
  assert.match((await open[0]?.ask('NOOP')) ?? '', /^250/);
  for (const address of ['127.0.0.2', '127.0.0.3']) assert.match(await rawTo(small.port('mx'), { greeting: false, localAddress: address }).then((raw) => raw.reply()), /^220/);
  const over = await rawTo(small.port('mx'), { greeting: false, localAddress: '127.0.0.4' });
  assert.match(await over.reply(), /^421 4\.7\.0 Too many connections/);
  open[0]?.socket.destroy();
  await until('a place is free again', async () => (await (await rawTo(small.port('mx'), { greeting: false })).reply()).startsWith('220'));
});

/** Whatever is tried, the second message must never come to be. */
const SMUGGLED = 'MAIL FROM:<evil@e.example>\r\nRCPT TO:<victim@local.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nevil\r\n.\r\n';
for (const [name, end] of [
  ['LF . LF', '\n.\n'],
  ['LF . CRLF', '\n.\r\n'],
  ['CRLF . LF', '\r\n.\n'],
  ['CR . CR', '\r.\r'],
  ['CRLF . CR', '\r\n.\r'],
  ['CR . CRLF', '\r.\r\n'],
  ['LF . CR', '\n.\r'],
  ['CR LF CR . CRLF', '\r\n\r.\r\n'],
  ['NUL before the dot', '\r\n\0.\r\n'],
  ['CRLF . CR CRLF', '\r\n.\r\r\n'],
  ['bare LF in a line', 'a\nb'],
  ['bare CR in a line', 'a\rb'],
] as const) {
  test(`no smuggling by ${name}`, async () => {
    const raw = await mx();
    await raw.ask('MAIL FROM:<x@e.example>');
    await raw.ask('RCPT TO:<y@local.test>');
    await raw.ask('DATA');
    raw.send(`Subject: outer ${name}\r\n\r\nhello${end}${SMUGGLED}\r\n.\r\nQUIT\r\n`);
    const replies = await raw.rest();
    const list = await postern.json<{ subject: string; from: string }[]>('message', 'list', '--limit', '1000');
    assert.ok(!list.some((message) => message.from === 'evil@e.example'), replies.join(' | '));
    if (name.startsWith('NUL')) return;
    assert.match(replies[0] ?? '', /^5\d\d 5\./);
    assert.ok(replies.includes('closed'), 'the connection is closed');
    assert.equal(replies.length, 2, replies.join(' | '));
  });
}

for (const [name, line] of [
  ['LF', 'NOOP\nQUIT\r\n'],
  ['CR', 'NOOP\rQUIT\r\n'],
  ['LF at once', '\nNOOP\r\n'],
] as const) {
  test(`a bare ${name} in commands is refused and ends the connection`, async () => {
    const raw = await mx();
    raw.send(line);
    const replies = await raw.rest();
    assert.match(replies[0] ?? '', /^5\d\d/);
    assert.deepEqual(replies.slice(1), ['closed']);
  });
}

test('what is sent behind STARTTLS in the same packet is never run', async () => {
  for (const injected of ['MAIL FROM:<x@e.example>\r\n', 'NOOP\r\n', 'EHLO injected.test\r\nMAIL FROM:<x@e.example>\r\nRCPT TO:<y@local.test>\r\nDATA\r\n']) {
    const raw = await mx();
    raw.send(`STARTTLS\r\n${injected}`);
    assert.match(await raw.reply(), /^220/);
    await raw.secure().catch(() => {});
    if (raw.closed) continue;
    raw.send('RCPT TO:<y@local.test>\r\n');
    const replies = await raw.rest();
    assert.ok(replies.length <= 2, replies.join(' | '));
    assert.ok(!replies.some((reply) => reply.startsWith('250') || reply.startsWith('354')), replies.join(' | '));
  }
});

test('250 after DATA and after BDAT LAST carries the queue id', async () => {
  const raw = await mx();
  await raw.ask('MAIL FROM:<x@e.example>');
  await raw.ask('RCPT TO:<y@local.test>');
  await raw.ask('DATA');
  const byData = /^250 2\.6\.0 .*?([0-9a-z]{16})/.exec(await raw.ask(`${MESSAGE}.`))?.[1] ?? '';
  await raw.ask('MAIL FROM:<x@e.example>');
  await raw.ask('RCPT TO:<y@local.test>');
  raw.send(`BDAT 10\r\n${MESSAGE.slice(0, 10)}`);
  assert.match(await raw.reply(), /^250/);
  raw.send(`BDAT ${MESSAGE.length - 10} LAST\r\n${MESSAGE.slice(10)}`);
  const byBdat = /^250 2\.6\.0 .*?([0-9a-z]{16})/.exec(await raw.reply())?.[1] ?? '';
  for (const id of [byData, byBdat]) assert.equal((await postern.json<{ id: string }>('message', 'show', id)).id, id);
});

test('pipelining: a whole transaction in one packet, answered in order', async () => {
  const raw = await mx();
  raw.send('MAIL FROM:<x@e.example>\r\nRCPT TO:<no@elsewhere.example>\r\nRCPT TO:<y@local.test>\r\nDATA\r\n');
  assert.deepEqual(
    [await raw.reply(), await raw.reply(), await raw.reply(), await raw.reply()].map((reply) => reply.slice(0, 3)),
    ['250', '550', '250', '354'],
  );
  raw.send(`${MESSAGE}.\r\nMAIL FROM:<x2@e.example>\r\nRSET\r\nNOOP\r\nVRFY <y@local.test>\r\nHELP\r\nQUIT\r\n`);
  assert.deepEqual(
    (await raw.rest()).map((reply) => reply.slice(0, 3)),
    ['250', '250', '250', '250', '252', '214', '221', 'clo'],
  );
});

test('commands out of order, unknown ones and bad syntax each have their reply, and cost nothing', async () => {
  const raw = await rawTo(postern.port('mx'));
  for (const [line, expected] of [
    ['MAIL FROM:<x@e.example>', /^503/],
    ['FOO', /^500/],
    ['EHLO', /^501/],
    ['EHLO client.test', /^250/],
    ['RCPT TO:<y@local.test>', /^503/],
    ['DATA', /^503/],
    ['BDAT 0 LAST', /^503/],
    ['MAIL FROM:x', /^501/],
    ['MAIL FROM:<x@e.example> FOO=1', /^555/],
    ['MAIL FROM:<x@e.example> SIZE=abc', /^501/],
    ['MAIL FROM:<x@e.example> BODY=7BIT', /^250/],
    ['MAIL FROM:<x@e.example>', /^503/],
    ['RCPT TO:<>', /^501/],
    ['RCPT TO:<y@local.test> NOTIFY=NEVER,SUCCESS', /^501/],
    ['RCPT TO:<y@local.test> NOTIFY=SUCCESS ORCPT=rfc822;y@local.test', /^250/],
    ['MAIL FROM:<x@e.example> REQUIRETLS', /^503|^5/],
    ['RSET', /^250/],
    ['RSET extra', /^501|^250/],
    [`NOOP ${'x'.repeat(600)}`, /^500/],
    ['HELO client.test', /^250/],
    ['QUIT', /^221/],
  ] as const)
    assert.match(await raw.ask(line), expected, line);
});

test('SCRAM-SHA-256 and AUTH LOGIN work; a cancelled exchange can be begun again', async () => {
  const raw = await rawTlsTo(postern.port('submissions'));
  await raw.ask('EHLO client.test');
  assert.match(await raw.ask('AUTH LOGIN'), /^334 VXNlcm5hbWU6/);
  assert.match(await raw.ask('*'), /^501 5\.7\.0/);
  assert.match(await raw.ask('AUTH LOGIN'), /^334/);
  assert.match(await raw.ask(Buffer.from(app.username).toString('base64')), /^334/);
  assert.match(await raw.ask(Buffer.from(app.password).toString('base64')), /^235/);
  assert.match(await raw.ask(plain(app)), /^503/);
  assert.match(await raw.ask('MAIL FROM:<a@example.com>'), /^250/);
});

test('a sandbox message is captured and never leaves', async () => {
  const raw = await submission('alternate');
  await raw.ask('MAIL FROM:<a@example.com>');
  await raw.ask('RCPT TO:<b@example.net>');
  await raw.ask('DATA');
  const id = /([0-9a-z]{16})/.exec(await raw.ask(`${MESSAGE}.`))?.[1] ?? '';
  await until('captured', async () => (await postern.json<{ status: string }>('message', 'show', id)).status === 'captured');
});
