// Who stands in the From fields of a header, as the intake hands it to the inspector.

import type { Author } from '#mail/dmarc/evaluate.ts';
import { parseMailboxes } from '#mail/headers.ts';
import type { Field } from '#mail/headers.ts';

export function authorOf(fields: readonly Field[]): Author {
  const from = fields.filter((field) => field.name === 'from');
  return { fromFields: from.length, domains: from.flatMap((field) => parseMailboxes(field.value())).map(({ domain }) => domain) };
}
