// Whether a server runs what came in the clear behind STARTTLS (CVE-2011-0411 and its kin): a command that nobody knows is sent in the same
// packet, and after the handshake nothing but the answer to EHLO may come. RFC 3207 4.2.

import { Conversation, replyText } from './conversation.ts';
import type { Place, ProbeOptions } from './conversation.ts';

export type Injection =
  | { readonly result: 'dropped'; readonly evidence: string; readonly ms: number }
  | { readonly result: 'run'; readonly evidence: string; readonly ms: number }
  /** The server ended the conversation or refused: as safe, or not found out. */
  | { readonly result: 'refused'; readonly evidence: string; readonly ms: number }
  /** Too many connections at once. */
  | { readonly result: 'turned-away'; readonly evidence: string; readonly ms: number };

const INJECTED = 'XPOSTERN';

export async function probeInjection(place: Place, options: ProbeOptions): Promise<Injection> {
  const startMs = performance.now();
  const opened = await Conversation.open(place, options);
  const ended = (result: Injection['result'], evidence: string): Injection => ({ result, evidence, ms: performance.now() - startMs });
  if ('failure' in opened) return ended('refused', opened.failure.text);
  const { conversation } = opened;
  try {
    conversation.wire.attach();
    const greeting = await conversation.greeting();
    if ('value' in greeting && greeting.value.code === 421) return ended('turned-away', replyText(greeting.value));
    if ('failure' in greeting || greeting.value.code !== 220) return ended('refused', conversation.text);
    const ehlo = await conversation.say(`EHLO ${options.helo}`, 'ehlo');
    if ('failure' in ehlo) return ended('refused', conversation.text);
    const starttls = await conversation.say(`STARTTLS\r\n${INJECTED}`, 'starttls');
    if ('failure' in starttls || starttls.value.code !== 220) return ended('refused', conversation.text);
    if (!conversation.wire.detach()) return ended('refused', `${conversation.text}\n(an answer came in the clear, before the handshake)`);
    const tls = await conversation.secure();
    if ('failure' in tls) return ended('refused', conversation.text);
    const first = await conversation.say(`EHLO ${options.helo}`, 'ehlo');
    if ('failure' in first) return ended('refused', conversation.text);
    if (first.value.code === 250) return ended('dropped', `after the handshake EHLO was answered with "${replyText(first.value).slice(0, 80)}"`);
    const second = await conversation.next('ehlo');
    const run = 'value' in second && second.value.code === 250;
    return ended(run ? 'run' : 'refused', conversation.text);
  } finally {
    conversation.close();
  }
}
