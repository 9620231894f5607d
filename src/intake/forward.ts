// Mail that is not kept here: addresses whose mail goes elsewhere, in whose name it leaves, and bounces to such names on their way back. Knows
// the table and the rules, nothing of delivery. RFC 5321 3.9.1 (aliases), 7.3.

import type { Clock } from '#base/clock.ts';
import type { SigningKey } from '#mail/dkim/signer.ts';
import type { Srs } from '#mail/identity/srs.ts';
import { isAsciiAddress, parseMailbox } from '#smtp/address.ts';
import type { Address, ReversePath } from '#smtp/address.ts';
import type { RcptCommand, Transaction } from '#smtp/policy.ts';
import type { Reply } from '#smtp/reply.ts';
import { REPLIES } from '#smtp/reply.ts';

/** A recipient as mail goes to it. `via`: the address here that it stands for. `srsDomain`: the domain in whose name the sender is written. */
export type Destination = RcptCommand & { readonly via?: Address; readonly srsDomain?: string };

export type ForwardEntry = { readonly match: string; readonly to: readonly string[] };

export type ForwardParts = {
  /** Read anew for each message, so that a reload takes effect. `match` is canonical: `local@domain` in lower case, or `@domain`. */
  readonly table: () => readonly ForwardEntry[];
  readonly settings: () => { readonly srs: boolean; readonly srsDomain: string | null; readonly seal: boolean };
  readonly isLocal: (domain: string) => boolean;
  /** Whether mail for a domain leaves for another site, and whether its route wants senders rewritten. */
  readonly wayOf: (domain: string) => { readonly leaves: boolean; readonly srs: boolean };
  readonly srs: Srs;
  /** The key that a domain seals with, if it has one. */
  readonly sealer: (domain: string) => SigningKey | null;
  readonly clock: Clock;
};

export type Forwarding = {
  /** Whether mail for this address is a bounce to a rewritten sender, of whomever. */
  isRewritten(to: Address): boolean;
  /** RCPT with such an address: null when it is one of ours. */
  admitBounce(from: ReversePath, to: Address): Reply | null;
  /** RCPT: null, or too many once all are followed. */
  admit(transaction: Transaction, rcpt: RcptCommand): Reply | null;
  /** Where the mail of a transaction goes. `received`: it came by port 25. */
  destinations(transaction: Transaction, received: boolean): readonly Destination[];
  /** The domains of ours that the next host is to believe: rewritten senders, and senders of ours that are passed on as they are. */
  inNameOf(destinations: readonly Destination[], from: ReversePath): readonly string[];
  /** Who seals a message that goes there; null: nobody. */
  sealAs(destinations: readonly Destination[]): SigningKey | null;
};

/** Recipients of one message after all rows have been followed. */
const MAX_DESTINATIONS = 1000;
const ADDRESS_TYPE = 'rfc822';

