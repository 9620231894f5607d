// Sending over HTTP, as programs do it: the message that arrives, read by Python's parser; who may send as whom; repeated requests; scheduled ones;
// what is refused, and how.
// Needs: knot, unbound, python3

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { request } from 'node:http';
import { before, test } from 'node:test';
import { startDns } from '../support/dns.ts';
import { messages, startPostern } from '../support/postern.ts';
import type { Postern } from '../support/postern.ts';
import { startReceiver } from '../support/receiver.ts';
import type { Received, Receiver } from '../support/receiver.ts';
import { until } from '../support/temp.ts';

type Answer = { readonly status: number; readonly headers: Record<string, string | string[] | undefined>; readonly body: Record<string, unknown> };
type Asked = { readonly token?: string; readonly body: unknown; readonly type?: string; readonly key?: string; readonly query?: string; readonly path?: string };

let postern: Postern;
let receiver: Receiver;
let config = '';
let token = '';

before(async () => {
  receiver = await startReceiver({ address: '127.0.0.72', reply: (line) => (line.startsWith('RCPT TO:<gone') ? '550 5.1.1 gone' : undefined) });
  const dns = await startDns({ 'example.test': '@ MX 10 mx\nmx A 127.0.0.72', 'shop.test': '@ MX 10 mx\nmx A 127.0.0.72' });
  config = `[dns]\nservers = ["${dns.server}"]\n[delivery]\nmx_port = ${receiver.port}\nallow_private_addresses = true\n[limits]\nmessage_size = "1MB"\nrecipients = 50\n`;
  postern = await startPostern({ config });
  await postern.json('domain', 'add', 'shop.test');
  token = await makeToken('app', '--scope', 'messages:send');
});

async function makeToken(name: string, ...args: string[]): Promise<string> {
  return (await postern.json<{ token: string }>('token', 'add', name, ...args)).token;
}

/** Over TCP with a token, else over the socket. */
function ask(asked: Asked): Promise<Answer> {
  const { body, type = 'application/json', key, query = '', path = '/v1/messages' } = asked;
  const payload = Buffer.isBuffer(body) || typeof body === 'string' ? body : JSON.stringify(body);
  const where = asked.token === undefined ? { socketPath: `${postern.dataDir}/postern.sock` } : { host: '127.0.0.1', port: new URL(postern.http).port };
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        ...where,
        method: 'POST',
        path: `${path}${query}`,
        headers: {
          'content-type': type,
          'content-length': Buffer.byteLength(payload),
          ...(asked.token === undefined ? {} : { authorization: `Bearer ${asked.token}` }),
          ...(key === undefined ? {} : { 'idempotency-key': key }),
        },
      },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: JSON.parse(Buffer.concat(chunks).toString()) as Answer['body'] }));
      },
    );
    outgoing.on('error', reject);
    outgoing.end(payload);
  });
}

async function sent(asked: Asked): Promise<string> {
  const { status, body, headers } = await ask(asked);
  assert.equal(status, 202, JSON.stringify(body));
  const id = String(body['id']);
  assert.match(id, /^[0-9a-z]{16}$/);
  assert.equal(headers['location'], `/v1/messages/${id}`);
  return id;
}

async function refused(asked: Asked, status: number, code: string): Promise<string> {
  const answer = await ask(asked);
  assert.deepEqual([answer.status, answer.body['code']], [status, code], JSON.stringify(answer.body));
  assert.equal(answer.headers['content-type'], 'application/problem+json');
  assert.ok(answer.body['cause'] !== '' && answer.body['fix'] !== '');
  return String(answer.body['cause']);
}

const arrived = (subject: string): Promise<Received> =>
  until(`"${subject}" arrives`, () => receiver.received.find((one) => one.content.toString('latin1').includes(`\r\nSubject: ${subject}\r\n`)));

/** What Python's parser (email, policy "default") makes of a message. */
function parsed(content: Buffer): { headers: [string, string][]; parts: { type: string; name: string | null; id: string | null; disposition: string | null; content: string }[] } {
  const program = `
import sys, json, base64, email, email.policy
m = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
assert not any(part.defects for part in m.walk()), [part.defects for part in m.walk()]
parts = [dict(type=p.get_content_type(), name=p.get_filename(), id=p['content-id'], disposition=p.get_content_disposition(),
  content=base64.b64encode(p.get_content().encode() if isinstance(p.get_content(), str) else p.get_content()).decode()) for p in m.walk() if not p.is_multipart()]
print(json.dumps(dict(headers=[[k, str(v)] for k, v in m.items()], parts=parts)))`;
  return JSON.parse(execFileSync('python3', ['-c', program], { input: content, encoding: 'utf8' })) as ReturnType<typeof parsed>;
}

