// One ACME server as its client sees it: directory, one-time numbers, the account, and its resources, each answer checked against its schema.
// Orders nothing by itself (order.ts does) and stores nothing. RFC 8555 6, 7; RFC 9773.

import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import type { Clock } from '#base/clock.ts';
import { PosternError } from '#base/failure.ts';
import type { Log } from '#base/log.ts';
import type { Https, HttpsAnswer } from './https.ts';
import { bindExternalAccount, keyAuthorization, readAccountKey, signJws } from './jws.ts';
import type { AccountKey } from './jws.ts';
import { AcmeRefusal, problemSchema, refusalOf } from './problem.ts';

const directorySchema = z.object({
  newNonce: z.string(),
  newAccount: z.string(),
  newOrder: z.string(),
  renewalInfo: z.string().optional(),
  meta: z.object({ termsOfService: z.string().optional(), externalAccountRequired: z.boolean().optional() }).default({}),
});
const identifierSchema = z.object({ type: z.string(), value: z.string() });
const orderSchema = z.object({
  status: z.enum(['pending', 'ready', 'processing', 'valid', 'invalid']),
  authorizations: z.array(z.string()).max(1000),
  finalize: z.string(),
  certificate: z.string().optional(),
  error: problemSchema.optional(),
});
const challengeSchema = z.object({
  type: z.string(),
  url: z.string(),
  status: z.string(),
  token: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,500}$/)
    .optional(),
  error: problemSchema.optional(),
});
const authorizationSchema = z.object({
  status: z.enum(['pending', 'valid', 'invalid', 'deactivated', 'expired', 'revoked']),
  identifier: identifierSchema,
  wildcard: z.boolean().default(false),
  challenges: z.array(challengeSchema).max(100),
});
const renewalSchema = z.object({
  suggestedWindow: z.object({ start: z.iso.datetime({ offset: true }), end: z.iso.datetime({ offset: true }) }),
  explanationURL: z.string().max(1000).optional(),
});

type Directory = z.infer<typeof directorySchema>;
export type Order = z.infer<typeof orderSchema>;
export type Challenge = z.infer<typeof challengeSchema>;
export type Authorization = z.infer<typeof authorizationSchema>;
export type RenewalWindow = { readonly startMs: number; readonly endMs: number };

export type Account = {
  readonly contact: readonly string[];
  readonly keyPem: string;
  /** Its URL at the server; null: not registered yet. */
  readonly url: string | null;
  readonly external: { readonly kid: string; readonly hmacKey: Buffer } | null;
};

export type ClientParts = {
  readonly directoryUrl: string;
  readonly https: Https;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly account: Account;
  /** Called when the account's URL is known. */
  readonly registered: (url: string) => Promise<void>;
};

/** A server may refuse a one-time number at any time (RFC 8555 6.5); one that refuses so many in a row is broken. */
const NONCE_TRIES = 20;
const NONCES_KEPT = 10;
/** Reading is repeated when the way there fails for a moment. */
const READ_TRIES = 3;
const READ_PAUSE_MS = 1000;
const POLL_MIN_MS = 250;
const POLL_MAX_MS = 30_000;
const POLL_GROWTH = 1.5;

export class AcmeClient {
  readonly #parts: ClientParts;
  readonly #key: AccountKey;
  readonly #nonces: string[] = [];
  #directory: Directory | null = null;
  #accountUrl: string | null;

  constructor(parts: ClientParts) {
    this.#parts = parts;
    this.#key = readAccountKey(parts.account.keyPem);
    this.#accountUrl = parts.account.url;
  }