export function openForwarding(parts: ForwardParts): Forwarding {
  const rows = liveTable(parts.table);
  const counted = new WeakMap<Transaction, number>();
  const isRewritten = (to: Address): boolean => parts.srs.isRewritten(to.local) && (parts.isLocal(to.domain) || to.domain === parts.settings().srsDomain);
  /** Whom a bounce goes back to. Mail that came round to us once more was rewritten here twice: the second name leads to the first. */
  const backFrom = (rewritten: Address): Address | null => {
    let back = parts.srs.reverse(rewritten.local, parts.clock.nowMs());
    if (back !== null && isRewritten(back)) back = parts.srs.reverse(back.local, parts.clock.nowMs());
    return back === null || isRewritten(back) ? null : back;
  };
  const srsDomainOf = (from: ReversePath, via: Address, rewrite: boolean): string | null => {
    // A sender of ours has an SPF record that names this server already.
    if (from === null || !rewrite || parts.isLocal(from.domain)) return null;
    return parts.settings().srsDomain ?? via.domain;
  };
  const follow = (rcpt: RcptCommand, from: ReversePath, received: boolean): Destination[] => {
    if (received && from === null && isRewritten(rcpt.to)) {
      const back = backFrom(rcpt.to);
      return back === null ? [rcpt] : [{ ...rcpt, to: back, via: rcpt.to }];
    }
    return expand(rows(), rcpt.to).map((to) => {
      const forwarded = keyOf(to) !== keyOf(rcpt.to);
      const { leaves, srs } = parts.wayOf(to.domain);
      const srsDomain = received && leaves ? srsDomainOf(from, rcpt.to, srs || (forwarded && parts.settings().srs)) : null;
      return { ...rcpt, to, ...(forwarded ? { via: rcpt.to, orcpt: rcpt.orcpt ?? originalOf(rcpt.to) } : {}), ...(srsDomain === null ? {} : { srsDomain }) };
    });
  };
  return {
    isRewritten,
    admitBounce(from, to) {
      if (from !== null) return REPLIES.bouncesOnly;
      return backFrom(to) === null ? REPLIES.noSuchReturnPath : null;
    },
    admit(transaction, rcpt) {
      if (rows().size === 0) return null;
      const count = (counted.get(transaction) ?? 0) + expand(rows(), rcpt.to).length;
      if (count > MAX_DESTINATIONS) return REPLIES.tooManyRecipients(MAX_DESTINATIONS);
      counted.set(transaction, count);
      return null;
    },
    destinations({ mail, recipients }, received) {
      const found = new Map<string, Destination>();
      for (const rcpt of recipients) {
        for (const destination of follow(rcpt, mail.from, received)) {
          const key = keyOf(destination.to);
          if (!found.has(key)) found.set(key, destination);
        }
      }
      return [...found.values()];
    },
    inNameOf(destinations, from) {
      const names = destinations.flatMap(({ to, via, srsDomain }) => {
        if (srsDomain !== undefined) return [srsDomain];
        return via !== undefined && from !== null && parts.isLocal(from.domain) && parts.wayOf(to.domain).leaves ? [from.domain] : [];
      });
      return [...new Set(names)];
    },
    sealAs(destinations) {
      const { seal, srsDomain } = parts.settings();
      if (!seal) return null;
      for (const { to, via } of destinations) {
        if (!parts.wayOf(to.domain).leaves) continue;
        const key = parts.sealer((via ?? to).domain) ?? (srsDomain === null ? null : parts.sealer(srsDomain));
        if (key !== null) return key;
      }
      return null;
    },
  };
}

/** Rows by what they match, made anew when the configuration has changed. */
function liveTable(current: () => readonly ForwardEntry[]): () => ReadonlyMap<string, readonly Address[]> {
  let built: { from: readonly ForwardEntry[]; rows: ReadonlyMap<string, readonly Address[]> } | null = null;
  return () => {
    const from = current();
    if (built?.from !== from) built = { from, rows: new Map(from.map(({ match, to }) => [match, to.map(parseMailbox).filter((address) => address !== null)])) };
    return built.rows;
  };
}

/** Follows the rows as far as they lead; an address that leads back to itself, or to one that was followed already, is kept there. */
function expand(rows: ReadonlyMap<string, readonly Address[]>, address: Address): Address[] {
  if (rows.size === 0) return [address];
  const kept = new Map<string, Address>();
  const followed = new Set<string>();
  const waiting = [address];
  for (let next = waiting.shift(); next !== undefined && kept.size <= MAX_DESTINATIONS; next = waiting.shift()) {
    const key = keyOf(next);
    const targets = rows.get(key) ?? rows.get(`@${next.domain}`);
    if (targets === undefined || followed.has(key)) {
      kept.set(key, next);
      continue;
    }
    followed.add(key);
    for (const target of targets) if (keyOf(target) === key) kept.set(key, next);
    waiting.push(...targets.filter((target) => keyOf(target) !== key));
  }
  return [...kept.values()];
}

function keyOf(address: Address): string {
  return `${address.local.toLowerCase()}@${address.domain}`;
}

/** A report speaks of the address that the sender wrote (RFC 3461 5.2.7.1). */
function originalOf(address: Address): RcptCommand['orcpt'] {
  return isAsciiAddress(address) ? { type: ADDRESS_TYPE, value: address.text } : null;
}
