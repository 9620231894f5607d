// Bounces that come late: the return path that a message leaves with, what a real Postfix sends back to it, who is told, and what is refused.
// Needs: knot, unbound, postfix

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { openApi } from '#cli/api.ts';
import { recordsZone } from '#cli/domain/records.ts';
import { parseMailbox } from '#smtp/address.ts';
import type { Address } from '#smtp/address.ts';
import { startDns } from '../support/dns.ts';
import { startPostern } from '../support/postern.ts';
import type { Credential, Postern } from '../support/postern.ts';
import { startPostfix } from '../support/postfix.ts';
import { rawTo } from '../support/raw.ts';
import { startReceiver } from '../support/receiver.ts';
import type { Received, Receiver } from '../support/receiver.ts';
import { accepted, connectTo, submit } from '../support/submit.ts';
import { until } from '../support/temp.ts';

const RESOLVER = '127.39.0.53';
const AUTHORITY = '127.39.0.1';
const [MX, POSTFIX] = ['127.39.0.2', '127.39.0.3'];

let postern: Postern;
let app: Credential;
let mx: Receiver;

before(async () => {
  mx = await startReceiver({ address: MX, reply: (line) => (/^RCPT TO:<nobody/i.test(line) ? '550 5.1.1 <nobody@bouncing.test>: no such user here' : undefined) });
  postern = await startPostern({
    hostname: 'relay.host.test',
    config: `[dns]\nservers = ["${RESOLVER}"]\n[delivery]\nmx_port = ${mx.port}\nallow_private_addresses = true\n[inbound]\ndomains = ["local.test"]\n`,
  });
  app = await postern.credential('app', '--live');
  const api = openApi({ dataDir: postern.dataDir });
  const [sender, other] = [await api.addDomain({ name: 'sender.test', inbound: false }), await api.addDomain({ name: 'other.test', inbound: false })];
  const at = (address: string): string => `@ MX 10 mx\nmx A ${address}`;
  await startDns(
    {
      'sender.test': `${recordsZone(sender.records)}\n${at(MX)}`,
      'other.test': `${recordsZone(other.records)}\n${at(MX)}`,
      'host.test': 'relay A 127.0.0.1',
      'to.test': at(MX),
      'bouncing.test': at(POSTFIX),
      test: '',
    },
    { address: RESOLVER, port: 53, authority: AUTHORITY },
  );
  await startPostfix({
    services: [{ address: POSTFIX, port: mx.port }],
    main: { relay_domains: 'bouncing.test', relay_transport: `smtp:[${MX}]:${mx.port}`, relay_recipient_maps: '', default_transport: `smtp:[127.0.0.1]:${postern.port('mx')}` },
  });
  const checked = await postern.cli('domain', 'check', 'sender.test');
  assert.equal(checked.code, 0, checked.stdout);
});

type Sent = { readonly id: string; readonly received: Received };

async function send(to: string, options: { from?: string | null; author?: string; notify?: boolean; more?: readonly string[] } = {}): Promise<string> {
  const client = await connectTo(postern.port('submission'), { credential: app });
  const author = options.author ?? 'app@sender.test';
  const addresses = [to, ...(options.more ?? [])].map((text) => parseMailbox(text) as Address);
  const notify = options.notify === false ? { success: false, failure: false, delay: false } : null;
  const id = await accepted(client, {
    from: options.from === undefined ? author : options.from,
    to: [],
    content: `From: ${author}\r\nTo: ${to}\r\nSubject: About ${to}\r\nMessage-ID: <${to}.${author}>\r\n\r\nHello.\r\n`,
    envelope: { recipients: addresses.map((address) => ({ address, notify, orcpt: null })) },
  });
  await client.quit();
  return id;
}

async function sent(to: string, options: Parameters<typeof send>[1] = {}): Promise<Sent> {
  const id = await send(to, options);
  return { id, received: await until(`${to} arrives`, () => mx.received.find((one) => one.to.includes(to))) };
}

type Detail = { readonly status: string; readonly events: readonly { readonly type: string; readonly outcome: { readonly enhanced: string; readonly cause: string } | null }[] };

const detail = (id: string): Promise<Detail> => postern.json<Detail>('message', 'show', id);

