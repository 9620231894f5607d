// The header as it is parsed, read and written: vectors, properties, and real messages whose bytes must come through.

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { decodeWords, findFields, foldHeader, formatDate, formatMessageId, oneLine, parseHeaders, parseMailboxes, removeFields } from '#mail/headers.ts';
import { countReceived, formatReceived } from '#mail/received.ts';

type Vectors = {
  mailboxes: { value: string; addresses: string[] }[];
  words: { value: string; text: string }[];
  headers: { head: string; fields: [string, string][]; body: string; complete: boolean; malformed: boolean }[];
};
const vectors = JSON.parse(readFileSync(new URL('../vectors/mail/headers.json', import.meta.url), 'utf8')) as Vectors;

describe('parseHeaders', () => {
  for (const vector of vectors.headers) {
    it(JSON.stringify(vector.head), () => {
      const bytes = Buffer.from(vector.head, 'utf8');
      const header = parseHeaders(bytes);
      assert.deepEqual(
        header.fields.map((field) => [field.name, field.value()]),
        vector.fields,
      );
      assert.equal(bytes.subarray(header.endOffset).toString(), vector.body);
      assert.equal(header.complete, vector.complete);
      assert.equal(header.malformed, vector.malformed);
    });
  }

  it('reads Latin-1 where the bytes are no UTF-8', () => {
    const [field] = parseHeaders(Buffer.from('Subject: caf\xe9\r\n\r\n', 'latin1')).fields;
    assert.equal(field?.value(), 'café');
  });

  it('keeps fields in order, apart, inside the header, for any bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('From', ':', ' ', '\t', '\r\n', '\n', '\r', 'x', '\0', 'é', '\r\n\r\n', 'a: b\r\n')), (parts) => {
        const head = Buffer.from(parts.join(''));
        const header = parseHeaders(head);
        let at = 0;
        for (const field of header.fields) {
          assert.ok(field.start >= at && field.end > field.start && field.end <= header.endOffset);
          assert.doesNotMatch(field.value(), /[\r\n\0]/);
          at = field.end;
        }
        assert.ok(header.endOffset <= head.length);
        assert.deepEqual(Buffer.concat(removeFields(head, header.fields, () => false)), head);
      }),
    );
  });

  it('says what a reader line by line says, for any header of whole lines', () => {
    const line = fc.constantFrom('From: a', 'from : b', 'Subject:', 'X-Y: c: d', ' more', '\tmore', ': no name', 'no colon', 'b\u00e9: x', 'a b: x', 'To:\0x');
    fc.assert(
      fc.property(fc.array(line, { maxLength: 12 }), (lines) => {
        // A field is a line with a name of printable ASCII before its colon, and the lines behind it that begin with white space.
        const expected: [string, string][] = [];
        let open = false;
        let malformed = false;
        for (const text of lines) {
          const name = /^([!-9;-~]+)[ \t]*:/.exec(text)?.[1];
          const last = expected.at(-1);
          if (/^[ \t]/.test(text)) {
            if (open && last !== undefined) last[1] += text;
            else malformed = true;
          } else {
            open = name !== undefined;
            if (name === undefined) malformed = true;
            else expected.push([name.toLowerCase(), text.slice(text.indexOf(':') + 1)]);
          }
        }
        const bytes = Buffer.from(`${lines.map((text) => `${text}\r\n`).join('')}\r\nbody: x\r\n`);
        const header = parseHeaders(bytes);
        assert.deepEqual(
          header.fields.map((field) => [field.name, field.value()]),
          expected.map(([name, value]) => [name, value.replace(/\p{Cc}/gu, ' ').trim()]),
        );
        assert.equal(header.malformed, malformed);
        assert.equal(bytes.toString('utf8', header.endOffset), 'body: x\r\n');
      }),
      { numRuns: 1000 },
    );
  });

  it('never throws and loses no byte, whatever the bytes and whatever is taken out', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array)),
      fc.array(fc.constantFrom('A: b\r\n', 'Bcc: c\n', ' d\r\n', '\r\n', ':', '\xff', '\r'), { maxLength: 20 }).map((parts) => Buffer.from(parts.join(''), 'latin1')),
    );
    fc.assert(
      fc.property(bytes, fc.array(fc.boolean(), { minLength: 1, maxLength: 8 }), (head, choice) => {
        const copy = Buffer.from(head);
        const { fields } = parseHeaders(head);
        const gone = new Set(fields.filter((_, i) => choice[i % choice.length]));
        const kept = Buffer.concat(removeFields(head, fields, (field) => gone.has(field)));
        const expected = fields.reduceRight((rest, field) => (gone.has(field) ? Buffer.concat([rest.subarray(0, field.start), rest.subarray(field.end)]) : rest), head);
        assert.deepEqual(kept, expected);
        assert.deepEqual(head, copy);
        for (const field of fields) for (const mailbox of parseMailboxes(field.value())) assert.equal(typeof mailbox.text, 'string');
      }),
      { numRuns: 3000 },
    );
  });
});

