// Several mail hosts: which is tried when, and that one which does not take the mail, in whatever way, never keeps it from one that does.
// RFC 5321 5.1. The pause between attempts is an hour: what arrives here arrived in the first one.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { startDns } from '../support/dns.ts';
import { startPostern } from '../support/postern.ts';
import type { Postern } from '../support/postern.ts';
import { startReceiver } from '../support/receiver.ts';
import type { Receiver, Script } from '../support/receiver.ts';
import { accepted, connectTo, message } from '../support/submit.ts';
import { freePort, until } from '../support/temp.ts';

type Detail = { status: string; events: { type: string; outcome: { remoteHost: string | null; remoteAddress: string | null; class: string; text: string } | null }[] };

let postern: Postern;
let mxPort: number;
let next = 1;

/** Domains c1.example.test, c2... each with two hosts, first (10) and second (20), at 127.0.1.N and 127.0.2.N; e1, e2... with two equal ones. */
before(async () => {
  mxPort = await freePort('127.0.1.1');
  const pairs = Array.from({ length: 30 }, (_, i) => i + 1);
  const dns = await startDns({
    'example.test': [
      ...pairs.flatMap((n) => [`c${n} MX 10 first${n}`, `c${n} MX 20 second${n}`, `first${n} A 127.0.1.${n}`, `second${n} A 127.0.2.${n}`]),
      ...pairs.flatMap((n) => [`e${n} MX 10 first${n}`, `e${n} MX 10 second${n}`]),
      'left MX 10 first30\nleft MX 20 second28',
      'right MX 10 first30\nright MX 20 second29',
    ].join('\n'),
  });
  postern = await startPostern({
    config: `[dns]\nservers = ["${dns.server}"]\n[delivery]\nmx_port = ${mxPort}\nallow_private_addresses = true\nconnect_timeout = "1s"\ncommand_timeout = "1s"\ndata_timeout = "1s"\nmessages_per_connection = 5\n[inbound]\ndomains = [${[...pairs.flatMap((n) => [`"c${n}.example.test"`, `"e${n}.example.test"`]), '"left.example.test"', '"right.example.test"'].join(', ')}]\n[queue]\nretry = { first = "1h", factor = 1, max = "1h", jitter = 0 }\n`,
  });
});

async function pair(first: Script | null, second: Script | null = {}): Promise<{ n: number; first: Receiver | null; second: Receiver | null }> {
  const n = next++;
  const at = (script: Script | null, net: number): Promise<Receiver> | null => (script === null ? null : startReceiver({ ...script, address: `127.0.${net}.${n}`, port: mxPort }));
  return { n, first: await at(first, 1), second: await at(second, 2) };
}

async function send(to: readonly string[], subject = 'hello'): Promise<string> {
  const client = await connectTo(postern.port('mx'));
  const id = await accepted(client, { from: 'x@nowhere.invalid', to, content: message(subject) });
  await client.quit();
  return id;
}

const arrivals = (receiver: Receiver | null, to: string): number => receiver?.received.filter((received) => received.to.includes(to)).length ?? 0;
const detail = (id: string): Promise<Detail> => postern.json<Detail>('message', 'show', id);
const settled = (id: string, status: string): Promise<Detail> =>
  until(`${id} is ${status}`, async () => {
    const found = await detail(id);
    return found.status === status ? found : null;
  });

for (const [name, script] of [
  ['is not there', null],
  ['greets with 421', { greeting: '421 4.3.2 Too busy' }],
  ['greets with 554', { greeting: '554 5.7.1 No service here' }],
  ['never greets', { greeting: 'stall' }],
  ['drops at the greeting', { greeting: 'drop' }],
  ['refuses EHLO and HELO', { reply: (line: string) => (/^(EHLO|HELO)/.test(line) ? '550 5.7.1 Not you' : undefined) }],
  ['drops at EHLO', { reply: (line: string) => (line.startsWith('EHLO') ? 'drop' : undefined) }],
  ['stalls at EHLO', { reply: (line: string) => (line.startsWith('EHLO') ? 'stall' : undefined) }],
  ['drops at MAIL', { reply: (line: string) => (line.startsWith('MAIL') ? 'drop' : undefined) }],
  ['stalls at MAIL', { reply: (line: string) => (line.startsWith('MAIL') ? 'stall' : undefined) }],
  ['says 421 at MAIL', { reply: (line: string) => (line.startsWith('MAIL') ? '421 4.3.2 Going down' : undefined) }],
  ['says 451 at MAIL', { reply: (line: string) => (line.startsWith('MAIL') ? '451 4.3.0 Local trouble' : undefined) }],
  ['drops at RCPT', { reply: (line: string) => (line.startsWith('RCPT') ? 'drop' : undefined) }],
  ['says 421 at RCPT', { reply: (line: string) => (line.startsWith('RCPT') ? '421 4.3.2 Going down' : undefined) }],
  ['says 451 at RCPT', { reply: (line: string) => (line.startsWith('RCPT') ? '451 4.3.0 Cannot look that up' : undefined) }],
  ['says 421 at DATA', { reply: (line: string) => (line === 'DATA' ? '421 4.3.2 Going down' : undefined) }],
  ['says 452 at DATA', { reply: (line: string) => (line === 'DATA' ? '452 4.3.1 Disk full' : undefined) }],
  ['drops at DATA', { reply: (line: string) => (line === 'DATA' ? 'drop' : undefined) }],
  ['says 451 after the content', { reply: (line: string) => (line === '.' ? '451 4.3.0 Scanner is down' : undefined) }],
  ['says 421 after the content', { reply: (line: string) => (line === '.' ? '421 4.3.2 Going down' : undefined) }],
] as const) {
  test(`a first host that ${name}: the second one gets the mail, in the same attempt`, async () => {
    const { n, first, second } = await pair(script);
    const to = `a@c${n}.example.test`;
    const id = await send([to]);
    const { events } = await settled(id, 'delivered');
    assert.equal(arrivals(first, to), 0);
    assert.equal(arrivals(second, to), 1);
    assert.equal(events.findLast((event) => event.type === 'delivered')?.outcome?.remoteHost, `second${n}.example.test`);
    assert.ok(!events.some((event) => event.type === 'deferred'), 'it was never put aside');
  });
}

