// Signed mail as others see it: every message is verified by opendkim, mailauth and dkimpy with the keys that `domain add` printed, served
// by a real DNS; after delivery by Postern itself, after conversion to 7 bits, and after a relay by Postfix.
// Needs: knot, unbound, opendkim-tools, python3-dkim, python3-nacl, python3-dnspython, postfix

import assert from 'node:assert/strict';
import { isAscii } from 'node:buffer';
import { before, test } from 'node:test';
import { corpus } from '../support/corpus.ts';
import { startDns } from '../support/dns.ts';
import { startPostern } from '../support/postern.ts';
import type { Credential, Postern } from '../support/postern.ts';
import { startPostfix } from '../support/postfix.ts';
import { startReceiver } from '../support/receiver.ts';
import type { Receiver, Received } from '../support/receiver.ts';
import { accepted, connectTo } from '../support/submit.ts';
import { until } from '../support/temp.ts';
import { BOTH_PASS, dkimpySays, mailauthSays, opendkimSays } from '../support/verifiers.ts';

const RESOLVER = '127.37.0.53';
const [MX, POSTFIX, SEVEN_BIT] = ['127.37.0.2', '127.37.0.3', '127.37.0.4'];

let postern: Postern;
let app: Credential;
let mx: Receiver;
let sevenBit: Receiver;

before(async () => {
  mx = await startReceiver({
    address: MX,
    reply: (line) => (/^RCPT TO:<nobody@/i.test(line) ? '550 5.1.1 No such user' : undefined),
  });
  sevenBit = await startReceiver({ address: SEVEN_BIT, port: mx.port, offers: ['PIPELINING', 'ENHANCEDSTATUSCODES'] });
  await startPostfix({
    services: [{ address: POSTFIX, port: mx.port }],
    main: { relay_domains: 'relayed.test', relay_transport: `smtp:[${MX}]:${mx.port}`, relay_recipient_maps: '' },
  });
  postern = await startPostern({
    hostname: 'relay.signed.test',
    config: `[dns]\nservers = ["${RESOLVER}"]\n[delivery]\nmx_port = ${mx.port}\nallow_private_addresses = true\n[queue]\nmemory = "1MB"\n`,
  });
  app = await postern.credential('app', '--live');
  await postern.cli('domain', 'add', 'signed.test');
  const zone = await postern.cli('domain', 'show', 'signed.test', '--zone');
  await startDns(
    {
      'signed.test': `${zone.stdout}\n@ MX 10 mx\nmx A ${MX}\nrelay A 127.0.0.1`,
      'plain.test': `@ MX 10 mx\nmx A ${MX}`,
      'relayed.test': `@ MX 10 mx\nmx A ${POSTFIX}`,
      'sevenbit.test': `@ MX 10 mx\nmx A ${SEVEN_BIT}`,
    },
    { address: RESOLVER, port: 53 },
  );
});

const HEAD = 'From: App <app@signed.test>\r\nTo: someone@plain.test\r\nSubject: A message\r\nDate: Tue, 24 Nov 2026 08:00:00 +0000\r\nMessage-ID: <one@signed.test>\r\n';

const SAMPLES: Readonly<Record<string, string>> = {
  plain: `${HEAD}\r\nHello there.\r\n`,
  'folded fields': `From: "A very long\r\n display name"\r\n\t<app@signed.test>\r\nSubject:  several\r\n\t words\r\n  and   spaces \t\r\nTo: a@plain.test,\r\n b@plain.test ,\r\n\tc@plain.test\r\n\r\nx\r\n`,
  '8-bit body': `${HEAD}MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xc3\xbc\xc3\x9fe aus K\xc3\xb6ln \r\n`,
  '8-bit header': `From: App <app@signed.test>\r\nSubject: Gr\xc3\xbc\xc3\x9fe\r\n\r\nx\r\n`,
  MIME: `${HEAD}MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\ntext  \r\n--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\nAAECAwQ=\r\n--b--\r\n`,
  'empty body': `${HEAD}\r\n`,
  'a header alone': HEAD,
  'empty lines alone': `${HEAD}\r\n\r\n\r\n\r\n`,
  'trailing white space': `${HEAD}\r\none  \r\n\ttwo\t \t\r\n   \r\nthree \r\n\r\n \r\n\r\n`,
  'no space after the colon, space before it': `From:App <app@signed.test>\r\nTo :someone@plain.test\r\nSubject:\r\n\r\n.\r\n..\r\n.dots\r\n`,
  'Cc, Reply-To, List fields and a Bcc': `${HEAD}Cc: c@plain.test\r\nReply-To: r@signed.test\r\nList-Unsubscribe: <https://signed.test/u>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nBcc: hidden@plain.test\r\n\r\nx\r\n`,
  'a line of 5,000 octets': `${HEAD}\r\n${'long '.repeat(1000)}\r\n`,
  'three megabytes in chunks': `${HEAD}\r\n${`${'some  words and a tab\there '.repeat(2)}\r\n`.repeat(60_000)}\r\n\r\n`,
};

