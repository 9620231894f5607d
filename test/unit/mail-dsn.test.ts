// Notifications: structure and fields by vector, judged by Python's email package where it is there, and safe for any input.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { isAscii } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { composeDsn, dsnFacts } from '#mail/dsn.ts';
import type { DsnOptions } from '#mail/dsn.ts';
import { encodeBase64Lines, encodeQuotedPrintable } from '#mail/encodings.ts';
import { parseHeaders } from '#mail/headers.ts';

const NOW_MS = Date.UTC(2026, 10, 24, 12);

const bounce: DsnOptions = {
  kind: 'failed',
  hostname: 'relay.example.com',
  id: 'dsn0000000000001',
  nowMs: NOW_MS,
  retryUntilMs: null,
  boundary: 'b0undary',
  original: {
    from: { local: 'app', domain: 'example.com', text: 'app@example.com' },
    envid: 'order-77',
    ret: null,
    acceptedAtMs: NOW_MS - 60_000,
    headers: Buffer.from('From: app@example.com\r\nTo: bob@example.org\r\nSubject: Your order\r\nMessage-ID: <order-77@example.com>\r\n\r\n'),
    body: [Buffer.from('line one\r\n'), Buffer.from('--b0\r\nline two\r\n')],
  },
  recipients: [
    {
      address: { local: 'bob', domain: 'example.org', text: 'bob@example.org' },
      orcpt: { type: 'rfc822', value: 'robert@example.net' },
      outcome: {
        scope: 'recipient',
        code: 550,
        enhanced: '5.1.1',
        text: '5.1.1 No such user here',
        cause: 'The mailbox does not exist at example.org.',
        fix: 'Check the address for typing errors.',
        remoteHost: 'mx1.example.org',
        startedAtMs: NOW_MS - 1500,
        durationMs: 500,
      },
    },
  ],
};
const [bob] = bounce.recipients;
assert.ok(bob?.outcome);
const jürgen = { local: 'jürgen', domain: 'example.org', text: 'jürgen+x@example.org' };

type Part = { type: string; encoding: string; content: string };
type Parsed = { header: Map<string, string>; parts: Part[]; text: string };

function parse(options: DsnOptions): Parsed {
  const bytes = Buffer.concat(composeDsn(options));
  const text = bytes.toString('utf8');
  assert.ok(
    text.split('\r\n').every((line) => Buffer.byteLength(line) <= 998 && !/[\r\n]/.test(line)),
    'lines end in CRLF and are short',
  );
  const { fields, endOffset, malformed } = parseHeaders(bytes);
  assert.equal(malformed, false);
  const header = new Map(fields.map((field) => [field.name, field.value().replace(/\s+/g, ' ')]));
  const boundary = /boundary="([^"]+)"/.exec(header.get('content-type') ?? '')?.[1];
  const sections = bytes.toString('utf8', endOffset).split(`\r\n--${boundary}`);
  assert.equal(sections.at(-1), '--\r\n');
  const parts = sections.slice(1, -1).map((section) => {
    const part = Buffer.from(section.slice(2));
    const head = parseHeaders(part);
    const value = (name: string): string => head.fields.find((field) => field.name === name)?.value() ?? '';
    return { type: value('content-type'), encoding: value('content-transfer-encoding'), content: part.toString('utf8', head.endOffset) };
  });
  return { header, parts, text };
}

