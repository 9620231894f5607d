// The values that several resources take, each checked and made canonical once, at the edge.

import { z } from 'zod';
import { isNetwork } from '#base/ip.ts';
import { canonicalDomain } from '#smtp/address.ts';

/** A domain name in A-labels and lower case (RFC 5890, RFC 1035 2.3.4). */
export const domainName = z.string().transform((text, context) => {
  const name = canonicalDomain(text.trim().replace(/\.$/, ''));
  if (name !== null && name.includes('.') && !name.startsWith('[')) return name;
  context.addIssue({ code: 'custom', message: `"${text}" is not a domain name; write it like example.com` });
  return z.NEVER;
});

export const credentialName = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,62}$/i, 'use 1 to 63 letters, digits, dots, dashes or underscores, beginning with a letter or digit');

/** An address or a network; a bare address stays one. */
export const network = z.string().refine(isNetwork, { message: 'write an IP address or a network like 192.0.2.0/24 or 2001:db8::/32' });

export const messageId = z.string().regex(/^[0-9a-hjkmnp-tv-z]{16}$/, 'a message id has 16 characters, as the 250 reply gave it');

/** A point in time: ISO 8601, or a span before now like 30m, 24h, 7d. Gives milliseconds since the epoch. */
export const since = z.string().transform((text, context) => {
  const span = /^(\d{1,6})(s|m|h|d)$/.exec(text);
  const unitMs = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }[span?.[2] ?? ''];
  if (span !== null && unitMs !== undefined) return Date.now() - Number(span[1]) * unitMs;
  const atMs = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(atMs)) return atMs;
  context.addIssue({ code: 'custom', message: `"${text}" is no time; write 2026-11-24, 2026-11-24T08:00:00Z, or a span like 30m, 24h, 7d` });
  return z.NEVER;
});

export const limit = z.coerce.number().int().min(1).max(1000).default(100);

/** A point in time in an answer. */
export const time = z.iso.datetime();

export const projectName = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,62}$/i, 'a project is named by 1 to 63 letters, digits, dots, dashes or underscores');
