// What `postern send` was asked to send, and to whom: the options read together, once, before anything is connected to.

import { randomBytes } from 'node:crypto';
import { hostname as systemHostname } from 'node:os';
import { composeMessage } from '#mail/compose.ts';
import type { Mailbox } from '#mail/compose.ts';
import { formatDate, formatMessageId, findFields, parseHeaders } from '#mail/headers.ts';
import { canonicalDomain, parseMailbox } from '#smtp/address.ts';
import type { Address, ReversePath } from '#smtp/address.ts';
import type { ClientEnvelope } from '#smtp/client.ts';
import type { Notify } from '#smtp/policy.ts';
import { readAttachment } from './attachments.ts';
import { copiesOf, parseField, readMessage, readText, withFields } from './message.ts';
import type { HeaderField } from './message.ts';
import { usage } from '#cli/values.ts';
import type { Options } from './options.ts';

export type Request = {
  readonly helo: string;
  readonly from: ReversePath;
  readonly recipients: ClientEnvelope['recipients'];
  readonly ret: ClientEnvelope['ret'];
  readonly envid: string | null;
  readonly requireTls: boolean;
  readonly content: Buffer;
  /** The n-th copy, for a load. */
  readonly copy: (number: number) => Buffer[];
  readonly subject: string | null;
  readonly messageId: string | null;
};

/** Throws PosternError (exit code 2) for what cannot be. */
export function readRequest(options: Options): Request {
  checkInput(options);
  const name = canonicalDomain(systemHostname()) ?? 'localhost';
  const helo = options.helo ?? name;
  if (!/^[\x21-\x7e]{1,255}$/.test(helo)) throw usage(`--helo ${JSON.stringify(helo)} is no host name.`, 'Write it like client.example.com, or [192.0.2.1].');
  const people = { to: listIn('--to', options.to), cc: listIn('--cc', options.cc), bcc: listIn('--bcc', options.bcc) };
  const all = [...people.to, ...people.cc, ...people.bcc];
  if (all.length === 0 && options.quitAfter !== 'ehlo' && options.quitAfter !== 'auth') throw usage('No recipient was given.', 'Name one with --to name@example.com.');
  const author = options.from === '<>' || options.from === '' ? null : mailboxIn('--from')(options.from ?? `postern@${name.includes('.') ? name : `${name}.localdomain`}`);
  const from = options.mailFrom === undefined ? (author?.address ?? null) : reversePath(options.mailFrom);
  const message = makeMessage(options, { author, people, name });
  const { fields } = parseHeaders(message.content);
  return {
    helo,
    from,
    recipients: withDsn(all, options),
    ret: options.ret ?? null,
    envid: options.envid ?? null,
    requireTls: options.requiretls === true,
    ...message,
    subject: findFields(fields, 'subject')[0]?.value() ?? null,
    messageId: findFields(fields, 'message-id')[0]?.value() ?? null,
  };
}

/** Standard input can be one thing only. */
function checkInput({ passwordFile, file, body, html, attach }: Options): void {
  const readers = [passwordFile === '-', file === '-', body === '-', html === '-', ...attach.map((text) => /^-(?:;|$)/.test(text))].filter(Boolean);
  if (readers.length > 1) throw usage('Standard input cannot be two things at once, like the password and the message.', 'Give all but one of them as files.');
  if (file !== undefined && (html !== undefined || attach.length > 0))
    throw usage('A message from a file takes no --html and no --attach.', 'Leave out --file, or what goes with it.');
}

type Parts = { readonly author: Mailbox | null; readonly people: Readonly<Record<'to' | 'cc' | 'bcc', readonly Mailbox[]>>; readonly name: string };

