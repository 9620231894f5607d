// The server's machine for any bytes in any portions, with policies that fail, and while it drains: same replies, nothing run that is content.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Log } from '#base/log.ts';
import { silentLog } from '#base/log.ts';
import type { MessageSink, Policy } from '#smtp/policy.ts';
import { REPLIES } from '#smtp/reply.ts';
import type { Sender } from '#intake/authenticate.ts';
import { openMachine } from '../support/machine.ts';
import type { MachineLine, MachineOptions } from '../support/machine.ts';

const MESSAGE = 'Subject: x\r\n\r\nhello\r\n';
const TRANSACTION = 'MAIL FROM:<a@elsewhere.example>\r\nRCPT TO:<b@local.test>\r\n';

/** Pieces that real sessions are made of, and such as nobody sends. */
const PIECES = [
  'EHLO client.test\r\n',
  TRANSACTION,
  'DATA\r\n',
  `${MESSAGE}.\r\n`,
  '.\r\n',
  'BDAT 5\r\n',
  'BDAT 0 LAST\r\n',
  'BDAT 21 LAST\r\n',
  'abc\r\n',
  MESSAGE,
  '\r\n',
  'RSET\r\n',
  'NOOP\r\n',
  'VRFY x\r\n',
  'AUTH PLAIN\r\n',
  '..\r\n',
  ' ',
  '\r',
  '\n',
  '\0',
  'é',
  'x'.repeat(600),
  'y'.repeat(13_000),
];

function sizesCut(sizes: readonly number[]): (bytes: Buffer) => Buffer[] {
  return (bytes) => {
    const portions: Buffer[] = [];
    for (let at = 0, i = 0; at < bytes.length; i++) {
      const size = sizes[i % sizes.length] ?? 1;
      portions.push(bytes.subarray(at, at + size));
      at += size;
    }
    return portions;
  };
}

/** What is said to these bytes, and what is stored of them; ids are made equal. */
async function outcome(bytes: Buffer, options: MachineOptions): Promise<{ text: string; stored: string[] }> {
  const machine = openMachine();
  const line = machine.connect('mx', options);
  line.send(bytes);
  const text = await line.all();
  const body = (content: Buffer): string => content.toString('latin1').replace(/^Received: [^]*?\r\n(?![ \t])/, '');
  return { text: text.replace(/queued as \w+/g, 'queued'), stored: machine.stored.map(({ content }) => body(content)) };
}

describe('any bytes', () => {
  it('are answered the same however they are cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...PIECES), { maxLength: 14 }),
        fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 6 }),
        async (pieces, sizes) => {
          const bytes = Buffer.from(`EHLO client.test\r\n${pieces.join('')}`);
          assert.deepEqual(await outcome(bytes, { cut: sizesCut(sizes) }), await outcome(bytes, {}));
        },
      ),
      { numRuns: 400 },
    );
  });

  it('never break the machine, and are answered with replies only', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
        const { text } = await outcome(Buffer.from(bytes), {});
        assert.match(text, /^(?:[2-5]\d\d[ -][^\r\n]*\r\n)+$/);
      }),
      { numRuns: 500 },
    );
  });

  it('an overlong line that ends in CR is waited for, not spun on', async () => {
    const line = openMachine().connect('mx');
    line.send(Buffer.from(`${'x'.repeat(20_000)}\r`));
    line.send(Buffer.from('\nNOOP\r\n'));
    assert.match(await line.all(), /\r\n500 5\.5\.2 [^\r]+\r\n250 2\.0\.0 Ok\r\n$/);
  });
});

type Fault = { readonly at: string; readonly policy: (policy: Policy<Sender>) => Partial<Policy<Sender>> };

function boom(): never {
  throw new Error('SECRET inner text');
}
const later = async (): Promise<never> => boom();
const brokenSink =
  (part: Partial<MessageSink>) =>
  (policy: Policy<Sender>): Partial<Policy<Sender>> => ({
    async data(connection, transaction) {
      const sink = await policy.data(connection, transaction);
      if ('code' in sink) return sink;
      return { write: (chunk) => sink.write(chunk), finish: () => sink.finish(), abort: () => sink.abort(), ...part };
    },
  });

const FAULTS: readonly Fault[] = [
  { at: 'mail, at once', policy: () => ({ mail: boom }) },
  { at: 'mail, later', policy: () => ({ mail: later }) },
  { at: 'rcpt, at once', policy: () => ({ rcpt: boom }) },
  { at: 'rcpt, later', policy: () => ({ rcpt: later }) },
  { at: 'data, at once', policy: () => ({ data: boom }) },
  { at: 'data, later', policy: () => ({ data: later }) },
  { at: 'write, at once', policy: brokenSink({ write: boom }) },
  { at: 'write, later', policy: brokenSink({ write: later }) },
  { at: 'finish, at once', policy: brokenSink({ finish: boom }) },
  { at: 'finish, later', policy: brokenSink({ finish: later }) },
];

