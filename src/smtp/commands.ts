// The command table: one row and one function a command. Each checks everything, then changes the turn; none touches a socket. RFC 5321 4.1,
// 3207, 4954, 3030, 1869. What depends on who and whom is asked of the policy.

import { isPromise } from '#base/promise.ts';
import type { MaybePromise } from '#base/promise.ts';
import { openChunkDecoder, openDataDecoder } from './framing.ts';
import { parseBdat, parseHelo, parseMail, parseRcpt } from './grammar.ts';
import { dropIncoming, newLines, openIncoming, refusedIncoming } from './incoming.ts';
import type { Incoming } from './incoming.ts';
import type { Identity, MailCommand, RcptCommand } from './policy.ts';
import type { Reply } from './reply.ts';
import { REPLIES } from './reply.ts';
import { MECHANISMS, decodeBase64, openMechanism } from './sasl.ts';
import type { Mechanism, SaslHost, SaslMachine } from './sasl.ts';
import type { Command, Step, Turn } from './turn.ts';

/** RFC 5321 4.5.3.1.4, with room for the parameters of MAIL and RCPT (RFC 3461, 6531) and for AUTH (RFC 4954 4). */
const LINE = 512;
const LONG_LINE = 2048;
const AUTH_LINE = 12_288;

/** Commands that others have and we do not: told apart from what nobody knows (RFC 5321 4.2.4). */
const NOT_OFFERED = ['EXPN', 'ETRN', 'TURN', 'ATRN', 'SEND', 'SOML', 'SAML'];

/** All commands, by verb. */
export function commandTable<I extends Identity>(): ReadonlyMap<string, Command<I>> {
  const row = (run: Command<I>['run'], options: { beforeTls?: boolean; lineOctets?: number } = {}): Command<I> => ({
    run,
    beforeTls: options.beforeTls ?? true,
    lineOctets: options.lineOctets ?? LINE,
  });
  return new Map<string, Command<I>>([
    ['EHLO', row(ehlo, { lineOctets: LONG_LINE })],
    ['HELO', row(helo, { lineOctets: LONG_LINE })],
    ['STARTTLS', row(startTls)],
    ['AUTH', row(auth, { lineOctets: AUTH_LINE })],
    ['MAIL', row(mail, { beforeTls: false, lineOctets: LONG_LINE })],
    ['RCPT', row(rcpt, { beforeTls: false, lineOctets: LONG_LINE })],
    ['DATA', row(data, { beforeTls: false })],
    // Before TLS it is refused like DATA, but its chunk follows all the same and is to be read.
    ['BDAT', row(bdat)],
    ['RSET', row(rset)],
    ['NOOP', row(() => idle(REPLIES.ok))],
    ['VRFY', row((_turn, args) => idle(args === '' ? REPLIES.syntax('VRFY address') : REPLIES.cannotVerify), { beforeTls: false, lineOctets: LONG_LINE })],
    ['HELP', row(() => idle(REPLIES.help))],
    ['QUIT', row(() => says(REPLIES.bye))],
    ...NOT_OFFERED.map((verb) => [verb, row(() => idle(REPLIES.notImplemented(verb)), { lineOctets: LONG_LINE })] as const),
  ]);
}

/** True where mail is submitted: TLS and AUTH come first. */
export function isSubmission(turn: Turn<Identity>): boolean {
  return turn.connection.profile !== 'mx';
}

function says<I extends Identity>(reply: Reply): Step<I> {
  return { do: 'reply', reply, work: reply.code < 400 };
}

/** Answers that do no work are counted: a client may not talk for ever. */
function idle<I extends Identity>(reply: Reply): Step<I> {
  return { do: 'reply', reply, work: false };
}

function ehlo<I extends Identity>(turn: Turn<I>, args: string): Step<I> {
  const name = parseHelo(args);
  if (name === null) return says(REPLIES.syntax('EHLO your.host.name'));
  greet(turn, name, true);
  return idle(REPLIES.ehlo([`${turn.hostname} greets ${name}`, ...extensions(turn)]));
}

function helo<I extends Identity>(turn: Turn<I>, args: string): Step<I> {
  const name = parseHelo(args);
  if (name === null) return says(REPLIES.syntax('HELO your.host.name'));
  greet(turn, name, false);
  return idle(REPLIES.helo(turn.hostname));
}

