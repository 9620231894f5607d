// People signing in over TCP, against a real directory: links, passwords, codes, passkeys, sessions and their cookie, pages of other origins, and
// that nobody gives more than they have.

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { request as ask } from 'node:http';
import { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it, test } from 'node:test';
import { openVault } from '#base/vault.ts';
import { silentLog } from '#base/log.ts';
import { Metrics } from '#events/metrics.ts';
import { linkFor } from '#http/routes/people.ts';
import { createApp, listenOnTcp } from '#http/server.ts';
import type { AppParts, HttpServer } from '#http/server.ts';
import { hashPassword, verifyPassword } from '#http/sign-in/password.ts';
import { base32, fromBase32, totpCode, totpStepOf } from '#http/sign-in/totp.ts';
import { openDirectory } from '#store/directory.ts';
import { IDLE_MS, LONGEST_MS, openSessions } from '#store/sessions.ts';
import { PEOPLE_MIGRATION, openPeople } from '#store/people.ts';
import type { Person } from '#store/people.ts';
import { openDatabase } from '#store/sqlite/database.ts';
import { Authenticator } from '../support/authenticator.ts';

const dir = mkdtempSync(join(tmpdir(), 'postern-sign-in-'));
const directory = openDirectory(join(dir, 'directory.db'), new Int32Array(new SharedArrayBuffer(4)));
const { people } = directory;
const settings = { corsOrigins: [], trustedProxies: ['127.0.0.1'], requestsPerAddress: 10_000, requestsPerToken: 10_000 };
const PASSWORD = 'a long and private sentence';
let http: HttpServer;
let base: string;

before(async () => {
  const parts = {
    log: silentLog,
    counted: new Metrics(),
    version: '1',
    door: () => settings,
    directory,
    vault: openVault(Buffer.alloc(32, 1)),
    url: () => base,
    readiness: async () => ({ ready: true, checks: {} }),
  };
  http = await listenOnTcp(createApp(parts as unknown as AppParts), { address: '127.0.0.1', port: 0 });
  base = `http://localhost:${http.port}`;
});
after(async () => {
  await http.close();
  directory.close();
  rmSync(dir, { recursive: true });
});

type Answer = { readonly status: number; readonly body: Record<string, unknown>; readonly cookie: string | null };

/** A browser that is on a page: it keeps the cookie, and says where it is. Each has an address of its own, as limits go by that. */
class Browser {
  cookie = '';
  readonly #address: string;
  static #count = 0;
  constructor() {
    this.#address = `192.0.2.${++Browser.#count}`;
  }
  async ask(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const given = {
      host: `localhost:${http.port}`,
      'sec-fetch-site': 'same-origin',
      origin: base,
      'x-forwarded-for': this.#address,
      ...(this.cookie === '' ? {} : { cookie: this.cookie }),
      ...headers,
    };
    const answer = await request(method, path, { headers: given, body });
    if (answer.cookie !== null) this.cookie = /^[\w-]+=[^;]+/.exec(answer.cookie)?.[0] ?? '';
    return answer;
  }
  async ok(method: string, path: string, body?: unknown): Promise<Record<string, unknown>> {
    const answer = await this.ask(method, path, body);
    assert.ok(answer.status < 300, JSON.stringify(answer.body));
    return answer.body;
  }
}

/** `fetch` names the host itself; a browser is told it by the address bar. */
function request(method: string, path: string, { headers, body }: { headers: Record<string, string>; body?: unknown }): Promise<Answer> {
  const sent = body === undefined ? '' : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const outgoing = ask(
      {
        host: '127.0.0.1',
        port: http.port,
        method,
        path,
        headers: { ...headers, ...(sent === '' ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(sent) }) },
      },
      (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) as Record<string, unknown>, cookie: response.headers['set-cookie']?.[0] ?? null }),
        );
      },
    );
    outgoing.on('error', reject);
    outgoing.end(sent);
  });
}

function link(person: Person): string {
  return linkFor(people, person, base).link.split('#')[1] ?? '';
}

function newcomer(name: string, scopes = ['admin']): Person {
  return people.add({ name, scopes, createdBy: 'test' });
}

async function signedIn(name: string, scopes?: string[]): Promise<Browser> {
  const browser = new Browser();
  await browser.ok('POST', '/v1/session', { link: link(newcomer(name, scopes)) });
  return browser;
}

/** A session that began some time ago. */
function age(person: string, ms: number): void {
  const other = new DatabaseSync(join(dir, 'directory.db'));
  other.prepare('UPDATE session SET proved_at = proved_at - ? WHERE person_id = (SELECT id FROM person WHERE name = ?)').run(ms, person);
  other.close();
}

