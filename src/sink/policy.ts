// The policy of a sink: takes every sender, recipient and message, unless a rule says otherwise; logs in whoever it is told to. One object a
// connection.

import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import type { MaybePromise } from '#base/promise.ts';
import type { AuthResult, Connection, Identity, Policy, ScramKeys, Transaction } from '#smtp/policy.ts';
import type { Reply } from '#smtp/reply.ts';
import type { Step } from './act.ts';
import type { Subject } from './decision.ts';
import { openMessage } from './message.ts';
import type { Desk } from './message.ts';

/** What the policy asks of its connection, beside what a message needs. */
export type Counter = Desk & {
  perform(step: Step, subject?: Partial<Subject>): MaybePromise<Reply | null>;
  admitted(): void;
  closed(): void;
};

const WRONG: Reply = { code: 535, enhanced: '5.7.8', lines: ['Authentication credentials invalid'] };
const SCRAM_ITERATIONS = 4096;

export function sinkPolicy(counter: Counter): Policy<Identity> {
  const { world } = counter;
  const loggedIn = async (connection: Connection, username: string, right: boolean): Promise<AuthResult<Identity>> => {
    const inClear = connection.tls === null;
    const wanted = await counter.perform('auth', { names: [username] });
    const refusal = wanted ?? (right ? null : WRONG);
    const accepted = refusal === null;
    if (accepted) world.counts.logins++;
    if (inClear) world.counts.loginsInClear++;
    world.settings.emit({ event: 'login', connection: counter.number, username, accepted, inClear });
    return accepted ? { identity: { credential: username, username } } : { refusal };
  };
  return {
    connect() {
      counter.admitted();
      return counter.perform('connect');
    },
    authenticate: (connection, username, password) => loggedIn(connection, username, world.isRightLogin(username, password)),
    scramKeys: (_connection, username) => scramKeys(username, world.settings.login?.password ?? ''),
    authenticated: (connection, username) => loggedIn(connection, username, username === world.settings.login?.username),
    authFailed() {},
    mail: (_connection, { from }) => counter.perform('mail', { names: [from?.text ?? '<>'] }),
    rcpt(connection, { mail }, { to }) {
      return counter.perform('rcpt', { names: [to.text], locals: [to.local], key: `${connection.clientAddress} ${mail.from?.text ?? ''} ${to.text}` });
    },
    postmasterDomain: () => world.settings.hostname,
    data(connection: Connection, transaction: Transaction) {
      const wanted = counter.perform('data');
      if (wanted instanceof Promise) return wanted.then((reply) => reply ?? openMessage(counter, connection, transaction));
      return wanted ?? openMessage(counter, connection, transaction);
    },
    refused(_connection, { step, reply }) {
      counter.refused(step, reply);
    },
    closed() {
      counter.closed();
    },
  };
}

function scramKeys(username: string, password: string): ScramKeys {
  const salt = createHash('sha256').update(`sink ${username}`).digest().subarray(0, 16);
  const salted = pbkdf2Sync(password.normalize('NFKC'), salt, SCRAM_ITERATIONS, 32, 'sha256');
  const hmac = (text: string): Buffer => createHmac('sha256', salted).update(text).digest();
  return { salt, iterations: SCRAM_ITERATIONS, storedKey: createHash('sha256').update(hmac('Client Key')).digest(), serverKey: hmac('Server Key') };
}
