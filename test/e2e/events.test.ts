// Needs: knot, unbound
// Events and statistics of a running server, as its clients have them: in pages that join, in a stream that goes on where it was, and counted by minute.

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { before, test } from 'node:test';
import type { PublicEvent } from '#events/event.ts';
import { startDns } from '../support/dns.ts';
import { startPostern } from '../support/postern.ts';
import type { Postern } from '../support/postern.ts';
import { startReceiver } from '../support/receiver.ts';
import { accepted, connectTo } from '../support/submit.ts';
import { freePort, until } from '../support/temp.ts';

const CONTENT = 'From: App <app@sender.test>\r\nTo: a@b.test\r\nSubject: Weekly report\r\n\r\nHello\r\n';

let postern: Postern;
let token: string;
let shop: string;

before(async () => {
  const net = `127.${randomInt(1, 255)}.${randomInt(1, 255)}`;
  const port = await freePort(`${net}.1`);
  await startReceiver({ address: `${net}.1`, port });
  await startReceiver({ address: `${net}.2`, port, reply: (line) => (line.startsWith('RCPT') ? '550 5.7.1 Not wanted here' : undefined) });
  const dns = await startDns({ 'taking.test': `@ MX 10 mx\nmx A ${net}.1`, 'refusing.test': `@ MX 10 mx\nmx A ${net}.2`, 'sender.test': `@ MX 10 mx\nmx A ${net}.1` });
  postern = await startPostern({ config: `[dns]\nservers = ["${dns.server}"]\n[delivery]\nmx_port = ${port}\nallow_private_addresses = true\n` });
  token = (await postern.json<{ token: string }>('token', 'add', 'all', '--scope', 'admin')).token;
  shop = (await postern.json<{ token: string }>('token', 'add', 'shop', '--scope', 'events:read', '--scope', 'statistics:read', '--project', 'shop')).token;
});

async function get<T>(path: string, as = token): Promise<T> {
  const response = await fetch(`${postern.http}${path}`, { headers: { authorization: `Bearer ${as}` } });
  assert.equal(response.status, 200, path);
  return (await response.json()) as T;
}

async function submit(name: string, to: readonly string[], ...options: readonly string[]): Promise<void> {
  const client = await connectTo(postern.port('submission'), { credential: await postern.credential(name, '--live', ...options) });
  await accepted(client, { to, content: CONTENT });
  await client.quit();
}

type Stream = { readonly events: { id: string; event: string; data: PublicEvent }[]; close(): void };

function stream(path: string, headers: Record<string, string> = {}, as = token): Stream {
  const ending = new AbortController();
  const events: Stream['events'] = [];
  const read = async (): Promise<void> => {
    const response = await fetch(`${postern.http}${path}`, { headers: { authorization: `Bearer ${as}`, ...headers }, signal: ending.signal });
    assert.equal(response.headers.get('content-type'), 'text/event-stream');
    let text = '';
    for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
      text += Buffer.from(chunk).toString();
      const blocks = text.split('\n\n');
      text = blocks.pop() ?? '';
      for (const block of blocks) {
        const fields = Object.fromEntries(block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]));
        if (fields['data'] !== undefined) events.push({ id: fields['id'] ?? '', event: fields['event'] ?? '', data: JSON.parse(fields['data']) as PublicEvent });
      }
    }
  };
  read().catch((error: unknown) => assert.ok(ending.signal.aborted, String(error)));
  return { events, close: () => ending.abort() };
}

const kinds = (events: readonly { event: string; data: PublicEvent }[]): string[] => events.map(({ event, data }) => `${event} ${data.data.recipient ?? '-'}`);

