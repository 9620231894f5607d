// Mail that is passed on: in the name of the domain it was sent to, sealed, judged again by the next host; bounces that find their way back.
// A real sender that signs, a Postern that forwards, another one that receives, a receiver that refuses, a real DNS for all of them.
// Needs: python3, knot, unbound, postfix, opendkim, python3-dkim, python3-nacl, python3-dnspython, swaks

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startDns } from '../support/dns.ts';
import { startOpenDkim } from '../support/opendkim.ts';
import { messages, startPostern } from '../support/postern.ts';
import type { Postern } from '../support/postern.ts';
import { startPostfix } from '../support/postfix.ts';
import { startReceiver } from '../support/receiver.ts';
import type { Received, Receiver } from '../support/receiver.ts';
import { connectTo, message, submit } from '../support/submit.ts';
import { freePort, run, tempDir, until } from '../support/temp.ts';

// Of this run's own: two resolvers at one address would share the questions, and each knows other keys.
const net = `127.${randomInt(1, 255)}.${randomInt(1, 255)}`;
const RESOLVER = `${net}.53`;
const [SENDER, FORWARDER, TARGET, REFUSER] = [`${net}.2`, `${net}.3`, `${net}.4`, `${net}.5`];

type Verdicts = {
  spf: { result: string; domain: string };
  dkim: { result: string }[];
  dmarc: { result: string; by: string | null };
  arc: { result: string; sealer: string | null; instance: number };
};
type Detail = { envelope: { authentication?: Verdicts; from: { text: string } | null }; recipients: { to: string; status: string; via?: string | null }[] };

let forwarder: Postern;
let target: Postern;
let sender: Receiver;
let refuser: Receiver;
let senderPort: number;
let mxPort: number;

before(async () => {
  mxPort = await freePort(TARGET);
  // The sender's own mail host: what bounces come back to.
  sender = await startReceiver({ address: SENDER, port: mxPort });
  refuser = await startReceiver({ address: REFUSER, port: mxPort, reply: (line) => (/^RCPT TO:<gone/i.test(line) ? '550 5.1.1 No such user' : undefined) });
  const signer = await startOpenDkim('sender.test', 'mail');
  forwarder = await startPostern({
    hostname: 'fwd.local.test',
    address: FORWARDER,
    env: { POSTERN_LISTENER__0__PORT: String(mxPort) },
    config: `[dns]\nservers = ["${RESOLVER}"]\n[delivery]\nmx_port = ${mxPort}\nallow_private_addresses = true\n[inbound]\ndomains = ["local.test"]\n[[forward]]\nmatch = "info@local.test"\nto = ["box@target.test"]\n[[forward]]\nmatch = "gone@local.test"\nto = ["gone@refuser.test"]\n[[forward]]\nmatch = "plain@local.test"\nto = ["plain@refuser.test"]\n[[forward]]\nmatch = "both@local.test"\nto = ["both@local.test", "b@refuser.test"]\n[[forward]]\nmatch = "round@local.test"\nto = ["round@target.test"]\n[[route]]\nmatch = "local.test"\ntype = "capture"\n`,
  });
  await forwarder.cli('domain', 'add', 'local.test');
  const keys = await forwarder.cli('domain', 'show', 'local.test', '--zone');
  target = await startPostern({
    hostname: 'mx.target.test',
    address: TARGET,
    profiles: ['mx'],
    listener: '',
    config: `[dns]\nservers = ["${RESOLVER}"]\n[delivery]\nmx_port = ${mxPort}\nallow_private_addresses = true\n[inbound]\ndomains = ["target.test"]\n[[forward]]\nmatch = "round@target.test"\nto = ["round@local.test"]\n[[route]]\nmatch = "target.test"\ntype = "capture"\n`,
    env: { POSTERN_LISTENER__0__PORT: String(mxPort) },
  });
  await startDns(
    {
      'sender.test': `@ MX 10 mx\nmx A ${SENDER}\n@ TXT "v=spf1 ip4:${SENDER} -all"\n_dmarc TXT "v=DMARC1; p=reject"\n${signer.record}`,
      'unsigned.test': `@ MX 10 mx\nmx A ${SENDER}\n@ TXT "v=spf1 ip4:127.0.0.0/8 -all"`,
      'local.test': `${keys.stdout.replace(/^@?\s*.*v=spf1.*$/gm, '')}\n@ TXT "v=spf1 ip4:127.0.0.1 -all"\n@ MX 10 fwd\nfwd A ${FORWARDER}`,
      'target.test': `@ MX 10 mx\nmx A ${TARGET}`,
      'refuser.test': `@ MX 10 mx\nmx A ${REFUSER}`,
    },
    { address: RESOLVER, port: 53 },
  );
  senderPort = await freePort();
  await startPostfix({
    services: [{ port: senderPort }],
    main: {
      smtpd_milters: signer.milter,
      smtp_bind_address: SENDER,
      smtp_helo_name: 'mx.sender.test',
      relayhost: `[${FORWARDER}]:${forwarder.port('mx')}`,
      relay_domains: 'local.test',
      relay_recipient_maps: '',
    },
  });
});

