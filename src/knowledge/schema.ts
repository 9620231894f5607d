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
/** A sentence that may begin with a word of some language. */
const remark = z.string().regex(/^\S.{8,}[.!)]$/su, 'must be a sentence');
const port = z.int().min(1).max(65_535);
const tlsMode = z.enum(['implicit', 'starttls']);

/** Other names that people know it by, in lower case. */
const aliases = z
  .array(z.string().regex(/^[a-z0-9._:/# +-]+$/))
  .min(1)
  .optional();

export const providerSchema = z.strictObject({
  id: word,
  name: z.string().min(2),
  aliases,
  host: z.string().regex(/^[a-z0-9{}.-]+$/),
  /** For other regions or kinds of accounts, by what tells them apart. */
  hosts: z.array(z.strictObject({ host: z.string().regex(/^[a-z0-9{}.-]+$/), for: z.string().min(2) })).default([]),
  ports: z.array(z.strictObject({ port, tls: tlsMode })).min(1),
  /** The username, where it is the same for everybody. */
  login: z.string().regex(/^\w+$/).optional(),
  username: sentence,
  password: sentence,
  notes: z.array(remark),
  source: z.url(),
});

export const librarySchema = z.strictObject({
  id: word,
  name: z.string().min(2),
  aliases,
  language: z.string().min(1),
  /** What it does about TLS when nobody says. */
  default: remark,
  /** The silent downgrade, the certificate that nobody checks, and so on. */
  traps: z.array(remark).min(1),
  /** Whether it verifies certificate and name when it uses TLS, without being told. */
  verifies: z.boolean(),
  /** Why TLS from the first byte is the better way, where it is. */
  implicitFirst: remark.optional(),
  /** How the snippet is told its file name. */
  file: z.string().min(1),
  snippets: z.strictObject({ starttls: z.string().nullable(), implicit: z.string().nullable() }),
  source: z.url(),
});

export const portSchema = z.strictObject({
  port,
  name: z.string().min(2),
  use: sentence,
  encryption: sentence,
  blocking: sentence,
  status: sentence,
  submission: z.enum(['recommended', 'fallback', 'never']),
});

export const historySchema = z.strictObject({ year: z.int().min(1980).max(2030), event: sentence, source });

const percent = z.number().min(0).max(100);

export const baselineSchema = z.strictObject({
  submissionByPort: z.strictObject({
    note: sentence,
    years: z.array(z.strictObject({ year: z.int(), '587': percent, '465': percent, '25': percent, '2525': percent })).min(5),
  }),
  encryptedInbound: z.strictObject({
    note: sentence,
    year: z.int(),
    /** `receiver` of receivers.json; null: the whole world. */
    providers: z.array(z.strictObject({ receiver: word.nullable(), name: z.string().min(2), percent })).min(3),
  }),
});
