// Delivery to MX hosts that a real DNS names: which host, what is tried next, what is bounced at once, and how messages share connections.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { startDns } from '../support/dns.ts';
import type { Dns } from '../support/dns.ts';
import { messages, startPostern } from '../support/postern.ts';
import type { Credential, Postern } from '../support/postern.ts';
import { startReceiver } from '../support/receiver.ts';
import type { Receiver } from '../support/receiver.ts';
import { accepted, connectTo, message, submit } from '../support/submit.ts';
import { freePort, until } from '../support/temp.ts';

type Detail = { status: string; recipients: { to: string; status: string }[]; events: { type: string; outcome: Record<string, unknown> | null }[] };

let dns: Dns;
let postern: Postern;
let app: Credential;
let one: Receiver;
let two: Receiver;
let mxPort: number;

before(async () => {
  mxPort = await freePort('127.0.0.2');
  one = await startReceiver({ address: '127.0.0.2', port: mxPort });
  two = await startReceiver({ address: '127.0.0.3', port: mxPort });
  dns = await startDns({
    'example.test': `
      @ MX 10 one
      @ MX 20 two
      one A 127.0.0.2
      two A 127.0.0.3
      dead A 127.0.0.9
      shared MX 10 one
      sub MX 10 one
      implicit A 127.0.0.3
      failover MX 10 dead
      failover MX 20 two
      null MX 0 .
      nohost MX 10 nothing-here
      self MX 5 relay.test.
      backup MX 5 one
      backup MX 10 relay.test.
      txtonly TXT "no mail"
    `,
    'sender.test': '@ MX 10 two.example.test.',
  });
  postern = await startPostern({ config: settings(dns.server) });
  app = await postern.credential('app', '--live');
});

function settings(server: string): string {
  return `[dns]\nservers = ["${server}"]\n\n[delivery]\nmx_port = ${mxPort}\nallow_private_addresses = true\nconnect_timeout = "2s"\n\n[queue]\nretry = { first = "500ms", factor = 2, max = "2s", jitter = 0.1 }\n`;
}

async function detailOf(id: string): Promise<Detail> {
  return postern.json<Detail>('message', 'show', id);
}

async function finished(id: string, status: string): Promise<Detail> {
  return until(`${id} is ${status}`, async () => {
    const detail = await detailOf(id);
    return detail.status === status ? detail : null;
  });
}

test('the best preference is used, and the content arrives byte for byte below what Postern adds', async () => {
  const client = await connectTo(postern.port('submission'), { credential: app });
  const content = message('first', '.dot\r\n..two\r\nlast line\r\n');
  const id = await accepted(client, { to: ['a@example.test'], content });
  await client.quit();
  await finished(id, 'delivered');
  const got = await until('it arrived', () => one.received.find((received) => received.to[0] === 'a@example.test'));
  assert.equal(got.from, 'app@sender.test');
  const text = got.content.toString();
  assert.match(text, /^Received: from client\.test \(\[127\.0\.0\.1\]\) by relay\.test/);
  assert.ok(text.endsWith(content));
});

test('recipients of domains behind the same hosts share one transaction', async () => {
  const client = await connectTo(postern.port('submission'), { credential: app });
  const id = await accepted(client, { to: ['x@shared.example.test', 'y@sub.example.test', 'z@shared.example.test'], content: message('shared') });
  await client.quit();
  await finished(id, 'delivered');
  const got = one.received.filter((received) => received.content.includes('Subject: shared'));
  assert.equal(got.length, 1);
  assert.deepEqual([...(got[0]?.to ?? [])].toSorted(), ['x@shared.example.test', 'y@sub.example.test', 'z@shared.example.test']);
});

test('one connection carries many messages', async () => {
  const before = one.connections;
  const client = await connectTo(postern.port('submission'), { credential: app });
  for (let i = 0; i < 20; i++) {
    const id = await accepted(client, { to: ['many@example.test'], content: message(`many${i}`) });
    await finished(id, 'delivered');
  }
  await client.quit();
  assert.ok(one.connections - before <= 1, `${one.connections - before} new connections`);
});

test('a domain without MX is its own host; a dead host is passed over', async () => {
  const client = await connectTo(postern.port('submission'), { credential: app });
  const ids = [await accepted(client, { to: ['a@implicit.example.test'] }), await accepted(client, { to: ['a@failover.example.test'] })];
  await client.quit();
  for (const id of ids) await finished(id, 'delivered');
  assert.ok(two.received.some((received) => received.to[0] === 'a@implicit.example.test'));
  assert.ok(two.received.some((received) => received.to[0] === 'a@failover.example.test'));
});