const mail = (subject: string, more: object = {}): object => ({ from: 'app@shop.test', to: 'ann@example.test', subject, text: 'Hello.', ...more });

test('a message in parts arrives as it was meant: names, texts, pictures, attachments, further fields, signed; and nobody sees Bcc', async () => {
  const picture = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 255, 254]);
  const text = `Grüße aus Köln.\n${'Eine lange Zeile. '.repeat(80)}\n.\nEnde`;
  await sent({
    token,
    body: {
      from: 'Jürgen "der Chef" Müller <app@shop.test>',
      replyTo: { name: 'Support, Köln', address: 'support@shop.test' },
      to: ['Ann <ann@example.test>', { address: 'bob@example.test' }],
      cc: 'carl@example.test',
      bcc: ['secret@example.test'],
      subject: `Ihre Bestellung ist unterwegs: ${'ß€😀 '.repeat(20)}`.trim(),
      text,
      html: '<p>Grüße <img src="cid:logo@shop"></p>',
      headers: { 'List-Unsubscribe': '<https://shop.test/u?a=1>', 'X-Tag': ['one', 'zwö'], 'Message-ID': '<given@shop.test>' },
      attachments: [
        { filename: 'lögo.png', contentType: 'image/png', contentId: 'logo@shop', content: picture.toString('base64') },
        { filename: `Rechnung ${'sehr '.repeat(20)}lang.pdf`, contentType: 'application/pdf', content: Buffer.alloc(5000, 7).toString('base64url') },
        { filename: 'mail.eml', contentType: 'message/rfc822', content: Buffer.from('Subject: inner\n\ninner\n').toString('base64') },
      ],
    },
  });
  const [first] = await until('it arrives', () => (receiver.received.length > 0 ? receiver.received : null));
  assert.ok(first !== undefined);
  assert.deepEqual([...first.to].toSorted(), ['ann@example.test', 'bob@example.test', 'carl@example.test', 'secret@example.test']);
  assert.ok(
    first.content.every((byte) => byte < 128),
    'all of it is ASCII',
  );
  for (const line of first.content.toString('latin1').split('\r\n')) assert.ok(line.length <= 998 && !/[\r\n]/.test(line), line);
  assert.ok(!first.content.toString('latin1').includes('secret@'));
  const { headers, parts } = parsed(first.content);
  const header = (name: string): string[] => headers.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value);
  assert.deepEqual(header('from'), ['"Jürgen \\"der Chef\\" Müller" <app@shop.test>']);
  assert.deepEqual(header('reply-to'), ['"Support, Köln" <support@shop.test>']);
  assert.deepEqual(header('to'), ['Ann <ann@example.test>, bob@example.test']);
  assert.deepEqual(header('subject'), [`Ihre Bestellung ist unterwegs: ${'ß€😀 '.repeat(20)}`.trim()]);
  assert.deepEqual(header('x-tag'), ['one', 'zwö']);
  assert.deepEqual(header('list-unsubscribe'), ['<https://shop.test/u?a=1>']);
  assert.deepEqual(header('message-id'), ['<given@shop.test>']);
  assert.equal(header('date').length, 1);
  assert.equal(header('dkim-signature').length, 2);
  assert.match(header('received')[0] ?? '', /^from api \(\[127\.0\.0\.1\]\) by relay\.test \(HTTP API\)\s+id/);
  const contents = parts.map(({ content, ...rest }) => ({ ...rest, content: Buffer.from(content, 'base64') }));
  assert.deepEqual(
    contents.map(({ type, name, id, disposition }) => [type, name, id, disposition]),
    [
      ['text/plain', null, null, null],
      ['text/html', null, null, null],
      ['image/png', 'lögo.png', '<logo@shop>', 'inline'],
      ['application/pdf', `Rechnung ${'sehr '.repeat(20)}lang.pdf`, null, 'attachment'],
      ['text/plain', null, null, null],
    ],
  );
  assert.equal(contents[0]?.content.toString().replaceAll('\r\n', '\n'), `${text}\n`);
  assert.match(contents[1]?.content.toString() ?? '', /^<p>Grüße <img/);
  assert.deepEqual(contents[2]?.content, picture);
  assert.deepEqual(contents[3]?.content, Buffer.alloc(5000, 7));
});

