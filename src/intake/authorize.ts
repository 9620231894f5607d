// May this sender say so, may this recipient be had here? The relay rule (25 never relays) and the sender rules of a credential, for
// the envelope and for the From header. Pure: no I/O, no counting. RFC 5321 7.1, RFC 6409 6.1.

import type { Address, ReversePath } from '#smtp/address.ts';
import type { Connection, MailCommand, RcptCommand } from '#smtp/policy.ts';
import type { Reply } from '#smtp/reply.ts';
import { REPLIES } from '#smtp/reply.ts';
import type { Sender } from './authenticate.ts';

/** MAIL: submission needs a sender that proved who it is, and an address it may use. Null means go on. */
export function authorizeMail(connection: Connection<Sender>, mail: MailCommand): Reply | null {
  if (connection.profile === 'mx') return null;
  const sender = connection.identity;
  if (sender === null) return REPLIES.authRequired;
  // The null reverse-path is for automatic answers (RFC 3834 3.3); the From header is checked all the same.
  if (mail.from === null || maySendAs(sender, mail.from)) return null;
  return REPLIES.senderNotAllowed(mail.from.text, sender.record.domains);
}

/** RCPT: on the mx profile only local domains are taken; a bare postmaster is one of theirs. */
export function authorizeRcpt(connection: Connection<Sender>, rcpt: RcptCommand, isLocal: (domain: string) => boolean): Reply | null {
  if (connection.profile !== 'mx' || isLocal(rcpt.to.domain)) return null;
  return REPLIES.relayNotPermitted(rcpt.to.domain);
}

/**
 * The From header of a submission: one field at most, at least one address in it, all of them the credential's. Without a field the
 * sender of the envelope, which was looked at before, is put there; the null one cannot be.
 */
export function authorizeFrom(sender: Sender, from: { readonly envelope: ReversePath; readonly fields: number; readonly mailboxes: readonly Address[] }): Reply | null {
  const { envelope, fields, mailboxes } = from;
  if (fields === 0) return envelope === null ? REPLIES.headerRefused('The message has no From header; add one with an address of yours') : null;
  if (fields > 1) return REPLIES.headerRefused('The message has more than one From header; send exactly one');
  if (sender.record.domains.length === 0) return null;
  if (mailboxes.length === 0) return REPLIES.headerRefused('The From header has no address that can be read; write it as Name <local@domain>');
  const other = mailboxes.find((mailbox) => !maySendAs(sender, mailbox));
  return other === undefined ? null : REPLIES.senderNotAllowed(other.text, sender.record.domains);
}

/** A credential without domains may send as any; one with domains as exactly those. */
function maySendAs(sender: Sender, address: Address): boolean {
  return sender.record.domains.length === 0 || sender.record.domains.includes(address.domain);
}