function greet(turn: Turn<Identity>, name: string, extended: boolean): void {
  abandon(turn);
  turn.connection.helo = name;
  turn.connection.extended = extended;
}

function extensions(turn: Turn<Identity>): string[] {
  const { connection, limits } = turn;
  const lines = ['PIPELINING', `SIZE ${limits.messageSizeBytes}`, '8BITMIME', 'SMTPUTF8', 'CHUNKING', 'DSN', 'ENHANCEDSTATUSCODES'];
  if (connection.tls === null) return [...lines, 'STARTTLS'];
  if (isSubmission(turn)) lines.push(`AUTH ${offered(turn).join(' ')}`);
  return [...lines, 'REQUIRETLS'];
}

function offered(turn: Turn<Identity>): readonly Mechanism[] {
  return turn.binding === null ? MECHANISMS.filter((mechanism) => !mechanism.endsWith('-PLUS')) : MECHANISMS;
}

function startTls<I extends Identity>(turn: Turn<I>, args: string): Step<I> {
  if (turn.connection.tls !== null) return says(REPLIES.noTlsHere);
  if (args !== '') return says(REPLIES.syntax('STARTTLS'));
  abandon(turn);
  return { do: 'tls' };
}

function auth<I extends Identity>(turn: Turn<I>, args: string): Step<I> {
  if (turn.connection.tls === null) return says(REPLIES.encryptionRequired);
  if (!isSubmission(turn)) return says(REPLIES.noAuthHere);
  return beginAuth(turn, args, { mechanisms: offered(turn), open: openMechanism });
}

/** The mechanisms that are offered, and how one of them is started. */
type Offer<M extends string, I extends Identity> = {
  readonly mechanisms: readonly M[];
  readonly open: (mechanism: M, host: SaslHost<I>) => { readonly machine: SaslMachine<I>; readonly first: Buffer };
};

/** Starts an exchange where one may be had. */
export function beginAuth<M extends string, I extends Identity>(turn: Turn<I>, args: string, { mechanisms, open }: Offer<M, I>): Step<I> {
  if (turn.connection.helo === null) return says(REPLIES.sequence('send EHLO first'));
  if (turn.connection.identity !== null) return says(REPLIES.sequence('already authenticated'));
  if (turn.transaction !== null) return says(REPLIES.sequence('AUTH comes before MAIL'));
  const [name = '', initial, extra] = args.split(' ');
  if (name === '') return says(REPLIES.syntax('AUTH mechanism [initial-response]'));
  const mechanism = mechanisms.find((one) => one === name.toUpperCase());
  if (mechanism === undefined) return says(REPLIES.unknownMechanism(mechanisms.join(' ')));
  if (extra !== undefined) return says(REPLIES.syntax('AUTH mechanism [initial-response]'));
  const answer = initial === undefined ? null : decodeBase64(initial);
  if (initial !== undefined && answer === null) return says(REPLIES.badBase64);
  const { connection, policy, binding } = turn;
  const { machine, first } = open(mechanism, {
    verify: (username, password) => policy.authenticate(connection, username, password),
    keys: (username) => policy.scramKeys(connection, username),
    proven: (username) => policy.authenticated(connection, username),
    binding,
  });
  return { do: 'auth', machine, answer, challenge: first };
}

function mail<I extends Identity>(turn: Turn<I>, args: string): MaybePromise<Step<I>> {
  const { connection, limits } = turn;
  if (connection.helo === null) return says(REPLIES.sequence('send EHLO first'));
  if (isSubmission(turn) && connection.identity === null) return says(REPLIES.authRequired);
  if (turn.transaction !== null) return says(REPLIES.sequence('a transaction is open; RSET ends it'));
  const parsed = parseMail(args);
  if ('code' in parsed) return says(parsed);
  if (parsed.sizeBytes !== null && parsed.sizeBytes > limits.messageSizeBytes) return says(REPLIES.tooBig(limits.messageSizeBytes));
  if (parsed.requireTls && connection.tls === null) return says(REPLIES.tlsOnly);
  return settle(turn.policy.mail(connection, parsed), (refusal) => {
    if (refusal !== null) return says(refusal);
    turn.transaction = { mail: parsed satisfies MailCommand, recipients: [] };
    return says(REPLIES.senderOk);
  });
}

