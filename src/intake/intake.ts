// The order of steps from MAIL to the durable 250, readable top to bottom: who may send, to whom, how much; the header mended; the queue
// told. Implements the session's Policy; knows SMTP's replies but not its protocol, and nothing of delivery but the lane's name.

import { isAscii } from 'node:buffer';
import type { Clock } from '#base/clock.ts';
import type { Counters } from '#base/counters.ts';
import { errorCode, errorText } from '#base/failure.ts';
import { limitKey } from '#base/ip.ts';
import type { Log } from '#base/log.ts';
import { isPromise } from '#base/promise.ts';
import type { MaybePromise } from '#base/promise.ts';
import type { Authentication } from '#mail/authentication.ts';
import type { BodyHash } from '#mail/dkim/canonical.ts';
import type { Signatory, Signing } from '#mail/dkim/signing.ts';
import { decodeWords, parseHeaders, parseMailboxes } from '#mail/headers.ts';
import type { Field } from '#mail/headers.ts';
import { countReceived, formatReceived } from '#mail/received.ts';
import type { NewMessage, Queue } from '#queue/queue.ts';
import type { Envelope, LaneName, Lease, MessageId } from '#queue/records.ts';
import { isAsciiAddress } from '#smtp/address.ts';
import type { Connection, MessageSink, Policy, RcptCommand, Transaction } from '#smtp/policy.ts';
import type { Reply } from '#smtp/reply.ts';
import { REPLIES } from '#smtp/reply.ts';
import type { DirectoryReader } from '#store/directory.ts';
import { openAuthenticator, whileCurrent } from './authenticate.ts';
import type { Sender } from './authenticate.ts';
import { authorizeFrom, authorizeMail, authorizeRcpt } from './authorize.ts';
import { IncomingBody } from './body.ts';
import { mendHeader } from './fixups.ts';
import type { Destination, Forwarding } from './forward.ts';
import type { ReturnedMail, Returns } from './returned.ts';
import { judgementFields, withoutForged } from './inspect.ts';
import type { Inspection, Inspector } from './inspect.ts';

const SUBJECT_CHARACTERS = 200;
const HOUR_MS = 3_600_000;

/** What an intake is made of. `isLocal` and `laneFor` are asked for canonical domains. */
export type IntakeParts = {
  readonly hostname: string;
  readonly queue: Pick<Queue, 'write' | 'abandon' | 'accept'>;
  readonly directory: DirectoryReader;
  readonly counters: Counters;
  readonly clock: Clock;
  readonly log: Log;
  readonly newId: (nowMs: number) => MessageId;
  readonly decoySecret: Buffer;
  readonly limits: () => IntakeLimits;
  readonly isLocal: (domain: string) => boolean;
  /** Some domain this server receives for, if there is one: whose the mail for a bare <postmaster> is. */
  readonly localDomain: () => string | null;
  readonly laneFor: (domain: string, mode: 'live' | 'sandbox') => LaneName;
  readonly signing: Pick<Signing, 'signatoryOf' | 'bodyHash' | 'sign'>;
  /** What comes back to a return path. */
  readonly returns: Returns;
  /** Judges what comes by port 25. */
  readonly inspector: Inspector;
  readonly forwarding: Forwarding;
  /** Fresh leases of what was just accepted, to be delivered from memory. */
  readonly deliver: (leases: readonly Lease[]) => void;
  /** One-way observers (metrics): no decision is taken from them. */
  readonly observe?: IntakeObserver;
};

/** Limits, read anew for each use so that a reload takes effect at once. */
export type IntakeLimits = {
  readonly connections: number;
  readonly connectionsPerAddress: number;
  readonly authFailures: number;
  readonly hops: number;
  readonly headerBytes: number;
  /** Of content that is not stored yet, of all messages coming in. */
  readonly memoryBytes: number;
  readonly maxAgeMs: number;
  readonly delayWarningMs: number | null;
};

