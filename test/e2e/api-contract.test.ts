// Needs: knot, unbound
// The API as its document has it: every operation of a running server is called, by test/contract/exercises.ts, and every answer held against the
// document. An operation that nobody exercises fails; so does one that answers what it does not say.

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { before, test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { Validator } from '@seriousme/openapi-schema-validator';
import { exercises } from '../contract/exercises.ts';
import type { Answer, Exercise, Known } from '../contract/exercises.ts';
import { startDns } from '../support/dns.ts';
import { openPki } from '../support/pki.ts';
import { startPostern } from '../support/postern.ts';
import type { Postern } from '../support/postern.ts';
import { startReceiver } from '../support/receiver.ts';
import { accepted, connectTo } from '../support/submit.ts';
import { freePort, until } from '../support/temp.ts';

type Content = Readonly<Record<string, { readonly schema: object }>>;
type Described = {
  readonly operationId: string;
  readonly description: string;
  readonly security: readonly object[];
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly example?: string }[];
  readonly requestBody?: { readonly required: boolean; readonly content: Readonly<Record<string, { readonly schema: object; readonly example?: unknown }>> };
  readonly responses: Readonly<Record<string, { readonly content?: Content; readonly $ref?: string }>>;
};
type Document = {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>;
  readonly components: { readonly responses: Readonly<Record<string, { readonly content: Content }>> };
};
type Operation = Described & { readonly path: string; readonly method: string };

const CONTENT =
  'From: App <app@sender.test>\r\nTo: a@b.test\r\nSubject: Parts\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/html\r\n\r\n<p>Hi</p>\r\n--x\r\nContent-Type: text/plain; name=a.txt\r\nContent-Disposition: attachment; filename=a.txt\r\n\r\nattached\r\n--x--\r\n';

let postern: Postern;
let document: Document;
let operations: ReadonlyMap<string, Operation>;
let ajv: Ajv2020;
const tokens: Record<'admin' | 'none', string> = { admin: '', none: '' };
const known: Known = {};

before(async () => {
  const net = `127.${randomInt(1, 255)}.${randomInt(1, 255)}`;
  const port = await freePort(`${net}.1`);
  const issue = openPki();
  const certificate = issue({ names: ['mx.taking.test'] });
  await startReceiver({ address: `${net}.1`, port, tls: certificate });
  await startReceiver({ address: `${net}.2`, port, reply: (line) => (line.startsWith('RCPT') ? '450 4.2.1 Come back later' : undefined) });
  Object.assign(known, { receiver: `${net}.1`, receiverPort: String(port) });
  const dns = await startDns({ 'taking.test': `@ MX 10 mx\nmx A ${net}.1`, 'refusing.test': `@ MX 10 mx\nmx A ${net}.2`, 'sender.test': '@ TXT "v=spf1 -all"' });
  postern = await startPostern({
    config: `[dns]\nservers = ["${dns.server}"]\n[delivery]\nmx_port = ${port}\nallow_private_addresses = true\n[queue]\nretry = { first = "1h", factor = 2, max = "2h", jitter = 0.1 }\n`,
  });
  known['origin'] = postern.http.replace('127.0.0.1', 'localhost');
  for (const [name, scope] of [
    ['admin', 'admin'],
    ['none', 'messages:send'],
  ] as const)
    tokens[name] = (await postern.json<{ token: string }>('token', 'add', name, '--scope', scope)).token;
  const live = await connectTo(postern.port('submission'), { credential: await postern.credential('live', '--live') });
  await accepted(live, { to: ['ann@taking.test'], content: CONTENT });
  await accepted(live, { to: ['bob@refusing.test'], content: CONTENT });
  await live.quit();
  const sandbox = await connectTo(postern.port('submission'), { credential: await postern.credential('sandbox') });
  await accepted(sandbox, { to: ['cat@taking.test'], content: CONTENT });
  await sandbox.quit();
  document = (await (await fetch(`${postern.http}/openapi.json`)).json()) as Document;
  operations = new Map(
    Object.entries(document.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, one]) => [one.operationId, { ...one, path, method: method.toUpperCase() }])),
  );
  ajv = new Ajv2020({ strict: false, allErrors: true });
  addFormats.default(ajv);
  ajv.addSchema(document, 'api');
});

function find(id: string): Operation {
  const found = operations.get(id);
  assert.ok(found !== undefined, `the document has no operation ${id}`);
  return found;
}