test('a link signs in once; the cookie is for this server only; then a password does', async () => {
  const person = newcomer('ada');
  const text = link(person);
  const browser = new Browser();
  const first = await browser.ask('POST', '/v1/session', { link: text });
  assert.equal(first.status, 200);
  assert.match(first.cookie ?? '', /^postern=[\w-]{32}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=\d+$/);
  assert.deepEqual((first.body['person'] as Record<string, unknown>)['password'], false);
  const again = await new Browser().ask('POST', '/v1/session', { link: text });
  assert.deepEqual([again.status, again.body['code']], [401, 'link-invalid']);
  assert.equal((await browser.ok('GET', '/v1/identity'))['kind'], 'session');
  assert.deepEqual((await browser.ask('PUT', '/v1/me/password', { password: 'short' })).status, 422);
  assert.deepEqual((await browser.ask('PUT', '/v1/me/password', { password: 'ada ada ada1' })).status, 422);
  assert.equal((await browser.ok('PUT', '/v1/me/password', { password: PASSWORD }))['password'], true);
  const other = new Browser();
  assert.deepEqual((await other.ask('POST', '/v1/session', { name: 'ada', password: 'wrong wrong wrong' })).body['code'], 'sign-in-failed');
  assert.deepEqual((await other.ask('POST', '/v1/session', { name: 'nobody', password: PASSWORD })).body['code'], 'sign-in-failed');
  await other.ok('POST', '/v1/session', { name: 'ADA', password: PASSWORD });
  assert.equal((await other.ok('GET', '/v1/session'))['person'] !== undefined, true);
  await other.ok('DELETE', '/v1/session');
  assert.equal(other.cookie, '');
  assert.equal((await other.ask('GET', '/v1/session')).status, 401);
  const row = openDatabase(join(dir, 'directory.db'), [], { synchronous: 'NORMAL', readOnly: true });
  const kept = JSON.stringify(row.prepare('SELECT * FROM person').all()) + JSON.stringify(row.prepare('SELECT * FROM sign_in_link').all());
  row.close();
  assert.ok(!kept.includes(PASSWORD) && kept.includes('$argon2id$v=19$m=19456,t=2,p=1$'));
});

test('a new link replaces the one before', async () => {
  const person = newcomer('two-links');
  const [one, two] = [link(person), link(person)];
  assert.equal((await new Browser().ask('POST', '/v1/session', { link: one })).status, 401);
  assert.equal((await new Browser().ask('POST', '/v1/session', { link: two })).status, 200);
});

test('behind HTTPS the cookie is Secure and of this host alone, and one from before is not taken', async () => {
  const browser = new Browser();
  const answer = await browser.ask('POST', '/v1/session', { link: link(newcomer('https')) }, { 'x-forwarded-proto': 'https' });
  assert.match(answer.cookie ?? '', /^__Host-postern=[\w-]{32}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=\d+; Secure$/);
  assert.equal((await browser.ask('GET', '/v1/session', undefined, { 'x-forwarded-proto': 'https' })).status, 200);
  const plain = browser.cookie.replace('__Host-', '');
  assert.equal((await browser.ask('GET', '/v1/session', undefined, { 'x-forwarded-proto': 'https', cookie: plain })).status, 401);
});

test('a page of another origin changes nothing, whatever cookie comes along', async () => {
  const browser = await signedIn('csrf');
  for (const headers of [{ 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'same-site' }, { 'sec-fetch-site': 'none' }]) {
    const answer = await browser.ask('POST', '/v1/credentials', { name: 'x' }, headers);
    assert.deepEqual([answer.status, answer.body['code']], [403, 'foreign-page'], JSON.stringify(headers));
  }
  const { cookie } = browser;
  for (const origin of ['https://evil.example', `http://localhost:${http.port + 1}`, 'null', undefined]) {
    const headers = { host: `localhost:${http.port}`, cookie, ...(origin === undefined ? {} : { origin }) };
    const response = await request('POST', '/v1/credentials', { headers, body: { name: 'x' } });
    assert.equal(response.status, 403, origin ?? 'no origin');
  }
  // A sign-in from elsewhere would put somebody into an account of the attacker's.
  assert.equal((await new Browser().ask('POST', '/v1/session', { link: link(newcomer('fixed')) }, { 'sec-fetch-site': 'cross-site' })).status, 403);
  assert.equal((await directory.credentials()).length, 0);
});

