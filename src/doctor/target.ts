// What the user named: a mail address or a domain (its mail setup is examined), or a host with or without a port. A bare name is a domain when
// it has MX records, else a host.

import { isIP } from 'node:net';
import { PosternError } from '#base/failure.ts';
import type { Resolver } from '#dns/resolver.ts';
import { canonicalDomain, parseMailbox } from '#smtp/address.ts';

export type Target = { readonly kind: 'domain'; readonly domain: string } | { readonly kind: 'host'; readonly host: string; readonly port: number | null };

/** `as` forces the reading of a bare name. Rejects with PosternError (exit code 2) for what is neither. */
export async function parseTarget(text: string, resolver: Resolver, as: 'host' | 'domain' | null = null): Promise<Target> {
  const trimmed = text.trim();
  if (trimmed.includes('@')) {
    const mailbox = parseMailbox(trimmed);
    if (mailbox === null) throw unusable(text);
    return { kind: 'domain', domain: mailbox.domain };
  }
  const bracketed = /^\[([0-9a-fA-F:.]+)\](?::(\d{1,5}))?$/.exec(trimmed);
  const address = bracketed?.[1] ?? trimmed;
  if (isIP(address) !== 0) return { kind: 'host', host: address, port: portOf(bracketed?.[2], text) };
  const [, name = '', port] = /^([^:]+?)\.?(?::(\d{1,5}))?$/.exec(trimmed) ?? [];
  if (isIP(name) !== 0) return { kind: 'host', host: name, port: portOf(port, text) };
  const domain = canonicalDomain(name) ?? (name === 'localhost' ? name : null);
  if (domain === null) throw unusable(text);
  if (port !== undefined) return { kind: 'host', host: domain, port: portOf(port, text) };
  if (as !== null) return as === 'host' ? { kind: 'host', host: domain, port: null } : { kind: 'domain', domain };
  if (domain === 'localhost') return { kind: 'host', host: domain, port: null };
  const mx = await resolver.mx(domain);
  return mx.status === 'found' ? { kind: 'domain', domain } : { kind: 'host', host: domain, port: null };
}

function portOf(text: string | undefined, whole: string): number | null {
  if (text === undefined) return null;
  const port = Number(text);
  if (port < 1 || port > 65_535) throw unusable(whole);
  return port;
}

function unusable(text: string): PosternError {
  return new PosternError(
    {
      code: 'usage',
      cause: `${JSON.stringify(text)} is neither a host, host:port, domain nor mail address.`,
      fix: 'Name what to look at, for example smtp.example.com, smtp.example.com:587, [2001:db8::1]:25, example.com or me@example.com.',
    },
    { exitCode: 2 },
  );
}
