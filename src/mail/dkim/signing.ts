// Signing as intake and delivery use it: for which domain a message is signed, and the three occasions: as it comes in (the body hashed while it
// passes), whole (a notification of our own), and again after its content was converted for a hop without 8BITMIME (RFC 6376 5.3).

import type { Address } from '#smtp/address.ts';
import { parseHeaders, parseMailboxes, removeFields } from '#mail/headers.ts';
import type { Field } from '#mail/headers.ts';
import { BodyHash } from './canonical.ts';
import { signMessage } from './signer.ts';
import type { SigningKey } from './signer.ts';
import type { Pen } from './pen.ts';

/** A domain that this server may speak for. */
export type Signatory = {
  readonly domain: string;
  readonly keys: readonly SigningKey[];
  /** Where its bounces come back to, if the DNS agrees; else null. */
  readonly bounceDomain: string | null;
};

export type Signing = {
  /** The signatory whose domain aligns with this From header; null: nobody's here. */
  signatoryOf(from: readonly Address[]): Signatory | null;
  bodyHash(): BodyHash;
  /** The fields to put on top. `header` is what comes below them. */
  sign(signatory: Signatory, message: { readonly header: Buffer; readonly bodyHash: Buffer; readonly nowMs: number }): Promise<Buffer>;
  /** The message with signatures on top, if its From header is a signatory's; else as it is. */
  signWhole(chunks: readonly Buffer[], nowMs: number): Promise<readonly Buffer[]>;
  /** A message that `sign` signed and whose content was changed since: with fresh signatures in the place of those. */
  signAgain(chunks: readonly Buffer[], nowMs: number): Promise<readonly Buffer[]>;
};

export type SigningParts = {
  /** By domain, canonical; not its parents. */
  readonly find: (domain: string) => Signatory | null;
  readonly pen: Pen;
  readonly lifetimeMs: () => number;
};

export function openSigning(parts: SigningParts): Signing {
  const { find, pen, lifetimeMs } = parts;
  const signatoryOf = (from: readonly Address[]): Signatory | null => {
    for (const { domain } of from) {
      const found = closest(domain, find);
      if (found !== null) return found;
    }
    return null;
  };
  const sign: Signing['sign'] = (signatory, message) => signMessage(signatory.keys, { ...message, lifetimeMs: lifetimeMs() }, pen);
  const signWhole: Signing['signWhole'] = async (chunks, nowMs) => {
    const { header, fields, body } = split(chunks);
    const signatory = signatoryOf(authors(fields));
    if (signatory === null) return chunks;
    const hash = new BodyHash('relaxed');
    for (const chunk of body) hash.update(chunk);
    return [await sign(signatory, { header, bodyHash: hash.digest(), nowMs }), ...chunks];
  };
  return {
    signatoryOf,
    bodyHash: () => new BodyHash('relaxed'),
    sign,
    signWhole,
    signAgain(chunks, nowMs) {
      const { header, fields, body } = split(chunks);
      const own = ownSignatures(fields);
      // It came without a signature of ours: mail from elsewhere is not made ours by passing through.
      if (own.length === 0) return Promise.resolve(chunks);
      return signWhole([...removeFields(header, fields, (field) => own.includes(field)), ...body], nowMs);
    },
  };
}

/** The addresses of the From header, or of the first of several. */
function authors(fields: readonly Field[]): Address[] {
  return parseMailboxes(fields.find((field) => field.name === 'from')?.value() ?? '');
}

/** Ours stand above the Received field that we put on top; those of others are below it. */
function ownSignatures(fields: readonly Field[]): Field[] {
  const end = fields.findIndex((field) => field.name !== 'dkim-signature');
  return fields.slice(0, end === -1 ? fields.length : end);
}

/** The domain itself or the nearest one above it: in relaxed alignment both count as the author's (RFC 7489 3.1.1). */
function closest(domain: string, find: (domain: string) => Signatory | null): Signatory | null {
  for (let name = domain; name !== ''; name = name.slice(name.indexOf('.') + 1)) {
    const found = find(name);
    if (found !== null) return found;
    if (!name.includes('.')) return null;
  }
  return null;
}

/** The header in one piece, with its blank line, and the rest. */
function split(chunks: readonly Buffer[]): { readonly header: Buffer; readonly fields: readonly Field[]; readonly body: readonly Buffer[] } {
  let head: Buffer = Buffer.alloc(0);
  for (const [i, chunk] of chunks.entries()) {
    head = i === 0 ? chunk : Buffer.concat([head, chunk]);
    const { fields, endOffset, complete } = parseHeaders(head);
    if (complete || i === chunks.length - 1) return { header: head.subarray(0, endOffset), fields, body: [head.subarray(endOffset), ...chunks.slice(i + 1)] };
  }
  return { header: head, fields: [], body: [] };
}
