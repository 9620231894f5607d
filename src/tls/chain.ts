// A chain of certificates below an anchor that the DNS names instead of the system's store: dates, authority, path length, name constraints,
// use. Pure. RFC 5280 4.1, 4.2.1, 6.1.

import { X509Certificate, createHash } from 'node:crypto';
import { TAG, derElements } from './der.ts';
import type { DerElement } from './der.ts';

export type ChainProblem = { readonly kind: 'expired' | 'not-yet-valid' | 'chain'; readonly text: string };

const VERSION = 0xa0;
const EXTENSIONS = 0xa3;
const PERMITTED = 0xa0;
const EXCLUDED = 0xa1;
const DNS_NAME = 0x82;
const DIRECTORY_NAME = 0xa4;

/** Extensions by the hex of their object identifier: those that are acted on, or that say nothing against a mail host. */
const BASIC_CONSTRAINTS = '551d13';
const NAME_CONSTRAINTS = '551d1e';
const UNDERSTOOD = new Set([BASIC_CONSTRAINTS, NAME_CONSTRAINTS, '551d0e', '551d0f', '551d11', '551d1f', '551d20', '551d21', '551d23', '551d24', '551d25', '551d36']);
/** How much of a certificate is told. */
const MAX_SHOWN = 3;
const MAX_NAME = 200;
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const ANY_USE = '2.5.29.37.0';

/** The certificate in these bytes, or null when there is none. */
export function readCertificate(der: Buffer): X509Certificate | null {
  try {
    return new X509Certificate(der);
  } catch {
    return null;
  }
}

/** The SubjectPublicKeyInfo, byte for byte as it was signed. */
export function publicKeyInfo(certificate: X509Certificate): Buffer {
  const fields = tbsFields(certificate);
  const first = fields[0]?.tag === VERSION ? 1 : 0;
  return fields[first + 5]?.whole ?? Buffer.alloc(0);
}

/** What is wrong with the dates, or null. */
export function datesProblem(certificate: X509Certificate, nowMs: number): ChainProblem | null {
  const subject = shown(certificate);
  if (Date.parse(certificate.validTo) < nowMs) return { kind: 'expired', text: `the certificate of ${subject} expired on ${certificate.validTo}` };
  if (Date.parse(certificate.validFrom) > nowMs) return { kind: 'not-yet-valid', text: `the certificate of ${subject} is valid from ${certificate.validFrom} on` };
  return null;
}

/**
 * What is wrong with a chain whose signatures hold, or null. `chain` begins with the leaf; the last one is the anchor, or signed by an
 * anchor that is a bare key.
 */
export function chainProblem(chain: readonly X509Certificate[]): ChainProblem | null {
  const [leaf, ...issuers] = chain;
  if (leaf === undefined) return problem('no certificate was presented');
  const uses = leaf.keyUsage as readonly string[] | undefined;
  if (uses !== undefined && !uses.includes(SERVER_AUTH) && !uses.includes(ANY_USE)) return problem(`the certificate of ${shown(leaf)} is not for servers`);
  const names = dnsNames(leaf);
  for (const certificate of chain) {
    const foreign = extensionsOf(certificate).find((extension) => extension.critical && !UNDERSTOOD.has(extension.id));
    if (foreign !== undefined) return problem(`the certificate of ${shown(certificate)} has a critical extension that is not understood`);
  }
  let below = 0;
  for (const issuer of issuers) {
    if (!issuer.ca) return problem(`${shown(issuer)} is no certificate authority`);
    const longest = pathLength(issuer);
    if (longest !== null && below > longest) return problem(`${shown(issuer)} allows ${longest} authorities below it, the chain has ${below}`);
    const constrained = constraintProblem(issuer, names);
    if (constrained !== null) return constrained;
    // One that only renews its own key does not count (RFC 5280 6.1.4 l).
    if (issuer.subject !== issuer.issuer) below++;
  }
  return null;
}

/** A certificate as people can tell it from others: whose, for what names, by whom, until when, and the TLSA record that it would match. */
export function describeCertificate(der: Buffer): string {
  const certificate = readCertificate(der);
  if (certificate === null) return 'a certificate that cannot be read';
  const names = dnsNames(certificate);
  const key = createHash('sha256').update(publicKeyInfo(certificate)).digest('hex');
  const shownNames = names.length > MAX_SHOWN ? `${names.slice(0, MAX_SHOWN).join(' ')} and ${names.length - MAX_SHOWN} more` : names.join(' ') || 'no DNS name';
  const issuer = certificate.issuer === certificate.subject ? 'itself' : oneLine(certificate.issuer);
  return `a certificate of ${oneLine(certificate.subject) || 'nobody'} for ${shownNames}, issued by ${issuer || 'nobody'}, valid until ${certificate.validTo}, key 3 1 1 ${key}`;
}

