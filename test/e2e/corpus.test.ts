// Every message of the corpora that Debian ships (Python's email test data, SpamAssassin's samples), and harder ones of our own: submitted, and
// delivered byte for byte below what Postern adds; what is refused is refused with a reason.
// Needs: ^libpython3[.][0-9]+-testsuite$, spamassassin

import assert from 'node:assert/strict';
import { isAscii } from 'node:buffer';
import { before, test } from 'node:test';
import { corpus } from '../support/corpus.ts';
import type { Sample } from '../support/corpus.ts';
import { startDns } from '../support/dns.ts';
import { startPostern } from '../support/postern.ts';
import type { Credential, Postern } from '../support/postern.ts';
import { plain, rawTo } from '../support/raw.ts';
import { startReceiver } from '../support/receiver.ts';
import type { Receiver } from '../support/receiver.ts';
import { until } from '../support/temp.ts';

let postern: Postern;
let app: Credential;
const receivers = new Map<'chunking' | 'data', Receiver>();

before(async () => {
  const offers = ['PIPELINING', '8BITMIME', 'SMTPUTF8', 'SIZE 100000000', 'DSN', 'ENHANCEDSTATUSCODES'];
  const data = await startReceiver({ address: '127.0.0.7', offers });
  const chunking = await startReceiver({ address: '127.0.0.8', port: data.port, offers: [...offers, 'CHUNKING'] });
  receivers.set('data', data).set('chunking', chunking);
  const dns = await startDns({ 'data.test': '@ MX 10 mx\nmx A 127.0.0.7', 'chunking.test': '@ MX 10 mx\nmx A 127.0.0.8' });
  postern = await startPostern({
    config: `[dns]\nservers = ["${dns.server}"]\n[delivery]\nmx_port = ${data.port}\nallow_private_addresses = true\n[inbound]\ndomains = ["data.test", "chunking.test"]\ndmarc = "quarantine"\n`,
  });
  app = await postern.credential('app', '--live');
});

const OWN: readonly Sample[] = [
  ['no final CRLF', 'Subject: x\r\n\r\nno end'],
  ['leading dots', 'Subject: x\r\n\r\n.\r\n..\r\n...\r\n.a\r\n'],
  ['only a header', 'Subject: x\r\n'],
  ['a header and an empty line', 'Subject: x\r\n\r\n'],
  ['no header', '\r\nbody\r\n'],
  ['text alone', 'just text\r\n'],
  ['white space first', ' To: somebody\r\nSubject: x\r\n\r\nbody\r\n'],
  ['a line of 5,000 octets', `Subject: x\r\n\r\n${'x'.repeat(5000)}\r\n`],
  ['8-bit body', 'Subject: x\r\n\r\n\xe9\xe8\xff\r\n'],
  ['8-bit header', 'Subject: \xe9\r\n\r\nx\r\n'],
  ['NULs', 'Subject: x\r\n\r\na\0b\r\n'],
  ['a body line like a header', 'Subject: x\r\nnot a header\r\n\r\nbody\r\n'],
  ['a megabyte', `Subject: x\r\n\r\n${`${'.'.repeat(76)}\r\n`.repeat(14_000)}`],
  ['many dots at chunk borders', `Subject: x\r\n\r\n${'.\r\n'.repeat(200_000)}`],
].map(([name = '', text = '']) => ({ name: `own/${name}`, content: Buffer.from(text, 'latin1') }));

function stuffed(content: Buffer): string {
  const text = content.toString('latin1').replace(/(^|\r\n)\./g, '$1..');
  return text.endsWith('\r\n') || text === '' ? text : `${text}\r\n`;
}

