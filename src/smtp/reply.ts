// Every reply that the server says. A reply is a value; its text tells the sender how to fix what was refused.

/** An SMTP reply (RFC 5321 4.2) with its enhanced status code (RFC 3463; '' where none is defined, as on 220, 250 EHLO, 334, 354). */
export type Reply = {
  readonly code: number;
  readonly enhanced: string;
  /** One line a string, without CRLF. */
  readonly lines: readonly string[];
  /** The session ends after this reply is written. */
  readonly close?: boolean;
  /** Why, for our log only: never on the wire. */
  readonly privateCause?: string;
  /** The message that was taken. */
  readonly messageId?: string;
};

const MAX_TEXT_OCTETS = 480;

/** Line ends and control characters of texts that came from outside become spaces, so that a reply cannot be forged. */
const CONTROL = /[\x00-\x1f\x7f]+/g;

/** The reply as it goes on the wire: the enhanced code on each line (RFC 2034), CRLF at the end. */
export function formatReply(reply: Reply): string {
  const prefix = reply.enhanced === '' ? '' : `${reply.enhanced} `;
  const last = reply.lines.length - 1;
  return reply.lines.map((line, i) => `${reply.code}${i === last ? ' ' : '-'}${prefix}${line.replace(CONTROL, ' ')}\r\n`).join('');
}

function reply(code: number, enhanced: string, text: string | readonly string[]): Reply {
  return { code, enhanced, lines: typeof text === 'string' ? [code < 400 ? text : clipped(text)] : text };
}

function closing(code: number, enhanced: string, text: string): Reply {
  return { code, enhanced, lines: [text], close: true };
}

/** A refusal may quote what the client sent; with code and line end it stays under 512 octets (RFC 5321 4.5.3.1.5). */
function clipped(text: string): string {
  // At most three octets a UTF-16 unit.
  if (text.length <= MAX_TEXT_OCTETS / 3) return text;
  const bytes = Buffer.from(text, 'utf8');
  return bytes.length <= MAX_TEXT_OCTETS ? text : `${bytes.toString('utf8', 0, MAX_TEXT_OCTETS).replace(/\ufffd$/, '')}...`;
}

function mib(bytes: number): string {
  return bytes >= 1_000_000 ? `${Math.floor(bytes / 100_000) / 10} MB` : `${bytes} bytes`;
}

/** Texts with parts from outside, so that a line stays under 512 octets. */
function short(text: string): string {
  return text.length > 300 ? `${text.slice(0, 297)}...` : text;
}

