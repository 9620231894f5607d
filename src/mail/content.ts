// A message taken apart for people who look at it: its texts, its attachments, and its look as a document that can be shown without harm. The
// document is made harmless by the policy it is served with (http/routes/content.ts); what is taken out here are the ways to the network that such
// a policy does not close. Parsing is postal-mime's.

import PostalMime from 'postal-mime';
import type { Address, Attachment } from 'postal-mime';

export type Part = { readonly n: number; readonly name: string; readonly type: string; readonly bytes: Uint8Array<ArrayBuffer> };

export type Content = {
  readonly subject: string;
  readonly from: string;
  readonly to: string;
  readonly cc: string;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  /** '' where there is none; of a message that is HTML only, what can be read of it. */
  readonly text: string;
  readonly html: string | null;
  /** How many references to places elsewhere the look has. */
  readonly remote: number;
  readonly attachments: readonly Part[];
};

const MAX_HEADERS = 1000;
/** An image that is part of the message is put into the document up to this size. */
const INLINE_BYTES = 2 * 1024 * 1024;
/** Elements that would fetch, navigate, or set rules for the rest, with what is in those that people do not see. */
const WHOLE = ['script', 'iframe', 'frameset', 'object', 'applet', 'noscript', 'template'] as const;
const OPENING = new RegExp(`<(${WHOLE.join('|')})\\b`, 'gi');
const SINGLE = /<\/?(?:script|iframe|frame|frameset|object|embed|applet|link|meta|base|form|input|button|portal|noscript|template)\b[^>]*>?/gi;
/** `preconnect`-like attributes and scripts in attributes; both are dead under the policy, and gone here. */
const ATTRIBUTES = /\s(?:on[a-z]+|ping|srcdoc|formaction|manifest)\s*=\s*(?:"[^"]*"|'[^']*'|[^\s>]+)/gi;
/** Two runs of spaces never meet in it: their split would be tried at every place. */
const REMOTE = /(?:\b(?:src|srcset|background|poster|data)\s*=\s*(?:["']\s*)?|url\(\s*(?:["']\s*)?|@import\s+(?:["']\s*)?)(?:https?:)?\/\//gi;

/** Rejects what is no message, or nested past reason. */
export async function takeApart(bytes: Uint8Array): Promise<Content> {
  const mail = await PostalMime.parse(bytes, { maxNestingDepth: 50, maxHeadersSize: 1024 * 1024, maxRfc822NestingDepth: 3 });
  const html = mail.html === undefined || mail.html.trim() === '' ? null : mail.html;
  const attachments = mail.attachments.map((attachment, n) => ({ n, name: fileName(attachment, n), type: attachment.mimeType, bytes: bytesOf(attachment) }));
  return {
    subject: mail.subject ?? '',
    from: mail.from === undefined ? '' : addressText(mail.from),
    to: (mail.to ?? []).map(addressText).join(', '),
    cc: (mail.cc ?? []).map(addressText).join(', '),
    headers: mail.headers.slice(0, MAX_HEADERS).map(({ originalKey, value }) => ({ name: originalKey, value })),
    text: mail.text ?? '',
    html: html === null ? null : inlined(html, mail.attachments),
    remote: html === null ? 0 : (html.match(REMOTE)?.length ?? 0),
    attachments,
  };
}

/** The document without its ways out. It is still somebody else's HTML: serve it with a policy that lets it do nothing. */
export function disarm(html: string): string {
  // What is left after one pass may form a new element; a document that goes on forming them is not shown as one.
  let text = html;
  let forming = true;
  for (let pass = 0; pass < 5 && forming; pass++) {
    const next = withoutWhole(text).replaceAll(SINGLE, '').replaceAll(ATTRIBUTES, '');
    forming = next !== text;
    text = next;
  }
  if (forming) text = text.replaceAll('<', '&lt;');
  return `<!doctype html><html><head><meta charset="utf-8"><title>Message</title><style>body{margin:12px;font-family:system-ui,sans-serif;overflow-wrap:anywhere}img{max-width:100%;height:auto}</style></head><body>${text}</body></html>`;
}

/** Elements with all that is in them. In one go: a pattern would look for the missing end of each of a million openings anew. */
function withoutWhole(html: string): string {
  const closings = new Map(WHOLE.map((name) => [name as string, new RegExp(`</${name}\\s*>`, 'gi')]));
  const kept: string[] = [];
  let from = 0;
  for (const { 0: opening, 1: name = '', index } of html.matchAll(OPENING)) {
    const closing = closings.get(name.toLowerCase());
    if (index < from || closing === undefined) continue;
    closing.lastIndex = index + opening.length;
    if (closing.exec(html) === null) {
      closings.delete(name.toLowerCase());
      continue;
    }
    kept.push(html.slice(from, index));
    from = closing.lastIndex;
  }
  return [...kept, html.slice(from)].join('');
}

function addressText(address: Address): string {
  if (address.group !== undefined) return `${address.name}: ${address.group.map(addressText).join(', ')}`;
  return address.name === '' ? address.address : `${address.name} <${address.address}>`;
}

function fileName({ filename, mimeType }: Attachment, n: number): string {
  const given = (filename ?? '').replaceAll(/[\p{Cc}\p{Cf}/\\]/gu, '').trim();
  return given === '' ? `part-${n + 1}.${mimeType === 'message/rfc822' ? 'eml' : 'bin'}` : given.slice(0, 200).toWellFormed();
}

function bytesOf({ content }: Attachment): Uint8Array<ArrayBuffer> {
  if (typeof content === 'string') return new Uint8Array(Buffer.from(content, 'utf8'));
  return new Uint8Array(content);
}

/** `cid:` references become the images that they name (RFC 2392). */
function inlined(html: string, attachments: readonly Attachment[]): string {
  const images = new Map(
    attachments.flatMap((attachment) => {
      const id = attachment.contentId?.replaceAll(/^<|>$/g, '');
      const bytes = bytesOf(attachment);
      if (id === undefined || !/^image\/(?:png|jpeg|gif|webp|bmp)$/.test(attachment.mimeType) || bytes.length > INLINE_BYTES) return [];
      return [[id, `data:${attachment.mimeType};base64,${Buffer.from(bytes).toString('base64')}`] as const];
    }),
  );
  return html.replaceAll(/cid:([^"'\s)>]+)/gi, (whole, id: string) => images.get(decodeSafely(id)) ?? whole);
}

function decodeSafely(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
