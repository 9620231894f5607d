// The grammar for any text: it never throws, what it takes it can write again, and what it writes it takes.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { canonicalDomain, formatPath, isAsciiAddress, parseMailbox, parsePath } from '#smtp/address.ts';
import { decodeXtext, encodeUtf8Orcpt, encodeXtext, parseBdat, parseHelo, parseLine, parseMail, parseRcpt } from '#smtp/grammar.ts';

const HOST = { smtpUtf8: true, postmasterDomain: 'relay.test' };

const pieces = fc
  .array(
    fc.constantFrom(
      'FROM:',
      'TO:',
      '<',
      '>',
      '@',
      '"',
      '\\',
      '.',
      ',',
      ':',
      ';',
      '[',
      ']',
      ' ',
      '\t',
      'a',
      'b.example',
      'example.com',
      'IPv6:',
      '::1',
      '192.0.2.1',
      'SIZE=',
      'BODY=8BITMIME',
      'SMTPUTF8',
      'RET=',
      'ENVID=',
      'NOTIFY=NEVER',
      'ORCPT=',
      'rfc822;',
      'utf-8;',
      '+2B',
      '\\x{',
      '}',
      '=',
      '%',
      'é',
      'ü',
      '\u200b',
      '\ud800',
      'x'.repeat(70),
    ),
    { maxLength: 14 },
  )
  .map((parts) => parts.join(''));
const anything = fc.oneof(pieces, fc.string({ unit: 'binary', maxLength: 60 }), fc.string({ maxLength: 60 }));

const atom = fc.stringMatching(/^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,12}$/);
const label = fc.stringMatching(/^[a-z0-9](?:[a-z0-9-]{0,10}[a-z0-9])?$/);
const dotAtom = fc.array(atom, { minLength: 1, maxLength: 3 }).map((atoms) => atoms.join('.'));
const quoted = fc.stringMatching(/^[ -~]{0,20}$/).map((text) => `"${text.replace(/["\\]/g, '\\$&')}"`);
const utf8Local = fc.stringMatching(/^[a-zäöüßéñ用户]{1,12}$/u);
const local = fc.oneof(dotAtom, quoted, utf8Local);
const domain = fc.oneof(
  fc.tuple(fc.array(label, { minLength: 1, maxLength: 3 }), fc.constantFrom('example', 'test', 'com')).map(([labels, last]) => [...labels, last].join('.')),
  fc.constantFrom('[192.0.2.1]', '[IPv6:2001:db8::1]', 'bücher.example', 'xn--bcher-kva.example'),
);
const mailbox = fc.tuple(local, domain).map(([left, right]) => `${left}@${right}`);

describe('the grammar', () => {
  it('never throws, whatever comes', () => {
    fc.assert(
      fc.property(anything, (text) => {
        for (const parse of [
          () => parseMail(text),
          () => parseRcpt(text, HOST),
          () => parseBdat(text),
          () => parseHelo(text),
          () => parsePath(text, { empty: true }),
          () => parseMailbox(text),
          () => canonicalDomain(text),
          () => decodeXtext(text),
        ])
          parse();
      }),
      { numRuns: 5000 },
    );
  });

  it('takes any bytes for a line, or says that they are none', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        const line = parseLine(Buffer.from(bytes));
        if (line !== null) assert.match(line.verb, /^[\x21-\x7e]*$/);
      }),
      { numRuns: 3000 },
    );
  });
});

describe('addresses', () => {
  it('valid ones are taken, and come back as they were written', () => {
    fc.assert(
      fc.property(mailbox, (text) => {
        const address = parseMailbox(text);
        assert.ok(address !== null, text);
        assert.equal(address.text, text);
        const path = formatPath(address);
        assert.deepEqual(parsePath(path, { empty: false }), { path: address, rest: '' });
        assert.deepEqual(parsePath(`<@hop.example,@other.example:${text}> SIZE=1`, { empty: false }), { path: address, rest: ' SIZE=1' });
        const mail = parseMail(`FROM:${path} SMTPUTF8`);
        assert.ok(!('code' in mail));
        assert.deepEqual(mail.from, address);
      }),
      { numRuns: 2000 },
    );
  });

  it('whatever is taken is one mailbox, canonical, and stays what it is', () => {
    fc.assert(
      fc.property(anything, (text) => {
        const address = parseMailbox(text);
        if (address === null) return;
        // Nothing in it could end the path or the line it goes out in.
        assert.doesNotMatch(address.text, /[\p{Cc}]/u);
        assert.ok(Buffer.byteLength(address.local) <= 64 && address.domain.length <= 253);
        assert.match(address.domain, /^[a-z0-9_.:[\]-]+$/);
        assert.equal(canonicalDomain(address.domain), address.domain);
        assert.deepEqual(parsePath(formatPath(address), { empty: false })?.path, address);
        // ASCII says that it may go out without SMTPUTF8.
        assert.equal(isAsciiAddress(address), /^[\x20-\x7e]*$/.test(address.text));
      }),
      { numRuns: 5000 },
    );
  });

  it('the domain is that of the text behind its last @, for whoever reads it', () => {
    fc.assert(
      fc.property(local, domain, fc.constantFrom('/', '#', '?', '\\', '%2e', '%00', ':80', '@', '\t', '。', '\u00ad', '\u200b'), domain, (left, first, between, second) => {
        const text = `${left}@${first}${between}${second}`;
        const address = parseMailbox(text);
        if (address !== null) assert.equal(address.domain, canonicalDomain(text.slice(text.lastIndexOf('@') + 1)), text);
        // Nothing between two domains makes one of them the domain.
        assert.notEqual(address?.domain, canonicalDomain(first), text);
      }),
      { numRuns: 3000 },
    );
  });
});

describe('xtext', () => {
  it('carries any printable ASCII there and back', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[ -~]{0,40}$/), (text) => {
        const encoded = encodeXtext(text);
        assert.match(encoded, /^[!-*,-<>-~+A-F0-9]*$/);
        assert.equal(decodeXtext(encoded), text);
      }),
    );
  });

  it('is a value of ENVID and ORCPT that we take ourselves', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[ -~]{1,30}$/), (text) => {
        const mail = parseMail(`FROM:<a@example.com> ENVID=${encodeXtext(text)}`);
        assert.equal('code' in mail ? mail.lines[0] : mail.envid, text);
        const rcpt = parseRcpt(`TO:<a@example.com> ORCPT=rfc822;${encodeXtext(text)}`, HOST);
        assert.deepEqual('code' in rcpt ? rcpt.lines : rcpt.orcpt, { type: 'rfc822', value: text });
      }),
    );
  });

  it('of type utf-8 carries any text without control characters, in ASCII', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }), (text) => {
        fc.pre(!/\p{Cc}/u.test(text));
        const encoded = encodeUtf8Orcpt(text);
        assert.match(encoded, /^[!-~]+$/);
        fc.pre(encoded.length <= 490);
        const rcpt = parseRcpt(`TO:<a@example.com> ORCPT=utf-8;${encoded}`, HOST);
        assert.deepEqual('code' in rcpt ? rcpt.lines : rcpt.orcpt, { type: 'utf-8', value: text });
      }),
    );
  });
});