/** All the replies. docs/replies.md lists them; a test compares the two. */
export const REPLIES = {
  // The session goes as it should.
  greeting: (hostname: string) => reply(220, '', `${hostname} ESMTP Postern`),
  ehlo: (lines: readonly string[]) => reply(250, '', lines),
  helo: (hostname: string) => reply(250, '', hostname),
  ok: reply(250, '2.0.0', 'Ok'),
  senderOk: reply(250, '2.1.0', 'Sender ok'),
  recipientOk: reply(250, '2.1.5', 'Recipient ok'),
  startData: reply(354, '', 'Send the message; end it with a dot on a line by itself'),
  chunk: (bytes: number) => reply(250, '2.0.0', `${bytes} octets received`),
  queued: (id: string): Reply => ({ ...reply(250, '2.6.0', `Message queued as ${id}`), messageId: id }),
  cannotVerify: reply(252, '2.5.2', 'Send some mail and see: addresses are not verified here'),
  help: reply(214, '2.0.0', [
    'Submission: 465 with TLS, or 587 and 2525 with STARTTLS, then AUTH',
    'Commands: EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT',
  ]),
  startTls: reply(220, '2.0.0', 'Ready to start TLS'),
  authenticated: reply(235, '2.7.0', 'Authentication successful'),
  challenge: (base64: string) => reply(334, '', base64),
  bye: closing(221, '2.0.0', 'Bye'),

  // The client breaks the protocol.
  unknownCommand: reply(500, '5.5.1', 'Command not recognised; HELP lists the commands'),
  notImplemented: (verb: string) => reply(502, '5.5.1', `${verb} is not offered here`),
  notText: reply(500, '5.5.2', 'The line is not UTF-8, or has a NUL: commands are text'),
  lineTooLong: reply(500, '5.5.2', 'Line too long: commands have at most 512 octets, MAIL and RCPT 2048'),
  authLineTooLong: reply(500, '5.5.6', 'Authentication line too long'),
  tlsTooSoon: closing(554, '5.5.1', 'This port begins without TLS: say EHLO and STARTTLS first, or use port 465 for TLS from the first byte'),
  notHttp: closing(554, '5.5.1', 'This is SMTP: the server does not speak HTTP here'),
  bareLineEnd: closing(554, '5.6.11', 'Bare CR or LF refused: every line must end in CRLF; mend the client and send again'),
  syntax: (usage: string) => reply(501, '5.5.4', `Syntax: ${usage}`),
  badSender: reply(501, '5.1.7', 'The sender address cannot be read; write MAIL FROM:<local@domain>'),
  badRecipient: reply(501, '5.1.3', 'The recipient address cannot be read; write RCPT TO:<local@domain>'),
  unknownParameter: (name: string) => reply(555, '5.5.4', `Parameter ${name.slice(0, 40)} is not supported; see the EHLO reply`),
  badParameter: (name: string, allowed: string) => reply(501, '5.5.4', `Bad value for ${name}; allowed: ${allowed}`),
  sequence: (first: string) => reply(503, '5.5.1', `Bad sequence of commands: ${first}`),
  noRecipients: reply(554, '5.5.1', 'No valid recipients: no RCPT was accepted'),
  utf8Needed: reply(553, '5.6.7', 'The address is not ASCII: give SMTPUTF8 with MAIL'),
  tooManyErrors: closing(421, '4.7.0', 'Too many commands that do no work; connect again'),
  noTlsHere: reply(502, '5.5.1', 'TLS is on already'),

  // Encryption and authentication.
  startTlsFirst: reply(530, '5.7.0', 'Must issue a STARTTLS command first'),
  encryptionRequired: reply(538, '5.7.11', 'Encryption required for requested authentication mechanism: issue STARTTLS first, or use port 465'),
  authRequired: reply(530, '5.7.0', 'Authentication required: use AUTH with a credential of this server'),
  credentialWithdrawn: reply(530, '5.7.0', 'Authentication required: the credential was revoked or has a new password since; use AUTH again'),
  noAuthHere: reply(503, '5.5.1', 'Authentication is not offered on this port: submit mail on port 587 or 465'),
  unknownMechanism: (offered: string) => reply(504, '5.5.4', `Mechanism not supported; offered: ${offered}`),
  authCancelled: reply(501, '5.7.0', 'Authentication cancelled'),
  badBase64: reply(501, '5.5.2', 'Authentication data is not base64'),
  authFailed: reply(535, '5.7.8', 'Authentication credentials invalid: check username and password; "postern credential list" shows the usernames'),
  authClosed: closing(421, '4.7.0', 'Too many failed authentications: check username and password, then connect again'),
  addressNotAllowed: (address: string) => reply(535, '5.7.8', `The credential may not be used from ${address}: add the address to its list, or send from one that is on it`),
  tlsOnly: reply(530, '5.7.10', 'REQUIRETLS needs a connection with TLS'),

  // Policy.
  relayNotPermitted: (domain: string) =>
    reply(550, '5.7.1', `Relay not permitted: ${domain} is not handled here; to send through this server use port 587 or 465 with authentication`),
  noSuchReturnPath: reply(550, '5.1.1', 'No such return path: bounces go to exactly the sender that the message had, and only while it is remembered'),
  bouncesOnly: reply(550, '5.7.1', 'This address takes bounces only, from the null sender; write to the author of the message instead'),
  tooManyReturns: reply(450, '4.7.1', 'Too many reports on this message; try again later'),
  senderNotAllowed: (sender: string, domains: readonly string[]) =>
    reply(550, '5.7.1', `Sender ${sender} not allowed for this credential; it may send as: ${domains.slice(0, 5).join(', ')}`),
  dmarcRefused: (domain: string, why: string, explanation: string | null) =>
    reply(550, '5.7.26', [
      `Email rejected per DMARC policy for ${domain}: ${short(why)}`,
      ...(explanation === null ? [] : [`The sender's domain says: ${short(explanation)}`]),
      `To mend it, sign the mail with DKIM as ${domain}, or send it from a server that the SPF record of the domain names`,
    ]),
  notPassedOn: (domain: string) =>
    reply(550, '5.7.26', [
      `Not passed on: nothing proves that the message is from ${domain}, and from here it would be believed`,
      `To mend it, sign the mail with DKIM as ${domain}, or send it from a server that the SPF record of the domain names`,
    ]),
  dmarcUnknown: (domain: string, why: string) => reply(451, '4.7.0', `The DMARC policy for ${domain} could not be applied, try again later: ${short(why)}`),
  fromRefused: (why: string) => reply(550, '5.7.1', `Refused: ${short(why)}; send one From field, with addresses of one domain`),
  headerRefused: (why: string) => reply(550, '5.6.0', why),
  rateExceeded: (perHour: number) => reply(450, '4.7.1', `Rate of this credential exceeded (${perHour} messages an hour); try again later`),
  tooManyHops: (hops: number) => reply(554, '5.4.6', `Too many hops: more than ${hops} Received headers, the message is probably in a loop`),

  // Limits and faults.
  tooManyConnections: (whose: string, limit: number) => closing(421, '4.7.0', `Too many connections ${whose} (${limit} allowed): close some, or reuse them for several messages`),
  tooManyRecipients: (limit: number) => reply(452, '4.5.3', `Too many recipients: at most ${limit} in one transaction; send the rest in another`),
  tooBig: (limit: number) => reply(552, '5.3.4', `Message too big: the limit is ${mib(limit)}`),
  tooBigClosed: (limit: number) => closing(552, '5.3.4', `Message too big: the limit is ${mib(limit)}`),
  headerTooBig: (limit: number) => reply(552, '5.3.4', `Header too big: the limit is ${mib(limit)}`),
  storeFull: reply(452, '4.3.1', 'Out of disk space or memory here; try again later'),
  localError: (id: string) => reply(451, '4.3.0', `Local error, try again later; the server's log has it under ${id}`),
  timeout: closing(421, '4.4.2', 'Timeout: the connection was idle too long'),
  sessionTooLong: closing(421, '4.4.2', 'The session has lasted too long; connect again'),
  shuttingDown: closing(421, '4.3.2', 'The server is shutting down; connect again in a moment'),
} as const;
