// The arguments of the classic command as programs give them, and bare addresses in a header.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readContent } from '#cli/sendmail/message.ts';
import { parseSendmail, readRecipient } from '#cli/sendmail/options.ts';
import { envelopeOf } from '#mail/envelope.ts';
import { qualifyHeader } from '#mail/qualify.ts';

const SEND = { do: 'send', from: null, fullName: null, fromHeader: false, dots: false, notify: null, ret: null, envid: null, to: [] } as const;

for (const [line, expected] of [
  ['-t -i', { fromHeader: true, dots: true }],
  ['-ti', { fromHeader: true, dots: true }],
  ['-it -f a@b.c', { fromHeader: true, dots: true, from: 'a@b.c' }],
  ['-tfa@b.c', { fromHeader: true, from: 'a@b.c' }],
  ['-oi -oem -oeq -odi -om x@y.z', { dots: true, to: ['x@y.z'] }],
  ['-i -FCronDaemon -B8BITMIME -oem root', { dots: true, fullName: 'CronDaemon', to: ['root'] }],
  ['-r a@b.c -v -G -U x@y.z', { from: 'a@b.c', to: ['x@y.z'] }],
  ['-N never -R hdrs -V e1 x@y.z', { notify: 'never', ret: 'hdrs', envid: 'e1', to: ['x@y.z'] }],
  ['-N success,DELAY x@y.z', { notify: ['success', 'delay'], to: ['x@y.z'] }],
  ['-O DeliveryMode=b -X /tmp/log -C /etc/x -h 3 -L tag -Am x@y.z', { to: ['x@y.z'] }],
  ['-bm x@y.z -- -f y@y.z', { to: ['x@y.z', '-f', 'y@y.z'] }],
] as const) {
  test(`sendmail ${line}`, () => assert.deepEqual(parseSendmail(line.split(' ')), { ...SEND, ...expected }));
}

for (const [line, expected] of [
  ['-bs', 'smtp'],
  ['-bp', 'queue'],
  ['-q', 'flush'],
  ['-qf', 'misuse'],
  ['-bi', 'aliases'],
  ['-I', 'aliases'],
  ['-bd', 'misuse'],
  ['-bz', 'misuse'],
  ['-q15m', 'misuse'],
  ['-R some', 'misuse'],
  ['-N sometimes', 'misuse'],
  ['-V', 'misuse'],
] as const) {
  test(`sendmail ${line}: ${expected}`, () => {
    const wanted = parseSendmail(line.split(' '));
    assert.equal('misuse' in wanted ? 'misuse' : wanted.do, expected);
  });
}

test('an address of the command line', () => {
  const domain = (): string => 'host.example';
  for (const [text, expected] of [
    ['a@b.example', 'a@b.example'],
    ['<a@b.example>', 'a@b.example'],
    ['Ann <a@b.example>', 'a@b.example'],
    ['root', 'root@host.example'],
    ['', null],
    ['a b', null],
    ['a@b@c', null],
  ] as const) {
    assert.equal(readRecipient(text, domain), expected, text);
  }
});

test('bare names in address fields get a domain, and nothing else changes', () => {
  for (const [before, after] of [
    ['To: root', 'To: root@h.example'],
    ['From: root (Cron Daemon)', 'From: root@h.example (Cron Daemon)'],
    ['To: root, a@b.example,\r\n\tbob', 'To: root@h.example, a@b.example,\r\n\tbob@h.example'],
    ['Cc: "Root, the" <root>', 'Cc: "Root, the" <root@h.example>'],
    ['To: Ann Example <ann>', 'To: Ann Example <ann@h.example>'],
    ['To: undisclosed-recipients:;', 'To: undisclosed-recipients:;'],
    ['To: friends: ann, bob;', 'To: friends: ann, bob;'],
    ['To: "a b"', 'To: "a b"'],
    ['To: two words', 'To: two words'],
    ['Subject: root', 'Subject: root'],
    ['To: (a, comment) root', 'To: (a, comment) root@h.example'],
  ] as const) {
    assert.equal(qualifyHeader(Buffer.from(`${before}\r\nX: 1\r\n\r\nTo: body\r\n`), () => 'h.example').toString(), `${after}\r\nX: 1\r\n\r\nTo: body\r\n`);
  }
});

test('the envelope of a header: all three fields, each mailbox once; of a resent message only what the newest sending says', () => {
  const read = (header: string): object => {
    const { from, to, unreadable } = envelopeOf(Buffer.from(`${header}\r\n\r\nx`));
    return { from: from?.text, to: to.map((address) => address.text), unreadable };
  };
  assert.deepEqual(read('From: A <a@x.example>\r\nSender: s@x.example\r\nTo: b@x.example, c@x.example\r\nCc: b@x.example\r\nBcc: d@x.example'), {
    from: 's@x.example',
    to: ['b@x.example', 'c@x.example', 'd@x.example'],
    unreadable: null,
  });
  const resent = 'Resent-From: r@x.example\r\nResent-To: new@x.example\r\nReceived: x\r\nResent-To: old@x.example\r\nFrom: a@x.example\r\nTo: b@x.example';
  assert.deepEqual(read(resent), { from: 'r@x.example', to: ['new@x.example'], unreadable: null });
  assert.deepEqual(read('From: a@x.example\r\nTo: b@c@d'), { from: 'a@x.example', to: ['b@c@d'], unreadable: 'b@c@d' });
});

test('a line with a single dot ends the message wherever the pieces are cut; other dots do not', async () => {
  async function* pieces(text: string, size: number): AsyncIterable<Buffer> {
    for (let at = 0; at < text.length; at += size) yield Buffer.from(text.slice(at, at + size));
  }
  for (const [text, content] of [
    ['To: a@b.c\n\nOne.\n.two\n..\n.\nnot this\n', 'To: a@b.c\n\nOne.\n.two\n..\n'],
    ['To: a@b.c\r\n\r\nx\r\n.\r\nnot this', 'To: a@b.c\r\n\r\nx\r\n'],
    ['.\nnot this', ''],
    ['x\n.', 'x\n.'],
    ['x\n.\r', 'x\n.\r'],
  ] as const) {
    for (let size = 1; size <= text.length; size++) {
      const read = (dots: boolean): Promise<Buffer | undefined> => readContent(pieces(text, size), { dots, limitBytes: 1000 });
      assert.equal((await read(false))?.toString(), content, `pieces of ${size}`);
      assert.equal((await read(true))?.toString(), text, 'with -i a dot is a dot');
    }
  }
  assert.equal(await readContent(pieces('x'.repeat(11), 5), { dots: false, limitBytes: 10 }), undefined);
});
