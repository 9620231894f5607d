// 8-bit messages made fit for a hop without 8BITMIME: everything ASCII afterwards, every part the same to a reader, and what must not be
// touched is not. Python's email package reads both.
// Needs: python3

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { isAscii } from 'node:buffer';
import { describe, it } from 'node:test';
import { downgrade } from '#mail/downgrade.ts';

const READ = `
import email, email.policy, json, sys
message = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.compat32)
out = []
for part in message.walk():
    leaf = not part.is_multipart()
    out.append([part.get_content_type(), part.get_content_charset(), part.get_filename(), part.get_payload(decode=True).hex() if leaf else None])
json.dump(out, sys.stdout)
`;

type Leaf = [type: string, charset: string | null, filename: string | null, content: string | null];

const read = (content: Buffer): Leaf[] => JSON.parse(execFileSync('/usr/bin/python3', ['-c', READ], { input: content }).toString()) as Leaf[];
const lines = (...text: readonly (string | Buffer)[]): Buffer => Buffer.concat(text.flatMap((one) => [typeof one === 'string' ? Buffer.from(one) : one, Buffer.from('\r\n')]));

function converted(content: Buffer): Buffer {
  const result = downgrade(content);
  assert.ok('chunks' in result, 'problem' in result ? result.problem : '');
  const bytes = Buffer.concat(result.chunks);
  assert.ok(isAscii(bytes));
  assert.ok(
    bytes
      .toString()
      .split('\r\n')
      .every((line) => line.length <= 998 && !/[\r\n]/.test(line)),
  );
  return bytes;
}

/** Converts, and holds the parts against what they were. */
function same(content: Buffer): string {
  const bytes = converted(content);
  assert.deepEqual(read(bytes), read(content));
  return bytes.toString();
}

const LATIN1 = Buffer.from('Grüße = Gr\u00fc\u00dfe\tEnde ', 'latin1');
const BINARY = Buffer.from(Array.from({ length: 200 }, (_, i) => (i * 7) % 256).filter((byte) => byte !== 13 && byte !== 10 && byte !== 0));

