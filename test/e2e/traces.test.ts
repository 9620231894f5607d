// Needs: knot, unbound
// Traces of a real server, taken by a small collector: what it is sent for messages that are delivered, tried again and bounced; a server that is killed in between or
// stopped at once; a collector that is not ready, refuses, or is not there. What is secret is in neither traces nor log.

import assert from 'node:assert/strict';
import { createHash, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { startDns } from '../support/dns.ts';
import { messages, startPostern } from '../support/postern.ts';
import type { Credential, Postern } from '../support/postern.ts';
import { startReceiver } from '../support/receiver.ts';
import { accepted, connectTo } from '../support/submit.ts';
import { atEnd, freePort, tempDir, until } from '../support/temp.ts';

type Value = { readonly stringValue?: string; readonly intValue?: string; readonly boolValue?: boolean };
type Pairs = readonly { readonly key: string; readonly value: Value }[];
type Span = {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: Pairs;
  readonly status?: { readonly code: number };
};
type Export = { readonly resourceSpans: readonly { readonly resource: { readonly attributes: Pairs }; readonly scopeSpans: readonly { readonly spans: readonly Span[] }[] }[] };
type Collecting = {
  readonly url: string;
  readonly requests: { readonly path: string; readonly headers: IncomingHttpHeaders; readonly body: string }[];
  /** What it took. */
  readonly spans: Span[];
  /** undefined: it takes the spans. */
  answer: ((response: ServerResponse, headers: IncomingHttpHeaders) => void) | undefined;
};

const CONTENT = 'From: App <app@sender.test>\r\nTo: a@b.test\r\nSubject: Hush\r\n\r\nHello\r\n';
const SECRET = 'Bearer s3cr3t-t0k3n';
const net = `127.${randomInt(1, 255)}.${randomInt(1, 255)}`;
/** Addresses whose first attempt is put off. */
const late = new Set<string>();
/** Addresses that are put off each time. */
const never = new Set<string>();
let config: string;

before(async () => {
  const port = await freePort(`${net}.1`);
  await startReceiver({
    address: `${net}.1`,
    port,
    reply(line) {
      const to = /^RCPT TO:<([^>]*)>/i.exec(line)?.[1] ?? '';
      if (to.startsWith('gone')) return `550 5.1.1 <${to}>: ${to.split('@')[0]} is unknown`;
      return never.has(to) || late.delete(to) ? '451 4.7.1 Greylisted, please come again' : undefined;
    },
  });
  const dns = await startDns({ 'taking.test': `@ MX 10 mx\nmx A ${net}.1` });
  config = `[dns]\nservers = ["${dns.server}"]\n[delivery]\nmx_port = ${port}\nallow_private_addresses = true\n[queue]\nretry = { first = "500ms", factor = 2, max = "2s", jitter = 0.1 }\n`;
});

async function startCollector(): Promise<Collecting> {
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      collecting.requests.push({ path: request.url ?? '', headers: request.headers, body });
      if (collecting.answer !== undefined) return collecting.answer(response, request.headers);
      collecting.spans.push(...spansIn(body));
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"partialSuccess":{}}');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  const collecting: Collecting = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests: [], spans: [], answer: undefined };
  return collecting;
}

const spansIn = (body: string): Span[] => (JSON.parse(body) as Export).resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans));
const said = (pairs: Pairs | undefined, key: string): string | undefined => {
  const value = pairs?.find((pair) => pair.key === key)?.value;
  return value?.stringValue ?? value?.intValue ?? (value?.boolValue === undefined ? undefined : String(value.boolValue));
};
const traceIdOf = (id: string): string => createHash('sha256').update(id).digest('hex').slice(0, 32);
const ms = (nanoseconds: string): number => Number(BigInt(nanoseconds) / 1_000_000n);

async function traced(options: { readonly url: string; readonly more?: string; readonly dataDir?: string }): Promise<{ postern: Postern; login: Credential }> {
  const postern = await startPostern({
    config: `${config}[telemetry]\ntraces = "${options.url}"\n${options.more ?? ''}\n`,
    ...(options.dataDir === undefined ? {} : { dataDir: options.dataDir }),
  });
  return { postern, login: await postern.credential(`live${randomInt(1e9)}`, '--live') };
}

async function send({ postern, login }: { postern: Postern; login: Credential }, to: string): Promise<string> {
  const client = await connectTo(postern.port('submission'), { credential: login });
  const id = await accepted(client, { to: [to], content: CONTENT });
  await client.quit();
  return id;
}