async function sendSigned(to: string, subject: string): Promise<void> {
  const client = await connectTo(senderPort);
  const replies = await submit(client, { from: 'app@sender.test', to: [to], content: message(subject) });
  assert.ok(replies.every((reply) => reply.accepted));
  await client.quit();
}

async function arrived(at: Receiver, subject: string): Promise<Received> {
  return until(`${subject} arrives`, () => at.received.find((one) => one.content.includes(`Subject: ${subject}`)), 20_000);
}

async function shown(at: Postern, status: string, subject: string): Promise<Detail> {
  const row = await until(`${subject} is ${status}`, async () => (await messages(at, status, 1)).find((one) => one.subject === subject), 20_000);
  return at.json<Detail>('message', 'show', row.id);
}

test('forwarded mail passes SPF, DKIM and DMARC at the next host, and its chain is unbroken', async () => {
  await sendSigned('info@local.test', 'passed on');
  const detail = await shown(target, 'captured', 'passed on');
  const { spf, dkim, dmarc, arc } = detail.envelope.authentication ?? assert.fail('not judged');
  assert.match(detail.envelope.from?.text ?? '', /^SRS0=[a-z2-7]{10}=[a-z2-7]{2}=sender\.test=app@local\.test$/);
  assert.deepEqual([spf.result, spf.domain], ['pass', 'local.test']);
  assert.deepEqual([dkim[0]?.result, dmarc.result, dmarc.by], ['pass', 'pass', 'dkim']);
  assert.deepEqual([arc.result, arc.sealer, arc.instance], ['pass', 'local.test', 1]);
  const kept = await shown(forwarder, 'delivered', 'passed on');
  assert.equal(kept.envelope.from?.text, 'app@sender.test', 'the history tells who sent it');
  assert.deepEqual(
    kept.recipients.map((one) => [one.to, one.via]),
    [['box@target.test', 'info@local.test']],
  );
});

test('dkimpy finds the chain valid, over two hosts too', async () => {
  await sendSigned('plain@local.test', 'sealed once');
  const once = await arrived(refuser, 'sealed once');
  // The same message comes by a second time: another set on top of the first.
  const file = join(tempDir('arc'), 'm.eml');
  writeFileSync(file, once.content);
  await run('/usr/bin/swaks', ['--server', FORWARDER, '--port', String(forwarder.port('mx')), '--from', 'app@sender.test', '--to', 'plain@local.test', '--data', `@${file}`]);
  const twice = await until('it comes again', () => refuser.received.find((one) => one.content.includes('ARC-Seal: i=2;')), 20_000);
  const files = [once, twice].map((one, i) => {
    const path = join(tempDir('arc'), `${i}.eml`);
    writeFileSync(path, one.content);
    return path;
  });
  const judge = fileURLToPath(new URL('../vectors/arc/judge.py', import.meta.url));
  const done = await run('/usr/bin/python3', [judge, RESOLVER, '53', ...files], { timeoutMs: 60_000 });
  assert.equal(done.code, 0, done.stderr);
  assert.deepEqual(
    (JSON.parse(done.stdout) as [string, string][]).map(([result]) => result),
    ['pass', 'pass'],
    done.stdout,
  );
});

test('one address kept and one passed on: each its own sender', async () => {
  await sendSigned('both@local.test', 'kept and passed on');
  const passed = await arrived(refuser, 'kept and passed on');
  assert.match(passed.from, /^SRS0=.*@local\.test$/);
  const kept = await shown(forwarder, 'partial', 'kept and passed on');
  assert.deepEqual(
    kept.recipients.map((one) => [one.to, one.status]).toSorted(([a], [b]) => (a ?? '').localeCompare(b ?? '')),
    [
      ['b@refuser.test', 'delivered'],
      ['both@local.test', 'captured'],
    ],
  );
});

test('refused by the next host: the sender hears of it', async () => {
  await sendSigned('gone@local.test', 'nobody there');
  const report = await until('the report', () => sender.received.find((one) => one.from === '' && one.content.includes('nobody there')), 20_000);
  assert.deepEqual(report.to, ['app@sender.test']);
  assert.match(report.content.toString(), /^Original-Recipient: rfc822; ?gone@local\.test/m);
});

test('a bounce that comes back later goes to the sender, unchanged; nobody else gets anything through', async () => {
  await sendSigned('plain@local.test', 'bounced later');
  const { from } = await arrived(refuser, 'bounced later');
  const client = await connectTo(forwarder.port('mx'), { address: FORWARDER });
  const bounce = `From: Mail System <mailer-daemon@refuser.test>\r\nTo: <${from}>\r\nSubject: Undelivered\r\nMessage-ID: <b@refuser.test>\r\nDate: Tue, 24 Nov 2026 08:00:00 +0000\r\n\r\nNo such user.\r\n`;
  const [taken] = await submit(client, { from: null, to: [from], content: bounce });
  assert.equal(taken?.reply.code, 250);
  const back = await arrived(sender, 'Undelivered');
  assert.deepEqual([back.from, back.to], ['', ['app@sender.test']]);
  assert.ok(back.content.toString().endsWith('\r\nNo such user.\r\n'));

  const [fromSomebody] = await submit(client, { from: 'eve@unsigned.test', to: [from], content: bounce });
  assert.deepEqual([fromSomebody?.reply.code, fromSomebody?.reply.enhanced], [550, '5.7.1']);
  const [forged] = await submit(client, { from: null, to: ['SRS0=aaaaaaaaaa=aa=victim.test=joe@local.test'], content: bounce });
  assert.deepEqual([forged?.reply.code, forged?.reply.enhanced], [550, '5.1.1']);
  const [changed] = await submit(client, { from: null, to: [from.replace('=sender.test=', '=victim.test=')], content: bounce });
  assert.equal(changed?.reply.code, 550);
  await client.quit();
});