async function call(operation: Operation, exercise: Omit<Exercise, 'operation' | 'status'>, token: string | null): Promise<Answer> {
  const path = operation.path.replaceAll(/\{(\w+)\}/g, (_whole, name: string) => encodeURIComponent(exercise.params?.[name] ?? ''));
  const query = new URLSearchParams(exercise.query).toString();
  const payload = exercise.raw ?? (exercise.body === undefined ? undefined : JSON.stringify(exercise.body));
  const base = exercise.byName === true ? String(known['origin']) : postern.http;
  const response = await fetch(`${base}${path}${query === '' ? '' : `?${query}`}`, {
    method: operation.method,
    headers: {
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...(exercise.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...exercise.headers,
    },
    ...(payload === undefined ? {} : { body: payload }),
    signal: AbortSignal.timeout(30_000),
  });
  const text = exercise.stream === true ? await beginning(response) : await response.text();
  const json = /[/+]json/.test(response.headers.get('content-type') ?? '');
  return { status: response.status, headers: response.headers, text, body: json ? (JSON.parse(text) as unknown) : text };
}

async function beginning(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  const { value } = (await reader?.read()) ?? {};
  await reader?.cancel();
  return Buffer.from(value ?? new Uint8Array()).toString();
}

/** What came must be said in the document: the status, the media type, and every field. */
function check(operation: Operation, answer: Answer): void {
  const what = `${operation.operationId} ${answer.status}`;
  const said = operation.responses[String(answer.status)];
  assert.ok(said !== undefined, `${what} is not in the document; it came with ${answer.text.slice(0, 500)}`);
  const content = said.content ?? document.components.responses[said.$ref?.split('/').at(-1) ?? '']?.content ?? {};
  const media = (answer.headers.get('content-type') ?? '').split(';', 1)[0] ?? '';
  assert.ok(media in content, `${what}: ${media} is not among ${Object.keys(content).join(', ')}`);
  if (!/[/+]json/.test(media)) return;
  const pointer = (parts: readonly string[]): string => `api#/${parts.map((part) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')}`;
  const place = said.$ref === undefined ? ['paths', operation.path, operation.method.toLowerCase(), 'responses', String(answer.status)] : said.$ref.slice(2).split('/');
  const validate = ajv.compile({ $ref: pointer([...place, 'content', media, 'schema']) });
  assert.ok(validate(answer.body), `${what}: ${ajv.errorsText(validate.errors)}\n${answer.text.slice(0, 2000)}`);
}

function learn(paths: Exercise['learn'], answer: Answer): void {
  for (const [name, path] of Object.entries(paths ?? {})) {
    const value = path.split('.').reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], answer.body);
    assert.equal(typeof value, 'string', `${path} in ${answer.text.slice(0, 300)}`);
    known[name] = String(value);
  }
}

async function exercise(make: () => Exercise): Promise<void> {
  const wanted = make();
  const operation = find(wanted.operation);
  const answer = await until(
    `${wanted.operation} answers what it should`,
    async () => {
      const came = await call(operation, wanted, operation.security.length === 0 || wanted.headers?.['cookie'] !== undefined ? null : tokens.admin);
      return wanted.until === undefined || came.status !== wanted.status || wanted.until(came.body as never) ? came : null;
    },
    20_000,
  );
  assert.equal(answer.status, wanted.status, `${wanted.operation} ${JSON.stringify(wanted.body ?? wanted.params ?? {})}: ${answer.text.slice(0, 1000)}`);
  check(operation, answer);
  learn(wanted.learn, answer);
  if (wanted.cookie !== undefined) known[wanted.cookie] = answer.headers.get('set-cookie')?.split(';', 1)[0] ?? '';
}

test('the document of the running server is valid', async () => {
  const { valid, errors } = await new Validator().validate(structuredClone(document));
  assert.ok(valid, JSON.stringify(errors));
});

test('every call answers what the document says', async (t) => {
  for (const make of exercises(known)) {
    const { operation, status } = make();
    await t.test(`${operation} ${status}`, () => exercise(make));
  }
});

test('every operation is exercised, with its answer and the refusals that are its own', () => {
  const made = new Set(exercises(known).map((make) => `${make().operation} ${make().status}`));
  // These come to all operations that need a token, or that only a broken server gives.
  const common = new Set(['401', '403', '429', '500', '503', '400', '413', '415', '507']);
  const wanted = [...operations.values()].flatMap(({ operationId, responses, requestBody, parameters = [] }) =>
    Object.keys(responses)
      // A value that is not allowed: where there is nothing but names, anything is.
      .filter((status) => !common.has(status) && !(status === '422' && requestBody === undefined && parameters.every((one) => one.in === 'path')))
      .map((status) => `${operationId} ${status}`),
  );
  const answers = wanted.filter((one) => / 2\d\d$| 40[49]$/.test(one) && !NOT_HERE.has(one));
  assert.deepEqual(
    answers.filter((one) => !made.has(one)),
    [],
    'exercises that test/contract/exercises.ts lacks',
  );
});