describe('a bounce', () => {
  const { header, parts } = parse(bounce);

  it('is an automatic message to the sender, about theirs', () => {
    assert.equal(header.get('from'), 'Mail Delivery System <MAILER-DAEMON@relay.example.com>');
    assert.equal(header.get('to'), '<app@example.com>');
    assert.equal(header.get('auto-submitted'), 'auto-replied');
    assert.equal(header.get('message-id'), '<dsn0000000000001@relay.example.com>');
    assert.equal(header.get('references'), '<order-77@example.com>');
    assert.equal(header.get('date'), 'Tue, 24 Nov 2026 12:00:00 +0000');
    assert.match(header.get('content-type') ?? '', /^multipart\/report; report-type=delivery-status;/);
    assert.deepEqual(dsnFacts(bounce), { subject: header.get('subject'), messageId: header.get('message-id'), smtpUtf8: false });
  });

  it('tells people what happened, what to do, and what the other side said', () => {
    assert.equal(parts.length, 3);
    assert.match(parts[0]?.type ?? '', /^text\/plain; charset=utf-8$/);
    const text = parts[0]?.content ?? '';
    for (const words of [
      'could not be delivered to one recipient',
      'Subject: Your order',
      '<bob@example.org> (you wrote to robert@example.net)',
      'What happened: The mailbox does not exist',
      'What to do: Check the address',
      'said: 550 5.1.1 No such user here',
    ]) {
      assert.ok(text.replace(/\s+/g, ' ').includes(words), words);
    }
  });

  it('tells programs', () => {
    assert.equal(parts[1]?.type, 'message/delivery-status');
    assert.equal(
      parts[1]?.content,
      [
        'Original-Envelope-Id: order-77',
        'Reporting-MTA: dns; relay.example.com',
        'Arrival-Date: Tue, 24 Nov 2026 11:59:00 +0000',
        '',
        'Original-Recipient: rfc822; robert@example.net',
        'Final-Recipient: rfc822; bob@example.org',
        'Action: failed',
        'Status: 5.1.1',
        'Remote-MTA: dns; mx1.example.org',
        'Diagnostic-Code: smtp; 550 5.1.1 No such user here',
        'Last-Attempt-Date: Tue, 24 Nov 2026 11:59:59 +0000',
        '',
      ].join('\r\n'),
    );
  });

  it('returns the header, or the whole when asked', () => {
    assert.equal(parts[2]?.type, 'text/rfc822-headers');
    assert.equal(`${parts[2]?.content}\r\n`, bounce.original.headers.toString());
    const full = parse({ ...bounce, original: { ...bounce.original, ret: 'full' } });
    assert.equal(full.parts[2]?.type, 'message/rfc822');
    assert.equal(full.parts[2]?.encoding, '7bit');
    assert.equal(full.parts[2]?.content, `${bounce.original.headers}line one\r\n--b0\r\nline two\r\n`);
    for (const original of [
      { ...bounce.original, ret: 'full' as const, body: null },
      { ...bounce.original, ret: 'hdrs' as const },
    ]) {
      assert.equal(parse({ ...bounce, original }).parts[2]?.type, 'text/rfc822-headers');
    }
    assert.equal(parse({ ...bounce, kind: 'delayed', original: { ...bounce.original, ret: 'full' } }).parts[2]?.type, 'text/rfc822-headers');
  });
});

describe('other kinds', () => {
  it('a delay says until when', () => {
    const { parts, header } = parse({
      ...bounce,
      kind: 'delayed',
      retryUntilMs: NOW_MS + 3_600_000,
      recipients: [{ ...bob, outcome: { ...bob.outcome!, code: 0, enhanced: '', text: 'connection timed out' } }],
    });
    assert.equal(header.get('subject'), 'Your message is delayed');
    assert.match(
      parts[1]?.content ?? '',
      /Action: delayed\r\nStatus: 4\.0\.0\r\n[^]*Diagnostic-Code: x-postern; connection timed out\r\n[^]*Will-Retry-Until: Tue, 24 Nov 2026 13:00:00 \+0000\r\n$/,
    );
    assert.match(parts[0]?.content ?? '', /Delivery is tried until Tue, 24 Nov 2026 13:00:00/);
  });

  it('what was sent and never answered may have arrived', () => {
    const text = (possibleDuplicate: boolean): string => parse({ ...bounce, recipients: [{ ...bob, outcome: { ...bob.outcome!, possibleDuplicate } }] }).parts[0]?.content ?? '';
    assert.match(text(true).replace(/\s+/g, ' '), /It may have arrived all the same: the server got the whole message, and did not answer\./);
    assert.doesNotMatch(text(false), /may have arrived/);
  });

  const statuses: [DsnOptions['kind'], string, number, string][] = [
    ['failed', '5.7.1', 550, '5.7.1'],
    ['failed', '', 550, '5.0.0'],
    ['failed', '4.4.7', 0, '4.4.7'],
    ['failed', '2.0.0', 0, '5.0.0'],
    ['failed', '', 451, '4.0.0'],
    ['delayed', '5.1.1', 451, '4.0.0'],
    ['delivered', '2.1.5', 250, '2.1.5'],
    ['delivered', '', 250, '2.0.0'],
    ['relayed', '5.1', 0, '2.0.0'],
    ['expanded', '', 0, '2.0.0'],
  ];
  for (const [kind, enhanced, code, expected] of statuses) {
    it(`${kind} with "${enhanced}" ${code} has status ${expected}`, () => {
      const { parts } = parse({ ...bounce, kind, recipients: [{ ...bob, outcome: { ...bob.outcome!, enhanced, code } }] });
      assert.match(parts[1]?.content ?? '', new RegExp(`Action: ${kind}\r\nStatus: ${expected.replaceAll('.', '\\.')}\r\n`));
    });
  }

  it('many recipients: all in the report, a bound for people', () => {
    const recipients = Array.from({ length: 250 }, (_, n) => ({ ...bob, address: { ...bob.address, text: `u${n}@example.org` } }));
    const { parts } = parse({ ...bounce, recipients });
    assert.equal(parts[1]?.content.match(/Final-Recipient/g)?.length, 250);
    assert.match(parts[0]?.content ?? '', /150 more recipients/);
  });
});