function rcpt<I extends Identity>(turn: Turn<I>, args: string): MaybePromise<Step<I>> {
  const { transaction } = turn;
  if (transaction === null) return says(REPLIES.sequence('MAIL comes before RCPT'));
  if (turn.bdat !== null) return says(REPLIES.sequence('the message has begun'));
  const parsed = parseRcpt(args, { smtpUtf8: transaction.mail.smtpUtf8, postmasterDomain: turn.policy.postmasterDomain() });
  if ('code' in parsed) return says(parsed);
  // Not counted as idle: however many are too many, those that were taken are served (RFC 5321 4.5.3.1.10).
  if (transaction.recipients.length >= turn.limits.recipients) return { do: 'reply', reply: REPLIES.tooManyRecipients(turn.limits.recipients), work: true };
  return settle(turn.policy.rcpt(turn.connection, transaction, parsed), (refusal) => {
    if (refusal !== null) return says(refusal);
    transaction.recipients.push(parsed satisfies RcptCommand);
    return says(REPLIES.recipientOk);
  });
}

function data<I extends Identity>(turn: Turn<I>, args: string): MaybePromise<Step<I>> {
  if (args !== '') return says(REPLIES.syntax('DATA'));
  const { transaction } = turn;
  if (transaction === null) return says(REPLIES.sequence('MAIL comes before DATA'));
  if (turn.bdat !== null) return says(REPLIES.sequence('DATA and BDAT cannot be mixed'));
  if (transaction.recipients.length === 0) return says(REPLIES.noRecipients);
  return settle(turn.policy.data(turn.connection, transaction), (sink) => {
    if ('code' in sink) {
      turn.transaction = null;
      return says(sink);
    }
    return { do: 'content', reply: REPLIES.startData, decoder: openDataDecoder(), incoming: openIncoming(sink), finish: true };
  });
}

/** A chunk always follows, whatever the answer: a refused one is read and thrown away (RFC 3030 2). */
function bdat<I extends Identity>(turn: Turn<I>, args: string): MaybePromise<Step<I>> {
  const parsed = parseBdat(args);
  // Without a size nobody knows where the next command begins.
  if (parsed === null) return says({ ...REPLIES.syntax('BDAT octets [LAST]'), close: true });
  const { sizeBytes, last } = parsed;
  const chunk = (into: Incoming): Step<I> => {
    turn.bdat = last ? null : into;
    return { do: 'content', reply: null, decoder: openChunkDecoder(sizeBytes, last, into.lines), incoming: into, finish: last };
  };
  if (turn.bdat !== null) return chunk(turn.bdat);
  const { transaction } = turn;
  const refusal = bdatRefusal(turn);
  if (transaction === null || refusal !== null)
    return { do: 'content', reply: null, decoder: openChunkDecoder(sizeBytes, last, newLines()), incoming: refusedIncoming(refusal ?? REPLIES.noRecipients), finish: true };
  const failed = (error: unknown): Step<I> => chunk(refusedIncoming(turn.fault(error)));
  try {
    const opened = settle(turn.policy.data(turn.connection, transaction), (sink) => chunk('code' in sink ? refusedIncoming(sink) : openIncoming(sink)));
    return isPromise(opened) ? opened.catch(failed) : opened;
  } catch (error) {
    return failed(error);
  }
}

function bdatRefusal({ connection, transaction }: Turn<Identity>): Reply | null {
  if (connection.profile !== 'mx' && connection.tls === null) return REPLIES.startTlsFirst;
  if (transaction === null) return REPLIES.sequence('MAIL comes before BDAT');
  return transaction.recipients.length === 0 ? REPLIES.noRecipients : null;
}

function rset<I extends Identity>(turn: Turn<I>, args: string): Step<I> {
  if (args !== '') return says(REPLIES.syntax('RSET'));
  abandon(turn);
  return idle(REPLIES.ok);
}

/** Ends the transaction without a message. */
export function abandon(turn: Turn<Identity>): void {
  if (turn.bdat !== null) dropIncoming(turn.bdat);
  turn.bdat = null;
  turn.transaction = null;
}

/** Goes on at once where the answer is there. */
function settle<T, R>(value: MaybePromise<T>, next: (value: T) => R): MaybePromise<R> {
  return isPromise(value) ? value.then(next) : next(value);
}
