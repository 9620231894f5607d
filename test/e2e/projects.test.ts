// Two projects on one server: what belongs to one is not there for the other, whichever way it asks; the operator sees both.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { messages, startPostern } from '../support/postern.ts';
import type { Credential, Postern } from '../support/postern.ts';
import { accepted, connectTo, message } from '../support/submit.ts';

type Answer = { readonly status: number; readonly body: Record<string, unknown> };

let postern: Postern;
const token: Record<string, string> = {};
const id: Record<string, string> = {};

async function ask(who: string, path: string, body?: unknown, method?: string): Promise<Answer> {
  const response = await fetch(`${postern.http}${path}`, {
    method: method ?? (body === undefined ? 'GET' : 'POST'),
    headers: { authorization: `Bearer ${token[who]}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : { text } };
}

function ids(answer: Answer, list: string): string[] {
  return (answer.body[list] as { id: string }[]).map((one) => one.id);
}

before(async () => {
  postern = await startPostern({ profiles: ['submission'] });
  for (const project of ['shop', 'news']) {
    await postern.json('domain', 'add', `${project}.test`, '--project', project);
    const scopes = ['messages:read', 'messages:send', 'queue:write', 'credentials:write', 'domains:write', 'audit:read', 'suppressions:write', 'tokens:write', 'doctor:run'];
    token[project] = (await postern.json<{ token: string }>('token', 'add', project, '--project', project, ...scopes.flatMap((scope) => ['--scope', scope]))).token;
    const credential = await postern.json<Credential>('credential', 'add', project, '--live', '--domain', `${project}.test`, '--project', project);
    const client = await connectTo(postern.port('submission'), { credential });
    id[project] = await accepted(client, { from: `a@${project}.test`, to: ['ann@nowhere.test'], content: message().replace('app@sender.test', `a@${project}.test`) });
    await client.quit();
  }
  token['operator'] = (await postern.json<{ token: string }>('token', 'add', 'operator', '--scope', 'admin')).token;
  await messages(postern, 'deferred', 2);
});

test('messages: each its own, the operator all; by list, by id, their content and conversation', async () => {
  assert.deepEqual(ids(await ask('shop', '/v1/messages'), 'messages'), [id['shop']]);
  assert.deepEqual(ids(await ask('news', '/v1/messages?to=nowhere.test'), 'messages'), [id['news']]);
  assert.equal(ids(await ask('operator', '/v1/messages'), 'messages').length, 2);
  for (const part of ['', '/body', '/content', '/transcripts', '/rendered', '/attachments/0']) {
    const foreign = await ask('shop', `/v1/messages/${id['news']}${part}`);
    assert.equal(foreign.status, 404, part);
    assert.ok(!JSON.stringify(foreign.body).includes('news.test'), part);
  }
  for (const part of ['', '/body', '/content', '/transcripts']) assert.equal((await ask('shop', `/v1/messages/${id['shop']}${part}`)).status, 200, part);
});

test("what the server finds wrong with itself is the operator's: it names the domains of all", async () => {
  for (const method of ['GET', 'POST']) {
    const refused = await ask('shop', '/v1/self', undefined, method);
    assert.deepEqual([refused.status, refused.body['code']], [403, 'outside-project']);
  }
  assert.equal((await ask('operator', '/v1/self')).status, 200);
});

test('the queue: foreign messages are neither seen nor touched; what is shared is not for projects', async () => {
  assert.deepEqual(ids(await ask('shop', '/v1/queue'), 'recipients'), [id['shop']]);
  assert.equal((await ask('shop', `/v1/queue/${id['news']}`)).status, 404);
  assert.equal((await ask('shop', '/v1/lanes')).body['code'], 'outside-project');
  const foreign = [
    { by: 'all' },
    { by: 'domain', domain: 'nowhere.test' },
    { by: 'lane', lane: 'mx:nowhere.test' },
    { by: 'credential', credential: 'news' },
    { by: 'message', id: id['news'] },
  ];
  for (const selection of foreign) {
    for (const verb of ['hold', 'release', 'retry', 'cancel']) {
      const refused = await ask('shop', `/v1/queue/${verb}`, selection);
      assert.deepEqual([refused.status, refused.body['code']], [403, 'outside-project'], `${verb} ${JSON.stringify(selection)}`);
    }
  }
  assert.equal((await ask('news', `/v1/queue/${id['news']}`)).status, 200);
  assert.equal((await ask('shop', '/v1/queue/hold', { by: 'credential', credential: 'shop' })).body['recipients'], 1);
  assert.equal((await ask('shop', '/v1/queue/cancel', { by: 'message', id: id['shop'] })).body['recipients'], 1);
});

test('domains and credentials: its own, and no others; which domains it has is not its to say', async () => {
  assert.deepEqual(
    ((await ask('shop', '/v1/domains')).body['domains'] as { name: string }[]).map(({ name }) => name),
    ['shop.test'],
  );
  assert.equal((await ask('shop', '/v1/domains/shop.test/rotate', { step: 'start' })).status, 200);
  for (const [path, body, method] of [
    ['/v1/domains/news.test', undefined, 'GET'],
    ['/v1/domains/news.test', undefined, 'DELETE'],
    ['/v1/domains/news.test/check', {}, 'POST'],
    ['/v1/domains/news.test/rotate', { step: 'start' }, 'POST'],
    ['/v1/credentials/news', undefined, 'DELETE'],
    ['/v1/credentials/news/rotate', {}, 'POST'],
  ] as const)
    assert.equal((await ask('shop', path, body, method)).status, 404, `${method} ${path}`);
  for (const [path, body, method] of [
    ['/v1/domains', { name: 'news.test' }, 'POST'],
    ['/v1/domains/shop.test', undefined, 'DELETE'],
    ['/v1/credentials', { name: 'more', domains: ['news.test'] }, 'POST'],
    ['/v1/credentials', { name: 'more', domains: ['shop.test'], project: 'news' }, 'POST'],
    ['/v1/credentials', { name: 'more' }, 'POST'],
    ['/v1/tokens', { name: 'more', scopes: ['messages:read'] }, 'POST'],
    ['/v1/tokens', { name: 'more', scopes: ['admin'], project: 'shop' }, 'POST'],
  ] as const)
    assert.equal((await ask('shop', path, body, method)).status, 403, `${method} ${path}`);
});

test('sending: as its own domains, and what it sends is its own', async () => {
  const sent = await ask('shop', '/v1/messages', { from: 'b@shop.test', to: ['bob@nowhere.test'], text: 'Hello.' });
  assert.equal(sent.status, 202, JSON.stringify(sent.body));
  const own = sent.body['id'] as string;
  assert.equal((await ask('shop', `/v1/messages/${own}`)).body['project'], 'shop');
  assert.equal((await ask('news', `/v1/messages/${own}`)).status, 404);
  const foreign = await ask('shop', '/v1/messages', { from: 'b@news.test', to: ['bob@nowhere.test'], text: 'Hello.' });
  assert.ok(foreign.status >= 400 && foreign.status < 500, JSON.stringify(foreign.body));
});

test('the audit log of a project has what it did itself', async () => {
  const { entries } = (await ask('shop', '/v1/audit?limit=1000')).body as { entries: { project: string; name: string }[] };
  assert.ok(entries.length > 10 && entries.every((one) => one.project === 'shop' && one.name === 'shop'));
});