/** Its spans, once the root is there: the root, then the attempts in order. */
async function traceOf(collector: Collecting, id: string): Promise<readonly [Span, ...Span[]]> {
  const own = (): Span[] => collector.spans.filter(({ traceId }) => traceId === traceIdOf(id));
  await until(`the trace of ${id} ends`, () => own().some(({ parentSpanId }) => parentSpanId === undefined), 30_000);
  const [root, ...others] = own().filter(({ parentSpanId }) => parentSpanId === undefined);
  assert.ok(root !== undefined && others.length === 0);
  const attempts = own().filter(({ parentSpanId }) => parentSpanId === root.spanId);
  assert.equal(attempts.length, own().length - 1);
  return [root, ...attempts.toSorted((a, b) => ms(a.startTimeUnixNano) - ms(b.startTimeUnixNano))];
}

async function counted(postern: Postern, result: 'sent' | 'dropped'): Promise<number> {
  const text = await (await fetch(`${postern.http}/metrics`)).text();
  return Number(new RegExp(`^postern_trace_spans_total\\{result="${result}"\\} (\\d+)$`, 'm').exec(text)?.[1] ?? NaN);
}

test('delivered, deferred then delivered, bounced: a trace each, of domains only', async () => {
  const collector = await startCollector();
  const server = await traced(collector);
  late.add('bob@taking.test');
  const [ann, bob, gone] = [await send(server, 'ann@taking.test'), await send(server, 'bob@taking.test'), await send(server, 'gone.girl@taking.test')];

  const [root, attempt, ...none] = await traceOf(collector, ann);
  assert.equal(none.length, 0);
  assert.deepEqual([root.name, attempt?.name, root.status, attempt?.status], ['message', 'deliver', undefined, undefined]);
  assert.deepEqual(
    ['postern.message.id', 'postern.profile', 'postern.recipients.delivered', 'postern.attempts'].map((key) => said(root.attributes, key)),
    [ann, 'submission', '1', '1'],
  );
  assert.equal(said(root.attributes, 'postern.credential'), server.login.username);
  assert.deepEqual(
    ['postern.recipient.domain', 'server.address', 'network.peer.address', 'postern.verdict', 'postern.reply.code', 'postern.route', 'postern.tls'].map((key) =>
      said(attempt?.attributes, key),
    ),
    ['taking.test', 'mx.taking.test', `${net}.1`, 'delivered', '250', 'mx', 'none'],
  );
  assert.ok(attempt !== undefined && ms(root.startTimeUnixNano) <= ms(attempt.startTimeUnixNano) && ms(attempt.endTimeUnixNano) <= ms(root.endTimeUnixNano));

  const [waited, first, second, ...more] = await traceOf(collector, bob);
  assert.equal(more.length, 0);
  assert.deepEqual([waited.status, first?.status, second?.status], [undefined, undefined, undefined]);
  assert.deepEqual(
    [first, second].map((span) => said(span?.attributes, 'postern.verdict')),
    ['deferred', 'delivered'],
  );
  assert.equal(said(first?.attributes, 'postern.class'), 'greylisted');
  assert.ok(Date.parse(said(first?.attributes, 'postern.retry_at') ?? '') > ms(first?.endTimeUnixNano ?? '0'));
  assert.ok(ms(waited.endTimeUnixNano) - ms(waited.startTimeUnixNano) >= 400);

  const [lost, refused] = await traceOf(collector, gone);
  assert.deepEqual([lost.status?.code, refused?.status?.code, said(refused?.attributes, 'postern.verdict')], [2, 2, 'bounced']);
  assert.equal(said(refused?.attributes, 'error.type'), said(refused?.attributes, 'postern.class'));

  for (const { path, headers, body } of collector.requests) {
    assert.deepEqual([path, headers['content-type']], ['/v1/traces', 'application/json']);
    assert.doesNotMatch(body, /\bann\b|bob|girl|app@|Hush/);
    const { attributes } = (JSON.parse(body) as Export).resourceSpans[0]?.resource ?? {};
    assert.deepEqual(
      ['service.name', 'host.name'].map((key) => said(attributes, key)),
      ['postern', 'relay.test'],
    );
  }
  // What the sender is told of the bounce is a message too.
  await until('all is counted', async () => (await counted(server.postern, 'sent')) === collector.spans.length);
  assert.equal(new Set(collector.spans.map(({ spanId }) => spanId)).size, collector.spans.length);
  assert.equal(await counted(server.postern, 'dropped'), 0);
});

