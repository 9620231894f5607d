// What replies and failures come to: verdict, status, words, class; and what may go to another host.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Tried } from '#deliver/connector.ts';
import { expired, mayGoElsewhere, outcomeOfFailure, outcomeOfNoConnection, outcomeOfReply, speaksOfSite } from '#deliver/outcome.ts';
import { FAILURE_ROWS } from '#knowledge/failures.ts';
import { REPLY_ROWS } from '#knowledge/replies.ts';
import { remoteWords } from '#mail/notification.ts';
import type { Outcome } from '#queue/records.ts';
import type { ClientFailure, RemoteReply } from '#smtp/client.ts';

const attempt = { route: 'mx', host: 'mx.test', address: '192.0.2.1', port: 25, tls: 'none', startedAtMs: 1, durationMs: 2 };
const reply = (text: string): RemoteReply => {
  const [, code = '', enhanced = '', rest = ''] = /^(\d{3}) (?:(\d\.\d+\.\d+) )?(.*)$/.exec(text) ?? [];
  return { code: Number(code), enhanced, lines: [rest] };
};
const failure = (more: Partial<ClientFailure>): ClientFailure => ({ phase: 'mail', kind: 'socket', reply: null, code: null, text: 'it broke', possibleDuplicate: false, ...more });
const tried = (more: Partial<ClientFailure>): Tried => ({ host: 'mx.test', address: '192.0.2.1', port: 25, failure: failure(more) });

for (const [text, verdict, className] of [
  ['550 5.1.1 User unknown', 'bounced', 'no-such-user'],
  ['550 no such user', 'bounced', 'no-such-user'],
  ['450 4.2.1 Mailbox busy, administrator is corporate', 'deferred', 'deferred'],
  ['451 4.7.1 Greylisted for 5 minutes', 'deferred', 'greylisted'],
  ['450 4.7.1 Rate limit exceeded', 'deferred', 'rate-limited'],
  ['421 4.7.0 Too many connections', 'deferred', 'rate-limited'],
  ['452 4.5.3 Too many recipients', 'deferred', 'too-many-recipients'],
  ['452 Too many recipients this hour', 'deferred', 'too-many-recipients'],
  ['452 4.2.2 Over quota', 'deferred', 'mailbox-full'],
  ['552 5.3.4 Message size exceeds limit', 'bounced', 'message-too-big'],
  ['554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org', 'bounced', 'blocked'],
  ['550 5.7.26 Unauthenticated email is not accepted due to DMARC policy', 'bounced', 'authentication-missing'],
] as const) {
  test(`"${text}": ${verdict}, ${className}; the words stay the other side's`, () => {
    const outcome = outcomeOfReply(attempt, { accepted: false, phase: 'rcpt', reply: reply(text) });
    assert.deepEqual([outcome.verdict, outcome.class], [verdict, className]);
    assert.equal(remoteWords(outcome), text);
  });
}

test('a status is not invented, and one that contradicts its code stays in the text', () => {
  const bare = outcomeOfReply(attempt, { accepted: true, phase: 'final', reply: reply('250 Queued') });
  assert.deepEqual([bare.enhanced, remoteWords(bare)], ['', '250 Queued']);
  const odd = outcomeOfReply(attempt, { accepted: false, phase: 'rcpt', reply: { code: 550, enhanced: '4.1.1', lines: ['Hm'] } });
  assert.deepEqual([odd.enhanced, odd.text, remoteWords(odd)], ['', '4.1.1 Hm', '550 4.1.1 Hm']);
});

test('a login that does not work today is no wrong password', () => {
  const wrong = outcomeOfNoConnection({ ...attempt, route: 'smarthost' }, { tried: [tried({ phase: 'auth', kind: 'reply', reply: reply('535 5.7.8 No') })], permanent: null });
  assert.deepEqual([wrong.verdict, wrong.class, remoteWords(wrong)], ['deferred', 'auth-failed', '535 5.7.8 No']);
  const today = outcomeOfNoConnection(
    { ...attempt, route: 'smarthost' },
    { tried: [tried({ phase: 'auth', kind: 'reply', reply: reply('454 4.7.0 Temporary authentication failure') })], permanent: null },
  );
  assert.equal(today.verdict, 'deferred');
  assert.notEqual(today.class, 'auth-failed');
});