describe('downgrade', () => {
  it('leaves ASCII alone', () => {
    const content = lines('Subject: x', 'Content-Transfer-Encoding: 8bit', '', 'plain');
    const result = downgrade(content);
    assert.ok('chunks' in result && Buffer.concat(result.chunks).equals(content));
  });

  it('makes text quoted-printable, and says so once', () => {
    const text = same(
      lines(
        'MIME-Version: 1.0',
        'Content-Type: text/plain; charset=iso-8859-1',
        'content-transfer-encoding: 8BIT',
        'Subject: x',
        '',
        LATIN1,
        '',
        '.dot',
        'From here',
        'ä'.repeat(600),
      ),
    );
    assert.equal(text.match(/^content-transfer-encoding:/gim)?.length, 1);
    assert.match(text, /^Content-Transfer-Encoding: quoted-printable\r\n/m);
  });

  it('gives a bare 8-bit message the fields that make it readable', () => {
    const utf8 = converted(lines('Subject: x', '', 'Grüße')).toString();
    assert.match(utf8, /^MIME-Version: 1\.0\r\n/m);
    assert.match(utf8, /^Content-Type: text\/plain; charset=utf-8\r\n/m);
    assert.deepEqual(read(Buffer.from(utf8))[0], ['text/plain', 'utf-8', null, lines('Grüße').toString('hex')]);
    assert.match(converted(lines('Subject: x', '', LATIN1)).toString(), /charset=unknown-8bit/);
  });

  it('goes into multiparts and messages, changes only the parts that need it, and keeps preamble, delimiters and epilogue', () => {
    const inner = lines('From: a@b', 'Subject: inner', 'MIME-Version: 1.0', 'Content-Type: text/html; charset=utf-8', 'Content-Transfer-Encoding: 8bit', '', '<p>Köln</p>');
    const text = same(
      lines(
        'MIME-Version: 1.0',
        'Content-Type: multipart/mixed;',
        ' boundary="=_o;uter"',
        'Content-Transfer-Encoding: 8bit',
        '',
        'preamble',
        '--=_o;uter',
        'Content-Type: multipart/alternative; boundary==_o',
        '',
        '--=_o',
        'Content-Type: text/plain; charset=utf-8',
        '',
        'Grüße',
        '--=_o',
        'Content-Type: text/html; charset=us-ascii',
        'Content-Transfer-Encoding: 7bit',
        '',
        '<p>as it was = </p>',
        '--=_o--',
        '--=_o;uter',
        'Content-Type: application/octet-stream; name=data',
        'Content-Disposition: attachment; filename=data',
        'Content-Transfer-Encoding: 8bit',
        '',
        BINARY,
        '--=_o;uter',
        'Content-Type: message/rfc822',
        'Content-Transfer-Encoding: 8bit',
        '',
        inner,
        '--=_o;uter--',
        'epilogue',
      ),
    );
    assert.match(text, /<p>as it was = <\/p>/);
    assert.match(text, /Content-Transfer-Encoding: base64/);
    assert.match(text, /preamble\r\n--=_o;uter\r\n/);
    assert.match(text, /--=_o;uter--\r\nepilogue\r\n$/);
    assert.ok(!/8bit/i.test(text));
  });

  it('masks what stands between the parts, which nobody reads', () => {
    const text = converted(
      lines('MIME-Version: 1.0', 'Content-Type: multipart/mixed; boundary=b', '', 'Vorwort für niemanden', '--b', '', 'plain', '--b--', 'Nachwort für niemanden'),
    ).toString();
    assert.match(text, /Vorwort f\?+r niemanden/);
  });

  for (const [name, content, problem] of [
    [
      'signed parts',
      lines(
        'MIME-Version: 1.0',
        'Content-Type: multipart/signed; boundary=b; protocol="application/pgp-signature"; micalg=pgp-sha256',
        '',
        '--b',
        'Content-Type: text/plain; charset=utf-8',
        '',
        'Grüße',
        '--b',
        'Content-Type: application/pgp-signature',
        '',
        'sig',
        '--b--',
      ),
      /signed/,
    ],
    [
      'encrypted parts',
      lines('MIME-Version: 1.0', 'Content-Type: multipart/encrypted; boundary=b', '', '--b', 'Content-Type: application/octet-stream', '', 'Grüße', '--b--'),
      /encrypted/,
    ],
    ['header fields that are not ASCII', lines('Subject: Grüße', '', 'Grüße'), /header/],
    ['message parts that may not be encoded', lines('MIME-Version: 1.0', 'Content-Type: message/partial; id=x; number=1', '', 'Grüße'), /message\/partial/],
    ['a multipart without a boundary', lines('MIME-Version: 1.0', 'Content-Type: multipart/mixed', '', 'Grüße'), /boundary/],
    ['parts that say they are encoded', lines('MIME-Version: 1.0', 'Content-Type: text/plain', 'Content-Transfer-Encoding: base64', '', 'Grüße'), /base64/],
    [
      'nesting without end',
      Buffer.from(`Subject: deep\r\n${Array.from({ length: 30 }, (_, i) => `Content-Type: multipart/mixed; boundary=b${i}\r\n\r\n--b${i}\r\n`).join('')}\r\nGrüße\r\n`),
      /nested/,
    ],
  ] as const) {
    it(`does not touch ${name}, and says why`, () => {
      const result = downgrade(content);
      assert.ok('problem' in result);
      assert.match(result.problem, problem);
    });
  }

  it('leaves a signed part alone when it is another one that has to be changed', () => {
    const signed = [
      'Content-Type: multipart/signed; boundary=s',
      '',
      '--s',
      'Content-Type: text/plain',
      '',
      'signed = text ',
      '--s',
      'Content-Type: application/pgp-signature',
      '',
      'sig',
      '--s--',
    ];
    const text = same(
      lines('MIME-Version: 1.0', 'Content-Type: multipart/mixed; boundary=b', '', '--b', ...signed, '--b', 'Content-Type: text/plain; charset=utf-8', '', 'Grüße', '--b--'),
    );
    assert.ok(text.includes(signed.join('\r\n')));
  });

  it('never throws, and never gives out other than ASCII, whatever comes in', () => {
    const base = lines(
      'MIME-Version: 1.0',
      'Content-Type: multipart/mixed; boundary=b',
      '',
      '--b',
      'Content-Type: text/plain; charset=utf-8',
      'Content-Transfer-Encoding: 8bit',
      '',
      'Grüße',
      '--b',
      'Content-Type: message/rfc822',
      '',
      'Subject: y',
      '',
      'ä',
      '--b--',
    );
    for (let round = 0; round < 2000; round++) {
      const bytes = Buffer.from(base);
      for (let i = 0; i < 1 + (round % 8); i++) bytes[Math.floor(Math.random() * bytes.length)] = [13, 10, 45, 98, 200, 32, 58][Math.floor(Math.random() * 7)] as number;
      const result = downgrade(bytes.subarray(0, Math.floor(Math.random() * bytes.length)));
      if ('chunks' in result) assert.ok(isAscii(Buffer.concat(result.chunks)));
    }
  });
});