test('a message that outlives the process has one trace; a stop sends what there is', async () => {
  const collector = await startCollector();
  const one = await traced(collector);
  never.add('cat@taking.test');
  const cat = await send(one, 'cat@taking.test');
  await until('the first attempt is told', () => collector.spans.length > 0);
  await one.postern.kill();
  never.clear();
  const two = await traced({ ...collector, dataDir: one.postern.dataDir });
  const [root, ...attempts] = await traceOf(collector, cat);
  const verdicts = attempts.map((span) => said(span.attributes, 'postern.verdict'));
  assert.ok(verdicts.length > 1 && verdicts.pop() === 'delivered' && verdicts.every((verdict) => verdict === 'deferred'), verdicts.join());
  assert.equal(root.startTimeUnixNano, `${BigInt(Date.parse((await two.postern.json<{ acceptedAt: string }>('message', 'show', cat)).acceptedAt))}000000`);
  const dan = await send(two, 'dan@taking.test');
  await two.postern.logged('delivery.delivered');
  assert.equal(await two.postern.stop(), 0);
  await traceOf(collector, dan);
});

test('a collector that is not ready for a while gets all of it', async () => {
  const collector = await startCollector();
  const server = await traced(collector);
  collector.answer = (response) => response.writeHead(503, { 'retry-after': '1' }).end();
  const eve = await send(server, 'eve@taking.test');
  const failing = await server.postern.logged('traces.failing');
  assert.match(String(failing['cause']), /503/);
  assert.ok(failing['fix']);
  const fay = await send(server, 'fay@taking.test');
  await messages(server.postern, 'delivered', 2);
  collector.answer = undefined;
  for (const id of [eve, fay]) assert.equal((await traceOf(collector, id)).length, 2);
  const recovered = await server.postern.logged('traces.recovered');
  assert.equal(recovered['dropped'], 0);
  assert.equal(server.postern.log().filter(({ event }) => event === 'traces.failing').length, 1);
});

test('a refusal drops the request, and neither the token nor what the collector says is logged', async () => {
  const collector = await startCollector();
  const headersFile = join(tempDir(), 'headers');
  writeFileSync(headersFile, `Authorization: ${SECRET}\n`);
  const server = await traced({ ...collector, more: `headers_file = "${headersFile}"` });
  collector.answer = (response, headers) => response.writeHead(400).end(`no: ${JSON.stringify(headers)}`);
  await send(server, 'gil@taking.test');
  const dropped = await server.postern.logged('traces.dropped');
  assert.match(String(dropped['cause']), /400/);
  assert.equal(await counted(server.postern, 'dropped'), 2);
  writeFileSync(headersFile, `Authorization ${SECRET}\n`);
  await send(server, 'hal@taking.test');
  await server.postern.logged('traces.failing');
  collector.answer = undefined;
  writeFileSync(headersFile, `Authorization: ${SECRET}\n`);
  await server.postern.logged('traces.recovered');
  assert.ok(collector.requests.every(({ headers }) => headers.authorization === SECRET));
  assert.equal(await server.postern.stop(), 0);
  assert.doesNotMatch(server.postern.process.output(), /s3cr3t/);
  assert.ok(collector.requests.every(({ body }) => !body.includes('s3cr3t')));
});

test('nobody there: mail goes on, the server stops; with no share and without an endpoint nothing is sent', async () => {
  const down = await traced({ url: `http://127.0.0.1:${await freePort()}` });
  for (const name of ['ida', 'jon', 'kim']) await send(down, `${name}@taking.test`);
  await messages(down.postern, 'delivered', 3);
  assert.equal(await counted(down.postern, 'sent'), 0);
  assert.equal(await down.postern.stop(), 0);

  const collector = await startCollector();
  const none = await traced({ ...collector, more: 'sample = 0' });
  await send(none, 'lea@taking.test');
  await none.postern.logged('delivery.delivered');
  assert.equal(await none.postern.stop(), 0);
  const off = await traced({ url: '' });
  await send(off, 'max@taking.test');
  await messages(off.postern, 'delivered', 1);
  assert.doesNotMatch(await (await fetch(`${off.postern.http}/metrics`)).text(), /^postern_trace_spans_total\{/m);
  assert.equal(collector.requests.length, 0);
});
