// The client's side of AUTH: SCRAM-SHA-256 where offered (the server proves itself too), else PLAIN, else LOGIN. Only ever called on a
// connection with TLS. RFC 4954, 4616, 5802, 7677.

import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { bearer, bearerResponse, cramMd5 } from './client-auth-asked.ts';
import type { Asked } from './client-auth-asked.ts';
import type { ClientFailure, ClientMechanism, RemoteReply } from './client-types.ts';
import type { Wire } from './client-wire.ts';
import { withoutSecrets } from './transcript.ts';

type Login = { readonly username: string; readonly password: string; readonly mechanism?: ClientMechanism };
/** `binding` gives the data of RFC 9266, for -PLUS. */
type Choice = { readonly offered: readonly string[]; readonly nonce?: () => string; readonly binding?: (() => Buffer) | null };

const MAX_ITERATIONS = 600_000;
const derive = promisify(pbkdf2);

/** Authenticates; null when it went well. A refusal carries the server's reply. `nonce` is the client's of SCRAM; default: chance. */
export async function authenticate(wire: Wire, login: Login, options: Choice & { timeoutMs: number }): Promise<ClientFailure | null> {
  const dialogue = new Dialogue(wire, options.timeoutMs);
  const secrets = secretsOf(login);
  wire.recorder?.hide(secrets);
  const refused = await attempt(dialogue, login, options);
  // A server that repeats what it refuses must not bring the password into a log.
  return refused === null ? null : { ...refused, text: withoutSecrets(refused.text, secrets), reply: refused.reply === null ? null : hidden(refused.reply, secrets) };
}

/** The best first: SCRAM, by which the server proves itself too. -PLUS has to be asked for. */
const PREFERRED: readonly ClientMechanism[] = ['SCRAM-SHA-256', 'PLAIN', 'LOGIN'];

async function attempt(dialogue: Dialogue, login: Login, options: Choice): Promise<ClientFailure | null> {
  const wanted = login.mechanism === undefined ? PREFERRED : [login.mechanism];
  const mechanism = wanted.find((one) => options.offered.includes(one));
  const nonce = options.nonce ?? randomNonce;
  switch (mechanism) {
    case 'SCRAM-SHA-256-PLUS': {
      const bound = options.binding?.();
      if (bound === undefined) return refusal('policy', null, 'SCRAM-SHA-256-PLUS binds the login to TLS 1.3, which this connection has not');
      return scram(dialogue, login, { nonce: nonce(), bound });
    }
    case 'SCRAM-SHA-256':
      return scram(dialogue, login, { nonce: nonce(), bound: null });
    case 'PLAIN':
      return plain(dialogue, login);
    case 'LOGIN':
      return loginMechanism(dialogue, login);
    case 'XOAUTH2':
    case 'OAUTHBEARER':
      return asked(await bearer((line, shown) => dialogue.say(line, shown), mechanism, login));
    case 'CRAM-MD5':
      return asked(await cramMd5((line, shown) => dialogue.say(line, shown), login));
    case undefined:
      return refusal(
        'policy',
        null,
        `no mechanism in common: ${login.mechanism === undefined ? '' : `${login.mechanism} is wanted, `}the server offers ${options.offered.join(' ') || 'no AUTH at all'}`,
      );
  }
}

/** The password in every form in which it goes over the wire. */
function secretsOf({ username, password, mechanism }: Login): string[] {
  const coded = [`\0${username}\0${password}`, password].map((text) => Buffer.from(text).toString('base64'));
  const token = mechanism === 'XOAUTH2' || mechanism === 'OAUTHBEARER' ? [bearerResponse(mechanism, { username, password })] : [];
  return [...coded, ...token, password].filter((secret) => secret !== '');
}

function hidden(reply: RemoteReply, secrets: readonly string[]): RemoteReply {
  return { ...reply, lines: reply.lines.map((line) => withoutSecrets(line, secrets)) };
}

/** Sends a line whose content is secret and awaits the reply. */
class Dialogue {
  readonly #wire: Wire;
  readonly #timeoutMs: number;
  constructor(wire: Wire, timeoutMs: number) {
    this.#wire = wire;
    this.#timeoutMs = timeoutMs;
  }
  async say(line: string, shown: string): Promise<{ reply: RemoteReply } | { failure: ClientFailure }> {
    this.#wire.write(`${line}\r\n`, shown);
    return this.#wire.next('auth', this.#timeoutMs);
  }
}