test('a definite no of the first host is not asked again at the second', async () => {
  const { n, second } = await pair({ reply: (line) => (line.startsWith('RCPT') ? '550 5.1.1 No such user' : undefined) });
  await settled(await send([`a@c${n}.example.test`]), 'bounced');
  assert.equal(second?.connections, 0);
});

test('each recipient has its own way: taken by the first, refused by it, taken by the second', async () => {
  const { n, first, second } = await pair({
    reply: (line) => (line.includes('busy') ? '450 4.2.0 Not just now' : line.includes('gone') ? '550 5.1.1 No such user' : undefined),
  });
  const [fine, gone, busy] = ['fine', 'gone', 'busy'].map((name) => `${name}@c${n}.example.test`) as [string, string, string];
  await settled(await send([fine, gone, busy]), 'partial');
  assert.deepEqual([arrivals(first, fine), arrivals(first, busy), arrivals(second, busy), arrivals(second, fine), arrivals(second, gone)], [1, 0, 1, 0, 0]);
});

test('a host that greylists is believed: the others are not pestered', async () => {
  const { n, second } = await pair({ reply: (line) => (line.startsWith('RCPT') ? '450 4.7.1 Greylisted, try again in 300 seconds' : undefined) });
  await settled(await send([`a@c${n}.example.test`]), 'deferred');
  assert.equal(second?.connections, 0);
});

test('what both refuse for now is put aside with the last answer', async () => {
  const no = { reply: (line: string) => (line.startsWith('RCPT') ? '451 4.3.0 Not now' : undefined) };
  const { n, first, second } = await pair(no, no);
  const { events } = await settled(await send([`a@c${n}.example.test`]), 'deferred');
  assert.equal(events.filter((event) => event.type === 'deferred').length, 1);
  assert.deepEqual([first?.connections, second?.connections], [1, 1]);
});

test('a host that is not there is not waited for again and again', async () => {
  const { n, first, second } = await pair({ greeting: 'stall' });
  for (let i = 0; i < 12; i++) await settled(await send([`a@c${n}.example.test`]), 'delivered');
  assert.equal(second?.received.length, 12);
  // Three connections of five messages each; the one that stalls was had once.
  assert.equal(second.connections, 3);
  assert.equal(first?.connections, 1);
  assert.equal(postern.log().filter((line) => line['event'] === 'delivery.host-avoided' && line['host'] === `first${n}.example.test`).length, 1);
});

test('hosts of one preference share the load', async () => {
  const { n, first, second } = await pair({});
  for (let i = 0; i < 60; i++) await send([`a@e${n}.example.test`]);
  await until('all arrived', () => (first?.received.length ?? 0) + (second?.received.length ?? 0) === 60);
  // Twelve connections or more: that all went to one of the two has a chance of one in two thousand.
  assert.ok((first?.received.length ?? 0) > 0 && (second?.received.length ?? 0) > 0, `${first?.received.length} and ${second?.received.length}`);
});

test('domains with the same first host and different others never get the other one’s host', async () => {
  const [left, right] = [await startReceiver({ address: '127.0.2.28', port: mxPort }), await startReceiver({ address: '127.0.2.29', port: mxPort })];
  await Promise.all([send(['a@left.example.test']), send(['b@right.example.test']), send(['a@left.example.test', 'b@right.example.test'])]);
  await until('all arrived', () => left.received.length === 2 && right.received.length === 2);
  assert.ok(left.received.every((received) => received.to.join() === 'a@left.example.test'));
  assert.ok(right.received.every((received) => received.to.join() === 'b@right.example.test'));
});
