// Needs: knot, unbound
// What was said at each attempt is there to be read: of deliveries and of refusals, of connections that did not come about, and of one message only
// where a connection served several.

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { before, test } from 'node:test';
import { startDns } from '../support/dns.ts';
import { openPki } from '../support/pki.ts';
import { messages, startPostern } from '../support/postern.ts';
import type { Postern } from '../support/postern.ts';
import { startReceiver } from '../support/receiver.ts';
import { accepted, connectTo, message } from '../support/submit.ts';
import { freePort, until } from '../support/temp.ts';

type Said = { startedAt: string; recipients: number[]; remoteHost: string; entries: { direction: string; text: string }[] };
type Shown = { events: { outcome: { startedAt: string } | null }[] };

let postern: Postern;
const ids: string[] = [];

before(async () => {
  const net = `127.${randomInt(1, 255)}.${randomInt(1, 255)}`;
  const port = await freePort(`${net}.1`);
  await startReceiver({ address: `${net}.1`, port });
  await startReceiver({ address: `${net}.2`, port, reply: (line) => (line.startsWith('RCPT') ? '550 5.1.1 No such user here' : undefined) });
  await startReceiver({ address: `${net}.3`, port, admit: () => '554 5.7.1 Your network is not welcome' });
  const { cert, key } = openPki()({ names: ['mx.broken.test'] });
  await startReceiver({ address: `${net}.4`, port, tls: { cert, key }, breakTls: true });
  const mx = (n: number): string => `@ MX 10 mx\nmx A ${net}.${n}`;
  const dns = await startDns({ 'taking.test': mx(1), 'refusing.test': mx(2), 'closed.test': mx(3), 'broken.test': mx(4) });
  postern = await startPostern({
    profiles: ['submission'],
    config: `[dns]\nservers = ["${dns.server}"]\n[delivery]\nmx_port = ${port}\nallow_private_addresses = true\n`,
  });
  const client = await connectTo(postern.port('submission'), { credential: await postern.credential('live', '--live') });
  for (const to of ['one@taking.test', 'two@taking.test', 'three@refusing.test', 'four@closed.test', 'five@broken.test'])
    ids.push(await accepted(client, { to: [to], content: message(to) }));
  await client.quit();
  await messages(postern, 'delivered', 3);
});

async function said(id: string | undefined): Promise<Said> {
  const [only, ...more] = await until(`a transcript of ${id}`, async () => {
    const done = await postern.cli('--json', 'message', 'transcript', id ?? '');
    return done.code === 0 ? (JSON.parse(done.stdout) as Said[]) : null;
  });
  assert.deepEqual(more, []);
  return only as Said;
}

test('a delivery: the opening and its own dialogue, no other recipient, no content', async () => {
  for (const [i, name] of ['one', 'two'].entries()) {
    const { entries, remoteHost, recipients, startedAt } = await said(ids[i]);
    const text = entries.map((entry) => `${entry.direction} ${entry.text}`).join('\n');
    assert.equal(remoteHost, 'mx.taking.test');
    assert.deepEqual(recipients, [0]);
    assert.match(text, /^\* connected to 127/);
    assert.match(text, /\n< 220 .*\n> EHLO relay\.test\n/);
    assert.deepEqual(text.match(/RCPT TO:<[^>]*>/g), [`RCPT TO:<${name}@taking.test>`]);
    assert.match(text, /\n> \[\d+ octets of message\]\n/);
    assert.doesNotMatch(text, /Hello there/);
    const shown = await postern.json<Shown>('message', 'show', ids[i] ?? '');
    assert.ok(
      shown.events.some((event) => event.outcome?.startedAt === startedAt),
      'an outcome finds its transcript by its begin',
    );
  }
});

test('a refusal, and a connection that did not come about', async () => {
  const refused = (await said(ids[2])).entries.map(({ text }) => text).join('\n');
  assert.match(refused, /RCPT TO:<three@refusing\.test>[^]*550 5\.1\.1 No such user here/);
  const closed = (await said(ids[3])).entries.map(({ text }) => text).join('\n');
  assert.match(closed, /554 5\.7\.1 Your network is not welcome/);
  const text = await postern.cli('message', 'transcript', ids[3] ?? '');
  assert.match(text.stdout, /mx\.closed\.test \[127[\d.]+\]:\d+\n +\d+ ms {2}\* connected/);
});

test('where STARTTLS is broken: the try with it and the way without are one conversation', async () => {
  const { entries } = await said(ids[4]);
  const text = entries.map((entry) => `${entry.direction} ${entry.text}`).join('\n');
  assert.match(text, /> STARTTLS\n[^]*\* connected to [^]*RCPT TO:<five@broken\.test>/);
});

test('without [queue] transcripts none is kept, and asking says so', async () => {
  const other = await startPostern({ profiles: ['submission'], config: '[queue]\ntranscripts = 0\n' });
  const client = await connectTo(other.port('submission'), { credential: await other.credential('live', '--live') });
  const id = await accepted(client, { to: ['a@nowhere.test'] });
  await client.quit();
  await messages(other, 'deferred', 1);
  const asked = await other.cli('message', 'transcript', id);
  assert.equal(asked.code, 1);
  assert.match(asked.stdout, /No conversation of this message is kept/);
});