async function send(to: string, content: Buffer): Promise<void> {
  const client = await connectTo(postern.port('submission'), { credential: app });
  const eightBit = !isAscii(content);
  await accepted(client, { from: 'app@signed.test', to: [to], content, envelope: { eightBit, smtpUtf8: eightBit } });
  await client.quit();
}

async function arrived(at: Receiver, to: string): Promise<Received> {
  return until(`mail to ${to} arrives`, () => at.received.find((received) => received.to[0] === to), 60_000);
}

function hasRepeatedField(content: Buffer): boolean {
  const names = headOf(content)
    .toLowerCase()
    .match(/^(?:from|sender|reply-to|to|cc|subject|date|message-id|in-reply-to|references)(?=:)/gm);
  return new Set(names).size < (names ?? []).length;
}

function headOf(content: Buffer): string {
  return content.toString('latin1').split('\r\n\r\n')[0] ?? '';
}

/** All three, over all of them; the names of those that fail, with what was said. */
async function complaints(messages: readonly { readonly name: string; readonly content: Buffer }[]): Promise<string[]> {
  const contents = messages.map((message) => message.content);
  const [dkimpy, opendkim] = await Promise.all([dkimpySays(contents, RESOLVER), opendkimSays(contents, RESOLVER)]);
  const said: string[] = [];
  for (const [i, { name, content }] of messages.entries()) {
    const mailauth = await mailauthSays(content, RESOLVER);
    if (mailauth !== BOTH_PASS) said.push(`${name}: mailauth ${mailauth}`);
    // dkimpy takes no white space before the colon of a field (RFC 5322 4.5 does).
    if (dkimpy[i] !== BOTH_PASS && !/^[!-9;-~]+[ \t]+:/m.test(headOf(content))) said.push(`${name}: dkimpy ${dkimpy[i]}`);
    // opendkim reads no message that has a field twice which may be there once (RFC 5322 3.6).
    if (opendkim[i] !== 'exit 0' && !hasRepeatedField(content)) said.push(`${name}: opendkim ${opendkim[i]}`);
  }
  return said;
}

let sent = 0;

async function deliverAll(
  domain: string,
  receiver: Receiver,
  samples: readonly { readonly name: string; readonly content: Buffer }[],
): Promise<{ name: string; content: Buffer }[]> {
  const out: { name: string; content: Buffer }[] = [];
  for (const [i, { name, content }] of samples.entries()) {
    const to = `s${i}-${++sent}@${domain}`;
    await send(to, content);
    out.push({ name, content: (await arrived(receiver, to)).content });
  }
  return out;
}

const own = Object.entries(SAMPLES).map(([name, text]) => ({ name, content: Buffer.from(text, 'latin1') }));

test('own messages of every form verify at all three', async () => {
  assert.deepEqual(await complaints(await deliverAll('plain.test', mx, own)), []);
});

