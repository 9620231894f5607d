// The name of a certificate in renewal information: its authority's key identifier and its serial number. Reads two fields of the DER, which
// Node does not tell. RFC 9773 4.1, RFC 5280 4.1, 4.2.1.1.

import type { X509Certificate } from 'node:crypto';
import { TAG, derElements, objectId } from '#tls/der.ts';
import type { DerElement } from '#tls/der.ts';

const AUTHORITY_KEY_ID = objectId([2, 5, 29, 35]);
const VERSION = 0xa0;
const EXTENSIONS = 0xa3;
const KEY_IDENTIFIER = 0x80;

/** `keyIdentifier.serialNumber`, each in base64url; null for a certificate without the identifier of its authority's key. */
export function certificateId(leaf: X509Certificate): string | null {
  const body = inside(inside(derElements(leaf.raw)?.[0])?.[0]);
  const serial = body?.[body[0]?.tag === VERSION ? 1 : 0];
  const extensions = inside(inside(body?.find((element) => element.tag === EXTENSIONS))?.[0]);
  const parts = extensions?.map((extension) => inside(extension)).find((extension) => extension?.[0]?.whole.equals(AUTHORITY_KEY_ID));
  const value = inside(inside(parts?.at(-1))?.[0])?.find((element) => element.tag === KEY_IDENTIFIER);
  if (serial?.tag !== TAG.integer || value === undefined) return null;
  return `${value.content.toString('base64url')}.${serial.content.toString('base64url')}`;
}

function inside(element: DerElement | undefined): DerElement[] | undefined {
  return element === undefined ? undefined : (derElements(element.content) ?? undefined);
}
