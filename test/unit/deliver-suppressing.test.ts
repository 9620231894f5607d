// Which answers put a recipient on the suppression list: the statuses of its address, said by the receiver, for mail that was submitted here.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { outcomeOfRefusal, outcomeOfReply } from '#deliver/outcome.ts';
import { isOurs, refusalOf, suppressionBy } from '#deliver/suppressing.ts';
import type { Envelope, LeasedRecipient, Outcome } from '#queue/records.ts';
import { parseMailbox } from '#smtp/address.ts';
import type { Address } from '#smtp/address.ts';

const mailbox = (text: string): Address => parseMailbox(text) as Address;
const attempt = { route: 'mx', host: 'mx.example.net', address: '192.0.2.1', port: 25, tls: 'none', startedAtMs: 1000, durationMs: 5 };
const origin = { profile: 'submission', clientAddress: '192.0.2.9', helo: 'app', tls: null, credential: 'app' } as const;
const envelope = { id: '0123456789abcdef', from: mailbox('news@sender.example'), kind: 'mail', mode: 'live', origin } as Envelope;
const recipient = { n: 0, address: mailbox('Nobody@example.net') } as LeasedRecipient;

function reply(text: string, phase: 'mail' | 'rcpt' | 'data' = 'rcpt'): Outcome {
  const [, code = '', enhanced = '', words = ''] = /^(\d{3}) (?:(\d\.\d+\.\d+) )?(.*)$/.exec(text) ?? [];
  return outcomeOfReply(attempt, { accepted: false, phase, reply: { code: Number(code), enhanced, lines: [words] } } as Parameters<typeof outcomeOfReply>[1]);
}

const suppresses = (text: string, options: { phase?: 'mail' | 'rcpt' | 'data'; alone?: boolean; of?: Partial<Envelope> } = {}): boolean =>
  suppressionBy({ ...envelope, ...options.of }, { recipient, outcome: reply(text, options.phase), alone: options.alone ?? true }) !== null;

for (const [text, expected] of [
  ['550 5.1.1 <nobody@example.net>: Recipient address rejected: User unknown', true],
  ['550 5.1.2 bad destination system', true],
  ['501 5.1.3 Bad recipient address syntax', true],
  ['551 5.1.6 User has moved', true],
  ['550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found', true],
  ['550 5.1.0 Address rejected', true],
  ['550 5.1.0 <a@b>: Sender address rejected: User unknown in local recipient table', false],
  ['550 5.1.7 The sender address is not valid', false],
  ['550 5.1.8 <a@b>: Sender address rejected: Domain not found', false],
  ['550 5.1.1 Blocked, see the blocklist of Spamhaus', false],
  ['554 5.7.1 Relay access denied', false],
  ['550 5.7.26 Unauthenticated mail is not accepted', false],
  ['552 5.2.2 Mailbox full', false],
  ['550 No such user here', false],
  ['450 4.1.1 Try later', false],
  ['550 4.1.1 A code that contradicts itself', false],
] as const) {
  test(`${text}: ${expected ? 'suppresses' : 'does not'}`, () => assert.equal(suppresses(text), expected));
}

test('an answer to the content counts where it can be about one recipient only, one to MAIL never', () => {
  const text = '550 5.1.1 No such user';
  assert.equal(suppresses(text, { phase: 'data', alone: true }), true);
  assert.equal(suppresses(text, { phase: 'data', alone: false }), false);
});

test('what was not submitted here, is a notification, or never leaves suppresses nobody', () => {
  const text = '550 5.1.1 No such user';
  const others = [{ origin: { ...origin, profile: 'mx', credential: null } }, { kind: 'dsn' }, { mode: 'sandbox' }] as Partial<Envelope>[];
  for (const other of others) {
    assert.equal(suppresses(text, { of: other }), false);
    assert.equal(isOurs({ ...envelope, ...other }), false);
  }
});

test('what the DNS or this server says by itself suppresses nobody', () => {
  const refusal = { verdict: 'bounced', code: 550, enhanced: '5.1.2', text: 'No such domain', class: 'no-such-domain', cause: '', fix: '' } as const;
  const local = outcomeOfRefusal({ ...attempt, host: null, address: null, port: null, tls: null }, refusal);
  assert.equal(suppressionBy(envelope, { recipient, outcome: local, alone: true }), null);
});

test("the entry is about the mail of the sender's domain, tells the receiver's words, and what comes of it tells how to end it", () => {
  const entry = suppressionBy(envelope, { recipient, outcome: reply('550 5.1.1 No such user'), alone: true });
  assert.deepEqual(entry, {
    address: 'nobody@example.net',
    recipientDomain: 'example.net',
    senderDomain: 'sender.example',
    reason: 'bounced',
    enhanced: '5.1.1',
    text: '550 5.1.1 No such user',
    remoteHost: 'mx.example.net',
    messageId: envelope.id,
    createdAtMs: 1005,
  });
  const refusal = refusalOf({ ...entry, seq: 1 });
  assert.equal(refusal.enhanced, '5.1.1');
  assert.match(refusal.cause, /for mail of sender\.example since 1970-01-01, as a receiver refused it for good: mx\.example\.net said "550 5\.1\.1 No such user"/);
  assert.match(refusal.fix, /postern suppression remove nobody@example\.net/);
  // What comes of an entry must not renew it.
  const outcome = outcomeOfRefusal({ ...attempt, host: null, address: null, port: null, tls: null }, refusal);
  assert.equal(suppressionBy(envelope, { recipient, outcome, alone: true }), null);
});