export type IntakeObserver = {
  /** A credential logged in, or had a message accepted. */
  used(credential: string): void;
  accepted(profile: string, sizeBytes: number, waitedMs: number): void;
  refused(profile: string, reply: Reply): void;
  judged(authentication: Authentication): void;
};

/** Makes the policy of one worker. */
export function openIntake(parts: IntakeParts): Policy<Sender> {
  const authenticator = openAuthenticator(parts);
  const refused = new WeakSet<Connection<Sender>>();
  const held = { bytes: 0 };
  const uncount = (connection: Connection<Sender>): void => {
    parts.counters.add('connections', -1);
    parts.counters.add(addressKey(connection), -1);
  };
  return {
    ...authenticator,
    connect(connection) {
      const { connections, connectionsPerAddress } = parts.limits();
      const all = parts.counters.add('connections', 1);
      const own = parts.counters.add(addressKey(connection), 1);
      if (own <= connectionsPerAddress && all <= connections) return null;
      // What is refused takes no place of those that are not, however long it stays to be told so.
      uncount(connection);
      refused.add(connection);
      return own > connectionsPerAddress ? REPLIES.tooManyConnections('from your address', connectionsPerAddress) : REPLIES.tooManyConnections('to this server', connections);
    },
    closed(connection) {
      if (!refused.has(connection)) uncount(connection);
    },
    mail: (connection, mail) => whileCurrent(parts, connection, () => authorizeMail(connection, mail)),
    rcpt(connection, transaction, rcpt) {
      const { recipients, mail } = transaction;
      const comesBack = isReturn(parts, connection, rcpt);
      // A report is a transaction of its own: what is to be done with it is not what is done with mail.
      if (recipients[0] !== undefined && isReturn(parts, connection, recipients[0]) !== comesBack) return REPLIES.tooManyRecipients(1);
      if (comesBack) return parts.returns.admit(rcpt, recipients);
      if (connection.profile === 'mx' && parts.forwarding.isRewritten(rcpt.to)) return parts.forwarding.admitBounce(mail.from, rcpt.to);
      return authorizeRcpt(connection, rcpt, parts.isLocal) ?? parts.forwarding.admit(transaction, rcpt);
    },
    data: (connection, transaction) =>
      whileCurrent<MessageSink | Reply>(parts, connection, () => rateRefusal(parts, connection.identity) ?? openSink(parts, connection, { transaction, held })),
    postmasterDomain: () => (parts.isLocal(parts.hostname) ? parts.hostname : (parts.localDomain() ?? parts.hostname)),
    refused(connection, { step, reply, again }) {
      parts.observe?.refused(connection.profile, reply);
      // A failed login has an event of its own, and a client that repeats itself must not fill the log.
      if (reply.code === 535 || again) return;
      parts.log.info('message.refused', {
        session: connection.id,
        step,
        code: reply.code,
        enhanced: reply.enhanced,
        text: reply.lines[0],
        cause: reply.privateCause,
        client: connection.clientAddress,
        profile: connection.profile,
        credential: connection.identity?.credential,
      });
    },
  };
}

type Arriving = {
  readonly transaction: Transaction;
  /** Content in memory, of all that is coming in. */
  readonly held: { bytes: number };
  /** Mail to a return path: if it is no report it goes `onward`. */
  readonly back?: { readonly onward: Transaction; readonly reader: ReturnedMail };
};

function isReturn(parts: IntakeParts, connection: Connection<Sender>, rcpt: RcptCommand): boolean {
  if (connection.profile !== 'mx' || !parts.returns.owns(rcpt.to.domain)) return false;
  // A domain that is received for as well has mailboxes besides.
  return !parts.isLocal(rcpt.to.domain) || parts.returns.admit(rcpt, []) === null;
}