describe('other than ASCII', () => {
  const headers = Buffer.from('From: app@example.com\r\nSubject: Grüße ✓\r\n\r\n');

  it('stays ASCII for a sender whose address is ASCII', () => {
    const options: DsnOptions = {
      ...bounce,
      original: { ...bounce.original, headers },
      recipients: [{ ...bob, address: jürgen, outcome: { ...bob.outcome!, text: '5.1.1 Empfänger unbekannt' } }],
    };
    const { parts } = parse(options);
    assert.ok(composeDsn(options).every((chunk) => isAscii(chunk)));
    assert.equal(dsnFacts(options).smtpUtf8, false);
    assert.match(parts[1]?.content ?? '', /Final-Recipient: utf-8; j\\x\{FC\}rgen\\x\{2B\}x@example\.org\r\n/);
    assert.equal(parts[1]?.type, 'message/delivery-status');
    assert.deepEqual([parts[2]?.type, parts[2]?.encoding], ['message/global-headers', 'quoted-printable']);
    const full = parse({ ...options, original: { ...options.original, ret: 'full' } });
    assert.deepEqual([full.parts[2]?.type, full.parts[2]?.encoding], ['message/global', 'base64']);
    assert.equal(Buffer.from(full.parts[2]?.content ?? '', 'base64').toString(), `${headers}line one\r\n--b0\r\nline two\r\n`);
  });

  it('is UTF-8 for a sender whose address is', () => {
    const options: DsnOptions = { ...bounce, original: { ...bounce.original, headers, ret: 'full', from: jürgen }, recipients: [{ ...bob, address: jürgen }] };
    const { parts, header } = parse(options);
    assert.equal(dsnFacts(options).smtpUtf8, true);
    assert.equal(header.get('to'), '<jürgen+x@example.org>');
    assert.match(header.get('content-type') ?? '', /report-type=global-delivery-status;/);
    assert.deepEqual(
      parts.map((part) => part.type),
      ['text/plain; charset=utf-8', 'message/global-delivery-status', 'message/global'],
    );
    assert.deepEqual(
      parts.map((part) => part.encoding),
      ['8bit', '8bit', '8bit'],
    );
    assert.match(parts[1]?.content ?? '', /Final-Recipient: utf-8; jürgen\+x@example\.org\r\n/);
  });

  it('returns 8-bit content that is no UTF-8 as it is, its header encoded', () => {
    const latin1 = Buffer.from('Subject: caf\xe9\r\n\r\n', 'latin1');
    const chunks = composeDsn({ ...bounce, original: { ...bounce.original, headers: latin1, ret: 'full' } });
    assert.ok(Buffer.concat(chunks).includes(latin1));
    assert.match(parse({ ...bounce, original: { ...bounce.original, headers: latin1 } }).parts[2]?.content ?? '', /Subject: caf=E9/);
  });
});

