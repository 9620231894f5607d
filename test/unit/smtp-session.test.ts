// The session without sockets: what bytes in any portions make of it, and that nothing a client sends can hold it up.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '#base/log.ts';
import { commandTable } from '#smtp/commands.ts';
import type { Connection, Identity, MessageSink, Policy, Profile, SessionLimits } from '#smtp/policy.ts';
import type { Reply } from '#smtp/reply.ts';
import { REPLIES } from '#smtp/reply.ts';
import { Session } from '#smtp/session.ts';

const LIMITS: SessionLimits = {
  messageSizeBytes: 1000,
  recipients: 3,
  authFailures: 2,
  idleCommands: 10,
  commandTimeoutMs: 1000,
  dataTimeoutMs: 2000,
  sessionTimeoutMs: 60_000,
};

type Bench = {
  readonly session: Session;
  /** What was written since the last look. */
  said(): string;
  /** First words of each reply since the last look. */
  codes(): string[];
  readonly did: string[];
  readonly content: Buffer[];
};

function bench(options: { profile?: Profile; policy?: Partial<Policy>; limits?: Partial<SessionLimits> } = {}): Bench {
  const did: string[] = [];
  const content: Buffer[] = [];
  let output = '';
  const sink: MessageSink = {
    write: (chunk) => void content.push(chunk),
    finish: () => REPLIES.queued('id'),
    abort: () => void did.push('abort'),
  };
  const connection: Connection = {
    id: 's',
    profile: options.profile ?? 'mx',
    clientAddress: '192.0.2.1',
    clientPort: 1,
    localAddress: '192.0.2.2',
    localPort: 25,
    helo: null,
    extended: false,
    tls: null,
    identity: null,
  };
  const policy: Policy = {
    connect: () => null,
    authenticate: () => ({ refusal: REPLIES.authFailed }),
    scramKeys: () => ({ salt: Buffer.alloc(1), iterations: 1, storedKey: Buffer.alloc(32), serverKey: Buffer.alloc(32) }),
    authenticated: () => ({ refusal: REPLIES.authFailed }),
    authFailed: () => {},
    mail: () => null,
    rcpt: () => null,
    postmasterDomain: () => 'relay.test',
    data: () => sink,
    refused: () => {},
    closed: () => void did.push('closed'),
    ...options.policy,
  };
  const session = new Session<Identity>({
    connection,
    policy,
    limits: { ...LIMITS, ...options.limits },
    hostname: 'relay.test',
    commands: commandTable(),
    log: silentLog,
    io: {
      write: (text) => (output += text),
      startTls: () => void did.push('starttls'),
      pause: () => void did.push('pause'),
      resume: () => void did.push('resume'),
      end: () => void did.push('end'),
      timeout: () => {},
    },
  });
  const said = (): string => {
    const text = output;
    output = '';
    return text;
  };
  void session.admit();
  session.start();
  return {
    session,
    did,
    content,
    said,
    codes: () =>
      said()
        .split('\r\n')
        .filter((line) => line[3] === ' ')
        .map((line) => line.slice(0, 3)),
  };
}

function feed(session: Session, text: string): void {
  session.feed(Buffer.from(text, 'latin1'));
}

test('a line longer than any may be is thrown away wherever its bytes are cut, and answered once', () => {
  for (const cut of [0, 1, 2, 12_287, 12_288, 12_289, 12_999, 13_000, 13_001]) {
    const { session, codes } = bench();
    codes();
    const line = `${'x'.repeat(13_000)}\r\nNOOP\r\n`;
    feed(session, line.slice(0, cut));
    feed(session, line.slice(cut));
    assert.deepEqual(codes(), ['500', '250'], `cut at ${cut}`);
  }
});

test('white space at the end of a line is no part of it; verbs and parameters are ASCII', () => {
  const { session, codes } = bench();
  codes();
  for (const [line, expected] of [
    ['EHLO client.test \t', '250'],
    ['MAIL FROM:<a@example.com> ', '250'],
    ['RCPT TO:<b@example.com>\t', '250'],
    ['NOOP  ', '250'],
    ['RSET  ', '250'],
    // Letters of other scripts whose capitals are ASCII: a long s, a dotless i.
    ['\xc5\xbftarttls', '500'],
    ['MA\xc4\xb1L FROM:<a@example.com>', '500'],
    ['MAIL FROM:<a@example.com> \xc5\xbfIZE=10', '501'],
    ['MAIL FROM:<a@example.com> =10', '501'],
    ['QUIT ', '221'],
  ] as const) {
    feed(session, `${line}\r\n`);
    assert.deepEqual(codes(), [expected], line);
  }
});