/** What this server cannot be brought to: it has no authority that issues certificates. */
const NOT_HERE = new Set(['renewCertificates 202', 'renewCertificates 404', 'getReadiness 503']);

test('without a token 401, without the scope 403; both as the document says, wherever it asks for one', async () => {
  for (const operation of operations.values()) {
    if (operation.security.length === 0) continue;
    const params = Object.fromEntries((operation.parameters ?? []).filter((one) => one.in === 'path').map(({ name }) => [name, 'x']));
    const without = await call(operation, { params }, null);
    assert.equal(without.status, 401, operation.operationId);
    check(operation, without);
    if (!/Needs the scope/.test(operation.description) || /`messages:send`/.test(operation.description)) continue;
    const short = await call(operation, { params }, tokens.none);
    assert.equal(short.status, 403, operation.operationId);
    check(operation, short);
  }
});

test('the examples of the document are requests that its own schemas take', () => {
  for (const { operationId, path, method, requestBody } of operations.values()) {
    for (const [media, { example }] of Object.entries(requestBody?.content ?? {})) {
      if (example === undefined) continue;
      const parts = ['paths', path, method.toLowerCase(), 'requestBody', 'content', media, 'schema'];
      const validate = ajv.compile({ $ref: `api#/${parts.map((part) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')}` });
      assert.ok(validate(example), `${operationId}: ${ajv.errorsText(validate.errors)}`);
    }
  }
});

/** Values that nobody means: of every type, at every bound, and some that programs stumble over. */
const ODD: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1e308,
  2 ** 53,
  0.5,
  '',
  ' ',
  'x'.repeat(5000),
  '\u0000',
  '\ud800',
  '🐘',
  '../../etc/passwd',
  "'; DROP TABLE token; --",
  '%',
  '<script>',
  'a@b@c',
  '*',
  '::1',
  [],
  [[]],
  [null],
  {},
  { __proto__: 1 },
  { toString: 1 },
  Array.from({ length: 3000 }, () => 'x'),
];
/** Bodies of documents that a mutation begins with: of those without an example. */
const PLAIN = { name: 'x' };

function mutated(value: unknown, random: () => number): unknown {
  const odd = ODD[Math.floor(random() * ODD.length)];
  if (typeof value !== 'object' || value === null || random() < 0.15) return odd;
  const entries = Object.entries(value);
  if (entries.length === 0) return { [String(random())]: odd };
  const at = Math.floor(random() * entries.length);
  const changed = entries.map(([key, field], i): [string, unknown] => (i === at ? [key, mutated(field, random)] : [key, field]));
  return Array.isArray(value) ? changed.map(([, field]) => field) : Object.fromEntries(changed);
}

/** The same numbers each time. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

test('whatever comes, the answer is one that the document names, and never a fault of the server', async () => {
  const random = randomFrom(5);
  const odd = (): string => {
    const value = ODD[Math.floor(random() * ODD.length)];
    return (typeof value === 'string' ? value : JSON.stringify(value)).slice(0, 1500).toWellFormed();
  };
  for (const operation of operations.values()) {
    // What would end the test rather than tell something.
    if (['reload', 'checkSelf', 'examine'].includes(operation.operationId) || 'text/event-stream' in (operation.responses['200']?.content ?? {})) continue;
    const example = operation.requestBody?.content['application/json']?.example ?? PLAIN;
    for (let round = 0; round < 12; round++) {
      const params = Object.fromEntries((operation.parameters ?? []).filter((one) => one.in === 'path').map(({ name }) => [name, odd() || 'x']));
      const query = random() < 0.5 ? {} : Object.fromEntries((operation.parameters ?? []).filter((one) => one.in === 'query' && random() < 0.5).map(({ name }) => [name, odd()]));
      const body = operation.requestBody === undefined ? undefined : mutated(example, random);
      const answer = await call(operation, { params, query, ...(body === undefined ? {} : { body }) }, operation.security.length === 0 ? null : tokens.admin);
      const what = `${operation.operationId} ${JSON.stringify({ params, query, body }).slice(0, 600)}`;
      assert.ok(answer.status < 500, `${what}: ${answer.text.slice(0, 300)}`);
      // A path may mean something else by now, or nothing.
      if (answer.status !== 404 && answer.status !== 405) check(operation, answer);
    }
  }
  assert.deepEqual(
    postern.log().filter((line) => line['event'] === 'http.failed'),
    [],
  );
});

test('no secret is in the log: neither tokens nor passwords nor what was asked for in a URL', () => {
  const log = postern.process.output();
  for (const secret of [tokens.admin.slice(13), tokens.none.slice(13), known['sharePath'] ?? 'no path']) assert.ok(!log.includes(secret));
});