test('the stream tells what happens, goes on where it was, and filters', async () => {
  const all = stream('/v1/events/stream');
  const bounces = stream('/v1/events/stream?types=message.bounced');
  const others = stream('/v1/events/stream', {}, shop);
  await submit('one', ['ann@taking.test', 'bob@refusing.test']);
  // With the notification of the bounce, and its delivery.
  await until('all have ended', () => all.events.length >= 5);
  assert.deepEqual(kinds(all.events).toSorted(), [
    'message.accepted -',
    'message.accepted -',
    'message.bounced bob@refusing.test',
    'message.delivered ann@taking.test',
    'message.delivered app@sender.test',
  ]);
  const bounce = all.events.find(({ event }) => event === 'message.bounced')?.data;
  assert.equal(bounce?.data.outcome?.code, 550);
  assert.equal(bounce.data.subject, 'Weekly report');
  assert.equal(bounce.data.credential, 'one');
  await until('the filtered one too', () => bounces.events.length === 1);
  assert.deepEqual(bounces.events[0]?.data, bounce);

  const [first] = all.events;
  all.close();
  await submit('two', ['cat@taking.test'], '--project', 'shop');
  const again = stream('/v1/events/stream', { 'last-event-id': first?.id ?? '' });
  await until('nothing was missed', () => again.events.length >= 6);
  assert.deepEqual(kinds(again.events).slice(4), ['message.accepted -', 'message.delivered cat@taking.test']);
  await until('a project sees its own', () => others.events.length === 2);
  assert.deepEqual(kinds(others.events), ['message.accepted -', 'message.delivered cat@taking.test']);
  for (const one of [again, bounces, others]) one.close();
});

test('pages join, and are the same as the stream', async () => {
  const found: PublicEvent[] = [];
  let after = '';
  for (;;) {
    const page = await get<{ events: PublicEvent[]; next: string; more: boolean }>(`/v1/events?limit=2${after === '' ? '' : `&after=${after}`}`);
    found.push(...page.events);
    after = page.next;
    if (!page.more) break;
  }
  assert.deepEqual(
    found.map(({ id }) => id),
    (await get<{ events: PublicEvent[] }>('/v1/events')).events.map(({ id }) => id),
  );
  assert.equal(new Set(found.map(({ id }) => id)).size, 7);
  const [accept] = found;
  const ofOne = await get<{ events: PublicEvent[] }>(`/v1/events?message=${accept?.data.messageId}`);
  assert.ok(ofOne.events.length === 3 && ofOne.events.every(({ data }) => data.messageId === accept?.data.messageId));
  assert.deepEqual((await get<{ events: PublicEvent[] }>(`/v1/events?after=${after}`)).events, []);
  assert.equal((await get<{ events: PublicEvent[] }>('/v1/events', shop)).events.length, 2);
});

test('what happened is counted, for all and for a project', async () => {
  type Mail = { totals: Record<string, number>; buckets: { at: string; counts: Record<string, number> }[] };
  const mail = await get<Mail>('/v1/statistics/mail?since=2h');
  assert.deepEqual(mail.totals, { accepted: 4, bounced: 1, delivered: 3 });
  assert.equal(mail.buckets.length, 121);
  assert.deepEqual((await get<Mail>('/v1/statistics/mail?credential=two')).totals, { accepted: 1, delivered: 1 });
  assert.deepEqual((await get<Mail>('/v1/statistics/mail', shop)).totals, { accepted: 1, delivered: 1 });
  const ports = await get<{ totals: Record<string, number>; share: Record<string, number> }>('/v1/statistics/ports');
  assert.deepEqual(
    [ports.totals, ports.share],
    [
      { 587: 2, local: 1 },
      { 25: 0, 465: 0, 587: 100, 2525: 0 },
    ],
  );
  const { delivery } = await get<{ delivery: { total: { count: number; p50Ms: number } } }>('/v1/statistics/latency?span=minute&since=1h');
  assert.ok(delivery.total.count === 3 && delivery.total.p50Ms > 0);
  const { outbound } = await get<{ outbound: { provider: string; messages: number; encrypted: number }[] }>('/v1/statistics/encryption');
  assert.deepEqual(outbound, [{ provider: 'other', name: 'all others', messages: 3, encrypted: 0, verified: 0, percent: 0 }]);
  const refused = await fetch(`${postern.http}/v1/statistics/ports`, { headers: { authorization: `Bearer ${shop}` } });
  assert.equal(refused.status, 403);
});

test('a search finds a word, and the command goes on to the end', async () => {
  assert.equal((await postern.json<unknown[]>('message', 'list', '--text', 'weekly rep')).length, 2);
  assert.equal((await postern.json<unknown[]>('message', 'list', '--text', 'bob@refusing.test')).length, 1);
  assert.equal((await postern.cli('message', 'list', '--text', 'monthly')).code, 1);
});
