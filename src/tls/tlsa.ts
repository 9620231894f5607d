// TLSA records against the certificates a mail host presents: which records can be used, which of them count, and whether one of them
// matches. Pure; where the records come from, and whether they may be believed, is dane.ts's matter. RFC 6698 2.1, RFC 7671 4, 5, 9,
// RFC 7672 3.

import { X509Certificate, createHash, createPublicKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { TlsaRecord } from '#dns/resolver.ts';
import { chainProblem, datesProblem, publicKeyInfo, readCertificate } from './chain.ts';
import type { ChainProblem } from './chain.ts';

/** Certificate usages and matching types that are acted on. Usages 0 and 1 (PKIX) are not for SMTP (RFC 7672 3.1.3). */
const DANE_TA = 2;
const DANE_EE = 3;
const FULL = 0;
const DIGESTS: Readonly<Record<number, { readonly algorithm: string; readonly bytes: number; readonly strength: number }>> = {
  1: { algorithm: 'sha256', bytes: 32, strength: 1 },
  2: { algorithm: 'sha512', bytes: 64, strength: 2 },
};
/** A chain that is longer than this is not looked through. */
const MAX_CHAIN = 10;

/** The records to be matched, and those left out with why. */
export type TlsaSet = { readonly usable: readonly TlsaRecord[]; readonly ignored: readonly { readonly record: TlsaRecord; readonly why: string }[] };

/** As in zone files: `3 1 1 ab12...`. */
export function formatTlsa({ usage, selector, matchingType, data }: TlsaRecord): string {
  return `${usage} ${selector} ${matchingType} ${data.toString('hex')}`;
}

/**
 * Sorts records into usable ones and others. Of the digests with the same usage and selector only the strongest kind counts (digest
 * agility, RFC 7671 9); full values count beside them.
 */
export function selectTlsa(records: readonly TlsaRecord[]): TlsaSet {
  const ignored: { record: TlsaRecord; why: string }[] = [];
  const known = records.filter((record) => {
    const why = unusable(record);
    if (why !== null) ignored.push({ record, why });
    return why === null;
  });
  const strongest = new Map<string, number>();
  for (const record of known) strongest.set(kindOf(record), Math.max(strongest.get(kindOf(record)) ?? 0, strengthOf(record)));
  const usable = known.filter((record) => {
    const counts = record.matchingType === FULL || strengthOf(record) === strongest.get(kindOf(record));
    if (!counts) ignored.push({ record, why: 'a stronger digest is published beside it' });
    return counts;
  });
  return { usable, ignored };
}

/** Whether one of the records names a trust anchor, so that names count too. */
export function hasTrustAnchor(records: readonly TlsaRecord[]): boolean {
  return records.some((record) => record.usage === DANE_TA);
}

/** What the host presented, the leaf first. */
export type PresentedChain = { readonly leaf: Buffer; readonly issuers: readonly Buffer[] };

export type TlsaMatch = { readonly record: TlsaRecord } | { readonly problem: TlsaProblem };
/** `mismatch`: no record matches anything presented. The others: a trust anchor matches, but the chain below it is not good. */
export type TlsaProblem = { readonly kind: 'mismatch' | 'name' | ChainProblem['kind']; readonly text: string };

/**
 * Finds the record that a presented chain fulfils. DANE-EE looks at the end entity's certificate or key alone: neither names nor dates
 * count (RFC 7671 5.1). DANE-TA wants a valid chain up to the anchor, and one of `names` in the leaf (5.2, RFC 7672 3.2.3).
 */
export function matchTlsa(records: readonly TlsaRecord[], presented: PresentedChain, options: { readonly names: readonly string[]; readonly nowMs: number }): TlsaMatch {
  const leaf = readCertificate(presented.leaf);
  if (leaf === null) return { problem: { kind: 'mismatch', text: 'the certificate cannot be read' } };
  const direct = records.find((record) => record.usage === DANE_EE && matches(record, leaf));
  if (direct !== undefined) return { record: direct };
  const issuers = presented.issuers
    .slice(0, MAX_CHAIN)
    .map(readCertificate)
    .filter((certificate) => certificate !== null);
  let problem: TlsaProblem = { kind: 'mismatch', text: 'no TLSA record matches the certificate' };
  for (const record of records) {
    if (record.usage !== DANE_TA) continue;
    const failed = anchored(record, { leaf, issuers }, options);
    if (failed === null) return { record };
    // What comes nearest to a match is the most telling.
    if (failed.kind !== 'mismatch') problem = failed;
  }
  return { problem };
}

/** Why a record is of no use here, or null. */
function unusable({ usage, selector, matchingType, data }: TlsaRecord): string | null {
  if (usage === 0 || usage === 1) return 'usages 0 and 1 (PKIX) do not count for SMTP';
  if (usage !== DANE_TA && usage !== DANE_EE) return `unknown usage ${usage}`;
  if (selector !== 0 && selector !== 1) return `unknown selector ${selector}`;
  if (matchingType === FULL) return fullValueProblem(selector, data);
  const kind = DIGESTS[matchingType];
  if (kind === undefined) return `unknown matching type ${matchingType}`;
  return data.length === kind.bytes ? null : `its digest has ${data.length} bytes instead of ${kind.bytes}`;
}

function fullValueProblem(selector: number, data: Buffer): string | null {
  if (selector === 0) return readCertificate(data) === null ? 'its certificate cannot be read' : null;
  return readKey(data) === null ? 'its public key cannot be read' : null;
}

function kindOf({ usage, selector }: TlsaRecord): string {
  return `${usage} ${selector}`;
}

function strengthOf({ matchingType }: TlsaRecord): number {
  return DIGESTS[matchingType]?.strength ?? 0;
}

/** The selected part of a certificate, whole or as its digest, is what the record has. */
function matches(record: TlsaRecord, certificate: X509Certificate): boolean {
  const selected = record.selector === 0 ? certificate.raw : publicKeyInfo(certificate);
  const kind = DIGESTS[record.matchingType];
  return record.data.equals(kind === undefined ? selected : digest(kind.algorithm, selected));
}

type Chain = { readonly leaf: X509Certificate; readonly issuers: readonly X509Certificate[] };

/** Walks from the leaf upwards until the anchor; null when all of it holds. */
function anchored(record: TlsaRecord, { leaf, issuers }: Chain, options: { names: readonly string[]; nowMs: number }): TlsaProblem | null {
  const chain: X509Certificate[] = [leaf];
  const left = [...issuers];
  for (;;) {
    const current = chain.at(-1) as X509Certificate;
    // An anchor given in full need not be presented: what it has signed is below it.
    const anchor = signedBy(record, current);
    if (anchor !== null) return judge([...chain, ...anchor], options);
    const next = left.findIndex((issuer) => current.checkIssued(issuer) && current.verify(issuer.publicKey));
    const issuer = left[next];
    if (issuer === undefined) return { kind: 'mismatch', text: `the trust anchor "${formatTlsa(record)}" is not in the chain that was presented` };
    left.splice(next, 1);
    chain.push(issuer);
    if (matches(record, issuer)) return judge(chain, options);
  }
}

/** The anchor in the record itself, if that has signed this certificate: its certificate, or nothing where it is a bare key. */
function signedBy(record: TlsaRecord, certificate: X509Certificate): X509Certificate[] | null {
  if (record.matchingType !== FULL) return null;
  const anchor = record.selector === 0 ? readCertificate(record.data) : null;
  if (anchor !== null) return certificate.checkIssued(anchor) && certificate.verify(anchor.publicKey) ? [anchor] : null;
  const key = record.selector === 1 ? readKey(record.data) : null;
  return key !== null && safely(() => certificate.verify(key)) ? [] : null;
}

function judge(chain: readonly X509Certificate[], { names, nowMs }: { names: readonly string[]; nowMs: number }): TlsaProblem | null {
  const [leaf] = chain;
  if (leaf === undefined) return { kind: 'mismatch', text: 'no certificate was presented' };
  const problem = chain.map((certificate) => datesProblem(certificate, nowMs)).find((one) => one !== null) ?? chainProblem(chain);
  if (problem !== null) return problem;
  if (names.some((name) => leaf.checkHost(name, { subject: 'default', partialWildcards: false }) !== undefined)) return null;
  return { kind: 'name', text: `a trust anchor matches, but the certificate is not for ${names.join(' or ')}` };
}

function readKey(data: Buffer): KeyObject | null {
  try {
    return createPublicKey({ key: data, type: 'spki', format: 'der' });
  } catch {
    return null;
  }
}

function safely(check: () => boolean): boolean {
  try {
    return check();
  } catch {
    return false;
  }
}

function digest(algorithm: string, data: Buffer): Buffer {
  return createHash(algorithm).update(data).digest();
}