function makeMessage(options: Options, { author, people, name }: Parts): Pick<Request, 'content' | 'copy'> {
  const given = options.header.map(parseField);
  const utf8 = options.utf8 === true;
  if (options.file !== undefined) {
    const content = withFields(readMessage(options.file), given, utf8);
    return { content, copy: copiesOf(content, null) };
  }
  const sender = author ?? { name: '', address: parseMailbox(`postmaster@${name}`) as Address };
  const composed = composeMessage({
    from: [sender],
    sender: null,
    to: people.to,
    cc: people.cc,
    replyTo: [],
    subject: options.subject,
    text: readText(options.body, '--body'),
    html: options.html === undefined ? null : readText(options.html, '--html'),
    headers: [],
    attachments: options.attach.map(readAttachment),
  });
  const chance = randomBytes(9).toString('base64url');
  const makeId = (number: number): string => formatMessageId(number === 0 ? chance : `${chance}.${number}`, name);
  const made: HeaderField[] = [
    ['Date', formatDate(Date.now())],
    ['Message-ID', makeId(0)],
  ];
  const raw: HeaderField[] = utf8
    ? [
        ['From', listed([sender])],
        ...(['to', 'cc'] as const).flatMap((kind) => (people[kind].length === 0 ? [] : [[kind === 'to' ? 'To' : 'Cc', listed(people[kind])] as const])),
        ['Subject', options.subject],
      ]
    : [];
  const own = new Set(given.map(([field]) => field.toLowerCase()));
  const content = withFields(composed, [...raw.filter(([field]) => !own.has(field.toLowerCase())), ...made.filter(([field]) => !own.has(field.toLowerCase())), ...given], utf8);
  return { content, copy: copiesOf(content, own.has('message-id') ? null : makeId) };
}

/** As it is written with --utf8. */
function listed(mailboxes: readonly Mailbox[]): string {
  return mailboxes.map(({ name, address }) => (name === '' ? address.text : `"${name.replace(/["\\]/g, '\\$&')}" <${address.text}>`)).join(', ');
}

/** Each may hold several, with commas; one inside of quotes is part of a name. */
function listIn(option: string, texts: readonly string[]): Mailbox[] {
  return texts.flatMap((text) => (text.match(/(?:"(?:\\.|[^"\\])*"|<[^>]*>|[^,])+/g) ?? [text]).map(mailboxIn(option)));
}

/** `address`, `<address>` or `Name <address>`. */
function mailboxIn(option: string): (text: string) => Mailbox {
  return (text) => {
    const [, phrase = '', inside] = /^\s*(.*?)\s*<([^<>]*)>\s*$/s.exec(text) ?? [];
    const address = parseMailbox(inside ?? text.trim());
    if (address === null) throw usage(`${option} ${JSON.stringify(text)} is not a mail address.`, 'Write it like name@example.com, or "Name <name@example.com>".');
    return { name: phrase.replace(/^"(.*)"$/s, '$1').replace(/\\(.)/g, '$1'), address };
  };
}

function reversePath(text: string): ReversePath {
  return text === '<>' || text === '' ? null : mailboxIn('--mail-from')(text).address;
}

function withDsn(all: readonly Mailbox[], { notify, orcpt }: Options): ClientEnvelope['recipients'] {
  const wanted = notify === undefined ? null : parseNotify(notify);
  if (orcpt.length > 0 && orcpt.length !== all.length)
    throw usage(`There are ${all.length} recipients, and ${orcpt.length} times --orcpt.`, 'Give --orcpt once for each recipient, in the order to, cc, bcc.');
  return all.map(({ address }, i) => ({ address, notify: wanted, orcpt: orcpt[i] === undefined ? null : parseOrcpt(orcpt[i]) }));
}

function parseNotify(text: string): Notify {
  const words = text
    .toLowerCase()
    .split(',')
    .map((word) => word.trim());
  const known = words.every((word) => word === 'success' || word === 'failure' || word === 'delay');
  if (!known && !(words.length === 1 && words[0] === 'never'))
    throw usage(`--notify ${JSON.stringify(text)} is nothing that a DSN can be wanted for.`, 'Write never, or a list of success, failure and delay.');
  return { success: words.includes('success'), failure: words.includes('failure'), delay: words.includes('delay') };
}

function parseOrcpt(text: string): { type: string; value: string } {
  const [, type = '', value] = /^([a-z0-9-]+);(.+)$/is.exec(text) ?? [];
  if (value !== undefined) return { type: type.toLowerCase(), value };
  return { type: /^[\x20-\x7e]*$/.test(text) ? 'rfc822' : 'utf-8', value: text };
}