test('signing in begins a new session, and the one before ends', async () => {
  const browser = await signedIn('fresh');
  const before = browser.cookie;
  await browser.ok('POST', '/v1/session', { link: link(people.find('fresh') as Person) });
  assert.notEqual(browser.cookie, before);
  assert.equal((await browser.ask('GET', '/v1/session', undefined, { cookie: before })).status, 401);
});

test('codes of an app: asked for once confirmed, each counts once, recovery codes too', async () => {
  const browser = await signedIn('totp');
  await browser.ok('PUT', '/v1/me/password', { password: PASSWORD });
  const { secret, uri } = (await browser.ok('POST', '/v1/me/totp', {})) as { secret: string; uri: string };
  assert.match(uri, new RegExp(`^otpauth://totp/Postern:totp%40localhost\\?secret=${secret}&issuer=Postern`));
  const bytes = fromBase32(secret);
  const step = (): number => Math.floor(Date.now() / 30_000);
  assert.equal((await browser.ask('PUT', '/v1/me/totp', { secret, code: '000000' })).status, 422);
  const { recoveryCodes } = (await browser.ok('PUT', '/v1/me/totp', { secret, code: totpCode(bytes, step() - 1) })) as { recoveryCodes: string[] };
  assert.equal(new Set(recoveryCodes).size, 10);
  const other = new Browser();
  const needed = await other.ask('POST', '/v1/session', { name: 'totp', password: PASSWORD });
  assert.deepEqual([needed.status, needed.body['code']], [401, 'code-needed']);
  // The wrong password says nothing of codes.
  assert.equal((await other.ask('POST', '/v1/session', { name: 'totp', password: 'wrong wrong wrong' })).body['code'], 'sign-in-failed');
  const code = totpCode(bytes, step() + 1);
  await other.ok('POST', '/v1/session', { name: 'totp', password: PASSWORD, code });
  assert.equal((await new Browser().ask('POST', '/v1/session', { name: 'totp', password: PASSWORD, code })).body['code'], 'code-wrong');
  const recovery = (recoveryCodes[0] ?? '').toUpperCase().replaceAll('-', ' ');
  await new Browser().ok('POST', '/v1/session', { name: 'totp', password: PASSWORD, code: recovery });
  assert.equal((await new Browser().ask('POST', '/v1/session', { name: 'totp', password: PASSWORD, code: recovery })).body['code'], 'code-wrong');
  assert.equal(((await other.ok('GET', '/v1/session'))['person'] as Record<string, unknown>)['recoveryCodes'], 9);
  assert.equal((await browser.ok('DELETE', '/v1/me/totp', {}))['totp'], false);
});

test('what changes how one signs in needs that one has just signed in, or the password', async () => {
  const browser = await signedIn('stale');
  await browser.ok('PUT', '/v1/me/password', { password: PASSWORD });
  age('stale', 16 * 60_000);
  const refused = await browser.ask('PUT', '/v1/me/password', { password: 'another long sentence' });
  assert.deepEqual([refused.status, refused.body['code']], [401, 'prove-again']);
  assert.equal((await browser.ask('POST', '/v1/me/totp', { current: 'wrong wrong wrong' })).body['code'], 'password-wrong');
  await browser.ok('POST', '/v1/me/totp', { current: PASSWORD });
  await browser.ok('PUT', '/v1/me/password', { password: 'another long sentence', current: PASSWORD });
});

test('a new password ends the other sessions; each session can be ended from the others', async () => {
  const one = await signedIn('places');
  await one.ok('PUT', '/v1/me/password', { password: PASSWORD });
  const [two, three] = [new Browser(), new Browser()];
  for (const browser of [two, three]) await browser.ok('POST', '/v1/session', { name: 'places', password: PASSWORD });
  const { sessions } = (await one.ok('GET', '/v1/me/sessions')) as { sessions: { id: string; current: boolean; method: string }[] };
  assert.deepEqual(sessions.map(({ method, current }) => `${method} ${current}`).toSorted(), ['link true', 'password false', 'password false']);
  const other = sessions.find(({ current }) => !current)?.id ?? '';
  await one.ok('DELETE', `/v1/me/sessions/${other}`);
  const alive = (await Promise.all([two, three].map((browser) => browser.ask('GET', '/v1/session')))).map(({ status }) => status);
  assert.deepEqual(
    alive.toSorted((a, b) => a - b),
    [200, 401],
  );
  await one.ok('PUT', '/v1/me/password', { password: 'a sentence of another kind' });
  assert.deepEqual(await Promise.all([one, two, three].map(async (browser) => (await browser.ask('GET', '/v1/session')).status)), [200, 401, 401]);
});