test('a message as it is: with any line ends, envelope from its header or from the query, Bcc taken out', async () => {
  const raw = 'From: App <app@shop.test>\nTo: ann@example.test\nBcc: hidden@example.test\nSubject: as it is\n\n.first\n.\nlast\n';
  await sent({ token, body: raw, type: 'message/rfc822' });
  const { content, to } = await arrived('as it is');
  assert.deepEqual([...to].toSorted(), ['ann@example.test', 'hidden@example.test']);
  assert.ok(!content.includes('hidden'));
  assert.ok(content.toString().endsWith('\r\n\r\n.first\r\n.\r\nlast\r\n'));
  await sent({ token, body: raw.replace('as it is', 'elsewhere'), type: 'message/rfc822', query: '?from=%3C%3E&to=x@example.test&to=y@example.test' });
  const other = await arrived('elsewhere');
  assert.deepEqual([other.from, [...other.to].toSorted()], ['', ['x@example.test', 'y@example.test']]);
  const inJson = {
    raw: Buffer.from(raw.replace('as it is', 'in json')).toString('base64'),
    envelope: { from: 'bounces@shop.test', to: ['z@example.test'], envid: 'e1', notify: ['failure'] },
  };
  await sent({ token, body: inJson });
  const third = await arrived('in json');
  assert.deepEqual([third.from, third.to], ['bounces@shop.test', ['z@example.test']]);
  assert.match(third.mail, /ENVID=e1/);
});

test('who may send as whom: scopes, projects, credentials and their modes and rates', async () => {
  await refused({ token: await makeToken('reader', '--scope', 'messages:read'), body: mail('x') }, 403, 'scope-missing');
  await refused({ token: 'pst_wrong', body: mail('x') }, 401, 'token-invalid');
  await postern.json('domain', 'add', 'other.test');
  const own = await makeToken('tenant', '--scope', 'messages:send', '--project', 'tenant');
  await refused({ token: own, body: mail('x') }, 403, 'outside-project');
  const box = await postern.credential('box');
  await postern.credential('narrow', '--domain', 'shop.test', '--live', '--rate', '2/h');
  const captured = await sent({ token, body: mail('boxed', { credential: 'box' }) });
  assert.ok((await messages(postern, 'captured', 1)).some((one) => one.id === captured));
  assert.equal(box.username, 'box');
  const played = await sent({ token, body: mail('played', { sandbox: true }) });
  assert.ok((await messages(postern, 'captured', 2)).some((one) => one.id === played));
  assert.match(await refused({ token, body: { ...mail('x'), from: 'a@example.test', credential: 'narrow' } }, 403, 'sender-not-allowed'), /may send as: shop\.test/);
  await refused({ token, body: mail('x', { credential: 'nobody' }) }, 422, 'no-such-credential');
  await refused({ token: own, body: mail('x', { credential: 'narrow' }) }, 422, 'no-such-credential');
  await sent({ token, body: mail('narrow 1', { credential: 'narrow' }) });
  await sent({ token, body: mail('narrow 2', { credential: 'narrow' }) });
  const { status, headers } = await ask({ token, body: mail('narrow 3', { credential: 'narrow' }) });
  assert.deepEqual([status, headers['retry-after']], [429, '60']);
  const shown = await postern.json<{ envelope: { origin: { credential: string; profile: string } } }>('message', 'show', captured);
  assert.deepEqual([shown.envelope.origin.credential, shown.envelope.origin.profile], ['box', 'api']);
});

