// The history: found by everything it can be asked for, with and without the search index, in pages that join; trimmed by age and size; and made over from what
// the version before wrote.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { openHistoryReader } from '#store/history.ts';
import type { HistoryReader, MessageFilter, MessageRow } from '#store/history.ts';
import { HISTORY_MIGRATIONS } from '#store/history/schema.ts';
import { openSearch } from '#store/history/search.ts';
import { History } from '#store/history/writer.ts';
import { openDatabase } from '#store/sqlite/database.ts';
import { tellHistory, writeHistory } from '../support/history.ts';
import type { Told } from '../support/history.ts';
import { tempDir } from '../support/temp.ts';

const NOW_MS = Date.parse('2026-11-24T12:00:00Z');
const DAY_MS = 86_400_000;
const MESSAGES = 1200;

const dir = tempDir('history');
const path = join(dir, 'history.db');
const told = [...tellHistory({ messages: MESSAGES, fromMs: NOW_MS - 5 * DAY_MS, toMs: NOW_MS, recipients: 200 })];
writeHistory(path, told);
const search = openSearch(join(dir, 'search.db'), path);
// Half is in the index, half is not yet: a search must find in both.
search.catchUp(MESSAGES / 2);

async function allOf(reader: HistoryReader, filter: Omit<MessageFilter, 'limit'>, limit: number): Promise<string[]> {
  const found: MessageRow[] = [];
  let before: string | undefined;
  for (;;) {
    const { rows, next } = await reader.list({ ...filter, limit, ...(before === undefined ? {} : { before }) });
    found.push(...rows);
    if (next === null) break;
    before = next;
  }
  return found.map((row) => row.id);
}

const newest = (match: (one: Told) => boolean): string[] =>
  told
    .filter(match)
    .map(({ envelope }) => envelope.id)
    .toReversed();
const domain = (text: string): string => text.split('@')[1] ?? '';
const [sample] = told.filter((one) => one.to.length === 3) as [Told];
const sender = sample.envelope.from?.text ?? '';
const [to = ''] = sample.to;

const QUESTIONS: readonly { readonly name: string; readonly filter: Omit<MessageFilter, 'limit'>; readonly match: (one: Told) => boolean }[] = [
  { name: 'nothing asked', filter: {}, match: () => true },
  { name: 'from an address, in capitals', filter: { from: sender.toUpperCase() }, match: (one) => one.envelope.from?.text === sender },
  { name: 'from a domain', filter: { from: domain(sender) }, match: (one) => one.envelope.from?.domain === domain(sender) },
  { name: 'to an address', filter: { to }, match: (one) => one.to.includes(to) },
  { name: 'to a domain with @', filter: { to: `@${domain(to)}` }, match: (one) => one.to.some((address) => domain(address) === domain(to)) },
  { name: 'a part of a domain is none', filter: { to: domain(to).slice(1) }, match: () => false },
  { name: 'wildcards are letters', filter: { to: '%@%' }, match: () => false },
  { name: 'a status', filter: { status: 'bounced' }, match: (one) => one.status === 'bounced' },
  { name: 'delivered', filter: { status: 'delivered' }, match: (one) => one.status === 'delivered' },
  { name: 'a credential', filter: { credential: 'app7' }, match: (one) => one.envelope.origin.credential === 'app7' },
  { name: 'a project', filter: { project: 'shop' }, match: (one) => one.envelope.origin.project === 'shop' },
  { name: 'a project without mail', filter: { project: 'elsewhere' }, match: () => false },
  { name: 'since', filter: { sinceMs: NOW_MS - DAY_MS }, match: (one) => updatedAtMs(one) >= NOW_MS - DAY_MS },
  {
    name: 'all at once',
    filter: { from: domain(sender), status: 'bounced', sinceMs: NOW_MS - 3 * DAY_MS, text: 'number' },
    match: (one) => one.envelope.from?.domain === domain(sender) && one.status === 'bounced' && updatedAtMs(one) >= NOW_MS - 3 * DAY_MS,
  },
  { name: 'a word', filter: { text: 'Invoice' }, match: (one) => /invoice/.test(one.envelope.subject) },
  { name: 'the beginning of a word', filter: { text: 'newsl' }, match: (one) => /newsletter/.test(one.envelope.subject) },
  { name: 'two words', filter: { text: 'alert order' }, match: (one) => /alert/.test(one.envelope.subject) && /order/.test(one.envelope.subject) },
  { name: 'an address as text', filter: { text: to }, match: (one) => one.to.includes(to) },
  { name: 'a domain as text', filter: { text: `@${domain(sender)}` }, match: (one) => one.envelope.from?.domain === domain(sender) },
  { name: 'a Message-ID', filter: { text: sample.envelope.messageIdHeader }, match: (one) => one === sample },
  { name: 'an id', filter: { text: sample.envelope.id }, match: (one) => one === sample },
  { name: 'what means something to the index', filter: { text: '"invoice" OR (*) NOT ^a:b' }, match: () => false },
];

function updatedAtMs(one: Told): number {
  return Math.max(...one.events.map((event) => (event as { atMs: number }).atMs));
}

for (const { name, filter, match } of QUESTIONS) {
  test(`found: ${name}`, async () => {
    const expected = newest(match);
    for (const index of [search, null]) {
      const reader = openHistoryReader(path, index);
      assert.deepEqual(await allOf(reader, filter, 7), expected, `in pages, ${index === null ? 'without' : 'with'} the index`);
      assert.deepEqual(await allOf(reader, filter, 1000), expected);
      reader.close();
    }
  });
}