describe('passkeys', () => {
  type Creation = { challenge: string; rp: { id: string } };
  type Request = { challenge: string; rpId: string };
  const register = async (browser: Browser, key: Authenticator): Promise<Answer> => {
    const options = (await browser.ok('POST', '/v1/me/passkeys/options', {})) as unknown as Creation;
    return browser.ask('POST', '/v1/me/passkeys', { name: 'laptop', passkey: key.create(base, options) });
  };
  const options = async (browser: Browser): Promise<Request> => (await browser.ok('POST', '/v1/session/passkey')) as unknown as Request;

  it('are made, sign in without a name, and are forgotten', async () => {
    const browser = await signedIn('keys');
    const key = new Authenticator();
    const made = await register(browser, key);
    assert.deepEqual([made.status, made.body['name']], [201, 'laptop']);
    assert.equal((await register(browser, key)).status, 409);
    const other = new Browser();
    const session = await other.ok('POST', '/v1/session', { passkey: key.get(base, await options(other)) });
    assert.equal((session['person'] as Record<string, unknown>)['name'], 'keys');
    assert.equal((session['session'] as Record<string, unknown>)['method'], 'passkey');
    await browser.ok('DELETE', `/v1/me/passkeys/${key.id}`, {});
    assert.equal((await new Browser().ask('POST', '/v1/session', { passkey: key.get(base, await options(new Browser())) })).body['code'], 'passkey-unknown');
  });

  it('count for the question that was asked, once, on this page, by this key', async () => {
    const browser = await signedIn('liars');
    const key = new Authenticator();
    await register(browser, key);
    const lie = async (lies: Parameters<Authenticator['get']>[2], asked?: Request): Promise<unknown> => {
      const other = new Browser();
      return (await other.ask('POST', '/v1/session', { passkey: key.get(base, asked ?? (await options(other)), lies) })).body['cause'];
    };
    const used = await options(new Browser());
    assert.equal(await lie({}, used), undefined);
    assert.match(String(await lie({}, used)), /not asked here/);
    assert.match(String(await lie({}, { ...used, challenge: 'AAAA' })), /not asked here/);
    assert.match(String(await lie({ origin: 'https://evil.example' })), /another page/);
    assert.match(String(await lie({ type: 'webauthn.create' })), /another question/);
    assert.match(String(await lie({ host: 'evil.example' })), /another host/);
    assert.match(String(await lie({ flags: 0x01 })), /did not make sure/);
    assert.match(String(await lie({ counter: 1 })), /counter went back/);
    assert.match(String(await lie({ key: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey })), /signature/);
    // A challenge for making one does not sign anybody in.
    const creation = (await browser.ok('POST', '/v1/me/passkeys/options', {})) as unknown as Creation;
    assert.match(String(await lie({}, { challenge: creation.challenge, rpId: 'localhost' })), /not asked here/);
  });

  it('of weak keys and other ids are not kept; nor by a browser at an IP address', async () => {
    const browser = await signedIn('weak');
    const made = async (change: (made: ReturnType<Authenticator['create']>) => object): Promise<unknown> => {
      const creation = (await browser.ok('POST', '/v1/me/passkeys/options', {})) as unknown as Creation;
      return (await browser.ask('POST', '/v1/me/passkeys', { name: 'x', passkey: change(new Authenticator().create(base, creation)) })).body['cause'];
    };
    const short = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ type: 'spki', format: 'der' }).toString('base64url');
    assert.match(String(await made((one) => ({ ...one, publicKey: short }))), /kind that is not taken/);
    assert.match(String(await made((one) => ({ ...one, publicKey: 'AAAA' }))), /kind that is not taken/);
    assert.match(String(await made((one) => ({ ...one, id: 'AAAA' }))), /another than the one it has inside/);
    assert.match(String(await made((one) => ({ ...one, clientData: 'AAAA' }))), /no JSON/);
    const answer = await browser.ask('POST', '/v1/me/passkeys/options', {}, { host: `127.0.0.1:${http.port}` });
    assert.match(String(answer.body['cause']), /cannot belong to 127\.0\.0\.1/);
  });
});