test('the same key makes one message, at the same time and over a kill; another body under it is refused', async () => {
  const body = mail('once', { to: ['one@example.test'] });
  const answers = await Promise.all(Array.from({ length: 12 }, () => ask({ token, body, key: 'key-1' })));
  const ids = new Set(answers.map((answer) => answer.body['id']));
  assert.deepEqual([ids.size, new Set(answers.map((answer) => answer.status))], [1, new Set([202])]);
  assert.equal(answers.filter((answer) => answer.headers['idempotent-replayed'] === undefined).length, 1);
  await refused({ token, body: mail('another'), key: 'key-1' }, 422, 'idempotency-key-reused');
  // Another token's key is another key.
  const [id] = ids;
  assert.notEqual(await sent({ token: await makeToken('second', '--scope', 'messages:send'), body, key: 'key-1' }), id);
  await postern.kill();
  postern = await startPostern({ config, dataDir: postern.dataDir });
  const again = await ask({ token, body, key: 'key-1' });
  assert.deepEqual([again.body['id'], again.headers['idempotent-replayed']], [id, 'true']);
  await until('both arrive', () => receiver.received.filter((one) => one.to.includes('one@example.test')).length >= 2);
  assert.equal((await messages(postern, 'delivered', 1)).filter((one) => one.subject === 'once').length, 2);
  await refused({ token, body, key: 'ä' }, 400, 'idempotency-key-invalid');
});

test('a message for later waits until then, over a restart too, and says so', async () => {
  const atMs = Date.now() + 4000;
  const id = await sent({ token, body: mail('later', { sendAt: new Date(atMs).toISOString() }) });
  const far = await sent({ token, body: mail('far', { sendAt: new Date(Date.now() + 6 * 86_400_000).toISOString() }) });
  const shown = await postern.json<{ status: string; envelope: { sendAt: string }; recipients: { nextAt: string }[] }>('message', 'show', id);
  assert.deepEqual([shown.status, Date.parse(shown.envelope.sendAt), Date.parse(shown.recipients[0]?.nextAt ?? '')], ['queued', atMs, atMs]);
  await postern.kill();
  postern = await startPostern({ config, dataDir: postern.dataDir });
  const { content } = await arrived('later');
  assert.ok(Date.now() >= atMs, 'not before its time');
  assert.match(content.toString(), new RegExp(`Date: ${new Date(atMs).toUTCString().replace('GMT', '\\+0000')}`));
  assert.equal((await postern.json<{ recipients: number }>('queue', 'cancel', far, '--yes')).recipients, 1);
  await refused({ token, body: mail('x', { sendAt: new Date(Date.now() + 8 * 86_400_000).toISOString() }) }, 422, 'invalid-request');
});

test('what is refused says which field, and what to write instead', async () => {
  for (const [body, cause] of [
    [{ to: 'a@example.test' }, /^from: a message needs an author/],
    [{ from: 'a@shop.test' }, /^to: a message needs a recipient/],
    [{ from: 'nobody', to: 'a@example.test' }, /^from: "nobody" is not one mail address/],
    [{ from: 'a@shop.test', to: ['a@example.test', 'b@@c'] }, /^to\.1: "b@@c" is not/],
    [{ from: 'a@shop.test', to: { address: 'x' } }, /^to\.address: "x" is not a mail address/],
    [mail('x', { headers: { Bcc: 'y@example.test' } }), /^headers: Bcc is not set here/],
    [mail('x', { headers: { 'X-A:\r\nEvil': '1' } }), /^headers: [^]* is not the name of a header field/],
    [mail('x', { attachments: [{ content: '%%%' }] }), /^attachments\.0\.content: this is not base64/],
    [mail('x', { attachments: [{ content: '', contentType: 'multipart/mixed' }] }), /multipart is not the type/],
    [mail('x', { sendAt: 'tomorrow' }), /^sendAt: write the time like/],
    [mail('x', { raw: 'AAAA' }), /^from: with `raw`/],
    [mail('x', { colour: 'red' }), /colour/],
    [{ raw: Buffer.from('Subject: x\n\nx').toString('base64') }, /no From field/],
    [{ raw: Buffer.from('From: a@shop.test\n\nx').toString('base64') }, /names nobody who is to get it/],
  ] as const) {
    assert.match(await refused({ token, body }, 422, 'invalid-request'), cause);
  }
  await refused({ token, body: '{"from"' }, 400, 'malformed-json');
  await refused({ token, body: 'x', type: 'text/plain' }, 415, 'unsupported-media-type');
  await refused({ token, body: mail('x', { attachments: [{ content: 'A'.repeat(1_100_000) }] }) }, 413, 'message-too-big');
  await refused({ token, body: Buffer.alloc(1_000_001, 'x'), type: 'message/rfc822' }, 413, 'body-too-large');
  await refused({ token, body: mail('x', { to: Array.from({ length: 51 }, (_, i) => `u${i}@example.test`) }) }, 422, 'too-many-recipients');
  await refused({ token, body: mail('x'), query: '?to=a@example.test' }, 422, 'invalid-request');
});

