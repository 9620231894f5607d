// Whether a server relays for strangers: envelopes without authentication, to a domain that is not its own, in the shapes that have opened relays
// before. Stops before DATA; no mail is ever sent.

import { isIP, isIPv6 } from 'node:net';
import process from 'node:process';
import { Conversation, replyText } from './conversation.ts';
import type { Place, ProbeOptions } from './conversation.ts';

export type RelayTry = {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  /** Both were taken. */
  readonly accepted: boolean;
  /** `own`: the shape hides the stranger in a local part of the server's own host. `control`: nobody's mailbox there, to tell routing from taking anything. */
  readonly kind: 'stranger' | 'own' | 'control';
  readonly reply: string;
  /** The refusal is not about this shape: without a login, or for now, nothing is taken. */
  readonly everything: boolean;
};

/**
 * `relayTo` are mailboxes at domains that the server takes no mail for, in the order they are tried: the next one where a server looks at the
 * domain itself and will not have it.
 */
export async function probeRelay(
  place: Place,
  mode: 'implicit' | 'starttls' | 'none' | 'unknown',
  options: ProbeOptions & { readonly relayTo: readonly string[] },
): Promise<readonly RelayTry[] | { readonly turnedAway: string }> {
  const opened = await Conversation.open(place, options);
  if ('failure' in opened) return [];
  const { conversation } = opened;
  try {
    const stopped = await ready(conversation, mode, options.helo);
    if (stopped !== null) return stopped.startsWith('421') ? { turnedAway: stopped } : [];
    return await tryAll(conversation, place, options.relayTo);
  } finally {
    conversation.quit();
  }
}

/** A refusal that is about the domain of the envelope, not about relaying: it does not exist, or takes no mail (null MX, as example.org). */
export function refusedForDomain(reply: string): boolean {
  return /^(?:556|[45]\d\d [45]\.(?:1\.2|1\.8|1\.10|7\.27)\b)|null ?mx|does not accept mail|domain (?:is )?not found|(?:un)?resolvable|cannot be resolved|unrouteable/i.test(reply);
}

async function tryAll(conversation: Conversation, place: Place, candidates: readonly string[]): Promise<readonly RelayTry[]> {
  const tries: RelayTry[] = [];
  for (const [i, relayTo] of candidates.entries()) {
    const [plain, ...others] = shapes(place, relayTo);
    const first = plain === undefined ? null : await attempt(conversation, plain);
    if (first === null) return tries;
    if (i < candidates.length - 1 && !first.accepted && refusedForDomain(first.reply)) continue;
    tries.push(first);
    for (const shape of others) {
      if (tries.at(-1)?.everything === true) return tries;
      const done = await attempt(conversation, shape);
      if (done === null) return tries;
      tries.push(done);
    }
    break;
  }
  // A server may take any local part of its own: then it routes none of these, as far as can be seen from here.
  const hidden = tries.find((one) => one.kind === 'own' && one.accepted);
  const control = hidden === undefined ? null : await attempt(conversation, controlFor(hidden));
  return control === null ? tries : [...tries, control];
}

/** null: envelopes can be tried. Else what stood against it. */
async function ready(conversation: Conversation, mode: string, helo: string): Promise<string | null> {
  if (mode === 'implicit') {
    const tls = await conversation.secure();
    if ('failure' in tls) return tls.failure.text;
  } else conversation.wire.attach();
  const greeting = await conversation.greeting();
  if ('failure' in greeting) return greeting.failure.text;
  if (greeting.value.code !== 220) return replyText(greeting.value);
  const ehlo = await conversation.ehlo(helo);
  if ('failure' in ehlo) return ehlo.failure.text;
  if (ehlo.value.code !== 250) return replyText(ehlo.value);
  if (mode !== 'starttls') return null;
  const starttls = await conversation.say('STARTTLS', 'starttls');
  if ('failure' in starttls || starttls.value.code !== 220) return null;
  conversation.wire.detach();
  const tls = await conversation.secure();
  if ('failure' in tls) return tls.failure.text;
  const again = await conversation.ehlo(helo);
  return 'failure' in again ? again.failure.text : null;
}

type Shape = Pick<RelayTry, 'name' | 'from' | 'to' | 'kind'>;

/** Nobody's mailbox at the host that took the other one. */
function controlFor({ from, to }: RelayTry): Shape {
  return { name: 'a mailbox that nobody has there, to compare', from, to: `postern-nobody-${process.pid}${to.slice(to.lastIndexOf('@'))}`, kind: 'control' };
}

/** Ten at most: after as many errors servers begin to slow a client down (Postfix: smtpd_soft_error_limit). */
function shapes({ host, address }: Place, relayTo: string): Shape[] {
  const [local = '', domain = ''] = relayTo.split('@');
  const stranger = `doctor@${domain}`;
  const literal = isIPv6(address) ? `[IPv6:${address}]` : `[${address}]`;
  const named = isIP(host) === 0;
  const at = named ? host : literal;
  return [
    { name: 'a stranger to a stranger', from: stranger, to: relayTo, kind: 'stranger' },
    { name: 'the null sender to a stranger', from: '', to: relayTo, kind: 'stranger' },
    ...(named ? [{ name: 'a sender of the host itself', from: `postmaster@${host}`, to: relayTo, kind: 'stranger' } as const] : []),
    { name: 'a sender of the address itself', from: `postmaster@${literal}`, to: relayTo, kind: 'stranger' },
    { name: 'a source route', from: stranger, to: `@${at}:${relayTo}`, kind: 'stranger' },
    ...(named ? [{ name: 'the percent hack by address', from: stranger, to: `${local}%${domain}@${literal}`, kind: 'own' } as const] : []),
    { name: 'the percent hack', from: stranger, to: `${local}%${domain}@${at}`, kind: 'own' },
    { name: 'a quoted mailbox', from: stranger, to: `"${relayTo}"@${at}`, kind: 'own' },
    { name: 'a bang path', from: stranger, to: `${domain}!${local}@${at}`, kind: 'own' },
  ];
}

/** In one packet where the server takes that: all shapes one reply after another would take seconds on a long way. */
async function attempt(conversation: Conversation, shape: Shape): Promise<RelayTry | null> {
  const lines = [
    { line: `MAIL FROM:<${shape.from}>`, phase: 'mail' },
    { line: `RCPT TO:<${shape.to}>`, phase: 'rcpt' },
    { line: 'RSET', phase: 'quit' },
  ] as const;
  const [mail, rcpt] = await conversation.sayAll(lines);
  if (mail === undefined || 'failure' in mail) return null;
  const { code } = mail.value;
  if (code !== 250) return { ...shape, accepted: false, reply: replyText(mail.value), everything: wantsLogin(code) || code < 500 };
  if (rcpt === undefined || 'failure' in rcpt) return null;
  return { ...shape, accepted: rcpt.value.code === 250 || rcpt.value.code === 251, reply: replyText(rcpt.value), everything: wantsLogin(rcpt.value.code) };
}

function wantsLogin(code: number): boolean {
  return code === 530 || code === 538 || code === 503;
}