test('a sender too long to be rewritten leaves with a return path that leads back as well', async () => {
  const long = 'a-very-long-name-of-a-newsletter+with-a-tag-of-its-own@unsigned.test';
  const client = await connectTo(forwarder.port('mx'), { address: FORWARDER });
  const content = message('long').replaceAll('sender.test', 'unsigned.test');
  const [taken] = await submit(client, { from: long, to: ['plain@local.test'], content });
  assert.equal(taken?.reply.code, 250);
  const { from } = await arrived(refuser, 'long');
  assert.match(from, /^bounce\+[0-9a-z]{16}-[0-9a-z]{16}@local\.test$/);
  const [back] = await submit(client, { from: null, to: [from], content: 'From: x@refuser.test\r\nSubject: Long way back\r\n\r\nNo.\r\n' });
  assert.equal(back?.reply.code, 250);
  assert.deepEqual((await arrived(sender, 'Long way back')).to, [long]);
  await client.quit();
});

test('SRS of another forwarder is shortened, and leads back to that one', async () => {
  const client = await connectTo(forwarder.port('mx'), { address: FORWARDER });
  const theirs = 'SRS0=Ab3+=Q7=example.org=joe@unsigned.test';
  await submit(client, { from: theirs, to: ['plain@local.test'], content: message('second hand').replaceAll('sender.test', 'unsigned.test') });
  const { from } = await arrived(refuser, 'second hand');
  assert.match(from, /^SRS1=[a-z2-7]{10}=unsigned\.test==Ab3\+=Q7=example\.org=joe@local\.test$/);
  await submit(client, { from: null, to: [from], content: 'From: x@refuser.test\r\nSubject: Second way back\r\n\r\nNo.\r\n' });
  assert.deepEqual((await arrived(sender, 'Second way back')).to, [theirs]);
  await client.quit();
});

test('an author of ours that nobody proved does not pass at the next host because we wrote the sender: it keeps its own', async () => {
  const client = await connectTo(forwarder.port('mx'), { address: FORWARDER });
  const content = message('the boss').replaceAll('app@sender.test', 'boss@local.test');
  assert.match(content, /^From: .*boss@local\.test/m);
  const [taken] = await submit(client, { from: 'eve@unsigned.test', to: ['plain@local.test'], content });
  assert.ok(taken?.accepted, JSON.stringify(taken));
  await client.quit();
  assert.equal((await arrived(refuser, 'the boss')).from, 'eve@unsigned.test');
});

test('and with a sender of ours, from elsewhere, it is not passed on at all; by a server of ours it is', async () => {
  const send = (from: string, to: string, subject: string) =>
    run(
      '/usr/bin/swaks',
      ['--server', FORWARDER, '--port', String(forwarder.port('mx')), '--local-interface', from, '--from', 'boss@local.test', '--to', to].concat([
        '--header',
        `Subject: ${subject}`,
        '--header',
        'From: boss@local.test',
      ]),
    );
  const forged = await send(`${net}.66`, 'plain@local.test', 'the boss again');
  assert.match(forged.stdout, /550[ -]5\.7\.26 Not passed on: nothing proves that the message is from local\.test/);
  // Kept here it is what p=none says: taken.
  assert.equal((await send(`${net}.66`, 'box@local.test', 'the boss at home')).code, 0);
  assert.equal((await send('127.0.0.1', 'plain@local.test', 'the boss indeed')).code, 0);
  assert.equal((await arrived(refuser, 'the boss indeed')).from, 'boss@local.test');
});

test('two forwarders that lead to each other: the mail goes round until there are too many hops, and its sender hears of it once', async () => {
  await sendSigned('round@local.test', 'round and round');
  const report = await until('the report', () => sender.received.find((one) => one.from === '' && one.content.includes('round and round')), 60_000);
  assert.deepEqual(report.to, ['app@sender.test']);
  assert.match(report.content.toString(), /5\.4\.6/);
  assert.equal(sender.received.filter((one) => one.content.includes('round and round')).length, 1);
  for (const at of [forwarder, target]) {
    const waiting = [...(await messages(at, 'queued', 0)), ...(await messages(at, 'deferred', 0))];
    assert.deepEqual(
      waiting.filter((one) => one.subject.includes('round')),
      [],
    );
  }
});