test('a changed message does not: the verifiers look', async () => {
  await send('changed@plain.test', Buffer.from(SAMPLES['plain'] ?? ''));
  const { content } = await arrived(mx, 'changed@plain.test');
  const changes = [
    content.toString('latin1').replace('Hello there', 'Hello where'),
    content.toString('latin1').replace('\r\nSubject:', '\r\nSubject: Another\r\nSubject:'),
    content.toString('latin1').replace('\r\nSubject:', '\r\nReply-To: evil@plain.test\r\nSubject:'),
    `From: evil@plain.test\r\n${content.toString('latin1')}`,
  ];
  for (const changed of changes) {
    const bytes = Buffer.from(changed, 'latin1');
    const [[dkimpy = 'pass'], mailauth, [opendkim]] = await Promise.all([dkimpySays([bytes], RESOLVER), mailauthSays(bytes, RESOLVER), opendkimSays([bytes], RESOLVER)]);
    assert.ok(!dkimpy.includes('pass'), dkimpy);
    assert.ok(!mailauth.includes('pass'), mailauth);
    assert.notEqual(opendkim, 'exit 0');
  }
});

test('the corpora, their From made ours, verify at all three', async () => {
  const samples = corpus()
    .map(({ name, content }) => ({ name, content: Buffer.from(`From: app@signed.test\r\n${withoutFrom(content.toString('latin1'))}`, 'latin1') }))
    .filter(({ content }) => wellFormed(content.toString('latin1')));
  assert.ok(samples.length > 25, `only ${samples.length}`);
  assert.deepEqual(await complaints(await deliverAll('plain.test', mx, samples)), []);
});

function withoutFrom(text: string): string {
  const end = text.indexOf('\r\n\r\n');
  const head = end === -1 ? text : text.slice(0, end + 2);
  return `${head.replace(/^From(?: |:)[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*/gim, '')}${text.slice(head.length)}`;
}

/** Verifiers do not agree on what a header with lines of neither kind says. */
function wellFormed(text: string): boolean {
  const head = text.split('\r\n\r\n')[0] ?? '';
  return head.split('\r\n').every((line) => /^[!-9;-~]+[ \t]*:/.test(line) || /^[ \t]/.test(line));
}

test('a relay by Postfix leaves the signatures whole', async () => {
  assert.deepEqual(
    await complaints(
      await deliverAll(
        'relayed.test',
        mx,
        own.filter(({ name }) => !['a line of 5,000 octets', '8-bit header', 'a header alone'].includes(name)),
      ),
    ),
    [],
  );
});

test('content that is converted for a hop without 8BITMIME is signed again, and only once', async () => {
  const content = Buffer.from(SAMPLES['8-bit body'] ?? '', 'latin1');
  await send('seven@sevenbit.test', content);
  const got = await arrived(sevenBit, 'seven@sevenbit.test');
  const text = got.content.toString('latin1');
  assert.match(text, /Content-Transfer-Encoding: quoted-printable/);
  assert.ok(isAscii(got.content));
  assert.equal(text.match(/^DKIM-Signature:/gm)?.length, 2);
  assert.deepEqual(await complaints([{ name: 'converted', content: got.content }]), []);
});

test('notifications of our own are signed when their From is of a domain of ours', async () => {
  await send('nobody@plain.test', Buffer.from(SAMPLES['plain'] ?? ''));
  const got = await arrived(mx, 'app@signed.test');
  assert.match(got.content.toString('latin1'), /^From: Mail Delivery System <MAILER-DAEMON@relay\.signed\.test>/m);
  assert.deepEqual(await complaints([{ name: 'notification', content: got.content }]), []);
});

test('sandbox mail is signed as well; mail for a domain that is not ours is not', async () => {
  const sandbox = await postern.credential('sandbox');
  const client = await connectTo(postern.port('submission'), { credential: sandbox });
  const id = await accepted(client, { from: 'app@signed.test', to: ['x@plain.test'], content: SAMPLES['plain'] ?? '' });
  const other = await accepted(client, { from: 'a@other.test', to: ['x@plain.test'], content: 'From: a@other.test\r\n\r\nx\r\n' });
  await client.quit();
  const captured = await until('it is captured', async () => {
    const done = await postern.cli('message', 'body', id);
    return done.code === 0 ? Buffer.from(done.stdout, 'latin1') : null;
  });
  assert.deepEqual(await complaints([{ name: 'sandbox', content: captured }]), []);
  assert.ok(!(await postern.cli('message', 'body', other)).stdout.includes('DKIM-Signature'));
});
