// The kinds of values a key can have: what is accepted, what it becomes, and the sentence for what is not. Each is a zod schema, so that the
// JSON schema for editors comes from the same place.

import { isIP } from 'node:net';
import { z } from 'zod';
import { isNetwork } from '#base/ip.ts';
import { parseDuration, parseSize } from './units.ts';

const PRIVATE = ['127.0.0.0/8', '::1/128', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'];

function say(text: string): { error: string } {
  return { error: text };
}

/** Text that `parse` turns into a value; `example` shows what it takes. */
function parsed<T>(what: string, example: string, parse: (text: string) => T | null): z.ZodPipe<z.ZodString, z.ZodTransform<T, string>> {
  return z
    .string(say(`must be ${what}, like ${example}`))
    .meta({ description: what, examples: [example.replaceAll('"', '')] })
    .transform((text, context) => {
      const value = parse(text);
      if (value !== null) return value;
      context.issues.push({ code: 'custom', message: `must be ${what}, like ${example}`, input: text });
      return z.NEVER;
    });
}

export function integer(min: number, max: number): z.ZodNumber {
  const text = `must be a whole number from ${min} to ${max}`;
  return z.int(say(text)).min(min, say(text)).max(max, say(text));
}

export function real(min: number, max: number): z.ZodNumber {
  const text = `must be a number from ${min} to ${max}`;
  return z.number(say(text)).min(min, say(text)).max(max, say(text));
}

export function choice<const T extends readonly [string, ...string[]]>(values: T): z.ZodEnum<{ [K in T[number]]: K }> {
  return z.enum(values, say(`must be ${eitherOr(values)}`)) as z.ZodEnum<{ [K in T[number]]: K }>;
}

/** `"a", "b" or "c"`. */
export function eitherOr(values: readonly string[]): string {
  const quoted = values.map((value) => `"${value}"`);
  return quoted.length < 2 ? quoted.join('') : `${quoted.slice(0, -1).join(', ')} or ${quoted.at(-1)}`;
}

export const boolean = z.boolean(say('must be true or false'));
export const port = integer(0, 65_535);
export const realPort = integer(1, 65_535);

export function duration(minText: string, maxText: string): z.ZodType<number, string> {
  const min = parseDuration(minText) ?? 0;
  const max = parseDuration(maxText) ?? Infinity;
  return parsed(`a duration from ${minText} to ${maxText}`, '"90s", "4h" or "4d"', (text) => {
    const ms = parseDuration(text);
    return ms !== null && ms >= min && ms <= max ? ms : null;
  });
}

export function size(minText: string, maxText: string): z.ZodType<number, string | number> {
  const min = parseSize(minText) ?? 0;
  const max = parseSize(maxText) ?? Infinity;
  const text = `must be a size from ${minText} to ${maxText}, like "50MB", "1GiB" or a number of bytes`;
  return z.union([z.string(), z.number()], say(text)).transform((value, context) => {
    const bytes = typeof value === 'number' ? value : parseSize(value);
    if (bytes !== null && Number.isInteger(bytes) && bytes >= min && bytes <= max) return bytes;
    context.issues.push({ code: 'custom', message: text, input: value });
    return z.NEVER;
  });
}

export const text = z
  .string(say('must be text in quotes'))
  .min(1, say('must not be empty'))
  .refine((value) => !/[\x00-\x1f\x7f]/.test(value), say('must not have control characters'));
export const file = text.meta({ description: 'path of a file' });

/** A name of letters, digits and dashes with dots between, lower case; what may come into EHLO, DNS or TLS. */
export function canonicalDomain(value: string): string | null {
  const name = value.toLowerCase().replace(/\.$/, '');
  return name.length <= 253 && name.split('.').every((label) => /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?$/.test(label)) ? name : null;
}

export const hostname = parsed('a host name', '"relay.example.com"', (value) => (isIP(value) === 0 ? canonicalDomain(value) : null));
export const host = parsed('a host name or IP address', '"mx.example.com"', (value) => (isIP(value) === 0 ? canonicalDomain(value) : value));
export const domain = parsed('a domain (an international one in its xn-- form)', '"example.com"', canonicalDomain);
export const match = parsed('a domain, "*.domain" or "*"', '"*.example.com"', (value) => {
  if (value === '*') return value;
  const name = canonicalDomain(value.startsWith('*.') ? value.slice(2) : value);
  return name === null ? null : value.startsWith('*.') ? `*.${name}` : name;
});
/** A name that an authority issues for: with a dot, no address, no underscore; a wildcard for one label. */
export const certificateName = parsed('a host name with a dot, or "*." and one', '"mail.example.com"', (value) => {
  const bare = value.startsWith('*.') ? value.slice(2) : value;
  const name = isIP(bare) === 0 ? canonicalDomain(bare) : null;
  return name === null || !name.includes('.') || name.includes('_') ? null : value.startsWith('*.') ? `*.${name}` : name;
});
export const mailAddress = parsed('a mail address', '"hostmaster@example.com"', (value) => (/^[^\s@<>,;"()]{1,64}@[^\s@<>,;"()]{1,253}$/.test(value) ? value : null));
/** A mail address, or all of a domain that have no row of their own: `@example.com`. */
export const forwarded = parsed('a mail address, or "@" and a domain for all others of it', '"info@example.com" or "@example.com"', (value) => {
  const at = value.lastIndexOf('@');
  const name = canonicalDomain(value.slice(at + 1));
  return at === -1 || name === null || !/^[^\s@<>,;"()]{0,64}$/.test(value.slice(0, at)) ? null : `${value.slice(0, at).toLowerCase()}@${name}`;
});
export const httpsUrl = parsed('an HTTPS URL', '"https://acme-v02.api.letsencrypt.org/directory"', (value) => {
  const url = URL.canParse(value) ? new URL(value) : null;
  return url?.protocol === 'https:' && url.username === '' && url.password === '' ? url.href : null;
});
/** A URL that is looked at elsewhere, since what is wrong with it may be a secret in it; or nothing. */
export const endpoint = z.string(say('must be a URL in quotes, like "http://127.0.0.1:4318", or ""')).meta({ description: 'a URL, or ""', examples: ['http://127.0.0.1:4318'] });
/** As a browser sends it (RFC 6454 6.2). */
export const origin = parsed('a web origin', '"https://app.example.com"', (value) => {
  const url = URL.parse(value);
  return url !== null && /^https?:$/.test(url.protocol) && url.origin === value ? value : null;
});
export const listenAddress = parsed('an IP address', '"127.0.0.1" or "::"', (value) => (isIP(value) === 0 ? null : value));
export const dnsServer = parsed('an IP address with or without port', '"127.0.0.1:5300" or "[::1]:53"', (value) => {
  if (isIP(value) !== 0) return value;
  const found = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(value);
  return found !== null && isIP(found[1] ?? found[2] ?? '') !== 0 && Number(found[3]) > 0 && Number(found[3]) <= 65_535 ? value : null;
});

export const network = parsed('an IP address or network', '"10.0.0.0/8"', (value) => (isNetwork(value) ? value : null));

export const proxyProtocol = z
  .union([boolean, z.array(network)], say('must be false, true or a list of networks like ["10.0.0.0/8"]'))
  .transform((value): false | readonly string[] => {
    if (value === false) return false;
    return value === true ? PRIVATE : value;
  });

export function list<T extends z.ZodType>(of: T): z.ZodArray<T> {
  return z.array(of, say('must be a list in [ ]'));
}

/** A duration, or nothing by "off". */
export function optionalDuration(minText: string, maxText: string): z.ZodType<number | null> {
  return z.union([z.literal(['off', false]).transform(() => null), duration(minText, maxText)], say(`must be a duration from ${minText} to ${maxText}, like "4h", or "off"`));
}
