// Who a reply is from: mailbox providers, filters and relays, known by the names of their hosts or by what their replies contain.

import type { z } from 'zod';
import { compilePhrases } from './phrases.ts';
import type { Phrases } from './phrases.ts';
import data from './receivers.json' with { type: 'json' };
import type { receiverSchema } from './schema.ts';

export type Receiver = z.infer<typeof receiverSchema>;

export const RECEIVERS = data as readonly Receiver[];

const BY_DOMAIN: ReadonlyMap<string, Receiver> = new Map(RECEIVERS.flatMap((receiver) => receiver.hosts.map((domain) => [domain, receiver] as const)));

let marks: Phrases | null = null;

/** By the host's domain first; else by the words of the reply. */
export function receiverOf(host: string | null, text: string): Receiver | null {
  marks ??= compilePhrases(RECEIVERS.map((receiver) => receiver.marks));
  const found = marks.find(text);
  return receiverOfHost(host) ?? (found.size === 0 ? null : (RECEIVERS[Math.min(...found)] ?? null));
}

export function receiverOfHost(host: string | null): Receiver | null {
  if (host === null) return null;
  let name = host.toLowerCase().replace(/\.$/, '');
  for (;;) {
    const found = BY_DOMAIN.get(name);
    if (found !== undefined) return found;
    const dot = name.indexOf('.');
    if (dot === -1) return null;
    name = name.slice(dot + 1);
  }
}