describe('any input', () => {
  const nasty = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 60 }),
    fc.constantFrom('a\r\nBcc: victim@example.com', '\r\n\r\n--b0undary--\r\n', 'x'.repeat(5000), '\u2028', 'é'.repeat(1500)),
  );
  it('neither breaks the structure nor adds a field', () => {
    fc.assert(
      fc.property(nasty, nasty, nasty, fc.constantFrom('app@example.com', 'jürgen@example.org'), (one, two, three, from) => {
        const { parts, header } = parse({
          ...bounce,
          // Random in earnest: what a sender or a receiver says can hold any boundary but this one.
          boundary: 'nobody-can-guess-this',
          original: { ...bounce.original, envid: one, from: { local: 'a', domain: 'b', text: from }, headers: Buffer.from(`Subject: ${two.replace(/[\r\n]/g, '')}\r\n\r\n`) },
          recipients: [
            { address: bob.address, orcpt: { type: one, value: two }, outcome: { ...bob.outcome!, enhanced: one, text: two, cause: three, fix: one, remoteHost: three } },
          ],
        });
        assert.equal(parts.length, 3);
        assert.equal(header.has('bcc'), false);
        const [message, recipient, ...more] = (parts[1]?.content ?? '').split('\r\n\r\n');
        assert.deepEqual(more, []);
        const names = (block = ''): string[] => parseHeaders(Buffer.from(`${block}\r\n`)).fields.map((field) => field.name);
        assert.ok(names(message).every((name) => ['original-envelope-id', 'reporting-mta', 'arrival-date'].includes(name)));
        assert.ok(
          names(recipient).every((name) => ['original-recipient', 'final-recipient', 'action', 'status', 'remote-mta', 'diagnostic-code', 'last-attempt-date'].includes(name)),
        );
      }),
      { numRuns: 1000 },
    );
  });

  it('encodings are undone by their decoders', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (array) => {
        const bytes = Buffer.from(array);
        const encoded = encodeQuotedPrintable(bytes);
        assert.ok(encoded.split('\r\n').every((line) => line.length <= 76 && !/[ \t]$/.test(line)));
        const decoded = encoded.replace(/=\r\n/g, '').replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
        assert.deepEqual(Buffer.from(decoded, 'latin1'), bytes);
        assert.deepEqual(Buffer.from(encodeBase64Lines(bytes), 'base64'), bytes);
      }),
    );
  });
});

describe("Python's email package", () => {
  const judge = new URL('../vectors/mail/judge-dsn.py', import.meta.url).pathname;
  const python = spawnSync('python3', ['--version']).status === 0;
  const variants: Record<string, DsnOptions> = {
    bounce,
    full: { ...bounce, original: { ...bounce.original, ret: 'full' } },
    ascii: { ...bounce, original: { ...bounce.original, headers: Buffer.from('Subject: Grüße\r\n\r\n') }, recipients: [{ ...bob, address: jürgen }, bob] },
    global: { ...bounce, original: { ...bounce.original, from: jürgen }, recipients: [{ ...bob, address: jürgen }] },
  };
  for (const [name, options] of Object.entries(variants)) {
    it(`finds no defect in ${name}`, { skip: python ? false : 'python3 is not installed' }, () => {
      const { stdout, stderr, status } = spawnSync('python3', [judge], { input: Buffer.concat(composeDsn(options)), encoding: 'utf8' });
      assert.equal(status, 0, stderr);
      const seen = JSON.parse(stdout) as { defects: string[]; types: string[]; recipients: number; text: string };
      assert.deepEqual(seen.defects, []);
      assert.equal(seen.types[0], 'multipart/report');
      assert.equal(seen.recipients, options.recipients.length);
      assert.match(seen.text, /What to do: Check the address/);
    });
  }
  it('the judge is there', () => assert.match(readFileSync(judge, 'utf8'), /defects/));
});