  /** Places an order. `replaces` is the ARI id of the certificate that this one follows (RFC 9773 5). */
  async newOrder(names: readonly string[], replaces: string | null): Promise<{ readonly url: string; readonly order: Order }> {
    const { newOrder, renewalInfo } = await this.#open();
    const payload = { identifiers: names.map((value) => ({ type: 'dns', value })) };
    const known = replaces !== null && renewalInfo !== undefined ? { ...payload, replaces } : payload;
    const answer = await this.#signed(newOrder, known).catch((error: unknown) => {
      // What a server says about the predecessor must not keep us from the successor.
      if (known !== payload && error instanceof AcmeRefusal && (error.type === 'alreadyReplaced' || error.type === 'malformed')) return this.#signed(newOrder, payload);
      throw error;
    });
    if (answer.location === null) throw malformedAnswer(newOrder, 'the order has no URL');
    return { url: answer.location, order: parse(orderSchema, newOrder, answer) };
  }

  async order(url: string): Promise<Order> {
    return parse(orderSchema, url, await this.#read(url));
  }

  async authorization(url: string): Promise<Authorization> {
    return parse(authorizationSchema, url, await this.#read(url));
  }

  /** Tells the server that the challenge may be looked at. */
  async respond(challenge: Challenge): Promise<void> {
    await this.#signed(challenge.url, {});
  }

  async finalize(order: Order, csr: Buffer): Promise<void> {
    await this.#signed(order.finalize, { csr: csr.toString('base64url') });
  }

  /** The chain, PEM, the certificate first. */
  async certificate(url: string): Promise<string> {
    return (await this.#read(url)).body.toString('latin1');
  }

  /** What a challenge with this token is answered with. */
  keyAuthorization(token: string): string {
    return keyAuthorization(this.#key, token);
  }

  /** Reads until `done`, at the pace the server asks for; rejects with PosternError `acme-timeout` after `withinMs`. */
  async poll<T>(read: (signal: AbortSignal) => Promise<T>, done: (value: T) => boolean, withinMs: number): Promise<T> {
    const { clock, signal } = this.#parts;
    const endMs = clock.nowMs() + withinMs;
    let pauseMs = POLL_MIN_MS;
    for (;;) {
      this.#retryAtMs = null;
      const value = await read(signal);
      if (done(value)) return value;
      const wantedMs = this.#retryAtMs === null ? pauseMs : this.#retryAtMs - clock.nowMs();
      pauseMs = Math.min(POLL_MAX_MS, pauseMs * POLL_GROWTH);
      const waitMs = Math.min(POLL_MAX_MS, Math.max(POLL_MIN_MS, wantedMs));
      if (clock.nowMs() + waitMs > endMs) {
        throw new PosternError(
          {
            code: 'acme-timeout',
            cause: `The authority did not come to a result within ${Math.round(withinMs / 60_000)} minutes.`,
            fix: 'It is tried again by itself; see the status page of the authority.',
          },
          { exitCode: 1 },
        );
      }
      await pause(waitMs, undefined, { signal });
    }
  }

  /** When the server wants a certificate to be renewed (RFC 9773 4); null when it does not tell. */
  async renewalInfo(certificateId: string): Promise<{ readonly window: RenewalWindow; readonly explanation: string | null; readonly retryAtMs: number | null } | null> {
    const { renewalInfo } = await this.#discover();
    if (renewalInfo === undefined) return null;
    const url = `${renewalInfo.replace(/\/$/, '')}/${certificateId}`;
    // Not signed: it is public (RFC 9773 4.1).
    const answer = await this.#unsigned('GET', url);
    const { suggestedWindow, explanationURL } = parse(renewalSchema, url, answer);
    const window = { startMs: Date.parse(suggestedWindow.start), endMs: Date.parse(suggestedWindow.end) };
    if (window.endMs <= window.startMs) throw malformedAnswer(url, 'the renewal window ends before it begins');
    return { window, explanation: explanationURL ?? null, retryAtMs: answer.retryAtMs };
  }

  /** The pace of the answer read last, for `poll`. */
  #retryAtMs: number | null = null;

  /** The directory, and an account that is registered. */
  async #open(): Promise<Directory> {
    const directory = await this.#discover();
    if (this.#accountUrl === null) await this.#register(directory);
    return directory;
  }

  async #discover(): Promise<Directory> {
    if (this.#directory !== null) return this.#directory;
    const { directoryUrl } = this.#parts;
    const answer = await this.#patient(() => this.#unsigned('GET', directoryUrl));
    return (this.#directory = parse(directorySchema, directoryUrl, answer));
  }

  /** Makes the account, or finds the one of this key; the contact is brought up to date either way (RFC 8555 7.3). */
  async #register(directory: Directory): Promise<void> {
    const { account, log, registered } = this.#parts;
    const { meta, newAccount } = directory;
    if (meta.externalAccountRequired === true && account.external === null) {
      throw refusalOf({ type: 'urn:ietf:params:acme:error:externalAccountRequired', detail: '' }, { status: 403, untilMs: null });
    }
    const contact = account.contact.map((address) => `mailto:${address}`);
    const binding = account.external === null ? {} : { externalAccountBinding: bindExternalAccount(this.#key, newAccount, account.external) };
    const answer = await this.#post(newAccount, { termsOfServiceAgreed: true, contact, ...binding }, 'jwk');
    if (answer.location === null) throw malformedAnswer(newAccount, 'the account has no URL');
    this.#accountUrl = answer.location;
    if (answer.status === 200 && contact.length > 0) await this.#post(answer.location, { contact }, 'kid');
    log.info('acme.registered', { directory: this.#parts.directoryUrl, account: answer.location, terms: meta.termsOfService ?? null });
    await registered(answer.location);
  }

  /** POST-as-GET. */
  async #read(url: string): Promise<HttpsAnswer> {
    const answer = await this.#patient(() => this.#signed(url, null));
    this.#retryAtMs = answer.retryAtMs;
    return answer;
  }

  /** Signed by the account. A server that has forgotten the account (a staging one, say) is given it again, once. */
  async #signed(url: string, payload: object | null): Promise<HttpsAnswer> {
    const directory = await this.#open();
    try {
      return await this.#post(url, payload, 'kid');
    } catch (error) {
      if (!(error instanceof AcmeRefusal) || error.type !== 'accountDoesNotExist') throw error;
      await this.#register(directory);
      return this.#post(url, payload, 'kid');
    }
  }

  async #post(url: string, payload: object | null, signedBy: 'jwk' | 'kid'): Promise<HttpsAnswer> {
    const identity = signedBy === 'kid' ? { kid: this.#accountUrl ?? '' } : { jwk: this.#key.jwk };
    for (let tries = 1; ; tries++) {
      const jws = signJws(this.#key, { ...identity, nonce: await this.#nonce(), url }, payload === null ? '' : JSON.stringify(payload));
      const answer = await this.#parts.https.send('POST', url, JSON.stringify(jws));
      this.#keepNonce(answer);
      if (answer.status < 400) return answer;
      const refusal = this.#refusal(answer);
      if (refusal.type !== 'badNonce' || tries >= NONCE_TRIES) throw refusal;
    }
  }

  async #nonce(): Promise<string> {
    const kept = this.#nonces.pop();
    if (kept !== undefined) return kept;
    const { newNonce } = await this.#discover();
    const answer = await this.#patient(() => this.#unsigned('HEAD', newNonce));
    if (answer.nonce === null) throw malformedAnswer(newNonce, 'no one-time number came');
    return answer.nonce;
  }

  async #unsigned(method: 'GET' | 'HEAD', url: string): Promise<HttpsAnswer> {
    const answer = await this.#parts.https.send(method, url);
    if (answer.status < 200 || answer.status > 299) throw this.#refusal(answer);
    return answer;
  }

  #keepNonce({ nonce }: HttpsAnswer): void {
    if (nonce !== null && this.#nonces.length < NONCES_KEPT) this.#nonces.push(nonce);
  }

  #refusal(answer: HttpsAnswer): AcmeRefusal {
    const problem = problemSchema.safeParse(jsonIn(answer.body));
    const said = problem.success ? problem.data : { type: 'about:blank', detail: `status ${answer.status}` };
    return refusalOf(said, { status: answer.status, untilMs: answer.retryAtMs });
  }

  /** For what may be repeated without harm: a network or a server that fails for a moment is asked again. */
  async #patient(ask: () => Promise<HttpsAnswer>): Promise<HttpsAnswer> {
    for (let tries = 1; ; tries++) {
      try {
        return await ask();
      } catch (error) {
        const passing = error instanceof PosternError && (error.failure.code === 'acme-not-reached' || (error instanceof AcmeRefusal && error.type === 'serverInternal'));
        if (!passing || tries >= READ_TRIES || this.#parts.signal.aborted) throw error;
        await pause(READ_PAUSE_MS * tries, undefined, { signal: this.#parts.signal });
      }
    }
  }
}

function parse<T>(schema: z.ZodType<T>, url: string, answer: HttpsAnswer): T {
  const result = schema.safeParse(jsonIn(answer.body));
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw malformedAnswer(url, `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not valid'}`);
}

function jsonIn(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
}

function malformedAnswer(url: string, what: string): PosternError {
  return new PosternError(
    {
      code: 'acme-bad-answer',
      cause: `What answers at ${url.slice(0, 200)} does not speak ACME (${what}).`,
      fix: 'Check that tls.acme.directory is the directory URL of an ACME (RFC 8555) server, and what stands between (proxy, captive portal).',
    },
    { exitCode: 1 },
  );
}