/** The DNS names a certificate is for, lower case. */
export function dnsNames(certificate: X509Certificate): string[] {
  return [...(certificate.subjectAltName ?? '').matchAll(/DNS:([^,"\s]+)/g)].map((match) => (match[1] ?? '').toLowerCase());
}

function constraintProblem(issuer: X509Certificate, names: readonly string[]): ChainProblem | null {
  const extension = extensionsOf(issuer).find((one) => one.id === NAME_CONSTRAINTS);
  if (extension === undefined) return null;
  const [body] = elements(extension.value);
  const bases = (tag: number): DerElement[] =>
    elements(body?.content ?? Buffer.alloc(0))
      .filter((part) => part.tag === tag)
      .flatMap((part) => elements(part.content))
      .flatMap((subtree) => elements(subtree.content).slice(0, 1));
  const permitted = bases(PERMITTED);
  const excluded = bases(EXCLUDED);
  if ([...permitted, ...excluded].some((base) => base.tag === DIRECTORY_NAME)) return problem(`${shown(issuer)} has constraints on directory names, which are not looked into`);
  const allowed = permitted.filter((base) => base.tag === DNS_NAME).map(textOf);
  const denied = excluded.filter((base) => base.tag === DNS_NAME).map(textOf);
  const wrong = names.find((name) => (allowed.length > 0 && !allowed.some((base) => within(name, base))) || denied.some((base) => within(name, base)));
  return wrong === undefined ? null : problem(`${shown(issuer)} may not issue for ${wrong}`);
}

/** A name is within a base that it ends with, whole labels counted (RFC 5280 4.2.1.10); a wildcard by what it stands below. */
function within(name: string, base: string): boolean {
  const bare = base.replace(/^\./, '');
  return bare === '' || name === bare || name.endsWith(`.${bare}`);
}

function pathLength(issuer: X509Certificate): number | null {
  const extension = extensionsOf(issuer).find((one) => one.id === BASIC_CONSTRAINTS);
  const length = elements(elements(extension?.value ?? Buffer.alloc(0))[0]?.content ?? Buffer.alloc(0)).find((part) => part.tag === TAG.integer);
  if (length === undefined) return null;
  return length.content.length > 4 ? Infinity : length.content.readIntBE(0, length.content.length);
}

type Extension = { readonly id: string; readonly critical: boolean; readonly value: Buffer };

function extensionsOf(certificate: X509Certificate): Extension[] {
  const list = tbsFields(certificate).find((field) => field.tag === EXTENSIONS);
  const [sequence] = elements(list?.content ?? Buffer.alloc(0));
  return elements(sequence?.content ?? Buffer.alloc(0)).map((extension) => {
    const parts = elements(extension.content);
    return {
      id: parts.find((part) => part.tag === TAG.objectId)?.content.toString('hex') ?? '',
      critical: parts.find((part) => part.tag === TAG.boolean)?.content[0] === 0xff,
      value: parts.find((part) => part.tag === TAG.octetString)?.content ?? Buffer.alloc(0),
    };
  });
}

function tbsFields(certificate: X509Certificate): readonly DerElement[] {
  const [whole] = elements(certificate.raw);
  const [tbs] = elements(whole?.content ?? Buffer.alloc(0));
  return tbs?.tag === TAG.sequence ? elements(tbs.content) : [];
}

/** OpenSSL has read these bytes before; what is none is empty. */
function elements(bytes: Buffer): readonly DerElement[] {
  return derElements(bytes) ?? [];
}

function textOf({ content }: DerElement): string {
  return content.toString('latin1').toLowerCase();
}

function shown(certificate: X509Certificate): string {
  return oneLine(certificate.subject) || certificate.subjectAltName || 'an unnamed subject';
}

/** Names come from the other side: no control characters, no end of a line. */
function oneLine(name: string | undefined): string {
  return (name ?? '')
    .trim()
    .replace(/\n/g, ', ')
    .replace(/\p{Cc}/gu, '?')
    .slice(0, MAX_NAME);
}

function problem(text: string): ChainProblem {
  return { kind: 'chain', text };
}