test('a message that moved long after it came is among what changed since', async () => {
  const late = join(tempDir('late'), 'history.db');
  const [old, ...others] = [...tellHistory({ messages: 20, fromMs: NOW_MS - 20 * DAY_MS, toMs: NOW_MS - 10 * DAY_MS })] as [Told, ...Told[]];
  const cancelled = { type: 'cancelled', atMs: NOW_MS - 1000, id: old.envelope.id, n: 0 };
  writeHistory(late, [old, ...others, { ...old, events: [cancelled] }]);
  const reader = openHistoryReader(late);
  assert.deepEqual(await allOf(reader, { sinceMs: NOW_MS - DAY_MS }, 5), [old.envelope.id]);
  reader.close();
});

test('the search index is made anew when it is lost, and lets go of what the history forgot', () => {
  const again = openSearch(join(tempDir('search'), 'search.db'), path);
  assert.equal(again.lag(), MESSAGES);
  assert.equal(again.catchUp(5000), MESSAGES);
  assert.equal(again.lag(), 0);
  again.trim();
  assert.equal([...again.keys('"number"', MESSAGES + 1)].length, MESSAGES);
  again.close();
});

test('the index goes in parts: what the history forgot goes with its part, and what a power cut took from the history is indexed again', () => {
  const parted = join(tempDir('parts'), 'history.db');
  writeHistory(parted, tellHistory({ messages: 1000, fromMs: NOW_MS - 40 * DAY_MS, toMs: NOW_MS }));
  const file = join(tempDir('parts'), 'search.db');
  const index = openSearch(file, parted, { partKeys: 100 });
  assert.equal(index.catchUp(5000), 1000);
  // One that is left in the middle must not hold up what follows.
  for (const key of index.keys('"number"', 1001)) if (key < 950) break;
  const history = new History(parted);
  do history.trim(NOW_MS, { historyMs: 20 * DAY_MS, historyBytes: 1e9, eventsMs: DAY_MS });
  while (history.behind);
  history.close();
  index.trim();
  const left = [...index.keys('"number"', 1001)];
  assert.ok(left.length > 499 && left.length <= 600, `${left.length} of 1000 are left`);
  index.close();

  const database = openDatabase(parted, HISTORY_MIGRATIONS, { synchronous: 'NORMAL' });
  database.exec("DELETE FROM message WHERE key > 930; UPDATE cursor SET seq = 930 WHERE name = 'key'");
  database.close();
  writeHistory(parted, tellHistory({ messages: 50, fromMs: NOW_MS, toMs: NOW_MS + 1000, seed: 9 }));
  const again = openSearch(file, parted, { partKeys: 100 });
  again.catchUp(5000);
  const keys = [...again.keys('"number"', 2000)];
  assert.equal(keys[0], 980);
  assert.equal(new Set(keys).size, keys.length);
  again.close();
});

test('what is too old is forgotten, and what is too much, a stretch at a time', async () => {
  const file = join(tempDir('trim'), 'history.db');
  writeHistory(file, tellHistory({ messages: 1500, fromMs: NOW_MS - 40 * DAY_MS, toMs: NOW_MS }));
  const bounds = { historyMs: 30 * DAY_MS, historyBytes: 1e9, eventsMs: 7 * DAY_MS };
  const history = new History(file);
  const count = async (): Promise<number> => {
    const reader = openHistoryReader(file);
    const all = await allOf(reader, {}, 1000);
    reader.close();
    return all.length;
  };
  do history.trim(NOW_MS, bounds);
  while (history.behind);
  assert.equal(await count(), 1125);
  const { rows: logged } = openDatabase(file, HISTORY_MIGRATIONS, { synchronous: 'NORMAL', readOnly: true }).prepare('SELECT count(*) AS rows FROM log').get() as { rows: number };
  assert.ok(logged > 0 && logged <= 6, `${logged} rows of 50 messages in 7 of 40 days`);
  do history.trim(NOW_MS, { ...bounds, historyBytes: 1_000_000 });
  while (history.behind);
  const left = await count();
  assert.ok(left > 0 && left < 1125, `${left} are left`);
  history.close();
});

test('a history of the version before is taken over', async () => {
  const file = join(tempDir('before'), 'history.db');
  const before = openDatabase(file, HISTORY_MIGRATIONS.slice(0, 1), { synchronous: 'NORMAL' });
  const [{ envelope, to: addresses }] = [...tellHistory({ messages: 1, fromMs: NOW_MS, toMs: NOW_MS })] as [Told];
  before
    .prepare('INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)')
    .run(
      envelope.id,
      envelope.from?.text ?? '',
      ` ${addresses.join(' ')} `,
      envelope.origin.credential,
      'delivered',
      NOW_MS + 5,
      JSON.stringify(envelope),
      JSON.stringify(addresses.map((address, n) => ({ n, to: address, status: 'delivered', attempts: 1, nextAtMs: null, lastOutcome: null }))),
      '[]',
    );
  before.close();
  new History(file).close();
  const reader = openHistoryReader(file);
  const { rows } = await reader.list({ limit: 10 });
  assert.deepEqual(rows, [
    {
      id: envelope.id,
      acceptedAtMs: envelope.acceptedAtMs,
      from: envelope.from?.text,
      to: addresses,
      subject: envelope.subject,
      messageIdHeader: envelope.messageIdHeader,
      sizeBytes: envelope.sizeBytes,
      credential: envelope.origin.credential,
      project: null,
      profile: envelope.origin.profile,
      kind: 'mail',
      mode: envelope.mode,
      status: 'delivered',
      updatedAtMs: NOW_MS + 5,
    },
  ]);
  assert.deepEqual((await reader.show(envelope.id))?.envelope, envelope);
  reader.close();
});