/** A report goes to whoever sent the message it is about, from nobody. */
function openSink(parts: IntakeParts, connection: Connection<Sender>, from: Arriving): MaybePromise<MessageSink | Reply> {
  const { transaction } = from;
  const [rcpt] = transaction.recipients;
  if (rcpt === undefined || !isReturn(parts, connection, rcpt)) return new Incoming(parts, connection, from);
  return parts.returns.recognize(rcpt).then((known) => {
    if ('code' in known) return known;
    const recipients = [{ to: known.sender, notify: { success: false, failure: false, delay: false }, orcpt: null }];
    const onward: Transaction = { mail: { ...transaction.mail, from: null, ret: null, envid: null }, recipients };
    return new Incoming(parts, connection, { ...from, back: { onward, reader: parts.returns.read(known) } });
  });
}

function rateRefusal({ counters, clock }: IntakeParts, sender: Sender | null): Reply | null {
  const perHour = sender?.record.ratePerHour ?? null;
  if (sender === null || perHour === null) return null;
  const within = counters.take(`rate:${sender.credential}`, { perMs: perHour / HOUR_MS, burst: perHour, nowMs: clock.nowMs(), cost: 1 });
  return within ? null : REPLIES.rateExceeded(perHour);
}

/** Nobody's where the management side vouches for the sender. */
function credentialOf(sender: Sender | null): string | null {
  return sender === null || sender.vouched === true ? null : sender.credential;
}

function addressKey(connection: Connection<Sender>): string {
  return `connections:${limitKey(connection.clientAddress)}`;
}

/** What the header told, kept until the end of the content. */
type Head = {
  readonly chunks: readonly Buffer[];
  readonly subject: string;
  readonly messageIdHeader: string;
  readonly utf8: boolean;
  /** What we added is not ASCII. */
  readonly eightBit: boolean;
  /** The first chunk begins with our Received, of this length. */
  readonly receivedBytes: number;
  /** TLS-Required: No. */
  readonly tlsOptional: boolean;
  readonly bytes: number;
};

/** One message coming in. Steps: header complete > checked > mended > content ends > signed > accepted. */
class Incoming implements MessageSink {
  readonly #parts: IntakeParts;
  readonly #connection: Connection<Sender>;
  readonly #transaction: Transaction;
  readonly #id: MessageId;
  readonly #nowMs: number;
  readonly #body: IncomingBody;
  readonly #inspection: Inspection | null;
  #destinations: readonly Destination[];
  #head: Head | null = null;
  /** Who signs, and the hash of the body as far as it has come. */
  #signature: { readonly by: Signatory; readonly hash: BodyHash } | null = null;
  #authentication: Authentication | null = null;
  /** Reads along when it is mail that comes back. */
  readonly #returned: ReturnedMail | null;

