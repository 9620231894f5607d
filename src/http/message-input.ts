// What a message may be made of over HTTP: the schemas, and from them the draft and the envelope. Checks the form; who may send what is the intake's.

import { z } from 'zod';
import type { Attachment, Draft, Mailbox } from '#mail/compose.ts';
import { parseMailbox } from '#smtp/address.ts';
import type { Address } from '#smtp/address.ts';
import { credentialName } from './fields.ts';

export const MAX_RECIPIENTS = 10_000;
export const MAX_BATCH = 500;
/** How far ahead mail may be scheduled: the keys that it is signed with must be in the DNS until it has arrived. */
export const MAX_AHEAD_MS = 7 * 86_400_000;

const ADDRESS_CHARACTERS = 320;
const NAME_CHARACTERS = 500;
const LINE_CHARACTERS = 2000;
const VALUE_CHARACTERS = 20_000;

function readAddress(text: string): Address | null {
  return text.length <= ADDRESS_CHARACTERS ? parseMailbox(text.trim()) : null;
}

export const address = z
  .string()
  .transform((text, context) => {
    const read = readAddress(text);
    if (read !== null) return read;
    context.addIssue({ code: 'custom', message: `"${text.slice(0, 100)}" is not a mail address; write it like ann@example.com` });
    return z.NEVER;
  })
  .describe('ann@example.com');

/** `Ann Example <ann@example.com>`, or the bare address. */
const written = z
  .string()
  .max(ADDRESS_CHARACTERS + NAME_CHARACTERS)
  .transform((text, context): Mailbox => {
    const [, phrase = '', inside = ''] = /^([^<>]*)<([^<>]*)>\s*$/.exec(text) ?? [];
    const read = readAddress(inside === '' ? text : inside);
    if (read !== null) return { name: inside === '' ? '' : unquoted(phrase.trim()), address: read };
    context.addIssue({ code: 'custom', message: `"${text.slice(0, 100)}" is not one mail address; write ann@example.com or Ann <ann@example.com>, and several as a list` });
    return z.NEVER;
  });

function unquoted(phrase: string): string {
  const [, inside] = /^"(.*)"$/s.exec(phrase) ?? [];
  return inside === undefined ? phrase : inside.replace(/\\(.)/g, '$1');
}

const mailbox = z.union([written, z.strictObject({ address, name: z.string().max(NAME_CHARACTERS).default('') })]).describe('an address, "Name <address>", or an object with both');

const mailboxes = z
  .union([mailbox.transform((one): Mailbox[] => [one]), z.array(mailbox).max(MAX_RECIPIENTS)])
  .default([])
  .describe('one or a list of them');

const base64 = z
  .string()
  .transform((text, context) => {
    const plain = /[\s_-]/.test(text) ? text.replace(/\s+/g, '').replaceAll('-', '+').replaceAll('_', '/') : text;
    const padded = plain.padEnd(Math.ceil(plain.length / 4) * 4, '=');
    if (/^[A-Za-z0-9+/]*={0,2}$/.test(padded)) return padded;
    context.addIssue({ code: 'custom', message: 'this is not base64' });
    return z.NEVER;
  })
  .describe('base64');