test('mail of a domain whose return path is verified leaves with one of its own; other mail as the sender wrote it', async () => {
  const one = await sent('one@to.test');
  assert.match(one.received.from, new RegExp(`^bounce\\+${one.id}-[0-9a-z]{16}@bounce\\.sender\\.test$`));
  const several = await sent('two@to.test', { more: ['three@to.test'] });
  assert.match(several.received.from, new RegExp(`^bounce\\+${several.id}-[0-9a-z]{16}@bounce\\.sender\\.test$`), 'several recipients in one transaction share it');
  const unverified = await sent('four@to.test', { author: 'app@other.test' });
  assert.equal(unverified.received.from, 'app@other.test');
  const nobody = await sent('five@to.test', { from: null });
  assert.equal(nobody.received.from, '');
  const shown = await postern.json<{ from: string }>('message', 'show', one.id);
  assert.equal(shown.from, 'app@sender.test', 'its sender is who it was');
});

test('what a Postfix sends back is written down, and told to the sender once, with the reason', async () => {
  const id = await send('nobody@bouncing.test');
  const report = await until('the sender hears of it', () => mx.received.find((one) => one.from === '' && one.content.includes('nobody@bouncing.test')), 30_000);
  const text = report.content.toString('latin1');
  assert.deepEqual(report.to, ['app@sender.test']);
  assert.match(text, /^From: Mail Delivery System <MAILER-DAEMON@relay\.host\.test>/m);
  assert.match(text, /^Final-Recipient: rfc822; nobody@bouncing\.test/m);
  assert.match(text, /^Status: 5\.1\.1/m);
  assert.match(text, /no such user here/);
  assert.match(text, /^Subject: About nobody@bouncing\.test/m, 'the header of the original comes along');
  const known = await until('the history has it', async () => {
    const found = await detail(id);
    return found.status === 'bounced' ? found : null;
  });
  assert.deepEqual(
    known.events.map((event) => event.type),
    ['accepted', 'delivered', 'returned'],
  );
  assert.match(known.events[2]?.outcome?.cause ?? '', /^A later hop reports: /);
  assert.equal(mx.received.filter((one) => one.from === '' && one.content.includes('nobody@bouncing.test')).length, 1);
  assert.equal((await postern.logged('bounce.failed'))['of'], id);
});

test('of several recipients the one that failed is known', async () => {
  const id = await send('nobody-here@bouncing.test', { more: ['fine@bouncing.test'] });
  const shown = await until(
    'the history has it',
    async () => {
      const found = await postern.json<{ status: string; recipients: { to: string; status: string }[] }>('message', 'show', id);
      return found.status === 'partial' ? found : null;
    },
    30_000,
  );
  assert.deepEqual(
    shown.recipients.map((recipient) => `${recipient.to} ${recipient.status}`),
    ['nobody-here@bouncing.test bounced', 'fine@bouncing.test delivered'],
  );
});

async function refusal(...recipients: readonly string[]): Promise<string[]> {
  const raw = await rawTo(postern.port('mx'));
  await raw.ask('EHLO other.test');
  await raw.ask('MAIL FROM:<>');
  const replies: string[] = [];
  for (const recipient of recipients) replies.push(await raw.ask(`RCPT TO:<${recipient}>`));
  raw.send('QUIT\r\n');
  return replies;
}

test('a token that nobody was given is refused, and so is everything else at a bounce domain', async () => {
  const { received } = await sent('six@to.test');
  const [local = '', domain = ''] = received.from.split('@');
  const flipped = `${local.slice(0, -1)}${local.endsWith('0') ? '1' : '0'}`;
  for (const forged of [`${flipped}@${domain}`, `${local.replace('bounce+1', 'bounce+2')}@${domain}`, `${local}@bounce.other.test`, `bounce@${domain}`, `postmaster@${domain}`]) {
    const [reply] = await refusal(forged);
    assert.match(reply ?? '', /^550 5\.1\.1 /, forged);
  }
  assert.match((await refusal(received.from.toUpperCase()))[0] ?? '', /^250 /, 'letters may come back in either case');
});

