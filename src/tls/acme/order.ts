// One certificate, from the order to the chain: placed or taken up again after a restart, authorized, finalized, fetched, looked at. What was
// ordered lies in the files before anything depends on it. RFC 8555 7.1.6, 7.4, 7.5.

import { createPrivateKey, generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';
import type { Clock } from '#base/clock.ts';
import { PosternError, errorText } from '#base/failure.ts';
import type { Log } from '#base/log.ts';
import { makeRequest } from '#tls/certificate.ts';
import { checkKeyPair } from '#tls/files.ts';
import type { AcmeClient, Authorization, Challenge, Order } from './client.ts';
import type { AcmeFiles, SavedOrder } from './files.ts';
import { AcmeRefusal, challengeRefusal, refusalOf } from './problem.ts';
import type { ChallengeAnswer, Responder } from './responder.ts';

export type KeyType = 'ecdsa' | 'rsa';

export type Ordering = {
  readonly client: AcmeClient;
  readonly responder: Responder;
  readonly files: AcmeFiles;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly directory: string;
  /** The first one is what its files go by. */
  readonly names: readonly string[];
  readonly keyType: KeyType;
  /** The ARI id of the certificate that this one follows. */
  readonly replaces: string | null;
};

const VALIDATION_MS = 10 * 60_000;
const ISSUE_MS = 10 * 60_000;
const RSA_BITS = 2048;

const makeKeyPair = promisify(generateKeyPair);

/** Gets a certificate. Rejects with PosternError; when the signal aborts, with whatever was under way, and the order can be taken up again. */
export async function obtain(ordering: Ordering): Promise<{ readonly certPem: string; readonly keyPem: string }> {
  const { client, files, names } = ordering;
  const [name = ''] = names;
  const { saved, order } = (await takeUp(ordering)) ?? (await place(ordering));
  try {
    if (order.status === 'pending') await authorize(ordering, saved, order);
    const ready = await client.poll(
      () => client.order(saved.url),
      ({ status }) => status !== 'pending',
      VALIDATION_MS,
    );
    if (ready.status === 'ready') await client.finalize(ready, makeRequest(names, createPrivateKey(saved.keyPem)));
    const done = await client.poll(
      () => client.order(saved.url),
      ({ status }) => status === 'valid' || status === 'invalid',
      ISSUE_MS,
    );
    if (done.status === 'invalid' || done.certificate === undefined) throw orderFailed(done);
    const certPem = await client.certificate(done.certificate);
    checkIssued({ certPem, keyPem: saved.keyPem }, names, ordering.clock.nowMs());
    return { certPem, keyPem: saved.keyPem };
  } catch (error) {
    // An order that the authority refused will not get better; one that was cut off may be taken up again.
    if (error instanceof AcmeRefusal && error.type !== 'rateLimited' && error.type !== 'serverInternal') await files.removeOrder(name);
    throw error;
  }
}

/** A new order, with a new key. */
async function place({ client, files, directory, names, keyType, replaces, log }: Ordering): Promise<{ saved: SavedOrder; order: Order }> {
  const { url, order } = await client.newOrder(names, replaces);
  const saved = { directory, names: [...names], url, keyPem: await makeKey(keyType), presented: [] };
  await files.saveOrder(names[0] ?? '', saved);
  log.info('acme.ordered', { names, order: url, replaces });
  return { saved, order };
}

/** The order that an earlier run left behind, if it is for the same and still alive. */
async function takeUp(ordering: Ordering): Promise<{ saved: SavedOrder; order: Order } | null> {
  const { client, files, directory, names, responder, log } = ordering;
  const [name = ''] = names;
  const saved = await files.order(name);
  if (saved === null) return null;
  const same = saved.directory === directory && saved.names.join() === names.join();
  const order = same ? await client.order(saved.url).catch(goneOrder) : null;
  if (order !== null && order.status !== 'invalid') {
    log.info('acme.order-resumed', { names, order: saved.url, status: order.status });
    return { saved, order };
  }
  for (const answer of saved.presented) await responder.remove(answer);
  await files.removeOrder(name);
  return null;
}

/** The authority does not know it (any more). */
function goneOrder(error: unknown): null {
  if (error instanceof AcmeRefusal && error.type !== 'rateLimited' && error.type !== 'serverInternal') return null;
  throw error;
}

type Pending = { readonly authorization: Authorization; readonly url: string; readonly challenge: Challenge; readonly answer: ChallengeAnswer };

/** Answers the challenges of all names that are not authorized yet, together. */
async function authorize(ordering: Ordering, saved: SavedOrder, order: Order): Promise<void> {
  const { client, files, responder, names, signal } = ordering;
  const pending = await openChallenges(ordering, order);
  const answers = pending.map(({ answer }) => answer);
  const [name = ''] = names;
  await files.saveOrder(name, { ...saved, presented: answers });
  try {
    for (const answer of answers) await responder.present(answer);
    if (answers.length > 0) await responder.ready();
    for (const { challenge } of pending) if (challenge.status === 'pending') await client.respond(challenge);
    for (const one of pending) await authorized(ordering, one);
  } finally {
    // At the end of the program there is no time for hooks: they run when the order is taken up again.
    if (!signal.aborted || responder.type !== 'dns-01') for (const answer of answers) await responder.remove(answer);
    if (!signal.aborted) await files.saveOrder(name, { ...saved, presented: [] });
  }
}

async function openChallenges({ client, responder }: Ordering, order: Order): Promise<Pending[]> {
  const pending: Pending[] = [];
  for (const url of order.authorizations) {
    const authorization = await client.authorization(url);
    if (authorization.status === 'valid') continue;
    if (authorization.status !== 'pending') throw authorizationFailed(authorization);
    const name = authorization.identifier.value;
    const challenge = authorization.challenges.find(({ type }) => type === responder.type);
    if (challenge?.token === undefined) {
      const offered = authorization.challenges.map(({ type }) => type).join(', ');
      throw new PosternError(
        {
          code: 'acme-challenge-not-offered',
          cause: `For ${authorization.wildcard ? '*.' : ''}${name} the authority offers ${offered || 'no challenge'}, not ${responder.type}.`,
          fix: `Set tls.acme.challenge to one that it offers.`,
        },
        { exitCode: 1 },
      );
    }
    pending.push({ authorization, url, challenge, answer: { name, token: challenge.token, keyAuthorization: client.keyAuthorization(challenge.token) } });
  }
  return pending;
}

/** Waits for the authority's verdict on one name. */
async function authorized({ client, log }: Ordering, { url, answer, challenge }: Pending): Promise<void> {
  const done = await client.poll(
    () => client.authorization(url),
    ({ status }) => status !== 'pending',
    VALIDATION_MS,
  );
  if (done.status !== 'valid') throw authorizationFailed(done);
  log.info('acme.authorized', { name: answer.name, challenge: challenge.type });
}

/** The failed challenge says why; an authorization that ended otherwise says so itself. */
function authorizationFailed({ identifier, status, challenges }: Authorization): AcmeRefusal {
  const failed = challenges.find((challenge) => challenge.error !== undefined);
  const type = failed?.type;
  const problem = failed?.error ?? { type: 'about:blank', detail: `the authorization is ${status}` };
  return challengeRefusal(problem, { type: type === 'http-01' || type === 'tls-alpn-01' ? type : 'dns-01', name: identifier.value });
}

function orderFailed(order: Order): AcmeRefusal {
  return refusalOf(order.error ?? { type: 'about:blank', detail: `the order is ${order.status}` }, { status: 0, untilMs: null });
}

async function makeKey(type: KeyType): Promise<string> {
  const { privateKey } = type === 'rsa' ? await makeKeyPair('rsa', { modulusLength: RSA_BITS }) : await makeKeyPair('ec', { namedCurve: 'P-256' });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** An authority that errs must not take away a certificate that works. */
function checkIssued(texts: { readonly certPem: string; readonly keyPem: string }, names: readonly string[], nowMs: number): void {
  const wrong = faultOf(texts, names, nowMs);
  if (wrong === null) return;
  const failure = {
    code: 'acme-bad-certificate',
    cause: `The certificate that was issued cannot be used: ${wrong}.`,
    fix: 'Check the clock of this machine; if it is right, tell the authority.',
  };
  throw new AcmeRefusal(failure, 'badCertificate');
}

function faultOf(texts: { readonly certPem: string; readonly keyPem: string }, names: readonly string[], nowMs: number): string | null {
  try {
    const { leaf, ...pair } = checkKeyPair({ cert: 'answer', key: 'order' }, texts);
    const missing = names.filter((name) => !pair.names.includes(name));
    if (missing.length > 0) return `it lacks ${missing.join(', ')}`;
    if (Date.parse(leaf.validFrom) > nowMs) return 'by the clock of this machine it is not valid yet';
    return pair.expiresAtMs <= nowMs ? 'by the clock of this machine it has expired' : null;
  } catch (error) {
    return errorText(error).replace(/\.$/, '');
  }
}
