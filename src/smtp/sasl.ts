// The server's side of AUTH: PLAIN (RFC 4616), LOGIN (draft, still spoken everywhere), SCRAM-SHA-256 and -PLUS (RFC 5802, 7677, 9266). Each
// mechanism is a small machine fed with decoded answers; passwords pass through and are kept nowhere.

import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { MaybePromise } from '#base/promise.ts';
import type { AuthResult, ChannelBinding, Identity, ScramKeys } from './policy.ts';

export type Mechanism = 'PLAIN' | 'LOGIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-256-PLUS';

export const MECHANISMS: readonly Mechanism[] = ['PLAIN', 'LOGIN', 'SCRAM-SHA-256', 'SCRAM-SHA-256-PLUS'];

/** What the machine says next: a challenge to send, a result, or a failure that is not told apart from a wrong password. */
export type SaslStep<I extends Identity> = { readonly challenge: Buffer } | { readonly result: AuthResult<I>; readonly serverFinal?: Buffer } | { readonly failed: string };

export type SaslMachine<I extends Identity> = { step(answer: Buffer): MaybePromise<SaslStep<I>> };

/** What the mechanisms ask of the server. */
export type SaslHost<I extends Identity> = {
  verify(username: string, password: string): MaybePromise<AuthResult<I>>;
  keys(username: string): MaybePromise<ScramKeys>;
  proven(username: string): MaybePromise<AuthResult<I>>;
  readonly binding: ChannelBinding | null;
  /** The server's part of the nonce of SCRAM; default: chance. */
  readonly nonce?: () => string;
};

/** Starts a mechanism. The first `step` gets the initial response; without one, send the machine's `first` challenge before. */
export function openMechanism<I extends Identity>(mechanism: Mechanism, host: SaslHost<I>): { readonly machine: SaslMachine<I>; readonly first: Buffer } {
  const empty = Buffer.alloc(0);
  if (mechanism === 'PLAIN') return { machine: plain(host), first: empty };
  if (mechanism === 'LOGIN') return { machine: login(host), first: Buffer.from('Username:') };
  return { machine: scram(host, mechanism === 'SCRAM-SHA-256-PLUS'), first: empty };
}

/** Strict base64 (RFC 4648 4); null when it is not. `=` alone is the empty answer (RFC 4954 4). */
export function decodeBase64(text: string): Buffer | null {
  if (text === '=') return Buffer.alloc(0);
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return null;
  return Buffer.from(text, 'base64');
}

function plain<I extends Identity>(host: SaslHost<I>): SaslMachine<I> {
  return {
    step(answer) {
      const [authzid, username, password, extra] = answer.toString('utf8').split('\0');
      if (username === undefined || password === undefined || extra !== undefined || username === '' || password === '') return { failed: 'malformed PLAIN answer' };
      // Acting for someone else is not offered: an authzid may only repeat the username.
      if (authzid !== '' && authzid !== username) return { failed: 'authorization identity differs from username' };
      return verified(host.verify(prepare(username), prepare(password)));
    },
  };
}

function login<I extends Identity>(host: SaslHost<I>): SaslMachine<I> {
  let username: string | null = null;
  return {
    step(answer) {
      const text = answer.toString('utf8');
      if (username === null) {
        username = text;
        return { challenge: Buffer.from('Password:') };
      }
      if (username === '' || text === '') return { failed: 'empty username or password' };
      return verified(host.verify(prepare(username), prepare(text)));
    },
  };
}

function verified<I extends Identity>(result: MaybePromise<AuthResult<I>>): MaybePromise<SaslStep<I>> {
  return result instanceof Promise ? result.then((value) => ({ result: value })) : { result };
}

type ScramFirst = { readonly gs2: string; readonly bindingType: string | null; readonly username: string; readonly nonce: string; readonly bare: string };