test('people: nobody gives what they do not have, the last administrator stays, scopes hold at once', async () => {
  const admin = await signedIn('boss');
  const helper = await signedIn('helper', ['people:write', 'messages:read']);
  assert.equal((await helper.ask('POST', '/v1/people', { name: 'spy', scopes: ['admin'] })).status, 403);
  assert.equal((await helper.ask('POST', '/v1/people/boss/link')).status, 403);
  assert.equal((await helper.ask('DELETE', '/v1/people/boss')).status, 403);
  const made = await helper.ok('POST', '/v1/people', { name: 'reader', scopes: ['messages:read'] });
  assert.match(String(made['link']), /^http:\/\/localhost:\d+\/sign-in#[\w-]{32}$/);
  const reader = new Browser();
  await reader.ok('POST', '/v1/session', { link: String(made['link']).split('#')[1] });
  assert.equal((await reader.ask('GET', '/v1/people')).status, 403);
  await admin.ok('PATCH', '/v1/people/reader', { scopes: ['people:read'] });
  assert.equal((await reader.ask('GET', '/v1/people')).status, 200);
  await admin.ok('DELETE', '/v1/people/reader');
  assert.equal((await reader.ask('GET', '/v1/session')).status, 401);
  for (const person of people.list()) if (person.scopes.includes('admin') && person.name !== 'boss') people.remove(person.id);
  assert.deepEqual(
    [(await admin.ask('DELETE', '/v1/people/boss')).body['code'], (await admin.ask('PATCH', '/v1/people/boss', { scopes: ['audit:read'] })).body['code']],
    ['last-admin', 'last-admin'],
  );
  const { entries } = (await admin.ok('GET', '/v1/audit')) as { entries: { name: string; action: string; target: string; status: number }[] };
  assert.ok(entries.some((entry) => entry.name === 'helper' && entry.action === 'addPerson' && entry.target === 'reader' && entry.status === 201));
});

test('who tries many passwords waits, and a token is no person', async () => {
  const browser = new Browser();
  const answers: number[] = [];
  for (let i = 0; i < 12; i++) answers.push((await browser.ask('POST', '/v1/session', { link: `x${i}` })).status);
  assert.deepEqual([...new Set(answers)], [401, 429]);
  const { secret } = directory.tokens.add({ name: 'bot', scopes: ['admin'], project: null, ratePerMinute: null, expiresAtMs: null, createdBy: 'test' });
  const answer = await new Browser().ask('PUT', '/v1/me/password', { password: PASSWORD }, { authorization: `Bearer ${secret}` });
  assert.deepEqual([answer.status, answer.body['code']], [401, 'not-signed-in']);
});

test('sessions end when they are not used, and in any case', () => {
  const database = openDatabase(join(dir, 'sessions.db'), [PEOPLE_MIGRATION], { synchronous: 'NORMAL' });
  let nowMs = 1_000_000;
  const sessions = openSessions(database, () => nowMs);
  const { text } = sessions.begin({ personId: 'p', method: 'link', address: '', agent: '' });
  for (let used = 0; used < LONGEST_MS - IDLE_MS; used += IDLE_MS - 1) {
    assert.ok(sessions.verify(text));
    nowMs += IDLE_MS - 1;
  }
  nowMs = 1_000_000 + LONGEST_MS + 1;
  assert.equal(sessions.verify(text), null);
  const idle = sessions.begin({ personId: 'p', method: 'link', address: '', agent: '' }).text;
  nowMs += IDLE_MS + 1;
  assert.equal(sessions.verify(idle), null);
  const store = openPeople(database, () => nowMs);
  const person = store.add({ name: 'late', scopes: [], createdBy: 'x' });
  const late = store.makeLink(person.id, nowMs + 1000);
  nowMs += 1001;
  assert.equal(store.useLink(late), null);
  database.close();
});

test('codes are those of RFC 6238, appendix B, as six digits', () => {
  const secret = Buffer.from('12345678901234567890');
  for (const [seconds, code] of [
    [59, '287082'],
    [1_111_111_109, '081804'],
    [1_111_111_111, '050471'],
    [1_234_567_890, '005924'],
    [2_000_000_000, '279037'],
    [20_000_000_000, '353130'],
  ] as const) {
    assert.equal(totpCode(secret, Math.floor(seconds / 30)), code);
    assert.equal(totpStepOf(secret, code, seconds * 1000), Math.floor(seconds / 30));
    assert.equal(totpStepOf(secret, code, (seconds + 90) * 1000), null);
  }
  assert.equal(base32(Buffer.from('foobar')), 'MZXW6YTBOI');
});

test('a hash of a password with other parameters still holds', async () => {
  const kept = await hashPassword('x'.repeat(20));
  assert.ok(await verifyPassword('x'.repeat(20), kept));
  assert.ok(!(await verifyPassword('y'.repeat(20), kept)));
  assert.ok(!(await verifyPassword('x', null)));
  assert.ok(!(await verifyPassword('x', 'nonsense')));
  assert.ok(await verifyPassword('é'.normalize('NFD').repeat(6), await hashPassword('é'.repeat(6))));
});
