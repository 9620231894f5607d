// The command table of a sink: the server's own, with rules asked before each command, extensions taken away, and an AUTH that may be offered
// where the server never would.

import type { MaybePromise } from '#base/promise.ts';
import { beginAuth, commandTable } from '#smtp/commands.ts';
import type { Identity } from '#smtp/policy.ts';
import type { Reply } from '#smtp/reply.ts';
import { REPLIES } from '#smtp/reply.ts';
import type { Command, Step as Outcome, Turn } from '#smtp/turn.ts';
import type { Step } from './act.ts';
import { openSinkMechanism, usualMechanisms } from './mechanisms.ts';
import type { SinkMechanism } from './mechanisms.ts';
import type { Settings } from './world.ts';

/** What a command asks of its connection. `perform` gives the reply to say, or what never comes; null: nothing is wanted here. */
export type Host = {
  readonly settings: Settings;
  perform(step: Step, names?: readonly string[]): MaybePromise<Reply | null>;
  heard(line: string): void;
  /** Said in the clear behind the next answer. */
  inject(text: string): void;
};

/** Commands with a step of their own before they run; the others are asked about by the policy. */
const ASKED_FIRST: Readonly<Record<string, Step>> = { EHLO: 'ehlo', HELO: 'helo', STARTTLS: 'starttls', RSET: 'rset', NOOP: 'noop', VRFY: 'vrfy', QUIT: 'quit' };
/** Parameters of MAIL and RCPT that belong to an extension. */
const PARAMETERS: Readonly<Record<string, readonly string[]>> = {
  SIZE: ['SIZE'],
  '8BITMIME': ['BODY'],
  SMTPUTF8: ['SMTPUTF8'],
  DSN: ['RET', 'ENVID', 'NOTIFY', 'ORCPT'],
  REQUIRETLS: ['REQUIRETLS'],
};

export function sinkCommands(host: Host): ReadonlyMap<string, Command<Identity>> {
  const table = new Map<string, Command<Identity>>();
  const lmtp = host.settings.protocol === 'lmtp';
  for (const [verb, command] of commandTable<Identity>()) {
    const said = lmtp && verb === 'EHLO' ? 'LHLO' : verb;
    // RFC 2033 4.1: LHLO in the place of both.
    if (!lmtp || verb !== 'HELO') table.set(said, { ...command, run: (turn, args) => run({ host, said, verb, command }, turn, args) });
  }
  return table;
}

/** `said`: the verb as the client has it. */
type Row = { readonly host: Host; readonly said: string; readonly verb: string; readonly command: Command<Identity> };

function run(row: Row, turn: Turn<Identity>, args: string): MaybePromise<Outcome<Identity>> {
  const { host, said, verb } = row;
  host.heard(verb === 'AUTH' ? `AUTH ${args.split(' ')[0] ?? ''}${args.includes(' ') ? ' [removed]' : ''}` : `${said} ${args}`.trim());
  const refusal = notOffered(host.settings, turn, verb, args);
  if (refusal !== null) return says(refusal);
  const step = ASKED_FIRST[verb];
  if (step === undefined) return proceed(row, turn, args);
  const wanted = host.perform(step, [args]);
  if (wanted instanceof Promise) return wanted.then((reply) => (reply === null ? proceed(row, turn, args) : says(reply)));
  return wanted === null ? proceed(row, turn, args) : says(wanted);
}

function proceed({ host, verb, command }: Row, turn: Turn<Identity>, args: string): MaybePromise<Outcome<Identity>> {
  if (verb === 'EHLO') return withExtensions(host.settings, turn, command.run(turn, args));
  if (verb === 'AUTH')
    return mayLogIn(host.settings, turn)
      ? beginAuth(turn, args, { mechanisms: mechanisms(host.settings, turn), open: (mechanism, sasl) => openSinkMechanism(mechanism, sasl, host.settings.login) })
      : says(REPLIES.encryptionRequired);
  if (verb === 'STARTTLS' && host.settings.behaviour.knobs.handshake === 'inject') host.inject('250 2.0.0 Said in the clear, before TLS\r\n');
  return command.run(turn, args);
}

/** What is not offered is not understood either. */
function notOffered({ behaviour, auth: asksLogin, tls }: Settings, turn: Turn<Identity>, verb: string, args: string): Reply | null {
  const { without = [], tlsRequired = false } = behaviour.knobs;
  if (verb === 'STARTTLS' && turn.connection.tls === null && (tls !== 'starttls' || without.includes('STARTTLS'))) return REPLIES.notImplemented('STARTTLS');
  if (verb === 'BDAT' && without.includes('CHUNKING')) return REPLIES.notImplemented('BDAT');
  if (verb === 'AUTH' && !asksLogin) return REPLIES.notImplemented('AUTH');
  if (verb !== 'MAIL' && verb !== 'RCPT') return null;
  if (verb === 'MAIL' && tlsRequired && turn.connection.tls === null) return REPLIES.startTlsFirst;
  if (verb === 'MAIL' && asksLogin && turn.connection.identity === null) return REPLIES.authRequired;
  const given = args.slice(args.lastIndexOf('>') + 1).toUpperCase();
  const refused = without.flatMap((extension) => PARAMETERS[extension] ?? []).find((name) => new RegExp(`(?:^|\\s)${name}(?:[=\\s]|$)`).test(given));
  return refused === undefined ? null : REPLIES.unknownParameter(refused);
}

/** The answer to EHLO as this sink gives it. */
function withExtensions(settings: Settings, turn: Turn<Identity>, answered: MaybePromise<Outcome<Identity>>): MaybePromise<Outcome<Identity>> {
  if (answered instanceof Promise || answered.do !== 'reply' || answered.reply.code !== 250) return answered;
  const { without = [] } = settings.behaviour.knobs;
  const [greeting = '', ...offered] = answered.reply.lines;
  const kept = offered.filter((line) => {
    const [keyword = ''] = line.split(' ');
    return !without.includes(keyword) && (keyword !== 'STARTTLS' || settings.tls === 'starttls');
  });
  if (mayLogIn(settings, turn)) kept.push(`AUTH ${mechanisms(settings, turn).join(' ')}`);
  return { ...answered, reply: { ...answered.reply, lines: [greeting, ...kept] } };
}

function mayLogIn({ auth: asksLogin, behaviour }: Settings, { connection }: Turn<Identity>): boolean {
  return asksLogin && (connection.tls !== null || behaviour.knobs.authInClear === true);
}

function mechanisms({ login, behaviour }: Settings, { binding }: Turn<Identity>): readonly SinkMechanism[] {
  const known = behaviour.knobs.mechanisms ?? usualMechanisms(login);
  return known.filter((mechanism) => binding !== null || !mechanism.endsWith('-PLUS'));
}

function says(reply: Reply): Outcome<Identity> {
  return { do: 'reply', reply, work: reply.code < 400 };
}