const TOKEN = /^[!#$%&'*+.^_`|~A-Za-z0-9-]+$/;
const MEDIA = /^[!#$&^_.+A-Za-z0-9-]+\/[!#$&^_.+A-Za-z0-9-]+(?:;[\x20-\x7e]*)?$/;

const attachment = z
  .strictObject({
    filename: z.string().max(255).default(''),
    content: base64,
    contentType: z
      .string()
      .max(255)
      .regex(MEDIA, 'write it like application/pdf')
      .refine((type) => !/^multipart\//i.test(type), 'multipart is not the type of an attachment')
      .default('application/octet-stream'),
    contentId: z
      .string()
      .max(255)
      .transform((id) => id.replace(/^<(.*)>$/, '$1'))
      .refine((id) => /^[\x21-\x3b\x3d\x3f-\x7e]+$/.test(id), 'write it without spaces and angle brackets, like logo@example.com')
      .nullable()
      .default(null)
      .describe('what the HTML refers to it by: <img src="cid:...">'),
    inline: z.boolean().optional().describe('part of the page rather than attached to it; without it whatever has a contentId is'),
  })
  .transform(({ inline, ...rest }): Attachment => ({ ...rest, inline: inline ?? rest.contentId !== null }));

/** Fields that have a place of their own here, or are not the sender's to write. */
const RESERVED = /^(from|sender|to|cc|bcc|reply-to|subject|mime-version|content-.*|received|return-path|dkim-signature|arc-.*|authentication-results|resent-.*)$/i;

const headers = z
  .record(z.string(), z.union([z.string().max(VALUE_CHARACTERS), z.array(z.string().max(VALUE_CHARACTERS)).max(50)]))
  .superRefine((fields, context) => {
    for (const name of Object.keys(fields)) {
      if (!TOKEN.test(name) || name.length > 100) context.addIssue({ code: 'custom', message: `"${name.slice(0, 100)}" is not the name of a header field` });
      else if (RESERVED.test(name)) context.addIssue({ code: 'custom', message: `${name} is not set here: it has a place of its own, or is the server's to write` });
    }
  })
  .default({})
  .describe('further header fields by name, such as List-Unsubscribe or In-Reply-To');

const KINDS = ['success', 'failure', 'delay'] as const;
const notify = z.union([z.literal('never').transform((): (typeof KINDS)[number][] => []), z.array(z.enum(KINDS)).min(1)]);

const envelope = z
  .strictObject({
    from: address.nullable().optional().describe('where notifications go; null: nowhere; left out: the address of `from`'),
    to: z.array(address).min(1).max(MAX_RECIPIENTS).optional().describe('who gets it, whatever the header says; left out: to, cc and bcc'),
    notify: notify.optional().describe('which notifications are wanted (RFC 3461); left out: of failure and delay'),
    ret: z.enum(['full', 'hdrs']).optional().describe('how much of the message a notification brings back'),
    envid: z
      .string()
      .max(100)
      .regex(/^[\x20-\x7e]+$/, 'use printable ASCII')
      .optional()
      .describe('what a notification calls the message'),
  })
  .default({});

const sendAt = z.iso
  .datetime({ offset: true, error: 'write the time like 2026-11-24T08:00:00Z' })
  .transform((text) => Date.parse(text))
  .refine((atMs) => atMs <= Date.now() + MAX_AHEAD_MS, 'mail is scheduled at most 7 days ahead')
  .describe('not before then, at most 7 days ahead; what is past is sent at once');

/** Settings that do not stand in the message. */
const HOW = {
  credential: credentialName.optional().describe('send as this credential, under its rules and limits'),
  sandbox: z.boolean().default(false).describe('capture it instead of sending it'),
  requireTls: z.boolean().default(false).describe('send it only where TLS can be relied on (RFC 8689)'),
  sendAt: sendAt.optional(),
};

export const MESSAGE = z
  .strictObject({
    from: mailbox.optional().describe('the author; needed unless `raw` is given'),
    sender: mailbox.optional().describe('who sent it, where that is not the author'),
    to: mailboxes,
    cc: mailboxes,
    bcc: mailboxes.describe('get it without being named'),
    replyTo: mailboxes,
    subject: z.string().max(LINE_CHARACTERS).default(''),
    text: z.string().optional(),
    html: z.string().optional(),
    headers,
    attachments: z.array(attachment).max(500).default([]),
    envelope,
    raw: base64.optional().describe('the whole message (RFC 5322) in base64, instead of its parts'),
    ...HOW,
  })
  .superRefine((message, context) => {
    const { from, raw, to, cc, bcc, envelope: asked } = message;
    const issue = (path: string, text: string): void => context.addIssue({ code: 'custom', path: [path], message: text });
    if (raw !== undefined) {
      for (const part of ['from', 'sender', 'subject', 'text', 'html'] as const)
        if (message[part] !== undefined && message[part] !== '') issue(part, 'with `raw` the message is there already');
      for (const part of ['to', 'cc', 'bcc', 'replyTo', 'attachments'] as const)
        if (message[part].length > 0) issue(part, 'with `raw` the message is there already; recipients go in envelope.to');
      return;
    }
    if (from === undefined) issue('from', 'a message needs an author');
    if (asked.to === undefined && to.length + cc.length + bcc.length === 0) issue('to', 'a message needs a recipient');
  })
  .meta({ id: 'NewMessage' });

export type MessageInput = z.output<typeof MESSAGE>;
/** The same settings beside a message that comes as it is. */
export const RAW_QUERY = z.strictObject({
  from: z
    .union([z.literal('<>').transform(() => null), address])
    .optional()
    .describe('the envelope sender, or <> for none; without it the one of the header'),
  to: address.optional().describe('a recipient, repeated for more; without any all of To, Cc and Bcc'),
  credential: HOW.credential,
  sandbox: z.stringbool().default(false).describe('capture it instead of sending it'),
  sendAt: HOW.sendAt,
});

export function draftOf(input: MessageInput, from: Mailbox): Draft {
  return {
    from: [from],
    sender: input.sender ?? null,
    to: input.to,
    cc: input.cc,
    replyTo: input.replyTo,
    subject: input.subject,
    text: input.text ?? null,
    html: input.html ?? null,
    headers: Object.entries(input.headers).flatMap(([name, values]) => [values].flat().map((value): [string, string] => [name, value])),
    attachments: input.attachments,
  };
}