test('nothing in a value ends a header line', async () => {
  await sent({ token, body: mail('safe\r\nBcc: evil@example.test', { from: { address: 'app@shop.test', name: 'A\r\nX-Evil: 1' }, headers: { 'X-A': 'b\r\n\r\nbody' } }) });
  const { content } = await arrived('safe Bcc: evil@example.test');
  assert.ok(!/\r\n(X-Evil|Bcc):/i.test(content.toString()));
  assert.match(content.toString(), /X-A: b body\r\n/);
});

test('suppressed recipients are told in the history, the others get it', async () => {
  await sent({ token, body: mail('s1', { to: 'gone@example.test' }) });
  await until('it is on the list', async () => (await postern.cli('suppression', 'show', 'gone@example.test')).code === 0);
  const id = await sent({ token, body: mail('s2', { to: ['gone@example.test', 'dora@example.test'] }) });
  await arrived('s2');
  const shown = await until('settled', async () => {
    const detail = await postern.json<{ status: string; recipients: { lastOutcome: { class: string } | null }[] }>('message', 'show', id);
    return detail.status === 'partial' ? detail : null;
  });
  assert.equal(shown.recipients[0]?.lastOutcome?.class, 'suppressed');
});

test('a batch: each for itself, in order; repeated, it sends what was not sent', async () => {
  const body = { messages: [mail('b1'), mail('b2', { credential: 'nobody' }), mail('b3')] };
  const first = await ask({ token, body, path: '/v1/messages/batch', key: 'batch' });
  assert.deepEqual([first.status, first.body['accepted'], first.body['refused']], [202, 2, 1]);
  const [one, two, three] = first.body['messages'] as { id?: string; error?: { code: string } }[];
  assert.deepEqual([typeof one?.id, two?.error?.code, typeof three?.id], ['string', 'no-such-credential', 'string']);
  await postern.credential('nobody', '--live');
  const again = await ask({ token, body, path: '/v1/messages/batch', key: 'batch' });
  const results = again.body['messages'] as { id?: string }[];
  assert.deepEqual([results[0]?.id, results[2]?.id], [one?.id, three?.id]);
  await arrived('b2');
  assert.equal(receiver.received.filter((received) => received.content.includes('Subject: b1\r\n')).length, 1);
  assert.match(await refused({ token, body: { messages: [mail('x'), {}] }, path: '/v1/messages/batch' }, 422, 'invalid-request'), /^messages\.1\.from/);
});

test('over the socket without a token, as the account says', async () => {
  await sent({ body: mail('by socket') });
  assert.match((await arrived('by socket')).content.toString(), /Received: by relay\.test \(local by socket\)\s+id/);
});

test('a body that is too large is refused over the same connection, though nobody said how large it would be', async () => {
  const answer = await new Promise<Answer>((resolve, reject) => {
    const outgoing = request(
      {
        host: '127.0.0.1',
        port: new URL(postern.http).port,
        method: 'POST',
        path: '/v1/messages',
        headers: { 'content-type': 'message/rfc822', authorization: `Bearer ${token}`, 'transfer-encoding': 'chunked' },
      },
      (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
        incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: JSON.parse(Buffer.concat(chunks).toString()) as Answer['body'] }));
      },
    );
    outgoing.on('error', reject);
    for (let i = 0; i < 12; i++) outgoing.write(Buffer.alloc(100_000, 'x'));
    outgoing.end();
  });
  assert.deepEqual([answer.status, answer.body['code']], [413, 'body-too-large']);
});

test('a token that is revoked stops at once, however often it was shown before', async () => {
  const own = await makeToken('fleeting', '--scope', 'messages:send');
  for (let i = 0; i < 3; i++) await sent({ token: own, body: mail(`fleeting ${i}`) });
  await postern.json('token', 'revoke', 'fleeting');
  await refused({ token: own, body: mail('x') }, 401, 'token-invalid');
});
