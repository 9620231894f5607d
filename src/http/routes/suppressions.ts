// /v1/suppressions: addresses that get no more mail. Receivers' answers put them here (src/deliver/suppressing.ts), and people; an entry is about
// the mail of one sender's domain, or of all ("*").

import { z } from 'zod';
import { errorCode } from '#base/failure.ts';
import { EVERYBODY, REASONS, addressKey } from '#queue/suppression.ts';
import type { NewSuppression, Suppression, Suppressions } from '#queue/suppression.ts';
import { canonicalDomain, parseMailbox } from '#smtp/address.ts';
import type { Directory } from '#store/directory.ts';
import { domainName, limit, time } from '#http/fields.ts';
import type { Identity } from '#http/identity.ts';
import { operation } from '#http/operation.ts';
import type { Operation } from '#http/operation.ts';
import { ProblemError, notFound } from '#http/problem.ts';

const SUPPRESSION = z
  .object({
    address: z.string(),
    sender: z.string().describe('the domain whose mail it is about; "*": everybody\'s'),
    reason: z.enum(REASONS),
    enhanced: z.string().describe('the status that the receiver gave; empty where it was none'),
    text: z.string().describe("the receiver's words, or a note"),
    remoteHost: z.string().nullable(),
    messageId: z.string().nullable().describe('the message whose bounce it comes of'),
    createdAt: time,
  })
  .meta({ id: 'Suppression' });

export type SuppressionView = z.output<typeof SUPPRESSION>;

export const MAX_IMPORT = 2000;
const IMPORT_BYTES = 2 * 1024 * 1024;
const NOTE_CHARACTERS = 500;

const mailbox = z.string().transform((text, context) => {
  const address = parseMailbox(text.trim());
  if (address !== null) return address;
  context.addIssue({ code: 'custom', message: `"${text.slice(0, 100)}" is not a mail address; write it like ann@example.com` });
  return z.NEVER;
});

/** An address, or the domain of some. */
const addressOrDomain = z.string().transform((text, context) => {
  const address = parseMailbox(text.trim());
  if (address !== null) return { address: addressKey(address) };
  const domain = canonicalDomain(text.trim().replace(/^@/, ''));
  if (domain !== null) return { recipientDomain: domain };
  context.addIssue({ code: 'custom', message: `"${text.slice(0, 100)}" is neither a mail address nor a domain` });
  return z.NEVER;
});

const sender = z.union([z.literal(EVERYBODY), domainName]);

const ENTRY = z.strictObject({
  address: mailbox,
  sender: sender.default(EVERYBODY).describe('the domain whose mail it is about; "*": everybody\'s'),
  reason: z.enum(REASONS).default('manual'),
  note: z.string().max(NOTE_CHARACTERS).default(''),
  /** When it came on the list it is brought from. */
  createdAt: z.iso.datetime({ offset: true }).optional(),
});

const IMPORT = z.strictObject({ entries: z.array(ENTRY).min(1).max(MAX_IMPORT) });

const ADDRESSED = z.object({ address: mailbox });

const FILTER = z.strictObject({
  to: addressOrDomain.optional().describe('an address, or the domain of some'),
  sender: sender.optional().describe('about mail of this domain, or "*"'),
  reason: z.enum(REASONS).optional(),
  before: z.coerce.number().int().min(1).optional().describe('the value of `next`'),
  limit,
});

export type SuppressionInput = z.input<typeof ENTRY>;

