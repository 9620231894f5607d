// The session without sockets: what bytes in any portions make of it, and that nothing a client sends can hold it up.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '#base/log.ts';
import { commandTable } from '#smtp/commands.ts';
import type { Connection, Identity, MessageSink, Policy, Profile, SessionLimits } from '#smtp/policy.ts';
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
    data: () => sink,
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