function scram<I extends Identity>(host: SaslHost<I>, plus: boolean): SaslMachine<I> {
  let first: ScramFirst | null = null;
  let keys: ScramKeys | null = null;
  let serverFirst = '';
  let nonce = '';
  let username = '';
  let done: SaslStep<I> | null = null;

  async function start(answer: Buffer): Promise<SaslStep<I>> {
    const parsed = parseClientFirst(answer.toString('utf8'));
    if (typeof parsed === 'string') return { failed: parsed };
    const wrong = bindingProblem(parsed, plus, host.binding !== null);
    if (wrong !== null) return { failed: wrong };
    first = parsed;
    username = prepare(parsed.username);
    keys = await host.keys(username);
    nonce = parsed.nonce + (host.nonce ?? randomNonce)();
    serverFirst = `r=${nonce},s=${keys.salt.toString('base64')},i=${keys.iterations}`;
    return { challenge: Buffer.from(serverFirst) };
  }

  async function finish(answer: Buffer, opening: ScramFirst, known: ScramKeys): Promise<SaslStep<I>> {
    const match = /^c=([A-Za-z0-9+/=]+),r=([\x21-\x2b\x2d-\x7e]+)(?:,[^,]+)*,p=([A-Za-z0-9+/=]+)$/.exec(answer.toString('utf8'));
    if (match === null) return { failed: 'malformed SCRAM answer' };
    const [whole, channel = '', theirNonce = '', proofText = ''] = match;
    const bound = boundData(opening, host.binding);
    const proof = Buffer.from(proofText, 'base64');
    if (theirNonce !== nonce || bound === null || channel !== bound.toString('base64') || proof.length !== known.storedKey.length)
      return { failed: 'SCRAM nonce or channel binding differs' };
    const authMessage = `${opening.bare},${serverFirst},${whole.slice(0, whole.lastIndexOf(',p='))}`;
    const signature = hmac(known.storedKey, authMessage);
    const clientKey = Buffer.from(proof.map((byte, i) => byte ^ (signature[i] ?? 0)));
    if (!timingSafeEqual(createHash('sha256').update(clientKey).digest(), known.storedKey)) return { failed: 'SCRAM proof is wrong' };
    const result = await host.proven(username);
    if ('refusal' in result) return { result };
    done = { result };
    // The server's signature is a challenge that the client answers with nothing (RFC 4954 4, RFC 5802 5).
    return { challenge: Buffer.from(`v=${hmac(known.serverKey, authMessage).toString('base64')}`) };
  }

  return {
    step(answer) {
      if (done !== null) return answer.length === 0 ? done : { failed: 'SCRAM exchange goes on after its end' };
      return first === null || keys === null ? start(answer) : finish(answer, first, keys);
    },
  };
}

function parseClientFirst(text: string): ScramFirst | string {
  const match = /^((?:n|y|p=([A-Za-z0-9.-]+)),(?:a=([^,]+))?,)(n=([^,]+),r=([\x21-\x2b\x2d-\x7e]+)(?:,.*)?)$/s.exec(text);
  if (match === null) return 'malformed SCRAM answer';
  const [, gs2 = '', bindingType, authzid, bare = '', name = '', nonce = ''] = match;
  if (/=(?!2C|3D)/.test(name)) return 'malformed SCRAM username';
  const username = name.replace(/=2C/g, ',').replace(/=3D/g, '=');
  if (authzid !== undefined && authzid !== name) return 'authorization identity differs from username';
  return { gs2, bindingType: bindingType ?? null, username, nonce, bare };
}

/** RFC 5802 6: a client that could bind and says the server cannot ("y") while we offered it has been lied to. */
function bindingProblem(first: ScramFirst, plus: boolean, offered: boolean): string | null {
  if (plus) return first.bindingType === null ? 'channel binding missing' : null;
  if (first.bindingType !== null) return 'channel binding without -PLUS';
  return first.gs2.startsWith('y') && offered ? 'the offer of channel binding was removed on the way' : null;
}

/** What the client must have bound: the header it sent, and the data of this TLS connection. Null for a type we cannot check. */
function boundData(first: ScramFirst, binding: ChannelBinding | null): Buffer | null {
  const header = Buffer.from(first.gs2);
  if (first.bindingType === null) return header;
  const { bindingType } = first;
  if (bindingType !== 'tls-exporter' && bindingType !== 'tls-server-end-point' && bindingType !== 'tls-unique') return null;
  const data = binding?.(bindingType) ?? null;
  return data === null ? null : Buffer.concat([header, data]);
}

/** What is left of SASLprep (RFC 4013) for names and generated passwords: compatibility forms are unified. */
function prepare(text: string): string {
  return text.normalize('NFKC');
}

function randomNonce(): string {
  return randomBytes(18).toString('base64');
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