export function suppressionOperations(suppressions: Suppressions, directory: Pick<Directory, 'domains'>): readonly Operation[] {
  /** Of which senders' mail whoever asks sees the entries: a project of its domains', and not of everybody's. */
  const within = async ({ project }: Identity, wanted: string | undefined): Promise<readonly string[] | null> => {
    if (project === null) return wanted === undefined ? null : [wanted];
    const own = (await directory.domains()).filter((domain) => domain.project === project).map((domain) => domain.name);
    if (wanted === undefined) return own;
    if (own.includes(wanted)) return [wanted];
    throw outside(project, own);
  };
  return [
    operation({
      method: 'GET',
      path: '/v1/suppressions',
      id: 'listSuppressions',
      tag: 'Suppressions',
      summary: 'The addresses that get no mail, newest first',
      scope: 'suppressions:read',
      query: FILTER,
      answer: z.object({ suppressions: z.array(SUPPRESSION), next: z.string().nullable() }),
      example: { query: { to: 'example.net', reason: 'bounced' } },
      async run({ query: { to, sender: of, reason, before, limit: most }, identity }) {
        const rows = await suppressions.list({
          ...to,
          senderDomains: await within(identity, of),
          ...(reason === undefined ? {} : { reason }),
          ...(before === undefined ? {} : { before }),
          limit: most,
        });
        return { suppressions: rows.map(view), next: rows.length === most ? String(rows.at(-1)?.seq) : null };
      },
    }),
    operation({
      method: 'POST',
      path: '/v1/suppressions',
      id: 'addSuppression',
      tag: 'Suppressions',
      summary: 'Send no more mail to an address',
      description: 'An address that is there already gets the new reason and note, and the answer has status 200.',
      scope: 'suppressions:write',
      body: ENTRY,
      answer: SUPPRESSION,
      status: 201,
      otherwise: { status: 200, description: 'It was there already.' },
      refusals: [503],
      example: { body: { address: 'ann@example.net', sender: 'news.example.com', reason: 'unsubscribed', note: 'by letter' } },
      audit: ({ body }) => addressKey(body.address),
      async run({ body, identity, context }) {
        const entry = entryOf(body);
        await within(identity, entry.senderDomain);
        const { added } = await kept(suppressions.add([entry]));
        const [found] = await suppressions.list({ address: entry.address, senderDomains: [entry.senderDomain], limit: 1 });
        if (found === undefined) throw gone(entry.address);
        if (added === 0) context.status(200);
        return view(found);
      },
    }),
    operation({
      method: 'POST',
      path: '/v1/suppressions/import',
      id: 'importSuppressions',
      tag: 'Suppressions',
      summary: 'Take over a list',
      description: `Up to ${MAX_IMPORT} entries at a time, all or none.`,
      scope: 'suppressions:write',
      body: IMPORT,
      bodyBytes: IMPORT_BYTES,
      answer: z.object({ entries: z.int(), added: z.int().describe('how many of them are new') }),
      refusals: [503],
      example: { body: { entries: [{ address: 'ann@example.net', reason: 'complained' }] } },
      audit: ({ body: { entries } }) => `${entries.length} addresses`,
      async run({ body: { entries }, identity }) {
        for (const domain of new Set(entries.map((entry) => entry.sender))) await within(identity, domain);
        const { added } = await kept(suppressions.add(entries.map(entryOf)));
        return { entries: entries.length, added };
      },
    }),
    operation({
      method: 'GET',
      path: '/v1/suppressions/{address}',
      id: 'getSuppression',
      tag: 'Suppressions',
      summary: 'Why an address gets no mail, and of whom',
      scope: 'suppressions:read',
      params: ADDRESSED,
      answer: z.object({ address: z.string(), suppressions: z.array(SUPPRESSION) }),
      refusals: [404],
      example: { params: { address: 'ann@example.net' } },
      async run({ params, identity }) {
        const address = addressKey(params.address);
        const rows = await suppressions.list({ address, senderDomains: await within(identity, undefined), limit: 1000 });
        if (rows.length === 0) throw gone(address);
        return { address, suppressions: rows.map(view) };
      },
    }),
    operation({
      method: 'DELETE',
      path: '/v1/suppressions/{address}',
      id: 'removeSuppression',
      tag: 'Suppressions',
      summary: 'Send mail to an address again',
      scope: 'suppressions:write',
      params: ADDRESSED,
      query: z.strictObject({ sender: sender.optional().describe('the entry about mail of this domain only') }),
      answer: z.object({ address: z.string(), removed: z.int() }),
      refusals: [404],
      example: { params: { address: 'ann@example.net' } },
      audit: ({ params }) => addressKey(params.address),
      async run({ params, query, identity }) {
        const address = addressKey(params.address);
        const { removed } = await suppressions.remove(address, await within(identity, query.sender));
        if (removed === 0) throw gone(address);
        return { address, removed };
      },
    }),
  ];
}

function outside(project: string, own: readonly string[]): ProblemError {
  return new ProblemError({
    status: 403,
    title: 'Not allowed',
    code: 'outside-project',
    cause: `The project "${project}" has entries about the mail of its own domains only.`,
    fix: own.length === 0 ? 'Have the operator give the project a domain.' : `Say whose mail it is about, with "sender": ${own.join(', ')}.`,
  });
}

/** New entries are refused, like new mail, while the disk is nearly full. */
async function kept<T>(written: Promise<T>): Promise<T> {
  try {
    return await written;
  } catch (error) {
    if (errorCode(error) !== 'store-full') throw error;
    throw new ProblemError({
      status: 503,
      title: 'Out of disk space',
      code: 'store-full',
      cause: 'The disk of the server is nearly full, so that nothing new is taken.',
      fix: 'Make room on it, then send the request again.',
    });
  }
}

function entryOf({ address, sender: senderDomain, reason, note, createdAt }: z.output<typeof ENTRY>): NewSuppression {
  return {
    address: addressKey(address),
    recipientDomain: address.domain,
    senderDomain,
    reason,
    enhanced: '',
    text: note,
    remoteHost: null,
    messageId: null,
    createdAtMs: createdAt === undefined ? Date.now() : Date.parse(createdAt),
  };
}

function gone(address: string): ProblemError {
  return notFound(`suppression of ${address}`, 'List the ones there are with: postern suppression list');
}

function view({ address, senderDomain, reason, enhanced, text, remoteHost, messageId, createdAtMs }: Suppression): SuppressionView {
  return { address, sender: senderDomain, reason, enhanced, text, remoteHost, messageId, createdAt: new Date(createdAtMs).toISOString() };
}
