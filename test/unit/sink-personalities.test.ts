// Every personality of a sink against the project's own client: what a good client sees of each. A personality without a row here fails, so
// none is untried.

import assert from 'node:assert/strict';
import { createSecureContext } from 'node:tls';
import { test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { PosternError } from '#base/failure.ts';
import { readBehaviour } from '#cli/sink/choice.ts';
import { matches } from '#sink/act.ts';
import { openSinkTls } from '#sink/certificates.ts';
import type { SinkEvent } from '#sink/events.ts';
import { PERSONALITIES } from '#sink/personalities.ts';
import { openSink } from '#sink/sink.ts';
import type { Settings } from '#sink/world.ts';
import { parseMailbox } from '#smtp/address.ts';
import type { Address } from '#smtp/address.ts';
import { connectClient } from '#smtp/client.ts';
import type { ClientFailure, ClientOptions } from '#smtp/client.ts';
import { rawTo } from '../support/raw.ts';
import type { Raw } from '../support/raw.ts';
import { atEnd, until } from '../support/temp.ts';

type Sought = { readonly events: readonly SinkEvent[]; readonly port: number; readonly connect: (options?: Partial<ClientOptions>) => Promise<string> };

/** A sink of this behaviour in this process. */
async function sinkOf(personality: string, more: Partial<Settings> = {}, replies: readonly string[] = []): Promise<Sought> {
  const events: SinkEvent[] = [];
  const behaviour = readBehaviour([personality], replies);
  const { knobs } = behaviour;
  const tls = openSinkTls({ names: ['127.0.0.1'], fault: knobs.certificate ?? null, versions: knobs.tlsVersions ?? null, own: null, nowMs: Date.now() });
  const settings: Settings = {
    hostname: 'sink.test',
    protocol: 'smtp',
    tls: 'starttls',
    behaviour,
    auth: knobs.auth === true,
    login: null,
    sizeBytes: 1_000_000,
    recipients: 100,
    timeoutMs: 10_000,
    mailbag: null,
    transcript: false,
    seed: 1,
    clock: systemClock,
    emit: (event) => events.push(event),
    ...more,
  };
  const sink = await openSink(settings, tls, { address: '127.0.0.1', port: 0 });
  atEnd(() => void sink.close());
  const context = createSecureContext({ ca: tls.authority ?? '', minVersion: 'TLSv1.2' });
  return {
    events,
    port: sink.port ?? 0,
    connect: (options = {}) => visit(sink.port ?? 0, context, { ...(knobs.auth === true ? { auth: { username: 'me', password: 'secret' } } : {}), ...options }),
  };
}

const patience = (ms: number): ClientOptions['timeouts'] => ({ connectMs: 20_000, greetingMs: ms, commandMs: ms, dataMs: ms });

/** One message of 2 kB to two recipients, by a client that requires TLS and verifies; what became of it in one line. */
async function visit(port: number, context: ClientOptions['tls']['context'], options: Partial<ClientOptions>): Promise<string> {
  const result = await connectClient({
    protocol: 'smtp',
    target: { address: '127.0.0.1', port },
    helo: 'client.test',
    recorder: null,
    tls: { wanted: 'starttls-required', serverName: '127.0.0.1', verify: true, context },
    timeouts: patience(20_000),
    ...options,
  });
  if ('failure' in result) return failed(result.failure);
  const content = Buffer.from(`From: <a@sender.test>\r\nSubject: Hello\r\n\r\n${'x'.repeat(70)}\r\n`.padEnd(2000, 'y'));
  const recipients = ['550@receiver.test', 'b@receiver.test'].map((text) => ({ address: parseMailbox(text) as Address, notify: null, orcpt: null }));
  const sent = await result.client.transact(
    { from: parseMailbox('a@sender.test'), recipients, sizeBytes: content.length, eightBit: false, smtpUtf8: false, requireTls: false, ret: null, envid: null },
    [content],
  );
  await result.client.quit();
  return 'failure' in sent ? failed(sent.failure) : sent.replies.map(({ phase, reply }) => `${phase} ${[reply.code, reply.enhanced].join(' ').trim()}`).join(', ');
}

function failed({ phase, kind, code, reply, possibleDuplicate }: ClientFailure): string {
  return [phase, kind, reply?.code ?? code, possibleDuplicate ? '(perhaps taken)' : null].filter((part) => part !== null).join(' ');
}

const BOTH = 'final 250 2.0.0, final 250 2.0.0';
const twice = (text: string): string => `${text}, ${text}`;

/** What the client sees. With `=`: the value it is tried with. */
const SEEN: Readonly<Record<string, string>> = {
  accept: BOTH,
  busy: 'greeting reply 421',
  throttle: BOTH,
  'close-after': BOTH,
  rate: BOTH,
  blocked: 'greeting reply 554',
  'slow-banner=1h': 'greeting timeout ETIMEDOUT',
  'no-banner': 'greeting timeout ETIMEDOUT',
  'drop-connection': 'greeting socket ECONNRESET',
  'reset-connection': 'greeting socket ECONNRESET',
  'not-smtp': 'greeting protocol',
  'latency=1ms': BOTH,
  tarpit: 'greeting timeout ETIMEDOUT',
  'trickle=1h': 'greeting timeout ETIMEDOUT',
  'slow-reader=1kB': 'final timeout ETIMEDOUT (perhaps taken)',
  'helo-only': 'starttls policy ERR_NO_STARTTLS',
  'ehlo-drop': 'ehlo socket ECONNRESET',
  'no-pipelining': BOTH,
  'no-8bitmime': BOTH,
  'no-smtputf8': BOTH,
  'no-size': BOTH,
  'no-chunking': BOTH,
  'no-dsn': BOTH,
  'no-enhanced-codes': twice('final 250'),
  old: 'starttls policy ERR_NO_STARTTLS',
  'no-starttls': 'starttls policy ERR_NO_STARTTLS',
  'starttls-refused': 'starttls tls 454',
  'starttls-drop': 'starttls socket ECONNRESET',
  'starttls-stall': 'tls timeout ETIMEDOUT',
  'starttls-garbage': 'tls tls ERR_STARTTLS_NO_TLS',
  'starttls-plain': 'tls tls ERR_STARTTLS_NO_TLS',
  'starttls-inject': 'starttls protocol ERR_INJECTION',
  'starttls-required': BOTH,
  'cert-expired': 'tls tls CERT_HAS_EXPIRED',
  'cert-not-yet-valid': 'tls tls CERT_NOT_YET_VALID',
  'cert-self-signed': 'tls tls DEPTH_ZERO_SELF_SIGNED_CERT',
  'cert-wrong-name': 'tls tls ERR_TLS_CERT_ALTNAME_INVALID',
  'cert-unknown-authority': 'tls tls UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'cert-incomplete': 'tls tls UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'tls-1.2': BOTH,
  'tls-old': 'tls tls ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
  'auth-fails': 'auth reply 535',
  'auth-unavailable': 'auth reply 454',
  'auth-too-weak': 'auth reply 534',
  'auth-drop': 'auth socket ECONNRESET',
  'auth-in-clear': BOTH,
  'auth-plain-only': BOTH,
  'auth-login-only': BOTH,
  'sender-refused': twice('mail 550 5.7.1'),
  greylist: twice('rcpt 451 4.7.1'),
  'no-such-user=550@*': 'rcpt 550 5.1.1, final 250 2.0.0',
  'reject=550@*': 'rcpt 550 5.7.1, final 250 2.0.0',
  'defer=550@*': 'rcpt 451 4.3.0, final 250 2.0.0',
  'mailbox-full=550@*': 'rcpt 452 4.2.2, final 250 2.0.0',
  'over-quota': twice('rcpt 552 5.2.2'),
  'no-relay=*@receiver.test': twice('rcpt 550 5.7.1'),
  'few-recipients': 'final 250 2.0.0, rcpt 452 4.5.3',
  'by-address': 'rcpt 550, final 250 2.0.0',
  'defer-data': twice('final 451 4.3.0'),
  'drop-at-data': 'final socket ECONNRESET (perhaps taken)',
  'drop-midway': 'final socket ECONNRESET (perhaps taken)',
  'drop-after-data': 'final socket ECONNRESET (perhaps taken)',
  'lost-reply': 'final socket ECONNRESET (perhaps taken)',
  'stall-after-data': 'final timeout ETIMEDOUT (perhaps taken)',
  'slow-accept': 'final timeout ETIMEDOUT (perhaps taken)',
  spam: twice('final 550 5.7.1'),
  dmarc: twice('final 550 5.7.26'),
  'defer-content': twice('final 451 4.3.0'),
  'disk-full': twice('final 452 4.3.1'),
  'size=1kB': 'mail policy ERR_SIZE',
  'rset-refused': BOTH,
  'rset-drop': BOTH,
  'quit-drop': BOTH,
  'quit-stall': BOTH,
  'quit-refused': BOTH,
  'lf-only': BOTH,
  garbage: 'mail protocol (perhaps taken)',
  'half-reply': 'mail timeout ETIMEDOUT (perhaps taken)',
  'two-codes': 'mail protocol (perhaps taken)',
  'endless-reply': 'ehlo protocol',
  'long-line': 'ehlo protocol',
  flaky: 'rcpt 451 4.3.0, final 250 2.0.0',
  unreliable: 'ehlo socket ECONNRESET',
  chaos: 'ehlo reply 451',
};

test('every personality does what it says, as a good client sees it', { concurrency: true }, async (t) => {
  for (const { name } of PERSONALITIES) {
    const asked = Object.keys(SEEN).find((key) => key.split('=')[0] === name) ?? name;
    t.test(asked, async () => {
      const { connect } = await sinkOf(asked);
      // Who is to be waited for in vain is not waited for long.
      const seen = await connect(SEEN[asked]?.includes('timeout') === true ? { timeouts: patience(400) } : {});
      assert.equal(seen, SEEN[asked]);
    });
  }
});

const visitor = ({ port }: Pick<Sought, 'port'>): Promise<Raw> => rawTo(port, { greeting: false });

const said = async (raw: Raw, ...lines: readonly string[]): Promise<string[]> => {
  const answers: string[] = [];
  for (const line of lines) {
    raw.send(`${line}\r\n`);
    answers.push(await raw.reply());
  }
  return answers;
};

test('a connection too many, a message too many on one, a message too many in a minute', async () => {
  const throttled = await sinkOf('throttle=2');
  const [first, , third] = [await visitor(throttled), await visitor(throttled), await visitor(throttled)];
  assert.match(await first.reply(), /^220 /);
  assert.match(await third.reply(), /^421 4\.7\.0 Too many connections from you \(2 allowed\)$/);
  first.socket.destroy();
  await until('there is room again', async () => (await (await visitor(throttled)).reply()).startsWith('220 '));

  const message = ['MAIL FROM:<a@b.test>', 'RCPT TO:<c@d.test>', 'DATA', 'Subject: x\r\n\r\nx\r\n.'];
  const codes = (answers: readonly string[]): string[] => answers.map((answer) => answer.slice(0, 3));
  const closing = await visitor(await sinkOf('close-after=1'));
  await closing.reply();
  assert.deepEqual(codes(await said(closing, 'EHLO me', ...message, 'MAIL FROM:<a@b.test>')), ['250', '250', '250', '354', '250', '421']);

  const rated = await visitor(await sinkOf('rate=2'));
  await rated.reply();
  assert.deepEqual(codes(await said(rated, 'EHLO me', ...message, ...message, 'MAIL FROM:<a@b.test>')), ['250', '250', '250', '354', '250', '250', '250', '354', '250', '450']);
});

test('greylisting: deferred until its time is over, each sender, recipient and client for itself', async () => {
  let nowMs = 1_000_000;
  const { connect } = await sinkOf('greylist=1m', { clock: { ...systemClock, nowMs: () => nowMs } });
  assert.equal(await connect(), twice('rcpt 451 4.7.1'));
  nowMs += 59_000;
  assert.equal(await connect(), twice('rcpt 451 4.7.1'));
  nowMs += 2000;
  assert.equal(await connect(), BOTH);
});

test('what is not offered is not understood either', async () => {
  const old = await visitor(await sinkOf('old'));
  await old.reply();
  assert.deepEqual(await said(old, 'EHLO me'), ['250 sink.test greets me']);
  for (const line of [
    'STARTTLS',
    'BDAT 0 LAST',
    'AUTH PLAIN',
    'MAIL FROM:<a@b.test> SIZE=1',
    'MAIL FROM:<a@b.test> BODY=8BITMIME',
    'MAIL FROM:<a@b.test> SMTPUTF8',
    'MAIL FROM:<a@b.test> RET=FULL',
  ]) {
    assert.match((await said(old, line))[0] ?? '', /^50[02]|^555/, line);
  }
  assert.deepEqual(
    (await said(old, 'MAIL FROM:<a@b.test>', 'RCPT TO:<c@d.test> NOTIFY=NEVER', 'RCPT TO:<c@d.test>')).map((answer) => answer.slice(0, 3)),
    ['250', '555', '250'],
  );
});

test('passwords in the clear are told, and shown nowhere', async () => {
  const { events, port } = await sinkOf('auth-in-clear', { transcript: true });
  const raw = await rawTo(port, { greeting: false });
  await raw.reply();
  const plain = Buffer.from('\0me\0very secret').toString('base64');
  const answers = await said(raw, 'EHLO me', `AUTH PLAIN ${plain}`, 'MAIL FROM:<a@b.test>');
  assert.match(answers[0] ?? '', /AUTH PLAIN LOGIN/);
  assert.deepEqual(answers.slice(1), ['235 2.7.0 Authentication successful', '250 2.1.0 Sender ok']);
  assert.deepEqual(
    events.filter(({ event }) => event === 'login'),
    [{ event: 'login', connection: 1, username: 'me', accepted: true, inClear: true }],
  );
  assert.doesNotMatch(JSON.stringify(events), new RegExp(`very secret|${plain.slice(0, 12)}`));
});

test('one login only: by PLAIN, LOGIN and SCRAM, and no other', async () => {
  const login = { username: 'me', password: 'secret' };
  const { connect, events } = await sinkOf('accept', { auth: true, login });
  assert.match(await connect(), /^mail 530 5\.7\.0/);
  assert.equal(await connect({ auth: login }), BOTH);
  assert.match(await connect({ auth: { ...login, password: 'wrong' } }), /^auth reply 535/);
  assert.ok(events.some((event) => event.event === 'message' && event.username === 'me'));
});

test('a client that talks before the greeting is told', async () => {
  const { events, port } = await sinkOf('slow-banner=50ms');
  const raw = await rawTo(port, { greeting: false });
  raw.send('EHLO me\r\n');
  assert.match(await raw.reply(), /^220 /);
  assert.ok(events.some(({ event }) => event === 'early-talk'));
});

test('the reply that is lost: the message is kept, the client has no answer', async () => {
  const { events, connect } = await sinkOf('lost-reply');
  await connect();
  const message = events.find((event) => event.event === 'message');
  assert.ok(message?.event === 'message' && !message.answered && message.to.length === 2);
  const dropped = await sinkOf('drop-after-data');
  await dropped.connect();
  assert.ok(!dropped.events.some(({ event }) => event === 'message'));
});

test('what does not go together, or is not there, is said with what there is', () => {
  const wrong = (personalities: readonly string[], replies: readonly string[] = []): string => {
    try {
      readBehaviour(personalities, replies);
    } catch (error) {
      return error instanceof PosternError ? `${error.failure.cause} ${error.failure.fix}` : String(error);
    }
    return 'nothing is wrong';
  };
  assert.match(wrong(['starttls-plain,starttls-garbage']), /starttls-plain and starttls-garbage do not go together/);
  assert.match(wrong(['grey']), /no personality "grey".*Is it greylist\?/);
  assert.match(wrong(['greylist=soon']), /"soon".*a duration.*greylist=5s/);
  assert.match(wrong(['busy=3']), /busy takes no value/);
  assert.match(wrong(['flaky=200']), /a number from 1 to 100/);
  assert.match(wrong([], ['nowhere=550 no']), /names no step of a session/);
  assert.match(wrong([], ['mail=99 no']), /neither a reply/);
  assert.match(wrong([], ['mail=550 4.1.1 no']), /neither a reply/);
  assert.equal(wrong(['no-size', 'no-dsn,no-8bitmime'], ['*@x.test=550 5.1.1 No', 'message:*@x.test=drop']), 'nothing is wrong');
});

test('single rules: by step, by pattern, before the personalities', () => {
  const { rules } = readBehaviour(['spam'], ['gone@*=550 5.1.1 No such user\\nAsk elsewhere', 'message=451 Later', 'quit=drop']);
  assert.deepEqual(
    rules.map(({ step, pattern, from, act }) => [step, pattern, from, act.do]),
    [
      ['rcpt', 'gone@*', '--reply', 'reply'],
      ['message', null, '--reply', 'reply'],
      ['quit', null, '--reply', 'drop'],
      ['message', null, 'spam', 'reply'],
    ],
  );
  assert.deepEqual(rules[0]?.act, { do: 'reply', reply: { code: 550, enhanced: '5.1.1', lines: ['No such user', 'Ask elsewhere'] } });
  assert.ok(matches('*.Example.com', 'a@B.example.COM') && !matches('a?@x', 'a@x') && !matches('a.c', 'abc'));
});

test('LMTP: LHLO only, an answer for each recipient, and the message for those who took it', async () => {
  const { events, port, connect } = await sinkOf('accept', { protocol: 'lmtp' }, ['message:550@*=452 4.2.2 Mailbox full']);
  assert.equal(await connect({ protocol: 'lmtp' }), 'final 452 4.2.2, final 250 2.0.0');
  const message = events.find((event) => event.event === 'message');
  assert.deepEqual(message?.event === 'message' ? message.to : null, ['b@receiver.test']);
  assert.ok(events.some((event) => event.event === 'refused' && event.step === 'message' && event.code === 452));
  const raw = await visitor({ port });
  await raw.reply();
  assert.deepEqual(
    (await said(raw, 'EHLO me', 'HELO me', 'LHLO me')).map((answer) => answer.slice(0, 3)),
    ['500', '500', '250'],
  );
  const smtp = await visitor(await sinkOf('accept'));
  await smtp.reply();
  assert.match((await said(smtp, 'LHLO me'))[0] ?? '', /^500 /);
});