test('AUTH with a space and no initial response begins the exchange', () => {
  const { session, codes, said } = bench({ profile: 'submission' });
  feed(session, 'EHLO client.test\r\n');
  session.secured({ protocol: 'TLSv1.3', cipher: 'x', serverName: null }, null);
  feed(session, 'EHLO client.test\r\n');
  codes();
  feed(session, 'AUTH LOGIN \r\n');
  assert.equal(said(), '334 VXNlcm5hbWU6\r\n');
});

test('recipients past the limit are refused however many they are, and those that were taken are served', () => {
  const { session, codes } = bench();
  feed(session, 'EHLO client.test\r\nMAIL FROM:<a@example.com>\r\n');
  codes();
  feed(session, 'RCPT TO:<b@example.com>\r\n'.repeat(50));
  assert.deepEqual(codes(), [...new Array<string>(3).fill('250'), ...new Array<string>(47).fill('452')]);
  feed(session, 'DATA\r\nx\r\n.\r\n');
  assert.deepEqual(codes(), ['354', '250']);
});

test('a client that only ever greets, or only ever is refused, is sent away', () => {
  for (const line of ['EHLO client.test', 'HELO client.test', 'NOOP', 'RSET', 'FOO', 'RCPT TO:<b@example.com>']) {
    const { session, codes, did } = bench();
    codes();
    feed(session, `${line}\r\n`.repeat(1000));
    const said = codes();
    assert.equal(said.length, LIMITS.idleCommands + 1, line);
    assert.equal(said.at(-1), '421', line);
    assert.ok(did.includes('end'), line);
  }
});

test('a client that has closed its side gets every answer, also those that take a while; then the connection ends', async () => {
  const { promise, resolve } = Promise.withResolvers<Reply>();
  const { session, codes, did } = bench({ policy: { data: () => ({ write: () => {}, finish: () => promise, abort: () => {} }) } });
  feed(session, 'EHLO client.test\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nBDAT 3 LAST\r\nx\r\nQUIT\r\n');
  session.inputEnded();
  assert.deepEqual(codes(), ['220', '250', '250', '250']);
  assert.deepEqual(did, []);
  resolve(REPLIES.queued('id'));
  await promise;
  await new Promise(setImmediate);
  assert.deepEqual(codes(), ['250', '221']);
  assert.deepEqual(did, ['end']);
});

test('a client that closes its side in the middle of a message or a line has said nothing', () => {
  for (const [start, aborted] of [
    ['NOO', false],
    ['MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nSubject: half\r\n', true],
    ['MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nBDAT 100 LAST\r\nhalf', true],
  ] as const) {
    const { session, codes, did } = bench();
    feed(session, `EHLO client.test\r\n${start}`);
    codes();
    session.inputEnded();
    assert.deepEqual(codes(), [], start);
    assert.deepEqual(did, aborted ? ['abort', 'end'] : ['end'], start);
  }
});

test('a deadline or the end of the time of a session waits for an answer that is under way', async () => {
  const { promise, resolve } = Promise.withResolvers<Reply>();
  const { session, codes, did } = bench({ policy: { data: () => ({ write: () => {}, finish: () => promise, abort: () => {} }) } });
  feed(session, 'EHLO client.test\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nBDAT 3 LAST\r\nx\r\n');
  codes();
  session.timedOut();
  session.expired();
  assert.deepEqual(codes(), []);
  resolve(REPLIES.queued('id'));
  await promise;
  await new Promise(setImmediate);
  assert.deepEqual(codes(), ['250', '421']);
  assert.deepEqual(did, ['end']);
});

test('every refusal is told to the policy, with the verb; the same one again is marked', () => {
  const told: string[] = [];
  const { session } = bench({ policy: { refused: (_, { step, reply, again }) => void told.push(`${step} ${reply.code}${again ? ' again' : ''}`) } });
  feed(session, 'EHLO client.test\r\nFOO\r\nBAR\r\nMAIL FROM:<a@example.com> SIZE=1001\r\nMAIL FROM:<a@example.com>\r\nDATA\r\nNOOP\nx\r\n');
  assert.deepEqual(told, ['unknown 500', 'unknown 500 again', 'MAIL 552', 'DATA 554', 'line 554']);
});