test('a report is a transaction of its own', async () => {
  const { received } = await sent('seven@to.test');
  const [first, second] = await refusal(received.from, 'someone@local.test');
  assert.deepEqual([first?.slice(0, 3), second?.slice(0, 3)], ['250', '452']);
  const [local, back] = await refusal('someone@local.test', received.from);
  assert.deepEqual([local?.slice(0, 3), back?.slice(0, 3)], ['250', '452']);
});

test('what is no report goes on to the sender as it is', async () => {
  const { received, id } = await sent('eight@to.test');
  const client = await connectTo(postern.port('mx'));
  const content = 'From: eight@to.test\r\nTo: app@sender.test\r\nSubject: Out of office\r\nAuto-Submitted: auto-replied\r\n\r\nI am away.\r\n';
  const replies = await submit(client, { from: 'eight@to.test', to: [received.from], content });
  await client.quit();
  assert.equal(replies[0]?.accepted, true);
  const onward = await until('it goes on', () => mx.received.find((one) => one.content.includes('Out of office')));
  assert.deepEqual([onward.from, onward.to], ['', ['app@sender.test']], 'from nobody, so that nothing answers it');
  assert.ok(onward.content.toString('latin1').endsWith(content));
  assert.equal((await detail(id)).status, 'delivered');
});

const STATUS =
  'Reporting-MTA: dns; far.test\r\n\r\nFinal-Recipient: rfc822;nine@to.test\r\nAction: failed\r\nStatus: 5.2.2 (full)\r\nRemote-MTA: dns; store.far.test\r\nDiagnostic-Code: smtp; 552 5.2.2 Over\r\n quota\r\n';

function report(body: string, encoding: string): string {
  return `From: MAILER-DAEMON@far.test\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nSorry.\r\n--b\r\nContent-Type: message/delivery-status\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n${body}\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: About nine@to.test\r\n\r\n${`${'x'.repeat(76)}\r\n`.repeat(30_000)}\r\n--b--\r\n`;
}

test('a sender who wants to hear nothing hears nothing; the fate is written down all the same', async () => {
  const { received, id } = await sent('ten@to.test', { notify: false });
  const client = await connectTo(postern.port('mx'));
  const replies = await submit(client, { from: null, to: [received.from], content: report(STATUS.replace('nine', 'ten'), '7bit') });
  await client.quit();
  assert.equal(replies[0]?.accepted, true);
  assert.equal((await detail(id)).status, 'bounced');
  assert.ok((await postern.json<{ subject: string; to: string[] }[]>('message', 'list')).every((row) => !(row.to.includes('app@sender.test') && row.subject.includes('ten'))));
  assert.equal(mx.received.filter((one) => one.from === '' && one.content.includes('ten@to.test')).length, 0);
});

test('a report on a delay, and one in base64 with a returned message, are understood; a large one costs little', async () => {
  const { received, id } = await sent('nine@to.test');
  const client = await connectTo(postern.port('mx'));
  const delayed = await submit(client, {
    from: null,
    to: [received.from],
    content: report(STATUS.replace('failed', 'delayed').replaceAll('5.2.2', '4.2.2').replace('552', '452'), '7bit'),
  });
  assert.equal(delayed[0]?.accepted, true);
  assert.equal((await detail(id)).status, 'delivered', 'a delay is not the end');
  const failed = await submit(client, { from: null, to: [received.from], content: report(Buffer.from(STATUS).toString('base64'), 'base64') });
  await client.quit();
  assert.equal(failed[0]?.accepted, true);
  const shown = await detail(id);
  assert.equal(shown.status, 'bounced');
  assert.deepEqual(
    shown.events.slice(2).map((event) => [event.type, event.outcome?.enhanced]),
    [
      ['returned', '4.2.2'],
      ['returned', '5.2.2'],
    ],
  );
  const told = await until('both are told', () => {
    const found = mx.received.filter((one) => one.from === '' && one.content.includes('Final-Recipient: rfc822; nine@to.test'));
    return found.length >= 2 ? found : null;
  });
  assert.ok(told.every((one) => one.content.length < 10_000));
  assert.match(told.map((one) => one.content.toString('latin1')).join(''), /552 5\.2\.2 Over quota/);
});