describe('removeFields', () => {
  it('takes out whole folded fields and copies nothing', () => {
    const head = Buffer.from('A: 1\r\nBcc: x@y,\r\n z@y\r\nB: 2\r\nbcc: q@y\r\n\r\nbody');
    const kept = removeFields(head, parseHeaders(head).fields, (field) => field.name === 'bcc');
    assert.equal(Buffer.concat(kept).toString(), 'A: 1\r\nB: 2\r\n\r\nbody');
    assert.ok(kept.every((slice) => slice.buffer === head.buffer));
  });

  it('findFields finds by lower-case name', () => {
    const { fields } = parseHeaders(Buffer.from('To: a\r\nTO: b\r\nCc: c\r\n\r\n'));
    assert.deepEqual(
      findFields(fields, 'to').map((field) => field.value()),
      ['a', 'b'],
    );
  });

  const corpora = { 'libpython3-testsuite': '/usr/lib/python3.11/test/test_email/data', spamassassin: '/usr/share/doc/spamassassin/examples' };
  for (const [name, corpus] of Object.entries(corpora)) {
    it(`leaves every byte of the samples of ${name} that it does not remove`, { skip: existsSync(corpus) ? false : `the package ${name} is not installed` }, () => {
      const names = readdirSync(corpus).filter((name) => name.endsWith('.txt'));
      assert.ok(names.length > 0);
      for (const name of names) {
        const bytes = readFileSync(join(corpus, name));
        const { fields, endOffset } = parseHeaders(bytes);
        assert.deepEqual(Buffer.concat(removeFields(bytes, fields, () => false)), bytes, name);
        const removed = fields.map((field) => bytes.subarray(field.start, field.end));
        const gone = Buffer.concat(removeFields(bytes, fields, () => true));
        assert.equal(gone.length + removed.reduce((sum, part) => sum + part.length, 0), bytes.length, name);
        assert.ok(gone.toString('latin1').endsWith(bytes.toString('latin1', endOffset)), name);
      }
    });
  }
});

describe('parseMailboxes', () => {
  for (const { value, addresses } of vectors.mailboxes) {
    it(value, () => {
      assert.deepEqual(
        parseMailboxes(value).map((address) => (address.domain === '' ? `unreadable ${address.text}` : `${address.local}@${address.domain}`)),
        addresses,
      );
    });
  }

  it('reads back what it wrote, for any local part', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[!-~ ]{1,20}$/), (local) => {
        const quoted = `"${local.replace(/["\\]/g, '\\$&')}"@example.com`;
        const [first] = parseMailboxes(quoted);
        assert.equal(first?.local, local);
        assert.deepEqual(parseMailboxes(`Name <${first.text}>`), [first]);
      }),
    );
  });

  it('ends on any text', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('a', '@', '<', '>', '"', '(', ')', '[', ']', '\\', ',', ';', ':', '.', ' ', 'é')), (parts) =>
        Array.isArray(parseMailboxes(parts.join(''))),
      ),
    );
  });
});