  constructor(parts: IntakeParts, connection: Connection<Sender>, from: Arriving) {
    const { transaction, held, back } = from;
    this.#parts = parts;
    this.#connection = connection;
    this.#transaction = back?.onward ?? transaction;
    this.#returned = back?.reader ?? null;
    this.#nowMs = parts.clock.nowMs();
    this.#id = parts.newId(this.#nowMs);
    const limits = parts.limits();
    this.#body = new IncomingBody({
      id: this.#id,
      queue: parts.queue,
      headerBytes: limits.headerBytes,
      memory: { held, limitBytes: limits.memoryBytes },
      header: (head) => this.#header(head),
      body: (chunk) => {
        this.#signature?.hash.update(chunk);
        this.#inspection?.body(chunk);
        this.#returned?.feed(chunk);
      },
      failed: (error) => this.#failed(error),
    });
    const received = connection.profile === 'mx';
    this.#destinations = parts.forwarding.destinations(this.#transaction, received);
    const proved = back !== undefined || transaction.recipients.every((rcpt) => parts.forwarding.isRewritten(rcpt.to));
    this.#inspection = received ? parts.inspector.begin({ ...arrivalOf(connection, transaction), proved, ...this.#passedOn() }) : null;
  }

  /** What of it leaves for another site, and in whose name. */
  #passedOn(): Pick<Parameters<Inspector['begin']>[0], 'inNameOf' | 'sealAs'> {
    const { forwarding } = this.#parts;
    return { inNameOf: forwarding.inNameOf(this.#destinations, this.#transaction.mail.from), sealAs: forwarding.sealAs(this.#destinations) };
  }

  write(chunk: Buffer): MaybePromise<Reply | void> {
    return this.#body.write(chunk);
  }

  finish(): MaybePromise<Reply> {
    const refusal = this.#body.end();
    if (refusal !== null) {
      this.abort();
      return refusal;
    }
    const head = this.#head as Head;
    const whole = this.#inspection === null ? this.#signed(head) : this.#inspected(head, this.#inspection);
    return whole.catch((error: unknown) => {
      this.abort();
      // Whoever gave the key knows what to say of it.
      if (errorCode(error) === 'once-used') throw error;
      return this.#failed(error);
    });
  }

  /** A report is settled and leaves nothing; everything else is stored. */
  async #store(head: Head): Promise<Reply> {
    const settled = this.#returned === null ? null : await this.#returned.finish();
    if (settled === null) return this.#keep(head);
    this.abort();
    return settled;
  }

  #keep(head: Head): Promise<Reply> {
    const parts = this.#body.parts(head.chunks);
    return isPromise(parts) ? parts.then((stored) => this.#accept(head, stored)) : this.#accept(head, parts);
  }

  #signed(head: Head): Promise<Reply> {
    return this.#signature === null ? this.#store(head) : this.#sign(head, this.#signature).then((whole) => this.#store(whole));
  }

  /** The header with the signatures on top. */
  async #sign(head: Head, { by, hash }: { readonly by: Signatory; readonly hash: BodyHash }): Promise<Head> {
    const fields = await this.#parts.signing.sign(by, { header: Buffer.concat(head.chunks), bodyHash: hash.digest(), nowMs: this.#sentMs });
    return { ...head, chunks: [fields, ...head.chunks], bytes: head.bytes + fields.length };
  }

  abort(): void {
    this.#body.abort();
    this.#inspection?.abort();
  }

  /** Waits for the judgement; what it has to say goes below our Received, as trace fields do. */
  async #inspected(head: Head, inspection: Inspection): Promise<Reply> {
    const { refusal, fields, authentication, ownSender } = await inspection.finish();
    this.#authentication = authentication;
    if (authentication !== null) this.#parts.observe?.judged(authentication);
    if (refusal !== null) {
      if (authentication !== null) this.#parts.log.info('message.judged', { id: this.#id, ...this.#source(), ...judgementFields(authentication) });
      this.abort();
      return refusal;
    }
    if (ownSender) this.#destinations = this.#destinations.map(({ srsDomain: _srsDomain, ...destination }) => destination);
    const [first, ...rest] = head.chunks as [Buffer, ...Buffer[]];
    const added = Buffer.from(fields, 'latin1');
    const chunks = [first.subarray(0, head.receivedBytes), added, first.subarray(head.receivedBytes), ...rest].filter((chunk) => chunk.length > 0);
    return this.#store({ ...head, chunks, bytes: head.bytes + added.length });
  }

  #source() {
    const { id, clientAddress } = this.#connection;
    return { session: id, client: clientAddress, from: this.#transaction.mail.from?.text ?? '' };
  }

  #header(arrived: Buffer): Reply | null {
    this.#returned?.feed(arrived);
    const arrivedFields = parseHeaders(arrived).fields;
    const from = arrivedFields.filter((field) => field.name === 'from');
    const mailboxes = from.flatMap((field) => parseMailboxes(field.value()));
    const refusal = this.#checkHeader(arrivedFields, from);
    if (refusal !== null) return refusal;
    this.#inspection?.header(arrived, arrivedFields, { fromFields: from.length, domains: mailboxes.map(({ domain }) => domain) });
    const { head, fields } = withoutForged(this.#parts.hostname, arrived, arrivedFields);
    const submission = this.#connection.profile !== 'mx';
    // Without a From header the sender of the envelope is put there.
    const { from: envelopeFrom } = this.#transaction.mail;
    const authors = from.length === 0 && envelopeFrom !== null ? [envelopeFrom] : mailboxes;
    const by = submission ? this.#parts.signing.signatoryOf(authors) : null;
    this.#signature = by === null ? null : { by, hash: this.#parts.signing.bodyHash() };
    const received = this.#received();
    const mended = mendHeader(head, fields, {
      received,
      submission,
      nowMs: this.#sentMs,
      messageId: `<${this.#id}@${this.#parts.hostname}>`,
      from: this.#transaction.mail.from,
    });
    const subject = fields.find((field) => field.name === 'subject');
    this.#head = {
      chunks: mended.chunks,
      subject: subject === undefined ? '' : decodeWords(subject.value()).slice(0, SUBJECT_CHARACTERS),
      messageIdHeader: mended.messageIdHeader,
      utf8: this.#body.eightBit && !isAscii(head),
      eightBit: !isAscii(mended.chunks[0] as Buffer),
      receivedBytes: Buffer.byteLength(received),
      tlsOptional: fields.some((field) => field.name === 'tls-required' && field.value().toLowerCase() === 'no'),
      bytes: mended.chunks.reduce((sum, chunk) => sum + chunk.length, 0),
    };
    return null;
  }

  #checkHeader(fields: readonly Field[], from: readonly Field[]): Reply | null {
    const { hops } = this.#parts.limits();
    if (countReceived(fields) > hops) return REPLIES.tooManyHops(hops);
    const sender = this.#connection.identity;
    if (sender === null || this.#connection.profile === 'mx') return null;
    const mailboxes = from.flatMap((field) => parseMailboxes(field.value(), { names: true }));
    return authorizeFrom(sender, { envelope: this.#transaction.mail.from, fields: from.length, mailboxes });
  }

  /** When it leaves, as far as its sender knows. */
  get #sentMs(): number {
    return this.#transaction.mail.holdUntilMs ?? this.#nowMs;
  }

  #received(): string {
    const { mail, recipients } = this.#transaction;
    const connection = this.#connection;
    return formatReceived({
      helo: connection.helo ?? '',
      clientAddress: connection.clientAddress,
      hostname: this.#parts.hostname,
      ...(connection.profile === 'api' || connection.profile === 'local' ? { handedOver: connection.profile } : {}),
      extended: connection.extended,
      tls: connection.tls,
      authenticated: connection.identity !== null,
      smtpUtf8: mail.smtpUtf8,
      id: this.#id,
      recipient: recipients.length === 1 ? (recipients[0]?.to ?? null) : null,
      nowMs: this.#nowMs,
    });
  }

  #accept(head: Head, stored: { readonly written: number; readonly tail: readonly Buffer[] }): Promise<Reply> {
    const message = this.#message(head, stored);
    return this.#parts.queue.accept(message, { lease: true }).then((leases) => {
      this.#body.release();
      this.#accepted(message.envelope);
      this.#parts.deliver(leases);
      return REPLIES.queued(this.#id);
    });
  }

  #message(head: Head, stored: { readonly written: number; readonly tail: readonly Buffer[] }): NewMessage {
    const mode = this.#connection.identity?.record.mode ?? 'live';
    const envelope = this.#envelope(head, mode);
    const recipients = this.#destinations.map(({ to, ...rest }, n) => ({ ...rest, n, address: to, lane: this.#parts.laneFor(to.domain, mode) }));
    const { once, mail } = this.#transaction;
    return { envelope, recipients, ...stored, ...(mail.holdUntilMs === undefined ? {} : { notBeforeMs: mail.holdUntilMs }), ...(once === undefined ? {} : { once }) };
  }

  #envelope(head: Head, mode: 'live' | 'sandbox'): Envelope {
    const { mail } = this.#transaction;
    const connection = this.#connection;
    const { maxAgeMs, delayWarningMs } = this.#parts.limits();
    // The content may have taken long to come, and to judge: its time begins now.
    const nowMs = this.#parts.clock.nowMs();
    const fromMs = mail.holdUntilMs ?? nowMs;
    return {
      id: this.#id,
      from: mail.from,
      acceptedAtMs: nowMs,
      expiresAtMs: fromMs + maxAgeMs,
      warnAtMs: delayWarningMs === null ? null : fromMs + delayWarningMs,
      ...(mail.holdUntilMs === undefined ? {} : { sendAtMs: mail.holdUntilMs }),
      sizeBytes: head.bytes + this.#body.bodyBytes,
      eightBit: this.#body.eightBit || head.eightBit,
      smtpUtf8: this.#needsSmtpUtf8(head),
      ...(mail.smtpUtf8 && head.utf8 ? { utf8Header: true } : {}),
      requireTls: mail.requireTls,
      // REQUIRETLS is the stronger word (RFC 8689 4.1).
      ...(head.tlsOptional && !mail.requireTls ? { tlsOptional: true } : {}),
      ...this.#bounceDomain(mode),
      ret: mail.ret,
      envid: mail.envid,
      kind: 'mail',
      mode,
      origin: {
        profile: connection.profile,
        clientAddress: connection.clientAddress,
        helo: connection.helo ?? '',
        tls: connection.tls === null ? null : `${connection.tls.protocol} ${connection.tls.cipher}`,
        credential: credentialOf(connection.identity),
        ...(connection.identity?.record.project ? { project: connection.identity.record.project } : {}),
      },
      subject: head.subject,
      messageIdHeader: head.messageIdHeader,
      ...(this.#authentication === null ? {} : { authentication: this.#authentication }),
    };
  }

  /** An address that mail is forwarded to may need it though the sender never said so. */
  #needsSmtpUtf8(head: Head): boolean {
    const { mail } = this.#transaction;
    if (!this.#destinations.every(({ to }) => isAsciiAddress(to))) return true;
    return mail.smtpUtf8 && (head.utf8 || (mail.from !== null && !isAsciiAddress(mail.from)));
  }

  /** The return path of the domain that signs, for mail that has somebody to tell. */
  #bounceDomain(mode: 'live' | 'sandbox'): Pick<Envelope, 'bounceDomain'> {
    const domain = this.#signature?.by.bounceDomain ?? null;
    return domain === null || mode === 'sandbox' || this.#transaction.mail.from === null ? {} : { bounceDomain: domain };
  }

  #accepted(envelope: Envelope): void {
    const { recipients } = this.#transaction;
    if (envelope.origin.credential !== null) this.#parts.observe?.used(envelope.origin.credential);
    this.#parts.observe?.accepted(this.#connection.profile, envelope.sizeBytes, this.#parts.clock.nowMs() - this.#nowMs);
    this.#parts.log.info('message.accepted', {
      id: this.#id,
      ...this.#source(),
      to: recipients[0]?.to.text,
      recipients: recipients.length,
      sizeBytes: envelope.sizeBytes,
      profile: this.#connection.profile,
      credential: envelope.origin.credential,
      tls: envelope.origin.tls,
      ...(this.#authentication === null ? {} : judgementFields(this.#authentication)),
    });
  }

  /** The queue would not take it: short of space is the client's to retry (452); anything else is ours to look at (451). */
  #failed(error: unknown): Reply {
    const full = errorCode(error) === 'store-full';
    this.#parts.log.error('message.not-stored', { id: this.#id, session: this.#connection.id, cause: errorText(error) });
    return full ? REPLIES.storeFull : REPLIES.localError(this.#id);
  }
}

function arrivalOf(connection: Connection<Sender>, { mail, recipients }: Transaction): Parameters<Inspector['begin']>[0] {
  return { clientAddress: connection.clientAddress, helo: connection.helo ?? '', from: mail.from, recipients: recipients.map((rcpt) => rcpt.to) };
}