async function exchange(sample: Sample, n: number, domain: 'data' | 'chunking'): Promise<string> {
  const raw = await rawTo(postern.port('mx'));
  await raw.ask('EHLO client.test');
  const eightBit = !isAscii(sample.content);
  await raw.ask(`MAIL FROM:<>${eightBit ? ' BODY=8BITMIME' : ''}`);
  await raw.ask(`RCPT TO:<s${n}@${domain}.test>`);
  if (domain === 'chunking') raw.send(Buffer.concat([Buffer.from(`BDAT ${sample.content.length} LAST\r\n`), sample.content]));
  else {
    await raw.ask('DATA');
    raw.send(`${stuffed(sample.content)}.\r\n`);
  }
  const reply = await raw.reply(30_000);
  raw.send('QUIT\r\n');
  return reply;
}

for (const domain of ['data', 'chunking'] as const) {
  test(`by MTA on 25, then ${domain}: every byte below the trace fields is the same`, async () => {
    const all = [...corpus(), ...OWN];
    assert.ok(all.length > 40, `only ${all.length} samples: the corpora are missing`);
    const refused: string[] = [];
    for (const [n, sample] of all.entries()) {
      const reply = await exchange(sample, n, domain);
      if (reply.startsWith('250')) {
        const got = await until(`${sample.name} arrives`, () => receivers.get(domain)?.received.find((received) => received.to[0] === `s${n}@${domain}.test`));
        const expected = sample.content.subarray(-2).toString('latin1') === '\r\n' ? sample.content : Buffer.concat([sample.content, Buffer.from('\r\n')]);
        const added = got.content.length - expected.length;
        assert.ok(got.content.subarray(added).equals(expected), `${sample.name} was changed`);
        // What is added is Received and the judgement, and the empty line of a message that is all header.
        const trace =
          /^Received: [^\r\n]+(\r\n[ \t][^\r\n]+)*\r\n(X-Postern-Quarantine: [^\r\n]+(\r\n[ \t][^\r\n]+)*\r\n)?Authentication-Results: [^\r\n]+(\r\n[ \t][^\r\n]+)*\r\n(\r\n)?$/;
        assert.match(got.content.subarray(0, added).toString('latin1'), trace, sample.name);
      } else {
        assert.match(reply, /^5\d\d 5\.\d+\.\d+ \S/, `${sample.name}: ${reply}`);
        refused.push(`${sample.name}: ${reply}`);
      }
    }
    assert.ok(refused.length <= 3, refused.join('\n'));
  });
}

test('by submission: taken with Date and Message-ID made up where they are missing and Bcc removed, or refused with a reason', async () => {
  const raw = await rawTo(postern.port('submission'));
  await raw.ask('EHLO client.test');
  await raw.startTls();
  await raw.ask('EHLO client.test');
  await raw.ask(plain(app));
  let taken = 0;
  for (const [n, sample] of corpus().entries()) {
    await raw.ask(`MAIL FROM:<me@sender.test>${isAscii(sample.content) ? '' : ' BODY=8BITMIME'}`);
    await raw.ask(`RCPT TO:<u${n}@data.test>`);
    await raw.ask('DATA');
    raw.send(`${stuffed(sample.content)}.\r\n`);
    const reply = await raw.reply();
    if (!reply.startsWith('250')) {
      assert.match(reply, /^5\d\d 5\.\d+\.\d+ \S/, `${sample.name}: ${reply}`);
      continue;
    }
    taken++;
    const got = await until(`${sample.name} arrives`, () => receivers.get('data')?.received.find((received) => received.to[0] === `u${n}@data.test`));
    const [head = ''] = got.content.toString('latin1').split('\r\n\r\n');
    for (const field of ['Date', 'Message-ID']) assert.equal((head.match(new RegExp(`^${field}:`, 'gim')) ?? []).length >= 1, true, `${sample.name} has no ${field}`);
    const body = sample.content.toString('latin1').split('\r\n\r\n').slice(1).join('\r\n\r\n');
    if (body !== '') assert.ok(got.content.toString('latin1').endsWith(body.endsWith('\r\n') ? body : `${body}\r\n`), `the body of ${sample.name} was changed`);
  }
  assert.ok(taken > 25, `only ${taken} were taken`);
});
