// /v1/suppressions: addresses that get no more mail. Receivers' answers put them here (src/deliver/suppressing.ts), and people; an entry is about
// the mail of one sender's domain, or of all ("*").

import { Hono } from 'hono';
import { z } from 'zod';
import { errorCode } from '#base/failure.ts';
import { EVERYBODY, REASONS, addressKey } from '#queue/suppression.ts';
import type { NewSuppression, Suppression, Suppressions } from '#queue/suppression.ts';
import { canonicalDomain, parseMailbox } from '#smtp/address.ts';
import { domainName, limit } from '#http/fields.ts';
import { parseBody } from '#http/body.ts';
import { ProblemError, notFound, parseInput } from '#http/problem.ts';

export type SuppressionView = {
  readonly address: string;
  /** Whose mail it is about; "*": everybody's. */
  readonly sender: string;
  readonly reason: Suppression['reason'];
  readonly enhanced: string;
  readonly text: string;
  readonly remoteHost: string | null;
  readonly messageId: string | null;
  readonly createdAt: string;
};

export const MAX_IMPORT = 2000;
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
  sender: sender.default(EVERYBODY),
  reason: z.enum(REASONS).default('manual'),
  note: z.string().max(NOTE_CHARACTERS).default(''),
  /** When it came on the list it is brought from. */
  createdAt: z.iso.datetime({ offset: true }).optional(),
});

const IMPORT = z.strictObject({ entries: z.array(ENTRY).min(1).max(MAX_IMPORT) });

const FILTER = z.strictObject({
  to: addressOrDomain.optional(),
  sender: sender.optional(),
  reason: z.enum(REASONS).optional(),
  before: z.coerce.number().int().min(1).optional(),
  limit,
});

export type SuppressionInput = z.input<typeof ENTRY>;

export function suppressionRoutes(suppressions: Suppressions): Hono {
  const app = new Hono();
  app.get('/', async (context) => {
    const { to, sender: of, reason, before, limit: most } = parseInput(FILTER, context.req.query());
    const rows = await suppressions.list({
      ...to,
      senderDomains: of === undefined ? null : [of],
      ...(reason === undefined ? {} : { reason }),
      ...(before === undefined ? {} : { before }),
      limit: most,
    });
    return context.json({ suppressions: rows.map(view), next: rows.length === most ? String(rows.at(-1)?.seq) : null });
  });
  app.post('/', async (context) => {
    const entry = entryOf(await parseBody(context, ENTRY));
    const { added } = await kept(suppressions.add([entry]));
    const [found] = await suppressions.list({ address: entry.address, senderDomains: [entry.senderDomain], limit: 1 });
    if (found === undefined) throw gone(entry.address);
    return context.json(view(found), added === 0 ? 200 : 201);
  });
  app.post('/import', async (context) => {
    const { entries } = await parseBody(context, IMPORT);
    const { added } = await kept(suppressions.add(entries.map(entryOf)));
    return context.json({ entries: entries.length, added });
  });
  app.get('/:address', async (context) => {
    const address = addressKey(parseInput(mailbox, context.req.param('address')));
    const rows = await suppressions.list({ address, senderDomains: null, limit: 1000 });
    if (rows.length === 0) throw gone(address);
    return context.json({ address, suppressions: rows.map(view) });
  });
  app.delete('/:address', async (context) => {
    const address = addressKey(parseInput(mailbox, context.req.param('address')));
    const { sender: of } = parseInput(z.strictObject({ sender: sender.optional() }), context.req.query());
    const { removed } = await suppressions.remove(address, of === undefined ? null : [of]);
    if (removed === 0) throw gone(address);
    return context.json({ address, removed });
  });
  return app;
}

/** New entries are refused, like new mail, while the disk is nearly full. */
async function kept<T>(written: Promise<T>): Promise<T> {
  try {
    return await written;
  } catch (error) {
    if (errorCode(error) !== 'store-full') throw error;
    throw new ProblemError({
      status: 507,
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
