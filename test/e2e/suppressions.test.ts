// Suppressions on a running server: a receiver's final 5.1.x puts an address on the list, mail to it goes nowhere and says why, others get theirs;
// by hand, by sender, over a kill and a restart; the list over HTTP.
// Needs: knot, unbound

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { openApi } from '#cli/api.ts';
import { startDns } from '../support/dns.ts';
import { messages, startPostern } from '../support/postern.ts';
import type { Credential, Postern } from '../support/postern.ts';
import { startReceiver } from '../support/receiver.ts';
import type { Receiver } from '../support/receiver.ts';
import { accepted, connectTo, message } from '../support/submit.ts';
import { tempDir, until } from '../support/temp.ts';

type Entry = { readonly address: string; readonly sender: string; readonly reason: string; readonly text: string; readonly remoteHost: string; readonly messageId: string };
type Detail = {
  readonly status: string;
  readonly recipients: readonly { readonly to: string; readonly status: string; readonly lastOutcome: { class: string; cause: string; fix: string } }[];
};

let postern: Postern;
let app: Credential;
let receiver: Receiver;
let config = '';
let refuses = true;

before(async () => {
  receiver = await startReceiver({
    address: '127.0.0.71',
    reply(line) {
      if (!refuses) return undefined;
      if (/^RCPT TO:<nobody/i.test(line)) return '550 5.1.1 <nobody>: no such user here';
      if (/^RCPT TO:<policy/i.test(line)) return '550 5.7.1 not today';
      if (/^RCPT TO:<sender/i.test(line)) return '550 5.1.8 <app@sender.test>: Sender address rejected: Domain not found';
      return undefined;
    },
  });
  const dns = await startDns({ 'example.test': '@ MX 10 mx\nmx A 127.0.0.71', 'sender.test': '@ MX 10 mx\nmx A 127.0.0.71', 'other.test': '@ MX 10 mx\nmx A 127.0.0.71' });
  config = `[dns]\nservers = ["${dns.server}"]\n[delivery]\nmx_port = ${receiver.port}\nallow_private_addresses = true\n`;
  postern = await startPostern({ config });
  app = await postern.credential('app', '--live');
});

async function send(to: readonly string[], from = 'app@sender.test'): Promise<string> {
  const client = await connectTo(postern.port('submission'), { credential: app });
  const id = await accepted(client, { from, to, content: message(`to ${to.join(' ')}`) });
  await client.quit();
  return id;
}

const asked = (address: string): number => receiver.lines.filter((line) => line.toLowerCase().startsWith(`rcpt to:<${address}`)).length;
const listed = (...args: string[]): Promise<Entry[]> => postern.json<Entry[]>('suppression', 'list', ...args);

async function settled(id: string): Promise<Detail> {
  return until(`${id} is settled`, async () => {
    const detail = await postern.json<Detail>('message', 'show', id);
    return ['queued', 'deferred'].includes(detail.status) ? null : detail;
  });
}

test('a recipient refused for good with 5.1.1 is suppressed with its reason; the next message to it asks nobody, and the other recipient gets it', async () => {
  const first = await send(['Nobody@example.test']);
  assert.equal((await settled(first)).status, 'bounced');
  const [entry, ...more] = await listed();
  assert.deepEqual(more, []);
  assert.deepEqual(
    { ...entry, createdAt: '' },
    {
      address: 'nobody@example.test',
      sender: 'sender.test',
      reason: 'bounced',
      enhanced: '5.1.1',
      text: '550 5.1.1 <nobody>: no such user here',
      remoteHost: 'mx.example.test',
      messageId: first,
      createdAt: '',
    },
  );
  assert.equal(asked('nobody'), 1);
  const second = await send(['nobody@example.test', 'ann@example.test']);
  const { status, recipients } = await settled(second);
  assert.equal(status, 'partial');
  const [refused, delivered] = recipients;
  assert.equal(delivered?.status, 'delivered');
  assert.equal(refused?.status, 'bounced');
  assert.equal(refused?.lastOutcome.class, 'suppressed');
  assert.match(refused?.lastOutcome.cause ?? '', /no such user here/);
  assert.match(refused?.lastOutcome.fix ?? '', /postern suppression remove nobody@example\.test/);
  assert.equal(asked('nobody'), 1, 'the receiver was not asked again');
  // Both bounces are told to the sender.
  await until('two notifications', () => receiver.received.filter((one) => one.to.includes('app@sender.test')).length === 2);
});