async function plain(dialogue: Dialogue, { username, password }: Login): Promise<ClientFailure | null> {
  const answer = Buffer.from(`\0${username}\0${password}`).toString('base64');
  return ended(await dialogue.say(`AUTH PLAIN ${answer}`, 'AUTH PLAIN [removed]'));
}

async function loginMechanism(dialogue: Dialogue, { username, password }: Login): Promise<ClientFailure | null> {
  for (const [line, shown] of [
    ['AUTH LOGIN', 'AUTH LOGIN'],
    [Buffer.from(username).toString('base64'), '[username removed]'],
  ] as const) {
    const answer = await dialogue.say(line, shown);
    if ('failure' in answer) return answer.failure;
    if (answer.reply.code !== 334) return refusal('reply', answer.reply);
  }
  return ended(await dialogue.say(Buffer.from(password).toString('base64'), '[password removed]'));
}

async function scram(dialogue: Dialogue, { username, password }: Login, { nonce, bound }: { nonce: string; bound: Buffer | null }): Promise<ClientFailure | null> {
  const [mechanism, header] = bound === null ? ['SCRAM-SHA-256', 'n,,'] : ['SCRAM-SHA-256-PLUS', 'p=tls-exporter,,'];
  const bare = `n=${username.normalize('NFKC').replace(/=/g, '=3D').replace(/,/g, '=2C')},r=${nonce}`;
  const first = await dialogue.say(`AUTH ${mechanism} ${Buffer.from(`${header}${bare}`).toString('base64')}`, `AUTH ${mechanism} [removed]`);
  if ('failure' in first) return first.failure;
  if (first.reply.code !== 334) return refusal('reply', first.reply);
  const serverFirst = Buffer.from(first.reply.lines[0] ?? '', 'base64').toString('utf8');
  const match = /^r=([^,]+),s=([A-Za-z0-9+/=]+),i=(\d{1,6})$/.exec(serverFirst);
  const iterations = Number(match?.[3]);
  if (match === null || !match[1]?.startsWith(nonce) || match[1].length === nonce.length || iterations < 1 || iterations > MAX_ITERATIONS)
    return refusal('protocol', null, 'the SCRAM challenge cannot be accepted');
  const salted = await derive(password.normalize('NFKC'), Buffer.from(match[2] ?? '', 'base64'), iterations, 32, 'sha256');
  const withoutProof = `c=${Buffer.concat([Buffer.from(header), bound ?? Buffer.alloc(0)]).toString('base64')},r=${match[1]}`;
  const authMessage = `${bare},${serverFirst},${withoutProof}`;
  const clientKey = hmac(salted, 'Client Key');
  const signature = hmac(createHash('sha256').update(clientKey).digest(), authMessage);
  const proof = Buffer.from(clientKey.map((byte, i) => byte ^ (signature[i] ?? 0)));
  const final = await dialogue.say(Buffer.from(`${withoutProof},p=${proof.toString('base64')}`).toString('base64'), '[proof removed]');
  if ('failure' in final) return final.failure;
  const [text = ''] = final.reply.lines;
  if (final.reply.code !== 334 && final.reply.code !== 235) return refusal('reply', final.reply);
  const verifier = /^v=([A-Za-z0-9+/=]+)/.exec(Buffer.from(text.split(' ').at(-1) ?? '', 'base64').toString('utf8'))?.[1] ?? '';
  const expected = hmac(hmac(salted, 'Server Key'), authMessage);
  const given = Buffer.from(verifier, 'base64');
  // A server that does not know the password cannot sign: it must not get our mail either.
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return refusal('protocol', null, 'the server did not prove that it knows the password');
  return final.reply.code === 235 ? null : ended(await dialogue.say('', '[empty]'));
}

function ended(answer: { reply: RemoteReply } | { failure: ClientFailure }): ClientFailure | null {
  if ('failure' in answer) return answer.failure;
  return answer.reply.code === 235 ? null : refusal('reply', answer.reply);
}

function asked({ answer, detail }: Asked): ClientFailure | null {
  const refused = ended(answer);
  return refused === null || detail === '' ? refused : { ...refused, text: `${refused.text}; the server says of the token: ${detail}` };
}

function refusal(kind: ClientFailure['kind'], reply: RemoteReply | null, text?: string): ClientFailure {
  return {
    phase: 'auth',
    kind,
    reply,
    code: null,
    text: text ?? `authentication refused: ${reply?.code} ${reply?.enhanced ?? ''} ${reply?.lines.join(' ') ?? ''}`,
    possibleDuplicate: false,
  };
}

function randomNonce(): string {
  return randomBytes(18).toString('base64');
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
