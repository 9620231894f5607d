// Who is it? Passwords and SCRAM keys against the directory, the credential's address list, and the slowing of addresses that guess.
// Knows nothing of what the credential may then do. RFC 4954, RFC 5802.

import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { Clock } from '#base/clock.ts';
import { sleep } from '#base/clock.ts';
import type { Counters } from '#base/counters.ts';
import { limitKey, openNetworks } from '#base/ip.ts';
import type { Networks } from '#base/ip.ts';
import type { Log } from '#base/log.ts';
import { isPromise } from '#base/promise.ts';
import type { MaybePromise } from '#base/promise.ts';
import type { AuthResult, Connection, Identity, ScramKeys } from '#smtp/policy.ts';
import type { Reply } from '#smtp/reply.ts';
import { REPLIES } from '#smtp/reply.ts';
import type { Credential, DirectoryReader } from '#store/directory.ts';

/** An identity with the credential as it was when the client authenticated. */
export type Sender = Identity & {
  readonly record: Credential;
  /** There is no such credential: the management side says who it is, and what it may. */
  readonly vouched?: true;
};

export type Authenticator = {
  authenticate(connection: Connection<Sender>, username: string, password: string): Promise<AuthResult<Sender>>;
  scramKeys(connection: Connection<Sender>, username: string): Promise<ScramKeys>;
  authenticated(connection: Connection<Sender>, username: string): Promise<AuthResult<Sender>>;
  authFailed(connection: Connection<Sender>): Promise<void>;
};

type Parts = {
  readonly directory: DirectoryReader;
  readonly counters: Counters;
  readonly clock: Clock;
  readonly log: Log;
  /** Secret of this installation, from which the SCRAM keys of unknown users are made: the same for every worker and restart. */
  readonly decoySecret: Buffer;
  /** Failures of one address before it is slowed; read anew for each use. */
  readonly limits: () => { readonly authFailures: number };
  readonly observe?: { used(credential: string): void };
};

const SCRAM_ITERATIONS = 4096;
/** SCRAM answers a name after this long: a credential in use is found 50 microseconds sooner than one that is not there. */
const LOOKUP_MS = 4;
/** A wrong password costs this long; once an address has failed as often as one connection may, the long one. */
const SLOW_MS = 300;
const GUESSING_MS = 5000;
/** An address that is slowed gets one failure a minute back. */
const FORGIVEN_PER_MS = 1 / 60_000;

/** Makes the authenticator of one worker. A wrong password and an unknown user take the same work and give the same answer. */
export function openAuthenticator(parts: Parts): Authenticator {
  const { directory, counters, clock, log } = parts;
  const nobody = createHmac('sha256', parts.decoySecret).update('nobody').digest();
  const allowLists = new WeakMap<Credential, Networks>();

  const admit = (connection: Connection<Sender>, credential: Credential): AuthResult<Sender> => {
    if (addressAllowed(credential, connection.clientAddress, allowLists)) {
      parts.observe?.used(credential.name);
      return { identity: { credential: credential.name, username: credential.username, record: credential } };
    }
    log.warn('auth.address-refused', { session: connection.id, credential: credential.name, client: connection.clientAddress });
    return { refusal: REPLIES.addressNotAllowed(connection.clientAddress) };
  };

  return {
    async authenticate(connection, username, password) {
      const credential = await directory.credential(username);
      const given = createHash('sha256').update(password, 'utf8').digest();
      const right = timingSafeEqual(given, credential?.secretHash ?? nobody);
      return credential !== null && right ? admit(connection, credential) : { refusal: REPLIES.authFailed };
    },
    async scramKeys(_connection, username) {
      const wait = sleep(clock, LOOKUP_MS);
      const decoy = decoyKeys(parts.decoySecret, username);
      const credential = await directory.credential(username);
      await wait;
      return credential?.scram ?? decoy;
    },
    async authenticated(connection, username) {
      const credential = await directory.credential(username);
      return credential === null ? { refusal: REPLIES.authFailed } : admit(connection, credential);
    },
    async authFailed(connection) {
      const rate = { perMs: FORGIVEN_PER_MS, burst: parts.limits().authFailures, nowMs: clock.nowMs(), cost: 1 };
      const calm = counters.take(`guess:${limitKey(connection.clientAddress)}`, rate);
      await sleep(clock, calm ? SLOW_MS : GUESSING_MS);
    },
  };
}

/** Goes on while the client's credential stands. One that was revoked or got a new password since is no longer who the client is. */
export function whileCurrent<T>(parts: Pick<Parts, 'directory' | 'log'>, connection: Connection<Sender>, next: () => MaybePromise<T>): MaybePromise<T | Reply> {
  const { identity } = connection;
  const current = identity === null || identity.vouched === true || parts.directory.current(identity.record);
  if (current === true) return next();
  const decide = (stands: boolean): MaybePromise<T | Reply> => {
    if (stands) return next();
    parts.log.warn('auth.withdrawn', { session: connection.id, credential: identity?.credential, client: connection.clientAddress });
    connection.identity = null;
    return REPLIES.credentialWithdrawn;
  };
  return isPromise(current) ? current.then(decide) : decide(current);
}

/** Keys that look like a user's and that no password opens, stable per name, so that SCRAM does not tell who exists (RFC 5802 9). */
function decoyKeys(secret: Buffer, username: string): ScramKeys {
  const part = (label: string): Buffer => createHmac('sha256', secret).update(`${label}\0${username}`).digest();
  return { salt: part('salt').subarray(0, 16), iterations: SCRAM_ITERATIONS, storedKey: part('stored'), serverKey: part('server') };
}

function addressAllowed(credential: Credential, address: string, lists: WeakMap<Credential, Networks>): boolean {
  if (credential.allowIps.length === 0) return true;
  let list = lists.get(credential);
  if (list === undefined) lists.set(credential, (list = openNetworks(credential.allowIps)));
  return list.has(address);
}