for (const [name, to, enhanced, hint] of [
  ['null MX', 'a@null.example.test', '5.1.10', /takes no mail/],
  ['a domain that does not exist', 'a@missing.example.test', '5.1.2', /does not exist/],
  ['MX without address', 'a@nohost.example.test', '5.4.4', /no address/],
  ['this server as the best MX', 'a@self.example.test', '5.4.6', /loop/],
  ['neither MX nor address', 'a@txtonly.example.test', '5.4.4', /no address/],
] as const) {
  test(`bounces at once, with a report that says why: ${name}`, async () => {
    const client = await connectTo(postern.port('submission'), { credential: app });
    const id = await accepted(client, { to: [to], content: message(`bounce ${name}`) });
    await client.quit();
    const detail = await finished(id, 'bounced');
    const outcome = detail.events.findLast((event) => event.outcome !== null)?.outcome ?? {};
    assert.equal(outcome['enhanced'], enhanced);
    assert.match(`${outcome['text']} ${outcome['cause']}`, hint);
    const report = await until('the report arrived', () => two.received.find((received) => received.from === '' && received.content.includes(to)));
    assert.equal(report.to[0], 'app@sender.test');
    const text = report.content.toString();
    assert.match(text, /Content-Type: multipart\/report; report-type=delivery-status/);
    assert.match(text, new RegExp(`Status: ${enhanced.replaceAll('.', '\\.')}`));
    assert.match(text, /Action: failed/);
  });
}

test('mail for a domain that this server is the backup of goes to the better host only', async () => {
  const client = await connectTo(postern.port('submission'), { credential: app });
  const id = await accepted(client, { to: ['b@backup.example.test'] });
  await client.quit();
  await finished(id, 'delivered');
  assert.ok(one.received.some((received) => received.to[0] === 'b@backup.example.test'));
});

test('a 4xx is tried again by itself; each recipient has its own fate', async () => {
  const tries = new Map<string, number>();
  one.script = {
    ...one.script,
    reply(line) {
      const to = /^RCPT TO:<([^>]+)>/.exec(line)?.[1];
      if (to === undefined || !to.includes('fate')) return undefined;
      const nth = (tries.get(to) ?? 0) + 1;
      tries.set(to, nth);
      if (to.startsWith('gone')) return '550 5.1.1 No such user here';
      return to.startsWith('grey') && nth === 1 ? '451 4.7.1 Greylisted, come back' : undefined;
    },
  };
  const client = await connectTo(postern.port('submission'), { credential: app });
  const id = await accepted(client, {
    to: ['ok@fate.example.test', 'gone@fate.example.test', 'grey@fate.example.test'].map((to) => to.replace('fate.', '').replace('@', '-fate@')),
    content: message('fate'),
  });
  await client.quit();
  const detail = await until('all are settled', async () => {
    const found = await detailOf(id);
    return found.recipients.every((recipient) => ['delivered', 'bounced'].includes(recipient.status)) ? found : null;
  });
  assert.deepEqual(
    detail.recipients.map((recipient) => recipient.status),
    ['delivered', 'bounced', 'delivered'],
  );
  assert.equal(tries.get('grey-fate@example.test'), 2);
  assert.equal(tries.get('ok-fate@example.test'), 1);
});

test('MTA mail for local domains is relayed from the mx port; other recipients are refused', async () => {
  await postern.json('domain', 'add', 'example.test', '--inbound');
  const client = await connectTo(postern.port('mx'));
  const replies = await submit(client, { from: 'out@elsewhere.test', to: ['in@example.test', 'no@elsewhere.test'], content: message('inbound') });
  await client.quit();
  assert.deepEqual(
    replies.map((reply) => reply.reply.code),
    [250, 550],
  );
  assert.match(replies[1]?.reply.lines.join(' ') ?? '', /Relay not permitted/);
  await until('it arrived', () => one.received.find((received) => received.to[0] === 'in@example.test'));
});

test('private addresses are refused unless they are allowed', async () => {
  const strict = await startPostern({ config: settings(dns.server).replace('allow_private_addresses = true', 'allow_private_addresses = false') });
  const credential = await strict.credential('app', '--live');
  const client = await connectTo(strict.port('submission'), { credential });
  const id = await accepted(client, { to: ['a@example.test'], from: null });
  await client.quit();
  await messages(strict, 'bounced', 1);
  const detail = await strict.json<Detail>('message', 'show', id);
  assert.equal(detail.events.findLast((event) => event.outcome !== null)?.outcome?.['class'], 'private-address');
  await strict.stop();
});

test('a domain whose DNS says nothing is put aside, and keeps no other recipient of the message waiting', async () => {
  const slow = await startDns({ 'example.test': '@ MX 10 one\none A 127.0.0.2\nshared MX 10 one' }, { mute: ['mute.test'] });
  const server = await startPostern({ config: settings(slow.server).replace('[dns]\n', '[dns]\ntimeout = "8s"\n') });
  const credential = await server.credential('app', '--live');
  const client = await connectTo(server.port('submission'), { credential });
  const id = await accepted(client, { to: ['quick@example.test', 'slow@mute.test', 'quick@shared.example.test'], content: message('one is slow') });
  await client.quit();
  const got = await until('the others have it', () => one.received.find((received) => received.content.includes('one is slow')), 5000);
  assert.deepEqual([...got.to].toSorted(), ['quick@example.test', 'quick@shared.example.test']);
  const detail = await until('the slow one is put aside', async () => {
    const found = await server.json<Detail>('message', 'show', id);
    return found.recipients.some((recipient) => recipient.status === 'deferred') ? found : null;
  });
  const outcome = detail.events.find((event) => event.type === 'deferred')?.outcome;
  assert.deepEqual([outcome?.['class'], outcome?.['enhanced']], ['dns-failure', '4.4.3']);
  await server.stop();
});