test('a message may be as large as the limit and not an octet larger, by DATA and by BDAT, with and without a last line end', () => {
  const lines = (octets: number): string => `${'x'.repeat(octets - 2)}\r\n`;
  for (const [content, expected] of [
    ['DATA\r\n' + lines(1000) + '.\r\n', ['354', '250']],
    ['DATA\r\n' + lines(1001) + '.\r\n', ['354', '552']],
    // The dot that is undone does not count, what stands for it does not either (RFC 1870 3).
    [`DATA\r\n..${lines(999)}.\r\n`, ['354', '250']],
    ['BDAT 1000 LAST\r\n' + lines(1000), ['250']],
    ['BDAT 1001 LAST\r\n' + lines(1001), ['552']],
    ['BDAT 1000 LAST\r\n' + 'x'.repeat(1000), ['250']],
    ['BDAT 1001 LAST\r\n' + 'x'.repeat(1001), ['552']],
    ['BDAT 600\r\n' + 'x'.repeat(600) + 'BDAT 400 LAST\r\n' + 'x'.repeat(400), ['250', '250']],
    ['BDAT 600\r\n' + 'x'.repeat(600) + 'BDAT 401 LAST\r\n' + 'x'.repeat(401), ['250', '552']],
  ] as const) {
    const { session, codes, content: kept } = bench();
    feed(session, 'EHLO client.test\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\n');
    codes();
    feed(session, `${content}NOOP\r\n`);
    assert.deepEqual(codes(), [...expected, '250'], content.slice(0, 20));
    if (expected.at(-1) !== '552') assert.ok(Buffer.concat(kept).toString().endsWith('\r\n'));
  }
  for (const [size, expected] of [
    [1000, '250'],
    [1001, '552'],
  ] as const) {
    const { session, codes } = bench();
    feed(session, `EHLO client.test\r\nMAIL FROM:<a@example.com> SIZE=${size}\r\n`);
    assert.equal(codes().at(-1), expected);
  }
});

test('a drain ends who is between transactions, half a line or not, and lets the others come to the end of theirs', () => {
  for (const [before, after, expected] of [
    ['', '', ['421']],
    ['NOO', '', ['421']],
    ['MAIL FROM:<a@example.com>\r\n', 'RSET\r\n', ['250', '421']],
    ['MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\n', 'DATA\r\nx\r\n.\r\nMAIL FROM:<a@example.com>\r\n', ['354', '250', '421']],
  ] as const) {
    const { session, codes, did } = bench();
    feed(session, `EHLO client.test\r\n${before}`);
    codes();
    session.drain();
    feed(session, after);
    assert.deepEqual(codes(), expected, before);
    assert.ok(did.includes('end'));
  }
});

test('a drain does not wait for a login that was begun', () => {
  const { session, codes, did } = bench({ profile: 'submission' });
  feed(session, 'EHLO client.test\r\n');
  session.secured({ protocol: 'TLSv1.3', cipher: 'x', serverName: null }, null);
  feed(session, 'EHLO client.test\r\nAUTH LOGIN\r\n');
  codes();
  session.drain();
  assert.deepEqual(codes(), ['421']);
  assert.deepEqual(did, ['end']);
});

test('a client that takes the port for one of TLS or of HTTP is told so and sent away; none of its lines is run', () => {
  for (const [bytes, expected] of [
    ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', /^554 5\.5\.1 .*STARTTLS.*465/],
    ['POST / HTTP/1.1\r\nHost: x\r\n\r\nEHLO x\r\nMAIL FROM:<a@example.com>\r\n', /^554 5\.5\.1 .*HTTP/],
    ['GET / HTTP/1.1\r\n\r\n', /^554/],
  ] as const) {
    const { session, said, did } = bench();
    said();
    feed(session, bytes);
    const text = said();
    assert.match(text, expected);
    assert.equal(text.split('\r\n').length, 2, text);
    assert.deepEqual(did, ['end']);
  }
});

test('a message that is refused gives up what was taken of it at once, and once', async () => {
  const line = `${'x'.repeat(98)}\r\n`;
  for (const [refusal, sent] of [
    [undefined, line.repeat(11)],
    [REPLIES.storeFull, line.repeat(2)],
    [Promise.resolve(REPLIES.storeFull), line.repeat(2)],
  ] as const) {
    const written: number[] = [];
    let aborted = 0;
    const { session, codes } = bench({
      policy: { data: () => ({ write: (chunk) => (written.push(chunk.length), refusal), finish: () => REPLIES.queued('id'), abort: () => void aborted++ }) },
    });
    feed(session, 'EHLO client.test\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n');
    feed(session, sent);
    await new Promise(setImmediate);
    assert.equal(aborted, 1, 'before the client comes to the end');
    const before = written.length;
    feed(session, `${line}.\r\n`);
    await new Promise(setImmediate);
    assert.equal(written.length, before, 'nothing more is given to it');
    assert.equal(codes().at(-1), refusal === undefined ? '552' : '452');
    session.closed();
    assert.equal(aborted, 1);
  }
});

test('a client that goes away while its content waits to be stored has nothing more stored', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const did: string[] = [];
  const { session } = bench({ policy: { data: () => ({ write: () => (did.push('write'), promise), finish: () => REPLIES.queued('id'), abort: () => void did.push('abort') }) } });
  feed(session, `EHLO client.test\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n${'..x\r\n'.repeat(5)}`);
  session.closed();
  resolve();
  await new Promise(setImmediate);
  assert.deepEqual(did, ['write', 'abort']);
});
