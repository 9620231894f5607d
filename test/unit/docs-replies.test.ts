// docs/replies.md against the table of replies: each reply once, word for word, and nothing that is not said.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { REPLIES, formatReply } from '#smtp/reply.ts';
import type { Reply } from '#smtp/reply.ts';
import { page, sources, tableRows } from '../support/markdown.ts';

type Table = typeof REPLIES;
type Made = { readonly [K in keyof Table as Table[K] extends Reply ? never : K]: Table[K] extends (...args: infer A) => Reply ? A : never };

/** What the page shows where a reply depends on something. */
const SHOWN: Made = {
  greeting: ['relay.example.com'],
  ehlo: [['relay.example.com greets client.example.net', 'PIPELINING', 'SIZE 50000000', '...']],
  helo: ['relay.example.com'],
  chunk: [65_536],
  queued: ['01k9a2b3c4d5e6f7'],
  challenge: ['BASE64'],
  notImplemented: ['EXPN'],
  syntax: ['EHLO your.host.name'],
  unknownParameter: ['NAME'],
  badParameter: ['BODY', '7BIT, 8BITMIME'],
  sequence: ['send EHLO first'],
  unknownMechanism: ['PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS'],
  addressNotAllowed: ['192.0.2.7'],
  relayNotPermitted: ['example.org'],
  senderNotAllowed: ['other@example.org', ['example.com']],
  notPassedOn: ['example.com'],
  dmarcRefused: ['example.com', 'neither SPF nor DKIM authenticates the message for example.com', null],
  dmarcUnknown: ['example.com', 'DKIM of example.com could not be checked: the DNS did not answer'],
  fromRefused: ['the message has 2 From fields; one may be there'],
  headerRefused: ['The message has no From header; add one with an address of yours'],
  rateExceeded: [500],
  tooManyHops: [100],
  tooManyConnections: ['from your address', 50],
  tooManyRecipients: [1000],
  tooBig: [50_000_000],
  tooBigClosed: [50_000_000],
  headerTooBig: [512_000],
  localError: ['01k9a2b3c4d5e6f7'],
};

function shown(name: keyof Table): Reply {
  const entry: unknown = REPLIES[name];
  return typeof entry === 'function' ? (entry as (...args: readonly unknown[]) => Reply)(...SHOWN[name as keyof Made]) : (entry as Reply);
}

function cell(reply: Reply): string {
  return formatReply(reply)
    .trimEnd()
    .split('\r\n')
    .map((line) => `\`${line}\``)
    .join('<br>');
}

test('docs/replies.md has every reply of the table, word for word, and no other', () => {
  const documented = tableRows(page('docs/replies.md'), 'reply').map((row) => ({ name: row['name'], reply: row['reply'], closes: row['closes'] === 'yes' }));
  const said = (Object.keys(REPLIES) as (keyof Table)[]).map((name) => ({ name: `\`${name}\``, reply: cell(shown(name)), closes: shown(name).close === true }));
  const byName = (one: { name: string | undefined }, other: { name: string | undefined }): number => String(one.name).localeCompare(String(other.name));
  assert.deepEqual(documented.toSorted(byName), said.toSorted(byName));
});

test('every row says when the reply comes', () => {
  for (const row of tableRows(page('docs/replies.md'), 'reply')) assert.match(row['when, and what to do'] ?? '', /\w{3}.*\.$/, String(row['name']));
});

test('every reply of the table is said somewhere', () => {
  const source = sources().join('\n');
  const unsaid = Object.keys(REPLIES).filter((name) => !new RegExp(`REPLIES\\.${name}\\b`).test(source));
  assert.deepEqual(unsaid, []);
});