describe('a policy that fails', () => {
  const evil = 'MAIL FROM:<evil@elsewhere.example>\r\nRCPT TO:<victim@local.test>\r\nDATA\r\nSubject: evil\r\n\r\n';
  for (const { at, policy } of FAULTS) {
    for (const how of ['DATA', 'BDAT'] as const) {
      it(`at ${at}, by ${how}: 451 with the session's id, the session goes on, and content is never run`, async () => {
        const faults: string[] = [];
        const log: Log = { ...silentLog, error: (event, fields) => void faults.push(`${event} ${String(fields?.['cause'])}`) };
        const machine = openMachine();
        const line = machine.connect('mx', { policy: policy(machine.policy), log });
        line.send(Buffer.from(`EHLO client.test\r\n${TRANSACTION}`));
        await line.all();
        line.send(Buffer.from(how === 'DATA' ? 'DATA\r\n' : `BDAT ${evil.length + 14} LAST\r\n`));
        // Nobody sends content behind a DATA that was refused; a chunk comes whatever the answer is. The rest comes in later packets, after the fault.
        const content = how === 'BDAT' || (await line.all()).endsWith('dot on a line by itself\r\n') ? [`Subject: x\r\n\r\n`, evil.slice(0, 40), evil.slice(40)] : [];
        for (const part of content) {
          line.send(Buffer.from(part));
          await line.all();
        }
        if (how === 'DATA' && content.length > 0) line.send(Buffer.from('.\r\n'));
        line.send(Buffer.from('RSET\r\nNOOP\r\n'));
        const text = await line.all();
        assert.match(text, /451 4\.3\.0 Local error, try again later; the server's log has it under machine\r\n/);
        assert.doesNotMatch(text, /SECRET/);
        assert.deepEqual(faults, ['session.fault SECRET inner text']);
        assert.match(text, /\r\n[45]\d\d [^\r]+\r\n250 2\.0\.0 Ok\r\n250 2\.0\.0 Ok\r\n$/);
        assert.equal(machine.stored.length, 0);
        assert.equal(line.closed, false);
      });
    }
  }

  it('at the greeting, and at AUTH', async () => {
    const machine = openMachine();
    for (const connect of [boom, later]) assert.match(await machine.connect('mx', { policy: { connect } }).reply(), /^451 4\.3\.0/);
    for (const authenticate of [boom, later]) {
      const line = machine.connect('submissions', { policy: { authenticate } });
      line.send(Buffer.from(`EHLO c.test\r\nAUTH PLAIN ${Buffer.from('\0a\0b').toString('base64')}\r\nNOOP\r\n`));
      assert.match(await line.all(), /451 4\.3\.0 [^\r]+\r\n250 2\.0\.0 Ok\r\n$/);
    }
  });
});

describe('ends', () => {
  const started = async (bytes: string, options: MachineOptions = {}): Promise<{ line: MachineLine; machine: ReturnType<typeof openMachine> }> => {
    const machine = openMachine();
    const line = machine.connect('mx', options);
    line.send(Buffer.from(`EHLO client.test\r\n${bytes}`));
    await line.all();
    return { line, machine };
  };
  const last = async (line: MachineLine): Promise<string> => (await line.all()).split('\r\n').at(-2) ?? '';

  it('draining ends an idle session at once', async () => {
    const { line } = await started('');
    line.session.drain();
    assert.match(await last(line), /^421 4\.3\.2/);
    assert.equal(line.closed, true);
  });

  it('draining lets a transaction come to its end, and no other begin', async () => {
    const { line, machine } = await started(`${TRANSACTION}DATA\r\nSubject: x\r\n`);
    line.session.drain();
    assert.equal(line.closed, false);
    line.send(Buffer.from(`\r\n.\r\n${TRANSACTION}DATA\r\nSubject: y\r\n\r\n.\r\n`));
    assert.match(await line.all(), /250 2\.6\.0 [^\r]+\r\n421 4\.3\.2 [^\r]+\r\n$/);
    assert.equal(machine.stored.length, 1);
    assert.equal(line.closed, true);
  });

  it('draining waits between chunks', async () => {
    const { line, machine } = await started(`${TRANSACTION}BDAT 3\r\nabc`);
    line.session.drain();
    assert.equal(line.closed, false);
    line.send(Buffer.from('BDAT 0 LAST\r\n'));
    assert.match(await last(line), /^421 4\.3\.2/);
    assert.equal(machine.stored.length, 1);
  });

  for (const [name, end, reply] of [
    ['silence', (line: MachineLine) => line.session.timedOut(), '421 4.4.2 Timeout'],
    ['a session that lasts too long', (line: MachineLine) => line.session.expired(), '421 4.4.2 The session has lasted too long'],
  ] as const) {
    it(`${name} ends it within content too, and nothing is kept`, async () => {
      const aborted: string[] = [];
      const { line, machine } = await started(`${TRANSACTION}DATA\r\nSubject: x\r\n`, {
        policy: { data: () => ({ write() {}, finish: () => REPLIES.ok, abort: () => void aborted.push('x') }) },
      });
      end(line);
      assert.ok((await last(line)).startsWith(reply));
      assert.equal(line.closed, true);
      line.send(Buffer.from('\r\n.\r\n'));
      assert.equal(machine.stored.length, 0);
      assert.deepEqual(aborted, ['x']);
    });
  }

  for (const bytes of [`${TRANSACTION}DATA\r\nSubject: x\r\n`, `${TRANSACTION}BDAT 3\r\nabc`, `${TRANSACTION}BDAT 30\r\nabc`]) {
    it(`a client that goes away leaves nothing behind: ${JSON.stringify(bytes.slice(TRANSACTION.length))}`, async () => {
      let open = 0;
      const closed: string[] = [];
      const policy: Partial<Policy<Sender>> = {
        data: () => {
          open++;
          return { write() {}, finish: () => REPLIES.ok, abort: () => void open-- };
        },
        closed: (connection) => void closed.push(connection.id),
      };
      const { line } = await started(bytes, { policy });
      line.session.closed();
      assert.equal(open, 0);
      assert.deepEqual(closed, ['machine']);
    });
  }

  it('a refusal at the greeting closes, and what was sent early is not run', async () => {
    const machine = openMachine();
    const line = machine.connect('mx', { policy: { connect: async () => REPLIES.tooManyConnections('from your address', 1) } });
    line.send(Buffer.from('EHLO client.test\r\n'));
    assert.match(await line.all(), /^421 4\.7\.0 [^\r]+\r\n$/);
    assert.equal(line.closed, true);
  });
});
