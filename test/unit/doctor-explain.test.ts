// `doctor explain`: what people paste is read rightly and explained; what is no failure is not taken for one.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { explainText } from '#doctor/explain/explain.ts';
import { readStatements } from '#doctor/explain/statements.ts';
import { composeDsn } from '#mail/dsn.ts';
import { parseMailbox } from '#smtp/address.ts';
import { ROOT } from '../support/postern.ts';
import { run, tempDir } from '../support/temp.ts';

type Case = { readonly line: string; readonly class: string | null; readonly code?: number; readonly host?: string; readonly recipient?: string };
const cases = JSON.parse(readFileSync(join(ROOT, 'test/vectors/knowledge/lines.json'), 'utf8')) as readonly Case[];

describe('lines of servers and errors of libraries', () => {
  for (const { line, class: expected, code, host, recipient } of cases) {
    it(line.slice(0, 110).replaceAll('\n', ' '), () => {
      const [one] = explainText(line);
      assert.equal(one?.class ?? null, expected, JSON.stringify(one));
      if (code !== undefined) assert.equal(one?.code, code);
      if (host !== undefined) assert.equal(one?.host, host);
      if (recipient !== undefined) assert.equal(one?.recipient, recipient);
      if (one === undefined) return;
      assert.ok(one.cause !== '' && one.fix !== '' && one.meaning !== '');
      assert.doesNotMatch(one.cause + one.fix, /[{}]/);
    });
  }
});

const REPORT = `Return-Path: <>
From: MAILER-DAEMON@mx.example.org
To: a@example.com
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

This is the mail system. 550 is not what this part is about.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.org

Final-Recipient: rfc822; x@hotmail.com
Action: failed
Status: 5.7.606
Remote-MTA: dns; hotmail-com.olc.protection.outlook.com
Diagnostic-Code: smtp; 550 5.7.606 Access denied, banned sending IP
 [192.0.2.1]. To request removal from this list please visit
 https://sender.office.com/

Final-Recipient: rfc822; y@example.net
Action: failed
Status: 5.1.1

Final-Recipient: rfc822; z@example.net
Action: delivered
Status: 2.0.0

--b
Content-Type: message/rfc822

Subject: 550 in the original is none of our business

--b--
`;

describe('delivery reports', () => {
  it('each failed recipient is explained by what its host said, or by its status', () => {
    for (const text of [REPORT, REPORT.replaceAll('\n', '\r\n')]) {
      const explained = explainText(Buffer.from(text));
      assert.deepEqual(
        explained.map(({ recipient, class: named, host, code, provider }) => [recipient, named, host, code, provider?.name ?? null]),
        [
          ['x@hotmail.com', 'blocked', 'hotmail-com.olc.protection.outlook.com', 550, 'Outlook.com and Exchange Online'],
          ['y@example.net', 'no-such-user', null, 550, null],
        ],
      );
    }
  });

  it('the fields alone are enough, as people copy them', () => {
    const [one] = explainText('Final-Recipient: rfc822;x@example.net\nAction: failed\nStatus: 5.2.2\nDiagnostic-Code: smtp;552 5.2.2 Over quota');
    assert.equal(one?.class, 'mailbox-full');
    assert.equal(one?.recipient, 'x@example.net');
  });

  it('our own reports are read too', () => {
    const address = parseMailbox('x@example.net');
    const from = parseMailbox('a@example.com');
    assert.ok(address !== null && from !== null);
    const dsn = composeDsn({
      kind: 'failed',
      id: '0123456789abcdef',
      hostname: 'relay.example.com',
      nowMs: Date.UTC(2026, 10, 24),
      original: {
        from,
        acceptedAtMs: Date.UTC(2026, 10, 23),
        headers: Buffer.from('Subject: x\r\n\r\n'),
        envid: null,
        ret: 'hdrs',
        body: null,
        expiresAtMs: Date.UTC(2026, 10, 27),
        receivedFrom: null,
      },
      recipients: [
        {
          address,
          orcpt: null,
          outcome: {
            code: 550,
            enhanced: '5.7.26',
            text: 'unauthenticated gsmtp',
            remoteHost: 'mx.google.com',
            remoteAddress: null,
            class: 'x',
            cause: 'c',
            fix: 'f',
            verdict: 'bounced',
            startedAtMs: 0,
          },
        },
      ],
    } as unknown as Parameters<typeof composeDsn>[0]);
    const [one] = explainText(Buffer.concat(dsn));
    assert.equal(one?.class, 'authentication-missing');
    assert.equal(one.recipient, 'x@example.net');
  });
});

describe('a whole log', () => {
  it('each failure once, in order, and nothing made up', () => {
    const line = 'postfix/smtp[1]: A: to=<x@example.net>, status=deferred (connect to mx.example.net[192.0.2.1]:25: Connection timed out)';
    const other = 'postfix/smtp[1]: B: to=<y@example.net>, status=bounced (host mx.example.net[192.0.2.1] said: 550 5.1.1 User unknown (in reply to RCPT TO command))';
    const explained = explainText([line, 'postfix/qmgr[1]: A: removed', line, other, other].join('\n'));
    assert.deepEqual(
      explained.map((one) => one.class),
      ['connection-timeout', 'no-such-user'],
    );
  });

  it('whatever bytes come: an answer, never a fault', () => {
    const piece = fc.oneof(
      fc.string(),
      fc.constantFrom('550 ', '5.1.1', '-', '\n', "(535, b'", 'said: ', 'host a[', 'Final-Recipient: ', 'Action: failed', '{"text":', '"', '421'),
    );
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 20 }).map((parts) => parts.join('')),
        (text) => void explainText(text),
      ),
      { numRuns: 3000 },
    );
    explainText('550-'.repeat(300_000));
    explainText('host '.repeat(200_000));
    explainText('550-5.1.1 a\n'.repeat(100_000));
    assert.ok(readStatements('x\n'.repeat(1_000_000)).length <= 5000);
  });
});

describe('the command', () => {
  const postern = (...args: string[]): ReturnType<typeof run> => run(process.execPath, ['--disable-warning=ExperimentalWarning', join(ROOT, 'src/cli/run.ts'), ...args]);

  it('tells people, and programs with --json', async () => {
    const text = '550 5.7.26 Your email has been blocked because the sender is unauthenticated. gsmtp';
    const people = await postern('doctor', 'explain', text);
    assert.equal(people.code, 0);
    for (const part of ['authentication-missing', 'Gmail', 'who acts', 'retrying', 'https://support.google.com/']) assert.ok(people.stdout.includes(part), part);
    const programs = await postern('--json', 'doctor', 'explain', text);
    const { explained } = JSON.parse(programs.stdout) as { explained: { class: string; who: string; retry: string }[] };
    assert.deepEqual([explained[0]?.class, explained[0]?.who, explained[0]?.retry], ['authentication-missing', 'operator', 'after-fix']);
  });

  it('reads a file, and says when nothing is known in it', async () => {
    const file = join(tempDir('bounce'), 'bounce.eml');
    writeFileSync(file, REPORT);
    assert.match((await postern('doctor', 'explain', '--file', file)).stdout, /recipient {2}x@hotmail\.com\n/);
    const nothing = await postern('doctor', 'explain', 'all is well');
    assert.equal(nothing.code, 1);
    assert.match(nothing.stdout, /Nothing in it is known/);
    assert.equal((await postern('doctor', 'explain')).code, 2);
    assert.equal((await postern('doctor', 'explain', '--file', '/nowhere')).code, 2);
  });
});