test('a greeting of 5xx by all mail hosts is final, with their status; by a smarthost it is not', () => {
  const refused = { tried: [tried({ phase: 'greeting', kind: 'reply', reply: reply('554 5.7.1 Go away') })], permanent: null };
  const mx = outcomeOfNoConnection(attempt, refused);
  assert.deepEqual([mx.verdict, mx.enhanced, remoteWords(mx)], ['bounced', '5.7.1', '554 5.7.1 Go away']);
  assert.equal(outcomeOfNoConnection({ ...attempt, route: 'smarthost' }, refused).verdict, 'deferred');
  const mixed = outcomeOfNoConnection(attempt, { tried: [tried({ phase: 'connect', kind: 'timeout', code: 'ETIMEDOUT' }), ...refused.tried], permanent: null });
  assert.equal(mixed.verdict, 'deferred');
});

test('what the hop lacks is our own word, with the status the RFCs give it', () => {
  for (const [code, status] of [
    ['ERR_SMTPUTF8_ADDRESS', '553 5.6.7'],
    ['ERR_SMTPUTF8_HEADER', '554 5.6.9'],
    ['ERR_SIZE', '552 5.3.4'],
    ['ERR_REQUIRETLS', '550 5.7.30'],
  ] as const) {
    const outcome = outcomeOfFailure(attempt, failure({ kind: 'policy', code }));
    assert.deepEqual([outcome.verdict, `${outcome.code} ${outcome.enhanced}`, remoteWords(outcome)], ['bounced', status, null]);
  }
});

test('what has expired keeps what was said last', () => {
  const last = outcomeOfReply(attempt, { accepted: false, phase: 'rcpt', reply: reply('450 4.2.1 Mailbox busy') });
  const outcome = expired(last, attempt);
  assert.deepEqual([outcome.verdict, outcome.enhanced, remoteWords(outcome)], ['expired', '4.4.7', '450 4.2.1 Mailbox busy']);
  assert.equal(remoteWords(expired(outcomeOfFailure(attempt, failure({ kind: 'timeout' })), attempt)), null);
});

test('who is told that it is over is not told that it is tried again', () => {
  const fix = (of: Outcome): string => expired(of, attempt).fix;
  const elsewhere = 'Send it again later, or reach the recipient by another way.';
  const of = (text: string): Outcome => outcomeOfReply(attempt, { accepted: false, phase: 'rcpt', reply: reply(text) });
  assert.equal(fix(of('451 not now')), `Tell its postmaster if it lasts. ${elsewhere}`);
  assert.equal(fix(of('451 4.3.2 closing')), elsewhere);
  assert.equal(fix(outcomeOfFailure(attempt, failure({ kind: 'timeout' }))), `Ask whoever runs mx.test. ${elsewhere}`);
  assert.equal(of('554 5.3.1 no storage').fix, `Whoever runs the server has to make room. ${elsewhere}`);
  assert.equal(of('550 5.1.1 unknown').fix, 'Check the spelling of the address; take it off the list.');
  assert.equal(
    fix({ ...of('451 x'), fix: 'The receiver must mend its records or certificate; the message waits until then.' }),
    `The receiver must mend its records or certificate. ${elsewhere}`,
  );
  assert.equal(fix({ ...of('451 x'), fix: 'The message waits and is tried again. Ask whoever runs it.' }), `Ask whoever runs it. ${elsewhere}`);
  for (const { class: code, fix: advice } of [...REPLY_ROWS, ...FAILURE_ROWS]) {
    const last = outcomeOfReply(attempt, { accepted: false, phase: 'rcpt', reply: reply('451 x'), explained: { class: code, cause: '', fix: advice } });
    assert.doesNotMatch(fix(last), /tried again|message waits|  |^[a-z]/, advice);
  }
});

test('what has expired after it was sent and not answered may have arrived', () => {
  const lost = outcomeOfFailure(attempt, failure({ kind: 'socket', phase: 'final', possibleDuplicate: true }));
  assert.equal(expired(lost, attempt).possibleDuplicate, true);
  assert.equal(expired(null, attempt).possibleDuplicate, false);
});

test('greylists, limits and full mailboxes say nothing of the site, and are not walked around', () => {
  const of = (text: string) => outcomeOfReply(attempt, { accepted: false, phase: 'rcpt', reply: reply(text) });
  assert.deepEqual(
    ['451 4.7.1 Greylisted', '452 4.2.2 Quota exceeded', '451 4.3.0 Trouble'].map((text) => speaksOfSite(of(text))),
    [false, false, true],
  );
  assert.deepEqual(
    ['451 4.7.1 Greylisted', '450 4.7.0 Rate limited', '451 4.3.0 Trouble', '550 5.1.1 No'].map((text) => mayGoElsewhere(of(text))),
    [false, false, true, false],
  );
  assert.equal(mayGoElsewhere(outcomeOfFailure(attempt, failure({ possibleDuplicate: true }))), false);
});
