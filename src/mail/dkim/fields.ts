// Which header fields a signature covers. The ones that decide what a reader sees are signed once more than they are there, so that nobody
// can add another; the rest as often as they are there. RFC 6376 5.4, 8.15; RFC 8058 4 (List-Unsubscribe-Post).

import type { Field } from '#mail/headers.ts';

/** Signed once more than present. */
const SEALED = ['from', 'subject', 'date', 'to', 'cc', 'reply-to', 'message-id'] as const;

/** Signed where present. Not here: trace fields, and what relays and lists change by right. */
const COVERED = [
  'sender',
  'in-reply-to',
  'references',
  'mime-version',
  'content-type',
  'content-transfer-encoding',
  'content-disposition',
  'content-language',
  'auto-submitted',
  'feedback-id',
  'resent-date',
  'resent-from',
  'resent-sender',
  'resent-to',
  'resent-cc',
  'resent-message-id',
  'list-id',
  'list-help',
  'list-unsubscribe',
  'list-unsubscribe-post',
  'list-subscribe',
  'list-post',
  'list-owner',
  'list-archive',
] as const;

/** `names` is `h=`; `fields` are the ones that go into the hash, in that order: of several with one name the last comes first. */
export function coveredFields(fields: readonly Field[]): { readonly names: readonly string[]; readonly fields: readonly Field[] } {
  const byName = new Map<string, Field[]>();
  for (const field of fields) {
    const same = byName.get(field.name);
    if (same === undefined) byName.set(field.name, [field]);
    else same.unshift(field);
  }
  const names: string[] = [];
  const covered: Field[] = [];
  const cover = (name: string): void => {
    for (const field of byName.get(name) ?? []) {
      names.push(name);
      covered.push(field);
    }
  };
  for (const name of SEALED) {
    cover(name);
    names.push(name);
  }
  for (const name of COVERED) cover(name);
  return { names, fields: covered };
}
