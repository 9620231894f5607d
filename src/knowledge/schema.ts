// What the data files must look like. The types of the loaders come from here; a test holds every file against its schema, so that nothing is
// checked at run time.

import { z } from 'zod';

const word = z.string().regex(/^[a-z0-9]+(?:-[a-z0-9]+)*$/, 'must be words with dashes');
const sentence = z.string().regex(/^[A-Z"{0-9].*[.!)]$/su, 'must be a sentence');
const source = z.union([z.url({ protocol: /^https?$/ }), z.string().regex(/^RFC \d{3,5}(?: (?:section|appendix) [\dA-Z][\dA-Z.]*)?$/)]);
/** Phrases in lower case; `*` between two stands for anything, `$` at the end for the end of a word. */
const phrase = z
  .string()
  .min(2)
  .regex(/^[^A-Z]+$/, 'must be lower case');

export const WHO = ['nobody', 'sender', 'operator', 'provider', 'recipient', 'receiver', 'network'] as const;
export const RETRY = ['helps', 'later', 'after-fix', 'never'] as const;

export const classSchema = z.strictObject({
  class: word,
  meaning: sentence,
  /** Who has to act. `operator`: who runs the sending server and its domain; `receiver`: who runs the receiving one. */
  who: z.enum(WHO),
  /** Whether sending the same again helps: at once, later, after somebody acted, never. */
  retry: z.enum(RETRY),
});

export const replySchema = z.strictObject({
  id: word,
  /** Counts when the reply is from this receiver (receivers.json). */
  provider: word.optional(),
  /** The text alone tells the provider. */
  anywhere: z.literal(true).optional(),
  /** Basic codes: whole, or their first digits. */
  codes: z.array(z.string().regex(/^[2-5]\d{0,2}$/)).min(1),
  /** Enhanced codes: `5.7.26`, `5.7.606-649`, `5.7.*`, `*.2.2`. */
  enhanced: z.array(z.string().regex(/^[245*]\.\d{1,3}\.(?:\*|\d{1,3}(?:-\d{1,3})?)$/)).optional(),
  text: z.array(phrase).min(1).optional(),
  class: word,
  who: z.enum(WHO).optional(),
  retry: z.enum(RETRY).optional(),
  cause: sentence,
  fix: sentence,
  source,
  /** A reply that this row must be found for. */
  example: z.string().regex(/^[2-5]\d\d /),
});

export const failureSchema = z.strictObject({
  class: word,
  /** What of a failure of our own client it is; every key that is there must match. */
  when: z
    .strictObject({
      codes: z.array(z.string()).optional(),
      codeLike: z.array(z.string()).optional(),
      kind: z.array(z.enum(['reply', 'socket', 'timeout', 'tls', 'protocol', 'policy', 'aborted'])).optional(),
      phase: z.array(z.string()).optional(),
    })
    .optional(),
  /** What other programs write. */
  text: z.array(phrase).min(1).optional(),
  cause: sentence,
  fix: sentence,
  example: z.string().optional(),
});

export const receiverSchema = z.strictObject({
  id: word,
  name: z.string().min(2),
  /** Domains of its hosts. */
  hosts: z.array(z.string().regex(/^[a-z0-9.-]+$/)),
  /** What its replies contain. */
  marks: z.array(phrase).min(1),
  help: z.url(),
});
