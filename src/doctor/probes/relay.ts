// Whether a server relays for strangers: envelopes without authentication, to a domain that is not its own, in the shapes that have opened relays
// before. Stops before DATA; no mail is ever sent.

import { isIPv6 } from 'node:net';
import { Conversation, replyText } from './conversation.ts';
import type { Place, ProbeOptions } from './conversation.ts';

export type RelayTry = {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  /** Both were taken. */
  readonly accepted: boolean;
  /** The shape names the server's own host: taken may also mean that it takes any local part. */
  readonly own: boolean;
  readonly reply: string;
};

/** `relayTo` is a mailbox at a domain that nobody's server takes mail for. */
export async function probeRelay(
  place: Place,
  mode: 'implicit' | 'starttls' | 'none' | 'unknown',
  options: ProbeOptions & { readonly relayTo: string },
): Promise<readonly RelayTry[]> {
  const opened = await Conversation.open(place, options);
  if ('failure' in opened) return [];
  const { conversation } = opened;
  try {
    if (!(await ready(conversation, mode, options.helo))) return [];
    const tries: RelayTry[] = [];
    for (const shape of shapes(place, options.relayTo)) {
      const done = await attempt(conversation, shape);
      if (done === null) break;
      tries.push(done);
      // Without a login nothing is taken: the other shapes would be told the same.
      if (/^5(?:30|38)|^503/.test(done.reply)) break;
    }
    return tries;
  } finally {
    conversation.quit();
  }
}

async function ready(conversation: Conversation, mode: string, helo: string): Promise<boolean> {
  if (mode === 'implicit') {
    const tls = await conversation.secure();
    if ('failure' in tls) return false;
  } else conversation.wire.attach();
  const greeting = await conversation.greeting();
  if ('failure' in greeting || greeting.value.code !== 220) return false;
  const ehlo = await conversation.say(`EHLO ${helo}`, 'ehlo');
  if ('failure' in ehlo || ehlo.value.code !== 250) return false;
  if (mode !== 'starttls') return true;
  const starttls = await conversation.say('STARTTLS', 'starttls');
  if ('failure' in starttls || starttls.value.code !== 220) return true;
  conversation.wire.detach();
  const tls = await conversation.secure();
  if ('failure' in tls) return false;
  return 'value' in (await conversation.say(`EHLO ${helo}`, 'ehlo'));
}

type Shape = Pick<RelayTry, 'name' | 'from' | 'to' | 'own'>;

function shapes({ host, address }: Place, relayTo: string): Shape[] {
  const [local = '', domain = ''] = relayTo.split('@');
  const stranger = `doctor@${domain}`;
  const literal = isIPv6(address) ? `[IPv6:${address}]` : `[${address}]`;
  return [
    { name: 'a stranger to a stranger', from: stranger, to: relayTo, own: false },
    { name: 'the null sender to a stranger', from: '', to: relayTo, own: false },
    { name: 'a sender of the host itself', from: `postmaster@${host}`, to: relayTo, own: false },
    { name: 'a sender of the address itself', from: `postmaster@${literal}`, to: relayTo, own: false },
    { name: 'a source route', from: stranger, to: `@${host}:${relayTo}`, own: false },
    { name: 'the percent hack', from: stranger, to: `${local}%${domain}@${literal}`, own: true },
    { name: 'a quoted mailbox', from: stranger, to: `"${relayTo}"@${literal}`, own: true },
    { name: 'a bang path', from: stranger, to: `${domain}!${local}@${literal}`, own: true },
  ];
}

async function attempt(conversation: Conversation, shape: Shape): Promise<RelayTry | null> {
  const mail = await conversation.say(`MAIL FROM:<${shape.from}>`, 'mail');
  if ('failure' in mail) return null;
  if (mail.value.code !== 250) return { ...shape, accepted: false, reply: replyText(mail.value) };
  const rcpt = await conversation.say(`RCPT TO:<${shape.to}>`, 'rcpt');
  if ('failure' in rcpt) return null;
  await conversation.say('RSET', 'quit');
  return { ...shape, accepted: rcpt.value.code === 250 || rcpt.value.code === 251, reply: replyText(rcpt.value) };
}
