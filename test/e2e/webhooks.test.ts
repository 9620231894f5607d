// Needs: knot, unbound, openssl
// Events told to webhooks: a real HTTPS server that verifies as Standard Webhooks has it, with code of its own, fails, redirects and is gone; a server that is killed
// with events on the way; what an operator may do.

import assert from 'node:assert/strict';
import { createHmac, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { before, test } from 'node:test';
import type { PublicEvent } from '#events/event.ts';
import type { DeliveryView, TestView, WebhookMade, WebhookView } from '#http/views/webhook.ts';
import { makeAuthority } from '../support/authority.ts';
import { startDns } from '../support/dns.ts';
import { startPostern } from '../support/postern.ts';
import type { Postern } from '../support/postern.ts';
import { startReceiver } from '../support/receiver.ts';
import { accepted, connectTo } from '../support/submit.ts';
import { atEnd, freePort, until } from '../support/temp.ts';

type Request = { readonly path: string; readonly headers: IncomingHttpHeaders; readonly body: string };

const CONTENT = 'From: App <app@sender.test>\r\nTo: a@b.test\r\nSubject: Hi\r\n\r\nHello\r\n';
const net = `127.${randomInt(1, 255)}.${randomInt(1, 255)}`;
const requests: Request[] = [];
/** By path; what is not there takes everything. */
const answers = new Map<string, (response: ServerResponse, request: Request) => void>();
let config: string;
let base: string;
let postern: Postern;
let login: { username: string; password: string };

before(async () => {
  const authority = makeAuthority();
  const pair = authority.issue(['app.test', `${net}.9`]);
  const server = createServer({ cert: pair.cert, key: pair.key }, (request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('error', () => {});
    request.on('end', () => {
      const got = { path: request.url ?? '', headers: request.headers, body };
      requests.push(got);
      (answers.get(got.path) ?? ((to) => to.writeHead(204).end()))(response, got);
    });
  });
  server.listen(0, `${net}.9`);
  await once(server, 'listening');
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  base = `https://app.test:${(server.address() as AddressInfo).port}`;
  const port = await freePort(`${net}.1`);
  await startReceiver({ address: `${net}.1`, port });
  const dns = await startDns({ 'taking.test': `@ MX 10 mx\nmx A ${net}.1`, 'app.test': `@ A ${net}.9\nother A ${net}.9\nnowhere A 192.0.2.1` });
  config = `[dns]\nservers = ["${dns.server}"]\n[delivery]\nmx_port = ${port}\nca_file = "${authority.caFile}"\n`;
  postern = await startPostern({ config: `${config}allow_private_addresses = true\n` });
  login = await postern.credential('live', '--live');
});

async function submit(to: string): Promise<void> {
  const client = await connectTo(postern.port('submission'), { credential: login });
  await accepted(client, { to: [to], content: CONTENT });
  await client.quit();
}

const add = (path: string, ...options: readonly string[]): Promise<WebhookMade> => postern.json<WebhookMade>('webhook', 'add', `${base}${path}`, ...options);
const at = (path: string): Request[] => requests.filter((request) => request.path === path);
const event = ({ body }: Request): PublicEvent => JSON.parse(body) as PublicEvent;
const show = (id: string): Promise<WebhookView> => postern.json<WebhookView>('webhook', 'show', id);

/** As the specification has it; not with the code under test. */
function verify({ headers, body }: Request, secret: string): boolean {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const expected = createHmac('sha256', key)
    .update(`${String(headers['webhook-id'])}.${String(headers['webhook-timestamp'])}.${body}`)
    .digest('base64');
  assert.ok(Math.abs(Number(headers['webhook-timestamp']) - Date.now() / 1000) < 60);
  return String(headers['webhook-signature']).split(' ').includes(`v1,${expected}`);
}

test('events are told once each, signed, and only the types that are wanted', async () => {
  const all = await add('/all');
  const some = await add('/some', '--type', 'message.delivered');
  await submit('ann@taking.test');
  await until('both were told', () => at('/all').length === 2 && at('/some').length === 1);
  assert.deepEqual(
    at('/all')
      .map((request) => event(request).type)
      .toSorted(),
    ['message.accepted', 'message.delivered'],
  );
  for (const request of at('/all')) {
    assert.ok(verify(request, all.secret) && !verify(request, some.secret));
    assert.equal(request.headers['webhook-id'], event(request).id);
    assert.equal(request.headers['content-type'], 'application/json');
  }
  const [delivered] = at('/some').map(event);
  assert.equal(delivered?.data.recipient, 'ann@taking.test');
  const rows = await until('it is written down', async () => {
    const found = await postern.json<DeliveryView[]>('webhook', 'deliveries', some.id);
    return found.length === 1 ? found : null;
  });
  assert.deepEqual([rows[0]?.event, rows[0]?.result, rows[0]?.status], [delivered?.id, 'delivered', 204]);
  assert.equal((await show(all.id)).state, 'active');
  for (const { id } of [all, some]) await postern.json('webhook', 'remove', id);
});

test('what fails is told again, the same bytes under the same id; a redirect is not followed', async () => {
  let failures = 1;
  answers.set('/flaky', (response) => (failures-- > 0 ? response.writeHead(503).end('not\u0007 now') : response.writeHead(200).end()));
  answers.set('/moved', (response) => response.writeHead(302, { location: `${base}/target` }).end());
  const flaky = await add('/flaky', '--type', 'message.accepted');
  const moved = await add('/moved', '--type', 'message.accepted');
  await submit('bob@taking.test');
  const [first, second] = await until('it was told twice', () => (at('/flaky').length === 2 ? at('/flaky') : null), 20_000);
  assert.equal(first?.body, second?.body);
  assert.equal(first?.headers['webhook-id'], second?.headers['webhook-id']);
  assert.ok(second !== undefined && verify(second, flaky.secret));
  const rows = await until('both are written down', async () => {
    const found = await postern.json<DeliveryView[]>('webhook', 'deliveries', flaky.id);
    return found.length === 2 ? found : null;
  });
  assert.deepEqual(
    rows.map(({ attempt, result, status, answer }) => [attempt, result, status, answer]),
    [
      [2, 'delivered', 200, ''],
      [1, 'failed', 503, 'not now'],
    ],
  );
  assert.ok(rows[1]?.nextAt !== null);
  assert.equal(at('/target').length, 0);
  const [told] = await postern.json<DeliveryView[]>('webhook', 'deliveries', moved.id);
  assert.deepEqual([told?.status, told?.result], [302, 'failed']);
  assert.match(told?.cause ?? '', /redirect/);
  for (const { id } of [flaky, moved]) await postern.json('webhook', 'remove', id);
});

test('a server that is killed with events on the way tells them after its start', async () => {
  answers.set('/late', () => {});
  const late = await add('/late');
  await submit('cat@taking.test');
  await until('it was asked', () => at('/late').length >= 1);
  await submit('dan@taking.test');
  await postern.process.end('SIGKILL');
  answers.delete('/late');
  const before_ = at('/late').length;
  postern = await startPostern({ config: `${config}allow_private_addresses = true\n`, dataDir: postern.dataDir });
  const told = (): string[] =>
    at('/late')
      .slice(before_)
      .map((request) => `${event(request).type} ${event(request).data.recipients.join()}`);
  const wanted = ['cat', 'dan'].flatMap((name) => ['accepted', 'delivered'].map((what) => `message.${what} ${name}@taking.test`));
  await until('all were told', () => wanted.every((one) => told().includes(one)), 20_000);
  assert.ok(at('/late').every((request) => verify(request, late.secret)));
  await postern.json('webhook', 'remove', late.id);
});

test('410 disables it; enabled it goes on where it stopped', async () => {
  answers.set('/gone', (response) => response.writeHead(410).end());
  const gone = await add('/gone', '--type', 'message.accepted', '--concurrency', '1');
  await submit('eve@taking.test');
  await until('it is disabled', async () => (await show(gone.id)).state === 'disabled');
  assert.match((await show(gone.id)).disabledCause ?? '', /410/);
  assert.ok(postern.log().some(({ event: name, webhook }) => name === 'webhook.disabled' && webhook === gone.id));
  await submit('fay@taking.test');
  answers.delete('/gone');
  const before_ = at('/gone').length;
  await postern.json('webhook', 'enable', gone.id);
  await until('both were told', () => at('/gone').length >= before_ + 2, 20_000);
  assert.deepEqual(
    at('/gone')
      .slice(before_)
      .map((request) => event(request).data.recipients.join())
      .toSorted(),
    ['eve@taking.test', 'fay@taking.test'],
  );
  await postern.json('webhook', 'remove', gone.id);
});

test('a new secret signs beside the old one; a test is sent at once; what was told can be told again', async () => {
  const hook = await add('/again', '--type', 'message.accepted');
  const { secret } = await postern.json<WebhookMade>('webhook', 'rotate', hook.id);
  const result = await postern.json<TestView>('webhook', 'test', hook.id);
  assert.deepEqual([result.taken, result.status], [true, 204]);
  const [tested] = at('/again');
  assert.ok(tested !== undefined && verify(tested, secret) && verify(tested, hook.secret));
  assert.equal(event(tested).type, 'webhook.test');
  await postern.json('webhook', 'rotate', hook.id, '--overlap', '0');
  await postern.json<TestView>('webhook', 'test', hook.id);
  const newest = at('/again').at(-1);
  assert.ok(newest !== undefined && !verify(newest, secret) && !verify(newest, hook.secret));

  await submit('gil@taking.test');
  await until('it was told', () => at('/again').length === 3);
  const told = at('/again')[2];
  assert.ok(told !== undefined);
  await postern.json('webhook', 'replay', hook.id, '--event', event(told).id);
  await until('it was told again', () => at('/again').length === 4);
  assert.equal(at('/again')[3]?.body, told.body);
  await postern.json('webhook', 'replay', hook.id, '--since', '1h', '--type', 'message.delivered');
  await until('what was delivered before it was there was told', () => at('/again').slice(4).length >= 4);
  assert.ok(
    at('/again')
      .slice(4)
      .every((request) => event(request).type === 'message.delivered'),
  );
  await postern.json('webhook', 'remove', hook.id);
});

test('private addresses are refused, by name when it is asked, as an address at once', async () => {
  const strict = await startPostern({ config });
  const port = new URL(base).port;
  const byAddress = await strict.cli('webhook', 'add', `https://${net}.9:${port}/`);
  assert.equal(byAddress.code, 2);
  assert.match(byAddress.stderr, /private address/);
  for (const url of ['http://app.test/', 'https://user:word@app.test/', 'https://[::ffff:127.0.0.1]/', 'https://2130706433/', 'no url'])
    assert.equal((await strict.cli('webhook', 'add', url)).code, 2, url);
  const count = requests.length;
  const hook = await strict.json<WebhookMade>('webhook', 'add', `${base}/private`);
  const tried = await strict.cli('webhook', 'test', hook.id);
  assert.equal(tried.code, 1);
  assert.match(tried.stdout, /only private addresses/);
  assert.equal(requests.length, count);
});

test('a certificate of another name is not accepted', async () => {
  const hook = await postern.json<WebhookMade>('webhook', 'add', `${base.replace('app.test', 'other.app.test')}/x`);
  const tried = await postern.cli('webhook', 'test', hook.id);
  assert.match(tried.stdout, /certificate/);
  await postern.json('webhook', 'remove', hook.id);
});