describe('decodeWords', () => {
  for (const { value, text } of vectors.words) it(value, () => assert.equal(decodeWords(value), text));
});

describe('writing', () => {
  it('formats dates with their offset', () => {
    assert.equal(formatDate(Date.UTC(2026, 10, 4, 3, 2, 1)), 'Wed, 04 Nov 2026 03:02:01 +0000');
  });

  it('folds under 78 columns and lets nothing in that ends a line', () => {
    const field = foldHeader('X-Test', [...Array.from({ length: 30 }, () => 'token'), 'a\r\nBcc: victim@example.com', '\u2028']);
    const lines = field.split('\r\n');
    assert.equal(lines.pop(), '');
    assert.ok(lines.length > 1 && lines.every((line, n) => line.length < 78 && (n === 0 || line.startsWith('\t'))));
    assert.equal(parseHeaders(Buffer.from(field)).fields.length, 1);
    assert.equal(oneLine('a\r\n\0b'), 'a b');
    assert.equal(formatMessageId('a>\r\nb', 'h ost'), '<ab@host>');
  });
});

describe('Received', () => {
  const base = {
    helo: 'client.example',
    clientAddress: '192.0.2.7',
    hostname: 'relay.example.com',
    extended: true,
    tls: { protocol: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384', serverName: null },
    authenticated: true,
    smtpUtf8: false,
    id: '0123456789abcdef',
    recipient: { local: 'bob', domain: 'example.org', text: 'bob@example.org' },
    nowMs: Date.UTC(2026, 10, 24),
  };
  const value = (options: Partial<typeof base>): string => {
    const text = formatReceived({ ...base, ...options } as typeof base);
    assert.ok(text.endsWith('\r\n'));
    const { fields, malformed } = parseHeaders(Buffer.from(`${text}\r\n`));
    assert.equal(fields.length, 1);
    assert.equal(malformed, false);
    return (fields[0]?.value() ?? '').replace(/\s+/g, ' ');
  };

  it('says all there is', () => {
    assert.equal(
      value({}),
      'from client.example ([192.0.2.7]) by relay.example.com with ESMTPSA (TLSv1.3 TLS_AES_256_GCM_SHA384) id 0123456789abcdef for <bob@example.org>; Tue, 24 Nov 2026 00:00:00 +0000',
    );
    assert.ok(
      formatReceived(base)
        .split('\r\n')
        .every((line) => line.length < 78),
    );
  });

  const protocols: [Partial<Record<'extended' | 'authenticated' | 'smtpUtf8' | 'secure', boolean>>, string][] = [
    [{ extended: false, authenticated: false, secure: false }, 'SMTP'],
    [{ authenticated: false, secure: false }, 'ESMTP'],
    [{ authenticated: false }, 'ESMTPS'],
    [{ secure: false }, 'ESMTPA'],
    [{ smtpUtf8: true }, 'UTF8SMTPSA'],
  ];
  for (const [{ secure = true, ...flags }, name] of protocols) {
    it(`with ${name}`, () => assert.match(value({ ...flags, ...(secure ? {} : { tls: null as never }) }), new RegExp(` with ${name} `)));
  }

  it('writes IPv6 as a literal, hides several recipients and unsafe names', () => {
    const text = value({ clientAddress: '2001:db8::1', recipient: null as never, helo: 'a)\r\nBcc: x (' });
    assert.match(text, /^from aBcc:x \(\[IPv6:2001:db8::1\]\) by/);
    assert.doesNotMatch(text, / for /);
  });

  it('keeps UTF-8 addresses to UTF-8 messages', () => {
    const recipient = { local: 'jürgen', domain: 'example.org', text: 'jürgen@example.org' };
    assert.doesNotMatch(value({ recipient }), / for /);
    assert.match(value({ recipient, smtpUtf8: true }), / for <jürgen@example.org>;/);
  });

  it('counts', () => {
    assert.equal(countReceived(parseHeaders(Buffer.from('Received: a\r\nRECEIVED: b\r\n c\r\nX: Received: d\r\n\r\nReceived: e')).fields), 2);
  });
});