test('an entry of one domain does not stop the mail of another', async () => {
  refuses = false;
  assert.equal((await settled(await send(['nobody@example.test'], 'app@other.test'))).status, 'delivered');
  refuses = true;
});

test('a policy, and words about the sender, suppress nobody', async () => {
  for (const to of ['policy@example.test', 'sender@example.test']) {
    assert.equal((await settled(await send([to]))).status, 'bounced');
    assert.equal((await postern.cli('suppression', 'show', to)).code, 1);
  }
});

test('the list holds over a kill, and an address that is taken off gets mail again', async () => {
  await postern.kill();
  postern = await startPostern({ config, dataDir: postern.dataDir });
  assert.equal((await listed('--to', 'example.test')).length, 1);
  assert.equal((await settled(await send(['nobody@example.test']))).recipients[0]?.lastOutcome.class, 'suppressed');
  assert.equal((await postern.json<{ removed: number }>('suppression', 'remove', 'NOBODY@example.test')).removed, 1);
  refuses = false;
  assert.equal((await settled(await send(['nobody@example.test']))).status, 'delivered');
  refuses = true;
  assert.equal((await postern.cli('suppression', 'remove', 'nobody@example.test')).code, 1);
});

test('by hand: for all mail or for one domain, told by the words of who did it; waiting mail is stopped as well', async () => {
  await postern.json('suppression', 'add', 'bob@example.test', '--reason', 'unsubscribed', '--note', 'wrote on 1 May');
  const detail = await settled(await send(['bob@example.test'], 'app@other.test'));
  assert.match(detail.recipients[0]?.lastOutcome.cause ?? '', /wants no more mail: wrote on 1 May/);
  await postern.json('queue', 'hold', '--domain', 'example.test');
  const waiting = await send(['carol@example.test']);
  await postern.json('suppression', 'add', 'carol@example.test', '--sender', 'sender.test');
  await postern.json('queue', 'release', '--domain', 'example.test');
  assert.equal((await settled(waiting)).recipients[0]?.lastOutcome.class, 'suppressed');
  assert.equal((await listed('--sender', '*')).length, 1);
  assert.equal((await postern.cli('suppression', 'list', '--reason', 'complained')).code, 1);
});

test('sandbox mail is captured whatever the list says', async () => {
  const box = await postern.credential('box');
  const client = await connectTo(postern.port('submission'), { credential: box });
  const id = await accepted(client, { to: ['bob@example.test'], content: message('boxed') });
  await client.quit();
  assert.ok((await messages(postern, 'captured', 1)).some((one) => one.id === id));
});

test('a file is taken over, and the list read page by page over HTTP', async () => {
  const file = join(tempDir('list'), 'bounces.csv');
  const lines = Array.from({ length: 2500 }, (_, i) => (i % 2 === 0 ? `user${i}@Import.test` : `user${i}@import.test,complained,spam report`));
  writeFileSync(file, `address,reason\n${lines.join('\n')}\n`);
  assert.deepEqual(await postern.json('suppression', 'import', file), { entries: 2500, added: 2500 });
  assert.deepEqual(await postern.json('suppression', 'import', file), { entries: 2500, added: 0 });
  const api = openApi({ dataDir: postern.dataDir });
  const seen = new Set<string>();
  let before: string | null = null;
  do {
    const page: Awaited<ReturnType<typeof api.suppressions>> = await api.suppressions({ to: 'import.test', limit: '400', ...(before === null ? {} : { before }) });
    for (const one of page.suppressions) seen.add(one.address);
    before = page.next;
  } while (before !== null);
  assert.equal(seen.size, 2500);
  assert.equal((await listed('--reason', 'complained', '--limit', '1000')).length, 1000);
  assert.equal((await postern.cli('suppression', 'add', 'no address')).code, 2);
});
